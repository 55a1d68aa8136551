"""The simulator finds nothing wrong with the library, and finds everything that is broken on purpose."""

import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice

import pytest
from journal_model import seen, story
from msgspec import structs

from convergence_jax.partition.participant import Participant
from convergence_jax.partition.rows.content import read_state, statistic_of
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import Feature, Member, MomentsSchema, Roster, SignedRoster
from convergence_jax.partition.simulation import simulator
from convergence_jax.partition.simulation.clock import SimulatedClock
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.network import SECOND, SimulatedNetwork, Weather
from convergence_jax.partition.simulation.node import seal, sealed
from convergence_jax.partition.simulation.oracle import Oracle
from convergence_jax.partition.simulation.schedule import PPM, Fault, draw
from convergence_jax.partition.simulation.simulator import Report, Simulator, exchange, simulate
from convergence_jax.partition.simulation.truth import Request
from convergence_jax.partition.writes import writer
from convergence_jax.partition.writes.caps import Cap, Caps
from convergence_jax.partition.writes.journal import SqliteJournal
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.records import Commit


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 500, 50))
def test_whatever_happens_nothing_is_lost_or_invented_and_every_bound_holds(first):
    for seed in range(first, first + 50):
        report = simulate(seed)
        assert not report.wrong, report.recipe


@pytest.mark.slow
def test_twenty_nodes_do_as_well():
    report = simulate(7, nodes=20)
    assert not report.wrong, report.recipe
    assert report.counts["intervals"]
    assert report.counts["ages"] > 20


def test_real_signatures_change_nothing():
    for seed in range(3):
        report = simulate(seed, signed=True)
        assert not report.wrong, report.recipe
        assert report.rounds == simulate(seed).rounds


def test_a_seed_is_the_whole_story():
    code = "from convergence_jax.partition.simulation.simulator import simulate; print(simulate(11).trace)"
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for salt in ("1", "2")
    }
    assert traces == {simulate(11).trace}
    assert simulate(12).trace not in traces


def test_a_failure_says_how_to_see_it_again(monkeypatch, capsys):
    report = Report(31, (("lost", "what n1 acknowledged"),), {}, 0, "")
    assert report.recipe == (
        "python -m convergence_jax.partition.simulation.simulator 31   # lost: what n1 acknowledged"
    )
    monkeypatch.setattr(sys, "argv", ["simulator", "31"])
    simulator.main()
    assert "Report(seed=31, wrong=()" in capsys.readouterr().out


# What is broken on purpose is found


def kinds(schedules, **parts) -> Counter[str]:
    """What was wrong, by kind, in how many of some schedules."""
    found: Counter[str] = Counter()
    for schedule in schedules:
        found.update(set(Simulator(schedule, **parts).run().kinds))
    return found


class Greedy(Participant):
    """Releases all that it has at once."""

    def begin(self):
        much = Cap(Fraction(10**9), Fraction(10**9))
        agents = dict.fromkeys(self.replica.roster.schemas, much)
        return self.writer.begin(Caps(much, much, agents), self.clock.boottime(), self.clock.wall())


class MergingReplica(Replica):
    """Adds what arrives to what is there, instead of putting the later version in its place."""

    def _join(self, update, keys):
        key = keys[update.key].incarnation
        row = self.table.get(key)
        before = {cell: row.cells.get(cell) for cell in row.cells} if row else {}
        if not super()._join(update, keys):
            return False
        cells, both = self.table[key].cells, {}
        for name in before.keys() & {*cells}:
            states = [read_state(self.roster, name, data) for data in (before[name], cells.get(name))]
            both[name] = encode(statistic_of(self.roster, name).merge(*states))
        cells.apply(cells.patch(both), update.version)
        self._totals.clear()
        return True


