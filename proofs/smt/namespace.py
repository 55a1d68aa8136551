"""The functions that the library looks up with `__array_namespace__`, for symbolic arrays."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import z3

from proofs.smt.symbolic import SymbolicArray, _each, _float_operation, _promote, array

uint8, uint32, uint64 = np.uint8, np.uint32, np.uint64
int32, int64 = np.int32, np.int64
float32, float64, bool_ = np.float32, np.float64, np.bool_
asarray = array


def where(condition: Any, a: Any, b: Any) -> SymbolicArray:
    dtype = _promote(a, b)
    parts = [array(condition), array(a, dtype), array(b, dtype)]
    return SymbolicArray(_each(z3.If, *(part.elements for part in parts)), dtype)


def maximum(a: Any, b: Any) -> SymbolicArray:
    dtype = _promote(a, b)
    a, b = array(a, dtype), array(b, dtype)
    return where(a > b, a, b)


def minimum(a: Any, b: Any) -> SymbolicArray:
    dtype = _promote(a, b)
    a, b = array(a, dtype), array(b, dtype)
    return where(a < b, a, b)


def clip(x: SymbolicArray, low: Any, high: Any) -> SymbolicArray:
    return minimum(maximum(x, low), high)


def full(shape: tuple[int, ...], fill: Any, dtype: Any) -> SymbolicArray:
    return array(np.full(shape, fill, dtype=dtype))


def full_like(x: SymbolicArray, fill: Any) -> SymbolicArray:
    return full(x.shape, fill, x.dtype)


def zeros(shape: Any, dtype: Any) -> SymbolicArray:
    return full(shape, 0, dtype)


def zeros_like(x: SymbolicArray) -> SymbolicArray:
    return full(x.shape, 0, x.dtype)


def ones_like(x: SymbolicArray) -> SymbolicArray:
    return full(x.shape, 1, x.dtype)


def concatenate(parts: list[SymbolicArray], axis: int = 0) -> SymbolicArray:
    dtype = _promote(*parts)
    return SymbolicArray(np.concatenate([array(p, dtype).elements for p in parts], axis=axis), dtype)


def stack(parts: list[SymbolicArray], axis: int = 0) -> SymbolicArray:
    dtype = _promote(*parts)
    return SymbolicArray(np.stack([array(p, dtype).elements for p in parts], axis=axis), dtype)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> SymbolicArray:
    x = array(x)
    return SymbolicArray(np.broadcast_to(x.elements, shape), x.dtype)


def _along(function: Any, x: SymbolicArray, axis: int, keepdims: bool) -> SymbolicArray:
    parts = [x[(Ellipsis, i)] for i in range(x.shape[-1])] if axis == -1 else [x[i] for i in range(len(x))]
    if axis not in (-1, 0):
        raise TypeError("Only the first and the last axis are reduced.")
    made = reduce(function, parts)
    return made[..., None] if keepdims and axis == -1 else made


def sum(x: SymbolicArray, axis: int = 0, keepdims: bool = False) -> SymbolicArray:
    return _along(lambda a, b: a + b, x, axis, keepdims)


def max(x: SymbolicArray, axis: int = 0, keepdims: bool = False) -> SymbolicArray:
    return _along(maximum, x, axis, keepdims)


def any(x: SymbolicArray, axis: int = 0, keepdims: bool = False) -> SymbolicArray:
    if x.shape[axis] == 0:
        shape = (*x.shape[:-1], 1) if keepdims else x.shape[:-1]
        return full(shape, False, np.bool_)
    return _along(lambda a, b: a | b, x, axis, keepdims)


def take_along_axis(x: SymbolicArray, index: SymbolicArray, axis: int) -> SymbolicArray:
    """Elements at unknown places of the last axis; a place outside it gives the last element."""
    if axis not in (-1, x.ndim - 1):
        raise TypeError("Only the last axis is gathered from.")
    shape = (*np.broadcast_shapes(x.shape[:-1], index.shape[:-1]), index.shape[-1])
    made = broadcast_to(x[..., -1:], shape)
    for i in reversed(range(x.shape[-1] - 1)):
        made = where(index == i, x[..., i : i + 1], made)
    return made


def round(x: SymbolicArray) -> SymbolicArray:
    def nearest(f: Any) -> Any:
        return z3.fpRoundToIntegral(z3.RNE(), f)

    return SymbolicArray(_each(_float_operation(nearest), x.elements), x.dtype)


def abs(x: SymbolicArray) -> SymbolicArray:
    return x.__abs__()
