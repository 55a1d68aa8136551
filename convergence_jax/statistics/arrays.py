"""The few array operations that NumPy and JAX spell differently, found by the namespace of the arguments."""

from typing import Any

import numpy as np

Array = Any


def namespace(*arrays: Array) -> Any:
    """Namespace of the arrays: JAX if any of them is a JAX array, else NumPy."""
    spaces = [a.__array_namespace__() for a in arrays if hasattr(a, "__array_namespace__")]
    return next((xp for xp in spaces if xp is not np), np)


def as_array(x: Any) -> Array:
    """Leave arrays alone; make a NumPy array of a Python number or sequence."""
    return x if hasattr(x, "__array_namespace__") else np.asarray(x)


def expand_mask(where: Array, ndim: int) -> Array:
    """A mask over the leading axes, with axes of length one appended up to `ndim` axes."""
    return where.reshape(where.shape + (1,) * (ndim - where.ndim))


def zero_unless(where: Array | None, x: Array) -> Array:
    """`x` where the mask over its leading axes holds, zero elsewhere; no mask holds everywhere."""
    if where is None:
        return x
    return namespace(x, where).where(expand_mask(where, x.ndim), x, x.dtype.type(0))


def one_hot(index: Array, length: int) -> Array:
    """``Int64[Array, "... length"]``: one at `index` of each row; an index outside gives a row of zeros."""
    xp = namespace(index)
    return (index[..., None] == np.arange(length, dtype=np.int64)).astype(xp.int64)


def tabulate(index: Array, length: int) -> Array:
    """How often each index occurs along the leading axis.

    Parameters
    ----------
    index : Int64[Array, "n ..."]
        Below `length`; a negative index counts nowhere.
    length : int
        Entries of a table.

    Returns
    -------
    Int64[Array, "... length"]
        The sum of :func:`one_hot` over the leading axis, without making it.
    """
    xp, flat, cell, size, shape = _cells(index, length)
    if xp is np:
        table = np.bincount(cell[flat >= 0], minlength=size).astype(np.int64)
    else:
        table = xp.zeros(size, dtype=xp.int64).at[cell].add((flat >= 0).astype(xp.int64))
    return table.reshape(shape)


def tabulate_maximum(index: Array, values: Array, length: int) -> Array:
    """The largest value at each index along the leading axis, ``[n, ...]`` to ``[..., length]``.

    Zero where there is none; a negative index counts nowhere.
    """
    xp, flat, cell, size, shape = _cells(index, length)
    kept = xp.where(flat >= 0, values.reshape(-1), xp.zeros_like(values.reshape(-1)))
    table = xp.zeros(size, dtype=values.dtype)
    if xp is np:
        np.maximum.at(table, cell, kept)
    else:
        table = table.at[cell].max(kept)
    return table.reshape(shape)


def _cells(index: Array, length: int) -> tuple[Any, Array, Array, int, tuple[int, ...]]:
    """Flat positions in one table per trailing position; negative indices get any valid one."""
    xp = namespace(index)
    trailing = index.shape[1:]
    tables = int(np.prod(trailing, dtype=np.int64))
    offset = (np.arange(tables, dtype=np.int64) * length).reshape(trailing)
    cell = xp.maximum(index, np.int64(0)) + offset
    return xp, index.reshape(-1), cell.reshape(-1), tables * length, (*trailing, length)
