"""Answers by other means: Python's integers and fractions, sorting, sets.

This module imports nothing of the library, is slow, and is meant to be read: if it is right, it is so by
sight.
"""

import itertools
import math
from collections.abc import Hashable, Iterable, Sequence
from fractions import Fraction


def ticks(value: float, scale_bits: int, range_bits: int) -> int | None:
    """The fixed-point lift of one number, ties to even; None where it is not held."""
    if not math.isfinite(value):
        return None
    made = round(Fraction(value) * Fraction(2) ** scale_bits)
    return made if abs(made) < 2 ** (scale_bits + range_bits) else None


def lifted_total(values: Iterable[float], scale_bits: int, range_bits: int) -> Fraction:
    """Sum of the lifted numbers that are held, in units."""
    held = (ticks(value, scale_bits, range_bits) for value in values)
    return sum((Fraction(t) for t in held if t is not None), Fraction(0)) / Fraction(2) ** scale_bits


def exact_total(values: Iterable[float]) -> Fraction:
    """Sum of finite numbers without any rounding."""
    return sum(map(Fraction, values), Fraction(0))


def lifted_moments(
    rows: Iterable[Sequence[float]], lifts: Sequence[tuple[int, int]]
) -> tuple[int, list[Fraction], list[list[Fraction]]]:
    """Count, mean and covariance with divisor ``n - 1`` of lifted rows, in units.

    Parameters
    ----------
    rows : iterable of sequences of float
        Observations; one with any value not held is left out.
    lifts : sequence of (int, int)
        ``scale_bits`` and ``range_bits`` of each feature.

    Returns
    -------
    count : int
    mean : list of Fraction
        Empty without observations.
    covariance : list of list of Fraction
        Empty with fewer than two.
    """
    held: list[list[Fraction]] = []
    for row in rows:
        lifted = [ticks(value, *lift) for value, lift in zip(row, lifts, strict=True)]
        kept = [t for t in lifted if t is not None]
        if len(kept) == len(lifted):
            scales = [Fraction(2) ** scale for scale, _ in lifts]
            held.append([t / scale for t, scale in zip(kept, scales, strict=True)])
    n, features = len(held), range(len(lifts))
    mean = [sum((row[i] for row in held), Fraction(0)) / n for i in features] if n else []
    if n < 2:
        return n, mean, []
    off = [[row[i] - mean[i] for i in features] for row in held]
    return (
        n,
        mean,
        [[sum((d[i] * d[j] for d in off), Fraction(0)) / (n - 1) for j in features] for i in features],
    )


def correlation_squared(pairs: Sequence[tuple[Fraction, Fraction]]) -> tuple[int, Fraction] | None:
    """Sign and square of Pearson's correlation; None where it is not defined."""
    n = len(pairs)
    if n < 2:
        return None
    x_mean, y_mean = sum(x for x, _ in pairs) / Fraction(n), sum(y for _, y in pairs) / Fraction(n)
    xx = sum((x - x_mean) ** 2 for x, _ in pairs)
    yy = sum((y - y_mean) ** 2 for _, y in pairs)
    xy = sum((x - x_mean) * (y - y_mean) for x, y in pairs)
    if xx == 0 or yy == 0:
        return None
    return (xy > 0) - (xy < 0), Fraction(xy * xy) / Fraction(xx * yy)


def quantile(values: Iterable[float], probability: float) -> float:
    """The sample quantile of rank ``max(1, ceil(q * n))``, by sorting; not for NaN, nor for nothing."""
    ordered = sorted(values)
    rank = max(1, math.ceil(Fraction(probability) * len(ordered)))
    return ordered[rank - 1]


def histogram(values: Iterable[float], edges: Sequence[float]) -> list[int]:
    """Counts below, in every half-open bin, and above."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        if not math.isnan(value):
            counts[sum(edge <= value for edge in edges)] += 1
    return counts


def smallest_and_largest(values: Iterable[float]) -> tuple[float, float] | None:
    """Extrema of what is not NaN, with ``-0.0`` below ``0.0``; None for nothing."""
    ordered = sorted((v for v in values if not math.isnan(v)), key=lambda v: (v, math.copysign(1.0, v)))
    return (ordered[0], ordered[-1]) if ordered else None


def distinct(values: Iterable[Hashable]) -> int:
    """How many different values there are."""
    return len(set(values))


def is_nearest(value: float, exact: Fraction) -> bool:
    """Whether a float64 is the one nearest to a number, ties to even, overflow to infinity.

    By the neighbours: nothing is rounded to find out.
    """
    limit = Fraction(2) ** 1024 - Fraction(2) ** 970  # halfway to what would be the next power of two
    if math.isinf(value):
        return abs(exact) >= limit and (exact > 0) == (value > 0)
    if math.isnan(value) or abs(exact) >= limit:
        return False
    error = abs(Fraction(value) - exact)
    for direction in (math.inf, -math.inf):
        neighbour = math.nextafter(value, direction)
        if math.isinf(neighbour):
            continue
        other = abs(Fraction(neighbour) - exact)
        if other < error or (other == error and not _is_even(value)):
            return False
    return True


def is_nearest_root(value: float, sign: int, square: Fraction) -> bool:
    """Whether a float64 is the one nearest to ``sign * sqrt(square)``; exact ties count as nearest."""
    if sign == 0 or square == 0:
        return value == 0
    if (value > 0) != (sign > 0):
        return False
    size = abs(value)
    below = (Fraction(math.nextafter(size, 0.0)) + Fraction(size)) / 2
    above = (Fraction(math.nextafter(size, math.inf)) + Fraction(size)) / 2
    return below * below <= square <= above * above


def _is_even(value: float) -> bool:
    mantissa, _ = math.frexp(abs(value))
    spacing = Fraction(math.ulp(value))
    return (Fraction(abs(value)) / spacing) % 2 == 0 if mantissa else True


def honest_range(said: Sequence[Fraction], liars: int) -> tuple[Fraction, Fraction]:
    """Smallest and largest total of the honest, over every set of at most `liars` observers that may lie."""
    totals = [
        sum((x for o, x in enumerate(said) if o not in chosen), Fraction(0))
        for size in range(min(liars, len(said)) + 1)
        for chosen in map(set, itertools.combinations(range(len(said)), size))
    ]
    return min(totals), max(totals)
