"""Exact log-odds against `math.fsum` for seven kinds of items; signs where they cancel; bits of any order."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from convergence_jax.consensus.evidence import collect, pool
from convergence_jax.consensus.posterior import posterior
from convergence_jax.data.digest import digest

DISTRIBUTIONS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "shifted by -0.010418": lambda rng, n: rng.standard_normal(n) - 0.010418,
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "lognormal, either sign": lambda rng, n: rng.choice([-1.0, 1.0], n) * rng.lognormal(0.0, 3.0, n),
    "pairs that cancel, and a rest": lambda rng, n: _pairs(rng, n, 1e-9),
    "300 decades": lambda rng, n: rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-300, 8, n),
    "subnormal": lambda rng, n: rng.integers(-(2**52), 2**52, n).astype(np.int64) * 5e-324,
}

CASES = {
    "pairs and a rest of 1e-9": 1e-9,
    "pairs and a rest of 1e-12": 1e-12,
    "pairs and a rest of 1e-16": 1e-16,
    "pairs and a rest of 1e-20": 1e-20,
}


def _pairs(rng: np.random.Generator, n: int, rest: float) -> np.ndarray:
    half = rng.standard_normal(n // 2 - 1) * 10.0 ** rng.uniform(0, 3, n // 2 - 1)
    return rng.permutation(np.concatenate([half, -half, [rest, rest]]))


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Wrong sums, wrong signs and distinct digests."""
    seed = config["experiment"]["seed"]
    right, naive = _sums(np.random.default_rng(seed), config["sums"]["sizes"])
    flips = _signs(config["cancelling"])
    return {
        "sums": right,
        "wrong": sum(not row["exact"] for row in right.values()),
        "wrong_of_numpy": naive,
        "sign_flips": flips,
        "flips": flips["exact"],
        "distinct_digests": _orders(np.random.default_rng(seed), config["order"]),
    }


def _sums(rng: np.random.Generator, sizes: list[int]) -> tuple[dict[str, Any], int]:
    """Log-odds of one agent against the correctly rounded sum of another method."""
    found, naive = {}, 0
    for n in sizes:
        for name, draw in DISTRIBUTIONS.items():
            x = draw(rng, n)
            zero = np.zeros(n, dtype=np.int32)
            got = [
                float(posterior(pool(codes, values, 1), [0.0, 0.0]).log_odds[0])  # type: ignore[index]
                for codes, values in ((zero, x), (jnp.asarray(zero), jnp.asarray(x)))
            ]
            want = math.fsum(x)
            found[f"{name}, {n:.0e}"] = {"exact": got == [want, want], "log_odds": want}
            naive += float(np.sum(x)) != want
            print(f"{name:32s} {n:9d} {got} {want}", flush=True)
    return found, naive


def _signs(options: dict[str, Any]) -> dict[str, int]:
    """Runs in which a sum has the wrong sign."""
    flips = {"exact": 0, "numpy float64": 0, "one after the other, float64": 0, "numpy float32": 0}
    for rest in CASES.values():
        for seed in range(options["seeds"]):
            x = _pairs(np.random.default_rng(seed), options["items"], rest)
            zero = np.zeros(len(x), dtype=np.int32)
            sums = {
                "exact": posterior(pool(zero, x, 1), [0.0, 0.0]).log_odds[0],  # type: ignore[index]
                "numpy float64": np.sum(x),
                "one after the other, float64": np.cumsum(x)[-1],
                "numpy float32": np.sum(x.astype(np.float32)),
            }
            for name, total in sums.items():
                flips[name] += not total > 0.0
    return flips


def _orders(rng: np.random.Generator, options: dict[str, Any]) -> int:
    """Digests over orders and splits of the same items."""
    n, seen = options["items"], set()
    agent, observer = rng.integers(0, 50, n).astype(np.int32), rng.integers(0, 20, n).astype(np.int32)
    x = rng.standard_normal(n) * 10.0 ** rng.uniform(-12, 3, n)
    for k in range(options["orders"]):
        order, shards = rng.permutation(n), options["shards"][k % len(options["shards"])]
        parts = [
            collect(agent[part], observer[part], x[part], agents=50, observers=20)
            for part in np.array_split(order, shards)
        ]
        while len(parts) > 1:  # a tree of pairs
            parts = [a.merge(b) for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[
                len(parts) & ~1 :
            ]
        e = parts[0]
        seen.add(digest(e.agent, e.observer, e.count, e.sums.window, e.sums.far, e.sums.outside))
    return len(seen)
