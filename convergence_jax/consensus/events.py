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
    ordered = np.sort(name)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return Events(np.arange(len(name)), 0, np.zeros(0, dtype=np.int64))
    again = np.isin(name, repeated)
    rows = np.flatnonzero(again)  # the few that need a closer look
    order = rows[np.argsort(name[rows], kind="stable")]
    fresh = np.append(True, name[order][1:] != name[order][:-1])
    group, opening = np.cumsum(fresh) - 1, order[fresh]
    differs = np.zeros(len(order), dtype=bool)
    for column in content:
        bits = (column + 0.0).view(np.int64) if column.dtype == np.float64 else column
        differs |= bits[order] != bits[opening[group]]
    lying = np.bincount(group, differs, len(opening)) > 0
    again[opening[~lying]] = False
    kept = np.flatnonzero(~again)
    equivocal = np.sort(order[lying[group]])
    return Events(kept, len(name) - len(kept) - len(equivocal), equivocal)


def _joined(key: Sequence[np.ndarray]) -> np.ndarray:
    """Codes of several columns as one, equal where all are."""
    made = key[0].astype(np.int64)
    for column in key[1:]:
        number = int(column.max(initial=0)) + 1
        if (int(made.max(initial=0)) + 1) * number >= 1 << 62:
            made = np.unique(made, return_inverse=True)[1]
        made = made * number + column
    return made
