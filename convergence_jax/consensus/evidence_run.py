"""`weigh`: from rows of evidence to posteriors, bounds and verdicts, through exact sums."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import jax
import numpy as np
import pyarrow as pa

from convergence_jax.consensus.bounds import Bounds, bounds, check_liars
from convergence_jax.consensus.decision import UNDETERMINED, decide
from convergence_jax.consensus.events import once
from convergence_jax.consensus.evidence import Backend, Evidence, collect
from convergence_jax.consensus.evidence_observers import observers_table
from convergence_jax.consensus.outcome import (
    SCHEMA,
    Outcome,
    compare,
    count_verdicts,
    probability_columns,
)
from convergence_jax.consensus.point_estimates import cell_values, point_estimates
from convergence_jax.consensus.posterior import log_prior, posterior
from convergence_jax.data.digest import digest
from convergence_jax.data.evidence_file import (
    AGENT,
    EVENT_ID,
    OBSERVER,
    RATIO,
    RELIABILITY,
    TYPE,
    Coded,
    Rows,
    hypotheses_of,
    match,
    read_rows,
)
from convergence_jax.data.results import or_null
from convergence_jax.data.source import Source
from convergence_jax.data.stages import Progress, Stages, execution, versions
from convergence_jax.errors import InputError, closest
from convergence_jax.exact.likelihoods import clip_likelihoods, contaminate, temper
from convergence_jax.statistics.log_evidence import LogEvidence

Reliability = Literal["temper", "contaminate", "clip"]

_LIFTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "temper": ("each item is multiplied by its reliability", temper),
    "contaminate": (
        "each likelihood ratio e becomes r e + 1 - r, with its reliability r",
        lambda x, r: contaminate(x, 1.0 - r),
    ),
    "clip": (
        "both likelihoods of each item are mixed with each other, by half of one less its reliability",
        lambda x, r: clip_likelihoods(x, (1.0 - r) * 0.5),
    ),
}

_MANY = 1 << 19
"""From so many rows, cells or agents on, compiling is sooner; on any other device than the host, always."""


def _compiles(number: int) -> bool:
    return number > _MANY or jax.default_backend() != "cpu"


@dataclass(frozen=True)
class Options:
    """How evidence is weighed.

    Attributes
    ----------
    alpha : float
        Bound on the probability that a healthy agent is flagged, or another one cleared.
    liars : int or None
        At most so many observers lie; None asks for no bounds.
    prior : tuple of Fraction
        Weights of the hypotheses; equal ones if empty.
    reliability : {"temper", "contaminate", "clip"} or None
        What the column ``reliability`` does to an item; None leaves it alone.
    dependent : bool
        Do not assume that honest observers are independent.
    range_bits : int
        Items of ``2**range_bits`` and more are out of range.
    retract : tuple of str
        Observers whose every word is taken back.
    """

    alpha: float = 0.05
    liars: int | None = None
    prior: tuple[Fraction, ...] = ()
    reliability: Reliability | None = None
    dependent: bool = False
    range_bits: int = 30
    retract: tuple[str, ...] = ()


def weigh(
    source: Source,
    options: Options,
    *,
    truth: Source | None = None,
    backend: Backend | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Combine evidence from many observers about many agents.

    Parameters
    ----------
    source : Source
        Columns ``agent``, ``observer`` and ``log_likelihood_ratio``, or ``log_likelihood_<hypothesis>`` for
        two or more, the null first; ``event_id``, ``type`` and ``reliability`` if there are any.
    options : Options
        How.
    truth : Source, optional
        Which hypothesis is true of some agents, to compare with afterwards.
    backend : Backend, optional
        What sums the evidence; NumPy or JAX unless given. With one, NumPy and JAX still make everything else:
        posteriors, bounds and verdicts, and the sums of the few items that lie outside the window.
    progress : callable, optional
        Told the stage and its fraction.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If the file, the prior, the number of liars or an observer to retract is not usable.
    """
    stages = Stages(progress)
    hypotheses, columns = hypotheses_of(source)
    names = {column.name for column in source.columns()}
    weights = options.prior or (Fraction(1),) * len(hypotheses)
    _check(options, source, hypotheses, weights, names)
    with stages.stage("read"):
        texts = [AGENT, OBSERVER, *(name for name in (TYPE, EVENT_ID) if EVENT_ID in names and name in names)]
        numbers = [*columns, *([RELIABILITY] if options.reliability else [])]
        rows = read_rows(source, texts, numbers, progress=stages.progress)
    observers = rows.texts[OBSERVER]
    gone = _retracted(options, observers, source)
    if options.liars is not None:
        _check_minority(options.liars, len(observers) - len(gone))
    with stages.stage("events"):
        kept, rejected, equivocal = _events(rows)
        rejected = {**rows.rejected, **rejected}
    with stages.stage("accumulate"):
        evidence, lost = _accumulate(rows, kept, options, len(columns), backend)
        rejected.update(lost)
    evidence = evidence.retract(gone)
    with stages.stage("digest"):
        fingerprint = digest(
            SCHEMA, hypotheses, [str(w / weights[0]) for w in weights], rows.texts[AGENT].values,
            observers.values, _parts(evidence),
        )  # fmt: skip
    with stages.stage("posterior"):
        prior = log_prior(weights)
        found = posterior(evidence.by_agent(), prior, compiled=_compiles(evidence.agents))
    with stages.stage("decide"):
        heard = _without(evidence, gone)
        table, verdicts = _decide(heard, options, hypotheses, found, prior, rows.texts[AGENT].values)
    with stages.stage("observers"):
        about = observers_table(evidence, options.liars, observers, equivocal, gone)
    agents, items = rows.texts[AGENT].values, evidence.items_by_agent()
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "mode": "evidence",
        "execution": execution() if backend is None else backend.execution,
        "input": {
            "name": source.name,
            "rows": rows.read,
            "events": int(items.sum()),
            "agents_without_evidence": int(np.count_nonzero(items == 0)),
            "retracted": list(options.retract),
            "reliability": options.reliability,
            "range_bits": options.range_bits,
        },
        "items": len(table),
        "observers": len(observers),
        "cells": len(evidence.agent),
        "bytes_a_cell": evidence.bytes_a_cell,
        "hypotheses": hypotheses,
        "prior": [str(w) for w in weights],
        "rejected": {reason: n for reason, n in sorted(rejected.items()) if n},
        "decision": {
            "alpha": options.alpha,
            "observers_lying": options.liars,
            "method": method_of(options, len(hypotheses)),
            "assumes": assumptions_of(options),
            "verdicts": verdicts,
            "discoveries": int(np.count_nonzero(_column(table, "discovery"))),
        },
        "digest": fingerprint,
    }
    if truth is not None:
        with stages.stage("compare"):
            result.update(compare(truth, agents, pa.array(hypotheses), found.log_probability, table))
    result["seconds"] = stages.rounded()
    result["versions"] = versions("pyarrow")
    return Outcome(result, table, about)


