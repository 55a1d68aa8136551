"""Unattended runs: a cluster under load and faults; then all that was acknowledged is counted again."""

import json
import random
import shutil
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from convergence_jax.errors import RemoteError
from convergence_jax.partition.clusters.cluster import Cluster, wait_until
from convergence_jax.partition.clusters.faults import SCENARIOS
from convergence_jax.partition.clusters.load import LOCAL, READER, REMOTE, Load, Record, writer_name
from convergence_jax.partition.clusters.local import SCALE_BITS, STATISTIC, Network, prepare
from convergence_jax.partition.clusters.truth import Truth
from convergence_jax.partition.nodes.node import JOURNAL, RELEASES
from convergence_jax.partition.nodes.release_log import read_releases
from convergence_jax.partition.writes.tables import RECOUNT
from convergence_jax.transport.private_file import write_whole

RESULT = "result.json"
"""The file of figures in the folder of a run; it is there as a whole or not at all."""

ANSWERS = "answers.jsonl"
"""Every statistical answer of a run, as JSON lines with the node that gave it."""

_SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes
    ----------
    nodes : int
        At least 2.
    scenario : str
        One of :data:`~convergence_jax.partition.clusters.faults.SCENARIOS`.
    seconds : float
        How long faults and load last; starting and finishing come on top.
    rate : float
        Events a second that are written to each node.
    seed : int
        Of faults and load. Processes have their own will, so it does not fix the outcome.
    round_seconds : float
        How often a node exchanges with another.
    """

    nodes: int
    scenario: str
    seconds: float
    rate: float = 1000.0
    seed: int = 0
    round_seconds: float = 0.5


def run(
    plan: Plan, folder: Path, network: Network | None, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Run a plan; what is counted is the count of one statistic.

    Parameters
    ----------
    plan : Plan
    folder : Path
        New or empty. The files, logs and journals of all nodes stay there, and :data:`RESULT`; interrupted,
        nothing stays.
    network : Network, optional
        Network namespaces; the nodes' own link switch unless given.
    say : callable of str
        Takes a line about each stage.

    Returns
    -------
    dict
        As in :data:`RESULT`: see :func:`faults_of`.

    Raises
    ------
    InputError
        If the folder holds something or a node cannot start.
    """
    clients = [READER, *(writer_name(f"n{i + 1}") for i in range(plan.nodes))]
    files = prepare(
        folder,
        plan.nodes,
        rate=2 * plan.rate,
        burst=max(1.0, plan.rate / 2),
        clients=clients,
        round_seconds=plan.round_seconds,
        allow_faults=True,
        network=network,
    )
    try:
        result = _run(plan, Cluster(files, network), say)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    write_whole(folder / RESULT, json.dumps(result, indent=2).encode() + b"\n", private=False)
    return result


def _run(plan: Plan, cluster: Cluster, say: Callable[[str], None]) -> dict[str, Any]:
    done: Counter[str] = Counter()
    with cluster:
        say(f"starting {plan.nodes} nodes")
        cluster.start()
        time.sleep(_SETTLE_SECONDS)
        idle = cluster.memory_megabytes()
        say(f"{plan.scenario} for {plan.seconds:g} s")
        with Load(cluster, plan.rate, plan.seed) as load:
            chance = random.Random(f"{plan.seed} {plan.scenario}")
            SCENARIOS[plan.scenario](cluster, chance, plan.seconds, done)
            cluster.start()
            finished = load.finish_writing(60.0)
            say("waiting until nothing waits")
            released = wait_until(lambda: cluster.backlog() == 0, 120.0)
            say("healing")
            healing = time.monotonic()
            cluster.heal()
            converged = cluster.converge(30.0 + plan.nodes)
            seconds = None if converged is None else time.monotonic() - healing
        counts = [_count(cluster, name) for name in cluster.names]
        digests = cluster.digests()
        bytes_sent = sum(said["bytes"]["sent"] for said in cluster.statuses().values() if said)
        busy = cluster.memory_megabytes()
    say("counting again")
    told = ((record.node, said) for record in load.records for said in record.answers)
    lines = "".join(json.dumps({"node": node, **said}) + "\n" for node, said in told)
    write_whole(cluster.files.folder / ANSWERS, lines.encode(), private=False)
    return {
        "schema": "convergence.cluster.1",
        "version": metadata.version("convergence-jax"),
        "scenario": plan.scenario,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "network": "switch" if cluster.network is None else "namespaces",
        "nodes": plan.nodes,
        "rate": plan.rate,
        "faults": dict(done),
        "cuts": _cuts(cluster.history),
        **_writes(cluster, load.records, counts),
        "digests": digests,
        "finished": finished and released,
        **_queries(load.records),
        **_intervals(cluster, load.records),
        "seconds_to_converge": None if seconds is None else round(seconds, 3),
        "bytes_sent": bytes_sent,
        "memory_mb": {"idle": _median_and_most(idle), "loaded": _median_and_most(busy)},
        "wrong": [line for record in load.records for line in record.wrong][:20],
    }


