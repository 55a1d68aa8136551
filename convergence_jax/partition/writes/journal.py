"""The journal of a node: one SQLite file that holds each acknowledged write exactly once.

A :class:`~convergence_jax.partition.writes.records.Commit` is one SQLite transaction: write-ahead log and
``synchronous=FULL``, so that the log is synced before :meth:`SqliteJournal.commit` returns. Anyone can read
the file with the ``sqlite3`` shell, also while the node runs. This query, as
:data:`~convergence_jax.partition.writes.tables.RECOUNT`, lists what was acknowledged: ranges of sequences
of each client, how many writes and events they are, and how many of the events came in retractions::

    SELECT client, 0 AS first, through - 1 AS last, writes, events, removed FROM clients
    UNION ALL
    SELECT client, sequence, sequence, 1, events, iif(kind = 'retract', events, 0) FROM writes
    ORDER BY client, first

Beside the file lie SQLite's ``-wal`` and ``-shm``; ``.lock``, held by the process that has the journal
open; and ``.incarnation``, the counter of :meth:`SqliteJournal.opened`, which no backup contains.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import astuple
from pathlib import Path

from convergence_jax.errors import InputError
from convergence_jax.partition.writes.compaction import fold, strip
from convergence_jax.partition.writes.durable_files import make_folder, sync_folder
from convergence_jax.partition.writes.incarnation import last_incarnation, note_incarnation
from convergence_jax.partition.writes.records import Commit, Sequences, Snapshot, Waiting, Write
from convergence_jax.partition.writes.tables import create, owner

_WRITES = (
    "SELECT client, sequence, kind, statistic, events, payload, accepted, of "
    "FROM writes JOIN payloads USING (id)"
)
_WAITING = "position, client, sequence, kind, statistic, cell, observations, events"


class JournalFull(OSError):
    """The disk has no room for a step: none of it was kept, and what was there can be read as before."""


def hold(path: Path) -> int:
    """Take the lock of a journal, so that no other process opens it.

    Parameters
    ----------
    path : Path
        The journal; the lock is on a file beside it.

    Returns
    -------
    int
        A file descriptor; closing it lets go.

    Raises
    ------
    InputError
        If another holds it.
    """
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise InputError(f"{path}: another process has this journal open: stop that first") from error
    return handle


def failure(path: Path, error: sqlite3.Error) -> Exception:
    """What to raise in place of an error of SQLite.

    Parameters
    ----------
    path : Path
        The file, for the message.
    error : sqlite3.Error
        What SQLite says.

    Returns
    -------
    Exception
        `JournalFull`; another `OSError`; or `ValueError`, where the step was wrong and not the disk.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if isinstance(error, sqlite3.IntegrityError):
        return ValueError(f"{path}: {error}")
    if code & 0xFF == sqlite3.SQLITE_FULL:
        return JournalFull(f"{path}: no room on the disk, and nothing of this step was kept: free some space")
    return OSError(f"{path}: {error}")


