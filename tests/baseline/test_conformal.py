"""Against an earlier period: valid p-values, the changed found, and how many at least."""

import math

import numpy as np
import pytest

from convergence_jax.baseline.conformal import least_rejections
from convergence_jax.baseline.decision import Decision, decide_against_baseline
from convergence_jax.baseline.level import levels_from_arrays

AGENTS = 600


def periods(seed: int, moved: int = 0) -> Decision:
    rng = np.random.default_rng(seed)
    agent, group = np.repeat(np.arange(AGENTS), 2), rng.integers(0, 3, AGENTS)
    means = rng.standard_t(3, (AGENTS, 3)) + 10 * group[:, None]
    levels = []
    for shift in (0, 50):
        means[:moved] += shift
        values = means[agent] + rng.normal(size=(2 * AGENTS, 3))
        levels.append(levels_from_arrays(agent, [group[agent]], values))
    return decide_against_baseline(*levels, AGENTS, alpha=0.05, features=["a", "b", "c"])


def test_p_values_of_the_unchanged_are_super_uniform() -> None:
    decisions = [periods(seed) for seed in range(12)]
    for name in ("all", "level 1"):
        p = np.concatenate([decision.p_values[name] for decision in decisions])
        for level in (0.01, 0.05, 0.2, 0.5):
            # Agents of one fleet share their calibration: fleets, not agents, are independent.
            shares = [(decision.p_values[name] <= level).mean() for decision in decisions]
            assert (p <= level).mean() <= level + 4 * np.std(shares) / math.sqrt(12) + 1e-3
    assert sum(decision.flagged.any() for decision in decisions) <= 2


def test_enough_changed_agents_are_found_and_too_few_never() -> None:
    decision = periods(50, moved=60)
    assert decision.least_rejections is not None
    assert decision.least_rejections <= 60
    assert decision.flagged[:60].all()
    assert decision.flagged[60:].sum() <= 6
    assert not periods(50, moved=decision.least_rejections // 2).flagged.any()


def test_one_score_an_agent_cannot_reject_fewer_than_one_over_alpha() -> None:
    assert least_rejections(1, 1000, 1 / 1001, 0.05) == 20
    assert least_rejections(1, 10**6, 1 / (10**6 + 1), 0.01) == 100


@pytest.mark.parametrize("early", [1, 2, 5])
def test_a_baseline_of_a_few_agents_flags_nobody_and_says_so(early: int) -> None:
    rng = np.random.default_rng(9)
    before = levels_from_arrays(np.arange(early), [], rng.normal(size=(early, 2)))
    after = levels_from_arrays(np.arange(50), [], rng.normal(size=(50, 2)))
    decision = decide_against_baseline(before, after, 50, alpha=0.05, features=["a", "b"])
    assert not decision.flagged.any()
    assert any("too small to flag anyone" in line for line in decision.assumes)


def test_a_group_that_is_new_is_judged_by_its_parent() -> None:
    rng = np.random.default_rng(10)
    agent, values = np.arange(400), rng.normal(size=(400, 2))
    before = levels_from_arrays(agent, [agent % 2], values)
    after = levels_from_arrays(agent, [agent % 3], rng.normal(size=(400, 2)))
    decision = decide_against_baseline(before, after, 400, alpha=0.05, features=["a", "b"])
    assert not decision.flagged.any()
    assert np.isfinite(decision.q_value).all()
