"""`Writer`: what clients send, from the door to the row, each event counted once and within the caps.

A step is staged in memory, made durable by the journal as one commit, and only then acknowledged and shown.
Nothing is refused for being too much: what the caps do not allow yet waits, in the journal, in order. An
agent that is over its own cap waits apart and holds up nobody else.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from convergence_jax.partition.caps import Caps
from convergence_jax.partition.content import read_state
from convergence_jax.partition.encoding import encode
from convergence_jax.partition.observations import Batch, Payload, batches, lift_all, pack, unpack
from convergence_jax.partition.records import (
    ADD,
    RETRACT,
    Commit,
    Journal,
    Sequences,
    Snapshot,
    Waiting,
    Write,
)
from convergence_jax.partition.roster import Roster
from convergence_jax.partition.token_bucket import AgentBuckets, TokenBucket

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
class Part:
    """Observations of one cell that came in one write and were not released yet."""

    position: int
    client: str
    sequence: int
    kind: str
    statistic: str
    batch: Batch
    journaled: bool = False

    @property
    def write(self) -> tuple[str, int]:
        """The write that added them."""
        return self.client, self.sequence


@dataclass
class Step:
    """A step on its way to the disk."""

    commit: Commit
    outcomes: list[tuple[Callable[[Outcome], None], Outcome]]
    acknowledged: dict[str, Sequences]


class Writer:
    """Queues, token buckets and the journal of one node.

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
        self._started = now
        self._caps: Caps | None = None
        self._pending: list[tuple[Request, Callable[[Outcome], None]]] = []
        self._expired_at = -float("inf")
        self.holding = False
        self.load(held)

    def load(self, held: Snapshot) -> None:
        """Start from what is durable."""
        self.added, self.removed, self._position = held.added, held.removed, held.position
        self.acknowledged = dict(held.acknowledged)
        self._additions: deque[Part] = deque()
        self._removals: deque[Part] = deque()
        self._deferred: dict[tuple[str, str], deque[Part]] = {}
        self._unreleased: defaultdict[tuple[str, int], int] = defaultdict(int)
        for item in held.waiting:
            schema = self._roster().schemas.get(item.statistic)
            if schema is not None:
                batch = unpack(schema, item.cell, item.values)
                name = (item.client, item.sequence, item.kind, item.statistic)
                self._enqueue(Part(item.position, *name, batch, journaled=True))
        self._backlog = sum(len(part.batch) for part in self._parts(ADD))
        self._backlog_removals = sum(len(part.batch) for part in self._removals)

    def _parts(self, kind: str) -> list[Part]:
        if kind == RETRACT:
            return list(self._removals)
        return [*self._additions, *(part for parts in self._deferred.values() for part in parts)]

    def _enqueue(self, part: Part) -> None:
        if part.kind == ADD:
            self._unreleased[part.write] += 1
            self._additions.append(part)
        else:
            self._removals.append(part)

    @property
    def backlog(self) -> tuple[int, int]:
        """Observations accepted but not released yet, to add and to take back."""
        return self._backlog, self._backlog_removals

    @property
    def idle(self) -> bool:
        """Whether no request waits for a step."""
        return not self._pending

    def submit(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Take a request into the next step; `done` is called when it is durable or refused."""
        self._pending.append((request, done))

    def begin(self, caps: Caps, now: int, wall: float) -> Step:
        """Stage a step: accept what is pending and choose what to release.

        Parameters
        ----------
        caps : Caps
            To keep to.
        now : int
            Nanoseconds, read after the former step was published.
        wall : float
            Seconds since the epoch, for windows.
        """
        self._keep_to(caps, now)
        pending, self._pending = self._pending, []
        outcomes = []
        acknowledged: dict[str, Sequences] = {}
        staged: dict[tuple[str, int], Write] = {}
        retracted: list[tuple[str, int]] = []
        first = self._position
        for request, done in pending:
            known = acknowledged.get(request.client) or self.acknowledged.get(request.client, Sequences())
            if request.sequence in known:
                outcomes.append((done, Outcome(duplicate=True)))
                continue
            write, outcome = self._accept(request, wall, staged, retracted)
            if write is not None:
                staged[request.client, request.sequence] = write
                acknowledged[request.client] = known.add(request.sequence)
            outcomes.append((done, outcome))
        self._expire(wall, staged, retracted)
        finished: list[int] = []
        touched: dict[int, Part] = {}
        added = self._release_additions(now, finished, touched)
        removed = self._release_removals(now, finished, touched)
        cells = self._merge(added, removed)
        for part in [*self._additions, *self._removals]:
            if part.position >= first:
                touched[part.position] = part
        for parts in self._deferred.values():
            touched.update({part.position: part for part in parts if part.position >= first})
        waiting = tuple(self._waiting(touched[position]) for position in sorted(touched))
        self._added = self.added + sum(len(batch) for _, batch in added)
        self._removed = self.removed + sum(len(batch) for _, batch in removed)
        commit = Commit(
            writes=tuple(staged.values()),
            waiting=waiting,
            finished=tuple(finished),
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
        self._caps = None  # empty buckets: what was taken for the step is gone
        self.load(self.journal.load())
        for done, outcome in step.outcomes:
            done(outcome if outcome.duplicate else Outcome(refused=reason))

    def _keep_to(self, caps: Caps, now: int) -> None:
        if caps == self._caps:
            return
        started = now if self._caps is not None else self._started
        self._caps = caps
        self._bucket = TokenBucket(caps.additions.rate, caps.additions.burst, started)
        self._removal_bucket = TokenBucket(caps.removals.rate, caps.removals.burst, started)
        self._agents = {name: AgentBuckets(cap.rate, cap.burst, started) for name, cap in caps.agents.items()}

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
        self._enqueue(Part(self._position, client, sequence, kind, statistic, batch))
        self._position += 1
        if kind == ADD:
            self._backlog += len(batch)
        else:
            self._backlog_removals += len(batch)

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

    def _release_additions(
        self, now: int, finished: list[int], touched: dict[int, Part]
    ) -> list[tuple[str, Batch]]:
        if self.holding:
            return []
        released: list[tuple[str, Batch]] = []
        budget = room = self._bucket.available(now)
        for agent in list(self._deferred):
            queue = self._deferred[agent]
            while queue and budget and (count := self._allowed(queue[0], budget, now)):
                budget -= count
                released.append(self._take(queue[0], count, finished, touched))
                if not len(queue[0].batch):
                    queue.popleft()
                else:
                    break
            if not queue:
                del self._deferred[agent]
        while budget and self._additions:
            part = self._additions[0]
            agent = (part.statistic, part.batch.agent or "")
            count = 0 if agent in self._deferred else self._allowed(part, budget, now)
            if count:
                budget -= count
                released.append(self._take(part, count, finished, touched))
            if not len(part.batch):
                self._additions.popleft()
            elif budget:  # the agent's own cap holds it back
                self._deferred.setdefault(agent, deque()).append(self._additions.popleft())
        self._bucket.take(room - budget, now)
        self._backlog -= room - budget
        return released

    def _allowed(self, part: Part, budget: int, now: int) -> int:
        wanted = min(len(part.batch), budget)
        if part.batch.agent is None:
            return wanted
        return self._agents[part.statistic].take(part.batch.agent, wanted, now)

    def _release_removals(
        self, now: int, finished: list[int], touched: dict[int, Part]
    ) -> list[tuple[str, Batch]]:
        released: list[tuple[str, Batch]] = []
        budget = room = self._removal_bucket.available(now)
        kept: deque[Part] = deque()
        while budget and self._removals:
            part = self._removals.popleft()
            if self._unreleased.get(part.write):  # not before the whole write was added
                kept.append(part)
                continue
            count = min(len(part.batch), budget)
            budget -= count
            released.append(self._take(part, count, finished, touched))
            if len(part.batch):
                kept.append(part)
        self._removals = kept + self._removals
        self._removal_bucket.take(room - budget, now)
        self._backlog_removals -= room - budget
        return released

    def _take(
        self, part: Part, count: int, finished: list[int], touched: dict[int, Part]
    ) -> tuple[str, Batch]:
        taken, part.batch = part.batch.split(count)
        if len(part.batch):
            touched[part.position] = part
        else:
            touched.pop(part.position, None)
            if part.journaled:
                finished.append(part.position)
            if part.kind == ADD:
                self._unreleased[part.write] -= 1
                if not self._unreleased[part.write]:
                    del self._unreleased[part.write]
        return part.statistic, taken

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

    def _waiting(self, part: Part) -> Waiting:
        part.journaled = True
        batch = part.batch
        return Waiting(
            part.position,
            part.client,
            part.sequence,
            part.kind,
            part.statistic,
            batch.cell,
            pack(batch),
            len(batch),
        )
