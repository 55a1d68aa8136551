"""`Writer`: what clients send, from the door to the row, each event counted once and within the caps.

A step is staged in memory, made durable by the journal as one commit, and only then acknowledged and shown.
Nothing is refused for being too much: what the caps do not allow yet waits, in the journal
(:class:`~convergence_jax.partition.writes.backlog.Backlog`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from convergence_jax.partition.rows.content import read_state
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.roster import Roster
from convergence_jax.partition.writes.backlog import Backlog, Part
from convergence_jax.partition.writes.caps import Caps
from convergence_jax.partition.writes.observations import Batch, Payload, batches, lift_all, unpack
from convergence_jax.partition.writes.records import (
    ADD,
    RETRACT,
    Commit,
    Journal,
    Sequences,
    Snapshot,
    Write,
)

_EXPIRED_AT_ONCE = 100
"""Writes that a window takes back in one step, at most."""


@dataclass(frozen=True)
class Request:
    """What a client asks for.

    Attributes
    ----------
    client : str
    sequence : int
        The client's own number, from 0; a retry has the same one.
    statistic : str
        Empty for a retraction.
    payload : Payload or None
        Observations to add.
    of : int or None
        Sequence of the write to take back.
    """

    client: str
    sequence: int
    statistic: str = ""
    payload: Payload | None = None
    of: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a request, once that is durable.

    Attributes
    ----------
    events : int
        Observations that it added or took back.
    duplicate : bool
        Whether it had been acknowledged before, and was not counted again.
    refused : str
        Why nothing was done; empty if it was.
    """

    events: int = 0
    duplicate: bool = False
    refused: str = ""


@dataclass
class Step:
    """A step on its way to the disk."""

    commit: Commit
    outcomes: list[tuple[Callable[[Outcome], None], Outcome]]
    acknowledged: dict[str, Sequences]


