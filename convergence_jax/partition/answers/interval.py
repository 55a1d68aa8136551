"""`Interval`: what an answer can be, whatever the observations are that have not arrived.

The truth is made from what is visible by taking at most `R` of its observations away and adding at most `M`
that are unseen, all within the declared range (:class:`~convergence_jax.partition.unseen.Unseen`). One that
was added and taken back unseen cancels. Every bound below is computed in fractions and rounded outwards once.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from convergence_jax.partition.unseen import Real, Unseen


@dataclass(frozen=True)
class Interval:
    """Everything from `lower` to `upper`, both included.

    Attributes
    ----------
    lower, upper : float
        ``-inf`` and ``inf`` where nothing bounds the answer.
    """

    lower: float
    upper: float

    @classmethod
    def around(cls, lower: Fraction | None, upper: Fraction | None) -> "Interval":
        """Bounds rounded outwards; None is no bound."""
        return cls(
            -math.inf if lower is None else round_down(lower), math.inf if upper is None else round_up(upper)
        )

    def meet(self, other: "Interval") -> "Interval":
        """What two intervals that both hold the truth leave of each other."""
        return Interval(max(self.lower, other.lower), min(self.upper, other.upper))


@dataclass(frozen=True)
class Span:
    """The declared range of a feature, in ticks: integers that an observation is between.

    Attributes
    ----------
    low, high : int
        Smallest and largest.
    scale_bits : int
        ``2**scale_bits`` ticks make one unit.

    Raises
    ------
    ValueError
        If `low` is above `high`.
    """

    low: int
    high: int
    scale_bits: int = 0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"Span: low must be at most high, got {self.low} and {self.high}.")

    @property
    def negated(self) -> "Span":
        """Of the same feature with the other sign."""
        return Span(-self.high, -self.low, self.scale_bits)

    @property
    def width(self) -> int:
        """In ticks."""
        return self.high - self.low

    def units(self, ticks: Fraction | int) -> Fraction:
        """Ticks in the feature's unit."""
        return Fraction(ticks) / Fraction(2) ** self.scale_bits

    def check(self, n: int, total: int) -> None:
        """Refuse a sum that no `n` observations in the range have.

        Raises
        ------
        ValueError
            If `n` is negative or `total` impossible.
        """
        if not (n >= 0 and n * self.low <= total <= n * self.high):
            raise ValueError(f"{n} observations from {self.low} to {self.high} cannot add up to {total}.")


def round_down(exact: Fraction) -> float:
    """The largest float64 that is not above a fraction."""
    return -round_up(-exact) + 0.0


def round_up(exact: Fraction) -> float:
    """The smallest float64 that is not below a fraction."""
    try:
        nearest = exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -sys.float_info.max
    return (nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)) + 0.0


def count_interval(n: int, unseen: Unseen) -> Interval:
    """How many observations there are: from ``n - R``, but not below 0, to ``n + M``."""
    most = None if unseen.additions is None else Fraction(n + unseen.additions)
    return Interval.around(Fraction(n - _removable(n, unseen)), most)


def sum_interval(n: int, total: int, span: Span, unseen: Unseen) -> Interval:
    """The sum of one feature.

    Parameters
    ----------
    n, total : int
        Visible observations and their sum in ticks.
    span : Span
    unseen : Unseen

    Returns
    -------
    Interval
        In the feature's unit.

    Raises
    ------
    ValueError
        If `total` is not possible.

    Notes
    -----
    If `r` observations are taken away, they make up at most ``min(r * high, S - (n - r) * low)``, since the
    others are in the range too. What is left is convex in `r`, so its least value is at either end or beside
    the crossing of the two.
    """
    span.check(n, total)
    removals = _removable(n, unseen)
    lower = _least_sum(n, total, span, removals, unseen.additions)
    upper = _least_sum(n, -total, span.negated, removals, unseen.additions)
    return Interval.around(
        None if lower is None else span.units(lower), None if upper is None else span.units(-upper)
    )


def _least_sum(n: int, total: int, span: Span, removals: int, additions: int | None) -> int | None:
    if span.low < 0 and additions is None:
        return None
    crossing = (total - n * span.low) // span.width if span.width else 0
    tried = {0, removals, min(crossing, removals), min(crossing + 1, removals)}
    kept = min(max(total - r * span.high, (n - r) * span.low) for r in tried)
    return kept + (additions * span.low if additions and span.low < 0 else 0)


def mean_interval(n: int, total: int, span: Span, unseen: Unseen) -> Interval:
    """The mean of one feature.

    Parameters
    ----------
    n, total : int
        Visible observations and their sum in ticks.
    span : Span
    unseen : Unseen

    Returns
    -------
    Interval
        In the feature's unit; all of `span` where nothing else is certain.

    Raises
    ------
    ValueError
        If `total` is not possible.

    Notes
    -----
    From ``max(low, (S - R * high + M * low) / (n - R + M))`` to ``min(high, (S - R * low + M * high) / (n - R
    + M))``: no narrower interval holds every truth. Let `r` observations be taken away and `m` added. The
    rest and the new ones add up to at least ``S - r * high + m * low``; a mean above `low` falls with each
    further one that is taken away at `high` or added at `low`, so the least is at the largest `r` and `m`,
    unless it is `low` before. Both are reached: by some `n` integers in the range with the sum `S`. If all
    may be taken away and nothing added, one is left, for there to be a mean.
    """
    span.check(n, total)
    return Interval.around(*(span.units(end) for end in mean_ends(n, total, span, unseen)))


