"""Colluders added to real crowds: what is clear and wrong, and how right the rest is, gold or not."""

import os
from itertools import product
from pathlib import Path
from typing import Any

import crowdkit.aggregation as crowdkit
import numpy as np
import pandas as pd

from convergence_jax.consensus import majority, reliability, scoring
from convergence_jax.consensus.labels import Labels, from_columns


def read(folder: Path) -> tuple[Labels, np.ndarray]:
    """Labels of a crowd, and the truth of its items, -1 where it is not known."""
    rows, known = (
        np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1, dtype=np.int64)
        for name in ("label", "truth")
    )
    labels = from_columns(*rows.T, gold=dict(known.tolist()))
    return labels.without_gold(), labels.gold


def joined(
    rng: np.random.Generator, labels: Labels, truth: np.ndarray, share: float, items: str, lie: str
) -> Labels:
    """The labels with colluders, so that they are a share of all workers; each item has one lie."""
    added = round(labels.workers * share / (1 - share))
    median = int(np.median(np.bincount(labels.worker, minlength=labels.workers)))
    size = labels.items if items == "all" else min(median, labels.items)
    item = np.concatenate([rng.permutation(labels.items)[:size] for _ in range(added)])
    told = np.zeros_like(item) if lie == "constant" else (truth[item] + 1) % labels.classes
    if lie == "noisy":
        told = np.where(rng.random(len(item)) < 0.9, told, rng.integers(0, labels.classes, len(item)))
    return Labels(
        np.r_[labels.item, item],
        np.r_[labels.worker, labels.workers + np.repeat(np.arange(added), size)],
        np.r_[labels.label, told],
        labels.items,
        labels.workers + added,
        labels.classes,
    )


def measured(labels: Labels, truth: np.ndarray, alpha: float) -> dict[str, Any]:
    """Accuracy on the items that are not gold, and the shares that are clear, and clear and wrong."""
    found = reliability.estimate(labels)
    asked = ~labels.known
    clear = (reliability.verdicts(found, labels, alpha=alpha) == "clear") & asked
    wrong = clear & (found.log_posterior.argmax(1) != truth)
    return {
        "accuracy": scoring.accuracy(found.log_posterior, np.where(asked, truth, -1)),
        "clear": float(clear.sum() / asked.sum()),
        "clear_and_wrong": float(wrong.sum() / asked.sum()),
        "identifiable": found.identifiable,
        "reason": found.reason,
    }


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Every crowd, share of colluders, number of items and kind of lie."""
    crowds, plan, seed = config["crowds"], config["colluders"], config["experiment"]["seed"]
    shared = os.environ.get("CONVERGENCE_SHARED")
    folder = Path(shared) / "data" / "crowd" if shared else Path(__file__).parent / crowds["folder"]
    result: dict[str, Any] = {}
    worst = {
        "clear_and_wrong": 0.0,
        "more_than_clean": -1.0,
        "behind_clean_majority": -1.0,
        "any_share": -1.0,
    }
    for name in crowds["names"]:
        labels, truth = read(folder / name)
        rng = np.random.default_rng(seed)
        gold = np.full(labels.items, -1)
        chosen = rng.permutation(labels.items)[: max(1, round(crowds["gold"] * labels.items))]
        gold[chosen] = truth[chosen]
        clean = scoring.accuracy(majority.estimate(labels).log_posterior, np.where(gold >= 0, -1, truth))
        usual = measured(labels, truth, crowds["alpha"])["clear_and_wrong"]
        result[name] = {"clean_majority": clean, "clean_clear_and_wrong": usual}
        for share, items, lie in product(plan["shares"], plan["items"], plan["lies"]):
            crowd = joined(rng, labels, truth, share, items, lie)
            fields = (crowd.item, crowd.worker, crowd.label, crowd.items, crowd.workers, crowd.classes)
            without = measured(crowd, truth, crowds["alpha"])
            settled = measured(Labels(*fields, gold), truth, crowds["alpha"])
            table = pd.DataFrame({"task": crowd.item, "worker": crowd.worker, "label": crowd.label})
            peer = crowdkit.DawidSkene().fit_predict(table).reindex(range(labels.items)).to_numpy()
            row = {"without_gold": without, "gold": settled, "peer_accuracy": float((peer == truth).mean())}
            result[name][f"{share:.2f} {items} {lie}"] = row
            lost = without["clear_and_wrong"]
            worst["any_share"] = max(worst["any_share"], lost - usual)
            if name in crowds["main"] and share == plan["headline"]:
                key, more = ("more_than_clean", usual) if lie == "constant" else ("clear_and_wrong", 0.0)
                worst[key] = max(worst[key], lost - more)
                behind = clean - settled["accuracy"]
                worst["behind_clean_majority"] = max(worst["behind_clean_majority"], behind)
        print(name, worst, flush=True)
    return {"crowds": result, "worst": worst}
