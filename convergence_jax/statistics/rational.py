"""Ratios of integers to the nearest float64, on the host: the one rounding of an answer."""

from math import isqrt
from typing import Any

import numpy as np


def ratios(numerators: Any, denominators: Any, exponent: int = 0) -> np.ndarray:
    """``numerators / denominators * 2**exponent``, correctly rounded to nearest-even.

    Parameters
    ----------
    numerators, denominators : array of Python or NumPy integers
        Broadcast against each other.
    exponent : int
        Power of two to scale by, before the rounding.

    Returns
    -------
    Float64[ndarray, "..."]
        Infinite where the ratio is beyond float64; NaN where a denominator is not positive.
    """
    top, bottom = (np.asarray(x, dtype=object) for x in (numerators, denominators))
    top, bottom = np.broadcast_arrays(top, bottom)
    pairs = zip(top.ravel(), bottom.ravel(), strict=True)
    made = [_ratio(int(n), int(d), exponent) for n, d in pairs]
    return np.array(made, dtype=np.float64).reshape(top.shape)


def _ratio(numerator: int, denominator: int, exponent: int) -> float:
    if denominator <= 0:
        return float("nan")
    if exponent >= 0:
        numerator <<= exponent
    else:
        denominator <<= -exponent
    try:
        return numerator / denominator  # integers: Python rounds their quotient correctly
    except OverflowError:
        return float("inf") if numerator > 0 else float("-inf")


def root_ratio(numerator: int, radicand: int) -> float:
    """``numerator / sqrt(radicand)``, correctly rounded; NaN where the radicand is not positive.

    The square root is taken of integers with at least 64 bits and a sticky bit for what is left, so the one
    rounding at the end sees on which side of a tie the value lies.
    """
    if radicand <= 0:
        return float("nan")
    square = numerator * numerator
    shift = max(0, radicand.bit_length() - square.bit_length() + 130) // 2
    root = isqrt((square << (2 * shift)) // radicand)
    exact = root * root * radicand == square << (2 * shift)
    magnitude = _ratio(2 * root + (not exact), 1, -(shift + 1))
    return magnitude if numerator >= 0 else -magnitude
