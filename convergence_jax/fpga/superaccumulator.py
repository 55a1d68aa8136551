"""`FpgaSuperaccumulator`: sums of floats without any rounding, on an OpenCL device."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.exact.constants import FLOAT32, FLOAT64, Format
from convergence_jax.exact.superaccumulator import AccumulatorState
from convergence_jax.exact.terms import format_of
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.stream import PIECE_BYTES, stream

_KINDS = 3
"""NaN, plus infinity, minus infinity: the kernels' row of counts."""

_LANE_DEPOSITS = (1 << 31) - 1
"""A lane holds so many digits of 32 bits before its carry must be taken out."""


@dataclass(frozen=True)
class FpgaSuperaccumulator:
    """Exact sums of float32 or float64 on a device.

    The same in every bit as those of :class:`~convergence_jax.exact.superaccumulator.Superaccumulator`.
    States are the same too: what one collects, the other may merge.

    Parameters
    ----------
    host : Host
    format : Format
        ``FLOAT32`` or ``FLOAT64`` of :mod:`convergence_jax.exact.constants`.
    task : bool, optional
        Whether deposits are made by one work item with its lanes in registers, as an FPGA pipelines it, or by
        ``host.workers`` of them that take equal shares. By default as suits the device.
    piece_bytes : int, default 16 MiB
        What is copied at once; longer inputs go in pieces.

    Raises
    ------
    ValueError
        If `format` is another one, or a piece would hold no element.

    Examples
    --------
    >>> import numpy as np
    >>> from convergence_jax.fpga.host import Host
    >>> stat = FpgaSuperaccumulator(Host())  # doctest: +SKIP
    >>> float(stat.present(stat.collect(np.array([1e300, 1.0, -1e300, 5e-324]))))  # doctest: +SKIP
    1.0
    """

    host: Host
    format: Format = FLOAT64
    task: bool | None = None
    piece_bytes: int = PIECE_BYTES

    def __post_init__(self) -> None:
        if self.format not in (FLOAT32, FLOAT64):
            raise ValueError(
                f"FpgaSuperaccumulator: format must be float32 or float64, got {self.format.name}."
            )
        if self.piece_bytes < self._itemsize:
            raise ValueError(
                f"FpgaSuperaccumulator: piece_bytes must be at least {self._itemsize}, "
                f"got {self.piece_bytes}."
            )

    def empty(self, shape: tuple[int, ...] = ()) -> AccumulatorState:
        """The empty sum; `shape` gives leading axes."""
        return _state(np.zeros((*shape, self.format.digits), np.uint32), np.zeros((*shape, _KINDS), np.int64))

    def collect(self, xs: Any) -> AccumulatorState:
        """Sum an array exactly.

        Parameters
        ----------
        xs : Float[Array, "n"]
            Of the type of the format, on the host. Any length: the device holds two pieces of it at a time.

        Returns
        -------
        AccumulatorState
            In NumPy, without leading axes.

        Raises
        ------
        TypeError
            If `xs` is not of the format's type.
        ValueError
            If `xs` has not one axis.
        InputError
            If the device has no memory for two pieces.
        """
        xs = np.asarray(xs)
        if format_of(xs.dtype) != self.format:
            raise TypeError(f"FpgaSuperaccumulator: format {self.format.name} cannot hold {xs.dtype}.")
        if xs.ndim != 1:
            raise ValueError(f"FpgaSuperaccumulator.collect: xs must have one axis, got shape {xs.shape}.")
        if not len(xs):
            return self.empty()
        host, length = self.host, self.format.digits
        task = host.device.tasks if self.task is None else self.task
        rows = 1 if task else host.workers
        deposit = f"deposit_{self.format.name}_{'task' if task else 'shares'}"
        lane_rows, count_rows = host.empty(8 * rows * length), host.empty(8 * rows * _KINDS)
        lanes, piece_digits = host.empty(8 * length), host.empty(4 * length)
        piece_counts = host.empty(8 * _KINDS)
        digits, counts = host.zeros(4 * length), host.zeros(8 * _KINDS)
        step = min(self.piece_bytes // self._itemsize, _LANE_DEPOSITS)
        for piece, count in stream(host, xs, step):
            host.run(deposit, rows, piece, np.uint32(count), lane_rows, count_rows)
            host.run("merge_rows", length, lane_rows, np.uint32(rows), lanes)
            host.run("canonicalise", 1, lanes, np.uint32(length), piece_digits)
            host.run("merge_digits", 1, digits, piece_digits, np.uint32(length), digits)
            host.run("merge_rows", _KINDS, count_rows, np.uint32(rows), piece_counts)
            host.run("merge_counts", _KINDS, counts, piece_counts, counts)
        return _state(host.get(digits, (length,), np.uint32), host.get(counts, (_KINDS,), np.int64))

    def merge(self, a: AccumulatorState, b: AccumulatorState) -> AccumulatorState:
        """The sum of two sums, elementwise in leading axes, which broadcast.

        Raises
        ------
        ValueError
            If a state is of another format.
        """
        return self._combine("merge", a, b)

    def remove(self, a: AccumulatorState, b: AccumulatorState) -> AccumulatorState:
        """Undo a merge, NaN and infinities included; shapes and errors as in :meth:`merge`."""
        return self._combine("remove", a, b)

    def present(self, state: AccumulatorState, dtype: Any = np.float64) -> np.ndarray:
        """The sum, correctly rounded to nearest-even.

        Parameters
        ----------
        state : AccumulatorState
            Of this format, ``(...)``.
        dtype : dtype
            float64 or float32.

        Returns
        -------
        Float[ndarray, "..."]
            NaN if a NaN was added, or infinities of both signs, or if more of a kind was removed than merged;
            an infinity if those of its sign were added; else the exact sum, rounded once.

        Raises
        ------
        ValueError
            If the state is of another format.
        TypeError
            If `dtype` is neither float64 nor float32.
        """
        dtype = np.dtype(dtype)
        format_of(dtype)
        digits, counts = self._arrays(state)
        host, shape = self.host, counts.shape[:-1]
        values = host.empty(dtype.itemsize * counts[..., 0].size)
        if counts.size:
            numbers = np.uint32(self.format.digits), np.int32(self.format.lsb)
            name = f"present_{dtype.name}"
            host.run(name, counts[..., 0].size, host.put(digits), host.put(counts), *numbers, values)
        return host.get(values, shape, dtype)

    @property
    def _itemsize(self) -> int:
        return 4 if self.format == FLOAT32 else 8

    def _combine(self, name: str, a: AccumulatorState, b: AccumulatorState) -> AccumulatorState:
        host, pairs = self.host, zip(self._arrays(a), self._arrays(b), strict=True)
        digits, counts = (np.broadcast_arrays(*pair) for pair in pairs)
        shape, size = counts[0].shape, counts[0].size
        if not size:
            return self.empty(shape[:-1])
        left, right = (host.put(part) for part in digits)
        host.run(f"{name}_digits", size // _KINDS, left, right, np.uint32(self.format.digits), left)
        plus, minus = (host.put(part) for part in counts)
        host.run(f"{name}_counts", size, plus, minus, plus)
        return _state(host.get(left, digits[0].shape, np.uint32), host.get(plus, shape, np.int64))

    def _arrays(self, state: AccumulatorState) -> tuple[np.ndarray, np.ndarray]:
        """Digits ``(..., L)`` and counts ``(..., 3)`` of a state of this format."""
        digits = np.asarray(state.digits, np.uint32)
        if digits.shape[-1] != self.format.digits:
            raise ValueError(
                f"FpgaSuperaccumulator: states of {self.format.name} have {self.format.digits} digits, "
                f"got {digits.shape[-1]}: use the format that made them."
            )
        kinds = [np.asarray(kind, np.int64) for kind in (state.nan, state.pos_inf, state.neg_inf)]
        return digits, np.stack(kinds, axis=-1)


def _state(digits: np.ndarray, counts: np.ndarray) -> AccumulatorState:
    return AccumulatorState(digits, *(counts[..., kind] for kind in range(_KINDS)))
