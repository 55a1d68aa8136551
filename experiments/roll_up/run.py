"""Full-covariance roll-ups beside DuckDB, polars, NumPy and a float Gram matrix, and changes in place."""

import time
from collections.abc import Callable
from typing import Any

import duckdb
import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from convergence_jax.exact.fixed_point import FixedPoint, largest_exponent
from convergence_jax.hierarchy.reduce import roll_up
from convergence_jax.hierarchy.tree import from_codes
from convergence_jax.hierarchy.update import LiveTree
from convergence_jax.statistics.moments import Moments


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Medians of interleaved runs in milliseconds, wall and CPU, and the ratios to DuckDB's."""
    data = config["data"]
    rng = np.random.default_rng(config["experiment"]["seed"])
    n, d, groups, repeats = data["rows"], data["features"], data["groups"], data["repeats"]
    xs = rng.standard_normal((d, n))
    weights = rng.pareto(1.5, groups[-1]) + 0.3
    fleets = {
        "even": np.arange(n) * groups[-1] // n,
        "poisson": np.sort(rng.integers(0, groups[-1], n)),
        "pareto": np.sort(rng.choice(groups[-1], n, p=weights / weights.sum())),
    }
    fleets["pareto, shuffled"] = rng.permutation(fleets["pareto"])
    lifts = tuple(FixedPoint.covering(largest_exponent(x) or 0) for x in xs)
    stat, result = Moments(lifts), {}
    for name, group in fleets.items():
        codes = [group // (groups[-1] // size) for size in groups]
        tree, _ = from_codes(codes)
        peers = runs(stat, tree, codes, xs)
        table = interleave(peers, repeats)
        duck = table["duckdb rollup"]
        ratios = {k: {c: duck[c] / row[c] for c in row} for k, row in table.items() if k.startswith("exact")}
        agreement = float(np.abs(peers["exact, presented"]()[0].covariance[0] - np.cov(xs)).max())
        result[name] = {
            "ms": table,
            "duckdb_over": ratios,
            "padding": tree.layout.padding,
            "error": agreement,
        }
    return {"roll_up": result, "update": changes(stat, tree, xs, data, rng)}


def runs(stat: Moments, tree: Any, codes: list[np.ndarray], xs: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Each peer as a function that does everything from the same columns in memory."""
    names, keys = [f"x{i}" for i in range(len(xs))], [f"g{k}" for k in range(len(codes))]
    groups = {key: code.astype(np.int32) for key, code in zip(keys, codes, strict=True)}
    frame = pl.DataFrame(groups | dict(zip(names, xs, strict=True)))
    connection = duckdb.connect()
    connection.execute("create table t as select * from frame")
    pairs = [(a, b) for k, a in enumerate(names) for b in names[k:]]
    columns = ", ".join(
        ["count(*)", *(f"avg({a})" for a in names), *(f"covar_samp({a}, {b})" for a, b in pairs)]
    )
    query = f"select {', '.join(keys)}, {columns} from t group by rollup({', '.join(keys)})"
    aggregates = [pl.col(a).mean() for a in names] + [pl.cov(a, b).alias(f"{a}{b}") for a, b in pairs]
    device = jnp.asarray(xs)
    return {
        "exact, states": lambda: jax.block_until_ready(roll_up(stat, tree, device)),
        "exact, presented": lambda: [stat.present(state) for state in roll_up(stat, tree, device)],
        "duckdb rollup": lambda: connection.sql(query).to_arrow_table(),
        "polars group_by": lambda: [
            frame.group_by(keys[:k]).agg(aggregates) for k in range(len(keys), 0, -1)
        ],
        "numpy cov of all": lambda: np.cov(xs),
        "jax cov of all": lambda: jnp.cov(device).block_until_ready(),
    }


def interleave(peers: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Medians of wall and CPU milliseconds, every peer once a round, after one round unmeasured."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    for _ in range(repeats + 1):
        for name, run in peers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)))
    return {
        k: dict(zip(("wall", "cpu"), np.median(v[1:], axis=0).tolist(), strict=True))
        for k, v in times.items()
    }


def changes(stat: Moments, tree: Any, xs: np.ndarray, data: dict[str, Any], rng: Any) -> dict[str, float]:
    """Medians of single changes and of batches, every level, dispatch and waiting included."""
    live, rows = LiveTree(stat, tree), np.ascontiguousarray(xs.T)
    live.join(np.arange(len(rows)), rows)
    times: dict[int, list[float]] = {1: [], data["batch"]: []}
    for size, taken in times.items():
        for _ in range(data["changes"] if size == 1 else 30):
            agents, news = rng.choice(len(rows), size, replace=False), rows[rng.integers(0, len(rows), size)]
            start = time.perf_counter()
            live.update(agents, news)
            live.block_until_ready()
            taken.append(time.perf_counter() - start)
    one, batch = (float(np.median(t[2:])) for t in times.values())
    return {"one_ms": 1e3 * one, "batch_updates_per_s": data["batch"] / batch}
