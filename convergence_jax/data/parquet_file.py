"""Parquet."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from convergence_jax.data.columns import Until, kind_of
from convergence_jax.data.file_format import Piece, unreadable
from convergence_jax.data.source import Column, Selection

_ROWS = 2**16


class ParquetFile:
    """A Parquet file, whose types are its own.

    Raises
    ------
    InputError
        If it is cut short or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            self.rows: int | None = file.metadata.num_rows
            self._columns = tuple(Column(field.name, kind_of(field.type)) for field in file.schema_arrow)

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self._path)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error

    def columns(self) -> tuple[Column, ...]:
        """Names and kinds, from the footer."""
        return self._columns

    def pieces(self, selection: Selection, end: Until | None) -> Iterator[Piece]:
        """All rows, a part of a row group at a time."""
        with self._open() as file:
            read = 0
            batches = file.iter_batches(batch_size=_ROWS, columns=list(selection.names))
            while True:
                try:
                    batch = next(batches, None)
                except (OSError, pa.ArrowException) as error:
                    raise unreadable(self._path, error) from error
                if batch is None:
                    return
                read += batch.num_rows
                arrays = {name: batch.column(name) for name in selection.names}
                yield Piece(arrays, batch.num_rows, read / max(1, self.rows or 1))
