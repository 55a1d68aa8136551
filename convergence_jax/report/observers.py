"""`observers`: the section of the consensus report on who said what, and how far each is to be trusted."""

import heapq
from collections.abc import Callable
from typing import Any

from convergence_jax.report.confusion import confusion
from convergence_jax.report.consensus_page import ConsensusPage
from convergence_jax.report.provenance import get, prior_of
from convergence_jax.report.wording import count, name, number, percent, plural

MOST_OBSERVERS = 200
SEEN = 20  # observers that are seen at once; the others are folded
MOST_MATRICES = 3  # of the most suspicious, and as many of the most active

_COLUMNS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("events", "Items of evidence", count),
    ("agreement", "Agrees with the consensus", percent),
    ("accuracy", "Estimated accuracy", percent),
    ("retracted", "Retracted", lambda taken_back: "yes" if taken_back else "no"),
    ("equivocating", "Equivocating rows", count),
    ("refused", "Out of range", count),
    ("among_largest", "Among the farthest out", percent),
    ("deviation", "Typical distance, sd", lambda distance: number(distance, 3)),
    ("contributed", "Sum of |log‑odds|", number),
)
_ONLY_WHERE_SOME = {"retracted", "equivocating", "refused"}  # columns left out where all of it is nothing

Section = dict[str, Any]


def observers(page: ConsensusPage) -> Section:
    """The observers in the order given, with the columns that are known of any, and confusion matrices."""
    shown = page.observers[:MOST_OBSERVERS]
    known = []
    for column in _COLUMNS:
        values = [getattr(observer, column[0]) for observer in shown]
        if any(values) or (column[0] not in _ONLY_WHERE_SOME and any(value is not None for value in values)):
            known.append(column)
    rows = [
        {
            "rank": count(rank),
            "observer": name(observer.observer),
            "reason": name(observer.reason, 300) if observer.reason else None,
            "said": count(observer.items),
            "cells": [write(getattr(observer, attribute)) for attribute, _, write in known],
        }
        for rank, observer in enumerate(shown, 1)
    ]
    elsewhere = int(get(page.result, "observers", default=0)) - len(shown)
    return {
        "columns": [title for _, title, _ in known],
        "rows": rows[:SEEN],
        "more": rows[SEEN:],
        "elsewhere": plural(elsewhere, "more observer is", "more observers are") if elsewhere > 0 else None,
        "suspicious": any(observer.reason for observer in shown),
        "matrices": _matrices(page),
    }


def _matrices(page: ConsensusPage) -> list[Section]:
    """Confusion matrices of the most suspicious observers, then of the most active of the others."""
    told = [(rank, o) for rank, o in enumerate(page.observers) if len(o.confusion)]
    suspicious = [pair for pair in told if pair[1].reason][:MOST_MATRICES]
    others = set(range(len(page.observers))) - {rank for rank, _ in suspicious}
    active = heapq.nsmallest(
        MOST_MATRICES,
        (pair for pair in told if pair[0] in others),
        key=lambda pair: (-pair[1].items, pair[0]),
    )
    labels = [str(label) for label in get(page.result, "hypotheses", default=[])]
    return [
        confusion(observer, labels, prior_of(page)) | {"why": why}
        for why, chosen in (("suspicious", suspicious), ("active", active))
        for _, observer in chosen
    ]
