"""Whole processes: `convergence detect --synthetic N` beside PyOD's ECOD and IForest on the agents' means."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024

PEER = """
import sys
import numpy as np
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest

agents, features, observations, seed = map(int, sys.argv[2:])
rng = np.random.default_rng(seed)
means = rng.normal(size=(agents, features))
for _ in range(observations - 1):
    means += rng.normal(size=(agents, features))
model = {"ECOD": ECOD, "IForest": IForest}[sys.argv[1]]()
model.fit(means / observations)
print(int(model.labels_.sum()))
"""


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Medians of wall and CPU seconds and of the largest memory, the commands in turn."""
    data, seed = config["data"], config["experiment"]["seed"]
    runs: dict[str, list[dict[str, float]]] = {"convergence detect": [], "ECOD": [], "IForest": []}
    flagged: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(data["repeats"]):
            out = Path(folder, str(repeat))
            command = [sys.executable, "-m", "convergence_jax", "detect", "--out", str(out)]
            command += ["--synthetic", str(data["agents"]), "--seed", str(seed)]
            runs["convergence detect"].append(_measured(command)[0])
            result = json.loads((out / "result.json").read_text())
            flagged["convergence detect"] = result["decision"]["flagged"]
            for name in ("ECOD", "IForest"):
                sizes = [str(data[key]) for key in ("agents", "features", "observations")]
                measured, said = _measured([sys.executable, "-c", PEER, name, *sizes, str(seed)])
                runs[name].append(measured)
                flagged[name] = int(said.split()[-1])
    table = {
        name: {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        for name, measured in runs.items()
    }
    return {
        "medians": table,
        "flagged": flagged,
        "planted": result["planted"],
        "seconds_by_stage": result["seconds"],
        "digest": result["digest"],
    }


def _measured(command: list[str]) -> tuple[dict[str, float], str]:
    """Wall and CPU seconds and peak memory of one process, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{command[:6]} ended with status {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, "peak_gb": usage.ru_maxrss * _MAXRSS_BYTES / 1e9}, said
