"""Clients of a cluster under test: they write and ask all the time, and keep a record of what came of it."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from convergence_jax.errors import RemoteError
from convergence_jax.partition.clusters.cluster import Cluster
from convergence_jax.partition.clusters.local import FEATURE, STATISTIC
from convergence_jax.transport.http_client import HttpClient

READER = "reader"
"""The client that asks."""

LOCAL = ("statistical", "eventual")
"""Modes that always answer, from what is at the node."""

REMOTE = ("strong", "bounded_staleness")
"""Modes that refuse where they cannot keep what they promise."""

_MAX_AGE_SECONDS = 3.0
_STRONG_SECONDS = 1.0
_AGAIN_EVERY = 9
_SURGE_EVERY = 20


def writer_name(node: str) -> str:
    """The client that writes to a node, and to no other: a write sent to two nodes would be two writes."""
    return f"writer-{node}"


@dataclass
class Asked:
    """Queries of one mode: how many of a node that was up all the while, and what became of them.

    Attributes
    ----------
    asked, answered, refused, failed : int
        `failed` is neither an answer nor a refusal.
    seconds : list of float
        Of each answer.
    """

    asked: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass
class Record:
    """What became of everything that one client sent.

    Attributes
    ----------
    node : str
        Whom it was sent to.
    writes, events : int
        Acknowledged, each once.
    again : int
        Writes that were sent once more after their acknowledgement, and known as such.
    retried : int
        Attempts that brought no acknowledgement.
    unanswered : int
        Those of them where the node was up all the while.
    wrong : list of str
        Answers that should not be.
    write_seconds : list of float
        Of each attempt that brought an acknowledgement.
    modes : dict of str to Asked
    answers : list of dict
        Statistical ones, to be checked afterwards.
    """

    node: str
    writes: int = 0
    events: int = 0
    again: int = 0
    retried: int = 0
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    write_seconds: list[float] = field(default_factory=list)
    modes: dict[str, Asked] = field(default_factory=lambda: {mode: Asked() for mode in LOCAL + REMOTE})
    answers: list[dict[str, Any]] = field(default_factory=list)


class Load:
    """A context in which clients write to every node and ask every node.

    Parameters
    ----------
    cluster : Cluster
        Running.
    rate : float
        Events a second to each node.
    seed : int
        Of what is written, asked and when.

    Notes
    -----
    Threads of one process are to leave the cores to the nodes: the more nodes, the rarer is a request to each
    of them, and the more events it carries.
    """

    WRITES_A_SECOND = 40.0
    QUERIES_A_SECOND = 80.0
    SLOW_QUERIES_A_SECOND = 10.0

    def __init__(self, cluster: Cluster, rate: float, seed: int) -> None:
        self._cluster, self._rate = cluster, rate
        self._writing, self._asking = threading.Event(), threading.Event()
        self._given_up = threading.Event()
        self.records: list[Record] = []
        self._writers, self._readers = [], []
        count = len(cluster.names)
        for place, node in enumerate(cluster.names):
            chance = [random.Random(f"{seed} {node} {what}") for what in ("write", "ask")]
            every = max(0.1, count / self.WRITES_A_SECOND)
            self._writers.append(self._thread(self._write, node, chance[0], every, 100.0 * place))
            every = max(0.05, count / self.QUERIES_A_SECOND)
            self._readers.append(self._thread(self._ask, [node], chance[1], every, LOCAL))
        chances = random.Random(f"{seed} slow")
        slow = 2 / self.SLOW_QUERIES_A_SECOND
        for mode in REMOTE:
            self._readers.append(self._thread(self._ask, cluster.names, chances, slow, [mode]))

    def _thread(self, run: Callable[..., None], *words: Any) -> threading.Thread:
        return threading.Thread(target=run, args=words, daemon=True)

    def __enter__(self) -> "Load":
        for thread in self._writers + self._readers:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for event in (self._writing, self._asking, self._given_up):
            event.set()
        for thread in self._writers + self._readers:
            thread.join()

    def finish_writing(self, timeout_seconds: float) -> bool:
        """Write nothing new; whether all that was sent is acknowledged in time. Every node must be up."""
        self._writing.set()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._writers:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._writers)

    def _record(self, node: str) -> Record:
        record = Record(node)
        self.records.append(record)
        return record

    # Writing

    def _write(self, node: str, chance: random.Random, every: float, mean: float) -> None:
        record, sequence = self._record(node), 0
        with self._cluster.connection(node, writer_name(node)) as connection:
            _connect(connection)
            while not self._writing.wait(every * chance.uniform(0.5, 1.5)):
                events = max(1, round(self._rate * every * chance.uniform(0.5, 1.5)))
                if sequence % _SURGE_EVERY == _SURGE_EVERY - 1:  # more than the cap lets through at once
                    events = min(50_000, 10 * events)
                values = [chance.uniform(0.0, 100.0) + mean % 900.0 for _ in range(events)]
                body = {"sequence": sequence, "statistic": STATISTIC, "values": values}
                if not self._acknowledged(connection, record, body, events):
                    return
                if sequence % _AGAIN_EVERY == 0:
                    self._send_again(connection, record, body)
                sequence += 1

    def _acknowledged(
        self, connection: HttpClient, record: Record, body: dict[str, Any], events: int
    ) -> bool:
        """Send a write with one number until it is acknowledged; False if the whole load ends before."""
        while not self._given_up.is_set():
            life = self._cluster.life(record.node)
            started = time.perf_counter()
            try:
                status, said = connection.request("POST", "/writes", json=body)
            except RemoteError:
                status, said = 0, None
            seconds = time.perf_counter() - started
            if status == 200 and said["acknowledged"]:
                record.writes += 1
                record.events += events
                record.write_seconds.append(seconds)
                return True
            record.retried += 1
            if life is not None and life == self._cluster.life(record.node):
                record.unanswered += 1
            if status:
                record.wrong.append(f"{record.node}: write answered {status}: {said}"[:200])
            self._given_up.wait(0.05)
        return False

    def _send_again(self, connection: HttpClient, record: Record, body: dict[str, Any]) -> None:
        """As a client whose acknowledgement was lost."""
        try:
            status, said = connection.request("POST", "/writes", json=body)
        except RemoteError:
            return
        record.again += 1
        if status != 200 or not said["duplicate"]:
            record.wrong.append(f"{record.node}: a write sent again answered {status}: {said}"[:200])

    # Asking

    def _ask(self, nodes: Sequence[str], chance: random.Random, every: float, modes: Sequence[str]) -> None:
        records = {node: self._record(node) for node in nodes}
        connections = {node: self._cluster.connection(node, READER, 5.0) for node in nodes}
        for connection in connections.values():
            _connect(connection)
        try:
            while not self._asking.wait(every * chance.uniform(0.5, 1.5)):
                node = chance.choice(nodes)
                if self._cluster.life(node) is not None:
                    self._query(connections[node], records[node], chance.choice(modes), chance)
        finally:
            for connection in connections.values():
                connection.close()

    def _query(self, connection: HttpClient, record: Record, mode: str, chance: random.Random) -> None:
        query = {"statistic": STATISTIC, "what": "count", "mode": mode}
        if chance.random() < 0.6:
            query |= {"what": "mean", "feature": FEATURE}
        if mode == "bounded_staleness":
            query["max_age"] = str(_MAX_AGE_SECONDS)
        if mode == "strong":
            query["timeout"] = str(_STRONG_SECONDS)
        life = self._cluster.life(record.node)
        started = time.perf_counter()
        try:
            status, said = connection.request("GET", "/answers?" + urlencode(query))
        except RemoteError as error:
            status, said = 0, str(error)
        seconds = time.perf_counter() - started
        asked = record.modes[mode]
        if status == 0 and (life is None or life != self._cluster.life(record.node)):
            return  # it was down
        asked.asked += 1
        if status == 200:
            asked.answered += 1
            asked.seconds.append(seconds)
            if mode == "statistical":
                record.answers.append(said)
        elif status == 503 and mode in REMOTE:
            asked.refused += 1
        else:
            asked.failed += 1
            record.wrong.append(f"{record.node}: {mode} query answered {status}: {said}"[:200])


def _connect(connection: HttpClient) -> None:
    """Shake hands before the first request that is timed."""
    with suppress(RemoteError):
        connection.request("GET", "/metrics")
