"""Floats, and products of two floats, as integers at a bit position: read from the bits, without rounding.

A term is ``sign * sum(words[k] * 2**(32 * k)) * 2**(32 * chunk + shift)`` units, ``0 <= shift < 32``. Shifted
into place it becomes a few digits that begin at digit `chunk`. Everything is decoded with integer operations,
so that no backend's flushing of subnormals, contraction or rounding mode can touch it.

NumPy and JAX alike.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.exact.constants import (
    DIGIT_BITS,
    DIGIT_MASK,
    FLOAT32,
    FLOAT32_PRODUCT,
    FLOAT64,
    FLOAT64_PRODUCT,
    WINDOW,
    WINDOW_FIRST_DIGIT,
    Format,
)

Array = Any

_MASK = np.uint64(DIGIT_MASK)
_DIGIT = np.uint64(DIGIT_BITS)


@dataclass(frozen=True)
class Terms:
    """Terms in place, elementwise.

    Attributes
    ----------
    digits : list of Int64[Array, "..."]
        Signed digits, each below ``2**32`` in magnitude; number `k` belongs at digit ``chunk + k``. Zero
        where the term is not finite.
    chunk : Int64[Array, "..."]
        Where the digits begin.
    nan, pos_inf, neg_inf : Bool[Array, "..."]
        What the others are.
    """

    digits: list[Array]
    chunk: Array
    nan: Array
    pos_inf: Array
    neg_inf: Array


def format_of(dtype: Any, *, product: bool = False) -> Format:
    """The format that holds float32 or float64, or products of two of them.

    Raises
    ------
    TypeError
        If the type is neither.
    """
    if dtype == np.float64:
        return FLOAT64_PRODUCT if product else FLOAT64
    if dtype == np.float32:
        return FLOAT32_PRODUCT if product else FLOAT32
    raise TypeError(f"exact sums take float32 or float64, got {dtype}: convert first.")


def chunks_of(format: Format) -> int:
    """Chunks in which a term of the format can begin."""
    return {FLOAT32: 8, FLOAT64: 64, FLOAT32_PRODUCT: 16, FLOAT64_PRODUCT: 128}[format]


def terms(x: Array) -> Terms:
    """Every element as a term of FLOAT32 or FLOAT64."""
    sign, mantissa, shift, nan, infinite = _decode(x)
    words = [mantissa] if x.dtype == np.float32 else [mantissa & _MASK, mantissa >> _DIGIT]
    return _place(words, sign, shift, nan, infinite)


def within_window(x: Array) -> Array:
    """Whether each float64 is a multiple of the window's unit and within its range: see ``WINDOW``."""
    _, mantissa, position, nan, infinite = _decode(x)
    # The unit lies this many bits above that of the float; so many low bits of the mantissa must be zero.
    below = np.int64(DIGIT_BITS * WINDOW_FIRST_DIGIT) - position.astype(position.__array_namespace__().int64)
    xp = position.__array_namespace__()
    lost = xp.clip(below, 0, 63).astype(xp.uint64)
    whole = (mantissa & ((np.uint64(1) << lost) - np.uint64(1))) == np.uint64(0)
    small = position < np.uint64(1022 + WINDOW.term_bits + WINDOW.lsb)  # the exponent field, less one
    return whole & small & ~nan & ~infinite


def product_terms(x: Array, y: Array) -> Terms:
    """Every product ``x * y`` as a term of FLOAT32_PRODUCT or FLOAT64_PRODUCT.

    NaN and infinities as IEEE 754 multiplies: zero times infinity is NaN.
    """
    if x.dtype != y.dtype:
        raise TypeError(f"products take two arrays of one type, got {x.dtype} and {y.dtype}.")
    sign_x, m, shift_x, nan_x, infinite_x = _decode(x)
    sign_y, n, shift_y, nan_y, infinite_y = _decode(y)
    infinite = infinite_x | infinite_y
    nan = nan_x | nan_y | (infinite_x & _is_zero(y)) | (infinite_y & _is_zero(x))
    if x.dtype == np.float32:
        product = m * n  # below 2**48
        words = [product & _MASK, product >> _DIGIT]
    else:
        words = _multiply(m, n)
    return _place(words, sign_x ^ sign_y, shift_x + shift_y, nan, infinite & ~nan)


def _layout(x: Array) -> tuple[Any, int, int]:
    """Unsigned type, bits of the mantissa, bits of the exponent."""
    return (np.uint64, 52, 11) if x.dtype == np.float64 else (np.uint32, 23, 8)


def _is_zero(x: Array) -> Array:
    unsigned, *_ = _layout(x)
    return (x.view(unsigned) << unsigned(1)) == unsigned(0)


def _decode(x: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Sign bit, mantissa, position (unsigned, 64 bits), NaN, infinite; the mantissa of the last two is 0."""
    format_of(x.dtype)
    xp = x.__array_namespace__()
    unsigned, bits, width = _layout(x)
    raw = x.view(unsigned).astype(xp.uint64)
    top = np.uint64((1 << width) - 1)
    one, zero = np.uint64(1), np.uint64(0)
    exponent = (raw >> np.uint64(bits)) & top
    fraction = raw & np.uint64((1 << bits) - 1)
    finite = exponent != top
    hidden = xp.where(exponent > zero, np.uint64(1 << bits), zero)
    mantissa = xp.where(finite, fraction | hidden, zero)
    shift = xp.where(finite, xp.maximum(exponent, one) - one, zero)
    sign = raw >> np.uint64(bits + width)
    return sign, mantissa, shift, ~finite & (fraction != zero), ~finite & (fraction == zero)


def _multiply(m: Array, n: Array) -> list[Array]:
    """Product of integers below ``2**53``, in four words of 32 bits."""
    m_low, m_high, n_low, n_high = m & _MASK, m >> _DIGIT, n & _MASK, n >> _DIGIT
    low, middle, cross, high = m_low * n_low, m_low * n_high, m_high * n_low, m_high * n_high
    second = (low >> _DIGIT) + (middle & _MASK) + (cross & _MASK)
    third = (second >> _DIGIT) + (middle >> _DIGIT) + (cross >> _DIGIT) + (high & _MASK)
    return [low & _MASK, second & _MASK, third & _MASK, (third >> _DIGIT) + (high >> _DIGIT)]


def _place(words: list[Array], sign: Array, position: Array, nan: Array, infinite: Array) -> Terms:
    """Shift words to a position within the accumulator, and give them their sign."""
    xp = position.__array_namespace__()
    by = position & np.uint64(DIGIT_BITS - 1)
    up = [(word << by) & _MASK for word in words]
    carried = [word >> (_DIGIT - by) for word in words]
    placed = [up[0], *(a | b for a, b in zip(up[1:], carried[:-1], strict=True)), carried[-1]]
    negative = -(sign.astype(xp.int64))
    signed = [(digit.astype(xp.int64) ^ negative) - negative for digit in placed]
    minus = sign != np.uint64(0)
    chunk = (position >> np.uint64(5)).astype(xp.int64)
    return Terms(signed, chunk, nan, infinite & ~minus, infinite & minus)
