"""Moments against integers and fractions; the oracle shares no code with the library."""

from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.statistics.moments import Moments, MomentsState

NARROW = Moments((FixedPoint(20, 11), FixedPoint(0, 31), FixedPoint(31, 0)))
WIDE = Moments((FixedPoint(50, 12), FixedPoint(20, 11), FixedPoint(-3, 65)))
ROWS = 12

values = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 2.0**-21, 3 * 2.0**-21, 2047.9999, -2048.0, 2.0**61, 5e-324]),
    st.floats(-1.0, 1.0),
    st.floats(width=64),
)
tables = st.lists(st.tuples(values, values, values), min_size=ROWS, max_size=ROWS).map(np.array)
masks = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array)
statistics = pytest.mark.parametrize("stat", [NARROW, WIDE], ids=["narrow", "wide"])


def bits(state: MomentsState) -> bytes:
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))


@partial(jax.jit, static_argnums=0)
def collect(stat: Moments, xs: jax.Array) -> MomentsState:
    return stat.total(stat.lift(xs))


def oracle_ticks(stat: Moments, row: np.ndarray) -> list[int] | None:
    """Ticks by rational arithmetic, or None where a feature is not held."""
    ticks = []
    for lift, x in zip(stat.lifts, row, strict=True):
        if not np.isfinite(x):
            return None
        exact = Fraction(float(x)) * Fraction(2) ** lift.scale_bits
        tick = round(exact)  # half to even, exactly
        if abs(tick) >= 2**lift.bits:
            return None
        ticks.append(tick)
    return ticks


