"""Roots of ratios of integers to the nearest float64, on the host: the one rounding of an answer."""

from math import isqrt


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
    # Python rounds a quotient of integers correctly.
    magnitude = (2 * root + (not exact)) / (1 << (shift + 1))
    return magnitude if numerator >= 0 else -magnitude
