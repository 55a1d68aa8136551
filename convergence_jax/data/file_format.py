"""`FileFormat`: what a kind of file must do, and what the kinds share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from convergence_jax.data.columns import Until, as_number, as_text
from convergence_jax.data.source import Column, Selection
from convergence_jax.errors import InputError

FIRST_BYTES = 1 << 22
"""How much of a text file is read to judge what its columns hold, and how much at a time afterwards."""


@dataclass(frozen=True)
class Piece:
    """Some consecutive rows as the file has them."""

    arrays: Mapping[str, pa.Array]
    rows: int
    done: float

    def raw(self, name: str) -> pa.Array:
        """A column in the type of the file."""
        return self.arrays[name]

    def text(self, name: str) -> pa.StringArray:
        """A column of ids or groups."""
        return as_text(self.arrays[name])

    def number(self, name: str) -> pa.DoubleArray:
        """A column of a feature."""
        return as_number(self.arrays[name])


class FileFormat(Protocol):
    """A file of one format."""

    rows: int | None

    def __init__(self, path: Path) -> None: ...

    def columns(self) -> tuple[Column, ...]:
        """Names and kinds, by reading as little as possible."""

    def pieces(self, selection: Selection, end: Until | None) -> Iterator[Piece]:
        """All rows, once, in order; only the selected columns."""


class ByteStream:
    """The bytes of a file, decompressed where the suffix says so, and how far it has been read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = pa.OSFile(str(path))
        self._size = max(1, self._raw.size())
        codec = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(path.suffix.lower())
        self.file = self._raw if codec is None else pa.CompressedInputStream(self._raw, codec)

    @property
    def done(self) -> float:
        """Fraction of the bytes of the file that has been read."""
        return min(1.0, self._raw.tell() / self._size)

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end.

        Raises
        ------
        InputError
            If the file cannot be decompressed, or the disk fails.
        """
        try:
            return self.file.read(count)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not self._raw:
            self.file.close()
        self._raw.close()


def unreadable(path: Path, error: Exception) -> InputError:
    """What to say where bytes cannot be had or decompressed."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(f"{path}: cannot be read to its end ({first}); it may be cut short, get it again.")
