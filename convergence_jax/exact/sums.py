"""Exact sums of arrays in JAX: along any axes, in segments, and of products.

Every function here returns the state that :class:`Superaccumulator` would by lifting and merging, in bits,
for any order, sharding and backend. They may be jitted, mapped, sharded and exported: they call nothing on
the host. The fast way is one pass within a guessed window; where that does not hold every bit, a loop that
runs not at all otherwise takes over. A loop, because under `vmap` a conditional would run both ways.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convergence_jax.exact import digits as group
from convergence_jax.exact.chunks import chunk_sum
from convergence_jax.exact.constants import DIGIT_BITS, Format
from convergence_jax.exact.superaccumulator import AccumulatorState, register
from convergence_jax.exact.terms import format_of, product_terms, terms
from convergence_jax.exact.window import (
    WINDOW_BITS,
    cut,
    deposit,
    exponent_field,
    fold_blocks,
    offset,
    window_above,
    window_sum,
)

Array = Any

register()

_LOW = np.int64((1 << DIGIT_BITS) - 1)


def sum_state(
    x: Array, axis: int | tuple[int, ...] | None = None, where: Array | None = None
) -> AccumulatorState:
    """Sum without rounding.

    Parameters
    ----------
    x : Float[Array, "..."]
        float32 or float64, at most ``2**30`` elements to a sum.
    axis : int or tuple of int, optional
        Axes to sum along; all of them by default.
    where : Bool[Array, "..."], optional
        True where an element counts; broadcasts against `x`.

    Returns
    -------
    AccumulatorState
        Of ``FLOAT32`` or ``FLOAT64``, with the axes that remain.

    Raises
    ------
    TypeError
        While tracing, if `x` is of another type.
    ValueError
        While tracing, if an axis does not exist, or JAX is not in 64-bit mode.

    Notes
    -----
    One read of the data where a sum's elements span at most 37 binary orders besides their 53 bits; the
    window is guessed from 1,024 of them. Otherwise two reads more and one for every 128 orders that occur.
    """
    format = format_of(x.dtype)
    (x,), shape = _columns(_masked([jnp.asarray(x)], where), axis)
    if x.size == 0:
        return _empty(shape, format)
    digits, held = window_sum(x, format)
    zero = jnp.zeros_like(held, dtype=jnp.int64)

    def again(x: Array) -> AccumulatorState:
        return chunk_sum(terms, format, x)

    return _reshape(_unless(held, AccumulatorState(digits, zero, zero, zero), again, x), shape)


def dot_state(
    x: Array, y: Array, axis: int | tuple[int, ...] | None = None, where: Array | None = None
) -> AccumulatorState:
    """Sum of products without rounding, of the products neither.

    Parameters
    ----------
    x, y : Float[Array, "..."]
        Both float32 or both float64; broadcast against each other.
    axis, where
        As in :func:`sum_state`.

    Returns
    -------
    AccumulatorState
        Of ``FLOAT32_PRODUCT`` or ``FLOAT64_PRODUCT``.
    """
    format = format_of(x.dtype, product=True)
    pair = jnp.broadcast_arrays(jnp.asarray(x), jnp.asarray(y))
    pair, shape = _columns(_masked(list(pair), where), axis)
    if pair[0].size == 0:
        return _empty(shape, format)
    return _reshape(chunk_sum(product_terms, format, *pair), shape)


def segment_state(
    x: Array, segment_ids: Array, num_segments: int, where: Array | None = None
) -> AccumulatorState:
    """Sum values into groups without rounding.

    Parameters
    ----------
    x : Float[Array, "n ..."]
        float32 or float64, at most ``2**30`` along the leading axis.
    segment_ids : Int[Array, "n"]
        Group of each row, in any order; rows whose group does not exist are left out.
    num_segments : int
        Static.
    where : Bool[Array, "n ..."], optional
        True where an element counts; broadcasts against `x`.

    Returns
    -------
    AccumulatorState
        With axes ``(num_segments, ...)``.

    Notes
    -----
    The window is one for all groups, ``2 * (62 - log2(n))`` bits and at most 102, from the largest element
    down. Otherwise every element's digits are added to its group's one by one.
    """
    format = format_of(x.dtype)
    x = jnp.asarray(x)
    shape = (num_segments, *x.shape[1:])
    exists = ((segment_ids >= 0) & (segment_ids < num_segments)).reshape(-1, *(1,) * (x.ndim - 1))
    (x,) = _masked([x], exists if where is None else exists & where)
    columns = int(np.prod(x.shape[1:], dtype=np.int64))
    if x.size == 0 or num_segments == 0:
        return _empty(shape, format)
    x = x.reshape(-1, columns)
    # What does not exist is zero by now and may be added anywhere.
    ids = jnp.clip(segment_ids, 0, num_segments - 1)
    if columns == 1:
        x, cell, cells = x[:, 0], ids, num_segments
    else:
        cell = ids.astype(jnp.int64)[:, None] * columns + np.arange(columns, dtype=np.int64)
        cells = num_segments * columns

    bits = min(WINDOW_BITS, 62 - int(np.ceil(np.log2(max(2, x.shape[0])))))
    low, scale = window_above(exponent_field(jnp.max(jnp.abs(x))), 0, bits, format, x.dtype)
    high, rest, _ = cut(x, scale, bits)
    held = _flawless(x, scale, bits)
    sums = [_scatter(cells, cell, part - offset(1)) for part in (high, rest)]
    parts = [[s & _LOW, s >> np.int64(DIGIT_BITS)] for s in sums]
    position = jnp.broadcast_to(low - np.int64(format.lsb), (cells,))
    zero = jnp.zeros(cells, dtype=jnp.int64)
    state = AccumulatorState(deposit(parts[0], parts[1], bits, position, format), zero, zero, zero)

    def again(x: Array, cell: Array) -> AccumulatorState:
        return _scatter_state(x, cell, cells, format)

    return _reshape(_unless(jnp.broadcast_to(held, (cells,)), state, again, x, cell), shape)


def _flawless(x: Array, scale: Array, bits: int) -> Array:
    """Whether every element lies in one window."""

    def flaw(block: Array) -> tuple[Array]:
        return (cut(block, scale, bits)[2],)

    def combine(a: tuple[Array], b: tuple[Array]) -> tuple[Array]:
        return (a[0] | b[0],)

    folded = fold_blocks(flaw, combine, x.reshape(1, -1, 1))
    return jnp.all(jnp.stack([jnp.all(made == np.int64(0)) for (made,), _ in folded]))


def _scatter(cells: int, cell: Array, values: Array) -> Array:
    return jnp.zeros(cells, dtype=jnp.int64).at[cell].add(values, mode="promise_in_bounds")


def _scatter_state(x: Array, cell: Array, cells: int, format: Format) -> AccumulatorState:
    """Add the digits of every element to its cell."""
    made = terms(x)
    length = format.digits
    first = cell.astype(jnp.int64) * length + made.chunk
    lanes = jnp.zeros(cells * length, dtype=jnp.int64)
    for k, digit in enumerate(made.digits):  # of finite terms, all digits lie within the format
        lanes = lanes.at[first + np.int64(k)].add(digit, mode="drop")

    def count() -> list[Array]:
        return [_scatter(cells, cell, k.astype(jnp.int64)) for k in (made.nan, made.pos_inf, made.neg_inf)]

    zero = jnp.zeros(cells, dtype=jnp.int64)
    counts = lax.cond(jnp.any(made.nan | made.pos_inf | made.neg_inf), count, lambda: [zero, zero, zero])
    return AccumulatorState(group.normalize(lanes.reshape(cells, length)), *counts)


def _unless(held: Array, state: AccumulatorState, again: Any, *arrays: Array) -> AccumulatorState:
    """`state` where it is held and ``again(*arrays)`` elsewhere, which runs only if there is an elsewhere."""

    def correct(carry: tuple[Array, AccumulatorState]) -> tuple[Array, AccumulatorState]:
        # Without the barrier XLA moves what depends on the arrays alone in front of the loop, and runs it.
        inputs, _ = lax.optimization_barrier((arrays, carry[0]))
        right = jax.tree.map(
            lambda old, new: jnp.where(held.reshape(held.shape + (1,) * (old.ndim - held.ndim)), old, new),
            carry[1],
            again(*inputs),
        )
        return jnp.zeros_like(carry[0]), right

    return lax.while_loop(lambda carry: carry[0], correct, (~jnp.all(held), state))[1]


def _masked(arrays: list[Array], where: Array | None) -> list[Array]:
    if arrays[0].dtype.itemsize == 8 or jax.config.read("jax_enable_x64"):
        return arrays if where is None else [jnp.where(where, a, a.dtype.type(0)) for a in arrays]
    raise ValueError('exact sums need 64-bit mode: jax.config.update("jax_enable_x64", True).')


def _columns(arrays: list[Array], axis: int | tuple[int, ...] | None) -> tuple[list[Array], tuple[int, ...]]:
    """Arrays as ``(outer, n, inner)`` with everything to sum in the middle, and the shape that remains."""
    shape = arrays[0].shape
    given = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    for a in given:
        if not -len(shape) <= a < len(shape):
            raise ValueError(f"exact sums: axis {a} does not exist in an array of shape {shape}.")
    axes = sorted({a % len(shape) for a in given})
    kept = [a for a in range(len(shape)) if a not in axes]
    remains = tuple(shape[a] for a in kept)
    n = int(np.prod([shape[a] for a in axes], dtype=np.int64))
    if axes and axes != list(range(axes[0], axes[-1] + 1)):  # bring them together, in front
        arrays = [jnp.transpose(a, (*axes, *kept)) for a in arrays]
        return [a.reshape(1, n, -1) if a.size else a for a in arrays], remains
    outer = int(np.prod(shape[: axes[0]], dtype=np.int64)) if axes else 1
    inner = (
        int(np.prod(shape[axes[-1] + 1 :], dtype=np.int64)) if axes else int(np.prod(shape, dtype=np.int64))
    )
    return [a.reshape(outer, n, inner) for a in arrays], remains


def _reshape(state: AccumulatorState, shape: tuple[int, ...]) -> AccumulatorState:
    counts = (n.reshape(shape) for n in (state.nan, state.pos_inf, state.neg_inf))
    return AccumulatorState(state.digits.reshape(*shape, state.digits.shape[-1]), *counts)


def _empty(shape: tuple[int, ...], format: Format) -> AccumulatorState:
    counts = (jnp.zeros(shape, dtype=jnp.int64) for _ in range(3))
    return AccumulatorState(jnp.zeros((*shape, format.digits), dtype=jnp.uint32), *counts)
