"""What a simulation is made of does as the real thing: disk, network and clock."""

import random
from collections import Counter
from contextlib import closing
from itertools import islice

import pytest
from journal_model import seen, story

from convergence_jax.partition.simulation.clock import SimulatedClock
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.network import SECOND, SimulatedNetwork, Weather
from convergence_jax.partition.simulation.schedule import PPM
from convergence_jax.partition.writes.journal import SqliteJournal
from convergence_jax.partition.writes.records import Commit


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
