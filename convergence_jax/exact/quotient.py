"""Correctly rounded quotients of two-word integers, in integer operations that vectorise on every backend."""

from typing import Any

import numpy as np

Array = Any

DENOMINATOR_BITS = 50
"""Denominators are below ``2**50``, so that a remainder after the estimate fits one word."""

NUMERATOR_BITS = 120
"""Numerators are below ``2**120`` in magnitude."""

_ONE, _WORD = np.uint64(1), np.uint64(64)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def round_quotient(low: Array, high: Array, denominator: Array, exponent: Array) -> Array:
    """``(high * 2**64 + low) / denominator * 2**exponent``, correctly rounded, ties to even.

    Parameters
    ----------
    low, high : UInt64[Array, "..."]
        Words of the numerator in two's complement, below ``2**120`` in magnitude.
    denominator : Int64[Array, "..."]
        From 1 to ``2**50 - 1``; anything gives an unspecified result elsewhere.
    exponent : Int64[Array, "..."]
        At most 800 in magnitude, so that no result is subnormal or infinite.

    Returns
    -------
    Float64[Array, "..."]
        ``+0.0`` for an exact zero.

    Notes
    -----
    A float64 estimate of the quotient, off by at most five roundings, gives an integer of 62 bits that is
    off by less than ``2**12``; times the denominator that is below ``2**62``, so the low word of the
    remainder tells the remainder, which corrects the estimate to the exact integer quotient. The rest is a
    rounding of integers. No result depends on how the estimate was rounded.
    """
    xp = low.__array_namespace__()
    negative = high >> np.uint64(63) != np.uint64(0)
    borrow = (low != np.uint64(0)).astype(xp.uint64)
    high = xp.where(negative, np.uint64(0) - high - borrow, high)
    low = xp.where(negative, np.uint64(0) - low, low)
    zero = (low | high) == np.uint64(0)

    bottom = denominator.astype(xp.float64)
    magnitude = high.astype(xp.int64).astype(xp.float64) * 2.0**64 + _to_float(low)
    estimate = xp.where(zero, 1.0, magnitude / bottom)
    field = estimate.view(xp.int64) >> np.int64(52)  # the exponent, plus 1023
    shift = np.int64(1023 + 61) - field  # brings the quotient to 62 bits
    fraction = estimate.view(xp.int64) & np.int64((1 << 52) - 1)
    quotient = ((fraction | np.int64(1 << 52)) << np.int64(9)).astype(xp.int64)

    up = xp.clip(shift, 0, 63).astype(xp.uint64)
    down = xp.clip(-shift, 1, 63).astype(xp.uint64)
    raised = xp.where(shift > np.int64(63), np.uint64(0), low << up)
    lowered = (low >> down) | (high << (_WORD - down))
    word = xp.where(shift >= np.int64(0), raised, lowered)
    cut = (shift < np.int64(0)) & ((low & ((_ONE << down) - _ONE)) != np.uint64(0))

    remainder = word.astype(xp.int64) - quotient * denominator  # modulo 2**64, and small
    step = xp.floor(remainder.astype(xp.float64) / bottom).astype(xp.int64)
    remainder = remainder - step * denominator
    less, more = remainder < np.int64(0), remainder >= denominator
    step = step + more.astype(xp.int64) - less.astype(xp.int64)
    exact = (remainder == np.int64(0)) | (remainder == denominator) | (remainder == -denominator)
    quotient = quotient + step
    sticky = ~exact | cut

    # 53 bits of 61, 62 or 63.
    drop = np.int64(8) + xp.minimum(quotient >> np.int64(61), np.int64(1)) + (quotient >> np.int64(62))
    half = np.int64(1) << (drop - np.int64(1))
    kept = quotient >> drop
    rest = quotient & ((half << np.int64(1)) - np.int64(1))
    odd = (kept & np.int64(1)) != np.int64(0)
    kept = kept + ((rest > half) | ((rest == half) & (sticky | odd))).astype(xp.int64)
    power = ((drop - shift + exponent + np.int64(1023)) << np.int64(52)).view(xp.float64)
    value = kept.astype(xp.float64) * power
    return xp.where(zero, 0.0, xp.where(negative, -value, value))


def _to_float(word: Array) -> Array:
    xp = word.__array_namespace__()
    upper, lower = (word >> _HALF).astype(xp.int64), (word & _LOW).astype(xp.int64)
    return upper.astype(xp.float64) * 2.0**32 + lower.astype(xp.float64)