def _check(
    options: Options, source: Source, hypotheses: Sequence[str], weights: Sequence[Fraction], names: set[str]
) -> None:
    if len(weights) != len(hypotheses):
        raise InputError(
            f"--prior: {len(weights)} weights for {len(hypotheses)} hypotheses ({', '.join(hypotheses)}); "
            "give one each, such as 1000:1."
        )
    if len(set(hypotheses)) < len(hypotheses) or "" in hypotheses:
        raise InputError(f"{source.name}: hypotheses need names of their own, got {hypotheses}.")
    if options.reliability and RELIABILITY not in names:
        raise InputError(
            f"{source.name}: --reliability needs a column 'reliability'{closest('', sorted(names))}"
        )
    if options.reliability in ("contaminate", "clip") and RATIO not in names:
        raise InputError(
            f"{source.name}: --reliability {options.reliability} is for a column {RATIO!r}; "
            "temper is for several hypotheses, too."
        )


def _events(rows: Rows) -> tuple[np.ndarray, dict[str, int], np.ndarray]:
    """Rows that count, what was left out, and equivocal rows by observer."""
    observer = rows.texts[OBSERVER].codes
    if EVENT_ID not in rows.texts:
        return np.arange(len(observer)), {}, np.zeros(len(rows.texts[OBSERVER]), dtype=np.int64)
    key = [observer, *(rows.texts[name].codes for name in (TYPE, EVENT_ID) if name in rows.texts)]
    found = once(key, [rows.texts[AGENT].codes, *rows.numbers])
    equivocal = np.bincount(observer[found.equivocal], minlength=len(rows.texts[OBSERVER]))
    return found.kept, {"duplicate": found.duplicates, "equivocation": len(found.equivocal)}, equivocal


def _accumulate(
    rows: Rows, kept: np.ndarray, options: Options, columns: int, backend: Backend | None
) -> tuple[Evidence, dict[str, int]]:
    """Exact sums, and what could not be held."""
    values, lost = rows.numbers[:columns, kept], {}
    if options.reliability:
        trust = rows.numbers[columns, kept]
        usable = (trust >= 0.0) & (trust <= 1.0)
        lost[f"out_of_range:{RELIABILITY}"] = int(np.count_nonzero(~usable))
        kept, trust, lift = kept[usable], trust[usable], _LIFTS[options.reliability][1]
        lift = jax.jit(lift) if _compiles(len(kept)) else lift
        values = np.asarray(lift(values[:, usable], trust))
    place = jax.numpy.asarray if backend is None and _compiles(len(kept)) else np.asarray
    evidence = collect(
        place(rows.texts[AGENT].codes[kept]),
        place(rows.texts[OBSERVER].codes[kept]),
        place(np.ascontiguousarray(values.T)),
        agents=len(rows.texts[AGENT]),
        observers=len(rows.texts[OBSERVER]),
        statistic=LogEvidence(options.range_bits),
        backend=backend,
    )
    lost["out_of_range"] = int(evidence.refused.sum())
    return evidence, lost


