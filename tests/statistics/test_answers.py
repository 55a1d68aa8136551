"""What the statistics present, against oracles that share no code with them."""

import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import convergence_jax as cj
from convergence_jax.testing import oracles, strategies
from convergence_jax.testing.laws import MergingOnly
from convergence_jax.testing.sample import bits

VALUES = st.lists(strategies.floats(), max_size=12)
PROBABILITIES = (0.0, 0.1, 0.25, 0.5, 0.9, 1.0)


def total(stat, values):
    return functools.reduce(stat.merge, (stat.lift(np.float64(v)) for v in values), stat.empty())


def good(values):
    return [v for v in values if not math.isnan(v)]


@given(values=VALUES)
def test_a_count_is_how_many_there_were(values):
    assert cj.Count().present(total(cj.Count(), values)) == len(values)


@pytest.mark.parametrize("lift", [(20, 11), (40, 22), (-3, 20), (1000, -940)], ids=repr)
@given(values=VALUES)
def test_a_sum_and_its_mean_are_correctly_rounded(lift, values):
    stat = cj.Sum(*lift)
    value = stat.present(total(stat, values))
    exact = oracles.lifted_total(values, *lift)
    held = [v for v in values if oracles.ticks(v, *lift) is not None]
    assert value.count == len(held)
    assert oracles.is_nearest(float(value.total), exact)
    assert math.isnan(value.mean) if not held else oracles.is_nearest(float(value.mean), exact / len(held))
    assert bool(value.valid) == (len(held) == len(values))
    assert abs(oracles.exact_total(held) - exact) <= Fraction(float(value.error_bound))


@pytest.mark.parametrize("range_bits", [1, 30, 1024])
@given(values=VALUES)
@example(values=[1.0, 2.0**-300, 16384.0, -1.0])
def test_log_evidence_is_the_float_nearest_to_the_sum_of_what_is_in_range(range_bits, values):
    stat = cj.LogEvidence(range_bits)
    value = stat.present(total(stat, values))
    held = [v for v in values if math.isfinite(v) and abs(Fraction(v)) < Fraction(2) ** range_bits]
    assert value.count == len(held)
    assert oracles.is_nearest(float(value.total), oracles.exact_total(held))
    assert bool(value.valid) == (len(held) == len(values))


@pytest.mark.parametrize("range_bits", [0, 1025])
def test_a_range_that_no_float_has_is_refused(range_bits):
    with pytest.raises(ValueError, match="range_bits"):
        cj.LogEvidence(range_bits)


def test_a_sum_of_many_large_observations_does_not_wrap_around():
    stat = cj.Sum(0, 62)
    state = stat.lift(np.float64(2.0**61))
    for _ in range(60):
        state = stat.merge(state, state)
    assert stat.present(state).total == 2.0**121
    assert stat.present(state).count == 2**60


@given(values=VALUES)
@example(values=[0.0, -0.0])
@example(values=[-5e-324, 5e-324, -0.0])
@example(values=[1.0, math.copysign(math.nan, -1.0), math.nan])
def test_extrema_are_exact_and_order_zeros_by_sign(values):
    value = cj.Extrema().present(total(cj.Extrema(), values))
    want = oracles.smallest_and_largest(values)
    got = (float(value.minimum), float(value.maximum))
    if want is None:
        assert math.isnan(got[0])
        assert math.isnan(got[1])
    else:
        assert [math.copysign(1, v) for v in got] == [math.copysign(1, v) for v in want]
        assert got == want
    assert bool(value.valid) == (len(good(values)) == len(values))


@given(values=VALUES)
@example(values=[-5e-324, 5e-324, -0.0, 0.0])
def test_a_histogram_counts_by_exact_comparison(values):
    edges = (-1e300, -1.0, 0.0, 5e-324, 1.0, 1e300)
    value = cj.Histogram(edges).present(total(cj.Histogram(edges), values))
    counted = [int(value.below), *value.counts.tolist(), int(value.above)]
    assert counted == oracles.histogram(values, edges)
    assert bool(value.valid) == (len(good(values)) == len(values))


