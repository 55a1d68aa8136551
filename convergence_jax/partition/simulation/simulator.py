"""`Simulator`: a cluster in one thread, under a clock that only it moves, so that a seed is the whole story.

Run the same participants as a node process does, with simulated disks, clocks, clients and network, and hold
all that they say to an oracle. A seed that fails is replayed by the line that its report prints::

    python -m convergence_jax.partition.simulation.simulator SEED
"""

import argparse
import hashlib
import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from convergence_jax.partition.participant import Participant
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.messages import Digest, News
from convergence_jax.partition.simulation.client import SimulatedClient
from convergence_jax.partition.simulation.clock import SimulatedClock
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.network import SECOND, SimulatedNetwork, Weather
from convergence_jax.partition.simulation.node import SimulatedNode
from convergence_jax.partition.simulation.oracle import Oracle
from convergence_jax.partition.simulation.schedule import Fault, Schedule, draw

LONGEST_DRAIN = 400
"""After healing, in units of a schedule's seconds: no backlog takes longer."""


@dataclass(frozen=True)
class Report:
    """What came of a schedule.

    Attributes
    ----------
    seed : int
    wrong : tuple of (str, str)
        What should not have been; see :class:`~convergence_jax.partition.simulation.oracle.Oracle`.
    counts : dict of str to int
        What was looked at.
    rounds : int
        Rounds of exchanges after healing until every node had the same digest.
    trace : str
        SHA-256 of all that was sent and made durable, 64 hexadecimal digits: the same for a seed.
    """

    seed: int
    wrong: tuple[tuple[str, str], ...]
    counts: dict[str, int]
    rounds: int
    trace: str

    @property
    def kinds(self) -> Counter[str]:
        """How often each kind of wrong was seen."""
        return Counter(kind for kind, _ in self.wrong)

    @property
    def recipe(self) -> str:
        """How to see it again, in one line, and what was wrong first."""
        story = ": ".join(self.wrong[0]) if self.wrong else "all as it should be"
        return f"python -m convergence_jax.partition.simulation.simulator {self.seed}   # {story}"


