"""Copies of a journal, made while its node runs, and journals made from copies.

A backup is an SQLite file of its own that says it is one: however it comes to lie where a journal belongs,
the node that opens it first reads its own rows back from its peers.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from convergence_jax.errors import InputError
from convergence_jax.partition.writes.durable_files import make_folder, put_in_place
from convergence_jax.partition.writes.journal import failure, hold
from convergence_jax.partition.writes.tables import owner


def backup(journal: str | Path, path: str | Path) -> None:
    """Copy a journal as it is at one instant; its node, in this process or another, goes on meanwhile.

    Parameters
    ----------
    journal : str or Path
        The journal.
    path : str or Path
        Where the backup goes, durable on return. A backup that is there is replaced, whole.

    Raises
    ------
    InputError
        If `journal` is none, or `path` is where a node keeps its journal.
    OSError
        If the disk fails or is full; no file of that name is left or changed.
    """
    journal, path = Path(journal).resolve(), Path(path).resolve()
    if path == journal or Path(f"{path}.lock").exists():
        raise InputError(f"{path}: a node keeps its journal here: name another file for the backup")
    with _source(journal) as (source, _):
        make_folder(path.parent)
        with _draft(path) as draft:
            _copy(source, draft)
            put_in_place(draft, path)


def restore(backup: str | Path, journal: str | Path, *, node: str) -> None:
    """Make a journal from a backup, where there is none.

    Parameters
    ----------
    backup : str or Path
        The backup; it stays.
    journal : str or Path
        Where the journal goes, durable on return.
    node : str
        Whose it is.

    Raises
    ------
    InputError
        If the backup is damaged, none, or another node's, or if there is a journal, or a part of one.
    OSError
        If the disk fails or is full; no journal is left.

    Notes
    -----
    What was acknowledged after the backup, and not released to any peer before the journal was lost, is lost.
    """
    backup, journal = Path(backup).resolve(), Path(journal).resolve()
    with _source(backup) as (source, found):
        if found != node:
            raise InputError(f"{backup}: from node {found!r}, not {node!r}: name a backup of this node")
        make_folder(journal.parent)
        lock = hold(journal)
        try:
            for there in (journal, Path(f"{journal}-wal"), Path(f"{journal}-journal")):
                if there.exists():
                    raise InputError(f"{there}: is there, and is kept: move it away before restoring")
            with _draft(journal) as draft:
                if _copy(source, draft) != "ok":
                    raise InputError(f"{backup}: is damaged: name another backup")
                put_in_place(draft, journal)
        finally:
            os.close(lock)


@contextmanager
def _source(path: Path) -> Iterator[tuple[sqlite3.Connection, str]]:
    """A journal to read, and whose it is."""
    try:
        source = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise InputError(f"{path}: no journal that can be read ({error}): name another file") from error
    with closing(source):
        node = owner(source, path)
        if node is None:
            raise InputError(f"{path}: an empty file, not a journal: name another one")
        yield source, node


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A file to fill in the folder of another; gone afterwards, unless it was put in place."""
    draft = path.with_name(path.name + ".partial")
    files = (draft, Path(f"{draft}-journal"))
    for file in files:
        file.unlink(missing_ok=True)  # of a copy that was killed
    try:
        yield draft
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, draft: Path) -> str:
    """Copy a journal into one file, marked as restored; what SQLite finds wrong with it, or "ok"."""
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # the whole file is synced before it gets its name
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # it needs no second file beside it
            copy.execute("UPDATE meta SET value = 1 WHERE name = 'restored'")
            return str(copy.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise failure(draft, error) from error
    except sqlite3.DatabaseError as error:
        return str(error)
