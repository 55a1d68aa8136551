"""A write is taken back once, after all of it was added, by its client, a window or nobody."""

import msgspec
import pytest
from cluster_of_participants import CAPPED, Cluster, alone, retraction, ticks
from cluster_of_replicas import LATENCY, TRUST, member, roster
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.partition.writes.writer import Outcome


def test_a_write_is_taken_back_once_in_bits():
    cluster = alone()
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 1.0, 2.0)
    before = dict(cluster.journals["n1"].cells)
    cluster.write("n1", "ann", 1, 5.0, 7.0, 9.0)
    assert cluster.step("n1", retraction("ann", 2, 1)) == [Outcome(3)]
    assert cluster.journals["n1"].cells == before
    own = cluster.nodes["n1"].replica.own.head
    assert (own.added, own.removed) == (5, 3)
    assert cluster.step("n1", retraction("ann", 2, 1)) == [Outcome(duplicate=True)]
    (again,) = cluster.step("n1", retraction("ann", 3, 1))
    assert "taken back before" in again.refused
    assert cluster.journals["n1"].cells == before
    assert cluster.step("n1", retraction("ann", 4, 0)) == [Outcome(2)]
    assert cluster.journals["n1"].cells == {}
    assert list(cluster.nodes["n1"].replica.own.cells) == []


@pytest.mark.parametrize(
    ("client", "of"), [("ann", 7), ("bob", 0), ("ann", 1)], ids=["unknown", "another's", "a retraction"]
)
def test_only_a_clients_own_writes_are_taken_back(client, of):
    cluster = alone()
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 1.0)
    cluster.write("n1", "ann", 2, 2.0)
    cluster.step("n1", retraction("ann", 1, 2))
    (outcome,) = cluster.step("n1", retraction(client, 9, of))
    assert "cannot be taken back" in outcome.refused
    assert cluster.count("n1") == 1
    assert cluster.step("n1", cluster.request(client, 9, [4.0])) == [Outcome(1)]


def test_two_retractions_of_one_write_in_a_step_take_it_back_once():
    cluster = alone()
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 1.0)
    first, second = cluster.step("n1", retraction("ann", 1, 0), retraction("ann", 2, 0))
    assert (first, bool(second.refused)) == (Outcome(1), True)
    assert cluster.count("n1") == 0


def test_a_retraction_that_waits_holds_up_none_behind_it():
    cluster = alone(roster(1, statistics=[LATENCY, msgspec.structs.replace(TRUST, agent_rate=1.0)]))
    cluster.wait(3)
    cluster.step(
        "n1",
        cluster.request("eye", 0, [1.0] * 20, agents=["busy"] * 20),
        cluster.request("ann", 0, [1.0]),
        retraction("eye", 1, 0),
        retraction("ann", 1, 0),
    )
    assert cluster.count("n1") == 0
    assert cluster.nodes["n1"].replica.own.head.removed == 1
    assert cluster.nodes["n1"].writer.backlog == (17, 20)


def test_a_write_may_come_and_go_in_one_step():
    cluster = alone()
    cluster.wait(1)
    assert cluster.step("n1", cluster.request("ann", 0, [1.0]), retraction("ann", 1, 0)) == [Outcome(1)] * 2
    assert cluster.journals["n1"].cells == {}
    assert cluster.journals["n1"].retracted == {("ann", 0)}


def test_a_write_is_taken_back_only_after_all_of_it_was_added():
    cluster = alone(CAPPED)
    cluster.write("n1", "ann", 0, *range(30))
    cluster.step("n1", retraction("ann", 1, 0))
    history = []
    for _ in range(10):
        cluster.wait(1)
        cluster.step("n1")
        cluster.start("n1")
        head = cluster.nodes["n1"].replica.own.head
        history.append((head.added, head.removed))
    added = [pair[0] for pair in history]
    assert added[:4] == [10, 20, 30, 30]
    assert all(removed == 0 or additions == 30 for additions, removed in history)
    assert [removed for _, removed in history[2:]] == [5, 10, 15, 20, 25, 30, 30, 30]
    assert cluster.journals["n1"].cells == {}


