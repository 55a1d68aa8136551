"""What a covariance or a variance can be, whatever the observations are that have not arrived.

Both are of samples, with divisor ``n - 1`` as :class:`~convergence_jax.Moments` presents them. Coordinates
below are ``n`` times the distance from the visible means, so that everything is an integer: a covariance does
not change with the origin, and about the means what the unseen change in them is of second order.
"""

import math
from fractions import Fraction

from convergence_jax.partition.answers.interval import Interval, Span, mean_ends, round_up
from convergence_jax.partition.unseen import Unseen


def variance_interval(n: int, total: int, squares: int, span: Span, unseen: Unseen) -> Interval:
    """The variance of one feature.

    Parameters
    ----------
    n, total, squares : int
        Visible observations, their sum in ticks and the sum of their squares.
    span : Span
    unseen : Unseen

    Returns
    -------
    Interval
        In the square of the feature's unit, of all truths with at least two observations.

    Raises
    ------
    ValueError
        If the sums are not possible.

    Notes
    -----
    Let `Q` be the visible sum of squares about the mean, from which all is measured. For any ``z``, ``(N - 1)
    V = Q + n z**2 + sum((x - z)**2, added) - sum((x - z)**2, taken away) - N (mean - z)**2``. Above: ``V`` is
    at most ``(Q + n z**2 + M max((high - z)**2, (low - z)**2)) / (n + M - R - 1)``, and the `z` that makes it
    least is known in closed form; with `R` of 0 that is the extreme over any number of truths at `high` and
    the rest of the `M` at `low`. Below, at ``z = mean``: with `r` taken away, ``(N - 1) V`` is at least
    ``Q - max(low**2, high**2) n r / (n - r)``, whose quotient by ``n - r + M - 1`` is least at ``r = R``,
    since `Q` is at most ``n max(low**2, high**2)``.
    """
    span.check(n, total)
    largest = _largest(n, span, span, unseen)
    if unseen.additions is None or n - _removals(n, unseen) < 2:
        return _scaled(Fraction(0), largest, span, span)
    scatter = n * squares - total * total
    if scatter < 0:
        raise ValueError(f"{n} observations of sum {total} cannot have squares that add up to {squares}.")
    additions, removals = unseen.additions, _removals(n, unseen)
    low, high = n * span.low - total, n * span.high - total
    share = Fraction(additions, n + additions)
    z = min(max(Fraction(low + high, 2), share * low), share * high)
    upper = n * scatter + n * z * z + additions * max(high - z, z - low) ** 2
    upper /= (n + additions - removals - 1) * n**2
    # Beyond a quarter of the squared width, fewer than `M` more may give a larger variance.
    upper = largest if additions and 4 * upper > span.width**2 else min(upper, largest)
    lower = n * scatter - Fraction(n * removals, n - removals) * max(low * low, high * high)
    lower = max(lower, Fraction(0)) / ((n + additions - removals - 1) * n**2)
    return _scaled(lower, upper, span, span)


def covariance_interval(
    n: int,
    totals: tuple[int, int],
    products: int,
    spans: tuple[Span, Span],
    unseen: Unseen,
    squares: tuple[int, int] | None = None,
) -> Interval:
    """The covariance of two features.

    Parameters
    ----------
    n : int
        Visible observations.
    totals : (int, int)
        Their sums, in ticks of each feature.
    products : int
        The sum of their products.
    spans : (Span, Span)
    unseen : Unseen
    squares : (int, int), optional
        The sums of their squares: then no covariance is beyond what the variances can be.

    Returns
    -------
    Interval
        In the product of the features' units, of all truths with at least two observations.

    Raises
    ------
    ValueError
        If the sums are not possible.

    Notes
    -----
    The upper end; the lower one is that of ``(x, -y)``. Let `Q` be the visible sum of products about the
    means, `x` from `a` to `b` and `y` from `c` to `d` be measured from there, and `N` be the number of
    observations in truth. ``f = (N - 1) * covariance = Q + sum(x * y, added) - sum(x * y, taken away) - N *
    mean(x) * mean(y)``.

    With nothing taken away, `f` is linear in the `y` of each added observation, with slope ``x - mean(x)``,
    and linear in each `x`: the extreme has `i` of them at ``(b, d)`` and `j` at ``(a, c)``. For any ``t``,
    ``N (f - t (N - 1))`` is a quadratic in `i` and `j`, whose form ``-t (i + j)**2 + (b - a) (d - c) i j`` is
    not negative definite for ``t <= (b - a) (d - c) / 4``; so its largest value over the triangle ``i + j <=
    M`` of reals is on an edge, where it has a closed form. The largest quotient ``f / (N - 1)`` follows by
    Dinkelbach's method (1967): each `t` is the quotient, rounded up, at the point that was best for the last
    `t`. It ends when no point is better, and then `t` is the extreme over real `i` and `j`, rounded up.

    With up to `R` taken away: none of the products added is above ``max(a c, b d)``, and ``-N mean(x) mean(y)
    <= N k``, where `k` follows from :func:`~convergence_jax.partition.answers.interval.mean_interval`. Those
    taken away have a product of at least ``b c`` or ``a d``; as all visible `x` lie above `a` with the mean
    0, at most ``-n a / (b - a)`` of them count as being at `b`, and so on for each side. So ``f - t (N - 1)``
    is at most a sum of terms that are linear in `t`, or that and 0 if it is larger; the root is the largest
    of the four that come of leaving out what is 0.

    No sample covariance of `N` values in the ranges is above ``floor(N / 2) ceil(N / 2) / (N (N - 1))`` of
    the product of their widths, which does not grow with `N` (Popoviciu, 1935, for variances).
    """
    first, second = spans
    first.check(n, totals[0])
    second.check(n, totals[1])
    upper = _highest(n, totals, products, spans, unseen)
    lower = -_highest(n, (totals[0], -totals[1]), -products, (first, second.negated), unseen)
    found = _scaled(lower, upper, first, second)
    if squares is None:
        return found
    x = variance_interval(n, totals[0], squares[0], first, unseen).upper
    y = variance_interval(n, totals[1], squares[1], second, unseen).upper
    most = math.nextafter(math.sqrt(round_up(Fraction(x) * Fraction(y))), math.inf)
    return found.meet(Interval(-most, most))