@pytest.mark.parametrize(
    "stat", [cj.Quantiles(), cj.Quantiles(0, -3, 3), cj.Quantiles(12, -1022, -1015)], ids=repr
)
@given(values=st.lists(st.one_of(strategies.floats(), st.floats(-(2.0**-1014), 2.0**-1014)), max_size=12))
def test_a_quantile_keeps_its_relative_error_and_its_certain_interval(stat, values):
    values = good(values)
    value = stat.present(total(stat, values), PROBABILITIES)
    assert value.valid
    if not values:
        assert np.isnan(value.values).all()
        return
    for q, got, lower, upper in zip(PROBABILITIES, value.values, value.lower, value.upper, strict=True):
        want = oracles.quantile(values, q)
        assert lower <= want <= upper
        if 2.0**stat.low_exponent <= abs(want) and abs(want) / 2.0**stat.high_exponent < 1:
            error = abs(Fraction(float(got)) - Fraction(want)) / abs(Fraction(want))
            assert error <= Fraction(stat.relative_error)
        elif abs(want) < 2.0**stat.low_exponent:
            assert got == 0
        else:
            assert got == math.copysign(math.inf, want)


def test_quantiles_hold_a_millionth_to_a_million_in_41_kilobytes_unless_told_otherwise():
    stat = cj.Quantiles()
    assert (stat.mantissa_bits, stat.low_exponent, stat.high_exponent) == (6, -20, 20)
    assert sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(stat.empty())) // 1000 == 41


def test_the_relative_error_of_a_quantile_is_attained_at_a_power_of_two():
    stat = cj.Quantiles(3, -2, 2)
    assert stat.present(stat.lift(np.float64(1.0)), [0.5]).values[0] == 1.0 + stat.relative_error


@given(
    xs=st.lists(strategies.floats(), min_size=12, max_size=12),
    ys=st.lists(strategies.floats(), min_size=12, max_size=12),
    same=st.booleans(),
)
@example(xs=[1.0, 2.0] * 6, ys=[1.0, 2.0] * 6, same=True)
@example(xs=[0.0, 0.25, 1.0, 0.5] * 3, ys=[1.0, 2.0, 5.0, 1.0] * 3, same=False)
def test_a_correlation_is_correctly_rounded(xs, ys, same):
    ys = xs if same else ys
    x_lift, y_lift = cj.FixedPoint(20, 11), cj.FixedPoint(30, 30)
    stat = cj.Correlation(x_lift, y_lift)
    value = stat.present(stat.collect((np.array(xs), np.array(ys))))
    ticks = [
        (
            oracles.ticks(x, x_lift.scale_bits, x_lift.range_bits),
            oracles.ticks(y, y_lift.scale_bits, y_lift.range_bits),
        )
        for x, y in zip(xs, ys, strict=True)
    ]
    held = [(Fraction(a), Fraction(b)) for a, b in ticks if a is not None and b is not None]
    assert value.count == len(held)
    assert bool(value.valid) == (len(held) == len(xs))
    want = oracles.correlation_squared(held)
    if want is None:
        assert math.isnan(value.correlation)
    else:
        assert oracles.is_nearest_root(float(value.correlation), *want)


@pytest.mark.parametrize("removed", [1, 2])
def test_what_was_removed_but_never_added_has_no_correlation(removed):
    stat = cj.Correlation(cj.FixedPoint(10, 20), cj.FixedPoint(10, 20))
    state = stat.collect((np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])))
    for pair in [(1.0, 1.0), (2.0, 3.0), (4.0, 2.0), (5.0, 5.0), (6.0, 7.0)][: 3 + removed]:
        state = stat.remove(state, stat.lift(tuple(map(np.float64, pair))))
    value = stat.present(state)
    assert value.count == -removed
    assert not value.valid


def test_a_line_has_correlation_one_exactly():
    x = np.arange(10.0)
    for slope, want in ((0.1, 1.0), (-3.0, -1.0)):
        stat = cj.Correlation(cj.FixedPoint(10, 20), cj.FixedPoint(10, 20))
        y = np.round(x * slope * 1024) / 1024 if slope < 0 else x
        assert stat.present(stat.collect((x, y))).correlation == want


