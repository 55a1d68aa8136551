"""What the prototype lost is kept: 6,000 updates written over a partition are 6,000 once it has healed."""

from fractions import Fraction

import pytest
from cluster_of_participants import Cluster, ticks
from cluster_of_replicas import member, roster

from convergence_jax.partition.answers.answer import Query, answer

NODES = ("n1", "n2", "n3")
EACH, BATCH = 2000, 50


def values(node: int, batch: int) -> list[float]:
    """What a client sends to a node: no two updates alike."""
    first = node * EACH + batch * BATCH
    return [(first + i) / 8 for i in range(BATCH)]


@pytest.mark.parametrize(
    "sides", [(["n1"], ["n2", "n3"]), (["n1"], ["n2"], ["n3"])], ids=["one and two", "each alone"]
)
@pytest.mark.parametrize("capped", [False, True])
def test_six_thousand_updates_over_a_partition_are_six_thousand_after_it(sides, capped):
    caps = {"rate": 100.0, "burst": 200.0} if capped else {"rate": 1000.0, "burst": 500.0}
    people = [member(node, remove_rate=0.0, remove_burst=0.0, **caps) for node in NODES]
    cluster = Cluster(roster(people))
    cluster.wait(1)
    for node in NODES:
        cluster.write(node, "first", 0, 0.0)
    cluster.settle()
    cluster.split(*sides)
    accepted = 0
    for batch in range(EACH // BATCH):
        for place, node in enumerate(NODES):
            outcome = cluster.write(node, f"client {place}", batch, *values(place, batch))
            again = cluster.write(node, f"client {place}", batch, *values(place, batch))
            assert (outcome.events, again.duplicate) == (BATCH, True)
            accepted += outcome.events
        cluster.gossip()
        cluster.wait(0.1)
        if batch == 20:
            cluster.start("n2")
    assert accepted == 6000
    assert len(cluster.digests()) > 1
    during = answer(cluster.nodes["n1"], Query(statistic="latency")).interval
    assert all(node.writer.backlog[0] > 0 for node in cluster.nodes.values()) == capped
    released = [participant.replica.own.cells.get("latency") for participant in cluster.nodes.values()]
    assert all(released)
    cluster.heal()
    rounds = 0
    while len(cluster.digests()) > 1 or any(node.writer.backlog[0] for node in cluster.nodes.values()):
        cluster.gossip()
        cluster.wait(1)
        rounds += 1
        assert rounds < 50
    total = Fraction(sum(range(6000)), 8)
    for node in NODES:
        assert ticks(cluster, node) == (6003, total * 2**10)
        found = answer(cluster.nodes[node], Query(statistic="latency"))
        assert found.value == float(total / 6003)
        assert found.count == 6003
    if not capped:
        assert 0.0 < during.lower <= found.value <= during.upper
        assert rounds <= 8
    assert len(cluster.digests()) == 1
    written = sum(write.events for journal in cluster.journals.values() for write in journal.writes.values())
    assert written == 6003