def mean_ends(n: int, total: int, span: Span, unseen: Unseen) -> tuple[Fraction, Fraction]:
    """Ends of :func:`mean_interval` in ticks, before any rounding."""
    additions = unseen.additions
    removals = min(_removable(n, unseen), n if additions else max(0, n - 1))
    if additions is None or n - removals + additions == 0:
        return Fraction(span.low), Fraction(span.high)
    count = n - removals + additions
    lower = Fraction(total - removals * span.high + additions * span.low, count)
    upper = Fraction(total - removals * span.low + additions * span.high, count)
    return max(lower, Fraction(span.low)), min(upper, Fraction(span.high))


def log_odds_interval(total: Real, prior: Real, low: Real, high: Real, unseen: Unseen) -> Interval:
    """The log-odds of an agent.

    Parameters
    ----------
    total : int, float or Fraction
        Exact sum of the visible items, in natural logarithms.
    prior : int, float or Fraction
        Log-odds before any evidence.
    low, high : int, float or Fraction
        Declared range of one item.
    unseen : Unseen
        Items about this agent.

    Returns
    -------
    Interval
        ``[prior + S + M * min(low, 0) - R * max(high, 0), prior + S + M * max(high, 0) - R * min(low, 0)]``.
    """
    return liars_interval([total], 0, prior, low, high, unseen)


def liars_interval(
    said: Sequence[Real], liars: int, prior: Real, low: Real, high: Real, unseen: Unseen
) -> Interval:
    """The honest observers' total about an agent, if at most `liars` lie and some items are unseen.

    Parameters
    ----------
    said : sequence of int, float or Fraction
        Exact sum of what each observer said that is visible; those that said nothing may be left out.
    liars : int
        At most so many observers lie, whoever they are. That they are fewer than half is for the caller to
        know (:func:`~convergence_jax.consensus.bounds.check_liars`).
    prior, low, high : int, float or Fraction
        As in :func:`log_odds_interval`.
    unseen : Unseen
        Items about this agent, from all observers together.

    Returns
    -------
    Interval
        ``[L + M * min(low, 0) - R * max(high, 0), U + M * max(high, 0) - R * min(low, 0)]``, plus the prior.

    Notes
    -----
    `L` and `U` are those of :mod:`convergence_jax.consensus.bounds`: the least and the largest that is left
    of what is visible when at most `liars` observers are left out. For any set `F` of liars, the honest total
    is what the others visibly said, which is at least `L`, plus what of theirs is unseen: at most `M` items
    of at least ``min(low, 0)`` each, less at most `R` items of at most ``max(high, 0)``. A liar who is not
    visible at all leaves nothing out, and `L` allows for fewer than `liars`. The set that gives `L` and
    unseen items that are all of honest observers reach the bound, if `R` is 0.
    """
    values = [Fraction(value) for value in said]
    low, high = Fraction(low), Fraction(high)
    total = sum(values, Fraction(prior))
    lower = total - sum(sorted((max(v, Fraction(0)) for v in values), reverse=True)[:liars])
    upper = total - sum(sorted(min(v, Fraction(0)) for v in values)[:liars])
    fall = _times(unseen.additions, max(-low, Fraction(0))), _times(unseen.removals, max(high, Fraction(0)))
    rise = _times(unseen.additions, max(high, Fraction(0))), _times(unseen.removals, max(-low, Fraction(0)))
    return Interval.around(
        None if None in fall else lower - sum(filter(None, fall)),
        None if None in rise else upper + sum(filter(None, rise)),
    )


def rank_interval(q: Real, n: int, unseen: Unseen) -> tuple[int, int]:
    """Between which visible observations, counted from 1 in rising order, the `q`-quantile is.

    Parameters
    ----------
    q : int, float or Fraction
        From 0 to 1. The quantile of `N` observations is the one of rank ``max(1, ceil(q * N))``.
    n : int
        Visible observations.
    unseen : Unseen

    Returns
    -------
    lowest, highest : int
        Ranks; 0 and ``n + 1`` stand for the ends of the declared range.

    Notes
    -----
    No more than `m` observations are added at or below any value, and no more than `r` taken away, so the
    true one of rank `k` is between the visible ones of ranks ``k - m`` and ``k + r``. As `m` and `r` grow,
    ``ceil(q * (n + m - r)) - m`` cannot grow and ``ceil(q * (n + m - r)) + r`` cannot fall.
    """
    if unseen.additions is None:
        return 0, n + 1
    removals = _removable(n, unseen)
    rank = max(1, math.ceil(Fraction(q) * (n + unseen.additions - removals)))
    return max(0, rank - unseen.additions), min(n + 1, rank + removals)


def _removable(n: int, unseen: Unseen) -> int:
    return n if unseen.removals is None else min(n, unseen.removals)


def _times(number: int | None, size: Fraction) -> Fraction | None:
    if number is None:
        return None if size else Fraction(0)
    return number * size
