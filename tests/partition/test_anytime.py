"""The anytime interval: its lines, its budget, its extremes by enumeration, and what it assumes."""

import itertools
import math
import time

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.partition.answers.anytime import Boundary, OriginMean, anytime_mean_interval
from convergence_jax.partition.answers.interval import Interval, Span, mean_interval
from convergence_jax.partition.unseen import Unseen

SPAN = Span(-512, 1536, 9)  # from -1 to 3
UNIT = Span(0, 1)


def slopes(boundary):
    """Exponents of the lines, from what the lines cost: the first is 16, and costs fall as they rise."""
    return 16.0 * boundary.from_start[0] / boundary.from_start


def test_the_parts_of_alpha_add_up_to_alpha():
    """Over origins, sides, exponents and starts; the starts from `n` on have log(2) / log(n + 1) of half."""
    boundary, last = Boundary(UNIT, 7, 0.03), 200_000
    s = slopes(boundary)
    from_start = np.exp(-s * boundary.from_start).sum()
    later = np.exp(-s * boundary.from_later(np.arange(1.0, last))).sum()
    tail = np.exp(-s * boundary.from_start).sum() * math.log(2.0) / math.log(last + 1.0)
    assert math.isclose(2 * 7 * (from_start + later + tail), 0.03, rel_tol=1e-9)


@given(st.floats(0.0, 1.0), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5))
def test_each_line_is_that_of_a_supermartingale(p, values):
    """Of all laws on [0, 1] with a mean, the one on its ends has the largest mean of ``exp(s x)``."""
    boundary = Boundary(UNIT, 1, 0.05)
    mean = sum(values) / len(values)
    for s in map(mpmath.mpf, slopes(boundary)):
        ends = 1 - mpmath.mpf(mean) + mpmath.mpf(mean) * mpmath.exp(s)
        assert sum(mpmath.exp(s * mpmath.mpf(x)) for x in values) / len(values) <= ends * (
            1 + mpmath.mpf(1e-13)
        )


def most(boundary, n, p, numbers):
    """The largest sums of so many values after the first `n` that no line rules out, in units of range."""
    s = [mpmath.mpf(x) for x in slopes(boundary)]
    gains = [mpmath.log(1 - p + p * mpmath.exp(x)) / x for x in s]
    costs = boundary.from_later(np.array([max(1.0, float(n))]))[0]
    return [float(min([k, *(c + gain * k for c, gain in zip(costs, gains, strict=True))])) for k in numbers]


ORIGINS = st.lists(
    st.tuples(st.integers(0, 2000), st.floats(0.0, 1.0), st.integers(0, 30)), min_size=1, max_size=2
).filter(lambda drawn: any(n for n, _, _ in drawn))


@example([(745, 0.0, 5)])
@given(ORIGINS)
def test_the_ends_are_the_extremes_over_how_much_is_unseen_of_each_origin(drawn):
    boundary = Boundary(Span(0, 1 << 20, 20), 2, 0.5)
    known = [OriginMean().seen(n, round(n * x * 2**20), boundary) for n, x, _ in drawn]
    found = anytime_mean_interval(known, [Unseen(m) for _, _, m in drawn], boundary)
    here = [origin.total / 2**20 for origin in known]
    count = sum(n for n, _, _ in drawn)

    def largest(sums, means):
        tables = [most(boundary, n, p, range(m + 1)) for (n, _, m), p in zip(drawn, means, strict=True)]
        return max(
            (sum(sums) + sum(table[k] for table, k in zip(tables, ks, strict=True))) / (count + sum(ks))
            for ks in itertools.product(*(range(m + 1) for _, _, m in drawn))
        )

    upper = largest(here, [origin.upper for origin in known])
    lower = 1 - largest(
        [n - x for (n, _, _), x in zip(drawn, here, strict=True)], [1 - o.lower for o in known]
    )
    assert found.lower <= lower + 1e-12
    assert found.upper >= upper - 1e-12
    # A line that is lowest in the middle of a piece is at its ends less than sqrt(2) times the lowest there.
    assert found.upper - found.lower <= math.sqrt(2.0) * (upper - lower) + 1e-9