def test_removals_keep_to_their_own_cap():
    cluster = alone(CAPPED)
    cluster.wait(10)
    cluster.write("n1", "ann", 0, *range(20))
    cluster.write("n1", "ann", 1, *range(20))
    cluster.wait(10)
    cluster.step("n1", retraction("ann", 2, 0), retraction("ann", 3, 1))
    counts = []
    for _ in range(7):
        counts.append(cluster.nodes["n1"].replica.own.head.removed)
        cluster.wait(1)
        cluster.step("n1")
    assert counts == [10, 15, 20, 25, 30, 35, 40]
    assert cluster.nodes["n1"].writer.backlog == (0, 0)


def test_a_node_that_may_take_nothing_back_says_so():
    cluster = alone(roster([member("n1", remove_rate=0.0, remove_burst=0.0)]))
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 1.0)
    (outcome,) = cluster.step("n1", retraction("ann", 1, 0))
    assert "remove_burst" in outcome.refused
    assert "\n" not in outcome.refused


WRITES = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@settings(max_examples=25)
@given(WRITES, st.data())
def test_what_is_left_is_what_was_written_and_not_taken_back(sizes, data):
    cluster = alone(CAPPED)
    standing: dict[int, list[int]] = {}
    for sequence, size in enumerate(sizes):
        standing[sequence] = [2**sequence + extra for extra in range(size)]
        requests = [cluster.request("ann", sequence, standing[sequence])]
        if data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(standing)))
            requests.append(retraction("ann", 100 + sequence, gone))
            del standing[gone]
        assert not any(outcome.refused for outcome in cluster.step("n1", *requests))
        cluster.wait(data.draw(st.integers(0, 3)))
        if data.draw(st.booleans()):
            cluster.start("n1")
    for _ in range(40):
        cluster.wait(2)
        cluster.step("n1")
    assert cluster.nodes["n1"].writer.backlog == (0, 0)
    left = [value for values in standing.values() for value in values]
    assert ticks(cluster) == (len(left), sum(left) * 2**10)
    head = cluster.nodes["n1"].replica.own.head
    assert (head.added, head.added - head.removed) == (sum(sizes), len(left))
    assert ("latency" in cluster.journals["n1"].cells) == bool(left)


# Windows


def windowed(seconds: float = 5.0) -> Cluster:
    """A node that forgets latencies after some seconds."""
    return alone(roster(1, statistics=[msgspec.structs.replace(LATENCY, window_seconds=seconds), TRUST]))


def test_a_window_takes_back_what_is_older_and_nothing_else():
    cluster = windowed()
    counts = []
    for second in range(20):
        if second < 10:
            cluster.write("n1", "ann", second, float(second))
            cluster.step("n1", cluster.request("eye", second, [1.0], agents=["a"]))
        cluster.wait(1)
        cluster.step("n1")
        counts.append(cluster.count("n1"))
    assert counts == [1, 2, 3, 4, 5, *[5] * 5, 4, 3, 2, 1, *[0] * 6]
    assert cluster.count("n1", "trust\x1fa\x1feye") == 10
    assert cluster.journals["n1"].retracted == {("ann", second) for second in range(10)}


def test_a_write_that_was_taken_back_does_not_expire_as_well():
    cluster = windowed()
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 1.0)
    cluster.write("n1", "ann", 1, 2.0)
    cluster.wait(5.5)
    assert cluster.step("n1", retraction("ann", 2, 0)) == [Outcome(1)]
    cluster.wait(5)
    cluster.step("n1")
    (late,) = cluster.step("n1", retraction("ann", 3, 1))
    assert late.refused
    head = cluster.nodes["n1"].replica.own.head
    assert (head.added, head.removed, cluster.count("n1")) == (2, 2, 0)


def test_a_window_goes_on_over_a_restart_and_reaches_all_of_many_writes():
    cluster = windowed()
    cluster.wait(1)
    cluster.step("n1", *(cluster.request("ann", i, [1.0]) for i in range(350)))
    cluster.start("n1")
    cluster.wait(6)
    for _ in range(4):
        cluster.step("n1")
        cluster.start("n1")
        cluster.wait(1)
    assert cluster.count("n1") == 0
    assert cluster.nodes["n1"].replica.own.head.removed == 350
