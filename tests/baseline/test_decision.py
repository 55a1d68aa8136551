"""Decisions on whole fleets: nobody in healthy ones, the planted in others, and never a crash."""

import numpy as np
import pytest

from convergence_jax.baseline.decision import Decision, decide
from convergence_jax.baseline.level import levels_from_arrays
from convergence_jax.testing.shapes import SHAPES, healthy_means, observed

AGENTS = 1000


def decided(agent: np.ndarray, groups: list[np.ndarray], values: np.ndarray) -> Decision:
    names = [f"f{j}" for j in range(values.shape[1])]
    return decide(levels_from_arrays(agent, groups, values), int(agent.max()) + 1, alpha=0.05, features=names)


def fleet(shape: str, seed: int, features: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return observed(shape, healthy_means(shape, rng, AGENTS, features), rng)


@pytest.mark.parametrize("shape", SHAPES)
def test_healthy_fleets_have_nobody_flagged(shape: str) -> None:
    for seed in (1, 2):
        agent, values = fleet(shape, seed)
        decision = decided(agent, [], values)
        assert not decision.flagged.any()
        assert np.isfinite(decision.q_value).all()


@pytest.mark.parametrize("shape", ["gaussian", "correlated", "lognormal independent", "five clusters"])
def test_planted_agents_are_found_and_explained(shape: str) -> None:
    _, values = fleet(shape, 3)
    spread = 1.4826 * np.median(np.abs(values - np.median(values, 0)), 0)
    values[:10, 2] = np.median(values[:, 2]) - 15 * spread[2]
    decision = decided(np.arange(AGENTS), [], values)
    assert decision.flagged[:10].all()
    assert decision.flagged[10:].sum() <= 1
    parts = decision.explain(0)
    assert parts[0].feature == "f2"
    assert parts[0].value == values[0, 2]
    assert parts[0].deviation < -4
    assert sum(part.share for part in parts) == pytest.approx(1.0)


def test_eight_of_a_hundred_that_agree_do_not_hide_one_another() -> None:
    _, values = fleet("correlated", 4)
    variances, directions = np.linalg.eigh(np.cov(values.T))
    values[:80] += 8 * np.sqrt(variances[0]) * directions[:, 0]
    # In no single feature are they unusual.
    alone = np.abs(values[:80] - np.median(values, 0)).mean(0) / values.std(0)
    assert alone.max() < 3
    decision = decided(np.arange(AGENTS), [], values)
    assert decision.flagged[:80].mean() > 0.9
    assert decision.flagged[80:].sum() <= 4


def test_few_noisy_observations_flag_nobody() -> None:
    rng = np.random.default_rng(5)
    count = np.where(np.arange(AGENTS) % 10 == 0, 1, 200)
    agent = np.repeat(np.arange(AGENTS), count)
    values = rng.normal(size=(AGENTS, 3))[agent] + 8 * rng.normal(size=(len(agent), 3))
    decision = decided(agent, [], values)
    assert not decision.flagged.any()
    plain = decided(
        np.arange(AGENTS), [], np.stack([np.bincount(agent, c) for c in values.T], 1) / count[:, None]
    )
    assert plain.scores["all"][count == 1].mean() > 2 * decision.scores["all"][count == 1].mean()


def test_what_is_usual_in_the_fleet_can_be_unusual_in_its_group() -> None:
    rng = np.random.default_rng(6)
    group = np.arange(AGENTS) % 5
    values = rng.normal(size=(AGENTS, 3)) + 30 * group[:, None]
    values[0] += 30
    decision = decided(np.arange(AGENTS), [group], values)
    assert np.flatnonzero(decision.flagged).tolist() == [0]
    assert decision.most_unusual_unit(0) is not None
    assert decision.judged[decision.most_unusual_unit(0)[0]].level.name == "level 1"  # type: ignore[index]
    assert decision.p_values["all"][0] > 0.01


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_the_unit_of_a_feature_does_not_matter(scale: float) -> None:
    agent, values = fleet("t3 mixed", 7)
    first, second = decided(agent, [], values), decided(agent, [], values * [scale, 1.0, 1.0, scale])
    # Rounding of the standardised values is all that differs.
    assert second.q_value == pytest.approx(first.q_value, rel=1e-4, abs=1e-9)


NORMAL = np.random.default_rng(8).normal(size=(300, 3))
DEGENERATE = {
    "one agent": (np.zeros(5, np.int64), NORMAL[:5]),
    "one observation": (np.zeros(1, np.int64), NORMAL[:1]),
    "two agents": (np.arange(2), NORMAL[:2]),
    "fewer agents than features": (np.arange(3), np.tile(NORMAL[:3], 4)),
    "all the same": (np.arange(100), np.ones((100, 3))),
    "a constant feature": (np.arange(300), NORMAL * [1.0, 0.0, 1.0]),
    "a feature twice": (np.arange(300), NORMAL[:, [0, 1, 1]]),
    "a sum of the others": (np.arange(300), np.column_stack([NORMAL, NORMAL.sum(1)])),
    "flags": (np.arange(300), (NORMAL > 0.5).astype(float)),
    "rare flags": (np.arange(300), (NORMAL > 2).astype(float)),
    "half zeros": (np.arange(300), np.maximum(NORMAL, 0)),
    "very large": (np.arange(300), NORMAL * 1e150),
    "very small": (np.arange(300), NORMAL * 1e-200),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_fleets_are_decided_without_a_nan_and_flag_nobody(name: str) -> None:
    agent, values = DEGENERATE[name]
    decision = decided(agent, [agent % 2], values)
    agents = int(agent.max()) + 1
    assert not decision.flagged.any()
    assert np.isfinite(decision.q_value).all()
    assert all(np.isfinite(part.share) for i in range(min(agents, 3)) for part in decision.explain(i))
    for reference in decision.reference:
        assert np.isfinite(reference.counts).all()
        assert np.isfinite(reference.expected).all()


def test_a_fleet_that_cannot_be_judged_is_said_to_be_so() -> None:
    assert any("nothing was judged" in line for line in decided(np.arange(2), [], NORMAL[:2]).assumes)


def test_bad_options_are_named() -> None:
    levels = levels_from_arrays(np.arange(300), [], NORMAL)
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1, got 2"):
        decide(levels, 300, alpha=2, features=["a", "b", "c"])
    with pytest.raises(ValueError, match="2 names for 3 features"):
        decide(levels, 300, alpha=0.05, features=["a", "b"])
