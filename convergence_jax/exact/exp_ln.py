"""``exp``, ``ln`` and what is made of them, in integers: the same bits everywhere, within stated bounds.

Reals come and go as :class:`~convergence_jax.exact.reals.Fixed`, multiples of ``2**-64``. A positive number
of any size is a pair ``(exponent, mantissa)`` that stands for ``mantissa * 2**(exponent - 63)``, with the
leading one of the mantissa on top. :doc:`/explanation/logarithms` derives every bound, step by step.
"""

from typing import Any

import numpy as np

from convergence_jax.exact import constants, reals
from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK
from convergence_jax.exact.reals import Fixed, elementwise, multiply_high, round_mantissa

Array = Any

RANGE_BITS = 31
"""``exp`` takes ``-2**31 <= x < 2**31``, and ``ln`` exponents below ``2**31`` in magnitude."""

EXP_ERROR = 2.0**-62
"""Relative bound on the error of :func:`exp`."""

LN_ERROR = 2.0**-63
"""Absolute bound on the error of :func:`ln`."""

SOFTPLUS_ERROR = 2.0**-62
"""Absolute bound on the error of :func:`softplus` and :func:`log_add_exp`."""

LOG_SIGMOID_ERROR = 2.0**-60
"""Relative bound on the error of `log1p_exp`, and of `log_sigmoid` and `sigmoid` before their rounding."""

_ONE = np.uint64(1 << 63)
_EXP_TABLE = np.array(constants.EXP_TABLE, dtype=np.uint64)
_RECIPROCALS = np.array(constants.RECIPROCALS, dtype=np.uint64)
_LN_TABLE = np.array(constants.LN_TABLE, dtype=np.uint64)
_LN_SHIFTS = np.array(constants.LN_SHIFTS, dtype=np.uint64)


@elementwise
def exp(x: Fixed) -> tuple[Array, Array]:
    """``e**x``, with a relative error below ``EXP_ERROR``.

    Parameters
    ----------
    x : Fixed
        From ``-2**31`` to below ``2**31``; beyond, the whole part becomes that of the nearer end.

    Returns
    -------
    exponent : Int64[Array, "..."]
    mantissa : UInt64[Array, "..."]
        At least ``2**63``. ``exp(0)`` is exactly one.

    Notes
    -----
    ``x / ln 2`` is split into its whole part, the exponent, and a fraction. The leading eight bits of the
    fraction choose a power of two from a table, and a polynomial of degree six does the rest (Tang, 1989).
    """
    xp = x.whole.__array_namespace__()
    whole = xp.clip(x.whole, -(1 << RANGE_BITS), (1 << RANGE_BITS) - 1)
    power = reals.add(Fixed(whole, x.fraction), _times(whole, constants.LOG2E_DIGITS))
    more = multiply_high(x.fraction, np.uint64(constants.LOG2E))
    power = reals.add(power, Fixed(xp.zeros_like(whole), more))

    t = power.fraction << 8
    slope = _polynomial(t, constants.EXP_COEFFICIENTS, 1)
    base = xp.asarray(_EXP_TABLE)[(power.fraction >> 56).astype(xp.int64)]
    growth = multiply_high(base, multiply_high(t, slope))
    mantissa = base + ((growth + 128) >> 8)  # at most 2**64 - 1, reached by the largest fraction
    return power.whole, mantissa


@elementwise
def ln(exponent: Array, mantissa: Array) -> Fixed:
    """``ln(mantissa * 2**(exponent - 63))``, with an absolute error below ``LN_ERROR``.

    Parameters
    ----------
    exponent : Int64[Array, "..."]
        Below ``2**31`` in magnitude; beyond, the nearer end.
    mantissa : UInt64[Array, "..."]
        At least ``2**63``. The logarithm of one is exactly zero.

    Notes
    -----
    A factor from a table of 256 brings the mantissa to between 1 and 1 + 1/256, where a polynomial of degree
    eight gives the logarithm, to which that of the factor is added (Tang, 1990).
    """
    xp = mantissa.__array_namespace__()
    limit = (1 << RANGE_BITS) - 1
    scale = _times(xp.clip(exponent, -limit, limit), constants.LN2_DIGITS)
    part, shift, _ = _ln_of_mantissa(mantissa, xp.zeros_like(mantissa))
    part = _shift_down(part, 7 - shift)
    return reals.add(scale, Fixed(xp.zeros_like(exponent), part))


