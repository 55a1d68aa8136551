"""Crowds for the tests of this room: made ones, and the real ones where the machine has them."""

import os
from pathlib import Path

import numpy as np

from convergence_jax.consensus.labels import Labels

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CONVERGENCE_SHARED", ROOT.parent / "shared"))
CROWD = SHARED / "data" / "crowd"
SETS = ("bluebird", "rte", "trec", "ms", "cf", "sp", "zencrowd_in", "sentiment", "face", "adult")


def made(rng, items=300, workers=30, classes=3, per_item=8, right=(0.5, 0.9), inverted=0):
    """Labels, truth and tables of workers who err independently and evenly; the first ones are inverted."""
    truth = rng.integers(0, classes, items)
    skill = rng.uniform(*right, workers)
    skill[:inverted] = 0.05
    tables = np.full((workers, classes, classes), 0.0)
    for w in range(workers):
        tables[w] = (1 - skill[w]) / (classes - 1)
        np.fill_diagonal(tables[w], skill[w])
    item = np.repeat(np.arange(items), per_item)
    worker = np.concatenate([rng.permutation(workers)[:per_item] for _ in range(items)])
    drawn = rng.random(len(item))[:, None]
    label = (drawn > tables[worker, truth[item]].cumsum(1)[:, :-1]).sum(1)
    return Labels(item, worker, label, items, workers, classes), truth, tables


def colluding(rng, labels, truth, everything=True, constant=False):
    """The labels with half as many workers added, a third of all, who agree on one wrong label an item."""
    added = labels.workers // 2
    median = int(np.median(np.bincount(labels.worker, minlength=labels.workers)))
    size = labels.items if everything else min(median, labels.items)
    item = np.concatenate([rng.permutation(labels.items)[:size] for _ in range(added)])
    worker = labels.workers + np.repeat(np.arange(added), size)
    lie = np.zeros_like(item) if constant else (truth[item] + 1) % labels.classes
    return Labels(
        np.r_[labels.item, item],
        np.r_[labels.worker, worker],
        np.r_[labels.label, lie],
        labels.items,
        labels.workers + added,
        labels.classes,
        labels.gold,
    )


def with_gold(rng, labels, truth, share=0.05):
    """The labels with the truth of a share of the items whose truth is known."""
    known = np.flatnonzero(truth >= 0)
    chosen = rng.permutation(known)[: max(1, round(share * len(known)))]
    gold = np.full(labels.items, -1)
    gold[chosen] = truth[chosen]
    return Labels(
        labels.item, labels.worker, labels.label, labels.items, labels.workers, labels.classes, gold
    )


def real(name):
    """One of the ten sets: labels, and truth with -1 where it is not known."""
    rows = np.loadtxt(CROWD / name / "label.csv", delimiter=",", skiprows=1, dtype=np.int64)
    known = np.loadtxt(CROWD / name / "truth.csv", delimiter=",", skiprows=1, dtype=np.int64)
    codes = [np.unique(rows[:, k], return_inverse=True) for k in range(3)]
    labels = Labels(*(code for _, code in codes), *(len(values) for values, _ in codes))
    truth = np.full(labels.items, -1)
    truth[np.searchsorted(codes[0][0], known[:, 0])] = np.searchsorted(codes[2][0], known[:, 1])
    return labels, truth
