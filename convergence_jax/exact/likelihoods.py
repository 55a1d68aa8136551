"""Likelihood ratios made cautious, and priors: floats in, integers between, one rounding to a float.

No product or logarithm here is a float operation, so no backend can contract, flush or approximate one. See
:doc:`/explanation/logarithms` for the bounds.
"""

from fractions import Fraction
from typing import Any

import numpy as np

from convergence_jax.exact import reals
from convergence_jax.exact.constants import twice_atanh
from convergence_jax.exact.exp_ln import ln, log_add_exp
from convergence_jax.exact.reals import Fixed, elementwise

Array = Any

CONTAMINATE_ERROR = 2.0**-61
"""Absolute bound on the error of :func:`contaminate` before its one rounding."""

CLIP_ERROR = 2.0**-60
"""Absolute bound on the error of :func:`clip_likelihoods` before its one rounding."""

_INFINITY = np.int64(0x7FF << 52)
_ONE = np.int64(1023 << 52)
_SIZE = np.int64((1 << 63) - 1)
_FAR = np.int64((1023 + 60) << 52)
"""Bits of ``2**60``: adding a logarithm of a float to that, or to more, does not change the float."""


@elementwise
def temper(x: Array, eta: Array) -> Array:
    """The product ``eta * x`` as IEEE 754 rounds it, ties to even, subnormals included.

    Parameters
    ----------
    x, eta : Float64[Array, "..."]
        Any values that broadcast: log-likelihood ratios and the weight that they are given.

    Returns
    -------
    Float64[Array, "..."]
        NaN where a factor is NaN, or where one is zero and the other infinite.
    """
    xp = x.__array_namespace__()
    (sign_x, e, m), (sign_y, f, n) = (_scientific(a) for a in (x, eta))
    high, low = reals.multiply_high(m, n), m * n
    short = high >> 63 == 0
    high = xp.where(short, (high << 1) | (low >> 63), high)
    low = xp.where(short, low << 1, low)
    negative = sign_x != sign_y
    finite = reals.round_mantissa(negative, e + f + 1 - short.astype(xp.int64), high, low != 0)
    size, other = (a.view(np.int64) & _SIZE for a in (x, eta))
    largest, smallest = xp.maximum(size, other), xp.minimum(size, other)
    infinite = xp.where(negative, -np.inf, np.inf)
    nan = (largest > _INFINITY) | ((largest == _INFINITY) & (smallest == 0))
    return xp.where(nan, np.nan, xp.where(largest == _INFINITY, infinite, finite))


def contaminate(x: Array, epsilon: Array) -> Array:
    """``ln((1 - epsilon) * e**x + epsilon)``: a likelihood ratio from a source that may be broken.

    Parameters
    ----------
    x : Float64[Array, "..."]
        Log-likelihood ratios, infinities included.
    epsilon : Float64[Array, "..."]
        Probability, from 0 to 1, that an observation says nothing; broadcasts.

    Returns
    -------
    Float64[Array, "..."]
        Never below ``ln(epsilon)``, up to the error. Off by less than ``CONTAMINATE_ERROR`` before the one
        rounding. `x` itself where epsilon is zero; ``0.0`` where epsilon is one or `x` is zero; NaN where `x`
        is NaN or epsilon is no probability.
    """
    return _contaminate(*_with_logarithms(x, epsilon))


def clip_likelihoods(x: Array, epsilon: Array) -> Array:
    """``ln(((1 - epsilon) * e**x + epsilon) / ((1 - epsilon) + epsilon * e**x))``: bounded on both sides.

    Both likelihoods are contaminated, so no observation counts for more than ``ln((1 - epsilon) / epsilon)``
    (Huber, 1965).

    Parameters
    ----------
    x, epsilon : Float64[Array, "..."]
        As :func:`contaminate` takes them.

    Returns
    -------
    Float64[Array, "..."]
        Odd in `x`, in bits. Off by less than ``CLIP_ERROR`` before the one rounding. `x` itself where epsilon
        is zero, ``-x`` where it is one; NaN as :func:`contaminate` says.
    """
    return _clip(*_with_logarithms(x, epsilon))


