"""Posteriors against mpmath: log-odds rounded once, logarithms within a hair of the nearest float."""

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from drawn_items import AGENTS, items
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convergence_jax.consensus.evidence import collect
from convergence_jax.consensus.posterior import log_prior, posterior
from convergence_jax.testing import oracles

WEIGHTS = st.integers(1, 10**6).map(Fraction) | st.just(Fraction(10**9 + 1, 10**9))


def rational(x):
    return mp.mpf(x.numerator) / x.denominator


def truth(totals):
    """Logarithms of probability and complement, and the probability, of every hypothesis."""
    top = max(totals)
    weights = [mp.e ** rational(x - top) for x in totals]
    whole = mp.fsum(weights)
    for k, x in enumerate(totals):
        rest = mp.fsum(w for j, w in enumerate(weights) if j != k)
        # Next to zero the logarithm is taken of the small side, so that no digit cancels.
        log_p = -mp.log1p(rest / weights[k]) if weights[k] > rest else rational(x - top) - mp.log(whole)
        log_q = mp.log(rest / whole) if rest < whole / 2 else mp.log1p(-weights[k] / whole)
        yield log_p, log_q, weights[k] / whole


def units_off(got, want):
    """Distance from the truth in units in the last place."""
    return abs(mp.mpf(float(got)) - want) / math.ulp(float(want))


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 16])
def test_posteriors_are_within_a_hair_of_the_nearest_float(columns):
    hypotheses = max(2, columns)

    @settings(max_examples=10, suppress_health_check=[HealthCheck.large_base_example])
    @given(items(columns), st.lists(WEIGHTS, min_size=16, max_size=16))
    def run(drawn, weights):
        prior = log_prior(weights[:hypotheses])
        found = posterior(drawn.table().by_agent(), prior)
        for agent in range(AGENTS):
            if columns == 1:
                totals = [Fraction(0), sum(drawn.said(agent))]
            else:
                totals = [sum(drawn.said(agent, k)) for k in range(hypotheses)]
            totals = [x + Fraction(p) for x, p in zip(totals, prior, strict=True)]
            if hypotheses == 2:
                assert oracles.is_nearest(float(found.log_odds[agent]), totals[1] - totals[0])
            rows = zip(
                found.log_probability[agent],
                found.log_complement[agent],
                found.probability[agent],
                strict=True,
            )
            for got, want in zip(rows, truth(totals), strict=True):
                # A half from the one rounding, and 2**-60 of the value before it: less than 2**-6 units.
                assert max(map(units_off, got, want)) <= 0.5 + 2.0**-6

    with mp.workdps(120):
        run()


@settings(max_examples=5)
@given(items(3))
def test_compiled_posteriors_have_the_bits_of_numpy(drawn):
    sums, prior = drawn.table().by_agent(), [0.0, 1.0, 2.0]
    plain, compiled = posterior(sums, prior), posterior(sums, prior, compiled=True)
    for name in ("log_probability", "log_complement", "probability"):
        assert getattr(plain, name).tobytes() == getattr(compiled, name).tobytes()


def test_certainty_is_still_told_where_a_probability_prints_as_one():
    found = posterior(
        collect(np.zeros(1, int), np.zeros(1, int), np.array([800.0]), agents=1, observers=1).by_agent(),
        [0.0, 0.0],
    )
    assert found.probability[0, 1] == 1.0
    assert found.log_complement[0, 1] == -800.0


def test_no_evidence_leaves_the_prior():
    empty = np.zeros(0, dtype=np.int32)
    found = posterior(
        collect(empty, empty, np.zeros((0, 3)), agents=1, observers=1).by_agent(),
        log_prior([Fraction(k) for k in (1, 2, 1)]),
    )
    assert found.probability.tolist() == [[0.25, 0.5, 0.25]]


@pytest.mark.parametrize("weights", [[Fraction(1)], [Fraction(1), Fraction(0)], [Fraction(-1), Fraction(1)]])
def test_a_prior_of_weights_that_are_not_positive_is_refused(weights):
    with pytest.raises(ValueError, match="positive"):
        log_prior(weights)


def test_a_prior_for_other_hypotheses_is_refused():
    sums = collect(np.zeros(1, int), np.zeros(1, int), np.ones(1), agents=1, observers=1).by_agent()
    with pytest.raises(ValueError, match="3 prior weights for 2"):
        posterior(sums, [0.0, 0.0, 0.0])


def test_a_million_items_that_sum_below_zero_are_answered_below_zero():
    """The sum at which an earlier prototype answered +311.8, probability one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(10**6)
    x -= x.mean() + 0.010418
    agent = np.zeros(10**6, dtype=np.int32)
    found = posterior(
        collect(agent, rng.integers(0, 100, 10**6).astype(np.int32), x, agents=1, observers=100).by_agent(),
        [0.0, 0.0],
    )
    assert found.log_odds[0] == math.fsum(x)
    assert -10419 < found.log_odds[0] < -10417
    assert found.log_probability[0, 1] == found.log_odds[0]
