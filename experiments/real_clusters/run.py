"""Short runs of real node processes under every scenario, and how soon a larger cluster agrees."""

import json
import os
import shutil
import statistics
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from convergence_jax.data.digest import digest
from convergence_jax.partition.clusters.namespaces import Namespaces, missing
from convergence_jax.partition.clusters.scenario import RESULT, Plan, faults_of, run

REPEATS = "CLUSTER_REPEATS"
"""In the environment: how often each scenario is run, where that is not what the config says."""

KEPT = Path("results") / "real_clusters"
"""Results of runs that are done, so that they are not done again, and whole folders of runs with a fault."""


def main(config: dict[str, Any]) -> dict[str, Any]:
    """What was acknowledged, recovered, checked and missed over all runs."""
    given, seed = config["runs"], config["experiment"]["seed"]
    plans = [
        Plan(given["nodes"], scenario, given["seconds"], given["rate"], seed + repeat)
        for scenario in given["scenarios"]
        for repeat in range(int(os.environ.get(REPEATS, given["repeats"])))
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
    """The result of a run, which is made unless it is there already."""
    folder = KEPT / digest([repr(plan), metadata.version("convergence-jax")])[:16]
    kept = folder.with_suffix(".json")
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was broken off
        with ExitStack() as held:
            network = None
            if missing() is None:
                network = held.enter_context(Namespaces(plan.nodes, f"runs{os.getpid()}"))
            faults = faults_of(run(plan, folder, network))
        os.replace(folder / RESULT, kept)
        if not faults:
            shutil.rmtree(folder)
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    print(
        f"{plan.scenario:8s} {plan.nodes} nodes, seed {plan.seed}: {faults_of(result) or 'good'}", flush=True
    )
    return result