def log_ratio(numerator: int | Fraction, denominator: int | Fraction = 1) -> float:
    """``ln(numerator / denominator)`` on the host, off by less than 1/2 + 2**-70 units in the last place.

    Parameters
    ----------
    numerator, denominator : int or Fraction
        Positive, of any size: prior odds of ``1000:1`` are ``log_ratio(1000, 1)``.

    Raises
    ------
    ValueError
        If one is not positive.
    """
    if numerator <= 0 or denominator <= 0:
        raise ValueError(f"log_ratio: both numbers must be positive, got {numerator} and {denominator}.")
    ratio = Fraction(numerator) / Fraction(denominator)
    if ratio < 1:
        return -log_ratio(ratio.denominator, ratio.numerator)
    top, bottom = ratio.numerator, ratio.denominator
    power = max(top.bit_length() - bottom.bit_length(), 0)
    if top < bottom << power:
        power -= 1
    # ln(ratio) is at least 1 / top, so these bits leave 128 that count; ratio / 2**power is in [1, 2).
    bits = 192 + top.bit_length()
    bottom <<= power
    value = power * twice_atanh(1, 3, bits) + twice_atanh(top - bottom, top + bottom, bits)
    return float(Fraction(value, 1 << bits))


def _with_logarithms(x: Array, epsilon: Array) -> tuple[Array, Array, Fixed, Fixed]:
    """Arguments, ``ln(1 - epsilon)`` and ``ln(epsilon)``, in the shape that epsilon has."""
    epsilon = epsilon if hasattr(epsilon, "__array_namespace__") else np.asarray(epsilon, dtype=np.float64)
    return x, epsilon, _ln_complement(epsilon), _ln_float(epsilon)


@elementwise
def _ln_float(x: Array) -> Fixed:
    """Logarithm of a positive float64; for zero, the lowest real."""
    xp = x.__array_namespace__()
    _, exponent, mantissa = _scientific(x)
    zero = mantissa == 0
    lowest = Fixed(xp.full_like(exponent, -(1 << reals.LIMIT_BITS)), xp.zeros_like(mantissa))
    return reals.where(zero, lowest, ln(exponent, mantissa))


@elementwise
def _ln_complement(x: Array) -> Fixed:
    """Logarithm of ``1 - x`` for ``0 <= x < 1``."""
    xp = x.__array_namespace__()
    fraction = reals.from_float(x).fraction
    one = fraction == 0
    head, by = reals.to_top(~fraction + 1)
    exponent = xp.where(one, np.int64(0), -1 - by.astype(xp.int64))
    return ln(exponent, xp.where(one, np.uint64(1 << 63), head))


@elementwise
def _contaminate(x: Array, epsilon: Array, rest: Fixed, log_epsilon: Fixed) -> Array:
    xp = x.__array_namespace__()
    value = reals.to_float(log_add_exp(reals.add(rest, reals.from_float(x)), log_epsilon))
    bits = x.view(np.int64)
    chance = epsilon.view(np.int64)
    value = xp.where(bits & _SIZE == 0, 0.0, xp.where(bits >= _FAR, x, value))
    value = xp.where(chance & _SIZE == 0, x, xp.where(chance == _ONE, 0.0, value))
    return xp.where(_wrong(x, epsilon), np.nan, value)


@elementwise
def _clip(x: Array, epsilon: Array, rest: Fixed, log_epsilon: Fixed) -> Array:
    xp = x.__array_namespace__()
    negative = x.view(np.int64) < 0
    size = reals.from_float((x.view(np.int64) & _SIZE).view(np.float64))
    above = log_add_exp(reals.add(rest, size), log_epsilon)
    below = log_add_exp(rest, reals.add(log_epsilon, size))
    value = reals.to_float(reals.subtract(above, below))
    value = xp.where(negative, _flip(value), value)
    bits = epsilon.view(np.int64)
    value = xp.where(bits & _SIZE == 0, x, xp.where(bits == _ONE, _flip(x), value))
    return xp.where(_wrong(x, epsilon), np.nan, value)


def _flip(x: Array) -> Array:
    """The negative, by its sign bit."""
    return (x.view(np.int64) ^ ~_SIZE).view(np.float64)


def _wrong(x: Array, epsilon: Array) -> Array:
    """NaN, and what is no probability; by bits, so that no subnormal is taken for zero."""
    bits = epsilon.view(np.int64)
    probability = (bits == ~_SIZE) | ((bits >= 0) & (bits <= _ONE))
    return (x.view(np.int64) & _SIZE > _INFINITY) | ~probability


def _scientific(x: Array) -> tuple[Array, Array, Array]:
    """Sign, exponent and mantissa of a float64, with the leading one of the mantissa as bit 63."""
    xp = x.__array_namespace__()
    negative, exponent, mantissa = reals.decode(x)
    head, by = reals.to_top(mantissa)
    return negative, exponent + 11 - by.astype(xp.int64), head
