"""A narrower interval for a mean, where one may assume that no origin's values drift.

The assumption, which an answer must name: *given everything before it, each value of an origin has the same
mean, that origin's own*. Nothing else is assumed: neither that origins have the same mean, nor independence,
nor a distribution, nor a variance that stays as it was. Then, with probability at least ``1 - alpha``, every
interval given during a whole run holds the truth of its instant.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from convergence_jax.partition.answers.interval import Interval, Span, mean_interval
from convergence_jax.partition.unseen import Unseen

ASSUMPTION = "each origin's conditional mean is constant"

_SLOPES = 16.0 * 2.0 ** (-0.5 * np.arange(48))
"""Exponents, in units of the range: from single values to sums of ``2**50``."""

_GROWTH = np.expm1(_SLOPES)

_UNBOUNDED = 1 << 62
"""No origin ever releases more."""

_STEPS = 20
"""Of Dinkelbach's method, at most; a bound holds after any number."""


@dataclass(frozen=True)
class Boundary:
    """How far sums may stray from their means, all origins and instants together.

    Attributes
    ----------
    span : Span
        Of the feature.
    origins : int
        The most that ever take part.
    alpha : float
        Probability that any interval of a run misses, from above 0 to below 1.

    Raises
    ------
    ValueError
        If `origins` or `alpha` is out of bounds, or the range of the feature is a point.

    Notes
    -----
    In units of the range let the value be ``x``, from 0 to 1 with mean `p`. As ``exp`` is convex, the mean of
    ``exp(s x)`` is at most ``1 - p + p exp(s)``, which is ``exp(s g(s, p))`` (Hoeffding, 1963). So
    ``exp(s (D - k g(s, p)))``, with `D` the sum of the `k` values after any fixed number `n` of them, is a
    supermartingale in `k` that starts at 1. By Ville's inequality (1939) it stays below ``1 / w`` for all `k`
    with probability ``1 - w``:

    ``D <= k g(s, p) + log(1 / w) / s`` for all ``k``.

    These lines hold all at once, from every `n`, for every `s` of a geometric series, for ``1 - x`` as well
    and for every origin, if the `w` add up to `alpha`. Half of an origin's part goes to ``n = 0``, the rest
    to later `n` in proportion to ``1 / log(n + 1) - 1 / log(n + 2)``. The first bound the origin's mean, and
    those from the last `n` what follows it: few unseen values cost little however many were seen. The lines
    are those of Bernoulli variables, the widest that have a given mean (as for the boundaries of Howard,
    Ramdas, McAuliffe and Sekhon, 2021): unlike a mixture with normal weights (Robbins, 1970), they close in
    where the mean is near an end of the range.
    """

    span: Span
    origins: int
    alpha: float

    def __post_init__(self) -> None:
        if self.origins < 1 or not 0.0 < self.alpha < 1.0 or not self.span.width:
            raise ValueError(
                "Boundary: want at least one origin, alpha between 0 and 1 and a range, got "
                f"{self.origins}, {self.alpha} and {self.span}."
            )

    @cached_property
    def _price(self) -> float:
        return math.log(2.0 * self.origins * len(_SLOPES) / self.alpha)

    @cached_property
    def from_start(self) -> np.ndarray:
        """``log(1 / w) / s`` for sums of an origin's first values, ``Float64[ndarray, "slopes"]``."""
        return (self._price - math.log(0.5)) / _SLOPES

    def from_later(self, n: np.ndarray) -> np.ndarray:
        """``log(1 / w) / s`` for sums that start after `n` values.

        Parameters
        ----------
        n : Float64[ndarray, "origins"]
            At least 1.

        Returns
        -------
        Float64[ndarray, "origins slopes"]
        """
        now, after = np.log(n + 1.0), np.log(n + 2.0)
        share = math.log(2.0) * np.log1p(1.0 / (n + 1.0)) / (now * after)
        return (self._price - np.log(0.5 * share))[:, None] / _SLOPES


@dataclass(frozen=True)
class OriginMean:
    """What is known of one origin, in units of the range.

    Attributes
    ----------
    count, total : int
        Values that are here, and their sum in ticks: the first `count` that the origin released.
    lower, upper : float
        Bounds on the origin's mean, from 0 for the low end of the range to 1 for the high end: all that its
        rows ever said. If they contradict each other, the assumption is not true of this origin.
    """

    count: int = 0
    total: int = 0
    lower: float = 0.0
    upper: float = 1.0

    def seen(self, count: int, total: int, boundary: Boundary) -> "OriginMean":
        """After a row of the origin has arrived.

        Parameters
        ----------
        count, total : int
            All values of the origin that are here now, and their sum in ticks: its first `count` values.
        boundary : Boundary

        Raises
        ------
        ValueError
            If `total` is not possible.
        """
        boundary.span.check(count, total)
        if count <= self.count:
            return self
        sum_units = (total - count * boundary.span.low) / boundary.span.width
        cost = boundary.from_start
        return replace(
            self,
            count=count,
            total=total,
            lower=max(self.lower, _least_mean(count, sum_units, cost)),
            upper=min(self.upper, 1.0 - _least_mean(count, count - sum_units, cost)),
        )


