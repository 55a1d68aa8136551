"""Three participants under every interleaving that Hypothesis finds, held to the oracle of the simulator."""

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from convergence_jax.partition.participant import Participant
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.roster import (
    EvidenceSchema,
    Feature,
    Member,
    MomentsSchema,
    Roster,
    SignedRoster,
)
from convergence_jax.partition.simulation.clock import SimulatedClock
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.network import SECOND
from convergence_jax.partition.simulation.node import seal, sealed
from convergence_jax.partition.simulation.oracle import Oracle
from convergence_jax.partition.simulation.simulator import one_round
from convergence_jax.partition.simulation.truth import Request as Asked
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.records import Commit
from convergence_jax.partition.writes.writer import Request, Step

NAMES = ("n0", "n1", "n2")
NODES = st.sampled_from(NAMES)
MILLISECONDS = st.integers(0, 3000) | st.just(20_000)
WINDOW = 30.0

ROSTER = Roster(
    cluster="machine",
    version=1,
    authority="00" * 32,
    members=[
        Member(name=name, keys=[], address="x:1", rate=rate, burst=4.0, remove_rate=1.0, remove_burst=3.0)
        for name, rate in zip(NAMES, (0.5, 2.0, 10.0), strict=True)
    ],
    statistics=[
        MomentsSchema(name="latency", features=[Feature(name="delay", low=0, high=8)]),
        MomentsSchema(name="recent", features=[Feature(name="size", low=-1, high=1)], window_seconds=WINDOW),
        EvidenceSchema(name="seen", low=-2.0, high=2.0, agent_rate=0.5, agent_burst=2.0),
    ],
)


