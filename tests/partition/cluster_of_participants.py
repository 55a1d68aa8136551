"""Participants on a clock moved by hand, with journals in memory and links that can be cut."""

import random
from collections.abc import Callable, Iterable, Mapping

from cluster_of_replicas import member, signing_key
from cluster_of_replicas import roster as make_roster

from convergence_jax.partition.participant import Clock, Participant
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.roster import SignedRoster
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.records import ADD, Commit, Sequences, Snapshot, Waiting, Write
from convergence_jax.partition.writes.writer import Outcome, Request

EPOCH = 1.7e9
CAPPED = make_roster([member("n1", rate=10.0, burst=20.0, remove_rate=5.0, remove_burst=10.0)])
"""One node that may release little."""


class MemoryJournal:
    """A journal of dictionaries: what was committed survives whoever forgets the participant."""

    def __init__(self) -> None:
        self.writes: dict[tuple[str, int], Write] = {}
        self.retracted: set[tuple[str, int]] = set()
        self.waiting: dict[int, Waiting] = {}
        self.cells: dict[str, bytes] = {}
        self.added = self.removed = self.position = self.counter = 0
        self.restored = False
        self.commits: list[Commit] = []

    def copy(self) -> "MemoryJournal":
        """A backup."""
        made = MemoryJournal()
        made.writes, made.retracted = dict(self.writes), set(self.retracted)
        made.waiting, made.cells = dict(self.waiting), dict(self.cells)
        made.added, made.removed, made.position = self.added, self.removed, self.position
        made.restored = True
        return made

    def load(self) -> Snapshot:
        known: dict[str, Sequences] = {}
        for client, sequence in self.writes:
            known[client] = known.get(client, Sequences()).add(sequence)
        waiting = tuple(self.waiting[position] for position in sorted(self.waiting))
        totals = (self.added, self.removed, self.position, self.counter, self.restored)
        return Snapshot(waiting, dict(self.cells), known, *totals)

    def commit(self, commit: Commit) -> None:
        names = [(write.client, write.sequence) for write in commit.writes]
        assert len({*names}) == len(names)
        assert self.writes.keys().isdisjoint(names)
        assert self.retracted.isdisjoint(commit.retracted)
        assert len({*commit.retracted}) == len(commit.retracted)
        self.writes.update(zip(names, commit.writes, strict=True))
        assert self.writes.keys() >= {*commit.retracted}
        self.retracted.update(commit.retracted)
        self.waiting.update({part.position: part for part in commit.waiting})
        for position in commit.finished:
            del self.waiting[position]
        self._put(commit.cells)
        self.added, self.removed, self.position = commit.added, commit.removed, commit.position
        self.commits.append(commit)

    def find(self, client: str, sequence: int) -> Write | None:
        return None if (client, sequence) in self.retracted else self.writes.get((client, sequence))

    def expired(self, statistic: str, before: float, limit: int) -> list[Write]:
        old = [
            write
            for name, write in self.writes.items()
            if write.statistic == statistic
            and write.kind == ADD
            and write.accepted < before
            and name not in self.retracted
        ]
        return sorted(old, key=lambda write: write.accepted)[:limit]

    def opened(self, incarnation: int) -> None:
        assert incarnation > self.counter
        self.counter = incarnation

    def read_back(self, cells: Mapping[str, bytes], added: int, removed: int, position: int) -> int:
        dropped = [part for part in self.waiting.values() if part.position < position]
        for part in dropped:
            del self.waiting[part.position]
        self.cells = {}
        self._put(cells)
        self.added, self.removed, self.restored = added, removed, False
        return sum(part.events for part in dropped)

    def close(self) -> None:
        pass

    def _put(self, cells: Mapping[str, bytes]) -> None:
        self.cells = {name: data for name, data in {**self.cells, **cells}.items() if data}


