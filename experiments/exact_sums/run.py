"""Exact sums beside their peers: interleaved runs in one process, medians of wall and of CPU seconds."""

import json
import math
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

from convergence_jax.exact.segments import segment_state
from convergence_jax.exact.sums import sum_state


def main(config: dict) -> dict:
    """Seconds of every contender, and ratios of the exact sum's to each peer's."""
    rng, sizes = np.random.default_rng(config["experiment"]["seed"]), config["sizes"]
    tasks = {f"sum {n}": sums(rng.standard_normal(n)) for n in sizes["sums"]}
    table = rng.standard_normal((sizes["rows"], sizes["columns"]))
    x = jnp.asarray(table)
    columns = {"exact": jax.jit(lambda a: sum_state(a, axis=0)), "jnp_sum": jax.jit(lambda a: jnp.sum(a, 0))}
    tasks["columns"] = {name: bind(f, x) for name, f in columns.items()}
    groups = sizes["segments"]
    ids = jnp.asarray(rng.integers(0, groups, sizes["rows"]), dtype=jnp.int32)
    into = {
        "exact": lambda a, i: segment_state(a, i, groups),
        "exact, inside jit": jax.jit(lambda a, i: segment_state(a, i, groups)),
        "segment_sum": jax.jit(lambda a, i: jax.ops.segment_sum(a, i, groups)),
    }
    tasks["segments"] = {name: bind(f, x[:, 0], ids) for name, f in into.items()}
    spread = np.ldexp(table[:, 0], rng.integers(-100, 101, sizes["rows"]))
    tasks["sum over 200 orders"] = sums(spread)
    seconds = {task: measure(contenders, sizes["repeats"]) for task, contenders in tasks.items()}
    ratios = {
        task: {
            peer: {kind: of["exact"][kind] / value[kind] for kind in value}
            for peer, value in of.items()
            if peer != "exact"
        }
        for task, of in seconds.items()
    }
    return {"seconds": seconds, "ratios": ratios}


def sums(values: np.ndarray) -> dict[str, Callable]:
    """Everything that sums one array to one number."""
    x = jnp.asarray(values)
    made = {"exact": bind(jax.jit(sum_state), x), "jnp_sum": bind(jax.jit(jnp.sum), x)}
    made |= {"np_sum": lambda: np.sum(values), "math_fsum": lambda: math.fsum(values)}
    try:
        import xsum
    except ImportError:
        return made

    def by_xsum() -> float:
        accumulator = xsum.xsum_large_accumulator()
        xsum.xsum_add(accumulator, values)
        return xsum.xsum_round(accumulator)

    return made | {"xsum": by_xsum}


def bind(f: Callable, *args: jax.Array) -> Callable:
    """Call and wait for the device."""
    return lambda: jax.block_until_ready(f(*args))


def measure(contenders: dict[str, Callable], repeats: int) -> dict[str, dict[str, float]]:
    """Medians, the contenders taking turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for f in contenders.values():
        f()
    for _ in range(repeats):
        for name, f in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            f()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {n: {"wall": median(w for w, _ in t), "cpu": median(c for _, c in t)} for n, t in times.items()}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    here = Path(__file__).parent
    print(json.dumps(main(tomllib.loads((here / "config.toml").read_text())), indent=1))
