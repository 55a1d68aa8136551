"""Sums of terms of any size: as many passes as the exponents that occur ask for.

A term belongs to one of the chunks of 32 binary orders, by where it begins. One survey finds which chunks
occur and counts what is not finite; then every pass adds the terms of four neighbouring chunks, from the top
down, and skips what does not occur. Exact by construction, with integer operations only.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import Format
from convergence_jax.exact.superaccumulator import AccumulatorState
from convergence_jax.exact.terms import Terms, chunks_of
from convergence_jax.exact.window import fold_blocks, zeros_beside

Array = Any

CHUNKS_A_PASS = 4

_BELOW = CHUNKS_A_PASS - 1
"""Lanes below the lowest chunk, always zero."""

_ZERO = np.int64(0)


def chunk_sum(make: Callable[..., Terms], format: Format, *arrays: Array) -> AccumulatorState:
    """Sum terms along the middle axis.

    Parameters
    ----------
    make : callable
        From arrays to their :class:`Terms`.
    format : Format
        Of the sum.
    *arrays : Float[Array, "outer n inner"]
        Not empty; at most ``2**30`` in the middle axis.

    Returns
    -------
    AccumulatorState
        With axes ``outer, inner``.
    """
    occurs, counts = _survey(make, format, *arrays)
    outer, _, inner = arrays[0].shape
    index = np.arange(chunks_of(format), dtype=np.int64)

    def more(carry: tuple[Array, Array]) -> Array:
        return jnp.any(carry[0])

    def add_chunks(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        pending, lanes = carry
        top = jnp.max(jnp.where(pending, index, _ZERO))
        # May begin below the lowest chunk: passes must not overlap, or terms would count twice.
        start = top - np.int64(_BELOW)
        # Behind the barrier, or XLA decodes once in front of the loop and keeps five words an element.
        inputs, start = lax.optimization_barrier((arrays, start))
        sums = _pass(make, start, *inputs)
        zero = jnp.zeros_like(start)
        at = (zero, zero, start + np.int64(_BELOW))
        here = lax.dynamic_slice(lanes, at, sums.shape)
        lanes = lax.dynamic_update_slice(lanes, here + sums, at)
        return pending & ((index < start) | (index >= start + np.int64(CHUNKS_A_PASS))), lanes

    room = _BELOW + format.digits + 2 * CHUNKS_A_PASS  # no pass leaves the lanes on either side
    lanes = zeros_beside(occurs, (outer, inner, room))
    _, lanes = lax.while_loop(more, add_chunks, (occurs, lanes))
    return AccumulatorState(group.normalize(lanes[..., _BELOW : _BELOW + format.digits]), *counts)


def _survey(make: Callable[..., Terms], format: Format, *arrays: Array) -> tuple[Array, list[Array]]:
    """Which chunks occur in any column, ``Bool[Array, "chunks"]``, and the three counts of each column."""
    words = -(-chunks_of(format) // 64)

    def look(*blocks: Array) -> tuple[Array, ...]:
        made = make(*blocks)
        some = made.digits[0]
        for digit in made.digits[1:]:
            some = some | digit
        bit = jnp.where(some != _ZERO, np.int64(1) << (made.chunk & np.int64(63)), _ZERO)
        bits = [jnp.where(made.chunk >> np.int64(6) == np.int64(w), bit, _ZERO) for w in range(words)]
        return *bits, *(kind.astype(jnp.int64) for kind in (made.nan, made.pos_inf, made.neg_inf))

    def combine(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        either = (p | q for p, q in zip(a[:words], b[:words], strict=True))
        return *either, *(p + q for p, q in zip(a[words:], b[words:], strict=True))

    index = np.arange(64 * words, dtype=np.int64)
    occurs = jnp.zeros(64 * words, dtype=bool)
    counts = [jnp.zeros(arrays[0].shape[::2], dtype=jnp.int64)] * 3
    for values, _ in fold_blocks(look, combine, *arrays):
        union = jnp.stack([lax.reduce(v, _ZERO, lax.bitwise_or, (0, 1, 2)) for v in values[:words]])
        bits = union[index // 64] >> (index % 64)
        occurs = occurs | ((bits & np.int64(1)) != _ZERO)
        counts = [c + jnp.sum(v, axis=1) for c, v in zip(counts, values[words:], strict=True)]
    return occurs[: chunks_of(format)], counts


def _pass(make: Callable[..., Terms], start: Array, *arrays: Array) -> Array:
    """Sums, digit by digit, of the terms that begin in the four chunks from `start` on."""

    def place(*blocks: Array) -> tuple[Array, ...]:
        made = make(*blocks)
        within = made.chunk - start
        begins = [within == np.int64(c) for c in range(CHUNKS_A_PASS)]
        out = []
        for at in range(CHUNKS_A_PASS + len(made.digits) - 1):
            digit = jnp.zeros_like(within)
            for k, part in enumerate(made.digits):
                if 0 <= at - k < CHUNKS_A_PASS:
                    digit = jnp.where(begins[at - k], part, digit)
            out.append(digit)
        return tuple(out)

    def combine(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(p + q for p, q in zip(a, b, strict=True))

    made = [
        jnp.stack([jnp.sum(v, axis=1) for v in values], axis=-1)
        for values, _ in fold_blocks(place, combine, *arrays)
    ]
    return sum(made[1:], made[0])