def _least_mean(count: int, total: float, cost: np.ndarray) -> float:
    """The least mean whose lines a sum is not above."""
    slope = np.minimum((total - cost) / count, 1.0)  # that of the line must be at least this
    return max(0.0, float(np.max(np.expm1(_SLOPES * slope) / _GROWTH)) - 1e-12)


def anytime_mean_interval(
    origins: Sequence[OriginMean], unseen: Sequence[Unseen], boundary: Boundary
) -> Interval | None:
    """The mean of all origins' values, under the assumption of this module.

    Parameters
    ----------
    origins : sequence of OriginMean
    unseen : sequence of Unseen
        What of each is not here.
    boundary : Boundary

    Returns
    -------
    Interval or None
        In the feature's unit, never wider than
        :func:`~convergence_jax.partition.answers.interval.mean_interval`. None where there is nothing to go
        by: no value yet, a removal that is possible, or rows that contradict the assumption.

    Raises
    ------
    ValueError
        If there are more origins than `boundary` allows for, or not one entry of `unseen` for each.

    Notes
    -----
    The sum `S` of what is here and `D` of `k` more values of each origin give the mean ``(S + sum(D)) / (n +
    sum(k))``. Its largest value over all ``k <= M`` is the `t` at which ``S - t n + sum(max(D - t k))`` is 0
    (Dinkelbach, 1967): each origin is maximised apart, over `k` in pieces that double in length, with the
    line that is lowest in the middle of each piece. At any `t`, the root is not above ``t`` plus that value
    divided by ``n``, since no count is below `n`.
    """
    if len(origins) > boundary.origins or len(origins) != len(unseen):
        raise ValueError(
            f"anytime_mean_interval: want one bound on what is unseen for each of at most {boundary.origins} "
            f"origins, got {len(unseen)} for {len(origins)}."
        )
    span, count = boundary.span, sum(origin.count for origin in origins)
    total = sum(origin.total for origin in origins)
    everything = sum(unseen, Unseen())
    if not count or everything.removals != 0 or any(o.lower > o.upper for o in origins):
        return None
    certified = mean_interval(count, total, span, everything)
    n = np.array([float(origin.count) for origin in origins])
    here = np.array([(origin.total - origin.count * span.low) / span.width for origin in origins])
    most = np.array([float(_UNBOUNDED if u.additions is None else u.additions) for u in unseen])
    upper = _largest_mean(n, here, most, np.array([o.upper for o in origins]), boundary)
    lower = _largest_mean(n, n - here, most, 1.0 - np.array([o.lower for o in origins]), boundary)
    ends = (float(span.units(span.low)) + x * float(span.units(span.width)) for x in (1.0 - lower, upper))
    slack = 1e-12 * float(span.units(max(abs(span.low), abs(span.high))))  # far above what rounding does
    return Interval(next(ends) - slack, next(ends) + slack).meet(certified)


def _largest_mean(
    n: np.ndarray, here: np.ndarray, most: np.ndarray, p: np.ndarray, boundary: Boundary
) -> float:
    """Upper bound, in units of the range, from what is here, what is not, and the largest means."""
    slopes = np.log1p(p[:, None] * _GROWTH) / _SLOPES
    intercepts = boundary.from_later(np.maximum(n, 1.0))
    pieces = max(1, math.ceil(math.log2(max(2.0, most.max()))))
    edges = most[:, None] * 2.0 ** -np.arange(pieces, -1.0, -1.0)
    first, last = edges[:, :-1], edges[:, 1:]  # none is left out: the first of all is at most 1
    middle = last * math.sqrt(0.5)
    best = np.argmin(intercepts[:, None, :] + middle[:, :, None] * slopes[:, None, :], axis=2)
    rows = np.arange(len(n))
    line, slope = intercepts[rows[:, None], best], slopes[rows[:, None], best]
    whole, all_here = float(n.sum()), float(here.sum())
    t, bound = all_here / whole, 1.0
    for _ in range(_STEPS):
        number = np.where(slope > t, last, first)
        by_line, all_high = line + number * (slope - t), last * (1.0 - t)
        number = np.where(all_high < by_line, last, number)
        gain = np.minimum(by_line, all_high)
        chosen = rows, np.argmax(gain, axis=1)
        value = all_here - t * whole + float(np.maximum(gain[chosen], 0.0).sum())
        bound = min(bound, t + max(value, 0.0) / whole)
        if value <= 0.0:
            break
        t += (1.0 + 1e-6) * value / (whole + float(number[chosen].sum())) + 1e-13  # to end beyond the root
    return bound
