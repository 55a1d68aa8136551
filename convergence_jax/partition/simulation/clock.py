"""`SimulatedClock`: a node's clocks, which start anywhere and run a little fast or slow."""

import random
from collections.abc import Callable

from convergence_jax.partition.participant import Clock

PARTS = 10**9
"""Drift is in billionths: whole nanoseconds a true second."""


class SimulatedClock:
    """The clocks of one machine.

    Parameters
    ----------
    true : callable to int
        True time, in nanoseconds.
    drift : int
        How much it gains, in nanoseconds a true second.
    offset : int
        What its boot-time clock shows at true time 0, in nanoseconds.
    epoch : float
        What its wall clock shows at true time 0, in seconds.
    chance : random.Random
        Where its random bytes come from.

    Attributes
    ----------
    drift : int
    """

    def __init__(
        self, true: Callable[[], int], drift: int, offset: int, epoch: float, chance: random.Random
    ) -> None:
        self._true, self._chance, self._epoch = true, chance, epoch
        self.drift, self._since, self._shown = drift, 0, offset

    def boottime(self) -> int:
        """Nanoseconds since the machine started."""
        gone = self._true() - self._since
        return self._shown + gone + gone * self.drift // PARTS

    def wall(self) -> float:
        """Seconds since the epoch."""
        gone = self._true()
        return self._epoch + (gone + gone * self.drift // PARTS) * 1e-9

    def reboot(self, drift: int) -> None:
        """Start the machine again: its boot-time clock from 0, at another pace."""
        self.drift, self._since, self._shown = drift, self._true(), 0

    @property
    def clock(self) -> Clock:
        """As a participant takes it."""
        return Clock(self.boottime, self.wall, self._chance.randbytes)
