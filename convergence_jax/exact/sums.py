"""Exact sums of arrays in JAX, along any axes, and of products; segments are next door.

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

from convergence_jax.exact.chunks import chunk_sum
from convergence_jax.exact.constants import Format
from convergence_jax.exact.superaccumulator import AccumulatorState, register
from convergence_jax.exact.terms import format_of, product_terms, terms
from convergence_jax.exact.window import window_sum, zeros_beside

Array = Any

register()


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
    (x,), shape = _columns(masked([jnp.asarray(x)], where), axis)
    if x.size == 0:
        return no_terms(shape, format)
    digits, held = window_sum(x, format)
    zero = zeros_beside(held, held.shape)

    def again(x: Array) -> AccumulatorState:
        return chunk_sum(terms, format, x)

    return reshape_state(unless(held, AccumulatorState(digits, zero, zero, zero), again, x), shape)


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
    pair, shape = _columns(masked(list(pair), where), axis)
    if pair[0].size == 0:
        return no_terms(shape, format)
    return reshape_state(chunk_sum(product_terms, format, *pair), shape)


def unless(held: Array, state: AccumulatorState, again: Any, *arrays: Array) -> AccumulatorState:
    """`state` where it is held and ``again(*arrays)`` elsewhere, which runs only if there is an elsewhere."""

    def correct(carry: tuple[Array, AccumulatorState]) -> tuple[Array, AccumulatorState]:
        # Without the barrier XLA moves what depends on the arrays alone in front of the loop, and runs it.
        inputs, _ = lax.optimization_barrier((arrays, carry[0]))
        right = jax.tree.map(
            lambda old, new: jnp.where(held.reshape(held.shape + (1,) * (old.ndim - held.ndim)), old, new),
            carry[1],
            again(*inputs),
        )
        return carry[0] & False, right

    return lax.while_loop(lambda carry: carry[0], correct, (~jnp.all(held), state))[1]


def masked(arrays: list[Array], where: Array | None) -> list[Array]:
    """Arrays with zeros where the mask does not hold; here 64-bit mode is checked."""
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


def reshape_state(state: AccumulatorState, shape: tuple[int, ...]) -> AccumulatorState:
    """The same states in other leading axes."""
    counts = (n.reshape(shape) for n in (state.nan, state.pos_inf, state.neg_inf))
    return AccumulatorState(state.digits.reshape(*shape, state.digits.shape[-1]), *counts)


def no_terms(shape: tuple[int, ...], format: Format) -> AccumulatorState:
    """Empty sums, in JAX."""
    counts = (jnp.zeros(shape, dtype=jnp.int64) for _ in range(3))
    return AccumulatorState(jnp.zeros((*shape, format.digits), dtype=jnp.uint32), *counts)
