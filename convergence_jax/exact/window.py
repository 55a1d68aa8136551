"""Sums within a window of bits: two integer digits a float, in one pass that also checks itself.

A window is 102 bits wide or narrower. A float that lies in it is scaled by a power of two and cut into two
signed integers of at most 51 bits, both read from the bits of a float to which a large constant was added.
All of that is exact for a float within the window; for any other float a flag says that it was not. So a
window may be guessed, from a sample, and nothing is lost by guessing wrong but time.

JAX only: XLA makes one vectorised loop of the digits, their sums and the flag, where separate sums would read
the data once each.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK, Format

Array = Any

WINDOW_BITS = 51
"""Most bits in one of the two digits: the constant below holds signed integers of this size."""

LONGEST_BLOCK = 2048
"""Floats whose digits are added before they are split: ``2**11`` times ``2**51`` fits a word."""

SAMPLE = 1024
HEADROOM_BITS = 12
"""How far above the largest of a sample the window begins; 37 binary orders below it remain."""

_WORDS = 6
"""Digits that hold a window's sum of ``2**31`` floats, shifted by up to 31 bits."""

_CONSTANT = np.float64(1.5 * 2**52)
_CONSTANT_BITS = int(_CONSTANT.view(np.int64))
_EXPONENT_AND_SIGN = np.int64(-1 << 52)
_LOW = np.int64(DIGIT_MASK)


def exponent_field(largest: Array) -> Array:
    """The exponent field of a magnitude, float32 or float64, as int64."""
    if largest.dtype == np.float32:
        return (largest.view(np.int32) >> np.int32(23)).astype(jnp.int64)
    return largest.view(np.int64) >> np.int64(52)


def window_above(field: Array, headroom: int, bits: int, format: Format, dtype: Any) -> tuple[Array, Array]:
    """Where a window begins and the factor that scales a float to its upper digit.

    Parameters
    ----------
    field : Int64[Array, "..."]
        An exponent field of `dtype`.
    headroom : int
        Binary orders to allow above it.
    bits : int
        Of one digit.

    Returns
    -------
    low : Int64[Array, "..."]
        Exponent of the window's last bit, not below that of the format.
    scale : Float64[Array, "..."]
        ``2**-(low + bits)``, a normal float64.
    """
    bias = 1023 if dtype == np.float64 else 127
    low = jnp.maximum(field + np.int64(1 + headroom - bias - 2 * bits), np.int64(format.lsb))
    scale = (np.int64(1023 - bits) - low) << np.int64(52)
    return low, lax.bitcast_convert_type(scale, jnp.float64)


def cut(x: Array, scale: Array, bits: int) -> tuple[Array, Array, Array]:
    """Two digits of every float, and a flag.

    Returns
    -------
    high, low : Int64[Array, "..."]
        ``x * scale == (high + low * 2**-bits)``, the digits each offset by one constant; :func:`offset` of
        as many digits as were added takes it off.
    flaw : Int64[Array, "..."]
        Zero only where that holds.

    Notes
    -----
    The product is exact but for underflow, where it is zero or not an integer at the window's end. The first
    digit is off only where its float leaves the binade of the constant: too large, infinite or NaN. The
    remainder is always exact, and an integer in the second digit unless bits lie below the window. XLA may
    contract any of the products with the sum that follows: they are exact, so it changes nothing.
    """
    wide = x.astype(jnp.float64)
    y = wide * scale
    first = lax.round(y, lax.RoundingMethod.TO_NEAREST_EVEN)
    rest = (y - first) * np.float64(2.0**bits)
    high = lax.bitcast_convert_type(first + _CONSTANT, jnp.int64)
    low = lax.bitcast_convert_type(rest + _CONSTANT, jnp.int64)
    below = lax.bitcast_convert_type(rest - lax.round(rest, lax.RoundingMethod.TO_NEAREST_EVEN), jnp.int64)
    above = (high ^ np.int64(_CONSTANT_BITS)) & _EXPONENT_AND_SIGN
    # Subnormals read as zero on some backends, and small floats scale to zero: look at the bits.
    signed = np.int64 if x.dtype == np.float64 else np.int32
    magnitude = (x.view(signed) & signed(np.iinfo(signed).max)).astype(jnp.int64)
    return high, low, below | above | jnp.where(y == 0.0, magnitude, np.int64(0))


def offset(count: int) -> np.int64:
    """What `count` added digits of :func:`cut` are too large by, modulo ``2**64``."""
    return np.uint64(_CONSTANT_BITS * count % (1 << 64)).astype(np.int64)


