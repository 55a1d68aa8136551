"""Runs with cuts and many looks: values whose mean is constant, not their spread; then means that drift."""

from typing import Any

import numpy as np
from scipy.stats import beta

from convergence_jax.partition.answers.anytime import Boundary, OriginMean, anytime_mean_interval
from convergence_jax.partition.answers.interval import Span, mean_interval
from convergence_jax.partition.unseen import Unseen

SPAN = Span(0, 1 << 30, 30)


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Shares of runs with a miss, their upper limits, widths beside the certified interval."""
    options, seed = config["runs"], config["experiment"]["seed"]
    constant = _share(np.random.default_rng(seed), options, options["runs"], 0.0)
    print(f"constant means: {constant}", flush=True)
    drifting = {}
    for size in config["drift"]["sizes"]:
        rng = np.random.default_rng([seed, round(1000 * size)])
        name = f"by_{round(100 * size)}_percent"
        drifting[name] = _share(rng, options, config["drift"]["runs"], size)
        print(f"means that drift {name}: {drifting[name]}", flush=True)
    return {"constant": constant, "drifting": drifting}


def _share(rng: np.random.Generator, options: dict[str, Any], runs: int, drift: float) -> dict[str, Any]:
    looks = [look for _ in range(runs) for look in _run(rng, options, drift)]
    missed, certified, withheld, ratios = (np.array(part) for part in zip(*looks, strict=True))
    number = int(missed.reshape(runs, -1).any(axis=1).sum())
    during = ratios[ratios >= 0.0]
    return {
        "looks": len(looks),
        "runs_missed": number,
        "share": number / runs,
        "upper_limit": float(beta.ppf(0.95, number + 1, runs - number)) if number < runs else 1.0,
        "certified_misses": int(certified.sum()),
        "withheld": int(withheld.sum()),
        "median_ratio": float(np.median(during)),
        "ratio_at_95_percent": float(np.quantile(during, 0.95)),
    }


def _hidden_since(rng: np.random.Generator, options: dict[str, Any]) -> np.ndarray:
    """Steps since each origin was last in touch, ``[steps, origins]``."""
    steps, origins = options["steps"], options["origins"]
    cut = np.zeros((steps, origins), dtype=bool)
    for _ in range(options["cuts"]):
        start = rng.integers(0, steps)
        cut[start : start + rng.integers(*options["cut_steps"])] |= rng.random(origins) < 0.5
    age = np.zeros((steps, origins), dtype=np.int64)
    for step in range(1, steps):
        age[step] = np.where(cut[step], age[step - 1] + 1, 0)
    return age


def _run(rng: np.random.Generator, options: dict[str, Any], drift: float) -> list[tuple[Any, ...]]:
    """Of every look: missed, missed by the certified one, withheld, ratio of widths or -1 if all is seen."""
    age = _hidden_since(rng, options)
    steps, origins = age.shape
    rate = rng.integers(*options["rates"], origins)
    mean = rng.uniform(*((0.3, 0.7) if rng.random() < 0.5 else (0.01, 0.1)), origins)
    events = rng.binomial(rate, 0.9, (steps, origins))
    spread = 10.0 ** rng.uniform(-0.5, 2.0, (steps // 10 + 1, origins)).repeat(10, axis=0)[:steps]
    level = np.where(age > 0, np.clip(mean + drift, 0.0, 0.99), mean)
    totals = np.zeros((steps, origins), dtype=np.int64)
    for j in range(origins):
        a, b = (
            (level[:, j] * spread[:, j]).repeat(events[:, j]),
            ((1 - level[:, j]) * spread[:, j]).repeat(events[:, j]),
        )
        x = np.rint(rng.beta(a, b) * SPAN.high).astype(np.int64)
        before = np.append(0, x.cumsum())
        totals[:, j] = np.diff(before[np.append(0, events[:, j].cumsum())])
    count, total = events.cumsum(axis=0), totals.cumsum(axis=0)
    boundary = Boundary(SPAN, origins, options["alpha"])
    known, found = [OriginMean() for _ in range(origins)], []
    for step in sorted(rng.choice(steps, options["looks"], replace=False)):
        last = [(step - age[step, j], j) for j in range(origins)]
        known = [k.seen(int(count[at]), int(total[at]), boundary) for k, at in zip(known, last, strict=True)]
        unseen = [Unseen(int(rate[j] * age[step, j]), 0) for j in range(origins)]
        truth = total[step].sum() / count[step].sum() / SPAN.high
        whole = mean_interval(
            sum(k.count for k in known), sum(k.total for k in known), SPAN, sum(unseen, Unseen())
        )
        narrow = anytime_mean_interval(known, unseen, boundary)
        inside = narrow is None or narrow.lower <= truth <= narrow.upper
        ratio = -1.0
        if narrow is not None and age[step].any():
            ratio = (narrow.upper - narrow.lower) / (whole.upper - whole.lower)
        found.append((not inside, not whole.lower <= truth <= whole.upper, narrow is None, ratio))
    return found
