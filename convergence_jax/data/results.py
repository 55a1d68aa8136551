"""`ResultDirectory`: the files of one run, all of them or none."""

import json
import math
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from convergence_jax.errors import InputError

RESULT = "result.json"
"""The file that makes a directory a result; its ``schema`` begins with :data:`SCHEMA`."""

SCHEMA = "convergence."

FILES = frozenset(
    {RESULT, "agents.parquet", "posteriors.parquet", "observers.parquet", "report.html", "config.toml"}
)
"""What a run may write, and so what a later run into the same directory may replace."""

_PARTIAL = ".convergence-partial-"


class ResultDirectory:
    """A context that collects files out of sight and shows them together at its end.

    Parameters
    ----------
    out : str or Path, optional
        The directory to make. It may exist if it is empty or holds a former result, which is replaced.
    root : str or Path, default "results"
        Where the directory is made if `out` is not given; :meth:`place` then gives its name.

    Raises
    ------
    InputError
        On entry if the directory holds anything else or cannot be written; on exit if the disk fails. Then,
        and if the block raises or is interrupted, nothing is left and a former result is as it was.

    Notes
    -----
    Files are written next to the target under a hidden name and synced; renaming the directory is the last
    step, with interrupts held back.
    """

    def __init__(self, out: str | Path | None = None, *, root: str | Path = "results") -> None:
        self._root = Path(root) if out is None else _absolute(out).parent
        self.path: Path | None = None if out is None else Path(out)
        self._partial: Path | None = None
        self._made: list[Path] = []

    def __enter__(self) -> "ResultDirectory":
        with _plainly(self.path or self._root):
            if self.path is not None:
                _check_replaceable(self.path)
            root = _absolute(self._root)
            for folder in (root, *root.parents):
                if folder.exists() and not folder.is_dir():
                    raise InputError(f"{folder}: is a file; choose another --out.")
            self._made = [folder for folder in (root, *root.parents) if not folder.exists()]
            try:
                root.mkdir(parents=True, exist_ok=True)
                self._partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=root))
                self._partial.chmod(0o777 & ~_umask())
            except BaseException:
                self._clean()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._clean()

    def place(self, name: str) -> Path:
        """Fix the directory's name within `root`, unless `out` was given; return where it will be.

        Raises
        ------
        InputError
            If that directory holds something that is no result.
        """
        if self.path is None:
            self.path = self._root / name
            _check_replaceable(self.path)
        return self.path

    def write_json(self, name: str, value: Any) -> None:
        """Write JSON: keys in the order given, numbers to round-trip, what is not finite as null."""
        self.write_text(name, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text."""
        with self._file(name) as path, path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write Parquet; the same table gives the same bytes, however it is chunked."""
        with self._file(name) as path:
            pq.write_table(
                table.combine_chunks().replace_schema_metadata(None),
                path,
                compression="zstd",
                row_group_size=1 << 20,
                version="2.6",
                data_page_version="1.0",
            )

    @contextmanager
    def _file(self, name: str) -> Iterator[Path]:
        if self._partial is None:
            raise RuntimeError("ResultDirectory: files are written inside its with block.")
        if name not in FILES:
            raise ValueError(f"ResultDirectory: {name!r} is no file of a result; one of {sorted(FILES)}.")
        with _plainly(self._root / name):
            yield self._partial / name

    def _commit(self) -> None:
        if self._partial is None or self.path is None:
            raise RuntimeError("ResultDirectory: no name was given; call place() before the end.")
        with _plainly(self.path):
            for file in self._partial.iterdir():
                _sync(file)
            _sync(self._partial)
            target = _absolute(self.path)
            _check_replaceable(self.path)
            with _uninterrupted():
                if not target.is_dir() or not any(target.iterdir()):
                    os.rename(self._partial, target)
                    self._partial = None
                else:
                    former = self._partial.with_name(self._partial.name + "-former")
                    os.rename(target, former)
                    try:
                        os.rename(self._partial, target)
                        self._partial = None
                    except BaseException:
                        os.rename(former, target)
                        raise
                    shutil.rmtree(former, ignore_errors=True)
            _sync(target.parent)
            self._made = []

    def _clean(self) -> None:
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:
                break


def plain(value: Any) -> Any:
    """A value as JSON knows it: arrays as lists, what is not finite as None.

    Raises
    ------
    TypeError
        For what JSON cannot hold.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    raise TypeError(f"result: JSON cannot hold {type(value).__name__}.")


def or_null(x: np.ndarray) -> pa.Array:
    """A float column of a table, with null where there is nothing to say."""
    return pa.array(x, mask=np.isnan(x))


def _check_replaceable(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: is a link to nothing; remove it or choose another --out.")
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path}: is a file; choose another --out.")
    names = sorted(entry.name for entry in path.iterdir())
    if not names:
        return
    other = [name for name in names if name not in FILES]
    if not other and _is_result(path / RESULT):
        return
    shown = (other or names)[0]
    raise InputError(f"{path}: is not empty and no former result (it holds {shown}); choose another --out.")


def _is_result(path: Path) -> bool:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and str(value.get("schema", "")).startswith(SCHEMA)


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Turn what the system says about a disk into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path}: cannot be written ({reason}); choose another --out or make room."
        ) from error


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C and termination to the end of the block; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    # Handlers, not a mask: with other threads about, a signal masked here is delivered there.
    former = {number: signal.signal(number, lambda one, _: waiting.append(one)) for number in signals}
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, former[number])
        for got in waiting:
            signal.raise_signal(got)


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
