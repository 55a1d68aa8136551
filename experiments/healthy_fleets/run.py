"""The share of healthy fleets in which anyone is flagged, for every shape."""

from typing import Any

import numpy as np

from convergence_jax.baseline.decision import decide
from convergence_jax.baseline.level import levels_from_arrays
from convergence_jax.testing.shapes import SHAPES, healthy_means, observed


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Decide on every fleet; report shares, flags a fleet, and how near the nearest fleet came."""
    fleets = config["fleets"]
    number, agents, features = fleets["number"], fleets["agents"], fleets["features"]
    names = [f"feature {j}" for j in range(features)]
    table = {}
    for k, shape in enumerate(SHAPES):
        smallest, flags = [], []
        for i in range(number):
            rng = np.random.default_rng([config["experiment"]["seed"], k, i])
            agent, values = observed(shape, healthy_means(shape, rng, agents, features), rng)
            levels = levels_from_arrays(agent, [], values)
            decision = decide(levels, agents, alpha=fleets["alpha"], features=names)
            smallest.append(float(decision.q_value.min()))
            flags.append(int(decision.flagged.sum()))
        table[shape] = {
            "fleets": number,
            "any_flagged": float(np.mean(np.array(flags) > 0)),
            "flags_a_fleet": float(np.mean(flags)),
            "smallest_q": min(smallest),
            "median_q": float(np.median(smallest)),
        }
        print(shape, table[shape], flush=True)
    worst = max(row["any_flagged"] for row in table.values())
    bound = fleets["alpha"] + 2 * np.sqrt(fleets["alpha"] * (1 - fleets["alpha"]) / number)
    return {"shapes": table, "worst_any_flagged": worst, "bound": float(bound)}