@given(st.integers(1, 10**6), st.floats(0.0, 1.0))
def test_the_bounds_on_a_mean_are_where_the_lines_meet_its_sum(n, x):
    boundary = Boundary(Span(0, 1 << 20, 20), 5, 0.05)
    origin = OriginMean().seen(n, round(n * x * 2**20), boundary)
    here = origin.total / 2**20

    def excess(p, total):
        """How far a sum is above the lowest of the lines for a mean."""
        s = [mpmath.mpf(v) for v in slopes(boundary)]
        ends = [n * mpmath.log(1 - p + p * mpmath.exp(v)) / v for v in s]
        return max(total - e - cost for e, cost in zip(ends, boundary.from_start, strict=True))

    for least, total in ((origin.lower, here), (1.0 - origin.upper, n - here)):
        assert 0.0 <= least <= 1.0
        if least > 1e-9:
            assert excess(mpmath.mpf(least) * (1 - mpmath.mpf(1e-6)) - 1e-10, total) > 0
        assert excess(mpmath.mpf(least) * (1 + mpmath.mpf(1e-6)) + mpmath.mpf(1e-10), total) <= 0


def test_bounds_on_a_mean_never_widen_and_old_rows_change_nothing():
    rng, boundary = np.random.default_rng(3), Boundary(UNIT, 4, 0.05)
    x, origin = (rng.random(5000) < 0.2).astype(int).cumsum(), OriginMean()
    for n in range(100, 5000, 100):
        later = origin.seen(n, int(x[n - 1]), boundary)
        assert origin.lower <= later.lower <= 0.2 <= later.upper <= origin.upper
        assert later.seen(n - 50, int(x[n - 51]), boundary) is later
        origin = later
    assert origin.upper - origin.lower < 0.1


def test_it_is_never_wider_than_the_certified_one_and_no_narrower_than_a_point():
    boundary = Boundary(SPAN, 3, 0.05)
    known = [OriginMean().seen(n, t, boundary) for n, t in ((900, 100), (20, 20 * 1536), (5000, 123456))]
    for numbers in itertools.product((0, 1, 40, 3000, None), repeat=3):
        unseen = [Unseen(m) for m in numbers]
        whole = mean_interval(5920, 100 + 20 * 1536 + 123456, SPAN, sum(unseen, Unseen()))
        narrow = anytime_mean_interval(known, unseen, boundary)
        assert whole.lower <= narrow.lower <= narrow.upper <= whole.upper
    assert anytime_mean_interval(known, [Unseen()] * 3, boundary) == mean_interval(
        5920, 100 + 20 * 1536 + 123456, SPAN, Unseen()
    )


def test_an_origin_without_a_valid_echo_leaves_it_narrower_than_the_range():
    boundary = Boundary(UNIT, 2, 0.05)
    known = [OriginMean().seen(10000, 3000, boundary), OriginMean().seen(10000, 3000, boundary)]
    found = anytime_mean_interval(known, [Unseen(), Unseen(None)], boundary)
    assert 0.25 < found.lower < 0.3 < found.upper < 0.35
    never_heard_of = anytime_mean_interval([known[0], OriginMean()], [Unseen(), Unseen(None)], boundary)
    assert never_heard_of.lower < 0.001
    assert never_heard_of.upper > 0.999


def test_with_nothing_to_go_by_there_is_none():
    boundary = Boundary(UNIT, 2, 0.05)
    known = [OriginMean().seen(100, 30, boundary)] * 2
    assert anytime_mean_interval(known, [Unseen(5), Unseen(5, 1)], boundary) is None
    assert anytime_mean_interval(known, [Unseen(5), Unseen(5, None)], boundary) is None
    assert anytime_mean_interval([OriginMean()], [Unseen(5)], boundary) is None
    assert anytime_mean_interval([], [], boundary) is None
    zeros_then_ones = OriginMean().seen(10000, 0, boundary).seen(30000, 20000, boundary)
    assert zeros_then_ones.lower > zeros_then_ones.upper
    assert anytime_mean_interval([known[0], zeros_then_ones], [Unseen(5), Unseen(5)], boundary) is None


@pytest.mark.parametrize(
    ("span", "origins", "alpha"), [(UNIT, 0, 0.1), (UNIT, 1, 0.0), (UNIT, 1, 1.0), (Span(3, 3), 1, 0.1)]
)
def test_a_boundary_without_origins_level_or_range_is_refused(span, origins, alpha):
    with pytest.raises(ValueError, match="Boundary"):
        Boundary(span, origins, alpha)


