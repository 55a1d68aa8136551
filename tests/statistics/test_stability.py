"""Answers against mpmath, where naive sums fail: cancellation, offsets, many terms, wide ranges."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.exact.constants import FLOAT32, FLOAT64
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.log_sum_exp import LogSumExp
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.statistics.log_evidence import LogEvidence
from convergence_jax.statistics.moments import Moments

EXACT = mpmath.MPContext()
EXACT.prec = 4200  # every float64 is a multiple of 2**-1074 below 2**1024: sums need no rounding

SPREADS = (0, 20, 60, 200, 300)


def ill_conditioned(rng: np.random.Generator, n: int, spread: int) -> np.ndarray:
    """Numbers over so many powers of ten that nearly cancel: the condition number grows with the spread."""
    big = rng.standard_normal(n) * 10.0 ** rng.uniform(-spread, spread, n)
    xs = np.concatenate([big, -big, rng.standard_normal(3) * 10.0 ** -float(spread)])
    return rng.permutation(xs)


def error_in_units(answer: float, exact: mpmath.mpf) -> mpmath.mpf:
    """Distance to the truth in units in the last place of the answer."""
    return abs(EXACT.mpf(float(answer)) - exact) / EXACT.mpf(float(np.spacing(abs(answer))))


def exact_sum(xs: np.ndarray) -> mpmath.mpf:
    return EXACT.fsum([EXACT.mpf(float(x)) for x in xs])


@pytest.mark.parametrize("spread", SPREADS)
def test_the_error_of_a_sum_does_not_grow_with_its_condition(spread):
    rng = np.random.default_rng(spread)
    xs = ill_conditioned(rng, 400, spread)
    exact = exact_sum(xs)
    stat = Superaccumulator(FLOAT64)
    assert error_in_units(float(stat.present(stat.collect(xs))), exact) <= 0.5
    if spread >= 60:  # the peer, for scale: not one digit is right
        assert abs(EXACT.mpf(float(xs.sum())) - exact) > abs(exact)


@given(seed=st.integers(0, 2**32 - 1), spread=st.integers(0, 30))
def test_sums_of_float32_are_within_half_a_unit(seed, spread):
    xs = ill_conditioned(np.random.default_rng(seed), 50, spread).astype(np.float32)
    stat = Superaccumulator(FLOAT32)
    answer = np.float32(stat.present(stat.collect(xs), np.float32))
    exact = exact_sum(xs.astype(np.float64))
    assert abs(EXACT.mpf(float(answer)) - exact) <= EXACT.mpf(float(np.spacing(abs(answer)))) / 2


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e9])
def test_a_mean_far_from_zero_costs_the_variance_nothing(offset):
    lift = FixedPoint(20, 42)
    rng = np.random.default_rng(7)
    xs = offset + rng.standard_normal(500) * 1e-3
    stat = Moments((lift,))
    value = stat.present(stat.total(stat.lift(xs[:, None])))
    exact = [EXACT.mpf(float(x)) for x in xs]
    mean = EXACT.fsum(exact) / len(exact)
    variance = EXACT.fsum([(x - mean) ** 2 for x in exact]) / (len(exact) - 1)
    # A lift moves each observation by half a tick: the mean by as much, a deviation by a tick.
    tick = EXACT.mpf(2) ** -lift.scale_bits
    unit = EXACT.mpf(float(np.spacing(abs(float(value.mean[0])))))
    assert abs(EXACT.mpf(float(value.mean[0])) - mean) <= tick / 2 + unit / 2
    spread = EXACT.sqrt(variance)
    bound = (2 * spread * tick + tick**2) * len(xs) / (len(xs) - 1)
    found = EXACT.mpf(float(value.covariance[0, 0]))
    assert abs(found - variance) <= bound + EXACT.mpf(float(np.spacing(float(found)))) / 2
    # Sums of squares in float64, for scale: they lose everything once the offset is large.
    naive = (np.sum(xs * xs) - np.sum(xs) ** 2 / len(xs)) / (len(xs) - 1)
    if offset >= 1e6:
        assert abs(EXACT.mpf(float(naive)) - variance) > variance


@given(
    xs=st.lists(st.floats(-2047, 2047), min_size=1, max_size=30),
    shift=st.sampled_from([0.0, -1000.0, 1000.0]),
)
def test_log_sum_exp_keeps_its_digits_at_any_size(xs, shift):
    values = np.clip(np.array(xs) + shift, -2047.0, 2047.0)
    stat = LogSumExp()
    answer = float(stat.present(stat.collect(values)))
    exact = EXACT.log(EXACT.fsum([EXACT.exp(EXACT.mpf(float(x))) for x in values]))
    unit = EXACT.mpf(float(np.spacing(abs(answer))))
    assert abs(EXACT.mpf(answer) - exact) <= EXACT.mpf(2) ** -61 + unit / 2


@pytest.mark.parametrize("n", [10, 10**3, 10**5])
def test_the_error_of_log_odds_does_not_grow_with_the_number_of_items(n):
    rng = np.random.default_rng(n)
    items = rng.standard_normal(n) * 10.0 ** rng.integers(-8, 8, n)
    items = np.concatenate([items, -items[::-1], [1e-9]])
    stat = LogEvidence()
    answer = float(stat.present(stat.collect(items)).total)
    assert answer == 1e-9
    assert error_in_units(answer, exact_sum(items)) == 0
