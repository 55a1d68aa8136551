"""`SimulatedDisk`: a journal in memory that loses at a crash what a real disk may lose, and no more.

A commit is first in the cache of the disk; once it is synced it stays. A crash between the two keeps it,
loses it, or leaves a torn record behind, which recovery finds by its checksum and drops.
"""

import random
import zlib
from collections import defaultdict
from collections.abc import Mapping
from copy import copy

import msgspec

from convergence_jax.partition.writes.journal import JournalFull
from convergence_jax.partition.writes.records import ADD, Commit, Sequences, Snapshot, Waiting, Write

# Client and sequence of a write.
Name = tuple[str, int]


class SimulatedDisk:
    """A :class:`~convergence_jax.partition.writes.records.Journal` without a file.

    Attributes
    ----------
    writes : dict of (str, int) to Write
        All that were ever synced.
    retracted : set of (str, int)
        Those of them that are taken back.
    full : bool
        While set, a commit is refused.
    counter : int
        Of the last incarnation; no copy of the disk has it.
    """

    def __init__(self) -> None:
        self.writes: dict[Name, Write] = {}
        self.retracted: set[Name] = set()
        self.waiting: dict[int, Waiting] = {}
        self.cells: dict[str, bytes] = {}
        self.added = self.removed = self.position = 0
        self.counter = 0
        self.restored = self.full = False
        self._sequences: dict[str, Sequences] = {}
        self._standing: defaultdict[str, dict[Name, Write]] = defaultdict(dict)
        self._cached: Commit | None = None

    # As a journal

    def load(self) -> Snapshot:
        """Everything that is synced."""
        return Snapshot(
            tuple(self.waiting[position] for position in sorted(self.waiting)),
            dict(self.cells),
            dict(self._sequences),
            self.added,
            self.removed,
            self.position,
            self.counter,
            self.restored,
        )

    def commit(self, commit: Commit) -> None:
        """Write a step and sync it."""
        self.cache(commit)
        self.sync()

    def find(self, client: str, sequence: int) -> Write | None:
        """A synced write that was not taken back."""
        name = client, sequence
        return None if name in self.retracted else self.writes.get(name)

    def expired(self, statistic: str, before: float, limit: int) -> list[Write]:
        """Synced writes that were accepted before an instant and not taken back."""
        old = [write for write in self._standing[statistic].values() if write.accepted < before]
        return sorted(old, key=lambda write: write.accepted)[:limit]

    def opened(self, incarnation: int) -> None:
        """Note a counter, beside the journal."""
        if incarnation <= self.counter:
            raise ValueError(f"incarnation {incarnation} does not follow {self.counter}")
        self.counter = incarnation

    def read_back(self, cells: Mapping[str, bytes], added: int, removed: int, position: int) -> int:
        """Take the row as peers hold it; the events that waited before a position are dropped."""
        dropped = [at for at in self.waiting if at < position]
        events = sum(self.waiting.pop(at).events for at in dropped)
        self.cells = {cell: state for cell, state in cells.items() if state}
        self.added, self.removed, self.restored = added, removed, False
        return events

    def close(self) -> None:
        """Nothing to release."""

    # As a disk

    def cache(self, commit: Commit) -> None:
        """Write a step, which a crash may still lose.

        Raises
        ------
        JournalFull
            If the disk is full.
        ValueError
            If the step is wrong: a write that is there already, a retraction of what is not or no longer.
        """
        if self.full:
            raise JournalFull("no room on the disk")
        names = {(write.client, write.sequence) for write in commit.writes}
        known = self.writes.keys() | names
        if len(names) < len(commit.writes) or not self.writes.keys().isdisjoint(names):
            raise ValueError("a write is in the journal already")
        gone = set(commit.retracted)
        if len(gone) < len(commit.retracted) or gone & self.retracted or not gone <= known:
            raise ValueError("a write is retracted that is not there or was retracted before")
        self._cached = commit

    def sync(self) -> None:
        """Make durable what is in the cache."""
        commit, self._cached = self._cached, None
        if commit is not None:
            self._apply(commit)

    def drop(self) -> None:
        """Forget what is in the cache: the step failed."""
        self._cached = None

    @property
    def cached(self) -> Commit | None:
        """What was written and not synced."""
        return self._cached

    def crash(self, chance: random.Random) -> bool:
        """Lose power: whether what was in the cache is there afterwards, whole."""
        commit, self._cached = self._cached, None
        if commit is None:
            return False
        record = msgspec.msgpack.encode(commit)
        record += zlib.crc32(record).to_bytes(4, "little")
        fate = chance.choice(("kept", "lost", "torn"))
        if fate == "torn":
            at = chance.randrange(len(record))
            record = record[:at] + (bytes(len(record) - at) if chance.random() < 0.5 else b"")
        return self._recover(b"" if fate == "lost" else record)

    def _recover(self, record: bytes) -> bool:
        body, checksum = record[:-4], record[-4:]
        whole = bool(body) and zlib.crc32(body).to_bytes(4, "little") == checksum
        if whole:
            self._apply(msgspec.msgpack.decode(body, type=Commit))
        return whole

    def _apply(self, commit: Commit) -> None:
        for write in commit.writes:
            name = write.client, write.sequence
            self.writes[name] = write
            self._sequences[write.client] = self._sequences.get(write.client, Sequences()).add(write.sequence)
            if write.kind == ADD:
                self._standing[write.statistic][name] = write
        for name in commit.retracted:
            self.retracted.add(name)
            self._standing[self.writes[name].statistic].pop(name, None)
        self.waiting.update({item.position: item for item in commit.waiting})
        for position in commit.finished:
            self.waiting.pop(position, None)
        self.cells.update(commit.cells)
        self.cells = {cell: state for cell, state in self.cells.items() if state}
        self.added, self.removed, self.position = commit.added, commit.removed, commit.position

    def copy(self) -> "SimulatedDisk":
        """A backup: what is synced by now, without the counter."""
        other = copy(self)
        other.writes, other.retracted = dict(self.writes), set(self.retracted)
        other.waiting, other.cells = dict(self.waiting), dict(self.cells)
        other._sequences = dict(self._sequences)
        other._standing = defaultdict(dict, {name: dict(part) for name, part in self._standing.items()})
        other._cached, other.counter, other.full, other.restored = None, 0, False, True
        return other