def oracle_present(stat: Moments, rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance as the float64 nearest to the exact rational."""
    n, d = len(rows), stat.features
    unit = [Fraction(2) ** -lift.scale_bits for lift in stat.lifts]
    mean, covariance = np.full(d, np.nan), np.full((d, d), np.nan)
    for i in range(d):
        s_i = sum(r[i] for r in rows)
        if n:
            mean[i] = float(Fraction(s_i, n) * unit[i])
        for j in range(d):
            if n > 1:
                s_j, s_ij = sum(r[j] for r in rows), sum(r[i] * r[j] for r in rows)
                exact = (Fraction(s_ij) - Fraction(s_i * s_j, n)) / (n - 1)
                covariance[i, j] = float(exact * unit[i] * unit[j])
    return mean, covariance


@statistics
@given(xs=tables)
def test_mean_and_covariance_are_the_floats_nearest_to_the_exact_ones(stat, xs):
    with np.errstate(over="ignore", invalid="ignore"):
        value = stat.present(stat.total(stat.lift(xs)))
    held = [t for t in (oracle_ticks(stat, row) for row in xs) if t is not None]
    mean, covariance = oracle_present(stat, held)
    assert value.count == len(held)
    np.testing.assert_array_equal(value.mean, mean)
    np.testing.assert_array_equal(value.covariance, covariance)


@statistics
@given(xs=tables, taken=masks)
def test_removing_what_was_merged_leaves_no_trace(stat, xs, taken):
    with np.errstate(over="ignore", invalid="ignore"):
        states = stat.lift(xs)
    part = jax.tree.map(lambda a: a[taken], states)
    rest = jax.tree.map(lambda a: a[~taken], states)
    a, b = stat.total(part), stat.total(rest)
    assert bits(stat.remove(stat.merge(a, b), b)) == bits(a)
    assert bits(stat.merge(a, b)) == bits(stat.merge(b, a)) == bits(stat.total(states))
    assert bits(stat.merge(a, stat.empty())) == bits(a)


@statistics
@given(xs=tables)
def test_numpy_and_jax_make_the_same_bits(stat, xs):
    with np.errstate(over="ignore", invalid="ignore"):
        host = stat.total(stat.lift(xs))
    device = collect(stat, jnp.asarray(xs))
    assert bits(host) == bits(device)


@statistics
def test_an_observation_with_one_bad_feature_counts_only_as_its_fault(stat):
    good = stat.lift(np.array([0.25, 1.0, 0.5]))
    for bad, kind in ((np.nan, "nan"), (np.inf, "infinite"), (1e300, "out_of_range")):
        with np.errstate(over="ignore", invalid="ignore"):
            state = stat.lift(np.array([0.25, 1.0, bad]))
        assert state.count == 0
        assert not state.sums.any()
        assert not state.products.any()
        np.testing.assert_array_equal(getattr(state.faults, kind), [0, 0, 1])
        assert bits(stat.remove(stat.merge(good, state), state)) == bits(good)


@statistics
def test_the_largest_ticks_do_not_overflow(stat):
    ticks = np.array([[s * (2**lift.bits - 1) for lift in stat.lifts] for s in (1, -1, 1, 1)])
    ones = np.ones(4, dtype=np.int64)
    state = stat.total(stat.from_ticks(ticks, ones, stat.empty((4,)).faults))
    mean, covariance = oracle_present(stat, [[int(t) for t in row] for row in ticks])
    value = stat.present(state)
    np.testing.assert_array_equal(value.mean, mean)
    np.testing.assert_array_equal(value.covariance, covariance)


@statistics
def test_counts_up_to_two_to_the_32_are_presented_and_beyond_are_not_valid(stat):
    ticks = np.array([2**lift.bits - 1 for lift in stat.lifts])
    state = stat.from_ticks(ticks, np.ones((), dtype=np.int64), stat.empty().faults)
    for _ in range(31):
        state = stat.merge(state, state)
    three = stat.merge(stat.merge(state, state), stat.remove(state, state))
    almost = stat.remove(three, stat.from_ticks(ticks, np.ones((), dtype=np.int64), stat.empty().faults))
    assert almost.count == 2**32 - 1
    value = stat.present(almost)
    np.testing.assert_array_equal(
        value.mean,
        [
            float(t * Fraction(2) ** -lift.scale_bits)
            for t, lift in zip(ticks.tolist(), stat.lifts, strict=True)
        ],
    )
    assert not value.covariance.any()
    assert not stat.present(three).valid
    assert np.isnan(stat.present(three).mean).all()
    assert not stat.present(stat.remove(stat.empty(), almost)).valid


SUBNORMALS = np.array([2.0**-149, -(2.0**-149), 2.0**-126 - 2.0**-149, -(2.0**-130), 0.0, -0.0, 2.0**-126])
"""All of them float32, all but the last subnormal there, which XLA on a CPU flushes when it widens them."""


@pytest.mark.parametrize("scale_bits", [100, 125, 126, 149, 160])
def test_subnormals_of_float32_are_lifted_alike_everywhere(scale_bits):
    lift = FixedPoint(scale_bits, 31 - scale_bits)
    xs = SUBNORMALS.astype(np.float32)
    expected = [round(Fraction(x) * Fraction(2) ** scale_bits) for x in SUBNORMALS.tolist()]
    expected = [tick if abs(tick) < 2**31 else 0 for tick in expected]
    for ticks, _ in (lift.lift(xs), lift.lift(jnp.asarray(xs)), jax.jit(lift.lift)(xs)):
        assert np.asarray(ticks).tolist() == expected


def test_correlations_are_covariances_over_both_deviations_and_nan_where_one_is_zero():
    xs = np.random.default_rng(5).standard_normal((40, 3)) / 4
    xs[:, 1] = 1000 * xs[:, 0] + 300 * xs[:, 1]
    xs[:, 2] = 0.5
    value = NARROW.present(NARROW.total(NARROW.lift(xs)))
    (a, c), (_, b) = value.covariance[:2, :2]
    r = float(Fraction(c) / Fraction(float(np.sqrt(a))) / Fraction(float(np.sqrt(b))))
    assert 0.9 < r < 1.0
    np.testing.assert_allclose(value.correlation[:2, :2], [[1.0, r], [r, 1.0]], rtol=4.5e-16)
    assert np.isnan(value.correlation[2]).all()
    assert np.isnan(value.correlation[:, 2]).all()


def test_standard_errors_and_intervals_follow_from_the_rounded_values():
    xs = np.random.default_rng(3).standard_normal((40, 3)) / 4
    value = NARROW.present(NARROW.total(NARROW.lift(xs)))
    np.testing.assert_array_equal(value.variance, np.diag(value.covariance))
    np.testing.assert_allclose(value.standard_error, np.sqrt(value.variance / 40), rtol=4.5e-16)
    lower, upper = value.confidence_interval(0.95)
    np.testing.assert_allclose((upper - lower) / 2 / value.standard_error, 2.0226909200367604, rtol=1e-12)
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 2"):
        value.confidence_interval(2)


def test_states_of_different_lifts_do_not_merge():
    other = Moments((FixedPoint(19, 11), FixedPoint(0, 31), FixedPoint(31, 0)))
    with pytest.raises(ValueError, match="different"):
        NARROW.merge(NARROW.empty(), other.empty())
    with pytest.raises(ValueError, match="last axis must be the 3 features"):
        NARROW.lift(np.zeros(2))
    with pytest.raises(ValueError, match="at least one lift"):
        Moments(())
