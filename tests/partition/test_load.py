"""Clients of a cluster under test keep a right record, whatever the nodes do: here they are scripted."""

import time

import pytest

from convergence_jax.errors import RemoteError
from convergence_jax.partition.clusters.load import Load


class Scripted:
    """A cluster of two nodes, and every connection to it."""

    names = ("n1", "n2")

    def __init__(self, fails=lambda path: False, restarts=False, refuses=lambda path: 0):
        self.fails, self.restarts, self.refuses = fails, restarts, refuses
        self.lives = 1
        self.acknowledged: set[tuple[str, int]] = set()

    def life(self, node):
        """Which process of a node is up."""
        return self.lives

    def connection(self, node, client, timeout_seconds=1.0):
        """One to a node."""
        return Connection(self, client)


class Connection:
    """Answers as a node would."""

    def __init__(self, cluster, client):
        self.cluster, self.client = cluster, client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Nothing is open."""

    def request(self, method, path, json=None):
        """Acknowledge writes and answer questions, unless the script says otherwise."""
        if self.cluster.fails(path):
            self.cluster.lives += self.cluster.restarts
            raise RemoteError("no answer")
        if status := self.cluster.refuses(path):
            return status, {"error": "no"}
        if method == "POST":
            name = self.client, json["sequence"]
            duplicate = name in self.cluster.acknowledged
            self.cluster.acknowledged.add(name)
            return 200, {"acknowledged": True, "duplicate": duplicate}
        return 200, {"what": "count"}


def run(cluster, seconds=1.5):
    """The records of a load, once each node has acknowledged some writes or time is up."""
    with Load(cluster, rate=100.0, seed=1) as load:
        time.sleep(seconds)
        finished = load.finish_writing(1.0)
    return load.records, finished


def every(number, what):
    """True at every so manieth request of a kind."""
    seen = []

    def fails(path):
        seen.append(path)
        return path.startswith(what) and len([p for p in seen if p.startswith(what)]) % number == 0

    return fails


def total(records, what):
    """Of all clients."""
    return sum(getattr(record, what) for record in records)


def modes(records, what):
    """Of all clients, by mode."""
    found = {}
    for record in records:
        for mode, asked in record.modes.items():
            found[mode] = found.get(mode, 0) + getattr(asked, what)
    return found


def test_what_is_acknowledged_and_answered_is_counted_once():
    cluster = Scripted()
    records, finished = run(cluster)
    assert finished
    assert total(records, "writes") == len(cluster.acknowledged) > 5
    assert total(records, "events") > total(records, "writes")
    assert total(records, "again") >= 2
    assert total(records, "retried") == total(records, "unanswered") == 0
    assert not any(record.wrong for record in records)
    assert all(modes(records, "asked").values())
    assert modes(records, "answered") == modes(records, "asked")
    assert sum(len(record.answers) for record in records) == modes(records, "answered")["statistical"]
    assert sum(len(record.write_seconds) for record in records) == total(records, "writes")


@pytest.mark.parametrize("restarts", [True, False])
def test_a_node_that_restarts_is_excused_and_one_that_only_does_not_answer_is_not(restarts):
    cluster = Scripted(fails=every(3, "/writes"), restarts=restarts)
    records, finished = run(cluster)
    assert finished
    assert total(records, "writes") == len(cluster.acknowledged) > 3
    assert total(records, "retried") > 0
    assert total(records, "unanswered") == (0 if restarts else total(records, "retried"))
    cluster = Scripted(fails=every(2, "/answers"), restarts=restarts)
    records, _ = run(cluster, 1.0)
    failed = sum(modes(records, "failed").values())
    assert bool(failed) != restarts
    assert sum(len(record.wrong) for record in records) == failed


def test_a_refusal_is_none_where_an_answer_was_promised():
    records, _ = run(Scripted(refuses=lambda path: 503 if path.startswith("/answers") else 0), 1.0)
    assert all(modes(records, "asked").values())
    assert not any(modes(records, "answered").values())
    refused, failed = modes(records, "refused"), modes(records, "failed")
    assert {mode for mode, number in refused.items() if number} == {"strong", "bounded_staleness"}
    assert {mode for mode, number in failed.items() if number} == {"statistical", "eventual"}
    assert all("query answered 503" in line for record in records for line in record.wrong)


def test_an_answer_that_no_node_gives_is_wrong_for_reads_and_writes():
    cluster = Scripted(refuses=lambda path: 0 if path == "/metrics" else 404)
    records, finished = run(cluster, 1.0)
    assert not finished
    assert not cluster.acknowledged
    assert total(records, "writes") == 0
    assert total(records, "retried") > 0
    assert modes(records, "failed") == modes(records, "asked")
    said = [line for record in records for line in record.wrong]
    assert any("write answered 404" in line for line in said)
    assert any("strong query answered 404" in line for line in said)
