"""The tables of a journal, and the query that recounts it.

``writes``
    One row a write that was acknowledged, by (client, sequence).
``payloads``
    The observations of those writes that are `kept`, by `id`. They are apart so that one that is dropped
    gives all of its pages back, also where its row in ``writes`` stays.
``clients``
    What compaction folded away: every sequence of the client below `through` was acknowledged. `writes` and
    `events` count them; `removed` counts those of the events that came in retractions.
``waiting``
    Events that the caps have not released yet.
``cells``
    The own row, as released.
``meta``
    Whose journal it is, whether it came out of a backup, events added and removed, the next position.
"""

import sqlite3
from pathlib import Path

from convergence_jax.errors import InputError

RECOUNT = """
SELECT client, 0 AS first, through - 1 AS last, writes, events, removed FROM clients
UNION ALL
SELECT client, sequence, sequence, 1, events, iif(kind = 'retract', events, 0) FROM writes
ORDER BY client, first
"""
"""SQL that lists what was acknowledged: ranges of sequences of each client, `first` and `last` included,
how many writes and events these are, and how many of the events came in retractions."""

APPLICATION = 0x434A4A4C
"""The ``application_id`` of the SQLite file: CJJL in ASCII."""

SCHEMA = 1
"""Version of the tables, the ``user_version`` of the SQLite file; a journal of a later one is refused."""

_STATEMENTS = (
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT",
    "CREATE TABLE cells(cell TEXT PRIMARY KEY, state BLOB NOT NULL) STRICT",
    """
    CREATE TABLE clients(
        client TEXT PRIMARY KEY, through INTEGER NOT NULL, writes INTEGER NOT NULL, events INTEGER NOT NULL,
        removed INTEGER NOT NULL) STRICT
    """,
    """
    CREATE TABLE writes(
        id INTEGER PRIMARY KEY, client TEXT NOT NULL, sequence INTEGER NOT NULL CHECK (sequence >= 0),
        kind TEXT NOT NULL CHECK (kind IN ('add', 'retract')), statistic TEXT NOT NULL,
        events INTEGER NOT NULL CHECK (events >= 1), accepted REAL NOT NULL, of INTEGER,
        retracted INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 1,
        UNIQUE (client, sequence)) STRICT
    """,
    "CREATE TABLE payloads(id INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT",
    "CREATE INDEX writes_kept ON writes(accepted) WHERE kept = 1",
    """
    CREATE INDEX writes_standing ON writes(statistic, accepted)
        WHERE kind = 'add' AND retracted = 0 AND kept = 1
    """,
    """
    CREATE TRIGGER folded BEFORE INSERT ON writes
        WHEN NEW.sequence < (SELECT through FROM clients WHERE client = NEW.client)
        BEGIN SELECT raise(ABORT, 'a write of this client and sequence was folded away'); END
    """,
    """
    CREATE TABLE waiting(
        position INTEGER PRIMARY KEY, client TEXT NOT NULL, sequence INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('add', 'retract')), statistic TEXT NOT NULL, cell TEXT NOT NULL,
        observations BLOB NOT NULL, events INTEGER NOT NULL CHECK (events >= 1)) STRICT
    """,
    "CREATE INDEX waiting_write ON waiting(client, sequence)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)


def create(db: sqlite3.Connection, node: str) -> None:
    """Make the tables of a new journal.

    Parameters
    ----------
    db : sqlite3.Connection
        On an empty file, in a transaction.
    node : str
        Whose journal it is.
    """
    for statement in _STATEMENTS:
        db.execute(statement)
    values = {"node": node, "restored": 0, "added": 0, "removed": 0, "position": 0}
    db.executemany("INSERT INTO meta VALUES (?, ?)", values.items())


def owner(db: sqlite3.Connection, path: Path) -> str | None:
    """Whose journal a file is.

    Parameters
    ----------
    db : sqlite3.Connection
        Open on the file.
    path : Path
        The file, for the message.

    Returns
    -------
    str or None
        The name of the node; None for a file without tables.

    Raises
    ------
    InputError
        If the file is no journal, or one of a later schema.
    """
    try:
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        if not tables:
            return None
        if application != APPLICATION:
            raise InputError(f"{path}: a database, but not a journal: name another file")
        if schema > SCHEMA:
            raise InputError(
                f"{path}: a journal of schema {schema}, and this program reads {SCHEMA}: upgrade it"
            )
        held = db.execute("SELECT value FROM meta WHERE name = 'node'").fetchone()
        if held is None:
            raise InputError(f"{path}: a damaged journal: restore a backup")
        return str(held[0])
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: cannot be read as a journal ({error}): name another file") from error
