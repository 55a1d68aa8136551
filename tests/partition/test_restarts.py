"""What a node released is known again after a restart or a restore, and counts once; who leaves says so."""

import pytest
from cluster_of_participants import Cluster, MemoryJournal, retraction, ticks
from cluster_of_replicas import member, roster, sent

from convergence_jax.errors import InputError
from convergence_jax.partition.writes.writer import Outcome


def restored(known=None, before: int = 3, after: int = 2) -> tuple[Cluster, MemoryJournal]:
    """Three nodes; the first one's backup was made between its writes."""
    cluster = Cluster(known or roster(3))
    cluster.wait(10)
    for sequence in range(before):
        cluster.write("n1", "ann", sequence, float(2**sequence))
    backup = cluster.journals["n1"].copy()
    for sequence in range(before, before + after):
        cluster.write("n1", "ann", sequence, float(2**sequence))
    return cluster, backup


def put_back(cluster: Cluster, backup: MemoryJournal) -> None:
    """Start the first node on its backup."""
    cluster.journals["n1"] = backup
    cluster.start("n1")


def test_a_restored_node_waits_for_all_others_and_says_nothing_meanwhile():
    cluster, backup = restored()
    cluster.settle()
    put_back(cluster, backup)
    participant = cluster.nodes["n1"]
    assert participant.restoring
    assert participant.read_back() is None
    assert cluster.write("n1", "ann", 10, 100.0) == Outcome(1)
    cluster.exchange("n1", "n2")
    assert participant.read_back() is None
    assert not participant.replica.own.head.whole
    cluster.exchange("n3", "n1")
    assert len(cluster.nodes["n3"].replica.table) >= 2
    assert cluster.count("n3") == 5
    cluster.exchange("n1", "n3")
    assert participant.read_back() is not None
    assert not participant.restoring
    assert participant.replica.own.head.whole


def test_rows_that_peers_hold_win_over_a_backup_and_nothing_counts_twice():
    cluster, backup = restored()
    cluster.settle()
    put_back(cluster, backup)
    for other in ("n2", "n3"):
        cluster.exchange("n1", other)
    cluster.nodes["n1"].read_back()
    cluster.settle()
    assert all(ticks(cluster, node) == (5, 31 * 2**10) for node in cluster.nodes)
    assert len(cluster.digests()) == 1
    assert [key.node for key in cluster.nodes["n2"].replica.table].count("n1") == 1
    cluster.start("n1")
    cluster.settle()
    assert ticks(cluster, "n2") == (5, 31 * 2**10)
    head = cluster.nodes["n1"].replica.own.head
    assert (head.added, head.removed) == (5, 0)


def test_a_backup_that_is_newer_than_what_peers_hold_wins():
    cluster, backup = restored(after=0)
    put_back(cluster, backup)
    for other in ("n2", "n3"):
        cluster.exchange("n1", other)
    cluster.nodes["n1"].read_back()
    cluster.settle()
    assert all(ticks(cluster, node) == (3, 7 * 2**10) for node in cluster.nodes)


def test_what_a_restored_node_accepts_before_it_knows_itself_is_released_afterwards():
    cluster, backup = restored()
    cluster.settle()
    put_back(cluster, backup)
    cluster.wait(5)
    assert cluster.write("n1", "bob", 0, 64.0) == Outcome(1)
    assert cluster.count("n1") == 0
    for other in ("n2", "n3"):
        cluster.exchange("n1", other)
    cluster.nodes["n1"].read_back()
    assert cluster.nodes["n1"].uncertain == 0
    cluster.step("n1")  # from here on the caps fill up
    cluster.wait(5)
    cluster.settle()
    assert all(ticks(cluster, node) == (6, 95 * 2**10) for node in cluster.nodes)


def test_what_waited_in_an_old_backup_is_set_aside_and_named():
    cluster = Cluster(roster([member("n1", rate=10.0, burst=20.0), member("n2")]))
    cluster.write("n1", "ann", 0, *range(30))
    backup = cluster.journals["n1"].copy()
    cluster.wait(2)
    cluster.settle()
    assert cluster.count("n2") == 20
    put_back(cluster, backup)
    cluster.write("n1", "bob", 0, 500.0)
    cluster.exchange("n1", "n2")
    cluster.nodes["n1"].read_back()
    assert cluster.nodes["n1"].uncertain == 30
    cluster.step("n1")
    cluster.wait(10)
    cluster.settle()
    assert ticks(cluster, "n2") == (21, (sum(range(20)) + 500) * 2**10)


