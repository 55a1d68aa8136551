"""The simulator finds nothing wrong with the library, and finds everything that is broken on purpose."""

import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from msgspec import structs

from convergence_jax.partition.answers.answer import answer
from convergence_jax.partition.participant import Participant
from convergence_jax.partition.rows.content import read_state, statistic_of
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import Feature, Member, MomentsSchema, Roster, SignedRoster
from convergence_jax.partition.simulation import simulator
from convergence_jax.partition.simulation.clock import SimulatedClock
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.network import SECOND, Weather
from convergence_jax.partition.simulation.node import seal, sealed
from convergence_jax.partition.simulation.oracle import Oracle
from convergence_jax.partition.simulation.schedule import PPM, Fault, draw
from convergence_jax.partition.simulation.simulator import Report, Simulator, exchange, simulate
from convergence_jax.partition.simulation.truth import Request
from convergence_jax.partition.writes import writer
from convergence_jax.partition.writes.caps import Cap, Caps
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


def test_schedules_hold_every_kind_of_trouble_and_as_much_of_it_as_they_may():
    schedules = [draw(seed) for seed in range(400)]
    most: Counter[str] = Counter()
    for schedule in schedules:
        most |= Counter(fault.kind for fault in schedule.faults)
        assert [roster.version for roster in schedule.rosters] == [*range(1, len(schedule.rosters) + 1)]
        assert schedule.limit >= 1000
        assert not schedule.signed
        assert [fault.seconds for fault in schedule.faults] == sorted(f.seconds for f in schedule.faults)
    assert {len(schedule.rosters) for schedule in schedules} == {1, 2, 3, 4}
    assert {len(schedule.names) for schedule in schedules} == {3, 4, 5, 6, 7, 20}
    assert {kind: most[kind] for kind in ("reboot", "pause", "leave", "backup", "lose", "roster")} == {
        "reboot": 1,
        "pause": 2,
        "leave": 1,
        "backup": 1,
        "lose": 1,
        "roster": 3,
    }
    assert most["crash"] in range(6, 10)
    assert most["full"] in range(6, 8)
    assert {"divide", "one_way", "heal"} <= most.keys()


def test_a_node_is_asked_everything_that_it_can_answer(monkeypatch):
    asked = set()

    def hear(participant, query):
        asked.add((query.what, query.mode, query.other == query.feature, query.observers_lying))
        return answer(participant, query)

    monkeypatch.setattr("convergence_jax.partition.simulation.oracle.answer", hear)
    for seed in range(24):
        assert not simulate(seed).wrong
    modes = {"statistical", "bounded_staleness", "eventual"}
    assert {(what, mode) for what, mode, _, _ in asked} == {
        (what, mode) for what in ("count", "mean", "covariance", "log_odds") for mode in modes
    }
    assert {same for what, _, same, _ in asked if what == "covariance"} == {True, False}
    assert {liars for what, _, _, liars in asked if what == "log_odds"} == {None, 0, 1, 2}


def test_a_step_that_survives_a_crash_before_anybody_heard_of_it_counts():
    kept = []

    class Disk(SimulatedDisk):
        def crash(self, chance):
            waiting = self.cached is not None
            kept.append(super().crash(chance) and waiting)
            return kept[-1]

    assert not Simulator(draw(111), disk=Disk).run().wrong
    assert any(kept)


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


class Partial(Participant):
    """Keeps to its caps, but for those of single agents."""

    def begin(self):
        begin, much = self.writer.begin, Cap(Fraction(10**9), Fraction(10**9))

        def generous(caps, *instants):
            return begin(replace(caps, agents=dict.fromkeys(caps.agents, much)), *instants)

        self.writer.begin = generous
        try:
            return super().begin()
        finally:
            self.writer.begin = begin


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


def test_members_that_ignore_the_cap_of_an_agent_break_its_bounds():
    found = []
    for schedule in map(harsh, range(6)):
        roster = schedule.rosters[0]
        low = {"agent_rate": 0.1 / schedule.step_seconds, "agent_burst": 1.0}
        few = [structs.replace(s, **low) if hasattr(s, "agent_rate") else s for s in roster.statistics]
        members = [structs.replace(member, burst=20.0) for member in roster.members]
        rosters = (structs.replace(roster, statistics=few, members=members),)
        found.append(Simulator(replace(schedule, rosters=rosters), make=Partial).run())
    stories = [story for report in found for kind, story in report.wrong if kind == "unseen"]
    assert stories
    assert all(" items of " in story for story in stories)


def test_a_clock_beyond_the_bound_on_drift_breaks_the_bounds():
    slow = {"n0": -200_000 * PPM}
    found = kinds(replace(schedule, drift={**schedule.drift, **slow}) for schedule in map(harsh, range(6)))
    assert found["age"] >= 3
    assert found["unseen"] >= 1


def test_the_same_schedules_are_right_when_nothing_is_broken():
    assert not kinds(map(harsh, range(6)))


def latency_of(*names, drift=200):
    """A roster with one feature."""
    return Roster(
        cluster="small",
        version=1,
        authority="00" * 32,
        members=[
            Member(
                name=name, keys=[], address="x:1", rate=1.0, burst=1000.0, remove_rate=1.0, remove_burst=5.0
            )
            for name in names
        ],
        statistics=[MomentsSchema(name="latency", features=[Feature(name="delay", low=0, high=1)])],
        drift_ppm=float(drift),
    )


def test_a_write_that_is_gone_although_nobody_took_it_back_was_invented_and_a_peer_without_it_differs():
    roster, now = latency_of("n0", "n1"), 1_000 * SECOND
    oracle, disk = Oracle(roster, ["n0", "n1"]), SimulatedDisk()
    clock = SimulatedClock(lambda: now, 0, 0, 0.0, random.Random(1)).clock
    signed = SignedRoster(roster, "")
    node, peer = (
        Participant(name, signed, own, 1, clock, sign=seal, verify=sealed)
        for name, own in (("n0", disk), ("n1", SimulatedDisk()))
    )
    oracle.published(node, now)
    oracle.published(peer, now)
    now = 2_000 * SECOND
    for sequence, of in ((0, None), (1, 0)):
        oracle.asked(Request("c", sequence, "latency", ((0.5,),)))
        batch = observations(roster, "latency", [0.5]) if of is None else ()
        node.submit(writer.Request("c", sequence, "latency", batch, of=of), lambda outcome: None)
        step = node.begin()
        disk.commit(step.commit)
        node.finish(step)
        oracle.published(node, now, [step.commit])
        oracle.recount({"n0": node}, {"n0": disk})
        assert oracle.wrong == ([] if of is None else [("invented", "nobody took ('c', 0) back")])
        if of is None:
            oracle.recount({"n0": node, "n1": peer}, {"n0": disk})
            assert [kind for kind, _ in oracle.wrong] == ["diverged"]
            oracle.wrong.clear()


def test_clocks_at_both_ends_of_their_drift_reach_the_bound_and_do_not_exceed_it():
    now, drift = 1_000 * SECOND, 10_000
    roster = latency_of("slow", "fast", drift=drift)
    oracle = Oracle(roster, ("slow", "fast"))
    clocks = [
        SimulatedClock(lambda: now, sign * drift * PPM, 0, 0.0, random.Random(sign)) for sign in (-1, 1)
    ]
    slow, fast = (
        Participant(m.name, SignedRoster(roster, ""), SimulatedDisk(), 1, c.clock, sign=seal, verify=sealed)
        for m, c in zip(roster.members, clocks, strict=True)
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
