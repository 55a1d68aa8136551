"""`Outcome`: what a run of `consensus` found, and how it compares with the truth where that is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from convergence_jax.consensus import scoring
from convergence_jax.consensus.decision import CLEAR, FLAG, UNDETERMINED
from convergence_jax.data.evidence_file import match, read_assigned
from convergence_jax.data.source import Source

SCHEMA = "convergence.consensus/1"


@dataclass(frozen=True)
class Outcome:
    """What `consensus` found.

    Attributes
    ----------
    result : dict
        What ``result.json`` holds.
    posteriors : pa.Table
        One row an item or agent, sorted: ``posteriors.parquet``. Truth has no part in it.
    observers : pa.Table
        One row an observer, sorted: ``observers.parquet``.
    confusion : Float64[ndarray, "observers classes classes"] or None
        Of labels: how probable it is that an observer says the second class where the first is true.
    """

    result: dict[str, Any]
    posteriors: pa.Table
    observers: pa.Table
    confusion: np.ndarray | None = None


def count_verdicts(verdict: np.ndarray) -> dict[str, int]:
    """How many items have each verdict."""
    return {name: int(np.count_nonzero(verdict == name)) for name in (FLAG, CLEAR, UNDETERMINED)}


def probability_columns(
    hypotheses: Sequence[str], log_probability: np.ndarray, probability: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns ``log_posterior_<label>`` and ``probability_<label>`` of a table of posteriors."""
    columns = {f"log_posterior_{name}": log_probability[:, k] for k, name in enumerate(hypotheses)}
    columns.update({f"probability_{name}": probability[:, k] for k, name in enumerate(hypotheses)})
    return columns


def compare(
    truth: Source,
    items: pa.StringArray,
    classes: pa.StringArray,
    log_probability: np.ndarray,
    table: pa.Table,
) -> dict[str, Any]:
    """What the truth says of posteriors: entries for ``result.json``.

    Parameters
    ----------
    truth : Source
        Columns ``item`` or ``agent``, and ``truth`` or ``label``.
    items, classes : pa.StringArray
        Ids and hypotheses, in the order of the posteriors.
    log_probability : Float64[ndarray, "items classes"]
    table : pa.Table
        With the columns ``label`` and ``verdict`` that were answered.

    Returns
    -------
    dict
        Over the items that the truth names: the share whose ``label`` is the truth, and how well the
        probabilities did. One whose true class nobody ever said counts as wrong, and has
        the least probability that the log-loss allows for.

    Raises
    ------
    InputError
        If the file has no such columns, or names no known item and class.
    """
    import jax

    assigned = read_assigned(truth, items, classes, (("item", "agent"), ("truth", "label")))
    label = assigned.label
    named, strange = int(np.count_nonzero(label != -1)), int(np.count_nonzero(label == -2))
    known = np.maximum(label, -1)
    part = (named - strange) / named
    curve = scoring.reliability_curve(log_probability, known)
    error = scoring.calibration_error(jax.random.key(0), log_probability, known)
    verdict, answer = (table[name].combine_chunks() for name in ("verdict", "label"))
    verdict = verdict.to_numpy(zero_copy_only=False)
    right = match(answer, classes) == label
    # Of agents a verdict speaks for itself: a flag denies the null, clear affirms it.
    met = np.where(verdict == FLAG, label > 0, label == 0) if "agent" in table.column_names else right
    decided = (verdict != UNDETERMINED) & (label != -1)
    edges = np.linspace(0.0, 1.0, scoring.BINS + 1)
    return {
        "accuracy": np.count_nonzero(right & (label >= 0)) / named,
        "log_loss": part * scoring.log_loss(log_probability, known) - (1 - part) * np.log(scoring.CLIP),
        "calibration_error": error.value,
        "calibration_interval": [error.lower, error.upper],
        "calibration_bins": [
            {"from": a, "to": b, "count": int(n), "predicted": p, "observed": o}
            for a, b, n, p, o in zip(
                edges, edges[1:], curve.count, curve.confidence, curve.accuracy, strict=False
            )
        ],
        "truth": {
            "rows": assigned.rows,
            "items": named,
            "rejected": assigned.rejected,
            "decided": int(np.count_nonzero(decided)),
            "decided_wrong": int(np.count_nonzero(decided & ~met)),
        },
    }
