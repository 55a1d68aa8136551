"""Certified intervals: against every truth that small sums allow, by enumeration, rounded outwards."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.partition.answers.covariance_interval import covariance_interval, variance_interval
from convergence_jax.partition.answers.interval import (
    Interval,
    Span,
    count_interval,
    liars_interval,
    log_odds_interval,
    mean_interval,
    rank_interval,
    round_down,
    round_up,
    sum_interval,
)
from convergence_jax.partition.unseen import Unseen

SPANS = st.sampled_from([(0, 3), (-2, 1), (-3, -1), (2, 2), (0, 4), (1, 3)])
MISSING = st.tuples(st.integers(0, 3), st.integers(0, 3))


def samples(least=0, most=4):
    """A range and a few values in it."""
    return SPANS.flatmap(
        lambda span: st.tuples(st.just(span), st.lists(st.integers(*span), min_size=least, max_size=most))
    )


def truths(visible, choices, additions, removals):
    """Everything that some visible observations can be a part of."""
    for r in range(min(removals, len(visible)) + 1):
        for kept in set(itertools.combinations(visible, len(visible) - r)):
            for m in range(additions + 1):
                for added in itertools.combinations_with_replacement(choices, m):
                    yield kept + added


def all_with(span, n, total):
    """All multisets of `n` integers in a range with a sum."""
    return [
        v for v in itertools.combinations_with_replacement(range(span[0], span[1] + 1), n) if sum(v) == total
    ]


def covariance(pairs):
    n = len(pairs)
    x, y = (Fraction(sum(p[i] for p in pairs), n) for i in (0, 1))
    return sum((p[0] - x) * (p[1] - y) for p in pairs) / (n - 1)


def is_rounded(interval, least, largest):
    """Whether an interval is a range of fractions, each end rounded outwards and by less than one step."""
    lower, upper = Fraction(interval.lower), Fraction(interval.upper)
    return (
        lower <= least < Fraction(math.nextafter(interval.lower, math.inf))
        and Fraction(math.nextafter(interval.upper, -math.inf)) < largest <= upper
    )


def within(interval, least, largest):
    return Fraction(interval.lower) <= least <= largest <= Fraction(interval.upper)


NUMBERS = st.fractions() | st.sampled_from([Fraction(1, 10**400), Fraction(-1, 10**400), Fraction(2**53 + 1)])


@given(NUMBERS)
def test_fractions_are_rounded_to_the_nearest_float_on_their_side(exact):
    assert is_rounded(Interval(round_down(exact), round_up(exact)), exact, exact)


def test_what_no_float_reaches_is_rounded_to_infinity_outwards_and_to_the_last_float_inwards():
    assert round_up(Fraction(10**400)) == -round_down(Fraction(-(10**400))) == math.inf
    assert round_down(Fraction(10**400)) == -round_up(Fraction(-(10**400))) == math.nextafter(math.inf, 0)
    assert math.copysign(1.0, round_up(Fraction(-1, 10**400))) == 1.0


@given(samples(), MISSING, st.sampled_from([-3, 0, 5]))
@example(((-2, 1), [1, 1, 0, 0]), (0, 3), 0)
@example(((0, 4), [3]), (0, 2), 0)
@example(((0, 4), [0, 1]), (0, 3), 0)
def test_count_sum_and_mean_are_the_extremes_over_every_truth_with_these_sums(drawn, missing, bits):
    span, visible = drawn
    n, total, unseen, unit = len(visible), sum(visible), Unseen(*missing), Fraction(2) ** bits
    grid = range(span[0], span[1] + 1)
    found = {t for v in all_with(span, n, total) for t in truths(v, grid, *missing)}
    declared = Span(*span, bits)
    counts, sums = {len(t) for t in found}, {Fraction(sum(t)) / unit for t in found}
    assert count_interval(n, unseen) == Interval(min(counts), max(counts))
    assert is_rounded(sum_interval(n, total, declared, unseen), min(sums), max(sums))
    means = {Fraction(sum(t), len(t)) / unit for t in found if t} or {Fraction(e) / unit for e in span}
    assert is_rounded(mean_interval(n, total, declared, unseen), min(means), max(means))


def test_an_infinite_age_leaves_what_the_ranges_leave():
    span = Span(-2, 6, 1)
    assert count_interval(4, Unseen(None, None)) == Interval(0.0, math.inf)
    assert count_interval(4, Unseen(None, 1)) == Interval(3.0, math.inf)
    assert sum_interval(4, 8, span, Unseen(None, 0)) == Interval(-math.inf, math.inf)
    assert sum_interval(4, 8, Span(0, 6, 1), Unseen(None, 1)) == Interval(1.0, math.inf)
    assert mean_interval(4, 8, span, Unseen(None, 0)) == Interval(-1.0, 3.0)
    assert mean_interval(0, 0, span, Unseen()) == Interval(-1.0, 3.0)
    assert variance_interval(9, 8, 50, span, Unseen(None, 0)) == Interval(0.0, round_up(Fraction(5 * 64, 72)))
    assert covariance_interval(9, (8, 8), 9, (span, span), Unseen(None, 9)) == Interval(-8.0, 8.0)
    assert log_odds_interval(1.0, 0.5, -2, 2, Unseen(None, 0)) == Interval(-math.inf, math.inf)
    assert log_odds_interval(1.0, 0.5, 0, 2, Unseen(None, 0)) == Interval(1.5, math.inf)
    assert rank_interval(0.5, 10, Unseen(None, 0)) == (0, 11)


@pytest.mark.parametrize("total", [-9, 13])
def test_a_sum_that_the_range_does_not_allow_is_refused(total):
    span = Span(-2, 3)
    for refused in (
        lambda: sum_interval(4, total, span, Unseen(1)),
        lambda: mean_interval(4, total, span, Unseen(1)),
        lambda: variance_interval(4, total, 50, span, Unseen(1)),
        lambda: covariance_interval(4, (0, total), 0, (span, span), Unseen(1)),
    ):
        with pytest.raises(ValueError, match="cannot add up"):
            refused()


def test_squares_that_no_values_have_and_a_range_upside_down_are_refused():
    with pytest.raises(ValueError, match="squares"):
        variance_interval(4, 8, 15, Span(0, 3), Unseen(1))
    with pytest.raises(ValueError, match="low must be at most high"):
        Span(2, 1)


@st.composite
def pairs(draw):
    spans = draw(st.tuples(SPANS, SPANS))
    chosen = st.tuples(*(st.integers(*span) for span in spans))
    return spans, tuple(draw(st.lists(chosen, min_size=2, max_size=4)))


def sums(visible):
    x, y = zip(*visible, strict=True)
    products = sum(a * b for a, b in visible)
    return (sum(x), sum(y)), products, (sum(a * a for a in x), sum(b * b for b in y))


@given(pairs(), MISSING)
@example((((0, 3), (0, 3)), ((0, 0), (3, 3))), (1, 0))
@example((((0, 3), (0, 3)), ((0, 0), (3, 3), (3, 3))), (3, 1))
def test_covariance_and_variance_hold_every_truth(drawn, missing):
    spans, visible = drawn
    totals, products, squares = sums(visible)
    declared, unseen, n = tuple(Span(*span) for span in spans), Unseen(*missing), len(visible)
    corners = list(itertools.product(*spans))  # a covariance is linear in each coordinate of each
    found = {covariance(t) for t in truths(visible, corners, *missing) if len(t) > 1}
    if found:
        assert within(covariance_interval(n, totals, products, declared, unseen), min(found), max(found))
        narrow = covariance_interval(n, totals, products, declared, unseen, squares)
        assert within(narrow, min(found), max(found))
    xs, grid = [x for x, _ in visible], range(spans[0][0], spans[0][1] + 1)
    found = {covariance([(x, x) for x in t]) for t in truths(xs, grid, *missing) if len(t) > 1}
    if found:
        own = variance_interval(n, totals[0], squares[0], declared[0], unseen)
        assert within(own, min(found), max(found))
        same = covariance_interval(n, (totals[0],) * 2, squares[0], (declared[0],) * 2, unseen)
        assert within(same, min(found), max(found))


@given(pairs())
def test_with_nothing_unseen_an_interval_is_a_point_rounded_to_both_sides(drawn):
    spans, visible = drawn
    totals, products, squares = sums(visible)
    declared, n = tuple(Span(*span, 3) for span in spans), len(visible)
    exact = covariance(visible) / 64
    assert is_rounded(covariance_interval(n, totals, products, declared, Unseen()), exact, exact)
    assert within(covariance_interval(n, totals, products, declared, Unseen(), squares), exact, exact)
    exact = covariance([(x, x) for x, _ in visible]) / 64
    assert is_rounded(variance_interval(n, totals[0], squares[0], declared[0], Unseen()), exact, exact)
    assert is_rounded(mean_interval(n, totals[0], declared[0], Unseen()), *[Fraction(totals[0], 8 * n)] * 2)


WIDE = Span(-40, 160), Span(0, 90)


@given(
    st.lists(st.tuples(st.integers(-40, 160), st.integers(0, 90)), min_size=30, max_size=40),
    st.integers(1, 6),
)
def test_with_nothing_taken_away_a_covariance_is_nearly_its_extremes(visible, additions):
    """The bound is the extreme over real numbers of truths at each corner; whole ones fall short a little."""
    n, (totals, products, squares) = len(visible), sums(visible)
    corners = list(itertools.product((-40, 160), (0, 90)))
    found = []
    for m in range(additions + 1):
        for added in itertools.combinations_with_replacement(corners, m):
            extra = sums(added) if added else ((0, 0), 0, (0, 0))
            x, y, xy, count = totals[0] + extra[0][0], totals[1] + extra[0][1], products + extra[1], n + m
            found.append(Fraction(count * xy - x * y, count * (count - 1)))
    got = covariance_interval(n, totals, products, WIDE, Unseen(additions))
    assert within(got, min(found), max(found))
    assert got.upper - got.lower <= 1.03 * float(max(found) - min(found))
    variances = []
    for m in range(additions + 1):
        for k in range(m + 1):
            x, xx, count = totals[0] + 160 * k - 40 * (m - k), squares[0] + 25600 * k + 1600 * (m - k), n + m
            variances.append(Fraction(count * xx - x * x, count * (count - 1)))
    own = variance_interval(n, totals[0], squares[0], WIDE[0], Unseen(additions))
    assert max(variances) <= Fraction(own.upper) <= max(variances) * Fraction(103, 100)


@given(
    st.lists(st.tuples(st.integers(-40, 160), st.integers(0, 90)), min_size=2, max_size=12),
    st.integers(1, 40),
)
@example([(160, 60), (150, 85), (155, 30), (159, 11), (158, 2), (160, 1)], 40)
@example([(-40, 60), (-30, 85), (-35, 88), (-39, 11), (-38, 80), (-40, 89)], 40)
def test_a_covariance_holds_however_many_are_added_at_opposite_corners(visible, additions):
    n, (totals, products, _) = len(visible), sums(visible)
    got = covariance_interval(n, totals, products, WIDE, Unseen(additions))
    for first, second in (((160, 90), (-40, 0)), ((160, 0), (-40, 90))):
        for i in range(additions + 1):
            for j in range(additions + 1 - i):
                x, y = (totals[k] + i * first[k] + j * second[k] for k in (0, 1))
                xy, count = products + i * math.prod(first) + j * math.prod(second), n + i + j
                truth = Fraction(count * xy - x * y, count * (count - 1))
                assert within(got, truth, truth)


@given(
    st.lists(st.tuples(st.integers(20, 100), st.integers(20, 70)), min_size=24, max_size=24),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_with_some_taken_away_from_the_corners_a_covariance_is_not_far_beyond_its_extremes(
    middle, additions, removals
):
    corners = list(itertools.product((-40, 160), (0, 90)))
    visible = middle + 4 * corners
    n, (totals, products, _) = len(visible), sums(visible)
    found = []
    for r in range(removals + 1):
        for lost in itertools.combinations_with_replacement(corners, r):
            for m in range(additions + 1):
                for added in itertools.combinations_with_replacement(corners, m):
                    x, y = (totals[k] + sum(p[k] for p in added) - sum(p[k] for p in lost) for k in (0, 1))
                    xy, count = products + sum(map(math.prod, added)) - sum(map(math.prod, lost)), n + m - r
                    found.append(Fraction(count * xy - x * y, count * (count - 1)))
    got = covariance_interval(n, totals, products, WIDE, Unseen(additions, removals))
    assert within(got, min(found), max(found))
    assert got.upper - got.lower <= 1.2 * float(max(found) - min(found))


def test_what_is_taken_away_was_there_to_be_taken_away():
    """With both means a thousandth of the range, at most one in a thousand is at a high end."""
    span = Span(0, 1000)
    found = covariance_interval(1000, (1000, 1000), 1000, (span, span), Unseen(0, 50))
    assert found.upper < 2.5  # 50 if all that is taken away could be there


@pytest.mark.parametrize("flip", list(itertools.product((False, True), repeat=2)))
@pytest.mark.parametrize(
    ("high", "visible", "additions"),
    [((1, 20), [(0, 14), (0, 15)], 7), ((1, 20), [(1, 6), (1, 5)], 3), ((20, 20), [(3, 4), (9, 16)], 5)],
)
def test_with_nothing_taken_away_a_covariance_is_the_extreme_over_parts_of_truths(
    high, visible, additions, flip
):
    """Some of the extremes have one corner only, and not all that may be added."""
    visible = [tuple(h - v if f else v for v, h, f in zip(p, high, flip, strict=True)) for p in visible]
    n, (totals, products, _) = len(visible), sums(visible)
    found, parts = [], [Fraction(k, 8) for k in range(8 * additions + 1)]
    for first, second in ((high, (0, 0)), ((high[0], 0), (0, high[1]))):
        for i, j in itertools.product(parts, repeat=2):
            if i + j <= additions:
                x, y = (totals[k] + i * first[k] + j * second[k] for k in (0, 1))
                xy, count = products + i * math.prod(first) + j * math.prod(second), n + i + j
                found.append((count * xy - x * y) / (count * (count - 1)))
    got = covariance_interval(n, totals, products, (Span(0, high[0]), Span(0, high[1])), Unseen(additions))
    assert within(got, min(found), max(found))
    assert got.upper - got.lower <= 1.001 * float(max(found) - min(found))


@given(
    st.lists(st.tuples(st.integers(-40, 160), st.integers(0, 90)), min_size=2, max_size=30),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), min_size=2, max_size=6),
)
@example([(-40, 0), (160, 90)] * 8, [(0, 0), (0, 10)])
def test_no_interval_shrinks_when_more_may_be_unseen(visible, steps):
    n, (totals, products, squares) = len(visible), sums(visible)
    missing, last = Unseen(0, 0), None
    for additions, removals in [*steps, (None, 0), (0, None)]:
        missing = missing + Unseen(additions, removals)
        intervals = [
            count_interval(n, missing),
            sum_interval(n, totals[0], WIDE[0], missing),
            mean_interval(n, totals[1], WIDE[1], missing),
            variance_interval(n, totals[0], squares[0], WIDE[0], missing),
            covariance_interval(n, totals, products, WIDE, missing),
            covariance_interval(n, totals, products, WIDE, missing, squares),
            log_odds_interval(0.3, -2.0, -1.5, 4.0, missing),
            Interval(*map(float, rank_interval(0.9, n, missing))),
        ]
        for now, before in zip(intervals, last or intervals, strict=True):
            assert now.lower <= before.lower <= before.upper <= now.upper
        last = intervals


LOGS = st.sampled_from([-1.5, -0.1, 0.0, 0.3, 2.0**-60, 7.25])


@given(
    st.lists(LOGS, max_size=3),
    st.sampled_from([(-2.0, 8.0), (0.25, 8.0), (-2.0, -0.5), (0.0, 0.1)]),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 2),
)
def test_the_honest_total_is_inside_whoever_lies_and_whatever_is_unseen(said, span, missing, liars):
    """Two observers said nothing yet; either may be among the liars, or be honest and unseen."""
    found = liars_interval([Fraction(x) for x in said], liars, 0.125, *span, Unseen(*missing))
    everyone = [Fraction(x) for x in said] + [Fraction(0)] * 2
    ends = [Fraction(e) for e in span]
    for number in range(liars + 1):
        for lying in itertools.combinations(range(len(everyone)), number):
            base = Fraction(0.125) + sum(x for o, x in enumerate(everyone) if o not in lying)
            changes = [
                sum(added) - sum(removed)
                for m in range(missing[0] + 1)
                for r in range(missing[1] + 1)
                for added in itertools.product(ends, repeat=m)
                for removed in itertools.product(ends, repeat=r)
            ]
            assert within(found, base + min(changes), base + max(changes))
    least = sum(everyone) - sum(sorted((max(x, Fraction(0)) for x in everyone), reverse=True)[:liars])
    largest = sum(everyone) - sum(sorted(min(x, Fraction(0)) for x in everyone)[:liars])
    m, r = missing
    least += m * min(ends[0], 0) - r * max(ends[1], 0) + Fraction(0.125)
    largest += m * max(ends[1], 0) - r * min(ends[0], 0) + Fraction(0.125)
    assert is_rounded(found, least, largest)


@given(st.lists(LOGS, max_size=5), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_log_odds_are_the_liars_bounds_without_liars(said, missing):
    total = sum(map(Fraction, said))
    found = log_odds_interval(total, 1e-30, -2.0, 8.0, Unseen(*missing))
    assert found == liars_interval(list(map(Fraction, said)), 0, 1e-30, -2.0, 8.0, Unseen(*missing))
    m, r = missing
    assert is_rounded(found, Fraction(1e-30) + total - 2 * m - 8 * r, Fraction(1e-30) + total + 8 * m + 2 * r)


@given(samples(most=4), MISSING, st.sampled_from([0, Fraction(1, 4), 0.5, 0.9, 1]))
def test_a_quantile_is_between_the_visible_ranks(drawn, missing, q):
    span, visible = drawn
    low, high = rank_interval(q, len(visible), Unseen(*missing))
    at = [span[0], *sorted(visible), span[1]]
    for truth in truths(visible, range(span[0], span[1] + 1), *missing):
        if truth:
            rank = max(1, math.ceil(Fraction(q) * len(truth)))
            assert at[low] <= sorted(truth)[rank - 1] <= at[high]


@pytest.mark.parametrize(("cap", "misses"), [(8, False), (4, True)])
def test_half_the_cap_is_what_it_takes_to_miss(cap, misses):
    """Eight at the high end arrive late: bounds for four do not hold the truth."""
    visible, late = [(1, 2), (0, 0), (2, 1), (1, 1)] * 5, [(9, 9)] * 8
    totals, products, squares = sums(visible)
    truth, unseen, span = visible + late, Unseen(cap), Span(0, 9)
    held = [
        within(count_interval(20, unseen), 28, 28),
        within(sum_interval(20, totals[0], span, unseen), *[sum(x for x, _ in truth)] * 2),
        within(mean_interval(20, totals[0], span, unseen), *[Fraction(sum(x for x, _ in truth), 28)] * 2),
        within(covariance_interval(20, totals, products, (span, span), unseen), *[covariance(truth)] * 2),
        within(
            variance_interval(20, totals[0], squares[0], span, unseen),
            *[covariance([(x, x) for x, _ in truth])] * 2,
        ),
        within(log_odds_interval(totals[0], 0, 0, 9, unseen), *[sum(x for x, _ in truth)] * 2),
    ]
    assert held == [not misses] * 6