class SqliteJournal:
    """A :class:`~convergence_jax.partition.writes.records.Journal` in an SQLite file.

    Commits and compaction take turns; reads neither wait for them nor see a step before it is durable. Any
    thread may call any method.

    Parameters
    ----------
    path : str or Path
        The file; made, with its folder, where it does not exist.
    node : str
        Name of the node that writes here.
    retention_seconds : float, default 3600
        How long :meth:`compact` keeps payloads, in seconds since acceptance: longer than any window, and as
        long as clients shall be able to retract.

    Raises
    ------
    InputError
        If the journal is another node's, of a later schema, no journal at all, unusable, or open already.
    """

    def __init__(self, path: str | Path, *, node: str, retention_seconds: float = 3600.0) -> None:
        self.path = Path(path).resolve()
        self.retention_seconds = retention_seconds
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with ExitStack() as opened:
            try:
                make_folder(self.path.parent)
                opened.callback(os.close, hold(self.path))
                self._writer = opened.enter_context(closing(self._connect()))
                self._prepare(node)
                self._reader = opened.enter_context(closing(self._connect()))
                self._reader.execute("PRAGMA query_only = ON")
            except (sqlite3.Error, OSError) as error:
                raise InputError(
                    f"{self.path}: the journal cannot be opened ({error}): check its folder and disk"
                ) from error
            self._opened = opened.pop_all()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)

    def _prepare(self, node: str) -> None:
        found = owner(self._writer, self.path)
        if found is not None and found != node:
            raise InputError(f"{self.path}: journal of node {found!r}, not {node!r}: give each node its own")
        for setting in ("synchronous = FULL", "temp_store = MEMORY", "journal_mode = WAL"):
            self._writer.execute(f"PRAGMA {setting}")
        if found is None:
            with self._transaction() as db:
                create(db, node)
            sync_folder(self.path.parent)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError):
                    raise failure(self.path, error) from error
                raise

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """One state of the journal, whatever is committed meanwhile."""
        with self._reading:
            try:
                self._reader.execute("BEGIN")
                yield self._reader
            except sqlite3.DatabaseError as error:
                raise failure(self.path, error) from error
            finally:
                if self._reader.in_transaction:
                    self._reader.execute("ROLLBACK")

    def commit(self, commit: Commit) -> None:
        """Make a step durable, whole; on return it is.

        Parameters
        ----------
        commit : Commit
            The step.

        Raises
        ------
        ValueError
            If a write is in the journal already, or one is retracted that is not there or was retracted.
            Nothing of the step was kept.
        JournalFull
            If the disk has no room. Nothing of the step was kept; later ones succeed once there is room.
        OSError
            If the disk fails otherwise. Nothing of the step can be read, but a crash may bring it back, until
            the next commit succeeds: its requests are neither accepted nor refused.
        """
        with self._transaction() as db:
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM writes").fetchone()
            numbered = list(enumerate(commit.writes, last + 1))
            db.executemany(
                "INSERT INTO writes(id, client, sequence, kind, statistic, events, accepted, of) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, w.client, w.sequence, w.kind, w.statistic, w.events, w.accepted, w.of)
                    for number, w in numbered
                ],
            )
            db.executemany("INSERT INTO payloads VALUES (?, ?)", [(n, w.payload) for n, w in numbered])
            for name in commit.retracted:
                self._retract(db, *name)
            db.executemany(
                f"REPLACE INTO waiting({_WAITING}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [astuple(waiting) for waiting in commit.waiting],
            )
            db.executemany("DELETE FROM waiting WHERE position = ?", [(p,) for p in commit.finished])
            _put_cells(db, commit.cells)
            _put_meta(db, added=commit.added, removed=commit.removed, position=commit.position)

    def _retract(self, db: sqlite3.Connection, client: str, sequence: int) -> None:
        marked = db.execute(
            "UPDATE writes SET retracted = 1 WHERE client = ? AND sequence = ? AND retracted = 0",
            (client, sequence),
        )
        if marked.rowcount == 1:
            return
        # Folded away since the caller looked for it; it cannot be found again, so not retracted twice.
        folded = db.execute("SELECT 1 FROM clients WHERE client = ? AND through > ?", (client, sequence))
        if folded.fetchone() is None:
            raise ValueError(
                f"{self.path}: write {sequence} of {client!r} is not there or was retracted before"
            )

    def load(self) -> Snapshot:
        """All that the journal holds, without the payloads of writes."""
        with self._read() as db:
            meta = dict(db.execute("SELECT name, value FROM meta"))
            waiting = db.execute(f"SELECT {_WAITING} FROM waiting ORDER BY position")
            return Snapshot(
                waiting=tuple(Waiting(*row) for row in waiting),
                cells=dict(db.execute("SELECT cell, state FROM cells")),
                acknowledged=_acknowledged(db),
                added=meta["added"],
                removed=meta["removed"],
                position=meta["position"],
                incarnation=last_incarnation(self.path),
                restored=bool(meta["restored"]),
            )

    def find(self, client: str, sequence: int) -> Write | None:
        """A write whose payload is still kept, and that was not retracted; None otherwise."""
        with self._read() as db:
            found = db.execute(
                f"{_WRITES} WHERE client = ? AND sequence = ? AND retracted = 0 AND kept = 1",
                (client, sequence),
            ).fetchone()
        return Write(*found) if found else None

    def expired(self, statistic: str, before: float, limit: int) -> list[Write]:
        """Added writes of a statistic that are kept, accepted before an instant and not retracted.

        Parameters
        ----------
        statistic : str
            Which statistic.
        before : float
            The instant, in seconds since the epoch.
        limit : int
            How many at most.

        Returns
        -------
        list of Write
            Oldest first.
        """
        with self._read() as db:
            found = db.execute(
                f"{_WRITES} WHERE statistic = ? AND accepted < ? "
                "AND kind = 'add' AND retracted = 0 AND kept = 1 ORDER BY accepted, id LIMIT ?",
                (statistic, before, limit),
            ).fetchall()
        return [Write(*row) for row in found]

    def opened(self, incarnation: int) -> None:
        """Note durably that an incarnation runs on this journal.

        Parameters
        ----------
        incarnation : int
            Its counter, higher than that of the last one: see
            :func:`~convergence_jax.partition.writes.incarnation.next_incarnation`.

        Raises
        ------
        ValueError
            If it is not higher.
        """
        note_incarnation(self.path, incarnation)

    def read_back(self, cells: Mapping[str, bytes], added: int, removed: int, position: int) -> int:
        """After a restore: take the own row as peers hold it, and stop being restored.

        Parameters
        ----------
        cells : mapping of str to bytes
            All cells of the row.
        added, removed : int
            Events released and taken back in it.
        position : int
            Whatever waits at an earlier position is dropped.

        Returns
        -------
        int
            Events that were dropped. They were released after the backup was made, or put off behind later
            ones: nobody can tell, and to release them could count them twice.
        """
        with self._transaction() as db:
            (dropped,) = db.execute(
                "SELECT coalesce(sum(events), 0) FROM waiting WHERE position < ?", (position,)
            ).fetchone()
            db.execute("DELETE FROM waiting WHERE position < ?", (position,))
            db.execute("DELETE FROM cells")
            _put_cells(db, cells)
            _put_meta(db, added=added, removed=removed, restored=0)
        return int(dropped)

    def compact(self, now: float, limit: int = 100) -> int:
        """Fold away what is older than the retention; once little is left, empty the write-ahead log.

        A write that still waits stays. One behind a gap in its client's sequences stays, without payload.

        Parameters
        ----------
        now : float
            Seconds since the epoch.
        limit : int, default 100
            How many writes at most, so that no commit waits long behind it.

        Returns
        -------
        int
            How many writes were folded or lost their payload. While it is `limit`, there may be more.

        Raises
        ------
        OSError
            If the disk fails, or is full (`JournalFull`); the journal holds what it did.
        """
        before = now - self.retention_seconds
        with self._transaction() as db:
            done = fold(db, before, limit)
            done += strip(db, before, limit - done)
        if done < limit:
            with self._writing:
                try:
                    self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                except sqlite3.DatabaseError as error:
                    raise failure(self.path, error) from error
        return done

    def close(self) -> None:
        """Release the file."""
        with self._writing, self._reading:
            self._opened.close()


def _put_cells(db: sqlite3.Connection, cells: Mapping[str, bytes]) -> None:
    db.executemany("REPLACE INTO cells VALUES (?, ?)", [item for item in cells.items() if item[1]])
    db.executemany(
        "DELETE FROM cells WHERE cell = ?", [(cell,) for cell, state in cells.items() if not state]
    )


def _put_meta(db: sqlite3.Connection, **values: int) -> None:
    db.executemany(
        "UPDATE meta SET value = ? WHERE name = ?", [(value, name) for name, value in values.items()]
    )


def _acknowledged(db: sqlite3.Connection) -> dict[str, Sequences]:
    through = dict(db.execute("SELECT client, through FROM clients"))
    above: dict[str, set[int]] = {client: set() for client in through}
    for client, sequence in db.execute("SELECT client, sequence FROM writes ORDER BY client, sequence"):
        if sequence == through.setdefault(client, 0):
            through[client] += 1
        else:
            above.setdefault(client, set()).add(sequence)
    return {client: Sequences(n, frozenset(above.get(client, ()))) for client, n in through.items()}