class Simulator:
    """A schedule on its way.

    Parameters
    ----------
    schedule : Schedule
    make : callable, default Participant
        Makes each node's participant, for tests that break one.
    disk : callable, default SimulatedDisk
        Makes each node's disk.
    """

    def __init__(
        self,
        schedule: Schedule,
        make: Callable[..., Participant] = Participant,
        disk: Callable[[], SimulatedDisk] = SimulatedDisk,
    ) -> None:
        self.schedule = schedule
        self.now = 0
        self._chance = random.Random(f"{schedule.seed}/run")
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._trace = hashlib.sha256()
        roster = schedule.rosters[0]
        self.oracle = Oracle(roster, schedule.names)
        self.network = SimulatedNetwork(self._chance, self.after, schedule.weather, self._trace.update)
        self._backups: dict[str, SimulatedDisk] = {}
        self._rosters = count(1)
        self._checks_left = schedule.checks
        keys = schedule.keys()
        self.nodes = {
            name: SimulatedNode(
                name,
                schedule,
                SimulatedClock(
                    lambda: self.now,
                    schedule.drift[name],
                    self._chance.randrange(10**6) * SECOND // 7,
                    1.7e9 + self._chance.uniform(-2.0, 2.0),
                    random.Random(f"{schedule.seed}/nonce/{name}"),
                ),
                disk(),
                self.network,
                self.oracle,
                self._chance,
                self.after,
                lambda: self.now,
                make,
                keys[name],
                self._released,
            )
            for name in schedule.names
        }
        for node in self.nodes.values():
            node.peers = self.nodes
        self.clients = [
            SimulatedClient(
                f"c{i}-{name}",
                node,
                lambda: [other for other in self.nodes.values() if not other.leaving],
                roster,
                schedule,
                self._chance,
                self.after,
                self.oracle.asked,
            )
            for name, node in self.nodes.items()
            for i in range(schedule.clients)
        ]

    def after(self, delay: int, action: Callable[[], None]) -> None:
        """Do something in so many nanoseconds; what comes at one instant, in the order it was asked for."""
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    def run(self) -> Report:
        """Act the schedule out, heal, wait until nothing is left to do, and compare."""
        end = round(self.schedule.seconds * SECOND)
        for node in self.nodes.values():
            self.after(round(self._chance.random() * end / 20), node.start)
        for fault in self.schedule.faults:
            self.after(round(fault.seconds * SECOND), lambda fault=fault: self._strike(fault))  # type: ignore[misc]
        for _ in range(self.schedule.checks // 2):
            self.after(self._chance.randrange(end + end // 3), self._check)
        self._until(lambda: False, end)
        self._heal()
        self._until(self._quiet, end * LONGEST_DRAIN)
        self.oracle.require(
            self._quiet(), "availability", f"not all is done {self.now / SECOND} s after the start"
        )
        rounds = self._converge() if self._quiet() else 0
        for node in self.nodes.values():
            self._trace.update(repr(sorted(node.disk.writes)).encode())
        counts = self.oracle.counts + Counter(
            schedules=1,
            nodes=len(self.nodes),
            requests=len(self.oracle.requests),
            acknowledged=len(self.oracle.acknowledged),
            messages=self.network.messages,
            bytes=sum(self.network.bytes.values()),
        )
        wrong = tuple(self.oracle.wrong)
        return Report(self.schedule.seed, wrong, dict(counts), rounds, self._trace.hexdigest())

    def _until(self, done: Callable[[], bool], end: int) -> None:
        while self._queue and self._queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self._queue)
            action()
            if done():
                return
        if not done():
            self.now = max(self.now, end)

    # Faults

    def _strike(self, fault: Fault) -> None:
        kind, names = fault.kind, fault.nodes
        lasts = round(fault.lasts * SECOND)
        others = [name for name in self.nodes if name not in names]
        if kind in ("divide", "one_way"):
            self.network.divide([names, others], one_way=kind == "one_way")
        elif kind == "heal":
            self.network.heal()
        for node in (self.nodes[name] for name in names):
            match kind:
                case "crash" | "reboot":
                    node.crash()
                    if kind == "reboot":
                        node.clock.reboot(self._chance.choice((node.clock.drift, -node.clock.drift, 0)))
                    self.after(lasts, node.start)
                case "pause":
                    node.pause()
                    self.after(lasts, node.go_on)
                case "full":
                    node.disk.full = True
                    self.after(lasts, node.make_room)
                case "backup":
                    self._backups[node.name] = node.disk.copy()
                case "lose":
                    self._lose(node, lasts)
                case "leave":
                    node.leave()
                case "roster":
                    node.join_roster(self.schedule.authorised(next(self._rosters)))

    def _lose(self, node: SimulatedNode, lasts: int) -> None:
        node.lose(self._backups.pop(node.name))
        for client in self.clients:
            client.give_up(node)
        self.after(lasts, node.start)

    def _check(self) -> None:
        awake = [p for node in self.nodes.values() if (p := node.answering)]
        for participant in self._chance.sample(awake, min(2, len(awake))):
            self.oracle.check(participant, self.now, self._chance)

    def _released(self, name: str) -> None:
        """Right after a node has released something, when others miss most of it."""
        others = [p for node in self.nodes.values() if node.name != name and (p := node.answering)]
        if not others:
            return
        participant = self._chance.choice(others)
        if self._checks_left and self._chance.random() < 0.3:
            self._checks_left -= 1
            self.oracle.check(participant, self.now, self._chance)
        else:
            self.oracle.check_origins(participant, self.now)

    # The end

    def _heal(self) -> None:
        self.network.heal()
        self.network.weather = Weather(delay=self.schedule.seconds / 1000)
        for client in self.clients:
            client.rest()
        for node in self.nodes.values():
            node.hurry(self.schedule.seconds / 2)

    def _quiet(self) -> bool:
        """Whether no client waits and nothing waits to be released."""
        return not any(client.waits for client in self.clients) and all(
            node.idle for node in self.nodes.values()
        )

    def _converge(self) -> int:
        """Rounds until every node has the same digest; then recount."""
        replicas = [node.participant for node in self.nodes.values() if node.participant]
        most = 2.0 * math.log2(len(replicas)) + 4.0
        rounds = 0
        while len({p.digest_of_states() for p in replicas}) > 1 and rounds <= most:
            rounds += 1
            one_round(replicas, self._chance)
        self.oracle.require(rounds <= most, "diverged", f"no one digest after {rounds} rounds")
        self.oracle.recount({p.name: p for p in replicas}, {n.name: n.disk for n in self.nodes.values()})
        for participant in replicas:
            self.oracle.check(participant, self.now, self._chance)
            refused = +participant.replica.refused
            self.oracle.require(not refused, "refused", f"{participant.name} refused messages: {refused}")
        return rounds


def exchange(here: Participant, there: Participant) -> int:
    """Push and pull between two nodes, nothing lost; the bytes that all messages took."""
    first = messages.encode(here.digest())
    digest = messages.decode(first)
    assert isinstance(digest, Digest)
    second = messages.encode(gossip.answer(there.replica, digest))
    news = messages.decode(second)
    assert isinstance(news, News)
    here.heard(news, there.name)
    rest = gossip.fulfil(here.replica, news)
    if rest is None:
        return len(first) + len(second)
    third = messages.encode(rest)
    wanted = messages.decode(third)
    assert isinstance(wanted, News)
    gossip.receive(there.replica, wanted)
    return len(first) + len(second) + len(third)


def one_round(participants: list[Participant], chance: random.Random) -> int:
    """Every node exchanges with another one at random; the bytes that all messages took."""
    return sum(
        exchange(here, chance.choice([p for p in participants if p is not here])) for here in participants
    )


def simulate(seed: int, *, nodes: int | None = None, signed: bool = False) -> Report:
    """Act out the schedule of a seed.

    Parameters
    ----------
    seed, nodes, signed
        As in :func:`~convergence_jax.partition.simulation.schedule.draw`.
    """
    return Simulator(draw(seed, nodes=nodes, signed=signed)).run()


def sweep(count: int, done: Path) -> None:
    """Act out seeds from 0 on but those noted in a file, and note each one there."""
    noted = {int(line.split()[0]) for line in done.read_text().splitlines()} if done.exists() else set()
    with done.open("a", encoding="utf-8") as file:
        for seed in (seed for seed in range(count) if seed not in noted):
            report = simulate(seed)
            print(seed, "wrong" if report.wrong else "right", file=file, flush=True)
            if report.wrong:
                print(report.recipe, flush=True)
    wrong = sum(line.endswith("wrong") for line in done.read_text().splitlines())
    print(f"{count} schedules, {wrong} wrong")


def main() -> None:
    """Replay one seed and tell its story, or act out many."""
    parser = argparse.ArgumentParser(description=simulate.__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--count", type=int, help="act out so many seeds")
    parser.add_argument("--done", type=Path, default=Path("done.txt"), help="file of seeds already acted out")
    given = parser.parse_args()
    if given.count is not None:
        sweep(given.count, given.done)
        return
    schedule = draw(given.seed)
    print(replace(schedule, rosters=()), *schedule.rosters, sep="\n")
    report = Simulator(schedule).run()
    print(*(": ".join(line) for line in report.wrong), report, sep="\n")


if __name__ == "__main__":
    main()
