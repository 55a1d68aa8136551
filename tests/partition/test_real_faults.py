"""Real processes on real networks: whatever is cut, stopped or killed, nothing acknowledged is lost."""

import os
import time

import pytest
from tun_switch import Path as Link
from tun_switch import TunSwitch
from tun_switch import missing as no_tun

from convergence_jax.partition.clusters import scenario
from convergence_jax.partition.clusters.namespaces import Namespaces, missing
from convergence_jax.partition.clusters.scenario import Plan, faults_of

NODES = 5
NAMES = [f"n{i + 1}" for i in range(NODES)]
KEEPALIVE_SECONDS = 3.0
"""A ping a second, and two to answer it: a connection is closed by then."""


def every_fault(cluster, chance, seconds, done):
    """One fault after the other, each healed by the next."""
    cluster.cut([NAMES[:2], NAMES[2:]])  # a minority and a majority
    time.sleep(2.0)
    cluster.cut_one_way([("n1", "n2"), ("n3", "n1")])
    time.sleep(2.0)
    cluster.cut([["n4"]])  # an island
    time.sleep(2.0)
    for _ in range(4):  # a link that flaps
        cluster.cut([["n1"], ["n2"]])
        time.sleep(0.4)
        cluster.heal()
        time.sleep(0.4)
    cluster.cut([NAMES[:1], NAMES[1:3], NAMES[3:]])  # nobody has a majority
    time.sleep(2.0)
    cluster.kill("n5")  # while cut off
    time.sleep(1.0)
    cluster.start(["n5"])
    cluster.heal()
    cluster.pause("n3")
    time.sleep(KEEPALIVE_SECONDS + 2.0)
    cluster.resume("n3")
    time.sleep(1.0)
    done["faults"] += 8


def slow_links(cluster, chance, seconds, done):
    """Links as the switch has them, with delay, reordering, loss and duplicates, and one cut one way."""
    time.sleep(4.0)
    cluster.cut_one_way([("n1", "n2")])
    time.sleep(3.0)
    done["faults"] += 1


@pytest.mark.slow
def test_no_fault_of_a_network_or_a_process_loses_or_invents_anything(tmp_path, require, monkeypatch):
    require("namespaces", (reason := missing()) is None, reason or "")
    monkeypatch.setitem(scenario.SCENARIOS, "every-fault", every_fault)
    with Namespaces(NODES, f"cf{os.getpid()}") as network:
        result = scenario.run(Plan(NODES, "every-fault", 0.0, rate=300.0), tmp_path / "run", network)
    print({name: result[name] for name in ("acknowledged", "recovered", "interval_checks", "p99_ms")})
    assert faults_of(result) == []
    assert len(set(result["digests"])) == 1
    assert result["acknowledged"] == result["recovered"] > 1000
    assert result["interval_checks"] > 100
    assert result["refused"] > 0  # the strong mode, during the cuts


@pytest.mark.slow
def test_slow_lossy_reordering_links_delay_the_answer_and_do_not_falsify_it(tmp_path, require, monkeypatch):
    require("namespaces", (reason := no_tun()) is None, reason or "")
    monkeypatch.setitem(scenario.SCENARIOS, "slow-links", slow_links)
    with TunSwitch(3, f"ct{os.getpid()}") as network:
        links = [(a, b) for a in range(3) for b in range(3) if a != b]
        network.shape(links, Link(delay_seconds=0.02, jitter_seconds=0.03, loss=0.03, duplication=0.05))
        result = scenario.run(Plan(3, "slow-links", 0.0, rate=300.0), tmp_path / "run", network)
    assert faults_of(result) == []
    assert result["acknowledged"] == result["recovered"] > 500
    assert result["interval_checks"] > 50
