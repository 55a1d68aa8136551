"""What befalls a cluster in an unattended run, on a clock that is moved by hand."""

import random
from collections import Counter

import pytest

from convergence_jax.partition.clusters import faults
from convergence_jax.partition.clusters.faults import SCENARIOS

LASTS = {"cut-heal": 0.1, "one-way": 0.1, "flap": 0.1, "crash": 4.6}
"""How much longer than it was told to a scenario may take, in seconds."""


class Clock:
    """Time passes when somebody sleeps, and a little whenever it is asked for."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        self.now += 0.01
        return self.now

    def sleep(self, seconds):
        assert seconds >= 0
        self.now += seconds


class Suffering:
    """A cluster that notes what is done to it."""

    names = ("n1", "n2", "n3", "n4", "n5")

    def __init__(self):
        self.links: set[tuple[str, str]] = set()
        self.up = set(self.names)
        self.seen = Counter()

    def cut(self, groups):
        """Groups that hear each other no more."""
        assert 1 <= len(groups[0]) < len(self.names)
        assert len({name for group in groups for name in group}) == sum(map(len, groups))
        self.seen["groups", 1 + sum(map(bool, groups)) - (sum(map(len, groups)) == len(self.names))] += 1
        self.links = {(groups[0][0], name) for name in self.names if name not in groups[0]}

    def cut_one_way(self, links):
        """Links from one node to another."""
        assert all(a != b and {a, b} <= {*self.names} for a, b in links)
        self.links = {*links}
        self.seen["both ways" if all((b, a) in self.links for a, b in links) else "one way"] += 1

    def heal(self):
        """All links."""
        self.links = set()

    def kill(self, name):
        """A node, which runs or is about to."""
        self.up.discard(name)

    def launch(self, name):
        """A node that is killed before it has started."""
        assert name not in self.up
        self.seen["launched"] += 1

    def start(self, names):
        """Nodes that are down."""
        assert self.up.isdisjoint(names)
        self.up |= {*names}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seconds", [0.0, 1.0, 20.0, 300.0])
def test_a_scenario_lasts_as_long_as_it_was_told_and_leaves_the_cluster_cut_or_whole(
    name, seconds, monkeypatch
):
    seen = Counter()
    for seed in range(20):
        clock, cluster, done = Clock(), Suffering(), Counter()
        monkeypatch.setattr(faults, "time", clock)
        SCENARIOS[name](cluster, random.Random(seed), seconds, done)
        assert 0 <= clock.now - 1000.0 - seconds <= LASTS[name]
        assert cluster.up == {*Suffering.names}
        assert bool(cluster.links) == (done["cuts"] > 0)
        assert done["cuts"] >= done["heals"]
        assert done["kills"] == done["starts"] + cluster.seen["launched"]
        seen += cluster.seen + done
    if seconds < 20.0:
        return
    if name == "crash":
        assert seen["kills"] > seen["launched"] > 0
        assert seen["kills"] >= 20 * seconds / 8
    else:
        assert seen["heals"] > 0
        assert seen["cuts"] >= 20 * 3
    wanted = {
        "cut-heal": {("groups", 2), ("groups", 3)},
        "one-way": {"one way"},
        "flap": {"both ways"},
        "crash": set(),
    }
    assert {key for key in seen if key in {("groups", 2), ("groups", 3), "one way", "both ways"}} == wanted[
        name
    ]
