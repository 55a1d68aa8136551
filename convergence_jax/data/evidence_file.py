"""Files of evidence and of labels as codes: what `consensus` reads, whole and once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from convergence_jax.data.source import Source
from convergence_jax.data.stages import Progress
from convergence_jax.errors import InputError, closest

AGENT, OBSERVER, RATIO = "agent", "observer", "log_likelihood_ratio"
LIKELIHOOD = "log_likelihood_"
EVENT_ID, TYPE, RELIABILITY = "event_id", "type", "reliability"
ITEM, WORKER, LABEL = "item", "worker", "label"

NULL, ALTERNATIVE = "null", "alternative"
"""Names of the two hypotheses of a log-likelihood ratio."""


@dataclass(frozen=True)
class Coded:
    """A column of texts as codes into its distinct values, sorted by their UTF-8 bytes if asked for."""

    codes: np.ndarray
    values: pa.StringArray

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Rows:
    """What a file holds, row by row, in the order of the file.

    Attributes
    ----------
    texts : dict of str to Coded
        Columns of texts.
    numbers : Float64[ndarray, "columns rows"]
        Columns of numbers, finite.
    read : int
        Rows of the file.
    rejected : dict of str to int
        Rows left out, by reason.
    """

    texts: dict[str, Coded]
    numbers: np.ndarray
    read: int
    rejected: dict[str, int]


def kind_of(source: Source) -> Literal["evidence", "labels"]:
    """What a file holds, by the names of its columns.

    Raises
    ------
    InputError
        If it is neither, with the column that lacks.
    """
    names = {column.name for column in source.columns()}
    if {ITEM, WORKER, LABEL} <= names:
        return "labels"
    if {AGENT, OBSERVER} <= names:
        if RATIO in names or any(name.startswith(LIKELIHOOD) for name in names):
            return "evidence"
        raise InputError(
            f"{source.name}: no column {RATIO!r}, nor one {LIKELIHOOD}NAME for each hypothesis"
            f"{closest(RATIO, sorted(names))}"
        )
    raise InputError(
        f"{source.name}: is neither evidence ({AGENT}, {OBSERVER}, {RATIO}) nor labels ({ITEM}, {WORKER}, "
        f"{LABEL}); rename its columns. There are: {', '.join(sorted(names)[:20])}."
    )


def hypotheses_of(source: Source) -> tuple[list[str], list[str]]:
    """Names of the hypotheses, the null first, and the columns that hold the evidence.

    Raises
    ------
    InputError
        If there are both kinds of columns, or one hypothesis alone.
    """
    names = [column.name for column in source.columns()]
    columns = [n for n in names if n.startswith(LIKELIHOOD) and n != RATIO]
    if RATIO in names and columns:
        raise InputError(f"{source.name}: has {RATIO!r} and {columns[0]!r}; leave one kind of them out.")
    if RATIO in names:
        return [NULL, ALTERNATIVE], [RATIO]
    if len(columns) < 2:
        raise InputError(
            f"{source.name}: {columns[0]!r} is the only hypothesis; give two or more, or {RATIO!r}."
        )
    return [name.removeprefix(LIKELIHOOD) for name in columns], columns


def read_rows(
    source: Source,
    texts: Sequence[str],
    numbers: Sequence[str] = (),
    *,
    progress: Progress | None = None,
) -> Rows:
    """Read some columns of a whole file.

    Parameters
    ----------
    source : Source
        The file.
    texts, numbers : sequence of str
        Columns; a row in which one is missing, or a number not finite, is left out and counted.
    progress : callable, optional
        Told ``"read"`` and the fraction that is done.

    Returns
    -------
    Rows

    Raises
    ------
    InputError
        If the file cannot be read as asked, or none of its rows can be used.
    """
    chunks: list[list[pa.Array]] = [[] for _ in texts]
    values: list[np.ndarray] = []
    read = 0
    rejected: Counter[str] = Counter()
    for batch in source.batches(agent=texts[0], levels=texts[1:], features=numbers):
        read += batch.read
        rejected.update(batch.rejected)
        for column, array in zip(chunks, (batch.agent, *batch.levels), strict=True):
            column.append(array)
        values.append(batch.values)
        if progress is not None:
            progress("read", batch.done)
    coded = {
        name: encode(column, ordered=name not in (EVENT_ID, TYPE))
        for name, column in zip(texts, chunks, strict=True)
    }
    return Rows(coded, np.concatenate(values, axis=1), read, dict(rejected))


def encode(chunks: Sequence[pa.Array], *, ordered: bool = True) -> Coded:
    """Texts without nulls as codes of their distinct values, sorted unless their order does not matter."""
    whole = pa.chunked_array(chunks, pa.string()).combine_chunks()
    whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    encoded = whole.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if not ordered:
        return Coded(codes, encoded.dictionary)
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return Coded(place[codes], encoded.dictionary.take(pa.array(order)))


def match(values: pa.StringArray, known: pa.StringArray) -> np.ndarray:
    """Where each text stands among known ones, ``Int64[ndarray, "n"]``; -1 for one that does not."""
    found = pc.index_in(values, value_set=known).fill_null(-1)
    return found.to_numpy(zero_copy_only=False).astype(np.int64)


@dataclass(frozen=True)
class Assigned:
    """One class for some of the known items: what a file of truth or of gold items says.

    Attributes
    ----------
    label : Int64[ndarray, "items"]
        Code of the class, -1 where the file says nothing, -2 where it names one that nobody else knows.
    rows : int
        Rows of the file.
    rejected : dict of str to int
        Rows left out: ``unknown_item``, ``unknown_label``, ``contradictory`` (an item with two classes), and
        those of :func:`read_rows`.
    """

    label: np.ndarray
    rows: int
    rejected: dict[str, int]


def read_assigned(
    source: Source, items: pa.StringArray, classes: pa.StringArray, names: tuple[Sequence[str], Sequence[str]]
) -> Assigned:
    """Read which class each item has.

    Parameters
    ----------
    source : Source
        A file with a column of items and one of classes.
    items, classes : pa.StringArray
        The known ones.
    names : (sequence of str, sequence of str)
        What the two columns may be called, in order of preference.

    Raises
    ------
    InputError
        If a column lacks, no row names a known item, or no item has a known class.
    """
    known = [column.name for column in source.columns()]
    chosen = []
    for wanted in names:
        found = [name for name in wanted if name in known]
        if not found:
            raise InputError(f"{source.name}: no column {wanted[0]!r}{closest(wanted[0], known)}")
        chosen.append(found[0])
    rows = read_rows(source, chosen)
    item_column, class_column = (rows.texts[name] for name in chosen)
    item = match(item_column.values, items)[item_column.codes]
    label = match(class_column.values, classes)[class_column.codes]
    rejected = Counter(rows.rejected)
    unknown = item < 0
    rejected["unknown_item"] += int(unknown.sum())
    item, label = item[~unknown], label[~unknown]
    if not len(item):
        raise InputError(
            f"{source.name}: names none of the {len(items):,} items; check that the ids are the same."
        )
    rejected["unknown_label"] += int((label < 0).sum())
    label = np.where(label < 0, -2, label)
    lowest = np.full(len(items), np.iinfo(np.int64).max)
    highest = np.full(len(items), np.iinfo(np.int64).min)
    np.minimum.at(lowest, item, label)
    np.maximum.at(highest, item, label)
    named = highest > np.iinfo(np.int64).min
    clash = named & (lowest != highest)
    rejected["contradictory"] += int(clash[item].sum())
    assigned = np.where(named & ~clash, highest, -1)
    counted = {reason: n for reason, n in sorted(rejected.items()) if n}
    if not (assigned >= 0).any():
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in counted.items())
        some = ", ".join(map(repr, classes.to_pylist()[:10]))
        raise InputError(
            f"{source.name}: gives no item one of the classes {some} ({reasons}); use the same names."
        )
    return Assigned(assigned, rows.read, counted)