def faults_of(result: dict[str, Any]) -> list[str]:
    """What a run shows to be broken, each as a line; nothing if all went well.

    Parameters
    ----------
    result : dict
        ``acknowledged``: events that clients saw acknowledged. ``recovered``: events in the state that all
        nodes agree on. ``recounted``: events in the journals, by SQL. ``digests``: one a node.
        ``queries``, ``answered``: statistical and eventual ones to nodes that were up. ``refused``: strong
        and bounded ones. ``interval_checks``, ``interval_misses``: statistical answers held against what the
        nodes' logs of releases say. ``seconds_to_converge``: from the order to heal to one digest; null if
        there is none.
    """
    faults = []
    acknowledged = result["acknowledged"]
    for name, where in (("recovered", "in the nodes' states"), ("recounted", "in the journals")):
        difference = acknowledged - result[name]
        if difference:
            word = "lost" if difference > 0 else "invented"
            faults.append(f"{abs(difference)} of {acknowledged} events {word} {where}")
    if result["sequences_missing"] or result["sequences_unknown"]:
        faults.append("the journals hold other writes than those acknowledged")
    if not result["finished"]:
        faults.append("some writes were never acknowledged or released")
    if result["seconds_to_converge"] is None:
        faults.append("the nodes did not come to one digest")
    if result["interval_misses"]:
        faults.append(
            f"{result['interval_misses']} of {result['interval_checks']} intervals missed the truth"
        )
    if result["answered"] < result["queries"]:
        faults.append(f"{result['queries'] - result['answered']} of {result['queries']} queries unanswered")
    faults += result["wrong"][:3]
    return faults


def _cuts(history: Sequence[tuple[int, int]]) -> list[list[int]]:
    """From when until when any link was cut, in nanoseconds of the nodes' clock."""
    cuts: list[list[int]] = []
    began: int | None = None
    for instant, links in history:
        if links and began is None:
            began = instant
        elif not links and began is not None:
            cuts.append([began, instant])
            began = None
    return cuts


def _count(cluster: Cluster, name: str) -> int | None:
    """Observations that a node counts, from itself and everybody else."""
    with cluster.connection(name, READER) as connection:
        try:
            status, said = connection.request(
                "GET", f"/answers?statistic={STATISTIC}&what=count&mode=eventual"
            )
        except RemoteError:
            return None
    return int(said["count"]) if status == 200 else None


def _writes(cluster: Cluster, records: Sequence[Record], counts: Sequence[int | None]) -> dict[str, Any]:
    known = [count for count in counts if count is not None]
    acknowledged = Counter[str]()
    for record in records:
        acknowledged[record.node] += record.writes
    events = missing = unknown = 0
    for node in cluster.names:
        counted, kept = _recount(cluster.files.data(node) / JOURNAL)
        events += counted
        wanted = {(writer_name(node), sequence) for sequence in range(acknowledged[node])}
        missing += len(wanted - kept)
        unknown += len(kept - wanted)
    seconds = [s for record in records for s in record.write_seconds]
    return {
        "acknowledged": sum(record.events for record in records),
        "recovered": min(known, default=0),
        "recounted": events,
        "writes": sum(record.writes for record in records),
        "sequences_missing": missing,
        "sequences_unknown": unknown,
        "sent_again": sum(record.again for record in records),
        "retried": sum(record.retried for record in records),
        "unanswered_writes": sum(record.unanswered for record in records),
        "p99_write_ms": _p99_ms(seconds),
    }


def _recount(path: Path) -> tuple[int, set[tuple[str, int]]]:
    """Events that a journal holds, those taken back left out, and its writes by client and sequence."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(RECOUNT).fetchall()
    writes = {(client, sequence) for client, first, last, *_ in rows for sequence in range(first, last + 1)}
    return sum(events - 2 * removed for *_, events, removed in rows), writes


def _queries(records: Sequence[Record]) -> dict[str, Any]:
    modes = {mode: [record.modes[mode] for record in records] for mode in LOCAL + REMOTE}
    totals = {
        mode: {what: sum(getattr(part, what) for part in parts) for what in ("asked", "answered", "refused")}
        for mode, parts in modes.items()
    }
    seconds = {mode: [s for part in parts for s in part.seconds] for mode, parts in modes.items()}
    local = [s for mode in LOCAL for s in seconds[mode]]
    writes = [s for record in records for s in record.write_seconds]
    return {
        "queries": sum(totals[mode]["asked"] for mode in LOCAL),
        "answered": sum(totals[mode]["answered"] for mode in LOCAL),
        "refused": sum(totals[mode]["refused"] for mode in REMOTE),
        "p99_ms": _p99_ms(local + writes),
        "p99_query_ms": _p99_ms(local),
        "modes": {mode: {**counted, "p99_ms": _p99_ms(seconds[mode])} for mode, counted in totals.items()},
    }


def _intervals(cluster: Cluster, records: Sequence[Record]) -> dict[str, Any]:
    logs = [read_releases(cluster.files.data(node) / RELEASES) for node in cluster.names]
    truth = Truth(logs, STATISTIC, SCALE_BITS)
    answers = [answer for record in records for answer in record.answers]
    held = [truth.holds(answer) for answer in answers]
    widths = [
        answer["upper"] - answer["lower"]
        for answer in answers
        if answer["what"] == "mean" and None not in (answer["upper"], answer["lower"])
    ]
    return {
        "interval_checks": sum(one is not None for one in held),
        "interval_misses": sum(one is False for one in held),
        "median_width": round(statistics.median(widths), 3) if widths else None,
    }


def _p99_ms(seconds: Sequence[float]) -> float | None:
    """The least figure that 99% of them do not exceed, in milliseconds."""
    ordered = sorted(seconds)
    return round(1000 * ordered[-(-99 * len(ordered) // 100) - 1], 2) if ordered else None


def _median_and_most(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"median": None, "max": None}
    return {"median": round(statistics.median(values), 1), "max": round(max(values), 1)}
