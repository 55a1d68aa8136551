"""Sums of log-evidence in cells on an OpenCL device: what ``consensus`` asks of it."""

from typing import Any

import numpy as np

from convergence_jax.exact import digits
from convergence_jax.exact.constants import WINDOW
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.merge import dealt, merge
from convergence_jax.fpga.parts import LONGEST_PART, parts_of


class FpgaEvidence:
    """A backend of `consensus`: the sums of :func:`~convergence_jax.exact.window_segments.window_segments`.

    Parameters
    ----------
    host : Host, optional
        The device that :func:`~convergence_jax.fpga.devices.choose` takes, unless given.
    longest : int, default 65,536
        Rows that one work item sums without a break: a larger cell has several parts, which a kernel merges.

    Raises
    ------
    InputError
        If there is no usable device.

    Notes
    -----
    Rows are sorted by cell on the host, which moves them and adds none.
    """

    def __init__(self, host: Host | None = None, *, longest: int = LONGEST_PART) -> None:
        self.host = host or Host()
        self.longest = longest

    @property
    def execution(self) -> dict[str, Any]:
        """As :attr:`Host.execution <convergence_jax.fpga.host.Host.execution>`."""
        return self.host.execution

    def window_segments(
        self, x: np.ndarray, segment_ids: np.ndarray, num_segments: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Sum the float64 that lie in the window into groups, without rounding.

        Parameters
        ----------
        x : Float64[ndarray, "n ..."]
            At most ``2**30`` along the leading axis.
        segment_ids : Int[ndarray, "n"]
            Group of each row, from 0 to ``num_segments - 1``, in any order.
        num_segments : int

        Returns
        -------
        digits : UInt32[ndarray, "num_segments ... 4"]
            The sums of what lies in the window, of format ``WINDOW``.
        outside : Bool[ndarray, "n ..."] or None
            True for the others, those that are not finite included; None where there are none.

        Raises
        ------
        TypeError
            If `x` is not float64.
        InputError
            If the device has not enough memory.
        """
        x = np.asarray(x)
        if x.dtype != np.float64:
            raise TypeError(f"window_segments: values must be float64, got {x.dtype}.")
        columns = int(np.prod(x.shape[1:], dtype=np.int64))
        width = columns * WINDOW.digits
        sums = np.zeros((num_segments, width), np.uint32)
        shape = (num_segments, *x.shape[1:], WINDOW.digits)
        if x.size == 0 or num_segments == 0:
            return sums.reshape(shape), None
        host, workers = self.host, self.host.workers
        parts = parts_of(segment_ids, self.longest)
        made = host.empty(len(parts) * width * 4)
        outside, left = host.zeros(x.size), host.empty(workers * 8)
        given = (host.put(x), np.uint32(columns), *dealt(host, parts))
        host.run("window_sums", workers, *given, made, outside, left)
        if parts.split:
            here, position = np.unique(parts.segment, return_inverse=True)
            sums[here] = self._merged(made, position, len(here), columns)
        else:
            sums[parts.segment] = host.get(made, (len(parts), width), np.uint32)
        if not host.get(left, (workers,), np.uint64).any():
            return sums.reshape(shape), None
        return sums.reshape(shape), host.get(outside, x.shape, np.bool_)

    def _merged(self, made: Any, cell: np.ndarray, cells: int, columns: int) -> np.ndarray:
        """The parts of each cell added up, ``UInt32[cells, columns * 4]``."""
        width = columns * WINDOW.digits
        lanes = merge(self.host, made, np.uint32, parts_of(cell, longest=1 << 30), width)
        totals = self.host.get(lanes, (cells, columns, WINDOW.digits), np.int64)
        return digits.normalize(totals).reshape(cells, width)