@elementwise
def softplus(x: Fixed) -> Fixed:
    """``ln(1 + e**x)``, with an absolute error below ``SOFTPLUS_ERROR``."""
    xp = x.whole.__array_namespace__()
    return log_add_exp(x, Fixed(*map(xp.zeros_like, x)))


@elementwise
def log_add_exp(a: Fixed, b: Fixed) -> Fixed:
    """``ln(e**a + e**b)``, with an absolute error below ``SOFTPLUS_ERROR``."""
    swap = reals.less(a, b)
    large, small = reals.where(swap, b, a), reals.where(swap, a, b)
    return reals.add(large, as_fixed(*log1p_exp(reals.subtract(small, large))))


def log_sigmoid(x: Fixed) -> Array:
    """``ln(1 / (1 + e**-x))``: the logarithm of the probability whose log odds are `x`.

    Parameters
    ----------
    x : Fixed
        Any; that of the other outcome is ``log_sigmoid(negate(x))``.

    Returns
    -------
    Float64[Array, "..."]
        Never positive. The relative error is below ``LOG_SIGMOID_ERROR`` before the one rounding, so that a
        result is off by less than 1/2 + 2**-7 units in the last place, near ``-e**-x`` in the tail too.
        Subnormal results are rounded to the nearest like the rest, and below them comes ``-0.0``.
    """
    return log_sigmoids(x)[0]


@elementwise
def log_sigmoids(x: Fixed) -> tuple[Array, Array]:
    """:func:`log_sigmoid` of `x` and of its negative: logarithms of both probabilities, sharing the work."""
    xp = x.whole.__array_namespace__()
    negative = x.whole < 0
    minus = xp.ones_like(negative)
    below = reals.where(negative, x, reals.negate(x))  # -|x|
    exponent, mantissa = log1p_exp(below)
    likely = round_mantissa(minus, exponent, mantissa, ~minus)
    large = reals.subtract(as_fixed(exponent, mantissa), below)  # |x| more
    _, exponent, mantissa, sticky = reals.normal(large)
    unlikely = round_mantissa(minus, exponent, mantissa, sticky)
    return xp.where(negative, unlikely, likely), xp.where(negative, likely, unlikely)


def sigmoid(x: Fixed) -> Array:
    """``1 / (1 + e**-x)``: the probability whose log odds are `x`.

    Relative error before the one rounding as that of :func:`log_sigmoid`, subnormal results included; ``0.0``
    below them.
    """
    return sigmoids(x)[0]


@elementwise
def sigmoids(x: Fixed) -> tuple[Array, Array]:
    """:func:`sigmoid` of `x` and of its negative, sharing the work."""
    negative = x.whole < 0
    below = reals.where(negative, x, reals.negate(x))  # -|x|
    more = as_fixed(*log1p_exp(below))
    likely, unlikely = _probability(more), _probability(reals.subtract(more, below))
    xp = x.whole.__array_namespace__()
    return xp.where(negative, unlikely, likely), xp.where(negative, likely, unlikely)


def _probability(surprise: Fixed) -> Array:
    """``e**-surprise``, rounded."""
    exponent, mantissa = exp(reals.negate(surprise))
    no = mantissa < mantissa
    return round_mantissa(no, exponent, mantissa, no)


