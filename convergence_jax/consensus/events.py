"""Events: each counts once, and one that says two things is evidence against who said it, not for anything.

An event is (observer, type, id). Rows that repeat it with the same content are duplicates: one counts. Rows
that repeat it with other content are an *equivocation*: none counts, wherever and in whatever order they
arrive, and the observer is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Events:
    """Which rows count.

    Attributes
    ----------
    kept : Int64[ndarray, "events"]
        One row of each event that counts, ascending.
    duplicates : int
        Rows that repeat an event that counts.
    equivocal : Int64[ndarray, "rows"]
        All rows of events with contents that differ, ascending.
    """

    kept: np.ndarray
    duplicates: int
    equivocal: np.ndarray


def once(key: Sequence[np.ndarray], content: Sequence[np.ndarray]) -> Events:
    """Find duplicates and equivocations.

    Parameters
    ----------
    key : sequence of Int64[ndarray, "rows"]
        Codes that together name an event: observer, type, id.
    content : sequence of Int64[ndarray, "rows"] or Float64[ndarray, "rows"]
        What else a row says. Floats are compared by their bits, zeros of either sign alike.

    Returns
    -------
    Events
        Up to which of several equal rows is kept, the same for any order of the rows.
    """
    name = _joined(key)
    order = np.argsort(name, kind="stable")
    ordered = name[order]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    first = np.flatnonzero(fresh)
    if len(first) == len(order):
        return Events(np.arange(len(order)), 0, np.zeros(0, dtype=np.int64))
    group = np.cumsum(fresh) - 1
    repeated = np.flatnonzero(~fresh)
    opening = order[first[group[repeated]]]  # the first row of each repeated one's event
    row = order[repeated]
    other = np.zeros(len(row), dtype=bool)
    for column in content:
        bits = (column + 0.0).view(np.int64) if column.dtype == np.float64 else column
        other |= bits[row] != bits[opening]
    bad = np.zeros(len(first), dtype=bool)
    bad[group[repeated[other]]] = True
    kept = np.sort(order[first[~bad]])
    equivocal = np.sort(order[bad[group]])
    return Events(kept, len(order) - len(kept) - len(equivocal), equivocal)


def _joined(key: Sequence[np.ndarray]) -> np.ndarray:
    """Codes of several columns as one, equal where all are."""
    made = key[0].astype(np.int64)
    for column in key[1:]:
        number = int(column.max(initial=0)) + 1
        if (int(made.max(initial=0)) + 1) * number >= 1 << 62:
            made = np.unique(made, return_inverse=True)[1]
        made = made * number + column
    return made