def test_more_origins_than_shared_alpha_are_refused_and_so_are_sums_out_of_range():
    boundary = Boundary(UNIT, 1, 0.05)
    with pytest.raises(ValueError, match="at most 1 origins, got 2 for 2"):
        anytime_mean_interval([OriginMean()] * 2, [Unseen()] * 2, boundary)
    with pytest.raises(ValueError, match="got 2 for 1"):
        anytime_mean_interval([OriginMean()], [Unseen()] * 2, boundary)
    with pytest.raises(ValueError, match="cannot add up"):
        OriginMean().seen(3, 4, boundary)


def misses(rng, alpha, drift, runs=30):
    """Runs with any miss: three origins toss coins, and one of them is hidden after 400 tosses."""
    boundary, missed = Boundary(UNIT, 3, alpha), 0
    for _ in range(runs):
        p = np.where(np.arange(2000) < 400, 0.2, 0.2 + drift)
        hidden, others = (rng.random(2000) < p).cumsum(), (rng.random((2, 2000)) < 0.6).cumsum(axis=1)
        known = [OriginMean().seen(400, int(hidden[399]), boundary)]
        inside = True
        for n in range(450, 2001, 50):
            seen = [OriginMean().seen(n, int(x[n - 1]), boundary) for x in others]
            found = anytime_mean_interval([*known, *seen], [Unseen(n - 400), Unseen(), Unseen()], boundary)
            truth = (int(hidden[n - 1]) + int(others[:, n - 1].sum())) / (3 * n)
            inside &= found.lower <= truth <= found.upper
        missed += not inside
    return missed


def test_a_constant_mean_is_held_over_whole_runs_and_a_drifting_one_is_missed():
    assert misses(np.random.default_rng(5), 0.05, 0.0) == 0
    assert misses(np.random.default_rng(5), 0.05, 0.5) == 30


def test_values_that_depend_on_the_past_are_held_as_long_as_their_mean_does_not():
    """Doubling the spread after each loss, in a range that allows it, changes no mean."""
    rng, boundary = np.random.default_rng(9), Boundary(Span(-1024, 1024), 1, 0.05)
    for _ in range(20):
        stake, values = 1, []
        for _ in range(3000):
            values.append(int(rng.choice([-stake, stake])))
            stake = min(1024, 2 * stake) if values[-1] < 0 else 1
        sums = np.cumsum(values)
        origin = OriginMean()
        for n in range(100, 1001, 100):
            origin = origin.seen(n, int(sums[n - 1]), boundary)
            for k in (1, 50, 500, 2000):
                found = anytime_mean_interval([origin], [Unseen(k)], boundary)
                truths = sums[n - 1 : n + k] / np.arange(n, n + k + 1)
                assert found.lower <= truths.min()
                assert truths.max() <= found.upper


def test_after_a_cut_it_is_several_times_narrower_than_the_certified_one():
    rng, boundary = np.random.default_rng(1), Boundary(Span(0, 1 << 20, 20), 20, 0.05)
    ratios = []
    for mean in (0.01, 0.5):
        x = rng.beta(mean * 5, (1 - mean) * 5, (20, 10000))
        known = [OriginMean().seen(10000, round(float(row.sum()) * 2**20), boundary) for row in x]
        unseen = [Unseen(1000 if j < 10 else 0) for j in range(20)]
        whole = mean_interval(200000, sum(o.total for o in known), boundary.span, sum(unseen, Unseen()))
        found = anytime_mean_interval(known, unseen, boundary)
        ratios.append((found.upper - found.lower) / (whole.upper - whole.lower))
    assert ratios[0] < 0.08
    assert ratios[1] < 0.3


def test_fifty_origins_take_milliseconds():
    boundary = Boundary(Span(0, 1 << 20, 20), 50, 0.05)
    known = [OriginMean().seen(10000, 10000 * (1000 + j), boundary) for j in range(50)]
    unseen = [Unseen(1 << (j % 20)) for j in range(50)]
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        found = anytime_mean_interval(known, unseen, boundary)
        seconds.append(time.perf_counter() - started)
    assert isinstance(found, Interval)
    print(f"50 origins: {1e3 * min(seconds):.1f} ms")
    assert min(seconds) < 0.02  # 1 to 3 ms on an idle machine
