"""`Evidence`: what every observer said about every agent, as sums that are exact and can be taken back.

A cell is one (agent, observer) that said something. It takes 28 bytes for a log-likelihood ratio and 16 more
for every further hypothesis: two codes, a count, and four digits a sum. Items outside the window of those
digits, one in about ``2**30`` of ordinary ones, go to full accumulators that only their cells have. Nothing
is rounded, so cells, agents and tables merge and are removed in any order to the same bits.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import FLOAT64, WINDOW
from convergence_jax.exact.window_segments import full_segments, window_segments
from convergence_jax.statistics.arrays import namespace
from convergence_jax.statistics.log_evidence import LogEvidence, widen

Array = Any

_DENSE = 4
"""A table of all pairs is made on the way where it has at most so many cells an item: no sorting."""


class Backend(Protocol):
    """What adds evidence in place of NumPy and JAX, bit for bit as they do."""

    def window_segments(
        self, x: np.ndarray, segment_ids: np.ndarray, num_segments: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """As :func:`~convergence_jax.exact.window_segments.window_segments`, on the host's arrays."""
        ...

    @property
    def execution(self) -> dict[str, Any]:
        """Where it ran and what it took so far: the ``execution`` of a result."""
        ...


@dataclass(frozen=True, eq=False)
class Sums:
    """Exact sums, one row each: window digits of all, and full digits of the few rows that have more.

    Attributes
    ----------
    window : UInt32[ndarray, "rows columns 4"]
        In units of ``2**-82``, modulo ``2**128``.
    far : Int64[ndarray, "m"]
        Rows with items outside the window, ascending.
    outside : UInt32[ndarray, "m columns 69"]
        The sums of those items, in units of ``2**-1074``; no row is zero.
    """

    window: np.ndarray
    far: np.ndarray
    outside: np.ndarray

    def full(self) -> np.ndarray:
        """All digits of the rows ``far``, ``UInt32[ndarray, "m columns 69"]``."""
        return group.add(widen(self.window[self.far]), self.outside)

    def grouped(self, row: np.ndarray, rows: int, sign: int = 1) -> "Sums":
        """Sums of rows: row ``i`` goes to row ``row[i]`` of `rows`, taken off if `sign` is -1."""
        window = _scatter(row, self.window, rows, sign)
        target, position = np.unique(row[self.far], return_inverse=True)
        outside = _scatter(position, self.outside, len(target), sign)
        some = outside.any(axis=(1, 2))
        return Sums(window, target[some].astype(np.int64), outside[some])

    def take(self, index: np.ndarray) -> "Sums":
        """The rows at `index`, ascending and distinct."""
        place = np.searchsorted(index, self.far)
        kept = place < len(index)
        kept[kept] = index[place[kept]] == self.far[kept]
        width = int(np.prod(self.window.shape[1:], dtype=np.int64))
        cells = self.window.reshape(len(self.window), width)  # whole rows are copied sooner than digits
        row = np.dtype((np.void, cells.shape[1] * cells.itemsize))
        window = np.ascontiguousarray(cells).view(row)[index, 0].view(cells.dtype)
        return Sums(window.reshape(len(index), *self.window.shape[1:]), place[kept], self.outside[kept])


