"""The one rounding of an answer: integers in digits to the nearest float, ties to even."""

from typing import Any, Literal

import numpy as np

from convergence_jax.exact import digits as group

Array = Any

_BLOCK = 16384
"""Elements in flight in :func:`round_ratio`, so that its temporaries stay in the cache."""

_LONGEST = 30
"""More digits than this could leave the range of a float64 on the way."""

_MARGIN = 2.0**-96
"""Relative bound on the error of the estimate; :func:`round_ratio` derives ``2**-100``."""

_SPLITTER = 2.0**27 + 1
_SMALLEST_NORMAL = 2.0**-1022


def round_ratio(numerator: np.ndarray, denominator: Any, exponent: Any = 0) -> np.ndarray:
    """``numerator / denominator * 2**exponent``, correctly rounded, on the host.

    Parameters
    ----------
    numerator : UInt32[ndarray, "... L"]
        Digits in two's complement.
    denominator : Int64[ndarray, "..."] or UInt64[ndarray, "..."]
        Broadcasts against the leading axes of the numerator.
    exponent : int or Int64[ndarray, "..."]
        Broadcasts likewise.

    Returns
    -------
    Float64[ndarray, "..."]
        Rounded once, ties to even, subnormal results included; infinite beyond float64, ``+0.0`` for an exact
        zero, NaN where the denominator is not positive.

    Notes
    -----
    Numerator and quotient are estimated in pairs of float64 (Dekker, 1971). With ``u = 2**-53``, each of the
    ``L`` steps that read the numerator errs by at most ``2 * u**2``, the remainder of the first quotient by
    ``6 * u**2`` and the second quotient by ``6 * u**2``, all relative: below ``2**-100`` for 30 digits
    together. Where adding or taking off sixteen times that bound rounds to the same float, that float is
    right (Ziv, 1991). The rest, ties and results below the normal range, are Python integers.
    """
    numerator = np.asarray(numerator, dtype=np.uint32)
    denominator = np.asarray(denominator)
    exponent = np.asarray(exponent, dtype=np.int64)
    shape = np.broadcast_shapes(numerator.shape[:-1], denominator.shape, exponent.shape)
    positive = denominator > 0
    bottom = np.where(positive, denominator, 1).astype(np.uint64)
    lower, upper = bottom & np.uint64(0xFFFFFFFF), bottom >> np.uint64(32)
    pair = _two_sum(upper.astype(np.float64) * 2.0**32, lower.astype(np.float64))  # the denominator, exactly

    rows = shape[0] if shape else 1
    near = bool((np.abs(exponent) <= 1000).all())
    powers = np.ldexp(1.0, np.where(near, exponent, 0))
    spread = [_rows(a, shape) for a in (bottom, *pair, exponent, powers)]
    top = np.broadcast_to(numerator, (*shape, numerator.shape[-1])).reshape(
        (rows, *shape[1:], numerator.shape[-1])
    )
    out = np.empty((rows, *shape[1:]), dtype=np.float64)
    step = max(1, _BLOCK // max(1, int(np.prod(shape[1:], dtype=np.int64))))
    for start in range(0, rows, step):
        part = slice(start, start + step)
        b, high, low, e, power = (a[part] for a in spread)
        value, certain = _estimate(top[part], high, low, e, power if near else None)
        for i in zip(*np.nonzero(~certain), strict=True):
            value[i] = _python_ratio(top[part][i], int(b[i]), int(e[i]))
        out[part] = value
    out = out.reshape(shape)
    return out if positive.all() else np.where(positive, out, np.nan)


def _rows(a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A view in the whole shape, with a leading axis if it has none."""
    return np.broadcast_to(a, shape or (1,))


def _estimate(top: np.ndarray, high: Any, low: Any, e: Any, power: Any) -> tuple[Any, Any]:
    """The rounded ratio, and where it is certain."""
    length = top.shape[-1]
    if length > _LONGEST:
        return np.zeros(top.shape[:-1]), np.zeros(top.shape[:-1], dtype=bool)
    n = top[..., length - 1].view(np.int32).astype(np.float64)
    n_low: Any = 0.0
    for i in reversed(range(length - 1)):
        # Exact while the magnitude is small, so that the leading digits of a small negative number cancel.
        total, error = _two_sum(n * 2.0**32, top[..., i].astype(np.float64))
        n, n_low = _fast_two_sum(total, n_low * 2.0**32 + error)
    q = n / high
    product, product_low = _two_product(q, high)
    remainder = ((n - product) - product_low) + n_low - q * low  # up to `- product_low` without error
    s, t = _fast_two_sum(q, remainder / high)
    margin = np.abs(s) * _MARGIN
    certain = s + (t + margin) == s + (t - margin)
    with np.errstate(over="ignore", under="ignore"):
        # Within 2**1000 the power is a float64, and one exact product is faster than ldexp.
        scaled = s * power if power is not None else np.ldexp(s, e)
    certain &= (np.abs(scaled) > _SMALLEST_NORMAL) | (s == 0.0)
    return scaled, certain


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """Rounded sum and its error, exactly (Knuth, 1969)."""
    s = a + b
    virtual = s - a
    return s, (a - (s - virtual)) + (b - virtual)


def _fast_two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The same for ``|a| >= |b|`` or ``a == 0`` (Dekker, 1971)."""
    s = a + b
    return s, b - (s - a)


def _two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """Rounded product and its error, exactly (Dekker and Veltkamp, 1971)."""
    p = a * b
    a_high, b_high = a * _SPLITTER, b * _SPLITTER
    a_high, b_high = a_high - (a_high - a), b_high - (b_high - b)
    a_low, b_low = a - a_high, b - b_high
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _python_ratio(numerator: np.ndarray, denominator: int, exponent: int) -> float:
    n = int(group.to_ints(numerator))
    try:
        return (n << max(exponent, 0)) / (denominator << max(-exponent, 0))
    except OverflowError:
        return float("inf") if n > 0 else float("-inf")


def round_digits(
    digits: Array,
    exponent: int,
    dtype: Any = np.float64,
    towards: Literal["nearest", "below", "above"] = "nearest",
) -> Array:
    """Integers times ``2**exponent``, correctly rounded, in NumPy or JAX.

    Parameters
    ----------
    digits : UInt32[Array, "... L"]
        Two's complement, least significant digit first.
    exponent : int
        Of the unit.
    dtype : dtype
        float64 or float32.
    towards : {"nearest", "below", "above"}
        Nearest with ties to even, or the nearest float that is not above or not below the exact value.

    Returns
    -------
    Float[Array, "..."]
        Subnormal results exactly as IEEE 754 rounds them, infinite beyond the range (the largest float where
        the direction forbids it), ``+0.0`` for zero.

    Notes
    -----
    Integer operations only, the result included, whose bits are assembled. So a backend that flushes
    subnormals still returns them.
    """
    xp = digits.__array_namespace__()
    unsigned, precision, least = _target(dtype)
    length = digits.shape[-1]
    index = np.arange(length, dtype=np.int64)
    negative = digits[..., -1] >> np.uint32(31) != np.uint32(0)
    lanes = group.lanes(digits)
    magnitude = group.normalize(xp.where(negative[..., None], -lanes, lanes))
    top = xp.max(xp.where(magnitude != np.uint32(0), index, np.int64(0)), axis=-1)

    def digit(below: int) -> Array:
        at = top - np.int64(below)
        found = xp.take_along_axis(magnitude, xp.maximum(at, np.int64(0))[..., None], axis=-1)[..., 0]
        return xp.where(at >= np.int64(0), found, np.uint32(0)).astype(xp.uint64)

    first, second, third = digit(0), digit(1), digit(2)
    rest = xp.any((magnitude != np.uint32(0)) & (index < (top - np.int64(2))[..., None]), axis=-1)
    # A digit is exact in float64 and not subnormal: its exponent counts its bits.
    length_bits = (first.astype(xp.float64).view(np.int64) >> np.int64(52)) - np.int64(1022)
    by = xp.clip(np.int64(32) - length_bits, 0, 31).astype(xp.uint64)
    # Leading one at bit 63 of `head`; what does not fit is left in `sticky`.
    head = (((first << np.uint64(32)) | second) << by) | ((third << by) >> np.uint64(32))
    sticky = rest | (((third << by) & np.uint64(0xFFFFFFFF)) != np.uint64(0))

    power = top * np.int64(32) + length_bits - np.int64(1 - exponent)  # 2**power <= magnitude
    lost = xp.clip(np.int64(least) - power, 0, 64)  # bits that a subnormal result lacks
    drop = xp.clip(lost + np.int64(64 - precision), 1, 65)
    shift = xp.minimum(drop, np.int64(63)).astype(xp.uint64)
    nothing = drop >= np.int64(64)
    kept = xp.where(nothing, np.uint64(0), head >> shift)
    remainder = xp.where(nothing, head, head & ((np.uint64(1) << shift) - np.uint64(1)))
    half = np.uint64(1) << xp.minimum(drop - np.int64(1), np.int64(63)).astype(xp.uint64)
    odd = (kept & np.uint64(1)) != np.uint64(0)
    if towards == "nearest":
        up = (remainder > half) | ((remainder == half) & (sticky | odd))
        up = up & (drop < np.int64(65))
        to_infinity = xp.ones_like(negative)
    else:
        to_infinity = negative if towards == "below" else ~negative  # away from zero
        up = ((remainder != np.uint64(0)) | sticky) & to_infinity
    # The leading one of `kept` adds one to the exponent, and so does a carry out of the rounding.
    biased = xp.maximum(power - np.int64(least), np.int64(0))
    largest = (1 << (8 * np.dtype(dtype).itemsize - precision)) - 1  # exponent field of infinity
    infinite = biased >= np.int64(largest - 1)
    field = xp.clip(biased, 0, largest - 2).astype(xp.uint64) << np.uint64(precision - 1)
    beyond = np.uint64(largest << (precision - 1)) - (~to_infinity).astype(xp.uint64)
    bits = xp.where(infinite, beyond, field + kept + up.astype(xp.uint64))
    bits = xp.where(first == np.uint64(0), np.uint64(0), bits)
    sign = negative.astype(xp.uint64) << np.uint64(8 * np.dtype(dtype).itemsize - 1)
    return (bits | sign).astype(unsigned).view(np.dtype(dtype))


def _target(dtype: Any) -> tuple[Any, int, int]:
    """Unsigned type, bits of precision, least normal exponent."""
    if np.dtype(dtype) == np.float64:
        return np.uint64, 53, -1022
    if np.dtype(dtype) == np.float32:
        return np.uint32, 24, -126
    raise TypeError(f"round_digits: dtype must be float64 or float32, got {dtype}.")
