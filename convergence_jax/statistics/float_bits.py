"""Floats as integers that compare as the floats do, whatever a backend makes of subnormals.

XLA on a CPU flushes subnormals in comparisons and conversions; integers it leaves alone.
"""

from typing import Any

import numpy as np

from convergence_jax.exact.fixed_point import widen

Array = Any

MAGNITUDE_MASK = np.int64((1 << 63) - 1)
INFINITY = np.int64(0x7FF << 52)
"""Bits of infinity: a magnitude above is NaN."""
EXPONENT_BIAS = 1023
MANTISSA_BITS = 52


def float64_bits(x: Array) -> Array:
    """Bits of the float64 that equals each value, exactly.

    Parameters
    ----------
    x : Float[Array, "..."]
        float64, or float32, whose subnormals survive.

    Returns
    -------
    Int64[Array, "..."]
        Sign, exponent and mantissa as IEEE 754 lays them out.

    Raises
    ------
    TypeError
        If the values are of another type.
    """
    if x.dtype == np.float64:
        return x.view(np.int64)
    if x.dtype != np.float32:
        raise TypeError(f"float64_bits: values must be float64 or float32, got {x.dtype}.")
    return widen(x).view(np.int64)


def order_keys(bits: Array) -> Array:
    """Integers in the order of the floats: -inf, ..., -0.0, 0.0, ..., inf; its own inverse.

    The bits of NaN must be set aside first: their keys lie beyond those of the infinities.
    """
    return bits ^ ((bits >> np.int64(63)) & MAGNITUDE_MASK)


def is_nan(bits: Array) -> Array:
    """Whether bits are those of NaN."""
    return (bits & MAGNITUDE_MASK) > INFINITY


def is_infinite(bits: Array) -> Array:
    """Whether bits are those of an infinity."""
    return (bits & MAGNITUDE_MASK) == INFINITY


def floats(bits: Array) -> np.ndarray:
    """The float64 values of bits, on the host."""
    return np.asarray(bits, dtype=np.int64).view(np.float64)