@dataclass(frozen=True, eq=False)
class Evidence:
    """Exact sums of log-evidence for every (agent, observer) that said something.

    Attributes
    ----------
    statistic : LogEvidence
        Which range was declared.
    agents, observers : int
        How many there are; codes lie below.
    agent, observer : Int32[ndarray, "cells"]
        Codes of every cell, ascending by agent, then observer, no pair twice.
    sums : Sums
        ``(cells, columns)``: one column of log-likelihood ratios, or one for each hypothesis.
    count : Int32[ndarray, "cells"]
        Items that each cell holds.
    refused : Int64[ndarray, "observers"]
        Items of each observer that were not finite or out of range, and are held nowhere.
    """

    statistic: LogEvidence
    agents: int
    observers: int
    agent: np.ndarray
    observer: np.ndarray
    sums: Sums
    count: np.ndarray
    refused: np.ndarray

    @property
    def columns(self) -> int:
        """Sums in a cell."""
        return self.sums.window.shape[1]

    @property
    def bytes_a_cell(self) -> int:
        """Memory of one (agent, observer), without items outside the window."""
        return 4 * (3 + WINDOW.digits * self.columns)

    def by_agent(self) -> Sums:
        """What all observers together say about each agent, ``(agents, columns)``."""
        return self.sums.grouped(self.agent, self.agents)

    def items_by_agent(self) -> np.ndarray:
        """Items about each agent, ``Int64[ndarray, "agents"]``."""
        return np.bincount(self.agent, self.count, self.agents).astype(np.int64)

    def observers_by_agent(self) -> np.ndarray:
        """Observers that said something about each agent, ``Int64[ndarray, "agents"]``."""
        return np.bincount(self.agent, minlength=self.agents)

    def merge(self, other: "Evidence") -> "Evidence":
        """What both tables hold."""
        return self._combine(other, 1)

    def remove(self, other: "Evidence") -> "Evidence":
        """Undo a merge: ``a.merge(b).remove(b)`` has the bits of ``a``."""
        return self._combine(other, -1)

    def retract(self, observers: Any) -> "Evidence":
        """Take back everything that some observers ever said.

        Parameters
        ----------
        observers : int or sequence of int
            Their codes. The result has the bits of a table that they never wrote to.
        """
        gone = np.zeros(self.observers, dtype=bool)
        gone[np.asarray(observers, dtype=np.int64)] = True
        kept = np.flatnonzero(~gone[self.observer])
        return dataclasses.replace(
            self,
            agent=self.agent[kept],
            observer=self.observer[kept],
            sums=self.sums.take(kept),
            count=self.count[kept],
            refused=np.where(gone, 0, self.refused),
        )

    def difference(self, column: int, other: int) -> "Evidence":
        """One column less another: exact log-likelihood ratios."""
        sums = self.sums
        window = group.subtract(sums.window[:, [column]], sums.window[:, [other]])
        outside = group.subtract(sums.outside[:, [column]], sums.outside[:, [other]])
        some = outside.any(axis=(1, 2))
        return dataclasses.replace(self, sums=Sums(window, sums.far[some], outside[some]))

    def pooled(self) -> "Evidence":
        """The same evidence as if one observer had said it all: a cell an agent."""
        agents = np.arange(self.agents, dtype=np.int32)
        return dataclasses.replace(
            self,
            agent=agents,
            observer=np.zeros_like(agents),
            sums=self.by_agent(),
            count=self.items_by_agent().astype(np.int32),
        )

    def _combine(self, other: "Evidence", sign: int) -> "Evidence":
        mine = (self.statistic, self.agents, self.observers, self.columns)
        if mine != (other.statistic, other.agents, other.observers, other.columns):
            raise ValueError(
                "Evidence: tables of other agents, observers, hypotheses or ranges do not merge."
            )
        a, b = (t.agent.astype(np.int64) * t.observers + t.observer for t in (self, other))
        keys = np.union1d(a, b)
        at_a, at_b = np.searchsorted(keys, a), np.searchsorted(keys, b)
        theirs = other.sums.grouped(at_b, len(keys), sign)
        both = _stack(self.sums.grouped(at_a, len(keys)), theirs)
        sums = both.grouped(np.tile(np.arange(len(keys)), 2), len(keys))
        count = np.zeros(len(keys), dtype=np.int32)
        count[at_a] += self.count
        count[at_b] += np.int32(sign) * other.count
        live = count != 0
        live |= sums.window.any(axis=(1, 2))
        live[sums.far] = True
        kept = np.flatnonzero(live)
        return dataclasses.replace(
            self,
            agent=(keys[kept] // self.observers).astype(np.int32),
            observer=(keys[kept] % self.observers).astype(np.int32),
            sums=sums.take(kept),
            count=count[kept],
            refused=self.refused + sign * other.refused,
        )


def collect(
    agent: Array,
    observer: Array,
    values: Array,
    *,
    agents: int,
    observers: int,
    statistic: LogEvidence | None = None,
    backend: Backend | None = None,
) -> Evidence:
    """Add items to a table of (agent, observer), without rounding.

    Parameters
    ----------
    agent, observer : Int[Array, "n"]
        Codes of each item, from 0; NumPy arrays, or `values` and codes in JAX to add on its device.
    values : Float64[Array, "n"] or Float64[Array, "n columns"]
        Log-likelihood ratios of the alternative against the null, or one log-likelihood a hypothesis, in
        natural logarithms. An item with a value that is not held is refused whole and counted.
    agents, observers : int
        How many there are; their product must be below ``2**62``.
    statistic : LogEvidence, optional
        With the range to allow; ``LogEvidence()`` unless given.
    backend : Backend, optional
        What sums the items that lie in the window, all but a few; NumPy or JAX unless given.

    Returns
    -------
    Evidence
        The same bits for any order of the items and any split into tables that are merged.

    Raises
    ------
    ValueError
        If the arrays differ in length or a code is out of bounds.
    """
    statistic = statistic or LogEvidence()
    if agent.shape != observer.shape or agent.shape != values.shape[:1]:
        raise ValueError(
            "collect: one agent and one observer an item, got shapes "
            f"{agent.shape}, {observer.shape}, {values.shape}."
        )
    ends, held, cell = _looked_at(agent, observer, values, observers, statistic)
    for name, number, (low, high) in (("agent", agents, ends[:2]), ("observer", observers, ends[2:])):
        if len(agent) and not (int(low) >= 0 and int(high) < number):
            raise ValueError(f"collect: {name} codes must lie from 0 to {number - 1}.")
    refused = np.zeros(observers, dtype=np.int64)
    if not held.all():
        out = np.flatnonzero(~np.asarray(held))
        refused += np.bincount(np.asarray(observer)[out], minlength=observers)
        cell, values = cell[np.asarray(held)], values[np.asarray(held)]
    pairs = agents * observers
    dense = pairs <= max(_DENSE * len(cell), 1 << 16)
    if dense:
        key = np.arange(pairs, dtype=np.int32 if pairs < 1 << 31 else np.int64)
        count = np.bincount(np.asarray(cell), minlength=pairs)
    else:
        key, cell, count = np.unique(np.asarray(cell), return_inverse=True, return_counts=True)
    sums = _sums(cell, values, len(key), backend)
    if dense and not count.all():
        key = np.flatnonzero(count).astype(key.dtype)
        sums, count = sums.take(key), count[key]
    owner, speaker = np.divmod(key, np.array(observers, dtype=key.dtype))
    return Evidence(
        statistic,
        agents,
        observers,
        owner.astype(np.int32, copy=False),
        speaker.astype(np.int32, copy=False),
        sums,
        count.astype(np.int32),
        refused,
    )


def pool(agent: Array, values: Array, agents: int) -> Sums:
    """What all observers together say, where nobody asks who said it: sooner than a table of cells.

    Parameters
    ----------
    agent : Int[Array, "n"]
        Codes below `agents`.
    values : Float64[Array, "n"] or Float64[Array, "n columns"]
        Finite; NumPy or JAX.
    agents : int

    Returns
    -------
    Sums
        ``(agents, columns)``, as :meth:`Evidence.by_agent` gives them.
    """
    return _sums(agent, values, agents)


def _sums(cell: Array, values: Array, cells: int, backend: Backend | None = None) -> Sums:
    columns = int(np.prod(values.shape[1:], dtype=np.int64))
    add = window_segments if backend is None else backend.window_segments
    window, outside = add(values, cell, cells)  # before any reshape, which would copy
    digits = np.asarray(window).reshape(cells, columns, WINDOW.digits)
    if outside is None:
        none = np.zeros((0, columns, FLOAT64.digits), dtype=np.uint32)
        return Sums(digits, np.zeros(0, dtype=np.int64), none)
    outside = outside.reshape(len(values), columns)
    rows = np.flatnonzero(outside.any(axis=1))
    far, position = np.unique(np.asarray(cell)[rows], return_inverse=True)
    left = np.where(outside[rows], np.asarray(values).reshape(len(values), columns)[rows], 0.0)
    rest = full_segments(left, position, len(far))
    some = rest.any(axis=(1, 2))
    return Sums(digits, far[some].astype(np.int64), rest[some])


def _looked_at(
    agent: Array, observer: Array, values: Array, observers: int, statistic: LogEvidence
) -> tuple[list[Array], Array, Array]:
    """Extremes of the codes, which items are held, and the cell of each; compiled if the arrays are JAX's."""
    if namespace(values) is np:
        return _look(agent, observer, values, observers, statistic)
    import jax

    look = jax.jit(_look, static_argnames=("observers", "statistic"))
    return look(agent, observer, values, observers=observers, statistic=statistic)


def _look(
    agent: Array, observer: Array, values: Array, observers: int, statistic: LogEvidence
) -> tuple[list[Array], Array, Array]:
    xp = namespace(values)
    cell = agent.astype(xp.int64) * np.int64(observers) + observer.astype(xp.int64)
    ends = [
        end for codes in (agent, observer) for end in ((codes.min(), codes.max()) if codes.size else (0, 0))
    ]
    held = statistic.holds(values)
    return ends, held.all(axis=tuple(range(1, held.ndim))), cell


def _scatter(row: np.ndarray, digits: np.ndarray, rows: int, sign: int = 1) -> np.ndarray:
    """Sums of digits, ``(n, columns, L)`` to ``(rows, columns, L)``: row ``i`` goes to ``row[i]``."""
    lanes = np.zeros((rows, *digits.shape[1:]), dtype=np.int64)
    if len(row) and (np.diff(row) >= 0).all():  # runs, as they are in a table
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        for place in np.ndindex(digits.shape[1:]):
            column = np.ascontiguousarray(digits[:, *place]).astype(np.int64)
            lanes[row[starts], *place] = np.add.reduceat(column, starts)
    else:
        np.add.at(lanes, row, digits.astype(np.int64))
    return group.normalize(sign * lanes)


def _stack(a: Sums, b: Sums) -> Sums:
    """The rows of both."""
    return Sums(
        np.concatenate([a.window, b.window]),
        np.concatenate([a.far, b.far + len(a.window)]),
        np.concatenate([a.outside, b.outside]),
    )


def _check_codes(name: str, codes: Array, number: int) -> None:
    if codes.size and not (int(codes.min()) >= 0 and int(codes.max()) < number):
        raise ValueError(f"collect: {name} codes must lie from 0 to {number - 1}.")
