"""Power and false discovery rate for anomalies planted in fleets of every shape."""

from typing import Any

import numpy as np

from convergence_jax.baseline.decision import decide
from convergence_jax.baseline.level import levels_from_arrays
from convergence_jax.testing.shapes import SHAPES, healthy_means, observed


def planted(
    means: np.ndarray, share: float, strength: float | str, hidden: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Means with a share of the agents moved, and who they are.

    A number moves each by that many robust standard deviations, up or down, in a feature of its own;
    ``hidden`` moves each along the direction in which the fleet varies least, where no single feature shows
    it.
    """
    agents, features = means.shape
    who = rng.choice(agents, int(share * agents), replace=False)
    sign = rng.choice([-1.0, 1.0], size=(len(who), 1))
    moved = means.copy()
    if strength == "hidden":
        variances, directions = np.linalg.eigh(np.cov(means.T))
        moved[who] += hidden * np.sqrt(variances[0]) * directions[:, 0] * sign
    else:
        spread = 1.4826 * np.median(np.abs(means - np.median(means, 0)), 0)
        moved[who] += float(strength) * spread * np.eye(features)[rng.integers(0, features, len(who))] * sign
    truth = np.zeros(agents, bool)
    truth[who] = True
    return moved, truth


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Mean power and false discovery proportion for every shape, share and strength."""
    fleets, plan = config["fleets"], config["planted"]
    agents, features = fleets["agents"], fleets["features"]
    names = [f"feature {j}" for j in range(features)]
    power: dict[str, dict[str, float]] = {}
    false: dict[str, dict[str, float]] = {}
    for k, shape in enumerate(SHAPES):
        power[shape], false[shape] = {}, {}
        for share in plan["shares"]:
            for strength in [*plan["strengths"], "hidden"]:
                found, wrong = [], []
                for i in range(fleets["number"]):
                    rng = np.random.default_rng([config["experiment"]["seed"], k, i])
                    means = healthy_means(shape, rng, agents, features)
                    means, truth = planted(means, share, strength, plan["hidden"], rng)
                    levels = levels_from_arrays(*_table(shape, means, rng))
                    flagged = decide(levels, agents, alpha=fleets["alpha"], features=names).flagged
                    found.append(float(flagged[truth].mean()))
                    wrong.append(float((flagged & ~truth).sum() / max(flagged.sum(), 1)))
                name = f"{share:.0%} {strength}".replace(".0", "")
                power[shape][name] = round(float(np.mean(found)), 3)
                false[shape][name] = round(float(np.mean(wrong)), 4)
        print(shape, power[shape], max(false[shape].values()), flush=True)
    worst = max(rate for row in false.values() for rate in row.values())
    easy = [power[shape][name] for shape in ("gaussian", "correlated") for name in power[shape]]
    return {
        "power": power,
        "false_discovery_rate": false,
        "worst_false_discovery_rate": worst,
        "least_power_gaussian": min(easy),
    }


def _table(shape: str, means: np.ndarray, rng: np.random.Generator) -> tuple[Any, list[Any], Any]:
    agent, values = observed(shape, means, rng)
    return agent, [], values
