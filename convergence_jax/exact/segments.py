"""Exact sums of values in groups, in JAX.

The same window as for whole arrays, one for all groups, and an integer addition to the group of each element;
where the window does not hold, every digit of every element is added to its group's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK, Format
from convergence_jax.exact.sums import masked, no_terms, reshape_state, unless
from convergence_jax.exact.superaccumulator import AccumulatorState
from convergence_jax.exact.terms import format_of, terms
from convergence_jax.exact.window import (
    WINDOW_BITS,
    cut,
    deposit,
    exponent_field,
    offset,
    window_above,
    zeros_beside,
)

Array = Any

_BLOCK = 1 << 20
"""Elements in flight in the fast way: temporaries above 32 MB would be new memory at every call."""

_SMALL_BLOCK = 1 << 16
"""The same in the slow way, which makes more of every element."""


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
        Static; times the trailing axes, less than ``2**31``.
    where : Bool[Array, "n ..."], optional
        True where an element counts; broadcasts against `x`.

    Returns
    -------
    AccumulatorState
        With axes ``(num_segments, ...)``.

    Raises
    ------
    TypeError
        While tracing, if `x` is of another type.
    ValueError
        While tracing, if the ids are not one for each row, or JAX is not in 64-bit mode.

    Notes
    -----
    The window is one for all groups, ``2 * (62 - log2(n))`` bits and at most 102, from the largest element
    down. Otherwise every element's digits are added to its group's one by one. Called outside traced code it
    compiles the two ways apart and is about twice as fast.
    """
    x, format = jnp.asarray(x), format_of(x.dtype)
    if segment_ids.shape != x.shape[:1]:
        raise ValueError(
            f"segment_state: want one id for each of {x.shape[:1]} rows, got {segment_ids.shape}."
        )
    (x,) = masked([x], where)
    shape = (num_segments, *x.shape[1:])
    columns = int(np.prod(x.shape[1:], dtype=np.int64))
    if x.size == 0 or num_segments == 0:
        return no_terms(shape, format)
    rows = Rows(num_segments, columns)
    x = x.reshape(-1, columns)
    if isinstance(x, jax.core.Tracer) or isinstance(segment_ids, jax.core.Tracer):
        state, flaw = _add_window(rows, x, segment_ids, format)
        held = jnp.broadcast_to(flaw == np.int64(0), (rows.cells,))
        whole = unless(held, state, lambda x, ids: _add_digits(rows, x, ids), x, segment_ids)
    else:
        # Outside traced code the host can choose, and the fast way needs no room for the slow one.
        whole, flaw = _window_alone(rows, x, segment_ids, format)
        whole = _digits_alone(rows, x, segment_ids) if int(flaw) else whole
    return reshape_state(whole, shape)


def _add_window(rows: "Rows", x: Array, ids: Array, format: Format) -> tuple[AccumulatorState, Array]:
    """The sums of what lies in the guessed window, and zero if everything does."""
    high, rest, bits, low, flaw = window_sums(rows, x, ids, format)
    parts = [[total & np.int64(DIGIT_MASK), total >> np.int64(DIGIT_BITS)] for total in (high, rest)]
    position = jnp.broadcast_to(low - np.int64(format.lsb), (rows.cells,))
    lanes = deposit(parts[0], parts[1], bits, position, format)
    zeros = zeros_beside(low + ids[0].astype(jnp.int64), (rows.cells,))
    return AccumulatorState(lanes, zeros, zeros, zeros), flaw


def window_sums(rows: "Rows", x: Array, ids: Array, format: Format) -> tuple[Array, Array, int, Array, Array]:
    """Sums of the two digits of :func:`cut` in each cell.

    Returns
    -------
    high, rest : Int64[Array, "cells"]
        The sum is ``(high * 2**bits + rest) * 2**low``.
    bits : int
    low : Int64[Array, ""]
        At least ``format.lsb``.
    flaw : Int64[Array, ""]
        Zero if every element lies in the window, and `format` can hold it.
    """
    bits = min(WINDOW_BITS, 62 - (max(2, len(x)) - 1).bit_length())
    field = exponent_field(jnp.max(jnp.abs(x)))
    low, scale = window_above(field, 0, bits, format, x.dtype)
    bias = 1023 if x.dtype == np.float64 else 127
    too_large = (field >= np.int64(bias + format.term_bits + format.lsb)).astype(jnp.int64)

    def add(sums: tuple[Array, ...], block: Array, cell: Array) -> tuple[Array, ...]:
        high, rest, flaw = cut(block, scale, bits)
        folded = lax.reduce(flaw, np.int64(0), lax.bitwise_or, (0,))
        parts = (part - offset(1) for part in (high, rest))
        added = (add_to(total, cell, part) for total, part in zip(sums[:2], parts, strict=True))
        return *added, sums[2] | folded

    zeros = zeros_beside(low + ids[0].astype(jnp.int64), (rows.cells,))
    high, rest, flaw = rows.fold(_BLOCK, add, (zeros, zeros, zeros[0] | too_large), x, ids)
    return high, rest, bits, low, flaw


