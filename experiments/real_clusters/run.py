"""Short runs of real node processes under every scenario, and how soon a larger cluster agrees."""

import os
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from convergence_jax.partition.namespaces import Namespaces, missing
from convergence_jax.partition.scenario import Plan, faults_of, run


def main(config: dict[str, Any]) -> dict[str, Any]:
    """What was acknowledged, recovered, checked and missed over all runs."""
    given, seed = config["runs"], config["experiment"]["seed"]
    plans = [
        Plan(given["nodes"], scenario, given["seconds"], given["rate"], seed + repeat)
        for scenario in given["scenarios"]
        for repeat in range(given["repeats"])
    ]
    results = [_run(plan) for plan in plans]
    healing = config["healing"]
    larger = _run(Plan(healing["nodes"], "cut-heal", healing["seconds"], healing["rate"], seed))
    total = {
        name: sum(result[name] for result in results)
        for name in ("acknowledged", "recovered", "queries", "answered", "refused", "interval_checks")
    }
    return {
        "runs": len(results),
        "network": results[0]["network"],
        **total,
        "lost_or_invented": sum(abs(result["acknowledged"] - result["recovered"]) for result in results),
        "interval_misses": sum(result["interval_misses"] for result in results),
        "faults": [line for result in [*results, larger] for line in faults_of(result)],
        "p99_ms": statistics.median(result["p99_ms"] for result in results),
        "seconds_to_converge": max(result["seconds_to_converge"] or 1e9 for result in results),
        "larger": {name: larger[name] for name in ("nodes", "seconds_to_converge", "acknowledged", "p99_ms")},
        "idle_memory_mb": max(result["memory_mb"]["idle"]["max"] for result in results),
    }


def _run(plan: Plan) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        network = None
        if missing() is None:
            network = held.enter_context(Namespaces(plan.nodes, f"runs{os.getpid()}"))
        return run(plan, Path(folder) / "run", network)
