"""Bounds and verdicts under every attack, on a million agents, in blocks; beside them, point estimates."""

import math
import resource
from collections import Counter
from functools import partial
from typing import Any

import attacks
import jax
import jax.numpy as jnp
import numpy as np

from convergence_jax.consensus.bounds import honest_range
from convergence_jax.consensus.decision import UNIT_BITS, multiplied, said_units
from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import WINDOW

QUANTUM_BITS = 40
"""What is said is a multiple of ``2**-40``, so that it lies in the window."""


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Misses of the bounds, error rates and power, by attack."""
    fleet, alpha = config["fleet"], config["verdicts"]["alpha"]
    shape = tuple(fleet[name] for name in ("block", "observers", "liars", "steps", "effect"))
    key = jax.random.key(config["experiment"]["seed"])
    found: dict[str, Any] = {}
    for attack, name in enumerate(attacks.NAMES):
        tally: Counter[str] = Counter()
        for block in range(fleet["agents"] // fleet["block"]):
            part = jax.random.fold_in(jax.random.fold_in(key, attack), block)
            every = range(fleet["liars"] + 1)
            for number in every if config["bounds"]["numbers"] == "every" else [block % len(every)]:
                _add(tally, _bounds(jax.random.fold_in(part, number), attack, number, *shape))
            _add(tally, _verdicts(part, attack, *shape, math.log(1.0 / alpha)))
        found[name] = _rates(tally)
        print(f"{name:12s} {found[name]}", flush=True)
    over = list(found.values())
    return {
        "attacks": found,
        "agents_an_attack": over[0]["agents"],
        "misses": sum(row["bounds_missed"] for row in over),
        "false_positive_rate": max(row["false_positive_rate"] for row in over),
        "false_clear_rate": max(row["false_clear_rate"] for row in over),
        "true_positive_rate": min(row["true_positive_rate"] for row in over),
        "naive_false_positive_rate": max(row["naive sum"][0] for row in over),
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _said(key: Any, attack: Any, unusual: Any, number: Any, shape: tuple[Any, ...]) -> tuple[Any, Any]:
    """Exact tables of what all say, and floats; the first `number` observers lie."""
    agents, observers, most, steps, effect = shape
    drift = effect**2 / 2 * steps
    noise = jax.random.normal(key, (agents, observers)) * effect * math.sqrt(steps)
    honest = jnp.where(unusual, drift, -drift)[:, None] + noise
    lying = jnp.arange(observers) < number
    said = jnp.where(lying, attacks.lies(attack, honest, lying, unusual, most, drift)[:, None], honest)
    ticks = jnp.round(said * 2.0**QUANTUM_BITS).astype(jnp.int64)
    up, by = divmod(-QUANTUM_BITS - WINDOW.lsb, 32)
    lanes = group.lanes(group.from_int64(ticks, WINDOW.digits - up)) << np.int64(by)
    return group.normalize(jnp.pad(lanes, [(0, 0), (0, 0), (up, 0)])), said


@partial(jax.jit, static_argnums=range(3, 8))
def _bounds(key: Any, attack: Any, number: Any, *shape: Any) -> dict[str, Any]:
    """Agents whose honest total lies outside the bounds for at most a third, exactly."""
    unusual = jnp.arange(shape[0]) % 2 == 1
    table, _ = _said(key, attack, unusual, number, shape)
    lower, upper = honest_range(table, shape[2])
    truthful = (jnp.arange(shape[1]) >= number)[:, None]
    honest = group.total(jnp.where(truthful, table, np.uint32(0)), axis=1)
    short = group.subtract(honest, lower)[:, -1] >> np.uint32(31)
    long = group.subtract(upper, honest)[:, -1] >> np.uint32(31)
    return {"checked": shape[0], "bounds_missed": jnp.sum((short | long).astype(jnp.int64))}


@partial(jax.jit, static_argnums=range(2, 8))
def _verdicts(key: Any, attack: Any, *shape: Any) -> dict[str, Any]:
    """Verdicts on healthy and unusual agents, half of each, with a full third of liars."""
    agents, observers, liars, _, _, least = shape
    unusual = jnp.arange(agents) % 2 == 1
    table, said = _said(key, attack, unusual, liars, shape[:5])
    against, favour = (multiplied(units, liars, observers) for units in said_units(table))
    needed = np.int64(math.ceil(least * 2**UNIT_BITS) + 1)
    ordered, honest = jnp.sort(said, axis=1), observers - liars
    rules = {
        "flag": against >= needed,
        "clear": favour >= needed,
        "naive sum": said.sum(axis=1) >= least,
        "trimmed mean": ordered[:, liars:honest].mean(axis=1) * honest >= least,
        "median": jnp.median(said, axis=1) * honest >= least,
    }
    made = {"agents": jnp.int64(agents)}
    for rule, hit in rules.items():
        made[f"healthy {rule}"] = jnp.sum((hit & ~unusual).astype(jnp.int64))
        made[f"unusual {rule}"] = jnp.sum((hit & unusual).astype(jnp.int64))
    return made


def _add(tally: Counter[str], more: dict[str, Any]) -> None:
    tally.update({name: int(value) for name, value in more.items()})


def _rates(tally: Counter[str]) -> dict[str, Any]:
    half = tally["agents"] / 2
    peers = ("naive sum", "trimmed mean", "median")
    return {
        "agents": tally["agents"],
        "bounds_checked": tally["checked"],
        "bounds_missed": tally["bounds_missed"],
        "false_positive_rate": tally["healthy flag"] / half,
        "true_positive_rate": tally["unusual flag"] / half,
        "clear_rate": tally["healthy clear"] / half,
        "false_clear_rate": tally["unusual clear"] / half,
        # Of a point estimate taken for log-odds: healthy agents flagged, unusual ones flagged.
        **{rule: [tally[f"healthy {rule}"] / half, tally[f"unusual {rule}"] / half] for rule in peers},
    }
