"""What a node says of its staleness, against the truth in mpmath, whatever clocks, links and crashes do."""

import math
from dataclasses import dataclass

import mpmath
import pytest
from cluster_of_participants import Cluster, retraction
from cluster_of_replicas import member
from cluster_of_replicas import roster as make_roster
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from convergence_jax.partition.unseen import age_bound
from convergence_jax.partition.writes.writer import Step

NAMES = ("n1", "n2", "n3")
NODES = st.sampled_from(NAMES)
DRIFT = {"n1": 200, "n2": -200, "n3": 0}
"""Parts in a million: the most that the roster allows, both ways."""

CAPS = ((2.0, 3.0), (0.5, 8.0), (40.0, 1.0))
ROSTER = make_roster(
    [
        member(name, rate=rate, burst=burst, remove_rate=0.25, remove_burst=2.0)
        for name, (rate, burst) in zip(NAMES, CAPS, strict=True)
    ]
)
EXACT = mpmath.MPContext()
EXACT.prec = 2400  # holds 1e308 and a nanosecond


class DriftingCluster(Cluster):
    """Participants whose clocks run fast and slow."""

    def reading(self, node: str) -> int:
        return self.now * (10**6 + DRIFT[node]) // 10**6


@dataclass
class Published:
    """A version of a row: when the step that made it read its writer's clock, and its counts."""

    row: tuple[int, int]
    seconds: mpmath.mpf
    added: int
    removed: int


class Staleness(RuleBasedStateMachine):
    """Three nodes that write, take back, exchange, and crash; an exchange may lose any of its legs."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = DriftingCluster(ROSTER)
        self.published: dict[str, list[Published]] = {name: [] for name in NAMES}
        self.steps: dict[str, tuple[Step, mpmath.mpf]] = {}
        self.sent = 0

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.note(name, self.by_its_clock(name))

    def by_its_clock(self, name: str) -> mpmath.mpf:
        """Seconds by a node's clock, exactly."""
        return EXACT.mpf(self.cluster.now) / 10**9 * (1 + EXACT.mpf(DRIFT[name]) / 10**6)

    def note(self, name: str, read: mpmath.mpf) -> None:
        head = self.cluster.nodes[name].replica.own.head
        said = self.published[name]
        if not said or said[-1].row != (head.key.counter, head.version):
            said.append(Published((head.key.counter, head.version), read, head.added, head.removed))

    @rule(milliseconds=st.integers(0, 5000) | st.sampled_from([1, 500, 100_000]))
    def wait(self, milliseconds: int) -> None:
        self.cluster.wait(milliseconds / 1000)

    @rule(name=NODES, values=st.lists(st.floats(0, 1000), min_size=1, max_size=9))
    def write(self, name: str, values: list[float]) -> None:
        self.sent += 1
        request = self.cluster.request(f"c-{name}", self.sent, values)
        self.cluster.nodes[name].submit(request, lambda outcome: None)

    @rule(name=NODES, back=st.integers(1, 9))
    def take_back(self, name: str, back: int) -> None:
        self.sent += 1
        request = retraction(f"c-{name}", self.sent, max(0, self.sent - back))
        self.cluster.nodes[name].submit(request, lambda outcome: None)

    @rule(name=NODES)
    def stage(self, name: str) -> None:
        """The first half of a step; time may pass before the disk has it."""
        if name not in self.steps:
            self.steps[name] = self.cluster.nodes[name].begin(), self.by_its_clock(name)

    @rule(name=NODES)
    def finish(self, name: str) -> None:
        self.stage(name)
        step, read = self.steps.pop(name)
        self.cluster.journals[name].commit(step.commit)
        self.cluster.nodes[name].finish(step)
        self.note(name, read)

    def spend(self, name: str) -> None:
        """Release all that the caps let pass at this moment."""
        self.write(name, [1.0] * 150)
        self.take_back(name, 3)
        self.finish(name)

    def converse(self, reader: str, origin: str) -> None:
        """The shortest way to a fresh echo: a token there, a step, the row with the token back."""
        if reader != origin:
            self.cluster.exchange(reader, origin)
            self.finish(origin)
            self.cluster.exchange(reader, origin)

    @rule(reader=NODES, origin=NODES, milliseconds=st.sampled_from([0, 30, 100_000]))
    def surprise(self, reader: str, origin: str, milliseconds: int) -> None:
        """All that the caps let pass, just after the reader heard; then silence."""
        self.converse(reader, origin)
        self.spend(origin)
        self.wait(milliseconds)

    @rule(asker=NODES, other=NODES, losses=st.lists(st.booleans(), min_size=3, max_size=3))
    def exchange(self, asker: str, other: str, losses: list[bool]) -> None:
        if asker != other:
            self.cluster.exchange(asker, other, lose=lambda: losses.pop())

    @rule(name=NODES)
    def crash(self, name: str) -> None:
        """What was staged is gone, or is on the disk and was not yet published: either may happen."""
        self.steps.pop(name, None)
        self.cluster.start(name)
        self.note(name, self.by_its_clock(name))

    @rule(name=NODES)
    def crash_after_the_disk(self, name: str) -> None:
        if name in self.steps:
            step, read = self.steps.pop(name)
            self.cluster.journals[name].commit(step.commit)
            self.cluster.start(name)
            self.note(name, read)

    @invariant()
    def no_age_and_no_count_of_the_unseen_is_too_small(self) -> None:
        for reader in NAMES:
            participant = self.cluster.nodes[reader]
            for origin in participant.origins():
                held = participant.replica.latest(origin.node)
                row = (held.head.key.counter, held.head.version) if held else (0, 0)
                missing = [one for one in self.published[origin.node] if one.row > row]
                if not missing or origin.node == reader:
                    continue
                added = missing[-1].added - (held.head.added if held else 0)
                removed = missing[-1].removed - (held.head.removed if held else 0)
                if origin.age_seconds != float("inf"):
                    age = self.by_its_clock(origin.node) - missing[0].seconds
                    assert age <= EXACT.mpf(origin.age_seconds)
                assert origin.unseen.additions is None or added <= origin.unseen.additions
                assert origin.unseen.removals is None or removed <= origin.unseen.removals


TestStaleness = Staleness.TestCase
TestStaleness.settings = settings(stateful_step_count=25)


@given(
    age=st.floats(0, 1e12) | st.sampled_from([0.0, 5e-324, 1e308]),
    drift=st.sampled_from([0, 2e-4, 0.5, 1 - 2**-53]),
)
def test_the_age_by_another_clock_is_the_formula_rounded_up(age, drift):
    exact = EXACT.mpf(age) * (1 + EXACT.mpf(drift)) / (1 - EXACT.mpf(drift)) + EXACT.mpf(10) ** -9
    bound = age_bound(age, drift)
    assert EXACT.mpf(math.nextafter(bound, 0.0)) < exact <= EXACT.mpf(bound)


@pytest.mark.parametrize("seconds", [0.25, 5.0, 3600.0])
def test_an_age_is_not_much_larger_than_the_truth(seconds):
    cluster = DriftingCluster(ROSTER)
    for name in NAMES:
        cluster.step(name)
    for _ in range(3):
        cluster.exchange("n1", "n2")
        cluster.step("n2")
        cluster.exchange("n1", "n2")
    cluster.wait(seconds)
    (age,) = (origin.age_seconds for origin in cluster.nodes["n1"].origins() if origin.node == "n2")
    # A millisecond of the token's grain and one of the reading's, then three drifts.
    assert seconds * (1 - 2e-4) <= age <= (seconds + 0.002) * (1 + 2e-4) ** 3
