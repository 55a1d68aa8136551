"""Behaviours that TLC found, taken step by step on the real classes.

A trace is a list of steps: an event, and what the specification says each node then holds, where that
changed; null is for what a node that is down does not hold. `of_gossip` and `of_equivocation` make traces
from TLC's states; `replay` takes one on `Participant`, `Replica` and `SqliteJournal`, and says where they
differ.
"""

import json
from pathlib import Path
from typing import Any

from proofs.tla import tlc
from proofs.tla.equivocating_cluster import EquivocatingCluster
from proofs.tla.gossiping_cluster import GossipingCluster
from proofs.tla.values import State

Trace = dict[str, Any]
"""``kind``, ``nodes``, ``constants`` as in the config, and ``steps``."""

_NO_TOKEN = {"counter": 0, "time": 0}


def _tokens(tokens: dict[str, Any]) -> dict[str, list[int]]:
    return {node: [t["counter"], t["time"]] for node, t in sorted(tokens.items()) if t != _NO_TOKEN}


def _gossip_view(state: State, node: str) -> dict[str, Any]:
    """What the specification says of a node, in the words of `GossipingCluster.view`."""
    acknowledged = sorted(state["acknowledged"][node])
    if not state["up"][node]:
        return {"acknowledged": acknowledged}
    rows = {
        row["node"]: [
            row["counter"],
            row["version"],
            list(row["counts"]),
            row["issued"],
            _tokens(row["echoes"]),
        ]
        for row in state["held"][node]
    }
    says = state["says"][node]
    return {
        "acknowledged": acknowledged,
        "rows": dict(sorted(rows.items())),
        "seen": _tokens(state["seen"][node]),
        "total": says["total"],
        "ages": dict(says["ages"]),
        "missing": dict(says["missing"]),
    }


def _equivocation_view(state: State, node: str) -> dict[str, Any]:
    rows = [[row["incarnation"], row["version"], row["text"]] for row in state["table"][node]]
    return {"rows": rows, "proofs": sorted(state["proofs"][node])}


def _plain(part: Any) -> Any:
    """Of an event: as JSON has it."""
    if isinstance(part, frozenset):
        return sorted(part)
    return dict(part) if isinstance(part, dict) else part


def _steps(states: list[State], view: Any, nodes: list[str]) -> list[Any]:
    known: dict[str, Any] = {node: {} for node in nodes}
    steps = []
    for state in states:
        changed = {}
        for node in nodes:
            now = view(state, node)
            parts = {
                key: now.get(key) for key in {**known[node], **now} if now.get(key) != known[node].get(key)
            }
            known[node] = now
            if parts:
                changed[node] = parts
        steps.append([[_plain(part) for part in state["event"]], changed])
    return steps


def of_gossip(states: list[State], constants: dict[str, int]) -> Trace:
    """A trace from a behaviour of GossipTrace.tla."""
    nodes = sorted(states[0]["up"])
    return {
        "kind": "gossip",
        "nodes": nodes,
        "constants": constants,
        "steps": _steps(states, _gossip_view, nodes),
    }


def of_equivocation(states: list[State], constants: dict[str, int]) -> Trace:
    """A trace from a behaviour of EquivocationTrace.tla."""
    nodes = sorted(states[0]["table"])
    steps = _steps(states, _equivocation_view, nodes)
    return {"kind": "equivocation", "nodes": nodes, "constants": constants, "steps": steps}


_DEPTHS = {"Gossip": 80, "Equivocation": 30}


def fresh(module: str, *, number: int, seed: int) -> list[Trace]:
    """Random behaviours of a specification, made by TLC."""
    config = f"{module}Trace.cfg"
    behaviours = tlc.simulate(config, number=number, depth=_DEPTHS[module], seed=seed)
    constants = tlc.numbers_of((tlc.HERE / config).read_text())
    make = of_gossip if module == "Gossip" else of_equivocation
    return [make(behaviour, constants) for behaviour in behaviours]


def replay(trace: Trace, folder: Path) -> str:
    """Take a trace on the real classes; the first difference, or empty if there is none.

    Parameters
    ----------
    trace : Trace
    folder : Path
        Empty; journals go there.
    """
    kind = GossipingCluster if trace["kind"] == "gossip" else EquivocatingCluster
    cluster = kind(folder, trace["nodes"], trace["constants"])
    wanted: dict[str, dict[str, Any]] = {node: {} for node in trace["nodes"]}
    try:
        for number, (event, changed) in enumerate(trace["steps"]):
            cluster.take(event)
            for node, parts in changed.items():
                wanted[node].update(parts)
            for node in trace["nodes"]:
                found = cluster.view(node)
                wrong = [key for key in {**wanted[node], **found} if found.get(key) != wanted[node].get(key)]
                if wrong:
                    pairs = {key: (wanted[node].get(key), found.get(key)) for key in wrong}
                    return f"step {number}, {event}: at {node} the specification and the code say {pairs}"
        return cluster.settle()
    finally:
        cluster.close()


def write(traces: list[Trace], path: Path) -> None:
    """Traces as a file, one a line."""
    path.write_text("".join(json.dumps(trace, separators=(",", ":")) + "\n" for trace in traces))


def read(path: Path) -> list[Trace]:
    """Traces of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
