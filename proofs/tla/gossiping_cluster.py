"""`GossipingCluster`: participants with journals on the disk, who do what a behaviour of Gossip.tla says."""

import hashlib
from pathlib import Path
from typing import Any

from convergence_jax.partition.participant import Clock, Participant
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.content import read_state
from convergence_jax.partition.rows.replica import Row
from convergence_jax.partition.writes.incarnation import last_incarnation, next_incarnation
from convergence_jax.partition.writes.journal import SqliteJournal
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.writer import Outcome, Request, Step
from proofs.tla.cast import STATISTIC, roster, signing_key

_UNIT = 10**6
"""Nanoseconds in the unit of a token."""

_BASE = 8
"""Write `w` is one observation of ``_BASE ** (w - 1)``, so the sum says how often each counts."""


class GossipingCluster:
    """Real nodes in the place of those of the specification.

    Parameters
    ----------
    folder : Path
    nodes : list of str
    constants : dict of str to int
        `Burst`, `Rate`, `Fine` and `WritesEach` of the specification.
    """

    def __init__(self, folder: Path, nodes: list[str], constants: dict[str, int]) -> None:
        self._folder, self._writes = folder, constants["WritesEach"]
        self._grain = _UNIT // constants["Fine"]
        rate = constants["Rate"] * 1e9 / self._grain
        self._roster = roster(nodes, rate=rate, burst=float(constants["Burst"]))
        self._now = 0
        self._salt = 0
        self._running: dict[str, Participant] = {}
        self._journals: dict[str, SqliteJournal] = {}
        self._steps: dict[str, Step] = {}
        self._acknowledged: dict[str, set[int]] = {node: set() for node in nodes}
        for node in nodes:
            self._restart(node)

    def close(self) -> None:
        """Let go of the journals."""
        for journal in self._journals.values():
            journal.close()

    def take(self, event: list[Any]) -> None:
        """One step of the specification."""
        name, *arguments = event
        {
            "Start": lambda: None,
            "Tick": self._tick,
            "Begin": self._begin,
            "Commit": self._commit,
            "Publish": self._publish,
            "Crash": self._crash,
            "Restart": self._restart,
            "Ask": self._ask,
            "Carry": self._carry,
        }[name](*arguments)

    def _random(self, size: int) -> bytes:
        self._salt += 1
        return hashlib.blake2b(b"%d" % self._salt, digest_size=size).digest()

    def _tick(self) -> None:
        self._now += self._grain

    def _begin(self, node: str, asked: list[int]) -> None:
        participant = self._running[node]
        for write in asked:
            payload = observations(self._roster.roster, STATISTIC, [float(_BASE ** (write - 1))])
            request = Request(f"client-of-{node}", write - 1, STATISTIC, payload)
            participant.submit(request, self._hears(node, write))
        self._steps[node] = participant.begin()

    def _hears(self, node: str, write: int) -> Any:
        def done(outcome: Outcome) -> None:
            assert not outcome.refused, outcome
            self._acknowledged[node].add(write)

        return done

    def _commit(self, node: str) -> None:
        self._journals[node].commit(self._steps[node].commit)

    def _publish(self, node: str) -> None:
        self._running[node].finish(self._steps.pop(node))

    def _crash(self, node: str) -> None:
        del self._running[node]
        self._steps.pop(node, None)
        self._journals.pop(node).close()

    def _restart(self, node: str) -> None:
        path = self._folder / node / "journal"
        journal = self._journals[node] = SqliteJournal(path, node=node)
        counter = next_incarnation(last_incarnation(path), 0.0)
        journal.opened(counter)
        clock = Clock(lambda: self._now, lambda: self._now / 1e9, self._random)
        sign = signing_key(node).sign
        self._running[node] = Participant(node, self._roster, journal, counter, clock, sign=sign)

    def _ask(self, asker: str, other: str) -> None:
        digest = messages.decode(messages.encode(self._running[asker].digest()))
        assert isinstance(digest, messages.Digest)
        gossip.answer(self._running[other].replica, digest)

    def _carry(self, sender: str, receiver: str, node: str) -> None:
        replica = self._running[sender].replica
        others = {key: row.head.version for key, row in replica.table.items() if key.node != node}
        news = gossip.push(replica, others, messages.MAX_BYTES)
        sent = messages.decode(messages.encode(news)) if news else None
        assert isinstance(sent, messages.News)
        self._running[receiver].heard(sent, sender)

    # What they say

    def view(self, node: str) -> dict[str, Any]:
        """What a node holds and says, in the words of the specification."""
        acknowledged = sorted(self._acknowledged[node])
        participant = self._running.get(node)
        if participant is None:
            return {"acknowledged": acknowledged}
        replica = participant.replica
        now = participant.now()
        rows = {key.node: self._row(row) for key, row in sorted(replica.table.items())}
        if len(rows) < len(replica.table):
            rows["twice"] = [str(key) for key in replica.table]
        origins = participant.origins()
        ages = {origin.node: replica.age(origin.node, now) for origin in origins}
        unseen = {origin.node: origin.unseen.additions for origin in origins}
        return {
            "acknowledged": acknowledged,
            "rows": rows,
            "seen": {other: [key.counter, time] for other, (key, time) in sorted(replica.tokens.items())},
            "total": int(replica.total(STATISTIC).count),
            "ages": {other: -1 if age == float("inf") else round(1e3 * age) for other, age in ages.items()},
            "missing": {other: -1 if events is None else events for other, events in unseen.items()},
        }

    def _row(self, row: Row) -> list[Any]:
        head = row.head
        data = row.cells.get(STATISTIC)
        counts = [0] * self._writes
        if data:
            state = read_state(self._roster.roster, STATISTIC, data)
            ticks = int(state.sums[0, 0]) + (int(state.sums[0, 1]) << 32)
            counts = [(ticks >> 10) // _BASE**place % _BASE for place in range(self._writes)]
        assert sum(counts) == head.added
        assert not head.removed
        echoes = {issuer.node: [issuer.counter, time] for issuer, time in head.echoes}
        return [head.key.counter, head.version, counts, head.issued, dict(sorted(echoes.items()))]

    def settle(self) -> str:
        """Start who is down, let time pass and all exchange: what is then wrong, empty if nothing is."""
        for node in sorted(self._acknowledged.keys() - self._running.keys()):
            self._restart(node)
        for node in list(self._steps):
            self._commit(node) if self._steps[node].commit.position > self._position(node) else None
            self._publish(node)
        for _ in range(2 * self._writes):
            self._now += 10 * _UNIT
            for node in self._running:
                self._begin(node, [])
                self._commit(node)
                self._publish(node)
        nodes = list(self._running.values())
        for asker in nodes * 2:
            for other in nodes:
                if asker is not other:
                    news = gossip.answer(other.replica, asker.digest())
                    asker.heard(news, other.name)
                    rest = gossip.fulfil(asker.replica, news)
                    if rest is not None:
                        other.heard(rest, asker.name)
        if len({node.digest_of_states() for node in nodes}) > 1:
            return "in the end the nodes do not agree"
        for name, acknowledged in self._acknowledged.items():
            counts = self._row(self._running[name].replica.own)[2]
            if any(not counts[write - 1] for write in acknowledged) or max(counts) > 1:
                return f"in the end {name} counts {counts}, and acknowledged {sorted(acknowledged)}"
        return ""

    def _position(self, node: str) -> int:
        return self._journals[node].load().position
