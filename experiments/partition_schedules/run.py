"""Simulated schedules against an exact oracle; rounds to one digest after healing; bytes of gossip."""

import math
import os
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convergence_jax.partition.participant import Clock, Participant
from convergence_jax.partition.rows.roster import Feature, Member, MomentsSchema, Roster, SignedRoster
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.simulator import Report, one_round, simulate
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.writer import Request

SIGNATURE = bytes(64)


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Counts of what was checked and what was wrong, rounds, and bytes an event."""
    first, given = config["experiment"]["seed"], config["schedules"]
    seeds = range(first, first + given["count"])
    with ProcessPoolExecutor(given["processes"], get_context("spawn")) as pool:
        reports = list(pool.map(simulate, seeds, chunksize=5))
    rounds = {
        n: max(_rounds(n, s) for s in range(config["rounds"]["seeds"])) for n in config["rounds"]["nodes"]
    }
    return {
        **_summary(reports),
        "rounds": {str(n): most for n, most in rounds.items()},
        "rounds_above_bound": sum(most > 2 * math.log2(n) + 4 for n, most in rounds.items()),
        **_bytes(**config["gossip"]),
    }


def _summary(reports: list[Report]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
    wrong = [report.recipe for report in reports if report.wrong]
    return {"schedules": len(reports), "wrong": len(wrong), "recipes": wrong[:10], "checked": dict(counts)}


def _cluster(nodes: int, clock: Clock) -> list[Participant]:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    names = [f"n{i}" for i in range(nodes)]
    members = [Member(name=name, keys=[key], address="x:1", rate=1e6, burst=1e6) for name in names]
    delay = MomentsSchema(name="latency", features=[Feature(name="delay", low=0, high=1000)])
    roster = Roster(cluster="rounds", version=1, authority=key, members=members, statistics=[delay])
    signed = SignedRoster(roster, "")
    start = {"sign": lambda body: SIGNATURE, "verify": lambda *words: True}
    return [Participant(name, signed, SimulatedDisk(), 1, clock, **start) for name in names]


def _write(participant: Participant, sequence: int, values: list[float]) -> None:
    payload = observations(participant.replica.roster, "latency", values)
    participant.submit(Request("c", sequence, "latency", payload), lambda outcome: None)


def _step(participant: Participant) -> None:
    step = participant.begin()
    participant.journal.commit(step.commit)
    participant.finish(step)


def _rounds(nodes: int, seed: int) -> int:
    """Rounds until all hold all, when every node has news of its own."""
    now, chance = [10**9], random.Random(f"{nodes} {seed}")
    cluster = _cluster(nodes, Clock(lambda: now[0], lambda: 0.0, chance.randbytes))
    now[0] += 10**9
    for participant in cluster:
        _write(participant, 0, [float(chance.randrange(1000))])
        _step(participant)
    count = 0
    while len({participant.replica.digest() for participant in cluster}) > 1:
        one_round(cluster, chance)
        count += 1
    return count


def _bytes(nodes: int, events: int, rounds: int) -> dict[str, float]:
    """Bytes of messages an event, signatures included, and a node and round when nothing is written."""
    now, chance = [10**9], random.Random("bytes")
    cluster = _cluster(nodes, Clock(lambda: now[0], lambda: 0.0, os.urandom))
    sent = [0, 0]
    for number in range(2 * rounds):
        now[0] += 10**9
        idle = number >= rounds
        for participant in cluster:
            if not idle:
                _write(participant, number, [chance.uniform(0, 1000) for _ in range(events)])
            _step(participant)
        sent[idle] += one_round(cluster, chance)
    return {"bytes_an_event": sent[0] / (nodes * events * rounds), "idle_bytes": sent[1] / (nodes * rounds)}