class Cluster:
    """Participants of one roster, who step and exchange only when they are told to.

    Parameters
    ----------
    known : SignedRoster
        Its live members take part.
    seed : int
        Of nonces, salts and who asks whom.
    """

    def __init__(self, known: SignedRoster | None = None, seed: int = 0) -> None:
        self.roster = known or make_roster(3)
        self.now = 0
        self.chance = random.Random(seed)
        self.journals = {node: MemoryJournal() for node in self.roster.roster.live}
        self.cut: set[tuple[str, str]] = set()
        self.counter = 0
        self.nodes: dict[str, Participant] = {}
        for node in self.journals:
            self.start(node)

    def start(self, node: str, known: SignedRoster | None = None) -> Participant:
        """A new incarnation on the node's journal, in place of whatever ran before."""
        self.counter += 1
        clock = Clock(lambda: self.reading(node), lambda: EPOCH + self.now / 1e9, self.chance.randbytes)
        sign = signing_key(node).sign
        journal = self.journals[node]
        journal.opened(self.counter)
        made = Participant(node, known or self.roster, journal, self.counter, clock, sign=sign)
        self.nodes[node] = made
        return made

    def reading(self, node: str) -> int:
        """What the clock of a node says, in nanoseconds: here all clocks are right."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Let time pass, the same for all."""
        self.now += round(seconds * 1e9)

    def request(self, client: str, sequence: int, values: Iterable[float], **other) -> Request:
        """A write of latencies, or of evidence about agents if they are given."""
        statistic = "trust" if "agents" in other else "latency"
        payload = observations(self.roster.roster, statistic, list(values), other.get("agents"))
        return Request(client, sequence, statistic, payload)

    def step(self, node: str, *requests: Request) -> list[Outcome]:
        """One step that takes these requests; what became of them."""
        outcomes: list[Outcome] = []
        participant = self.nodes[node]
        for request in requests:
            participant.submit(request, outcomes.append)
        step = participant.begin()
        self.journals[node].commit(step.commit)
        participant.finish(step)
        return outcomes

    def write(self, node: str, client: str, sequence: int, *values: float) -> Outcome:
        """One write of latencies in a step of its own."""
        return self.step(node, self.request(client, sequence, values))[0]

    def exchange(self, asker: str, other: str, lose: Callable[[], bool] = lambda: False) -> None:
        """Three legs between two nodes, as far as the links carry them."""
        mine, theirs = self.nodes[asker], self.nodes[other]
        carries = [(asker, other) not in self.cut, (other, asker) not in self.cut]
        first = messages.encode(mine.digest())
        if not carries[0] or lose():
            return
        second = messages.encode(gossip.answer(theirs.replica, messages.decode(first)))
        if not carries[1] or lose():
            return
        news = messages.decode(second)
        mine.heard(news, other)
        wanted = gossip.fulfil(mine.replica, news)
        if wanted is not None and not lose():
            gossip.receive(theirs.replica, messages.decode(messages.encode(wanted)))

    def gossip(self, rounds: int = 1) -> None:
        """Every node steps and asks another one, drawn at random, so many times."""
        for _ in range(rounds):
            for node in self.nodes:
                self.step(node)
            for node in self.nodes:
                self.exchange(node, self.chance.choice([other for other in self.nodes if other != node]))

    def settle(self) -> None:
        """Exchange between all pairs until everybody has everything."""
        for _ in range(3):
            for node in self.nodes:
                self.step(node)
            for asker in self.nodes:
                for other in self.nodes:
                    if asker != other:
                        self.exchange(asker, other)

    def split(self, *sides: Iterable[str]) -> None:
        """Cut every link between nodes of different sides."""
        of = {node: place for place, side in enumerate(sides) for node in side}
        self.cut = {(a, b) for a in of for b in of if of[a] != of[b]}

    def heal(self) -> None:
        """Restore every link."""
        self.cut = set()

    def digests(self) -> set[str]:
        """What the nodes say that they hold: one if they agree."""
        return {node.digest_of_states() for node in self.nodes.values()}

    def count(self, node: str, statistic: str = "latency") -> int:
        """Observations of a statistic that a node holds."""
        return int(self.nodes[node].replica.total(statistic).count)


def alone(known: SignedRoster | None = None) -> Cluster:
    """A cluster of one node."""
    return Cluster(known or make_roster(1))


def ticks(cluster: Cluster, node: str = "n1") -> tuple[int, int]:
    """Observations of latency that a node holds, and their sum in ticks."""
    state = cluster.nodes[node].replica.total("latency")
    return int(state.count), int(state.sums[0, 0]) + (int(state.sums[0, 1]) << 32)


def retraction(client: str, sequence: int, of: int) -> Request:
    """Take a write back."""
    return Request(client, sequence, of=of)


def aborted(cluster: Cluster, *requests: Request, reason: str = "no room") -> list[Outcome]:
    """A step of the first node whose commit fails."""
    outcomes: list[Outcome] = []
    participant = cluster.nodes["n1"]
    for request in requests:
        participant.submit(request, outcomes.append)
    participant.abort(participant.begin(), reason)
    return outcomes
