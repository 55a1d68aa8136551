"""What befalls a cluster in an unattended run: one function a scenario, from a seeded source of chance."""

import random
import time
from collections import Counter
from collections.abc import Callable

from convergence_jax.partition.clusters.cluster import Cluster

Scenario = Callable[[Cluster, random.Random, float, Counter[str]], None]
"""Takes a running cluster, a source of chance, for how many seconds, and a tally of what it did."""


def cut_heal(cluster: Cluster, chance: random.Random, seconds: float, done: Counter[str]) -> None:
    """Cut into two or three groups at random, an island of one among them at times, and heal; ends cut."""
    end = time.monotonic() + seconds
    cycle = max(3.0, seconds / 4)
    _sleep(0.2 * cycle, end)
    while time.monotonic() < end:
        names = chance.sample(cluster.names, len(cluster.names))
        first = chance.choice([1, len(names) // 2, chance.randint(1, len(names) - 1)])
        second = chance.choice([first, chance.randint(first, len(names))])
        cluster.cut([names[:first], names[first:second]])
        done["cuts"] += 1
        _sleep(0.6 * cycle * chance.uniform(0.8, 1.2), end)
        _heal(cluster, 0.4 * cycle * chance.uniform(0.8, 1.2), cycle, end, done)


def one_way(cluster: Cluster, chance: random.Random, seconds: float, done: Counter[str]) -> None:
    """Cut links in one direction, between two groups or here and there, and heal; ends cut."""
    end = time.monotonic() + seconds
    cycle = max(3.0, seconds / 4)
    _sleep(0.2 * cycle, end)
    while time.monotonic() < end:
        names = chance.sample(cluster.names, len(cluster.names))
        half = chance.randint(1, len(names) - 1)
        links = [(a, b) for a in names[:half] for b in names[half:]]
        if chance.random() < 0.5:
            every = [(a, b) for a in names for b in names if a != b]
            links = chance.sample(every, len(every) // 2)
        cluster.cut_one_way(links)
        done["cuts"] += 1
        _sleep(0.6 * cycle * chance.uniform(0.8, 1.2), end)
        _heal(cluster, 0.4 * cycle * chance.uniform(0.8, 1.2), cycle, end, done)


def crash(cluster: Cluster, chance: random.Random, seconds: float, done: Counter[str]) -> None:
    """Kill nodes with SIGKILL, now and then one that is only just starting, and start them again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _sleep(chance.uniform(0.5, 2.5), end)
        victims = chance.sample(cluster.names, chance.choice([1, 1, min(2, len(cluster.names))]))
        for name in victims:
            cluster.kill(name)
            done["kills"] += 1
        _sleep(chance.uniform(0.0, 1.5), end)
        if chance.random() < 0.3:
            cluster.launch(victims[0])
            time.sleep(chance.uniform(0.1, 1.5))
            cluster.kill(victims[0])
            done["kills"] += 1
        cluster.start(victims)
        done["starts"] += len(victims)


def flap(cluster: Cluster, chance: random.Random, seconds: float, done: Counter[str]) -> None:
    """Cut another random third of all links, both ways, or none, about every second; ends cut."""
    end = time.monotonic() + seconds
    pairs = [(a, b) for a in cluster.names for b in cluster.names if a < b]
    while time.monotonic() < end:
        down = chance.sample(pairs, max(1, len(pairs) // 3))
        cluster.cut_one_way([*down, *((b, a) for a, b in down)])
        done["cuts"] += 1
        _sleep(chance.uniform(0.5, 1.5), end)
        if chance.random() < 0.5:
            _heal(cluster, chance.uniform(0.5, 1.5), 2.0, end, done)


SCENARIOS: dict[str, Scenario] = {"cut-heal": cut_heal, "one-way": one_way, "crash": crash, "flap": flap}
"""By the name that the command line has for them."""


def _heal(cluster: Cluster, seconds: float, needed: float, end: float, done: Counter[str]) -> None:
    """Heal for some seconds where enough are left to cut again; the run ends cut otherwise."""
    if time.monotonic() + needed < end:
        cluster.heal()
        done["heals"] += 1
        _sleep(seconds, end)
    else:
        _sleep(needed, end)


def _sleep(seconds: float, end: float) -> None:
    time.sleep(max(0.0, min(seconds, end - time.monotonic())))
