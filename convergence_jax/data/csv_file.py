"""CSV, and the same with tabs."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc

from convergence_jax.data.columns import BadValue, Until, kind_of, not_a_number
from convergence_jax.data.file_format import FIRST_BYTES, ByteStream, Piece, unreadable
from convergence_jax.data.source import Column, Selection
from convergence_jax.errors import InputError

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None")
"""Fields that are missing in a column of a feature; in a column of ids only the empty one is."""


class CsvFile:
    """A CSV file with a line of column names; quoted fields may hold separators and line ends.

    Raises
    ------
    InputError
        If there is no line of names, or the first rows cannot be read.
    """

    rows: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        suffixes = [suffix.lower() for suffix in path.suffixes]
        self._separator = "\t" if ".tsv" in suffixes[-2:] else ","
        convert = pc.ConvertOptions(null_values=list(MISSING))
        stream = ByteStream(path)
        try:
            schema = self._open(stream, convert).schema
            self._columns = tuple(Column(field.name, kind_of(field.type)) for field in schema)
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: its column names are not UTF-8; convert the file to UTF-8.") from error
        except (OSError, pa.ArrowException) as error:
            raise self._diagnosis(convert, (), error) from error
        finally:
            stream.close()

    def columns(self) -> tuple[Column, ...]:
        """Names from the first line, kinds from the first rows."""
        return self._columns

    def pieces(self, selection: Selection, end: Until | None) -> Iterator[Piece]:
        """All rows, some MiB at a time."""
        types = {name: pa.string() for name in selection.names}
        types.update(dict.fromkeys(selection.features, pa.float64()))
        convert = pc.ConvertOptions(
            column_types=types, include_columns=list(selection.names), null_values=list(MISSING)
        )
        stream = ByteStream(self._path)
        try:
            for batch in self._open(stream, convert):
                arrays = {name: batch.column(name) for name in selection.names}
                yield Piece(arrays, batch.num_rows, stream.done)
        except pa.ArrowCancelled:
            raise KeyboardInterrupt from None
        except (OSError, pa.ArrowException) as error:
            texts = dict.fromkeys(selection.names, pa.string())
            convert = pc.ConvertOptions(column_types=texts, include_columns=list(selection.names))
            raise self._diagnosis(convert, selection.features, error) from error
        finally:
            stream.close()

    def _open(
        self, stream: ByteStream, convert: pc.ConvertOptions, threads: bool = True
    ) -> pc.CSVStreamingReader:
        return pc.open_csv(
            stream.file,
            read_options=pc.ReadOptions(block_size=FIRST_BYTES, use_threads=threads),
            parse_options=pc.ParseOptions(delimiter=self._separator, newlines_in_values=True),
            convert_options=convert,
        )

    def _diagnosis(self, convert: pc.ConvertOptions, features: Sequence[str], error: Exception) -> InputError:
        """Read once more, features as text and rows in order, to find the row at which reading failed."""
        stream = ByteStream(self._path)
        start = 0
        try:
            for batch in self._open(stream, convert, threads=False):
                for name in features:
                    try:
                        _numbers(batch.column(name))
                    except BadValue as bad:
                        row = start + (bad.offset or 0) + 1
                        return InputError(f"{self._path}, row {row:,}: column {name!r} {bad.problem}.")
                start += batch.num_rows
        except (OSError, pa.ArrowException) as again:
            return self._malformed(again)
        finally:
            stream.close()
        return self._malformed(error)

    def _malformed(self, error: Exception) -> InputError:
        problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        # Arrow counts the line of names as the first row.
        counted = re.search(r"Row #(\d+)", problem)
        where = f"{self._path}" + (f", row {int(counted[1]) - 1:,}" if counted else "")
        fields = re.search(r"Expected (\d+) columns, got (\d+)", problem)
        if fields:
            counted_fields = f"{fields[2]} field{'s' * (fields[2] != '1')}"
            return InputError(
                f"{where}: has {counted_fields} where the first line has {fields[1]}; correct that row."
            )
        if "UTF8" in problem:
            return InputError(f"{where}: text that is not UTF-8; convert the file to UTF-8.")
        if "straddling" in problem:
            return InputError(
                f"{where}: a row of more than {FIRST_BYTES >> 20} MiB; look for a quote left open."
            )
        if "Empty CSV" in problem:
            return InputError(f"{where}: has no rows, only column names; give a file with observations.")
        if isinstance(error, OSError) and not isinstance(error, pa.ArrowException):
            return unreadable(self._path, error)
        return InputError(f"{where}: {problem}; correct that row.")


def _numbers(column: pa.StringArray) -> None:
    """Refuse the first field that is neither missing nor a number."""
    import pyarrow.compute as compute

    kept = compute.if_else(
        compute.is_in(column, pa.array(MISSING)),
        pa.scalar(None, pa.string()),
        compute.utf8_trim(column, " \t"),
    )
    try:
        kept.cast(pa.float64())
    except pa.ArrowInvalid:
        for offset, value in enumerate(kept):
            try:
                value.cast(pa.float64())
            except pa.ArrowInvalid:
                raise BadValue(offset, not_a_number(value.as_py())) from None