def test_batches_present_elementwise():
    xs = np.array([[1.0, 10.0, np.nan], [2.0, 20.0, 3.0]])
    assert cj.Count().present(cj.Count().collect(xs)).tolist() == [2, 2, 2]
    value = cj.Sum().present(cj.Sum().collect(xs))
    assert value.total.tolist() == [3.0, 30.0, 3.0]
    assert value.valid.tolist() == [True, True, False]
    assert cj.Extrema().present(cj.Extrema().collect(xs)).maximum.tolist() == [2.0, 20.0, 3.0]
    counted = cj.Histogram((0.0, 2.0, 20.0)).present(cj.Histogram((0.0, 2.0, 20.0)).collect(xs))
    assert counted.counts.tolist() == [[1, 1], [0, 1], [0, 1]]
    assert counted.above.tolist() == [0, 1, 0]
    middle = cj.Quantiles().present(cj.Quantiles().collect(xs), [0.5, 1.0])
    assert middle.values.shape == (3, 2)
    assert middle.count.tolist() == [2, 2, 1]
    pair = cj.Correlation().present(cj.Correlation().collect((xs, xs)))
    assert pair.count.tolist() == [2, 2, 1]
    hashed = np.arange(12, dtype=np.uint64).reshape(4, 3)
    assert cj.Distinct(4).present(cj.Distinct(4).collect(hashed)).estimate.shape == (3,)


@pytest.mark.parametrize(
    "stat", [cj.Count(), cj.Sum(), cj.Extrema(), cj.Histogram((0.0, 1.0)), cj.Quantiles(2, -2, 2)], ids=repr
)
def test_batches_collect_the_same_in_compiled_code(stat):
    xs = np.array([[1.0, -0.0, np.nan], [5e-324, 0.5, np.inf]])
    where = np.array([True, False])
    for mask in (None, where):
        assert bits(cj.reduce(stat, jnp.asarray(xs), where=mask)) == bits(stat.collect(xs, where=mask))


@pytest.mark.parametrize("stat", [cj.Count(), cj.Sum(), cj.Extrema(), cj.Quantiles(2, -2, 2)], ids=repr)
def test_reducing_nothing_gives_the_identity(stat):
    for fold in (stat, MergingOnly(stat)):
        assert bits(cj.reduce(fold, jnp.zeros(0))) == bits(stat.empty())


def test_a_state_with_faults_is_refused_with_their_counts():
    state = cj.reduce(cj.Sum(), np.array([1.0, np.nan, np.nan, np.inf, 1e9]))
    with pytest.raises(cj.FaultError, match="2 nan, 1 infinite, 1 out of range"):
        cj.check(state)
    clean = cj.Sum().remove(state, cj.reduce(cj.Sum(), np.array([np.nan, np.nan, np.inf, 1e9])))
    assert cj.check(clean) is clean
    with pytest.raises(cj.FaultError):
        cj.check({"inside": (1, state)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cj.Sum(40, 40), "scale_bits \\+ range_bits"),
        (lambda: cj.Histogram((1.0,)), "at least two"),
        (lambda: cj.Histogram((1.0, 1.0)), "strictly increasing"),
        (lambda: cj.Histogram((0.0, math.inf)), "finite"),
        (lambda: cj.Histogram((0.0, math.nan)), "finite"),
        (lambda: cj.Quantiles(6, 3, 3), "low_exponent < high_exponent"),
        (lambda: cj.Quantiles(21), "mantissa_bits"),
        (lambda: cj.Quantiles().present(cj.Quantiles().empty(), [1.5]), "probabilities"),
        (lambda: cj.Distinct(3), "index_bits"),
        (lambda: cj.product(), "at least one part"),
        (lambda: cj.product(by_name=True, a=cj.Count()).lift({"b": 1.0}), "entries a; got b"),
        (lambda: cj.reduce(cj.Count(), np.zeros(3), arity=1), "arity must be at least 2, got 1"),
        (lambda: cj.reduce(cj.Count(), np.zeros(3), where=np.zeros(2, bool)), "common leading axis"),
    ],
)
def test_wrong_configuration_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("stat", [cj.Extrema(), cj.Histogram((0.0, 1.0)), cj.Quantiles()], ids=repr)
def test_integers_are_not_taken_for_floats(stat):
    with pytest.raises(TypeError, match="float64 or float32"):
        stat.lift(np.int64(3))


def test_a_histogram_takes_a_list_of_edges_and_stays_hashable():
    assert hash(cj.Histogram([0, 1])) == hash(cj.Histogram((-0.0, 1.0)))


@given(xs=st.lists(strategies.floats32(), min_size=8, max_size=8))
@example(xs=[1e-45, -1e-45, -0.0, 1.1754942e-38, 3.4028235e38, 0.0, 1.0, -1.0])
def test_float32_keeps_its_exact_value_in_compiled_code(xs):
    narrow = np.array(xs, dtype=np.float32)
    wide = np.array(narrow, dtype=np.float64)
    assert bits(cj.reduce(cj.Extrema(), narrow)) == bits(cj.Extrema().collect(wide))
