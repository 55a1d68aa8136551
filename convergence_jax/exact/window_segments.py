"""Exact sums of float64 in groups, four digits a sum: what lies in the window, and a mask of what does not.

A full accumulator of float64 takes 276 bytes; a table of a million groups would take a quarter of a gigabyte.
Nearly all values that are met are multiples of ``2**-82`` below ``2**14``: those add in 16 bytes. The others,
which the mask names, go to full accumulators of their own; which is which depends on the value alone, so both
sums are the same for any order, split and backend.
"""

from typing import Any

import numpy as np

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import FLOAT64, WINDOW, WINDOW_FIRST_DIGIT
from convergence_jax.exact.terms import terms, within_window

Array = Any

_BLOCK = 1 << 16
"""Terms that NumPy has in flight."""


def window_segments(x: Array, segment_ids: Array, num_segments: int) -> tuple[Array, np.ndarray | None]:
    """Sum the float64 that lie in the window into groups, without rounding.

    Runs on the host, which chooses the way: not within traced code.

    Parameters
    ----------
    x : Float64[Array, "n ..."]
        NumPy or JAX, at most ``2**30`` along the leading axis.
    segment_ids : Int[Array, "n"]
        Group of each row, from 0 to ``num_segments - 1``, in any order.
    num_segments : int
        Times the trailing axes, less than ``2**31``.

    Returns
    -------
    digits : UInt32[Array, "num_segments ... 4"]
        The sums of what lies in the window, of format ``WINDOW``; in the namespace of `x`.
    outside : Bool[ndarray, "n ..."] or None
        True for the others, those that are not finite included; None where there are none.

    Raises
    ------
    TypeError
        If `x` is not float64.
    """
    if x.dtype != np.float64:
        raise TypeError(f"window_segments: values must be float64, got {x.dtype}.")
    shape = (num_segments, *x.shape[1:], WINDOW.digits)
    columns = int(np.prod(x.shape[1:], dtype=np.int64))
    if x.size == 0 or num_segments == 0:
        return np.zeros(shape, dtype=np.uint32), None
    if x.__array_namespace__() is np:
        inside = within_window(x)
        whole = bool(inside.all())
        kept = x if whole else np.where(inside, x, 0.0)
        digits = _tabulate(kept.reshape(len(x), columns), np.asarray(segment_ids), num_segments)
        return digits.reshape(shape), None if whole else ~inside
    from convergence_jax.exact.compiled_window import compiled_window_segments

    digits, outside = compiled_window_segments(x, segment_ids, num_segments)
    return digits.reshape(shape), None if outside is None else outside.reshape(x.shape)


def _tabulate(x: np.ndarray, ids: np.ndarray, segments: int) -> np.ndarray:
    """Sums in NumPy, of what lies in the window."""
    columns, length = x.shape[1], WINDOW.digits
    lanes = np.zeros(segments * columns * length, dtype=np.int64)
    step = max(1, _BLOCK // columns)
    for start in range(0, len(x), step):
        made = terms(x[start : start + step])
        cell = ids[start : start + step, None].astype(np.int64) * columns + np.arange(columns)
        first = cell * length + (made.chunk - WINDOW_FIRST_DIGIT)
        for k, digit in enumerate(made.digits):
            # Digits that lie beyond the window's ends are zero, so their place may be any.
            np.add.at(lanes, np.clip(first + k, 0, len(lanes) - 1).ravel(), digit.ravel())
    return group.normalize(lanes.reshape(segments * columns, length))


def full_segments(x: np.ndarray, segment_ids: np.ndarray, num_segments: int) -> np.ndarray:
    """Sum finite float64 into groups of full digits, in NumPy: what the window does not take.

    Parameters
    ----------
    x : Float64[ndarray, "n ..."]
        Finite.
    segment_ids : Int[ndarray, "n"]
    num_segments : int

    Returns
    -------
    UInt32[ndarray, "num_segments ... 69"]
    """
    columns, length = int(np.prod(x.shape[1:], dtype=np.int64)), FLOAT64.digits
    lanes = np.zeros(num_segments * columns * length, dtype=np.int64)
    rows = x.reshape(len(x), columns)
    step = max(1, _BLOCK // columns)
    for start in range(0, len(x), step):
        made = terms(rows[start : start + step])
        cell = segment_ids[start : start + step, None].astype(np.int64) * columns + np.arange(columns)
        for k, digit in enumerate(made.digits):
            np.add.at(lanes, (cell * length + made.chunk + k).ravel(), digit.ravel())
    return group.normalize(lanes.reshape(num_segments, *x.shape[1:], length))