def _add_digits(rows: "Rows", x: Array, ids: Array) -> AccumulatorState:
    """Add every digit of every element to its cell."""
    format = format_of(x.dtype)

    def add(sums: tuple[Array, ...], block: Array, cell: Array) -> tuple[Array, ...]:
        made = terms(block)
        lanes, *counts = sums
        exists = (cell >= 0) & (cell < rows.cells)
        first = jnp.where(exists, cell.astype(jnp.int64), rows.cells) * format.digits + made.chunk
        for k, digit in enumerate(made.digits):  # digits of a term lie within its cell's
            lanes = add_to(lanes, first + np.int64(k), digit)
        kinds = (made.nan, made.pos_inf, made.neg_inf)

        def count() -> list[Array]:
            return [add_to(n, cell, kind.astype(jnp.int64)) for n, kind in zip(counts, kinds, strict=True)]

        return lanes, *lax.cond(jnp.any(kinds[0] | kinds[1] | kinds[2]), count, lambda: counts)

    both = x.reshape(-1)[:1].view(np.uint8)[:1] + ids[:1].astype(np.uint8)
    zeros = zeros_beside(both, (rows.cells,))
    lanes = zeros_beside(both, (rows.cells * format.digits,))
    lanes, *counts = rows.fold(_SMALL_BLOCK, add, (lanes, zeros, zeros, zeros), x, ids)
    # In batches: the fast way shares this way's memory, and more of it would be new at every call.
    digits = lax.map(group.normalize, lanes.reshape(rows.cells, format.digits), batch_size=256)
    return AccumulatorState(digits, *counts)


def add_to(totals: Array, cell: Array, values: Array) -> Array:
    """Add values to their cells; those of cells that do not exist are left out."""
    return totals.at[cell].add(values, mode="drop", wrap_negative_indices=False)


@dataclass(frozen=True)
class Rows:
    """Rows of several columns on their way into cells, one cell for each segment and column."""

    segments: int
    columns: int

    @property
    def cells(self) -> int:
        """How many there are."""
        return self.segments * self.columns

    def fold(
        self,
        size: int,
        f: Callable[..., tuple[Array, ...]],
        carry: tuple[Array, ...],
        x: Array,
        ids: Array,
    ) -> tuple[Array, ...]:
        """Fold ``f(carry, elements, cells)`` over blocks of rows; the cell of some does not exist."""
        n = len(x)
        block = max(1, size // self.columns)
        if n <= block:
            return f(carry, x.reshape(-1), self.cells_of(ids))

        def step(i: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
            wanted = i * block
            start = jnp.minimum(wanted, n - block)  # the last block overlaps the one before
            new = start + np.arange(block) >= wanted
            part = lax.dynamic_slice_in_dim(x, start, block)
            cells = self.cells_of(lax.dynamic_slice_in_dim(ids, start, block), new)
            return f(carry, part.reshape(-1), cells)

        return lax.fori_loop(0, -(-n // block), step, carry)

    def cells_of(self, ids: Array, new: Array | None = None) -> Array:
        """The cell of every element of some rows; -1 for rows that are not new or have no segment."""
        if self.columns == 1 and new is None:
            return ids
        exists = (ids >= 0) & (ids < self.segments)
        exists = exists if new is None else exists & new
        first = jnp.where(exists, ids, 0).astype(jnp.int32) * np.int32(self.columns)
        cells = jnp.where(
            exists[:, None], first[:, None] + np.arange(self.columns, dtype=np.int32), np.int32(-1)
        )
        return cells.reshape(-1)


_window_alone = jax.jit(_add_window, static_argnums=(0, 3))
_digits_alone = jax.jit(_add_digits, static_argnums=0)
