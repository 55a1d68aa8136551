"""A million items to posteriors, of codes and of texts, interleaved with peers; medians of wall and CPU."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa

from convergence_jax.consensus.events import once
from convergence_jax.consensus.evidence import collect, pool
from convergence_jax.consensus.posterior import posterior
from convergence_jax.data.evidence_file import encode

PRIOR = [0.0, 0.0]


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Seconds, and ratios to the peers of the same task."""
    items, rng = config["items"], np.random.default_rng(config["experiment"]["seed"])
    n, agents, observers = items["number"], items["agents"], items["observers"]
    agent, observer = (rng.integers(0, k, n).astype(np.int32) for k in (agents, observers))
    x = rng.standard_normal(n)
    again = rng.integers(0, n, items["duplicates"])
    rows = np.concatenate([np.arange(n - len(again)), again[again < n - len(again)]])
    texts = [
        pa.array(np.char.add(prefix, codes.astype(str))).take(pa.array(rows))
        for prefix, codes in (("agent-", agent), ("observer-", observer), ("event-", np.arange(n)))
    ]
    values, device = x[rows], [jnp.asarray(a) for a in (agent, observer, x)]
    frame = pd.DataFrame({"agent": agent, "x": x})
    table = pd.DataFrame(dict(zip("aoe", (t.to_pandas() for t in texts), strict=True)) | {"x": values})

    def with_texts() -> Any:
        who, by, event = (encode([text], ordered=k < 2) for k, text in enumerate(texts))
        kept = once([by.codes, event.codes], [who.codes, values]).kept
        parts = (jnp.asarray(a[kept]) for a in (who.codes, by.codes, values))
        made = collect(*parts, agents=len(who), observers=len(by))
        return posterior(made.by_agent(), PRIOR, compiled=True)

    def with_observers() -> Any:
        return posterior(
            collect(*device, agents=agents, observers=observers).by_agent(), PRIOR, compiled=True
        )

    seconds = _interleaved(
        {
            "exact, all observers": lambda: posterior(
                pool(device[0], device[2], agents), PRIOR, compiled=True
            ),
            "exact, each observer": with_observers,
            "bincount": lambda: np.bincount(agent, x, agents),
            "bincount and logistic": lambda: _logistic(np.bincount(agent, x, agents)),
            "pandas, codes": lambda: _logistic(frame.groupby("agent")["x"].sum().to_numpy()),
            "exact, texts, each event once": with_texts,
            "pandas, texts, each event once": lambda: _logistic(
                table.drop_duplicates(["o", "e"]).groupby("a")["x"].sum().to_numpy()
            ),
        },
        config["timing"]["runs"],
    )
    wall = {name: row["wall"] for name, row in seconds.items()}
    return {
        "seconds": seconds,
        "plain_python_seconds": _plain(agent.tolist(), x.tolist(), agents),
        "items_a_second": n / wall["exact, all observers"],
        "items_a_second_each_observer": n / wall["exact, each observer"],
        "to_bincount": wall["exact, all observers"] / wall["bincount"],
        "to_bincount_cpu": seconds["exact, all observers"]["cpu"] / seconds["bincount"]["cpu"],
        "to_pandas_texts": wall["exact, texts, each event once"] / wall["pandas, texts, each event once"],
    }


def _interleaved(tasks: dict[str, Callable[[], Any]], runs: int) -> dict[str, dict[str, float]]:
    """Median seconds of tasks that take turns; the first turn, which compiles, does not count."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(runs + 1):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            seen[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = {name: np.median(rows[1:], axis=0) for name, rows in seen.items()}
    for name, (wall, cpu) in medians.items():
        print(f"{name:32s} {1e3 * wall:8.2f} ms wall {1e3 * cpu:8.2f} ms CPU", flush=True)
    return {name: {"wall": float(wall), "cpu": float(cpu)} for name, (wall, cpu) in medians.items()}


def _logistic(log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of both probabilities, as floats have them."""
    return -np.logaddexp(0.0, -log_odds), -np.logaddexp(0.0, log_odds)


def _plain(agent: list[int], x: list[float], agents: int) -> float:
    start = time.perf_counter()
    total = [0.0] * agents
    for who, value in zip(agent, x, strict=True):
        total[who] += value
    [math.log1p(math.exp(-abs(t))) for t in total]
    return time.perf_counter() - start