class Writer:
    """What a node accepted, its backlog and its journal.

    Parameters
    ----------
    journal : Journal
    held : Snapshot
        What the journal holds.
    roster : callable of Roster
        The newest one.
    cell : callable of str to bytes
        What the own row holds.
    now : int
        Nanoseconds, of a clock that counts while the machine sleeps.
    """

    def __init__(
        self,
        journal: Journal,
        held: Snapshot,
        roster: Callable[[], Roster],
        cell: Callable[[str], bytes],
        now: int,
    ) -> None:
        self.journal = journal
        self._roster, self._cell = roster, cell
        self._started: int | None = now
        self._caps: Caps | None = None
        self._pending: list[tuple[Request, Callable[[Outcome], None]]] = []
        self._expired_at = -float("inf")
        self.load(held)

    def load(self, held: Snapshot) -> None:
        """Start from what is durable."""
        self.added, self.removed, self._position = held.added, held.removed, held.position
        self.acknowledged = dict(held.acknowledged)
        self._backlog = Backlog()
        self._backlog.holding = held.restored
        for item in held.waiting:
            schema = self._roster().schemas.get(item.statistic)
            if schema is not None:
                batch = unpack(schema, item.cell, item.values)
                name = (item.client, item.sequence, item.kind, item.statistic)
                self._backlog.put(Part(item.position, *name, batch, journaled=True))
        self._caps = None

    @property
    def backlog(self) -> tuple[int, int]:
        """Observations accepted but not released yet, to add and to take back."""
        return self._backlog.additions, self._backlog.removals

    @property
    def idle(self) -> bool:
        """Whether no request waits for a step."""
        return not self._pending

    @property
    def windowed(self) -> bool:
        """Whether a window will still take back any write."""
        names = [s.name for s in self._roster().statistics if s.window_seconds is not None]
        return any(self.journal.expired(name, float("inf"), 1) for name in names)

    def submit(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Take a request into the next step; `done` is called when it is durable or refused."""
        self._pending.append((request, done))

    def begin(self, caps: Caps, now: int, wall: float, closed: str = "") -> Step:
        """Stage a step: accept what is pending and choose what to release.

        Parameters
        ----------
        caps : Caps
            To keep to.
        now : int
            Nanoseconds, read after the former step was published.
        wall : float
            Seconds since the epoch, for windows.
        closed : str
            Why nothing new is accepted; empty if it is.
        """
        self._keep_to(caps, now)
        pending, self._pending = self._pending, []
        outcomes = []
        acknowledged: dict[str, Sequences] = {}
        staged: dict[tuple[str, int], Write] = {}
        retracted: list[tuple[str, int]] = []
        for request, done in pending:
            if request.sequence in self.acknowledged.get(request.client, Sequences()):
                done(Outcome(duplicate=True))  # durable already, whatever becomes of this step
                continue
            known = acknowledged.get(request.client) or self.acknowledged.get(request.client, Sequences())
            if request.sequence in known:
                outcomes.append((done, Outcome(duplicate=True)))
                continue
            write, outcome = None, Outcome(refused=closed)
            if not closed:
                write, outcome = self._accept(request, wall, staged, retracted)
            if write is not None:
                staged[request.client, request.sequence] = write
                acknowledged[request.client] = known.add(request.sequence)
            outcomes.append((done, outcome))
        self._expire(wall, staged, retracted)
        added, removed = self._backlog.release_additions(now), self._backlog.release_removals(now)
        cells = self._merge(added, removed)
        waiting, finished = self._backlog.changes()
        self._added = self.added + sum(len(batch) for _, batch in added)
        self._removed = self.removed + sum(len(batch) for _, batch in removed)
        commit = Commit(
            writes=tuple(staged.values()),
            waiting=waiting,
            finished=finished,
            cells=cells,
            retracted=tuple(retracted),
            added=self._added,
            removed=self._removed,
            position=self._position,
        )
        return Step(commit, outcomes, acknowledged)

    def finish(self, step: Step) -> None:
        """The step is durable: count it. The caller publishes its cells, then calls :meth:`answer`."""
        self.added, self.removed = self._added, self._removed
        self.acknowledged.update(step.acknowledged)

    @staticmethod
    def answer(step: Step) -> None:
        """Tell every client of a step what became of its request."""
        for done, outcome in step.outcomes:
            done(outcome)

    def abort(self, step: Step, reason: str) -> None:
        """The step did not happen: forget it, and refuse its requests."""
        self.load(self.journal.load())
        for done, _ in step.outcomes:  # a retry too: what it repeats may be in this very step
            done(Outcome(refused=reason))

    def _keep_to(self, caps: Caps, now: int) -> None:
        if caps == self._caps:
            return
        self._caps = caps
        # Empty now, whatever was in them: nothing is earned by a change, or by a step that failed.
        self._backlog.fill(caps, now if self._started is None else self._started)
        self._started = None

    def _accept(
        self,
        request: Request,
        wall: float,
        staged: dict[tuple[str, int], Write],
        retracted: list[tuple[str, int]],
    ) -> tuple[Write | None, Outcome]:
        client, sequence = request.client, request.sequence
        if request.of is not None:
            return self._accept_retraction(request, wall, staged, retracted)
        schema = self._roster().schemas.get(request.statistic)
        if schema is None or request.payload is None:
            return None, Outcome(refused=f"{request.statistic}: no such statistic in the roster.")
        parts = batches(schema, request.payload, client)
        for batch in parts:
            self._add_part(client, sequence, ADD, request.statistic, batch)
        events = sum(map(len, parts))
        data = msgspec.msgpack.encode(request.payload)
        return Write(client, sequence, ADD, request.statistic, events, data, wall), Outcome(events)

    def _accept_retraction(
        self,
        request: Request,
        wall: float,
        staged: dict[tuple[str, int], Write],
        retracted: list[tuple[str, int]],
    ) -> tuple[Write | None, Outcome]:
        client, of = request.client, request.of
        assert of is not None
        if self._caps is None or self._caps.removals.burst < 1:
            return None, Outcome(
                refused="the roster lets this node take nothing back: its remove_burst is 0."
            )
        found = staged.get((client, of)) or self.journal.find(client, of)
        schema = self._roster().schemas.get(found.statistic) if found else None
        if found is None or schema is None or found.kind != ADD or (client, of) in retracted:
            return None, Outcome(
                refused=f"write {of} of {client} cannot be taken back: it is unknown, was taken back before, "
                "or is older than the journal keeps."
            )
        retracted.append((client, of))
        self._take_back(found)
        write = Write(client, request.sequence, RETRACT, found.statistic, found.events, b"", wall, of)
        return write, Outcome(found.events)

    def _take_back(self, write: Write) -> None:
        schema = self._roster().schemas[write.statistic]
        payload = msgspec.msgpack.decode(write.payload, type=Payload)
        for batch in batches(schema, payload, write.client):
            self._add_part(write.client, write.sequence, RETRACT, write.statistic, batch)

    def _add_part(self, client: str, sequence: int, kind: str, statistic: str, batch: Batch) -> None:
        self._backlog.put(Part(self._position, client, sequence, kind, statistic, batch))
        self._position += 1

    def _expire(
        self, wall: float, staged: dict[tuple[str, int], Write], retracted: list[tuple[str, int]]
    ) -> None:
        if wall < self._expired_at + 1.0:
            return
        more = False
        for schema in self._roster().statistics:
            if schema.window_seconds is not None:
                old = self.journal.expired(schema.name, wall - schema.window_seconds, _EXPIRED_AT_ONCE)
                more |= len(old) == _EXPIRED_AT_ONCE
                for write in old:
                    if (write.client, write.sequence) not in retracted:
                        retracted.append((write.client, write.sequence))
                        self._take_back(write)
        self._expired_at = -float("inf") if more else wall

    def _merge(self, added: list[tuple[str, Batch]], removed: list[tuple[str, Batch]]) -> dict[str, bytes]:
        roster = self._roster()
        changed: dict[str, bytes] = {}
        for released, verb in ((added, "merge"), (removed, "remove")):
            for name in dict.fromkeys(name for name, _ in released):
                schema = roster.schemas[name]
                of_it = [batch for statistic, batch in released if statistic == name]
                empty = encode(schema.statistic.empty())
                for cell, state in lift_all(schema, of_it).items():
                    data = changed.get(cell, self._cell(cell))
                    before = read_state(roster, cell, data) if data else schema.statistic.empty()
                    after = encode(getattr(schema.statistic, verb)(before, state))
                    changed[cell] = b"" if after == empty else after
        return changed
