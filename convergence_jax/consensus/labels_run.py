"""`judge`: from labels by many workers to the class of every item, and what each worker is like."""

from typing import Any

import numpy as np
import pyarrow as pa

from convergence_jax.consensus import anaesthetists
from convergence_jax.consensus.decision import UNDETERMINED
from convergence_jax.consensus.labels import Labels
from convergence_jax.consensus.outcome import SCHEMA, Outcome, compare, count_verdicts, probability_columns
from convergence_jax.consensus.reliability import Reliability, estimate, verdicts
from convergence_jax.data.digest import digest
from convergence_jax.data.evidence_file import ITEM, LABEL, WORKER, Assigned, Coded, read_assigned, read_rows
from convergence_jax.data.source import Source
from convergence_jax.data.stages import Progress, Stages, execution, versions
from convergence_jax.errors import InputError

BUILT_IN = "anaesthetists (Dawid and Skene, 1979)"

METHOD = (
    "Of three models of workers (tables of errors under a prior learned from the crowd, one coin a worker, "
    "items in groups that workers see differently), by variational Bayes, the one of the largest evidence "
    "bound; log-odds cooled by what another sample of workers would change; a class is clear from "
    "probability 1 - alpha."
)

ASSUMES = [
    "Given the true class of an item, workers answer independently of each other; what they share beyond "
    "that is estimated and cooled away, not known.",
    "Most workers, and most labels, are better than chance, unless gold items say which side is.",
]


def judge(
    source: Source | None,
    *,
    truth: Source | None = None,
    gold: Source | None = None,
    alpha: float = 0.05,
    progress: Progress | None = None,
) -> Outcome:
    """Find the class of every item from labels alone.

    Parameters
    ----------
    source : Source or None
        Columns ``item``, ``worker`` and ``label``; None for the built-in table.
    truth : Source, optional
        Columns ``item`` and ``truth``: to compare with afterwards. No posterior depends on it.
    gold : Source, optional
        Columns ``item`` and ``label`` (or ``truth``) of items whose class is known.
    alpha : float, default 0.05
        A class is clear from probability ``1 - alpha``.
    progress : callable, optional
        Told the stage and its fraction.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If a file cannot be used, or all labels are the same.
    """
    stages = Stages(progress)
    with stages.stage("read"):
        columns, read, rejected = _columns(source, stages.progress)
        item, worker, label = columns
        if len(label) < 2:
            only = label.values[0].as_py()
            where = source.name if source else BUILT_IN
            raise InputError(f"{where}: all labels are {only!r}; give a file with two or more.")
        known = None
        if gold is not None:
            known = read_assigned(gold, item.values, label.values, ((ITEM,), (LABEL, "truth", "gold")))
        rows = Labels(
            item.codes, worker.codes, label.codes, len(item), len(worker), len(label),
            None if known is None else np.maximum(known.label, -1),
        )  # fmt: skip
    with stages.stage("digest"):
        fingerprint = digest(SCHEMA, item.values, worker.values, label.values, _parts(rows))
    with stages.stage("estimate"):
        found = estimate(rows)
    verdict = verdicts(found, rows, alpha=alpha)
    classes = label.values.to_pylist()
    table = _posteriors(rows, found, verdict, item, classes)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "mode": "labels",
        "execution": execution(),
        "input": {
            "name": source.name if source else BUILT_IN,
            "rows": read,
            "labels": len(rows.item),
            "gold": None if known is None else _said(known),
        },
        "items": len(item),
        "observers": len(worker),
        "hypotheses": classes,
        "class_shares": found.tables.class_prior,
        "rejected": rejected,
        "decision": {
            "alpha": alpha,
            "observers_lying": None,
            "method": METHOD,
            "assumes": ASSUMES,
            "verdicts": count_verdicts(verdict),
            "identifiable": found.identifiable,
            "reason": None if found.identifiable else found.reason,
            "temperature": float(np.median(found.temperature)),
        },
        "digest": fingerprint,
    }
    if truth is not None:
        with stages.stage("compare"):
            result.update(compare(truth, item.values, label.values, found.log_posterior, table))
    result["seconds"] = stages.rounded()
    result["versions"] = versions("scipy", "pyarrow")
    return Outcome(result, table, _observers(found, worker), found.tables.confusion)


def _columns(source: Source | None, progress: Progress) -> tuple[list[Coded], int, dict[str, int]]:
    """Items, workers and labels, how many rows were read, and those left out."""
    if source is not None:
        rows = read_rows(source, (ITEM, WORKER, LABEL), progress=progress)
        return [rows.texts[name] for name in (ITEM, WORKER, LABEL)], rows.read, rows.rejected
    table = anaesthetists.labels()
    names = (("patient {:02d}", table.items), ("observer {}", table.workers), ("class {}", table.classes))
    codes = (table.item, table.worker, table.label)
    columns = [
        Coded(code, pa.array([name.format(i + 1) for i in range(number)]))
        for code, (name, number) in zip(codes, names, strict=True)
    ]
    return columns, len(table.item), {}


def _parts(labels: Labels) -> list[Any]:
    item, cell, count = labels.cells()
    return [item, cell, count.astype(np.int64), None if labels.gold is None else labels.gold]


def _said(assigned: Assigned) -> dict[str, Any]:
    """What a file of truth or gold came to."""
    return {
        "rows": assigned.rows,
        "items": int(np.count_nonzero(assigned.label >= 0)),
        "rejected": assigned.rejected,
    }


def _posteriors(
    labels: Labels, found: Reliability, verdict: np.ndarray, item: Coded, classes: list[str]
) -> pa.Table:
    columns: dict[str, Any] = {
        "item": item.values,
        "labels": np.bincount(labels.item, minlength=labels.items),
        "observers": np.bincount(
            np.unique(labels.item * labels.workers + labels.worker) // labels.workers, minlength=labels.items
        ),
    }
    columns.update(probability_columns(classes, found.log_posterior, found.posterior))
    if len(classes) == 2:
        columns["log_odds"] = found.log_posterior[:, 1] - found.log_posterior[:, 0]
    open_ = ~(found.identifiable | labels.known)
    likeliest = np.where(open_, len(classes), found.log_posterior.argmax(axis=1))
    columns["label"] = pa.array([*classes, UNDETERMINED]).take(pa.array(likeliest))
    columns["verdict"] = pa.array(verdict.astype(str), pa.string())
    return pa.table(columns)


def _observers(found: Reliability, worker: Coded) -> pa.Table:
    """One row a worker, with what makes it suspicious."""
    seen = found.observers
    rank = np.empty(len(worker), dtype=np.int64)
    rank[seen.order] = np.arange(1, len(worker) + 1)
    share = found.tables.class_prior
    right = np.einsum("k,wkk->w", share, found.tables.confusion)
    return pa.table(
        {
            "observer": worker.values,
            "items": seen.ratings,
            "agreement": seen.agreement,
            "chance": seen.chance,
            "accuracy": right,
            "below_chance": seen.below,
            "suspicion": seen.suspicion,
            "suspicion_rank": rank,
            "suspicious": seen.suspicion > 0.5,
            "reason": pa.array(list(seen.reason), pa.string()),
            "confusion": pa.array(found.tables.confusion.tolist()),
        }
    )
