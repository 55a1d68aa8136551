"""`Truth`: what all nodes together had released at any instant, and whether an answer's interval held it."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Any

from convergence_jax.partition.nodes.release_log import Release


class Truth:
    """One statistic's count and sums, by the clock that all processes of a machine share.

    Parameters
    ----------
    logs : iterable of sequences of Release
        One a node, in the order that they were written: what its row held from an instant on. A node that
        starts again goes on from what it held.
    statistic : str
        Other statistics are left out.
    scale_bits : int
        ``2**scale_bits`` ticks a unit.
    """

    def __init__(self, logs: Iterable[Sequence[Release]], statistic: str, scale_bits: int) -> None:
        self._scale = 2**scale_bits
        changes: list[tuple[int, int, int]] = []
        for log in logs:
            count = total = 0
            for release in log:
                if release.statistic == statistic:
                    changes.append((release.instant, release.count - count, release.sums[0] - total))
                    count, total = release.count, release.sums[0]
        changes.sort()
        self._instants = [instant for instant, _, _ in changes]
        self._counts = list(accumulate((count for _, count, _ in changes), initial=0))
        self._sums = list(accumulate((total for _, _, total in changes), initial=0))

    def count(self, instant: int) -> int:
        """Observations released by then, at all nodes."""
        return self._counts[bisect_right(self._instants, instant)]

    def mean(self, instant: int) -> Fraction | None:
        """Their exact mean, of the first feature; None where there are none."""
        count = self.count(instant)
        total = self._sums[bisect_right(self._instants, instant)]
        return Fraction(total, count * self._scale) if count else None

    def holds(self, answer: Mapping[str, Any]) -> bool | None:
        """Whether the interval of an answer holds the truth at its instant; None where there is no truth.

        Parameters
        ----------
        answer : mapping
            JSON of a ``count`` or ``mean`` as a node gives it. A bound that is null bounds nothing.
        """
        what, instant = answer["what"], answer["instant"]
        truth = self.mean(instant) if what == "mean" else Fraction(self.count(instant))
        if truth is None:
            return None
        lower, upper = answer["lower"], answer["upper"]
        above = lower is None or Fraction(lower) <= truth
        below = upper is None or truth <= Fraction(upper)
        return above and below
