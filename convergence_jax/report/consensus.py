"""From what `consensus` found to the `ConsensusPage` that shows it."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from convergence_jax.report.consensus_page import ConsensusPage, JudgedItem, LabelChance, Observer, histogram

SHOWN = 150
"""Agents or items of each verdict that the page may name."""

NOT_SUSPICIOUS = ("nothing unusual", "")

_ESTIMATES = {"trimmed_mean_estimate": "trimmed mean", "median_estimate": "median"}
_E_VALUE = {"flag": "log_e_against_null", "clear": "log_e_against_alternative"}
_TOP = 3
_MOST_OBSERVERS = 200


class Found(Protocol):
    """What the page needs of `convergence_jax.consensus.outcome.Outcome`."""

    @property
    def result(self) -> Mapping[str, Any]:
        """What ``result.json`` holds."""

    @property
    def posteriors(self) -> pa.Table:
        """One row an agent or item."""

    @property
    def observers(self) -> pa.Table:
        """One row an observer."""

    @property
    def confusion(self) -> np.ndarray | None:
        """A matrix an observer, in the order of the table; None where there is none."""


def page_of(found: Found, *, command: str = "", subject: str | None = None) -> ConsensusPage:
    """What the report of a consensus shows.

    Parameters
    ----------
    found : Found
        What `consensus` found.
    command : str
        The command line that does it again.
    subject : str, optional
        What was looked at, for the title; the name of the input where it is None.
    """
    result = found.result
    columns = {name: found.posteriors[name] for name in found.posteriors.column_names}
    verdict = columns["verdict"].to_numpy(zero_copy_only=False).astype(str)
    odds = _numbers(columns, "log_odds")
    hypotheses = [str(label) for label in result.get("hypotheses") or []]
    posterior = _posterior(columns, hypotheses)
    drawn = None
    if odds is not None:
        drawn = histogram(odds, verdict == "flag")
    elif posterior is not None:
        drawn = histogram(np.exp(posterior.max(axis=1)), verdict == "flag", within=(0.0, 1.0))
    if subject is None:
        subject = str((result.get("input") or {}).get("name") or "")
    chosen = _chosen(columns, verdict, odds, posterior)
    named = odds is None or result.get("mode") == "labels"
    items = _items(columns, chosen, hypotheses, posterior if named else None)
    return ConsensusPage(result, items, _observers(found), drawn, command, subject)


def _numbers(columns: Mapping[str, Any], name: str) -> np.ndarray | None:
    """A column of numbers, NaN where it is null; None where there is no such column."""
    if name not in columns:
        return None
    return np.asarray(columns[name].to_numpy(zero_copy_only=False), np.float64)


def _posterior(columns: Mapping[str, Any], hypotheses: list[str]) -> np.ndarray | None:
    """Logarithms of the probabilities, a column a hypothesis."""
    logs = [_numbers(columns, f"log_posterior_{label}") for label in hypotheses]
    known = [log for log in logs if log is not None]
    return np.stack(known, axis=1) if known and len(known) == len(logs) else None


def _chosen(
    columns: Mapping[str, Any], verdict: np.ndarray, odds: np.ndarray | None, posterior: np.ndarray | None
) -> np.ndarray:
    """Rows that the page may name: of the flagged the strongest, of the others the most uncertain."""
    lower, upper = _numbers(columns, "lower_log_odds"), _numbers(columns, "upper_log_odds")
    strength = odds if odds is not None else np.zeros(len(verdict))
    certainty = np.abs(strength)
    if lower is not None and upper is not None:
        strength, certainty = lower, np.maximum(lower, -upper)
    elif odds is None and posterior is not None:
        strength = certainty = posterior.max(axis=1)
    found = _numbers(columns, _E_VALUE["flag"])
    strength = strength if found is None else found
    rows = []
    for kind in ("flag", "undetermined", "clear"):
        of_kind = np.flatnonzero(verdict == kind)
        by = -strength[of_kind] if kind == "flag" else certainty[of_kind]
        rows.append(of_kind[np.argsort(by, kind="stable")[:SHOWN]])
    return np.concatenate(rows)


def _items(
    columns: Mapping[str, Any], rows: np.ndarray, hypotheses: list[str], posterior: np.ndarray | None
) -> list[JudgedItem]:
    taken = {name: column.take(pa.array(rows)).to_pylist() for name, column in columns.items()}
    nothing = [None] * len(rows)
    ids = taken.get("agent") or taken.get("item") or nothing
    items = []
    for k, row in enumerate(rows):
        top = []
        if posterior is not None:
            order = np.argsort(-posterior[row], kind="stable")[:_TOP]
            complement = taken.get("log_complement", nothing)[k]
            top = [
                LabelChance(hypotheses[i], float(posterior[row, i]), complement if i == order[0] else None)
                for i in order
            ]
        items.append(
            JudgedItem(
                str(ids[k]),
                str(taken["verdict"][k]),
                str(taken.get("label", nothing)[k] or ""),
                taken.get("observers", nothing)[k],
                taken.get("log_odds", nothing)[k],
                taken.get("lower_log_odds", nothing)[k],
                taken.get("upper_log_odds", nothing)[k],
                taken.get(_E_VALUE["clear" if taken["verdict"][k] == "clear" else "flag"], nothing)[k],
                {
                    title: taken[name][k]
                    for name, title in _ESTIMATES.items()
                    if name in taken and taken[name][k] is not None
                },
                top,
            )
        )
    return items


def _observers(found: Found) -> list[Observer]:
    """The most suspicious observers, and the most active of the others, whose matrices are shown."""
    table = found.observers
    columns = {name: table[name] for name in table.column_names}
    n = len(table)
    rank, said = _numbers(columns, "suspicion_rank"), _numbers(columns, "items")
    order = np.arange(n) if rank is None else np.argsort(rank, kind="stable")
    shown, rest = order[:_MOST_OBSERVERS], order[_MOST_OBSERVERS:]
    if said is not None and found.confusion is not None:
        shown = np.concatenate([shown, rest[np.argsort(-said[rest], kind="stable")[:3]]])
    taken = {name: column.take(pa.array(shown)).to_pylist() for name, column in columns.items()}
    nothing = [None] * len(shown)

    def value(name: str, k: int) -> Any:
        return taken.get(name, nothing)[k]

    observers = []
    for k, row in enumerate(shown):
        reason = str(value("reason", k) or "")
        agents = value("agents", k)
        observers.append(
            Observer(
                str(value("observer", k)),
                int(agents if agents is not None else value("items", k) or 0),
                "" if reason in NOT_SUSPICIOUS else reason,
                agreement=value("agreement", k),
                accuracy=value("accuracy", k),
                events=value("items", k) if agents is not None else None,
                retracted=value("retracted", k),
                equivocating=value("equivocal_rows", k),
                refused=value("refused_items", k),
                among_largest=value("extreme_share", k),
                deviation=value("deviation", k),
                contributed=value("total_magnitude", k),
                confusion=() if found.confusion is None else found.confusion[row].tolist(),
            )
        )
    return observers
