"""`Backlog`: observations that were accepted and wait until the caps let them into the row.

They are released in the order of acceptance, additions and removals apart. An agent that is over its own cap
waits apart and holds up nobody else. A write is taken back only after all of it was added.
"""

from collections import defaultdict, deque
from dataclasses import dataclass

from convergence_jax.partition.writes.caps import Caps
from convergence_jax.partition.writes.observations import Batch, pack
from convergence_jax.partition.writes.records import ADD, Waiting
from convergence_jax.partition.writes.token_bucket import AgentBuckets, TokenBucket

# Observations and the statistic that they are for.
Released = list[tuple[str, Batch]]


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


class Backlog:
    """Queues and the token buckets that they wait for.

    Attributes
    ----------
    additions, removals : int
        Observations that wait.
    holding : bool
        While true, nothing is added or taken back.
    """

    def __init__(self) -> None:
        self.additions = self.removals = 0
        self.holding = False
        self._adding: deque[Part] = deque()
        self._removing: deque[Part] = deque()
        self._deferred: dict[tuple[str, str], deque[Part]] = {}
        self._unreleased: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._touched: dict[int, Part] = {}
        self._finished: list[int] = []
        self._agents: dict[str, AgentBuckets] = {}

    def fill(self, caps: Caps, started: int) -> None:
        """Start buckets with these caps, empty at an instant: nanoseconds."""
        self._bucket = TokenBucket(caps.additions.rate, caps.additions.burst, started)
        self._removal_bucket = TokenBucket(caps.removals.rate, caps.removals.burst, started)
        self._agents = {name: AgentBuckets(cap.rate, cap.burst, started) for name, cap in caps.agents.items()}

    def put(self, part: Part) -> None:
        """Let a part wait, behind all others of its kind."""
        if part.kind == ADD:
            self._unreleased[part.write] += 1
            self._adding.append(part)
            self.additions += len(part.batch)
        else:
            self._removing.append(part)
            self.removals += len(part.batch)
        if not part.journaled:
            self._touched[part.position] = part

    def changes(self) -> tuple[tuple[Waiting, ...], tuple[int, ...]]:
        """What the journal must hold from now on, and positions that it may forget, since the last call."""
        waiting = tuple(_waiting(self._touched[position]) for position in sorted(self._touched))
        finished = tuple(self._finished)
        self._touched, self._finished = {}, []
        return waiting, finished

    def release_additions(self, now: int) -> Released:
        """As many as the caps allow, nanoseconds `now`: first those that waited for their agent."""
        if self.holding:
            return []
        released: Released = []
        budget = room = self._bucket.available(now)
        for agent in list(self._deferred):
            queue = self._deferred[agent]
            while queue and budget and (count := self._allowed(queue[0], budget, now)):
                budget -= count
                released.append(self._take(queue[0], count))
                if len(queue[0].batch):
                    break
                queue.popleft()
            if not queue:
                del self._deferred[agent]
        while budget and self._adding:
            part = self._adding[0]
            agent = (part.statistic, part.batch.agent or "")
            count = 0 if agent in self._deferred else self._allowed(part, budget, now)
            if count:
                budget -= count
                released.append(self._take(part, count))
            if not len(part.batch):
                self._adding.popleft()
            elif budget:  # the agent's own cap holds it back
                self._deferred.setdefault(agent, deque()).append(self._adding.popleft())
        self._bucket.take(room - budget, now)
        self.additions -= room - budget
        return released

    def release_removals(self, now: int) -> Released:
        """As many as the caps allow, of writes that were added in full."""
        if self.holding:
            return []
        released: Released = []
        budget = room = self._removal_bucket.available(now)
        kept: deque[Part] = deque()
        while budget and self._removing:
            part = self._removing.popleft()
            if part.write in self._unreleased:
                kept.append(part)
                continue
            count = min(len(part.batch), budget)
            budget -= count
            released.append(self._take(part, count))
            if len(part.batch):
                kept.append(part)
        self._removing = kept + self._removing
        self._removal_bucket.take(room - budget, now)
        self.removals -= room - budget
        return released

    def _allowed(self, part: Part, budget: int, now: int) -> int:
        wanted = min(len(part.batch), budget)
        if part.batch.agent is None:
            return wanted
        return self._agents[part.statistic].take(part.batch.agent, wanted, now)

    def _take(self, part: Part, count: int) -> tuple[str, Batch]:
        taken, part.batch = part.batch.split(count)
        if len(part.batch):
            self._touched[part.position] = part
        else:
            self._touched.pop(part.position, None)
            if part.journaled:
                self._finished.append(part.position)
            if part.kind == ADD:
                self._unreleased[part.write] -= 1
                if not self._unreleased[part.write]:
                    del self._unreleased[part.write]
        return part.statistic, taken


def _waiting(part: Part) -> Waiting:
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
