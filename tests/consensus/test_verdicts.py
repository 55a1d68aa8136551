"""Verdicts: e-values at their least over liars, never more than the truth, the same compiled or not."""

import math

import mpmath as mp
import numpy as np
import pytest
from drawn_items import AGENTS, OBSERVERS, items
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.consensus.decision import (
    CLEAR,
    FLAG,
    UNDETERMINED,
    averaged,
    decide,
    discoveries,
    log_e_values,
    multiplied,
)
from convergence_jax.consensus.evidence import collect

UNIT = mp.mpf(2) ** -32
LIARS = st.integers(0, (OBSERVERS - 1) // 2)


def least(said, liars, dependent):
    """Logarithm of the e-value by its formula, at 60 digits."""
    ratios = [mp.e ** mp.mpf(min(max(x, -(2**14)), 2**14)) for x in said]
    if dependent:
        return mp.log(mp.fsum(sorted(ratios)[: len(said) - liars]) / len(said))
    if not liars:
        return mp.mpf(min(max(sum(said), -(2**14)), 2**14))
    mixed = [mp.log((1 + e) / 2) for e in ratios]
    return mp.fsum(mixed) - mp.fsum(sorted((max(t, 0) for t in mixed), reverse=True)[:liars])


@settings(max_examples=15)
@given(items(), LIARS, st.booleans())
def test_e_values_are_rounded_down_by_a_few_units(drawn, liars, dependent):
    evidence = drawn.table()
    found = log_e_values(evidence, liars, dependent=dependent)
    with mp.workdps(60):
        for agent in range(AGENTS):
            said = [mp.mpf(x.numerator) / x.denominator for x in drawn.said(agent)]
            for got, ratios in zip(found, (said, [-x for x in said]), strict=True):
                short = least(ratios, liars, dependent) / UNIT - int(got[agent])
                assert 0 <= short <= 3 * OBSERVERS + 4  # a floor, log 2 and the slack of each observer


@settings(max_examples=8)
@given(items(), LIARS, st.booleans())
def test_compiled_decisions_have_the_bits_of_numpy(drawn, liars, dependent):
    plain, compiled = (
        log_e_values(drawn.table(), liars, dependent=dependent, compiled=c) for c in (False, True)
    )
    for a, b in zip(plain, compiled, strict=True):
        assert (a == b).all()


def fleet(liars, lie, *, unusual, effect=0.1, steps=300, agents=200, observers=30):
    """Gaussian evidence of honest observers about agents of one kind, and of liars who all say the same."""
    rng = np.random.default_rng(0)
    drift = steps * effect**2 / 2 * (1 if unusual else -1)
    said = rng.normal(drift, effect * math.sqrt(steps), (observers, agents))
    said[:liars] = lie
    observer, agent = (grid.ravel().astype(np.int32) for grid in np.indices(said.shape))
    return collect(agent, observer, said.ravel(), agents=agents, observers=observers)


@pytest.mark.parametrize("lie", [50.0, 16383.0, 1e9, 3.0])
def test_a_third_that_pushes_flags_no_healthy_agent(lie):
    assert not (decide(fleet(9, lie, unusual=False), 9, 0.001).verdict == FLAG).any()


@pytest.mark.parametrize("lie", [-50.0, -16383.0, -1e9, 0.0])
def test_a_third_that_pulls_hides_no_unusual_agent(lie):
    evidence = fleet(9, lie, unusual=True, steps=1500)
    assert (decide(evidence, 9, 0.001).verdict == FLAG).all()


def test_healthy_agents_become_clear():
    assert (decide(fleet(0, 0.0, unusual=False, steps=1500), 9, 0.05).verdict == CLEAR).all()


def test_strong_evidence_both_ways_is_undetermined():
    said = np.array([500.0, 500.0, 500.0, -500.0, -500.0, -500.0, 0.0])
    evidence = collect(np.zeros(7, int), np.arange(7), said, agents=1, observers=7)
    decision = decide(evidence, 1, 0.05)
    assert decision.log_against[0] > 100 < decision.log_for[0]
    assert decision.verdict[0] == UNDETERMINED


@given(items(3), LIARS)
@settings(max_examples=10)
def test_several_alternatives_share_alpha_and_are_all_cleared_or_none(drawn, liars):
    evidence = drawn.table()
    found = decide(evidence, liars, 0.05)
    each = [log_e_values(evidence.difference(k, 0), liars) for k in (1, 2)]
    assert (found.log_for == np.minimum(each[0][1], each[1][1]) * 2.0**-32).all()
    assert (found.log_against <= np.maximum(each[0][0], each[1][0]) * 2.0**-32 - math.log(2.0)).all()


def test_the_e_bh_procedure_is_that_of_its_definition():
    rng = np.random.default_rng(5)
    for _ in range(200):
        log_e = rng.normal(0.0, 4.0, 30)
        alpha = rng.choice([0.01, 0.05, 0.3])
        ordered = sorted(log_e, reverse=True)
        good = [k for k in range(1, 31) if ordered[k - 1] >= math.log(30 / alpha) - math.log(k)]
        expected = log_e >= ordered[good[-1] - 1] if good else np.zeros(30, dtype=bool)
        assert (discoveries(log_e, alpha) == expected).all()


def test_no_evidence_decides_nothing():
    empty = np.zeros(0, dtype=np.int32)
    decision = decide(collect(empty, empty, np.zeros(0), agents=4, observers=3), 1, 0.05)
    assert (decision.verdict == UNDETERMINED).all()
    assert not decision.discovery.any()


def test_silence_costs_nothing_and_leaves_no_trace():
    said = np.array([[5, -3, 0, 7]], dtype=np.int64) << 32
    padded = np.concatenate([said, np.zeros((1, 9), dtype=np.int64)], axis=1)
    for liars in (1, 2):
        assert multiplied(said, liars, 20) == multiplied(padded, liars, 20)
        assert averaged(said, liars, 20) == averaged(padded, liars, 20)
    assert multiplied(np.zeros((1, 5), dtype=np.int64), 1, 5) == 0