@elementwise
def log1p_exp(x: Fixed) -> tuple[Array, Array]:
    """``ln(1 + e**x)`` for ``x <= 0``, with a relative error below ``LOG_SIGMOID_ERROR``.

    Returns
    -------
    exponent : Int64[Array, "..."]
        From -1 down.
    mantissa : UInt64[Array, "..."]
        At least ``2**63``.
    """
    xp = x.whole.__array_namespace__()
    power, small = exp(x)
    down = xp.clip(-power, 1, 63).astype(xp.uint64)  # what is smaller changes `off` by one at most
    high, low = small >> down, (small << (64 - down)) >> DIGIT_BITS
    whole, shift, off = _ln_of_mantissa(_ONE + high, low)

    tail = high < np.uint64(1 << 55)
    mantissa = xp.where(tail, small - multiply_high(small, off), whole)
    exponent = xp.where(tail, power, shift.astype(xp.int64) - 8)
    short = mantissa < _ONE
    mantissa = xp.where(short, mantissa << 1, mantissa)
    exponent = exponent - short.astype(xp.int64)
    even = power >= 0  # x is zero, or next to it
    return xp.where(even, np.int64(-1), exponent), xp.where(even, np.uint64(constants.LN2), mantissa)


def _times(n: Array, digits: tuple[int, int, int]) -> Fixed:
    """`n` times a number below one, given in three digits; off by at most 3/4 of a unit."""
    xp = n.__array_namespace__()
    first, second, third = (n * np.int64(digit) for digit in digits)
    low = second + ((third + (1 << (DIGIT_BITS - 1))) >> DIGIT_BITS)
    high = (first & DIGIT_MASK) + (low >> DIGIT_BITS)
    fraction = (high << DIGIT_BITS) | (low & DIGIT_MASK)
    return Fixed((first >> DIGIT_BITS) + (high >> DIGIT_BITS), fraction.astype(xp.uint64))


def _polynomial(t: Array, coefficients: tuple[int, ...], sign: int) -> Array:
    """``c[0] + sign * t * (c[1] + sign * t * (...))`` by Horner's rule, every product rounded down."""
    total: Array = np.uint64(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        product = multiply_high(t, total)
        total = np.uint64(c) + product if sign > 0 else np.uint64(c) - product
    return total


def _ln_of_mantissa(high: Array, low: Array) -> tuple[Array, Array, Array]:
    """Logarithm of ``z = (high + low * 2**-32) * 2**-63``, at least 1 and below 2.

    Returns
    -------
    total : UInt64[Array, "..."]
        ``ln z`` in units of ``2**(shift - 71)``, off by less than four.
    shift : UInt64[Array, "..."]
        From 0 to 7, of the table.
    off : UInt64[Array, "..."]
        ``1 - ln(z) / (z - 1)`` in units of ``2**-64``, if ``z < 1 + 2**-8``.
    """
    xp = high.__array_namespace__()
    index = ((high >> 55) & 0xFF).astype(xp.int64)
    factor, base, shift = (xp.asarray(t)[index] for t in (_RECIPROCALS, _LN_TABLE, _LN_SHIFTS))
    # t = (z * factor / 2**16 - 1) * 2**71, rounded down: below 2**63.
    upper = (high >> DIGIT_BITS) * factor - (1 << 47)
    lower = (high & DIGIT_MASK) * factor + ((low * factor) >> DIGIT_BITS)
    t = (upper << 24) + (lower >> 8)
    off = multiply_high(t, _polynomial(t, constants.LN_COEFFICIENTS, -1))
    return base + _shift_down(t - multiply_high(t, off), shift), shift, off


def _shift_down(word: Array, by: Array) -> Array:
    """``word / 2**by`` for `by` below 64, rounded to nearest, ties up."""
    return (word >> by) + (((word << 1) >> by) & 1)


def as_fixed(exponent: Array, mantissa: Array) -> Fixed:
    """A positive number of ``exp`` that is below two, as a real: off by at most half a unit."""
    xp = mantissa.__array_namespace__()
    by = xp.clip(-1 - exponent, 0, 63).astype(xp.uint64)
    small = (exponent == -65).astype(xp.uint64)  # half a unit or more
    fraction = xp.where(exponent < -64, small, _shift_down(mantissa, by))
    one = exponent >= 0
    return Fixed(one.astype(xp.int64), xp.where(one, mantissa << 1, fraction))