def test_nothing_is_taken_back_before_a_restored_node_knows_its_row():
    cluster, backup = restored(after=0)
    cluster.settle()
    put_back(cluster, backup)
    cluster.wait(5)
    assert cluster.step("n1", retraction("ann", 50, 2)) == [Outcome(1)]
    cluster.step("n1")
    assert cluster.nodes["n1"].replica.own.head.removed == 0
    for other in ("n2", "n3"):
        cluster.exchange("n1", other)
    cluster.nodes["n1"].read_back()
    cluster.step("n1")
    cluster.wait(5)
    cluster.settle()
    assert all(ticks(cluster, node) == (2, 3 * 2**10) for node in cluster.nodes)
    assert cluster.nodes["n1"].replica.own.head.removed == 1


def test_a_restored_node_reads_back_the_newest_of_what_its_peers_hold():
    cluster = Cluster(roster(3))
    cluster.wait(10)
    cluster.write("n1", "ann", 0, 1.0)
    backup = cluster.journals["n1"].copy()
    cluster.step("n1", cluster.request("eye", 0, [1.0], agents=["a"]))
    cluster.exchange("n2", "n1")
    cluster.step("n1", retraction("eye", 1, 0))
    cluster.write("n1", "ann", 1, 2.0)
    cluster.exchange("n3", "n1")  # a whole row: the deleted cell is not in it
    put_back(cluster, backup)
    cluster.exchange("n1", "n2")
    cluster.exchange("n1", "n3")
    if cluster.nodes["n1"].read_back() is None:
        cluster.exchange("n1", "n3")
        cluster.nodes["n1"].read_back()
    cluster.settle()
    assert all(ticks(cluster, node) == (2, 3 * 2**10) for node in cluster.nodes)
    assert all(cluster.count(node, "trust\x1fa\x1feye") == 0 for node in cluster.nodes)


def test_a_restart_takes_in_the_row_of_the_run_before():
    cluster = Cluster(roster(2))
    cluster.wait(1)
    for run in range(4):
        cluster.write("n1", "ann", run, float(2**run))
        cluster.settle()
        cluster.start("n1")
        cluster.wait(1)
    cluster.settle()
    assert len(cluster.nodes["n2"].replica.table) == 2
    assert ticks(cluster, "n2") == (4, 15 * 2**10)
    late = cluster.nodes["n2"].replica
    row = sent(late, next(key for key in late.table if key.node == "n1"))
    assert not late.join(*row)


def test_a_node_that_runs_twice_stops_when_it_hears_of_the_later_run():
    cluster = Cluster(roster(2))
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 1.0)
    cluster.settle()
    former, journal = cluster.nodes["n1"], cluster.journals["n1"]
    on_its_way = former.begin()
    cluster.journals["n1"] = journal.copy()
    cluster.journals["n1"].restored = False
    cluster.start("n1")
    cluster.settle()
    cluster.nodes["n1"], later = former, cluster.nodes["n1"]
    cluster.exchange("n1", "n2")
    version = former.replica.own.head.version
    former.finish(on_its_way)
    assert former.replica.own.head.version == version + 1
    with pytest.raises(InputError, match="later run of this node") as caught:
        former.begin()
    assert "\n" not in str(caught.value)
    cluster.exchange("n2", "n1")
    assert not cluster.nodes["n2"].replica.excluded
    assert ticks(cluster, "n2") == (1, 2**10)
    assert not later.replica.superseded


# Leaving


def test_a_node_that_leaves_releases_all_then_says_that_nothing_follows():
    cluster = Cluster(roster([member("n1", rate=10.0, burst=20.0), member("n2")]))
    cluster.write("n1", "ann", 0, *range(25))
    participant = cluster.nodes["n1"]
    participant.leaving = True
    assert "leaving" in cluster.write("n1", "ann", 1, 1.0).refused
    finals = []
    for _ in range(4):
        cluster.wait(1)
        cluster.step("n1")
        finals.append((cluster.count("n1"), participant.replica.own.head.final))
    assert finals == [(10, False), (20, False), (25, True), (25, True)]
    cluster.exchange("n2", "n1")
    cluster.wait(1000)
    origin = next(origin for origin in cluster.nodes["n2"].origins() if origin.node == "n1")
    assert (origin.final, origin.age_seconds, origin.unseen.additions) == (True, 0.0, 0)
