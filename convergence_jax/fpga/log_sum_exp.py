"""Sums of exponentials on an OpenCL device: the states of :mod:`convergence_jax.exact.log_sum_exp`."""

from typing import Any

import numpy as np

from convergence_jax.exact.constants import EXPONENTIAL
from convergence_jax.exact.log_sum_exp import RANGE, LogSumExp, LogSumExpState
from convergence_jax.fpga.host import Host

BLOCK = 1 << 27
"""Numbers on the device at once, at most: one gibibyte. Lanes would hold ``2**30``."""

_COUNTS = 3


class FpgaLogSumExp:
    """Collects what :class:`~convergence_jax.exact.log_sum_exp.LogSumExp` collects, by ``log_sum_exp.cl``.

    Parameters
    ----------
    host : Host
    task : bool, optional
        One work item with all lanes in registers, which an FPGA pipelines; otherwise every work item sums an
        equal share and the rows are merged. By the device unless given; the states are the same.

    Examples
    --------
    ``FpgaLogSumExp(Host()).collect(xs)`` has the bits of ``LogSumExp().collect(xs)``.
    """

    def __init__(self, host: Host, *, task: bool | None = None) -> None:
        self.host = host
        self.task = host.device.tasks if task is None else task

    def collect(self, xs: np.ndarray, where: np.ndarray | None = None) -> LogSumExpState:
        """Sum exponentials along the leading axis.

        Parameters
        ----------
        xs : Float64[ndarray, "n ..."]
        where : Bool[ndarray, "n"], optional
            True where an element counts.

        Returns
        -------
        LogSumExpState
            In NumPy, of the trailing shape. NaN, plus infinities and what is out of range are counted in it.

        Raises
        ------
        TypeError
            If `xs` is not float64.
        InputError
            If the device has not enough memory.
        """
        if xs.dtype != np.float64:
            raise TypeError(f"FpgaLogSumExp: values must be float64, got {xs.dtype}: convert first.")
        if where is not None:
            xs = np.where(where.reshape(where.shape + (1,) * (xs.ndim - where.ndim)), xs, -np.inf)
        merge, trailing = LogSumExp().merge, xs.shape[1:]
        columns = int(np.prod(trailing, dtype=np.int64))
        state = LogSumExp().empty(trailing)
        step = max(1, BLOCK // max(1, columns))
        for start in range(0, len(xs) if columns else 0, step):
            block = xs[start : start + step]
            buffer = self.host.put(block)
            made = [self.collect_buffer(buffer, len(block), columns, column) for column in range(columns)]
            whole = (np.stack(leaf).reshape((*trailing, *leaf[0].shape)) for leaf in zip(*made, strict=True))
            state = merge(state, LogSumExpState(*whole))
        return state

    def collect_buffer(self, buffer: Any, rows: int, columns: int = 1, column: int = 0) -> LogSumExpState:
        """Sum one column of a table of float64 that is on the device.

        Parameters
        ----------
        buffer : pyopencl.Buffer
            ``Float64[rows, columns]``.
        rows : int
            At most ``2**30``.
        columns : int, default 1
        column : int, default 0

        Returns
        -------
        LogSumExpState
            Of shape ``()``.

        Raises
        ------
        ValueError
            If there are more rows than the lanes hold.
        """
        if rows > 1 << 30:
            raise ValueError(f"FpgaLogSumExp: at most 2**30 rows at once, got {rows}.")
        host, workers = self.host, 1 if self.task else self.host.workers
        width = EXPONENTIAL.digits + _COUNTS
        rows_of_lanes, totals = host.empty(workers * width * 8), host.empty(width * 8)
        digits = host.empty(EXPONENTIAL.digits * 4)
        kernel = "exponential_task" if self.task else "exponential_shares"
        limit = np.float64(RANGE).view(np.uint64)
        column_of = (np.uint32(columns), np.uint32(column))
        host.run(kernel, workers, buffer, np.uint64(rows), *column_of, limit, rows_of_lanes)
        host.run("merge_rows", width, rows_of_lanes, np.uint32(workers), totals)
        host.run("canonicalise", 1, totals, np.uint32(EXPONENTIAL.digits), digits)
        counts = host.get(totals, (width,), np.int64)[EXPONENTIAL.digits :]
        return LogSumExpState(host.get(digits, (EXPONENTIAL.digits,), np.uint32), *counts)