def _highest(
    n: int, totals: tuple[int, int], products: int, spans: tuple[Span, Span], unseen: Unseen
) -> Fraction:
    """Upper end of a covariance, in ticks."""
    first, second = spans
    largest = _largest(n, first, second, unseen)
    removals = _removals(n, unseen)
    if unseen.additions is None or n - removals < 2 or not largest:
        return largest
    scatter = n * (n * products - totals[0] * totals[1])
    corner = (
        n * first.low - totals[0],
        n * first.high - totals[0],
        n * second.low - totals[1],
        n * second.high - totals[1],
    )
    if removals:
        means = [mean_ends(n, total, span, unseen) for total, span in zip(totals, spans, strict=True)]
        shifts = [n * end - total for ends, total in zip(means, totals, strict=True) for end in ends]
        top = _with_removals(n, scatter, corner, shifts, unseen.additions, removals)
    else:
        scale = n * n * Fraction(2) ** (first.scale_bits + second.scale_bits)
        top = _with_additions(n, scatter, corner, unseen.additions, scale)
    top /= n * n
    beyond = unseen.additions and 4 * top > first.width * second.width
    return largest if beyond else min(top, largest)


def _with_additions(
    n: int, scatter: int, corner: tuple[int, int, int, int], additions: int, scale: Fraction
) -> Fraction:
    a, b, c, d = corner
    area = (b - a) * (d - c)

    def quotient(i: Fraction | int, j: Fraction | int) -> Fraction:
        f = scatter + i * b * d + j * a * c - (i * b + j * a) * (i * d + j * c) / Fraction(n + i + j)
        return f / (n + i + j - 1)

    split = _clip(Fraction(additions * area + n * (b * d - a * c), 2 * area), additions)
    fixed = [
        quotient(0, 0),
        quotient(split, additions - split),
        quotient(additions, 0),
        quotient(0, additions),
    ]
    best = max(fixed)
    while True:
        t = Fraction(round_up(best / scale)) * scale
        found = best
        if t > 0:
            rest = scatter - t * (n - 1)
            i, j = (_clip((n * (p - t) + rest) / (2 * t), additions) for p in (b * d, a * c))
            best = max(best, quotient(i, 0), quotient(0, j))
        if best <= t:
            return t
        assert best > found


def _with_removals(
    n: int,
    scatter: int,
    corner: tuple[int, int, int, int],
    shifts: list[Fraction],
    additions: int,
    removals: int,
) -> Fraction:
    a, b, c, d = corner
    k = max(-shifts[0] * shifts[3], -shifts[1] * shifts[2])
    left, right = Fraction(-n * a, b - a), Fraction(n * b, b - a)  # at most so many at each side
    above, below = Fraction(n * d, d - c), Fraction(-n * c, d - c)
    taken, room = Fraction(0), Fraction(removals)
    for product, most in sorted([(b * c, min(left, above)), (a * d, min(right, below))]):
        number = min(most, room)
        taken, room = taken - product * number, room - number
    fixed, largest = scatter + n * k + taken, max(a * c, b * d) + k
    return max(
        (fixed + added * largest - lost * k) / Fraction(n - 1 + added - lost)
        for added in (0, additions)
        for lost in (0, removals)
    )


def _clip(value: Fraction, most: int) -> Fraction:
    return min(max(value, Fraction(0)), Fraction(most))


def _removals(n: int, unseen: Unseen) -> int:
    return n if unseen.removals is None else min(n, unseen.removals)


def _largest(n: int, first: Span, second: Span, unseen: Unseen) -> Fraction:
    """The most that any sample of at least ``n - R`` observations has."""
    least = max(2, n - _removals(n, unseen))
    return Fraction((least // 2) * ((least + 1) // 2), least * (least - 1)) * first.width * second.width


def _scaled(lower: Fraction, upper: Fraction, first: Span, second: Span) -> Interval:
    return Interval.around(first.units(second.units(lower)), first.units(second.units(upper)))
