"""What a node keeps on disk: writes that it acknowledged, those that still wait, and its own released state.

The node thinks in memory and hands each step to the journal as one :class:`Commit`. A commit is durable as a
whole or never happened; only then is anything in it acknowledged, shown to a query or sent to a peer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

ADD, RETRACT = "add", "retract"


@dataclass(frozen=True)
class Write:
    """One write of a client, the unit of acknowledgement and of retraction.

    Attributes
    ----------
    client : str
        Who wrote: the name in its certificate.
    sequence : int
        The client's own number, from 0. With the client it names the write for ever, so a retry counts once.
    kind : {"add", "retract"}
        Whether its events are added or taken back.
    statistic : str
        Which statistic of the roster it is for.
    events : int
        How many observations it holds, at least 1.
    payload : bytes
        The observations; the journal does not look inside.
    accepted : float
        Seconds since the epoch when the node accepted it, by its own clock.
    of : int or None
        For a retraction: the sequence of the write, by the same client, that it takes back.
    """

    client: str
    sequence: int
    kind: str
    statistic: str
    events: int
    payload: bytes
    accepted: float
    of: int | None = None


@dataclass(frozen=True)
class Waiting:
    """Events of an accepted write that the caps have not released yet: all of one cell, in order.

    Attributes
    ----------
    position : int
        Order of acceptance; unique in the journal, and never used again.
    client, sequence : str, int
        Of the write that they came in.
    kind, statistic : str
        As in :class:`Write`.
    cell : str
        Which cell of the row they go to.
    values : bytes
        The observations that still wait, in order; the journal does not look inside.
    events : int
        How many they are.
    """

    position: int
    client: str
    sequence: int
    kind: str
    statistic: str
    cell: str
    values: bytes
    events: int


@dataclass(frozen=True)
class Commit:
    """One step of a node, durable as a whole.

    Attributes
    ----------
    writes : tuple of Write
        Newly accepted. None has the (client, sequence) of one that is in the journal.
    waiting : tuple of Waiting
        To be put in place of what waits at the same position, or added.
    finished : tuple of int
        Positions that wait no longer.
    cells : mapping of str to bytes
        Cells of the own row that changed, encoded; empty bytes delete a cell.
    retracted : tuple of (str, int)
        Writes, by client and sequence, that are now taken back: none can be retracted twice.
    added, removed : int
        Events released so far, and events taken back, over all incarnations.
    position : int
        The next position to be given.
    """

    writes: tuple[Write, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    finished: tuple[int, ...] = ()
    cells: Mapping[str, bytes] = field(default_factory=dict)
    retracted: tuple[tuple[str, int], ...] = ()
    added: int = 0
    removed: int = 0
    position: int = 0


@dataclass(frozen=True)
class Snapshot:
    """All that a journal holds, as a starting node reads it.

    Attributes
    ----------
    waiting : tuple of Waiting
        By position.
    cells : dict of str to bytes
        Of the own row.
    acknowledged : dict of str to Sequences
        Which sequences of each client are in the journal.
    added, removed, position : int
        As in the last commit.
    incarnation : int
        Counter of the last incarnation that opened this journal; 0 if none did.
    restored : bool
        Whether this journal came out of a backup and no incarnation has finished reading its rows back.
    """

    waiting: tuple[Waiting, ...]
    cells: dict[str, bytes]
    acknowledged: dict[str, "Sequences"]
    added: int
    removed: int
    position: int
    incarnation: int
    restored: bool


@dataclass(frozen=True)
class Sequences:
    """A set of sequence numbers: all below `through`, and some above.

    Attributes
    ----------
    through : int
        Every sequence below this is in the set.
    above : frozenset of int
        Those beyond, ``through`` itself not among them.
    """

    through: int = 0
    above: frozenset[int] = frozenset()

    def __contains__(self, sequence: int) -> bool:
        return sequence < self.through or sequence in self.above

    def __len__(self) -> int:
        return self.through + len(self.above)

    def add(self, *sequences: int) -> "Sequences":
        """The set with more numbers in it."""
        above = set(self.above).union(s for s in sequences if s >= self.through)
        through = self.through
        while through in above:
            above.remove(through)
            through += 1
        return Sequences(through, frozenset(above))


class Journal(Protocol):
    """What a node asks of its disk: see :class:`~convergence_jax.partition.writes.journal.SqliteJournal`."""

    def load(self) -> Snapshot:
        """Everything, once, when a node starts."""
        ...

    def commit(self, commit: Commit) -> None:
        """Make a step durable; on return it is. Raises ``JournalFull`` or ``OSError`` and changes nothing."""
        ...

    def find(self, client: str, sequence: int) -> Write | None:
        """A write whose payload is still kept, and that was not retracted; None otherwise."""
        ...

    def expired(self, statistic: str, before: float, limit: int) -> list[Write]:
        """Added writes accepted before an instant and not retracted, oldest first, at most `limit`."""
        ...

    def opened(self, incarnation: int) -> None:
        """Note durably that an incarnation runs on this journal."""
        ...

    def read_back(self, cells: Mapping[str, bytes], added: int, removed: int, position: int) -> int:
        """After a restore: take the own row as peers hold it, and stop being restored.

        What waits before a position may have been released since; it is dropped, and its events are counted.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...
