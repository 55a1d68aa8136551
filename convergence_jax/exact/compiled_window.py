"""The compiled half of :mod:`~convergence_jax.exact.window_segments`, on whatever device its arrays are."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import WINDOW, WINDOW_FIRST_DIGIT
from convergence_jax.exact.segments import Rows, add_to, window_sums
from convergence_jax.exact.terms import terms, within_window

Array = Any


def compiled_window_segments(
    x: Array, segment_ids: Array, num_segments: int
) -> tuple[Array, np.ndarray | None]:
    """As :func:`~convergence_jax.exact.window_segments.window_segments`, flat.

    Returns
    -------
    digits : UInt32[Array, "num_segments*columns 4"]
    outside : Bool[ndarray, "n*columns"] or None
    """
    rows = Rows(num_segments, int(np.prod(x.shape[1:], dtype=np.int64)))
    digits, flaw = _guessed_alone(rows, x, segment_ids)
    if not int(flaw):
        return digits, None
    digits, outside = _digits_alone(rows, x, segment_ids)
    outside = np.asarray(outside).reshape(-1)
    return digits, outside if outside.any() else None


def _add_guessed(rows: Rows, x: Array, ids: Array) -> tuple[Array, Array]:
    """Sums in JAX by two digits an element, and zero if the guess was right."""
    high, rest, bits, low, flaw = window_sums(rows, x.reshape(-1, rows.columns), ids, WINDOW)
    by = low - np.int64(WINDOW.lsb)
    a_low, a_high = _shifted(rest, by)
    b_low, b_high = _shifted(high, by + np.int64(bits))
    total = a_low + b_low
    words = [total, a_high + b_high + (total < a_low).astype(total.dtype)]
    halves = lax.bitcast_convert_type(jnp.stack(words, axis=-1), np.uint32)  # low half first
    return halves.reshape(rows.cells, WINDOW.digits), flaw


def _shifted(x: Array, by: Array) -> tuple[Array, Array]:
    """``x * 2**by`` modulo ``2**128`` in two words, for signed words and ``0 <= by``."""
    word = x.view(np.uint64)
    sign = (x >> np.int64(63)).view(np.uint64)
    low, up = by.astype(np.uint64) & np.uint64(63), by >= np.int64(64)
    raised = word << low
    # Two shifts, because one by 64 is not defined.
    carried = ((word >> np.uint64(1)) >> (np.uint64(63) - low)) | (sign << low)
    zero = np.uint64(0)
    second = jnp.where(by >= np.int64(128), zero, jnp.where(up, raised, carried))
    return jnp.where(up, zero, raised), second


def _add_digits(rows: Rows, x: Array, ids: Array) -> tuple[Array, Array]:
    """Sums in JAX, digit by digit, and the mask of what lies outside."""
    inside = within_window(x)
    made = terms(jnp.where(inside, x, 0.0).reshape(-1))
    first = rows.cells_of(ids).astype(jnp.int64) * np.int64(WINDOW.digits) + (
        made.chunk - np.int64(WINDOW_FIRST_DIGIT)
    )
    lanes = jnp.zeros(rows.cells * WINDOW.digits, dtype=jnp.int64)
    last = np.int64(rows.cells * WINDOW.digits - 1)
    for k, digit in enumerate(made.digits):
        lanes = add_to(lanes, jnp.clip(first + np.int64(k), np.int64(0), last), digit)
    return group.normalize(lanes.reshape(rows.cells, WINDOW.digits)), ~inside


_guessed_alone = jax.jit(_add_guessed, static_argnums=0)
_digits_alone = jax.jit(_add_digits, static_argnums=0)
