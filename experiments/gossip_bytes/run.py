"""Rounds of exchanges until all nodes hold all news, and bytes of messages by rate and number of nodes."""

import math
import random
from collections import Counter
from typing import Any

from convergence_jax.partition.participant import Clock, Participant
from convergence_jax.partition.rows.roster import Feature, Member, MomentsSchema, Roster, SignedRoster
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.node import seal, sealed
from convergence_jax.partition.simulation.simulator import one_round
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.writer import Request

SECOND = 10**9


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Distributions of rounds; bytes an event, and a node and round when idle."""
    seed, news, gossip = config["experiment"]["seed"], config["news"], config["bytes"]
    rounds = {}
    for nodes, seeds in zip(news["nodes"], news["seeds"], strict=True):
        found = Counter(Cluster(nodes, f"{seed} {nodes} {i}").spread() for i in range(seeds))
        rounds[nodes] = dict(sorted(found.items()))
        print(f"{nodes} nodes: {rounds[nodes]}", flush=True)
    sent: dict[str, dict[str, float]] = {}
    idle = {}
    for nodes, warm_up, length in zip(gossip["nodes"], gossip["warm_up"], gossip["rounds"], strict=True):
        for events in gossip["events"]:
            each = Cluster(nodes, f"{seed} {nodes} {events}").bytes_a_round(events, warm_up, length) / nodes
            if events:
                sent.setdefault(f"nodes_{nodes}", {})[f"events_{events}"] = each / events
            else:
                idle[f"nodes_{nodes}"] = each
            print(f"{nodes} nodes, {events} events: {each:.0f} bytes a node and round", flush=True)
    most = {nodes: max(found) for nodes, found in rounds.items()}
    return {
        "news": {f"nodes_{nodes}": {str(r): n for r, n in found.items()} for nodes, found in rounds.items()},
        "news_at_most": {f"nodes_{nodes}": number for nodes, number in most.items()},
        "news_above_bound": sum(number > 2 * math.log2(nodes) + 4 for nodes, number in most.items()),
        "an_event": sent,
        "idle": idle,
    }


class Cluster:
    """Participants under one clock, with seals as long as signatures in their place."""

    def __init__(self, nodes: int, seed: str) -> None:
        self.now, self.chance = SECOND, random.Random(seed)
        names = [f"n{i}" for i in range(nodes)]
        members = [Member(name=name, keys=[], address="x:1", rate=1e6, burst=1e6) for name in names]
        delay = MomentsSchema(name="latency", features=[Feature(name="delay", low=0, high=1000)])
        roster = Roster(cluster="c", version=1, authority="", members=members, statistics=[delay])
        signed = SignedRoster(roster, "")
        clock = Clock(lambda: self.now, lambda: 1.7e9 + self.now / SECOND, self.chance.randbytes)
        self.participants = [
            Participant(name, signed, SimulatedDisk(), 1_700_000_000, clock, sign=seal, verify=sealed)
            for name in names
        ]
        self._sequence = 0

    def step(self, events: int) -> None:
        """A second passes, and every node releases so many events and shows a new version of its row."""
        self.now += SECOND
        for participant in self.participants:
            if events:
                values = [self.chance.uniform(0, 1000) for _ in range(events)]
                payload = observations(participant.replica.roster, "latency", values)
                participant.submit(Request("c", self._sequence, "latency", payload), lambda outcome: None)
            step = participant.begin()
            participant.journal.commit(step.commit)
            participant.finish(step)
        self._sequence += 1

    def spread(self) -> int:
        """Rounds until every node holds what each one had alone."""
        self.step(1)
        rounds = 0
        while len({participant.digest_of_states() for participant in self.participants}) > 1:
            one_round(self.participants, self.chance)
            rounds += 1
        return rounds

    def bytes_a_round(self, events: int, warm_up: int, rounds: int) -> float:
        """Bytes of all messages of a round, in the mean."""
        sent = 0
        for number in range(warm_up + rounds):
            self.step(events)
            took = one_round(self.participants, self.chance)
            sent += took if number >= warm_up else 0
        return sent / rounds
