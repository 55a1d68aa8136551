"""What an earlier prototype got wrong, at its own scale, with the right answer."""

import math

import numpy as np
import pytest

from convergence_jax.consensus.bounds import bounds
from convergence_jax.consensus.decision import CLEAR, FLAG, decide
from convergence_jax.consensus.evidence import collect
from convergence_jax.consensus.posterior import posterior

AGENTS, OBSERVERS, LIARS = 300, 100, 33


@pytest.fixture(scope="module")
def fleet():
    """Sums of a thousand items each; every other agent is unusual; a third of the observers lies at +50."""
    rng = np.random.default_rng(0)
    unusual = np.arange(AGENTS) % 2 == 1
    said = rng.normal(np.where(unusual, 5.0, -5.0), math.sqrt(10.0), (OBSERVERS, AGENTS))
    said[:LIARS] = 50.0
    observer, agent = np.indices(said.shape)
    evidence = collect(agent.ravel(), observer.ravel(), said.ravel(), agents=AGENTS, observers=OBSERVERS)
    return unusual, said, evidence


def test_a_third_of_liars_flags_or_clears_nobody_wrongly(fleet):
    unusual, _, evidence = fleet
    naive = posterior(evidence.by_agent(), [0.0, 0.0])
    assert (naive.probability[:, 1] == 1.0).all()  # what the prototype answered
    verdict = decide(evidence, LIARS, 0.001).verdict
    assert not ((verdict == FLAG) & ~unusual).any()
    assert not ((verdict == CLEAR) & unusual).any()
    assert (verdict[unusual] == FLAG).mean() >= 0.99


def test_the_honest_total_is_within_its_bounds_whoever_lies(fleet):
    _, said, evidence = fleet
    found = bounds(evidence, LIARS)
    for agent in range(AGENTS):
        honest = math.fsum(said[LIARS:, agent])
        assert found.lower[agent] <= honest <= found.upper[agent]


def test_retracting_the_liars_restores_the_bits(fleet):
    _, said, evidence = fleet
    observer, agent = np.indices(said.shape)
    honest = (observer >= LIARS).ravel()
    never = collect(
        agent.ravel()[honest],
        observer.ravel()[honest],
        said.ravel()[honest],
        agents=AGENTS,
        observers=OBSERVERS,
    )
    kept = evidence.retract(range(LIARS))
    assert kept.sums.window.tobytes() == never.sums.window.tobytes()
    assert kept.agent.tobytes() == never.agent.tobytes()
    restored = posterior(kept.by_agent(), [0.0, 0.0]).log_odds
    assert [float(v) for v in restored] == [math.fsum(said[LIARS:, agent]) for agent in range(AGENTS)]
