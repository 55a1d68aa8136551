"""`FpgaBackend`: all that a program asks of an OpenCL device, in one place."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convergence_jax.fpga.host import Host
from convergence_jax.fpga.moments import FpgaLeafTable, FpgaMoments
from convergence_jax.fpga.reduce import reduce
from convergence_jax.statistics.law import Statistic
from convergence_jax.statistics.moments import Moments, MomentsState


class FpgaBackend:
    """A backend of `detect` and of :func:`~convergence_jax.hierarchy.fold.reduce`: the bits of XLA.

    Parameters
    ----------
    host : Host, optional
        The device that :func:`~convergence_jax.fpga.devices.choose` takes, unless given.

    Raises
    ------
    InputError
        If there is no usable device.

    Examples
    --------
    >>> import numpy as np
    >>> from convergence_jax.exact.log_sum_exp import LogSumExp
    >>> from convergence_jax.hierarchy import fold
    >>> state = fold.reduce(LogSumExp(), np.zeros(9), backend=FpgaBackend())  # doctest: +SKIP
    """

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host()
        self._moments = FpgaMoments(self.host)

    @property
    def execution(self) -> dict[str, Any]:
        """As :attr:`Host.execution <convergence_jax.fpga.host.Host.execution>`."""
        return self.host.execution

    def leaf_table(self, moments: Moments) -> FpgaLeafTable:
        """An empty table of counts and sums, on the device."""
        return FpgaLeafTable(self.host, moments)

    def group_moments(
        self, moments: Moments, ticks: np.ndarray, group: np.ndarray, groups: int
    ) -> MomentsState:
        """As :meth:`FpgaMoments.group_moments <convergence_jax.fpga.moments.FpgaMoments.group_moments>`."""
        return self._moments.group_moments(moments, ticks, group, groups)

    def merge_upwards(
        self, state: MomentsState, parents: Sequence[np.ndarray], sizes: Sequence[int]
    ) -> tuple[MomentsState, ...]:
        """As :meth:`FpgaMoments.merge_upwards <convergence_jax.fpga.moments.FpgaMoments.merge_upwards>`."""
        return self._moments.merge_upwards(state, parents, sizes)

    def reduce(self, stat: Statistic[Any, Any], xs: Any, where: Any = None) -> Any:
        """As :func:`convergence_jax.fpga.reduce.reduce`."""
        return reduce(self.host, stat, xs, where)