class Merging(Participant):
    """Has a replica that merges."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.replica.__class__ = MergingReplica


class Forgetful(SimulatedDisk):
    """Says that a step is synced when it is not: a crash loses the last one."""

    def __init__(self):
        super().__init__()
        self._all: list[Commit] = []

    def sync(self):
        if self.cached is not None:
            self._all.append(self.cached)
        super().sync()

    def crash(self, chance):
        kept = super().crash(chance)
        steps, counter = self._all[:-1], self.counter
        self.__init__()
        for step in steps:
            self.commit(step)
        self.counter = counter
        return kept


def harsh(seed):
    """A schedule with one long cut, low caps and clients that write a lot: bounds are nearly reached."""
    schedule = draw(seed, nodes=3)
    unit = schedule.seconds / 40
    roster = schedule.rosters[0]
    low = {"rate": 0.2 / unit, "burst": 2.0}
    members = [structs.replace(member, **low) for member in roster.members]
    return replace(
        schedule,
        rosters=(structs.replace(roster, members=members),),
        step_seconds=unit,
        exchange_seconds=unit,
        commit_seconds=unit / 100,
        weather=Weather(delay=unit / 50),
        faults=(Fault(schedule.seconds * 0.3, "divide", ("n0",)),),
        writes=8,
        checks=40,
        limit=1 << 20,
    )


def test_members_that_ignore_their_caps_break_the_bounds():
    found = kinds(map(harsh, range(6)), make=Greedy)
    assert found["unseen"] >= 3
    assert found["interval"] >= 1


def test_a_clock_beyond_the_bound_on_drift_breaks_the_bounds():
    slow = {"n0": -200_000 * PPM}
    found = kinds(replace(schedule, drift={**schedule.drift, **slow}) for schedule in map(harsh, range(6)))
    assert found["age"] >= 3
    assert found["unseen"] >= 1


def test_the_same_schedules_are_right_when_nothing_is_broken():
    assert not kinds(map(harsh, range(6)))


def test_clocks_at_both_ends_of_their_drift_reach_the_bound_and_do_not_exceed_it():
    now, drift = 1_000 * SECOND, 10_000
    members = [Member(name=name, keys=[], address="x:1", rate=1.0, burst=1000.0) for name in ("slow", "fast")]
    roster = Roster(
        cluster="two",
        version=1,
        authority="00" * 32,
        members=members,
        statistics=[MomentsSchema(name="latency", features=[Feature(name="delay", low=0, high=1)])],
        drift_ppm=float(drift),
    )
    oracle = Oracle(roster, ("slow", "fast"))
    clocks = [
        SimulatedClock(lambda: now, sign * drift * PPM, 0, 0.0, random.Random(sign)) for sign in (-1, 1)
    ]
    slow, fast = (
        Participant(m.name, SignedRoster(roster, ""), SimulatedDisk(), 1, c.clock, sign=seal, verify=sealed)
        for m, c in zip(members, clocks, strict=True)
    )

    def step(participant):
        step = participant.begin()
        participant.journal.commit(step.commit)
        participant.finish(step)
        oracle.published(participant, now, [step.commit])

    for participant in (slow, fast):
        oracle.published(participant, now)
    now = 3_000 * SECOND  # the bucket is full
    exchange(slow, fast)
    step(fast)
    exchange(slow, fast)
    values = [0.5] * 2100
    oracle.asked(Request("c", 0, "latency", tuple((v,) for v in values)))
    fast.submit(
        writer.Request("c", 0, "latency", observations(roster, "latency", values)), lambda outcome: None
    )
    step(fast)
    for _ in range(2):
        now += 500 * SECOND
        step(fast)
    origin = next(origin for origin in oracle.check_origins(slow, now) if origin.node == "fast")
    assert oracle.ledgers["fast"].last.added == 1000 + 1010
    assert origin.unseen.additions == 2010
    assert not oracle.wrong


def test_a_disk_that_only_says_that_it_synced_loses_what_was_acknowledged():
    assert kinds((draw(seed, nodes=3) for seed in range(20)), disk=Forgetful)["lost"] >= 2


def test_joining_by_addition_invents():
    found = kinds((draw(seed, nodes=3) for seed in range(10)), make=Merging)
    assert found["diverged"] >= 5
    assert found["value"] + found["interval"] >= 5


# What the world is made of


@pytest.mark.parametrize("seed", range(3))
def test_the_simulated_disk_says_what_the_journal_says(tmp_path, seed):
    disk = SimulatedDisk()
    with closing(SqliteJournal(tmp_path / "journal", node="n1")) as journal:
        for step, commit in enumerate(islice(story(seed), 60), 1):
            journal.commit(commit)
            disk.commit(commit)
            assert seen(disk.load()) == seen(journal.load())
            assert disk.expired("delay", step / 2, 5) == journal.expired("delay", step / 2, 5)
            for write in commit.writes:
                name = write.client, write.sequence
                assert disk.find(*name) == journal.find(*name)
        journal.read_back({"step": b"x"}, 5, 4, 20)
        disk.read_back({"step": b"x"}, 5, 4, 20)
        assert seen(disk.load()) == seen(journal.load())


def test_a_crash_keeps_a_cached_step_whole_or_loses_it():
    fates = Counter()
    for seed in range(100):
        disk = SimulatedDisk()
        first, second = islice(story(seed), 2)
        disk.commit(first)
        before = seen(disk.load())
        disk.cache(second)
        kept = disk.crash(random.Random(seed))
        fates[kept] += 1
        whole = SimulatedDisk()
        whole.commit(first)
        whole.commit(second)
        assert seen(disk.load()) == (seen(whole.load()) if kept else before)
    assert fates[True] >= 20
    assert fates[False] >= 40


def test_a_step_that_is_wrong_is_refused_by_the_disk():
    disk = SimulatedDisk()
    commit = next(commit for commit in story(1) if commit.writes)
    disk.commit(commit)
    with pytest.raises(ValueError, match="already"):
        disk.commit(commit)
    with pytest.raises(ValueError, match="not there"):
        disk.commit(Commit(retracted=(("nobody", 3),)))


def test_a_cut_link_carries_nothing_one_way():
    queue, got = [], []
    network = SimulatedNetwork(
        random.Random(1), lambda delay, action: queue.append((delay, action)), Weather(), lambda data: None
    )
    network.divide([["a"], ["b", "c"]], one_way=True)
    for source, target in (("a", "b"), ("b", "a"), ("b", "c")):
        network.send(source, target, b"news", lambda data, link=source + target: got.append(link))
    for _, arrive in queue:
        arrive()
    assert got == ["ba", "bc"]
    assert network.bytes == {"a": 4, "b": 8}
    network.heal()
    network.send("a", "b", b"", lambda data: got.append("ab"))
    network.forget("a")
    queue[-1][1]()
    assert got == ["ba", "bc"]


def test_a_clock_drifts_by_what_it_is_told():
    now = 0
    clock = SimulatedClock(lambda: now, -200 * PPM, 77, 1000.0, random.Random(1))
    now = 10_000 * SECOND
    assert clock.boottime() == 77 + 10_000 * SECOND - 2 * SECOND
    assert clock.wall() == pytest.approx(10_998.0)
    clock.reboot(200 * PPM)
    assert clock.boottime() == 0
    now += SECOND
    assert clock.boottime() == SECOND + 200_000
