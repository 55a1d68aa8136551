"""`open_source`: a Parquet, CSV or JSON lines file as a stream of batches that can be read again."""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from convergence_jax.data.columns import BadValue, Until
from convergence_jax.data.csv_file import CsvFile
from convergence_jax.data.file_format import FileFormat, Piece
from convergence_jax.data.json_lines_file import JsonLinesFile
from convergence_jax.data.parquet_file import ParquetFile
from convergence_jax.data.source import BATCH_ROWS, Batch, Column, Selection, check_rows, rebatch
from convergence_jax.errors import InputError

FORMATS: dict[str, type[FileFormat]] = {"parquet": ParquetFile, "csv": CsvFile, "jsonl": JsonLinesFile}
"""What ``--format`` may say."""

_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_COMPRESSED = (".gz", ".bz2", ".zst")


class FileSource:
    """One file of observations; the same rows each time, or an error if the file changes meanwhile.

    Parameters
    ----------
    path : Path
        A regular file.
    format_ : FileFormat
        How it is read.
    """

    def __init__(self, path: Path, format_: FileFormat) -> None:
        self._path = path
        self._format = format_
        self._identity = self._look()
        self._columns = format_.columns()
        self.rows = format_.rows

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self._path)

    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order of the file.

        The kinds of a CSV or JSON lines file are judged by its first 4 MiB.
        """
        return self._columns

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
        """Read the file from the beginning, in pieces of `batch_rows` rows.

        Parameters
        ----------
        agent : str
            Column of agents' ids, read as text.
        levels : sequence of str
            Columns of groups, from coarse to fine, read as text.
        features : sequence of str
            Numeric columns, read as float64.
        time : str, optional
            Column of times, read only where `until` is given.
        until : str, optional
            End of the baseline period: a number, or an ISO 8601 date or time (UTC unless it has a zone).
        batch_rows : int
            Rows in every batch but the last. Changes no value and no count.

        Yields
        ------
        Batch
            The rows that can be used, and how many could not, by reason.

        Raises
        ------
        InputError
            For a column that does not exist or cannot be read as asked, a malformed row, a file without rows
            or without a row that can be used.
        """
        end = None if until is None else Until.parse(until)
        selection = Selection(agent, tuple(levels), tuple(features), None if end is None else time)
        selection.check(self._columns, self.name)
        read = accepted = 0
        rejected: dict[str, int] = {}
        for table, done in rebatch(self._tables(selection, end), batch_rows):
            batch = check_rows(table, selection, done)
            read += batch.read
            accepted += batch.values.shape[1]
            for reason, count in batch.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + count
            yield batch
        if self._look() != self._identity:
            raise InputError(
                f"{self.name}: changed while it was read; wait until it is complete, then run again."
            )
        if not read:
            raise InputError(f"{self.name}: has no rows, only column names; give a file with observations.")
        if not accepted:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in rejected.items())
            raise InputError(
                f"{self.name}: none of the {read:,} rows can be used ({reasons}); choose other columns."
            )

    def _tables(self, selection: Selection, end: Until | None) -> Iterator[tuple[pa.Table, float]]:
        """Converted columns, in the pieces in which the file gives them."""
        start = 0
        for piece in self._format.pieces(selection, end):
            yield self._convert(piece, selection, end, start), piece.done
            start += piece.rows

    def _convert(self, piece: Piece, selection: Selection, end: Until | None, start: int) -> pa.Table:
        texts = len(selection.texts)
        arrays = []
        for position, name in enumerate(selection.names):
            try:
                if position < texts:
                    array = piece.text(name)
                elif position < texts + len(selection.features):
                    array = piece.number(name)
                else:
                    assert end is not None
                    array = end.before(piece.raw(name))
            except BadValue as bad:
                row = "" if bad.offset is None else f", row {start + bad.offset + 1:,}"
                raise InputError(f"{self.name}{row}: column {name!r} {bad.problem}.") from bad
            arrays.append(array)
        return pa.table(arrays, names=[str(i) for i in range(len(arrays))])

    def _look(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_size, found.st_mtime_ns


def open_source(path: str | Path, format: str | None = None) -> FileSource:
    """Open a file of observations, long format: one row an observation.

    Parameters
    ----------
    path : str or Path
        A regular file; CSV and JSON lines may be compressed (``.gz``, ``.bz2``, ``.zst``).
    format : {"parquet", "csv", "jsonl"}, optional
        By the suffix unless given; ``.tsv`` is CSV separated by tabs.

    Returns
    -------
    FileSource
        Nothing but the columns has been read.

    Raises
    ------
    InputError
        If there is no such file, it is a directory, cannot be read, is empty, is not what it should be, or
        has two columns of one name.

    Notes
    -----
    *Ids and groups* are text in every format: ``007`` and ``NA`` are themselves, only an empty field is
    missing. A whole number of Parquet or JSON reads as its decimal digits; CSV keeps what is written.

    *Features* are float64. Missing are null in Parquet, null or an absent key in JSON, and in CSV an empty
    field, ``NA``, ``N/A``, ``n/a``, ``#N/A``, ``null``, ``NULL`` and ``None``. NaN and the infinities are
    numbers that are not finite, in CSV too (``nan``, ``NaN``, ``inf``). Both kinds are dropped and counted,
    apart.
    """
    path = Path(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path.") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check the path and its permissions.") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path}: is a directory; give one file.")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: is no regular file, and it is read twice; write it to a file first.")
    if not found.st_size:
        raise InputError(f"{path}: is empty; give a file with observations.")
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from None
    kind = _format_of(path, format)
    if (start == b"PAR1") != (kind == "parquet"):
        if kind == "parquet":
            raise InputError(
                f"{path}: is no Parquet file; say what it is with --format csv or --format jsonl."
            )
        raise InputError(f"{path}: is a Parquet file; say so with --format parquet.")
    source = FileSource(path, FORMATS[kind](path))
    names = [column.name for column in source.columns()]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: {names.count(name)} columns are named {name!r}; rename all but one.")
    return source


def _format_of(path: Path, format: str | None) -> str:
    if format is not None:
        if format not in FORMATS:
            raise InputError(f"--format {format!r}: unknown; choose one of {', '.join(FORMATS)}.")
        return format
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    kind = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise InputError(f"{path}: unknown kind of file; say what it is with --format {'|'.join(FORMATS)}.")
    return kind