def _retracted(options: Options, observers: Coded, source: Source) -> np.ndarray:
    """Codes of the observers to retract, each once."""
    gone = match(pa.array(options.retract, pa.string()), observers.values)
    for name, code in zip(options.retract, gone, strict=True):
        if code < 0:
            known = observers.values.to_pylist()
            raise InputError(f"{source.name}: no observer {name!r} to retract{closest(name, known)}")
    return np.unique(gone)


def _without(evidence: Evidence, gone: np.ndarray) -> Evidence:
    """The same evidence among those observers alone that are not retracted, and so have nothing to say."""
    kept = np.setdiff1d(np.arange(evidence.observers), gone)
    return dataclasses.replace(
        evidence,
        observers=len(kept),
        observer=np.searchsorted(kept, evidence.observer).astype(np.int32),
        refused=evidence.refused[kept],
    )


def _parts(evidence: Evidence) -> list[Any]:
    """What the digest is of: every cell, its count and its exact sums."""
    sums = evidence.sums
    return [
        evidence.statistic, evidence.agent, evidence.observer, evidence.count,
        sums.window, sums.far, sums.outside, evidence.refused,
    ]  # fmt: skip


def _decide(
    evidence: Evidence,
    options: Options,
    hypotheses: Sequence[str],
    found: Any,
    prior: Sequence[float],
    agents: pa.StringArray,
) -> tuple[pa.Table, dict[str, int]]:
    """The table of posteriors, and how many have each verdict."""
    compiled = _compiles(len(evidence.agent))
    decision = decide(
        evidence, options.liars or 0, options.alpha, dependent=options.dependent, compiled=compiled
    )
    items = evidence.items_by_agent()
    verdict = np.where(items > 0, decision.verdict, UNDETERMINED)
    columns: dict[str, Any] = {"agent": agents, "items": items, "observers": evidence.observers_by_agent()}
    columns.update(probability_columns(hypotheses, found.log_probability, found.probability))
    if found.log_odds is not None:
        columns["log_odds"] = found.log_odds
        columns["log_complement"] = found.log_complement.min(axis=1)
    limits = None
    if options.liars is not None and found.log_odds is not None:
        ratios = evidence if evidence.columns == 1 else evidence.difference(1, 0)
        limits = bounds(ratios, options.liars, prior[1] - prior[0])
        columns["lower_log_odds"], columns["upper_log_odds"] = limits.lower, limits.upper
        guess = point_estimates(ratios, cell_values(ratios), options.liars)
        columns["trimmed_mean_estimate"] = or_null(guess.trimmed_mean)
        columns["median_estimate"] = or_null(guess.median)
    columns["label"] = _label(hypotheses, found.label, limits)
    columns["verdict"] = pa.array(verdict.astype(str), pa.string())
    columns["log_e_against_null"] = decision.log_against
    columns["log_e_against_alternative"] = decision.log_for
    columns["discovery"] = pa.array(decision.discovery & (items > 0))
    return pa.table(columns), count_verdicts(verdict)


def _label(hypotheses: Sequence[str], likeliest: np.ndarray, limits: Bounds | None) -> pa.StringArray:
    """The likeliest hypothesis; where observers may lie, the one that is likelier whoever does, if any is."""
    names = pa.array([*hypotheses, UNDETERMINED])
    if limits is not None:
        likeliest = np.where(limits.lower > 0.0, 1, np.where(limits.upper < 0.0, 0, len(hypotheses)))
    return names.take(pa.array(likeliest))


def _column(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy(zero_copy_only=False)


def _check_minority(liars: int, observers: int) -> None:
    """Tell the user what :func:`check_liars` refuses."""
    try:
        check_liars(liars, observers)
    except ValueError as error:
        said = str(error).removeprefix("observers lying: ")
        raise InputError(f"--observers-lying {liars}: {said}") from None


def method_of(options: Options, hypotheses: int) -> str:
    """How agents are decided about, in a sentence or two."""
    if options.dependent:
        how = "The mean of the honest observers' likelihood ratios, at its least"
    elif options.liars:
        how = "The product over honest observers of (1 + likelihood ratio) / 2, at its least"
    else:
        how = "The product of all likelihood ratios"
    whom = f" for any {options.liars} observers that lie or fewer" if options.liars else ""
    more = " The largest of several alternatives, divided by their number." if hypotheses > 2 else ""
    return f"{how}{whom}, is an e-value against the null; one of at least 1/alpha flags (Ville, 1939).{more}"


def assumptions_of(options: Options) -> list[str]:
    """What the verdicts rest on."""
    said = [
        "Where the null is true, an honest observer's likelihood ratio has expectation at most one, "
        "given everything before."
    ]
    if options.dependent:
        said.append("Honest observers may depend on each other in any way.")
    else:
        said.append("Honest observers are independent given the hypothesis.")
    if options.liars:
        said.append(
            f"At most {options.liars} observers lie, about all agents together; they may know everything."
        )
    elif options.liars is None:
        said.append("No observer lies.")
    if options.reliability:
        said.append(f"Reliability: {_LIFTS[options.reliability][0]}.")
    if options.reliability == "clip":
        said.append("Clipped ratios are e-values only against the contaminated null.")
    return said
