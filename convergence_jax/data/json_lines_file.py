"""JSON lines: one object a line."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from convergence_jax.data.columns import Until, as_text, not_a_number
from convergence_jax.data.file_format import FIRST_BYTES, ByteStream, Piece
from convergence_jax.data.source import Column, Kind, Selection
from convergence_jax.errors import InputError

_KINDS: dict[type, Kind] = {int: "number", float: "number", bool: "boolean", str: "text"}


class JsonLinesFile:
    """A file with one JSON object a line; an absent key is a missing value, blank lines are skipped.

    Raises
    ------
    InputError
        If one of the first lines is no JSON object.
    """

    rows: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        kinds: dict[str, set[Kind]] = {}
        block, line, _ = next(self._blocks(), (b"", 1, 1.0))
        for value in self._decode(msgspec.json.Decoder(dict[str, Any]), block, line):
            for name, item in value.items():
                found = kinds.setdefault(name, set())
                if item is not None:
                    found.add(_KINDS.get(type(item), "other"))
        if not kinds:
            raise InputError(f"{path}: has no rows; give a file with observations.")
        self._columns = tuple(Column(name, _common(found)) for name, found in kinds.items())

    def columns(self) -> tuple[Column, ...]:
        """Keys and kinds, from the first lines."""
        return self._columns

    def pieces(self, selection: Selection, end: Until | None) -> Iterator[Piece]:
        """All rows, some MiB at a time."""
        names = selection.names
        number = float | bool | None
        label = str | int | float | bool | None
        fields = [f"c{i}" for i in range(len(names))]
        features = set(selection.features)
        row = msgspec.defstruct(
            "Row",
            [(f, number if name in features else label, None) for f, name in zip(fields, names, strict=True)],
            rename=dict(zip(fields, names, strict=True)),
            gc=False,
        )
        decoder = msgspec.json.Decoder(row)
        for block, line, done in self._blocks():
            rows = self._decode(decoder, block, line, selection)
            if not rows:
                continue
            arrays = {}
            for field, name in zip(fields, names, strict=True):
                values = list(map(attrgetter(field), rows))
                arrays[name] = pa.array(values, pa.float64()) if name in features else _labels(values)
            yield Piece(arrays, len(rows), done)

    def _blocks(self) -> Iterator[tuple[bytes, int, float]]:
        """Whole lines, the number of the first, and the fraction read."""
        stream = ByteStream(self._path)
        line = 1
        rest: list[bytes] = []
        try:
            while chunk := stream.read(FIRST_BYTES):
                cut = chunk.rfind(b"\n") + 1
                if not cut:
                    rest.append(chunk)
                    continue
                block = b"".join((*rest, chunk[:cut]))
                rest = [chunk[cut:]]
                yield block.removeprefix(b"\xef\xbb\xbf") if line == 1 else block, line, stream.done
                line += block.count(b"\n")
            last = b"".join(rest)
            if last.strip():
                yield last.removeprefix(b"\xef\xbb\xbf") if line == 1 else last, line, 1.0
        finally:
            stream.close()

    def _decode(
        self, decoder: msgspec.json.Decoder[Any], block: bytes, line: int, selection: Selection | None = None
    ) -> list[Any]:
        try:
            return decoder.decode_lines(block)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            for offset, text in enumerate(block.split(b"\n")):
                if not text.strip():
                    continue
                try:
                    decoder.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError) as first:
                    problem = _problem(text, first, selection)
                    raise InputError(f"{self._path}, line {line + offset:,}: {problem}.") from error
            raise InputError(f"{self._path}: {error}; correct it.") from error


def _problem(text: bytes, error: Exception, selection: Selection | None) -> str:
    """What is wrong with a line, and what to do."""
    if text.lstrip().startswith(b"["):
        return "is a JSON array; write one object a line"
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if b"NaN" in text or b"Infinity" in text:
            return "NaN and Infinity are not JSON; write null"
        return f"is not JSON ({error}); correct or remove that line"
    if not isinstance(value, dict):
        return "is not a JSON object; write one object a line"
    for name in selection.names if selection else ():
        item = value.get(name)
        if isinstance(item, dict | list):
            return f"column {name!r} holds a nested value; choose another column"
        if selection and name in selection.features and isinstance(item, str):
            return f"column {name!r} {not_a_number(item)}"
    return f"{error}; correct or remove that line"


def _common(kinds: set[Kind]) -> Kind:
    if not kinds or len(kinds) > 1:
        return "other" if not kinds or "other" in kinds else "text"
    return next(iter(kinds))


def _labels(values: Sequence[str | float | None]) -> pa.Array:
    """Texts, or numbers of one type, as an array; where kinds are mixed, the text that each one has alone."""
    types = set(map(type, values)) - {type(None)}
    if not types or types == {str}:
        return pa.array(values, pa.string())
    if types == {float}:
        return pa.array(values, pa.float64())
    if types == {int} and all(-(2**63) <= value < 2**63 for value in values if value is not None):  # type: ignore[operator]
        return pa.array(values, pa.int64())
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return as_text(pa.array([value]))[0].as_py()
    return str(value)