class Machine(RuleBasedStateMachine):
    """What can happen to three nodes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.oracle = Oracle(ROSTER, NAMES)
        self.chance = random.Random(1)
        self.disks = {name: SimulatedDisk() for name in NAMES}
        drifts = dict(zip(NAMES, (200_000, -200_000, 0), strict=True))
        self.clocks = {
            name: SimulatedClock(lambda: self.now, drifts[name], 10**15, 1.7e9, random.Random(name))
            for name in NAMES
        }
        self.nodes: dict[str, Participant] = {}
        self.steps: dict[str, Step] = {}
        self.synced: dict[str, list[Commit]] = {name: [] for name in NAMES}
        self.leaving: set[str] = set()
        self.cut: set[frozenset[str]] = set()
        self.late: list[tuple[str, messages.News]] = []
        self.sent: dict[str, list[Request]] = {name: [] for name in NAMES}

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.start(name)

    # Time and power

    @rule(milliseconds=MILLISECONDS)
    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds * SECOND // 1000

    @rule(name=NODES, reboots=st.booleans())
    def start(self, name: str, reboots: bool = False) -> None:
        if name in self.nodes:
            return
        if reboots:
            self.clocks[name].reboot(-self.clocks[name].drift)
        disk = self.disks[name]
        counter = disk.counter + 1
        disk.opened(counter)
        node = Participant(
            name, SignedRoster(ROSTER, ""), disk, counter, self.clocks[name].clock, sign=seal, verify=sealed
        )
        node.leaving = name in self.leaving
        self.nodes[name] = node
        self.publish(name)

    @rule(name=NODES, seed=st.integers(0, 99))
    def crash(self, name: str, seed: int) -> None:
        cached = self.disks[name].cached
        if self.disks[name].crash(random.Random(seed)):
            self.synced[name].append(cached)
        self.nodes.pop(name, None)
        self.steps.pop(name, None)

    def publish(self, name: str) -> None:
        commits, self.synced[name] = self.synced[name], []
        self.oracle.published(self.nodes[name], self.now, commits)

    # Clients

    @rule(
        name=NODES,
        statistic=st.sampled_from(("latency", "recent", "seen")),
        values=st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=6),
        agents=st.lists(st.sampled_from("ab"), min_size=6, max_size=6),
    )
    def write(self, name: str, statistic: str, values: list[float], agents: list[str]) -> None:
        client, sequence = f"c-{name}", len(self.sent[name])
        values = [abs(value) for value in values] if statistic == "latency" else values
        about = tuple(agents[: len(values)]) if statistic == "seen" else ()
        self.oracle.asked(Asked(client, sequence, statistic, tuple((v,) for v in values), about))
        payload = observations(ROSTER, statistic, values, about or None)
        self.send(name, Request(client, sequence, statistic, payload))

    @rule(name=NODES, of=st.integers(0, 20))
    def take_back(self, name: str, of: int) -> None:
        sequence = len(self.sent[name])
        self.oracle.asked(Asked(f"c-{name}", sequence, "", of=of))
        self.send(name, Request(f"c-{name}", sequence, of=of))

    @rule(name=NODES, back=st.integers(1, 5))
    def ask_again(self, name: str, back: int) -> None:
        if len(self.sent[name]) >= back:
            self.submit(name, self.sent[name][-back])

    def send(self, name: str, request: Request) -> None:
        self.sent[name].append(request)
        self.submit(name, request)

    def submit(self, name: str, request: Request) -> None:
        if name in self.nodes:
            known = request.client, request.sequence
            disk = self.disks[name]
            self.nodes[name].submit(request, lambda outcome: self.oracle.answered(name, disk, known, outcome))

    # Steps

    @rule(name=NODES)
    def stage(self, name: str) -> None:
        if name in self.nodes and name not in self.steps:
            step = self.nodes[name].begin()
            self.disks[name].cache(step.commit)
            self.steps[name] = step

    @rule(name=NODES)
    def settle(self, name: str) -> None:
        if name in self.steps:
            step = self.steps.pop(name)
            self.disks[name].sync()
            self.synced[name].append(step.commit)
            self.nodes[name].finish(step)
            self.publish(name)

    @rule(name=NODES)
    def step(self, name: str) -> None:
        self.stage(name)
        self.settle(name)

    @rule(name=NODES)
    def fill_the_disk(self, name: str) -> None:
        if name in self.steps:
            self.disks[name].drop()
            self.nodes[name].abort(self.steps.pop(name), "no room on the disk")

    @precondition(lambda self: not self.leaving)
    @rule(name=NODES)
    def leave(self, name: str) -> None:
        self.leaving.add(name)
        if name in self.nodes:
            self.nodes[name].leaving = True

    # Messages

    @rule(name=NODES, peer=NODES, lost=st.sampled_from((0, 0, 0, 1, 2, 3)), late=st.booleans())
    def exchange(self, name: str, peer: str, lost: int, late: bool) -> None:
        """Three legs, of which one may be lost, and the last two may come late as well."""
        here, there = self.nodes.get(name), self.nodes.get(peer)
        if not here or not there or here is there or frozenset((name, peer)) in self.cut or lost == 1:
            return
        news = self.carried(gossip.answer(there.replica, self.carried(here.digest())))
        if late:
            self.late.append((name, news))
        if lost == 2:
            return
        here.heard(news, peer)
        rest = gossip.fulfil(here.replica, news)
        if rest is not None:
            if late:
                self.late.append((peer, self.carried(rest)))
            if lost != 3:
                gossip.receive(there.replica, self.carried(rest))

    @rule(name=NODES, peer=NODES)
    def tell(self, name: str, peer: str) -> None:
        """One way only."""
        here, there = self.nodes.get(name), self.nodes.get(peer)
        if here and there and here is not there:
            news = gossip.push(here.replica, {}, 1200)
            if news is not None:
                gossip.receive(there.replica, self.carried(news))

    @precondition(lambda self: self.late)
    @rule(place=st.integers(0, 50))
    def arrive(self, place: int) -> None:
        """Something that is late arrives, maybe not for the last time."""
        name, news = self.late[place % len(self.late)]
        if name in self.nodes:
            gossip.receive(self.nodes[name].replica, news)

    @rule(name=NODES, peer=NODES)
    def divide(self, name: str, peer: str) -> None:
        self.cut.add(frozenset((name, peer)))

    @rule()
    def heal(self) -> None:
        self.cut.clear()

    @staticmethod
    def carried(message: Any) -> Any:
        return messages.decode(messages.encode(message))

    # What must hold

    @rule(name=NODES, seed=st.integers(0, 10**6))
    def ask(self, name: str, seed: int) -> None:
        if name in self.nodes:
            self.oracle.check(self.nodes[name], self.now, random.Random(seed))

    @invariant()
    def every_bound_holds(self) -> None:
        for node in self.nodes.values():
            self.oracle.check_origins(node, self.now)
            assert not node.replica.refused
        assert not self.oracle.wrong

    def teardown(self) -> None:
        """Start everything, wait until nothing is left to release, and recount."""
        self.heal()
        for name in NAMES:
            self.settle(name)
            self.start(name)
            for request in self.sent[name]:
                if name not in self.leaving:
                    self.submit(name, request)
        for _ in range(400):
            for name in NAMES:
                self.step(name)
            if not any(any(node.writer.backlog) or not node.writer.idle for node in self.nodes.values()):
                break
            self.now += 3 * SECOND
        nodes = list(self.nodes.values())
        rounds = 0
        while len({node.digest_of_states() for node in nodes}) > 1:
            rounds += 1
            assert rounds <= 7
            one_round(nodes, self.chance)
        self.oracle.recount(self.nodes, self.disks)
        self.every_bound_holds()


TestParticipants = Machine.TestCase
TestParticipants.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