def deposit(high: list[Array], low: list[Array], bits: int, position: Array, format: Format) -> Array:
    """Digits of the format for the sum of a window.

    Parameters
    ----------
    high, low : list of Int64[Array, "..."]
        Parts of the two sums: part `k` counts ``2**(32 * k)``.
    bits : int
        How far the high sum lies above the low one.
    position : Int64[Array, "..."]
        Bits between the format's unit and the window's end.

    Returns
    -------
    UInt32[Array, "... L"]
    """
    lanes = [jnp.zeros_like(position)] * _WORDS
    for parts, start in ((low, 0), (high, bits)):
        for k, part in enumerate(parts):
            _spread(lanes, part, start + DIGIT_BITS * k)
    words = group.normalize(jnp.stack(lanes, axis=-1)).astype(jnp.uint64)
    shifted = words << (position & np.int64(DIGIT_BITS - 1)).astype(jnp.uint64)[..., None]
    carried = jnp.concatenate([jnp.zeros_like(shifted[..., :1]), shifted[..., :-1] >> np.uint64(32)], axis=-1)
    words = ((shifted & np.uint64(DIGIT_MASK)) | carried).astype(jnp.uint32)
    index = np.arange(format.digits, dtype=np.int64) - (position >> np.int64(5))[..., None]
    sign = (words[..., -1:].view(np.int32) >> np.int32(31)).view(np.uint32)
    out = jnp.where(index >= np.int64(_WORDS), sign, np.uint32(0))
    for k in range(_WORDS):  # selections, because XLA gathers one element at a time
        out = jnp.where(index == np.int64(k), words[..., k : k + 1], out)
    return out


def _spread(lanes: list[Array], x: Array, start: int) -> None:
    """Add a signed 64-bit integer to lanes, from bit `start`."""
    digit, by = divmod(start, DIGIT_BITS)
    low, high = (x & _LOW) << np.int64(by), (x >> np.int64(DIGIT_BITS)) << np.int64(by)
    for k, part in enumerate((low & _LOW, (low >> np.int64(32)) + (high & _LOW), high >> np.int64(32))):
        lanes[digit + k] = lanes[digit + k] + part


def zeros_beside(like: Array, shape: tuple[int, ...]) -> Array:
    """Zeros, int64, that vary over a mesh as `like` does: under `shard_map` a loop asks for it."""
    return jnp.zeros(shape, dtype=jnp.int64) + like.reshape(-1)[0].astype(jnp.int64) * np.int64(0)


def split_sum(x: Array, axes: tuple[int, ...]) -> list[Array]:
    """Sum of any int64 in two parts that cannot overflow, to count ``1`` and ``2**32``."""
    return [jnp.sum(x & _LOW, axis=axes), jnp.sum(x >> np.int64(32), axis=axes)]


def fold_blocks(
    f: Callable[..., tuple[Array, ...]],
    combine: Callable[[tuple[Array, ...], tuple[Array, ...]], tuple[Array, ...]],
    *arrays: Array,
) -> list[tuple[tuple[Array, ...], int]]:
    """Reduce the middle axis in blocks, several outputs in one loop over the data.

    Parameters
    ----------
    f : callable
        From blocks ``(outer, blocks, block, inner)`` to arrays of that shape, int64.
    combine : callable
        Associative and commutative, with identity zero.
    *arrays : Array
        ``(outer, n, inner)``, n at least 1.

    Returns
    -------
    list of (tuple of Int64[Array, "outer blocks inner"], int)
        Results and how many elements went into each; one entry, or two where no divisor of `n` makes a
        good block.
    """
    outer, n, inner = arrays[0].shape
    block = _block(n)
    whole = n // block * block
    made = []
    for start, stop, size in ((0, whole, block), (whole, n, n - whole)):
        if start == stop:
            continue
        parts = [a[:, start:stop].reshape(outer, (stop - start) // size, size, inner) for a in arrays]
        values = f(*parts)
        made.append((lax.reduce(values, (np.int64(0),) * len(values), combine, (2,)), size))
    return made


def _block(n: int) -> int:
    """The largest divisor of `n` that is a good length, or a good length."""
    if n <= LONGEST_BLOCK:
        return n
    return next((c for c in range(LONGEST_BLOCK, 255, -1) if n % c == 0), LONGEST_BLOCK)


def window_sum(x: Array, format: Format) -> tuple[Array, Array]:
    """Sum along the middle axis where one guessed window per column holds every bit.

    Parameters
    ----------
    x : Float[Array, "outer n inner"]
        float32 or float64, not empty.

    Returns
    -------
    digits : UInt32[Array, "outer inner L"]
    held : Bool[Array, "outer inner"]
        Whether the digits are the sum. If not they mean nothing.
    """
    step = max(1, x.shape[1] // SAMPLE)
    field = exponent_field(jnp.max(jnp.abs(x[:, ::step]), axis=1))
    low, scale = window_above(field, HEADROOM_BITS if step > 1 else 0, WINDOW_BITS, format, x.dtype)

    def digits_and_flaw(block: Array) -> tuple[Array, ...]:
        return cut(block, scale[:, None, None, :], WINDOW_BITS)

    def combine(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        return a[0] + b[0], a[1] + b[1], a[2] | b[2]

    sums = [[jnp.zeros_like(low)] * 2, [jnp.zeros_like(low)] * 2]
    held = jnp.ones(low.shape, dtype=bool)
    for (high, rest, flaw), size in fold_blocks(digits_and_flaw, combine, x):
        for total, lanes in zip(sums, (high, rest), strict=True):
            total[:] = [a + b for a, b in zip(total, split_sum(lanes - offset(size), (1,)), strict=True)]
        held = held & jnp.all(flaw == np.int64(0), axis=1)
    return deposit(sums[0], sums[1], WINDOW_BITS, low - np.int64(format.lsb), format), held
