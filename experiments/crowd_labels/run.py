"""Accuracy, log-loss and calibration error of ours and of crowd-kit's, on real crowds and made ones."""

import os
import time
from pathlib import Path
from typing import Any

import crowdkit.aggregation as crowdkit
import jax
import numpy as np
import pandas as pd

from convergence_jax.consensus import dawid_skene, ebcc, ibcc, majority, one_coin, reliability, scoring
from convergence_jax.consensus.labels import Labels, from_columns

MODELS = {
    "majority": majority.estimate,
    "one coin": one_coin.estimate,
    "Dawid and Skene": dawid_skene.estimate,
    "IBCC": ibcc.estimate,
    "EBCC": lambda labels: ebcc.estimate(labels, key=jax.random.key(0)),
}


def read(folder: Path) -> tuple[Labels, np.ndarray]:
    """Labels of a crowd, and the truth of its items, -1 where it is not known."""
    rows, known = (
        np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1, dtype=np.int64)
        for name in ("label", "truth")
    )
    labels = from_columns(*rows.T, gold=dict(known.tolist()))
    return labels.without_gold(), labels.gold


def independent(rng: np.random.Generator) -> tuple[Labels, np.ndarray]:
    """A crowd of 1,000 items and observers who err independently: 2 to 6 classes, 3 to 20 labels an item."""
    classes, per_item, workers = rng.integers(2, 7), rng.integers(3, 21), rng.integers(25, 200)
    truth = rng.choice(classes, 1000, p=rng.dirichlet(np.full(classes, 5.0)))
    skill = rng.dirichlet(np.ones(classes), (workers, classes))
    mix = rng.uniform(0.2, 0.9, (workers, 1, 1))
    tables = mix * np.eye(classes) + (1 - mix) * skill
    item = np.repeat(np.arange(1000), per_item)
    worker = np.concatenate([rng.permutation(workers)[:per_item] for _ in range(1000)])
    label = (rng.random((len(item), 1)) > tables[worker, truth[item]].cumsum(1)[:, :-1]).sum(1)
    return Labels(item, worker, label, 1000, int(workers), int(classes)), truth


def scores(log_posterior: np.ndarray, truth: np.ndarray, seconds: float, clip: float) -> dict[str, float]:
    """Accuracy, log-loss, calibration error with its interval, seconds."""
    error = scoring.calibration_error(jax.random.key(0), log_posterior, truth, resamples=200)
    found = {"calibration_error": error.value, "lower": error.lower, "upper": error.upper}
    found["accuracy"] = scoring.accuracy(log_posterior, truth)
    return found | {"log_loss": scoring.log_loss(log_posterior, truth, clip=clip), "seconds": seconds}


def peer(name: str, labels: Labels, seed: int) -> np.ndarray:
    """Log posteriors of a method of crowd-kit."""
    table = pd.DataFrame({"task": labels.item, "worker": labels.worker, "label": labels.label})
    method = getattr(crowdkit, name)(**({"random_state": seed} if name == "MACE" else {}))
    found = method.fit_predict_proba(table).reindex(index=range(labels.items), columns=range(labels.classes))
    with np.errstate(divide="ignore"):
        return np.log(found.fillna(0.0).to_numpy())


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Every method on every crowd, and means over the crowds that it was run on."""
    shared, peers, seed = os.environ.get("CONVERGENCE_SHARED"), config["peers"], config["experiment"]["seed"]
    folder = Path(__file__).parent / config["crowds"]["folder"]
    folder = Path(shared) / "data" / "crowd" if shared else folder
    sets: dict[str, dict[str, dict[str, float]]] = {}
    clear: dict[str, dict[str, float]] = {}
    rng = np.random.default_rng(seed)
    made = {f"made {k}": independent(rng) for k in range(config["synthetic"]["number"])}
    for name in [*config["crowds"]["names"], *made]:
        labels, truth = made[name] if name in made else read(folder / name)
        slow = peers["slow"] if len(labels.item) > peers["slow_labels"] else []
        started = time.perf_counter()
        found = reliability.estimate(labels)
        sets[name] = {
            "ours": scores(found.log_posterior, truth, time.perf_counter() - started, peers["clip"])
        }
        sure = (reliability.verdicts(found, labels, alpha=config["crowds"]["alpha"]) == "clear") & (
            truth >= 0
        )
        wrong = (found.log_posterior.argmax(1) != truth) & sure
        clear[name] = {"share": float(sure.sum() / (truth >= 0).sum()), "wrong": int(wrong.sum())}
        clear[name]["identifiable"] = float(found.identifiable)
        for method in [*MODELS, *(p for p in peers["names"] if name not in made and p not in slow)]:
            started = time.perf_counter()
            ours = MODELS.get(method)
            logs = ours(labels).log_posterior if ours else peer(method, labels, seed)
            sets[name][method] = scores(logs, truth, time.perf_counter() - started, peers["clip"])
        print(name, {k: round(v["accuracy"], 4) for k, v in sets[name].items()}, flush=True)
    return {"sets": sets, "clear": clear, **summed_up(sets, config["crowds"]["names"], list(made), peers)}


def summed_up(sets: Any, real: list[str], made: list[str], peers: dict[str, Any]) -> dict[str, Any]:
    """Means over crowds; of a peer, over those it was run on, beside ours on the same."""

    def mean(method: str, key: str, names: list[str]) -> float:
        return float(np.mean([sets[name][method][key] for name in names]))

    keys = ("accuracy", "log_loss", "calibration_error")
    on = {p: [name for name in real if p in sets[name]] for p in peers["names"]}
    return {
        "ours": {key: mean("ours", key, real) for key in keys},
        "models": {m: {key: mean(m, key, real) for key in keys} for m in MODELS},
        "peers": {p: {key: mean(p, key, on[p]) for key in keys} | {"crowds": len(on[p])} for p in on},
        "least_advantage_in_log_loss": min(
            mean(p, "log_loss", on[p]) - mean("ours", "log_loss", on[p]) for p in on
        ),
        "seconds": sum(sets[name]["ours"]["seconds"] for name in real),
        "independent": {key: mean("ours", key, made) for key in keys},
    }
