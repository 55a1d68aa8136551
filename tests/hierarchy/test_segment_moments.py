"""Moments of segments, sums of leaves and merging upwards, against integers of Python."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.exact import digits
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.hierarchy.leaf_sums import LeafSums, mean_ticks, sums_by_segment
from convergence_jax.hierarchy.reduce import merge_children, merge_upwards
from convergence_jax.hierarchy.segment_moments import moments_by_segment
from convergence_jax.hierarchy.segments import LONGEST_BLOCK, lay_out
from convergence_jax.statistics.moments import Moments, MomentsState

NARROW = Moments((FixedPoint(20, 11), FixedPoint(0, 31)))
WIDE = Moments((FixedPoint(50, 12), FixedPoint(20, 11)))
ROWS, SEGMENTS = 150, 6
statistics = pytest.mark.parametrize("stat", [NARROW, WIDE], ids=["narrow", "wide"])

segments = st.lists(st.integers(-1, SEGMENTS - 1), min_size=ROWS, max_size=ROWS).map(np.array)
uneven = st.lists(
    st.sampled_from([-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 5]), min_size=ROWS, max_size=ROWS
).map(np.array)


def bits(state: MomentsState) -> bytes:
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))


def extreme_ticks(stat: Moments, key: int, shape: tuple[int, ...]) -> np.ndarray:
    """Ticks of every size and sign, the largest often."""
    rng = np.random.default_rng(key)
    largest = np.array([2**lift.bits - 1 for lift in stat.lifts])[:, None]
    ticks = rng.integers(-largest, largest + 1, (stat.features, *shape))
    ends = np.where(rng.random(ticks.shape) < 0.5, largest, -largest)
    return np.where(rng.random(ticks.shape) < 0.5, ends, ticks >> rng.integers(0, 60, ticks.shape))


def check_against_integers(stat: Moments, state: MomentsState, ticks: np.ndarray, where: np.ndarray) -> None:
    sums, products = digits.to_ints(state.sums), digits.to_ints(state.products)
    for s in range(len(sums)):
        rows = [[int(t) for t in row] for row in ticks[:, where == s].T]
        assert int(state.count[s]) == len(rows)
        for i in range(stat.features):
            assert sums[s, i] == sum(row[i] for row in rows)
        for p, (i, j) in enumerate(zip(*stat.pairs, strict=True)):
            assert products[s, p] == sum(row[i] * row[j] for row in rows)


@statistics
@given(where=st.one_of(segments, uneven), key=st.integers(0, 2**32 - 1))
def test_sums_and_products_of_segments_are_those_of_integers(stat, where, key):
    ticks = extreme_ticks(stat, key, (ROWS,))
    check_against_integers(stat, moments_by_segment(stat, ticks, where, SEGMENTS), ticks, where)


@statistics
@pytest.mark.parametrize("sign", [1, -1])
def test_full_blocks_of_the_largest_products_are_exact(stat, sign):
    n = 9000  # blocks of their longest, in one segment, and more than a chunk of short ones in others
    ticks = np.tile(np.array([[2**lift.bits - 1] for lift in stat.lifts]), (1, n))
    ticks[1] *= sign
    where = np.concatenate([np.zeros(5000, np.int64), 1 + np.arange(4000) % 1500])
    check_against_integers(stat, moments_by_segment(stat, ticks, where, 1600), ticks, where)


def test_the_longest_blocks_of_the_largest_products_are_exact():
    n = 8 * 1008 * LONGEST_BLOCK
    ticks = np.full((1, n), 2**31 - 1)
    ticks[:, ::3] *= -1
    state = moments_by_segment(Moments((FixedPoint(0, 31),)), ticks, np.arange(n) % 5, 5)
    assert lay_out(np.arange(n) % 5, 5).length.max() == LONGEST_BLOCK
    counts = np.bincount(np.arange(n) % 5)
    assert list(digits.to_ints(state.products)[:, 0]) == [int(c) * (2**31 - 1) ** 2 for c in counts]
    assert list(digits.to_ints(state.sums)[:, 0]) == [int(ticks[0, k::5].sum()) for k in range(5)]


@statistics
@given(where=segments, key=st.integers(0, 2**32 - 1), order=st.permutations(range(ROWS)))
def test_the_order_of_rows_leaves_no_trace(stat, where, key, order):
    xs = np.random.default_rng(key).standard_normal((2, ROWS)) * 2000
    xs[0, 3], xs[1, 4], xs[0, 5] = np.nan, np.inf, 1e300
    order = np.array(order)
    state = moments_by_segment(stat, xs, where, SEGMENTS)
    assert bits(moments_by_segment(stat, xs[:, order], where[order], SEGMENTS)) == bits(state)


@statistics
@given(where=segments, key=st.integers(0, 2**32 - 1))
def test_segments_hold_what_lifting_and_merging_row_by_row_holds(stat, where, key):
    rng = np.random.default_rng(key)
    xs = rng.standard_normal((2, ROWS)) * 10.0 ** rng.integers(-9, 6, ROWS)
    for kind in (np.nan, -np.inf, 1e300):
        xs[rng.integers(2), rng.integers(ROWS)] = kind
    state = moments_by_segment(stat, xs, where, SEGMENTS)
    with np.errstate(over="ignore", invalid="ignore"):
        rows = stat.lift(xs.T)
    for s in range(SEGMENTS):
        whole = stat.total(jax.tree.map(lambda a, s=s: a[where == s], rows))
        assert bits(jax.tree.map(lambda a, s=s: a[s], state)) == bits(whole)


def test_no_rows_give_the_empty_state():
    empty = moments_by_segment(NARROW, np.zeros((2, 0)), np.zeros(0, np.int64), 3)
    assert bits(empty) == bits(NARROW.empty((3,)))
    assert bits(moments_by_segment(NARROW, np.ones((2, 9)), np.full(9, -1), 3)) == bits(NARROW.empty((3,)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must be below 3, got 3"):
        moments_by_segment(NARROW, np.zeros((2, 4)), np.arange(4), 3)
    with pytest.raises(ValueError, match=r"xs must be \(2, n\)"):
        moments_by_segment(NARROW, np.zeros((3, 4)), np.arange(4), 4)
    with pytest.raises(ValueError, match="4 segments and num_segments"):
        moments_by_segment(NARROW, np.zeros((2, 4)), np.arange(3), 4)
    with pytest.raises(ValueError, match="ticks must be"):
        LeafSums(NARROW).add(np.zeros((3, 4), np.int64), np.arange(4))


@pytest.mark.parametrize("shape", ["even", "poisson", "pareto"])
def test_padding_is_small_for_uneven_segments(shape):
    rng = np.random.default_rng(1)
    sizes = {"even": np.full(50_000, 20), "poisson": rng.poisson(20, 50_000)}.get(shape)
    if sizes is None:
        sizes = np.ceil(rng.pareto(1.5, 50_000) * 10).astype(np.int64)
    layout = lay_out(np.repeat(np.arange(50_000), sizes), 50_000)
    assert int(layout.length.sum()) == sizes.sum()
    assert layout.padding < 0.16


@statistics
@given(where=segments, key=st.integers(0, 2**32 - 1))
def test_leaf_sums_and_their_means_are_those_of_integers(stat, where, key):
    ticks = extreme_ticks(stat, key, (ROWS,))
    table = LeafSums(stat, capacity=2)
    for part in (slice(0, 40), slice(40, 100), slice(100, ROWS)):
        table.add(ticks[:, part], where[part])
    count, sums = table.state(SEGMENTS)
    again = sums_by_segment(stat, ticks, where, SEGMENTS)
    np.testing.assert_array_equal(again[0], count)
    np.testing.assert_array_equal(again[1], sums)
    means, whole = mean_ticks(count, sums), digits.to_ints(sums)
    for s in range(SEGMENTS):
        assert count[s] == (where == s).sum()
        for f in range(stat.features):
            total = sum(int(t) for t in ticks[f, where == s])
            assert whole[s, f] == total
            assert means[s, f] == (round(Fraction(total, int(count[s]))) if count[s] else 0)


@pytest.mark.parametrize("length", [2, 4])
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 2**32 - 1), st.integers(-(2**62), 2**62), st.integers(-3, 3)), min_size=1
    )
)
def test_means_round_ties_to_even(length, rows):
    count = np.array([n for n, _, _ in rows])
    tick = [m if length == 4 else m >> 31 for _, m, _ in rows]
    totals = [m * n + n // 2 + e for (n, _, e), m in zip(rows, tick, strict=True)]  # near a tie
    means = mean_ticks(count, digits.from_ints(np.array(totals, dtype=object)[:, None], length))
    assert means[:, 0].tolist() == [round(Fraction(t, n)) for t, (n, _, _) in zip(totals, rows, strict=True)]


@statistics
def test_merging_upwards_is_merging_one_by_one(stat):
    rng = np.random.default_rng(5)
    children, groups = 9000, 7  # more than two slices of children, the last one overlapping
    ticks = extreme_ticks(stat, 6, (children,)).T
    states = stat.from_ticks(ticks, np.ones(children, np.int64), stat.empty((children,)).faults)
    parent = rng.integers(-1, groups, children).astype(np.int32)
    top, middle, leaves = merge_upwards(states, [np.zeros(groups, np.int32), parent], [1, groups, children])
    assert bits(leaves) == bits(states)
    for g in range(groups):
        whole = stat.total(jax.tree.map(lambda a, g=g: a[parent == g], states))
        assert bits(jax.tree.map(lambda a, g=g: a[g], middle)) == bits(whole)
    assert bits(jax.tree.map(lambda a: a[0], top)) == bits(stat.total(middle))
    with pytest.raises(ValueError, match="1 parents need 2 sizes, got 1"):
        merge_upwards(states, [parent], [groups])


def test_states_that_wrapped_around_merge_as_residues():
    low = NARROW.remove(NARROW.empty((2,)), NARROW.lift(np.array([[1.5, 3.0], [2.5, -7.0]])))
    merged = merge_children(low, jnp.zeros(2, jnp.int32), 1)
    assert bits(merged) == bits(jax.tree.map(lambda a: a[None], NARROW.total(low)))
