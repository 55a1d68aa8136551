"""Sums of exponentials: bounds against 400 bits, order that leaves no trace, and what is not a number."""

import doctest
import functools
from fractions import Fraction

import arithmetic as truth
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.exact import exp_ln, log_sum_exp, reals
from convergence_jax.exact.log_sum_exp import LogSumExp
from convergence_jax.exact.reals import Fixed
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.testing.sample import bits

LENGTHS = [2, 3, 9, 16, 64]
STAT = LogSumExp()


def weights(length: int) -> Fixed:
    """Rows that are spread, tied, dominated, nearly certain, or beyond the range of ``exp``."""
    rng = np.random.default_rng(length)
    x = rng.normal(0, rng.choice([1e-12, 0.1, 3.0, 40.0, 400.0], (24, 1)), (24, length))
    x[0] = 0.0
    x[1, 1:] = -37.0
    x[2, :-1] = -750.0
    x[3, 1:] = -1e18
    x[4] = -44.5 - 2.0 ** -np.arange(2.0, length + 2)  # each exponential is most of a unit
    x[4, 0] = 0.0
    x[5, : length // 2] = 700.0
    return reals.from_float(x)


def rows_of(x: Fixed) -> list[list[Fraction]]:
    flat, length = truth.values(x), x.whole.shape[-1]
    return [flat[i : i + length] for i in range(0, len(flat), length)]


def log_total(row: list[Fraction]) -> Fraction:
    top = max(row)
    return top + truth.ln(sum(truth.exp(v - top) for v in row))


@pytest.mark.parametrize("length", [1, *LENGTHS])
def test_log_sum_exp_keeps_its_bound_and_forgets_the_order(length):
    x = weights(length)
    made = log_sum_exp.log_sum_exp(x)
    bound = log_sum_exp.log_sum_exp_error(length)
    for row, got in zip(rows_of(x), truth.values(made), strict=True):
        assert abs(got - log_total(row)) + truth.MARGIN < bound
    order = np.random.default_rng(0).permutation(length)
    assert bits(log_sum_exp.log_sum_exp(Fixed(*(word[:, order] for word in x)))) == bits(made)


@pytest.mark.parametrize("length", LENGTHS)
def test_softmax_keeps_its_bounds_in_the_tails_too(length):
    x = weights(length)
    odds = log_sum_exp.log_odds(x)
    log_p, log_q = log_sum_exp.log_softmax(x), log_sum_exp.log_not_softmax(x)
    bound = Fraction(log_sum_exp.log_sum_exp_error(length))
    relative = bound + Fraction(exp_ln.LOG_SIGMOID_ERROR)
    absolute = bound + Fraction(exp_ln.SOFTPLUS_ERROR)
    for i, row in enumerate(rows_of(x)):
        made = truth.values(Fixed(odds.whole[i], odds.fraction[i]))
        for k in {0, 1, length // 2, length - 1}:
            exact = row[k] - log_total(row[:k] + row[k + 1 :])
            assert abs(made[k] - exact) + truth.MARGIN < bound
            for got, want in ((log_p[i, k], -truth.softplus(-exact)), (log_q[i, k], -truth.softplus(exact))):
                assert truth.near(got, want, relative=relative)
                assert truth.near(got, want, absolute=absolute)


def test_the_bound_of_sixteen_hypotheses_is_two_to_the_minus_sixty():
    assert log_sum_exp.log_sum_exp_error(9) == 2.0**-61
    assert log_sum_exp.log_sum_exp_error(16) + exp_ln.SOFTPLUS_ERROR < 2.0**-60


@given(n=truth.reals(84), by=st.integers(0, 20))
def test_log_sum_exp_keeps_its_bound_for_any_reals(n, by):
    x = truth.fixed([v >> by for v in n])
    (got,) = truth.values(log_sum_exp.log_sum_exp(x))
    assert abs(got - log_total(truth.values(x))) + truth.MARGIN < log_sum_exp.log_sum_exp_error(16)


def test_softmax_has_the_same_bits_compiled_and_along_any_axis():
    x = reals.from_float(np.random.default_rng(8).normal(0, 20, (25_000, 4)))

    def every(x: Fixed, axis: int = -1):
        functions = (log_sum_exp.log_sum_exp, log_sum_exp.log_softmax, log_sum_exp.log_not_softmax)
        return tuple(function(x, axis) for function in functions)

    made = every(x)
    assert bits(jax.jit(every)(jax.tree.map(jnp.asarray, x))) == bits(made)
    turned = every(Fixed(x.whole.T, x.fraction.T), axis=0)
    assert bits(jax.tree.map(np.transpose, turned)) == bits(made)


@pytest.mark.parametrize("length", [0, 1, 65])
def test_an_axis_of_another_length_is_refused(length):
    x = reals.from_float(np.zeros((2, length)))
    with pytest.raises(ValueError, match=f"got {length}"):
        log_sum_exp.log_softmax(x)


def check_presented(xs: np.ndarray) -> None:
    exact = truth.ln(sum(truth.exp(Fraction(x)) for x in xs))
    got = float(STAT.present(STAT.collect(xs)))
    assert truth.near(got, exact, absolute=log_sum_exp.LOG_SUM_EXP_ERROR)


@given(xs=st.lists(st.floats(-2047.9, 2047.9), min_size=1, max_size=30))
def test_the_answer_of_the_statistic_keeps_its_bound(xs):
    check_presented(np.array(xs))


def test_the_bound_does_not_grow_with_the_number_of_observations():
    rng = np.random.default_rng(9)
    check_presented(rng.normal(0, 5, 3000))
    check_presented(np.append(rng.normal(-1000, 400, 400).clip(-2000, 2000), [-2047.9999]))
    ends = np.nextafter([2048.0, -2048.0], 0)
    check_presented(ends)
    check_presented(ends[1:])
    many = STAT.collect(np.full(1 << 19, 1.25))
    exact = Fraction(1.25) + 19 * truth.ln(Fraction(2))
    assert truth.near(float(STAT.present(many)), exact, absolute=log_sum_exp.LOG_SUM_EXP_ERROR)


def test_the_largest_and_smallest_terms_lie_within_the_format():
    state = STAT.lift(np.nextafter([2048.0, -2048.0], 0))
    exponent, mantissa = exp_ln.exp(reals.from_float(np.nextafter([2048.0, -2048.0], 0)))
    for digits, k, m in zip(state.digits, exponent, mantissa, strict=True):
        integer = int.from_bytes(digits.astype("<u4").tobytes(), "little")
        assert integer * Fraction(2) ** -3018 == truth.number(k, m)
        assert integer < 1 << 5973


def test_orders_and_devices_leave_no_trace_and_removal_is_exact():
    xs = np.random.default_rng(10).uniform(-2100, 2100, (2000, 3))
    xs[5], xs[7], xs[9] = np.nan, np.inf, -np.inf
    whole = STAT.collect(xs)
    assert bits(STAT.collect(xs[::-1])) == bits(whole)
    assert bits(jax.jit(STAT.collect)(jnp.asarray(xs))) == bits(whole)
    halves = STAT.merge(STAT.collect(xs[:777]), STAT.collect(xs[777:]))
    assert bits(halves) == bits(whole)
    assert bits(STAT.remove(whole, STAT.collect(xs[777:]))) == bits(STAT.collect(xs[:777]))
    where = np.arange(2000) % 3 > 0
    assert bits(jax.jit(STAT.collect)(jnp.asarray(xs), jnp.asarray(where))) == bits(STAT.collect(xs[where]))
    assert bits(jax.jit(STAT.present)(jax.tree.map(jnp.asarray, halves))) == bits(STAT.present(halves))
    one_by_one = functools.reduce(STAT.merge, map(STAT.lift, xs[:20]), STAT.empty((3,)))
    assert bits(one_by_one) == bits(STAT.collect(xs[:20]))


def test_what_is_no_number_is_counted_and_minus_infinity_is_a_zero():
    x = np.array([np.nan, np.inf, -np.inf, 2048.0, -2048.0, 1e300, 0.0])
    state = STAT.lift(x)
    assert [counts.tolist() for counts in state[1:]] == [
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 0],
    ]
    nan, inf = np.nan, np.inf
    np.testing.assert_array_equal(STAT.present(state), [nan, inf, -inf, nan, nan, nan, 0.0])
    assert bits(STAT.lift(np.float64(-np.inf))) == bits(STAT.empty())
    assert STAT.present(STAT.empty()) == -np.inf
    one, pole = STAT.lift(np.float64(1.0)), STAT.lift(np.float64(np.inf))
    assert np.isnan(STAT.present(STAT.remove(STAT.empty(), one)))
    assert np.isnan(STAT.present(STAT.remove(one, pole)))


def test_states_of_other_sums_and_other_types_are_refused():
    with pytest.raises(ValueError, match="189 digits, got 69"):
        STAT.merge(STAT.empty(), Superaccumulator().empty())
    with pytest.raises(TypeError, match="float64"):
        STAT.lift(np.float32(1.0))


def test_the_example_does_what_it_says():
    failed, tried = doctest.testmod(log_sum_exp)
    assert tried
    assert not failed
