"""`Source` and `Batch`: rows of observations in pieces of one size, whatever they come from."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from convergence_jax.errors import InputError, closest

BATCH_ROWS = 2**18
"""Rows in a batch, unless asked otherwise; the split leaves no trace in any result."""

_ROW_NUMBER = re.compile(r"|__index_level_\d+__|Unnamed: 0")

Kind = Literal["number", "boolean", "text", "time", "other"]


@dataclass(frozen=True)
class Column:
    """A column of a source, and what it holds."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Selection:
    """Which column plays which part.

    Attributes
    ----------
    agent : str
        Who the row is about.
    levels : tuple of str
        Groups, from coarse to fine.
    features : tuple of str
        What was observed.
    time : str or None
        When; read only if an end of the baseline period is given.
    """

    agent: str
    levels: tuple[str, ...]
    features: tuple[str, ...]
    time: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that are read as text."""
        return (self.agent, *self.levels)

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that is read, in the order in which a row is checked."""
        return (*self.texts, *self.features, *(() if self.time is None else (self.time,)))

    def check(self, columns: Sequence[Column], where: str) -> None:
        """Refuse what `columns` does not have, and a column in two parts.

        Raises
        ------
        InputError
            With the closest name that exists.
        """
        known = [column.name for column in columns]
        for name in self.names:
            if name not in known:
                raise InputError(f"{where}: no column {name!r}{closest(name, known)}")
        for position, name in enumerate(self.names):
            if name in self.names[:position]:
                raise InputError(f"{where}: column {name!r} is chosen twice; name each column once.")


@dataclass(frozen=True)
class Batch:
    """Some rows, checked: what is left can be used as it is.

    Attributes
    ----------
    read : int
        Rows read, rejected ones included.
    agent : pa.StringArray
        ``(rows,)``, never null, never empty.
    levels : tuple of pa.StringArray
        One array a level, from coarse to fine; never null, never empty.
    values : Float64[Array, "features rows"]
        Finite.
    before : Bool[Array, "rows"] or None
        Whether the row belongs to the baseline period; None unless asked for.
    rejected : dict of str to int
        Rows dropped, by reason: ``missing:<column>``, ``not_finite:<column>``. A row is dropped once, for the
        first reason in the order agent, levels, features, time.
    done : float
        Fraction of the source that has been read, from 0 to 1.
    """

    read: int
    agent: pa.StringArray
    levels: tuple[pa.StringArray, ...]
    values: np.ndarray
    before: np.ndarray | None
    rejected: dict[str, int]
    done: float


class Source(Protocol):
    """Rows of observations that can be read more than once."""

    @property
    def name(self) -> str:
        """What errors and reports call it."""

    @property
    def rows(self) -> int | None:
        """Number of rows, if that is known without reading them."""

    def columns(self) -> tuple[Column, ...]:
        """The columns, in their order."""

    def batches(
        self,
        *,
        agent: str,
        levels: Sequence[str],
        features: Sequence[str],
        time: str | None = None,
        until: str | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[Batch]:
        """Read everything from the beginning, in pieces of `batch_rows` rows."""


def numeric_features(source: Source, agent: str, levels: Sequence[str], time: str | None) -> tuple[str, ...]:
    """Every numeric column that has no other part: what `detect` takes where no feature is named.

    Columns that only number the rows, which pandas writes, are left out.

    Raises
    ------
    InputError
        If there is none.
    """
    taken = {agent, *levels, time}
    found = tuple(
        column.name
        for column in source.columns()
        if column.kind == "number" and column.name not in taken and not _ROW_NUMBER.fullmatch(column.name)
    )
    if not found:
        raise InputError(
            f"{source.name}: no numeric column is left to be a feature; name one with --features."
        )
    return found


def check_rows(table: pa.Table, selection: Selection, done: float) -> Batch:
    """Drop the rows that cannot be used, and count why.

    Parameters
    ----------
    table : pa.Table
        The selected columns in the order of ``selection.names``: texts as string, features as float64, and
        for the time whether the row is before the end of the baseline period (bool), missing as null.
    selection : Selection
        Which column is which; with `time` only if `table` has it.
    done : float
        Fraction of the source that has been read.
    """
    columns = [column.combine_chunks() for column in table.columns]
    columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    rows = table.num_rows
    alive = np.ones(rows, dtype=bool)
    rejected: dict[str, int] = {}

    def drop(bad: np.ndarray, reason: str) -> None:
        nonlocal alive
        count = int(np.count_nonzero(bad & alive))
        if count:
            rejected[reason] = count
            alive &= ~bad

    texts = len(selection.texts)
    values = np.empty((len(selection.features), rows))
    for position, (name, column) in enumerate(zip(selection.names, columns, strict=True)):
        if column.null_count:
            drop(column.is_null().to_numpy(zero_copy_only=False), f"missing:{name}")
        if texts <= position < texts + len(selection.features):
            row = column.to_numpy(zero_copy_only=False)
            values[position - texts] = row
            finite = np.isfinite(row)
            if not finite.all():
                drop(~finite, f"not_finite:{name}")
    before = None
    if selection.time is not None:
        before = pc.fill_null(columns[-1], False).to_numpy(zero_copy_only=False)
    if rejected:
        keep = pa.array(alive)
        columns[:texts] = [column.filter(keep) for column in columns[:texts]]
        values = values[:, alive]
        before = None if before is None else before[alive]
    return Batch(rows, columns[0], tuple(columns[1:texts]), values, before, rejected, done)


def rebatch(pieces: Iterator[tuple[pa.Table, float]], rows: int) -> Iterator[tuple[pa.Table, float]]:
    """Cut tables of any length into tables of `rows` rows, the last one shorter; never an empty one."""
    if rows < 1:
        raise ValueError(f"batches: batch_rows must be at least 1, got {rows}.")
    waiting: list[pa.Table] = []
    count = 0
    done = 0.0
    for table, done in pieces:
        if not table.num_rows:
            continue
        waiting.append(table)
        count += table.num_rows
        if count < rows:
            continue
        whole = pa.concat_tables(waiting)
        full = count - count % rows
        for start in range(0, full, rows):
            yield whole.slice(start, rows), done
        waiting = [whole.slice(full)] if full < count else []
        count -= full
    if count:
        yield pa.concat_tables(waiting), done
