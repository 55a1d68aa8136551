"""A journal as plain dictionaries, and a story of steps that any process can replay from its seed."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from convergence_jax.partition.writes.records import Commit, Waiting, Write
from convergence_jax.partition.writes.tables import RECOUNT


class Model:
    """What a journal should hold after some commits."""

    def __init__(self) -> None:
        self.writes: dict[tuple[str, int], Write] = {}
        self.retracted: set[tuple[str, int]] = set()
        self.waiting: dict[int, Waiting] = {}
        self.cells: dict[str, bytes] = {}
        self.totals = (0, 0, 0)

    def apply(self, commit: Commit) -> None:
        """Take a step in that is right."""
        self.writes.update({(w.client, w.sequence): w for w in commit.writes})
        self.retracted.update(commit.retracted)
        self.waiting.update({a.position: a for a in commit.waiting})
        self.waiting = {p: a for p, a in self.waiting.items() if p not in commit.finished}
        self.cells.update(commit.cells)
        self.cells = {cell: state for cell, state in self.cells.items() if state}
        self.totals = (commit.added, commit.removed, commit.position)

    def refuses(self, commit: Commit) -> bool:
        """Whether a step writes or retracts something twice, or retracts what is not there."""
        names = [(w.client, w.sequence) for w in commit.writes]
        twice = len({*names}) < len(names) or not self.writes.keys().isdisjoint(names)
        gone = [*self.retracted, *commit.retracted]
        known = self.writes.keys() | set(names)
        return twice or len({*gone}) < len(gone) or not known.issuperset(commit.retracted)

    def seen(self) -> dict:
        """All that :func:`seen` reports of a journal that holds the same."""
        return {
            "waiting": tuple(self.waiting[p] for p in sorted(self.waiting)),
            "cells": self.cells,
            "totals": self.totals,
            "acknowledged": set(self.writes),
            "restored": False,
        }

    def standing(self, since: float) -> dict[tuple[str, int], Write]:
        """Writes from an instant on that were not retracted."""
        return {
            name: w for name, w in self.writes.items() if w.accepted >= since and name not in self.retracted
        }


def seen(snapshot) -> dict:
    """A snapshot, with every acknowledged sequence spelt out, without the incarnation."""
    return {
        "waiting": snapshot.waiting,
        "cells": snapshot.cells,
        "totals": (snapshot.added, snapshot.removed, snapshot.position),
        "acknowledged": {
            (client, sequence)
            for client, known in snapshot.acknowledged.items()
            for sequence in [*range(known.through), *known.above]
        },
        "restored": snapshot.restored,
    }


def recount(path: Path) -> tuple[set[tuple[str, int]], int, int]:
    """By SQL alone: acknowledged (client, sequence), their events, and how many came in retractions."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(RECOUNT).fetchall()
    names = [(client, s) for client, first, last, *_ in rows for s in range(first, last + 1)]
    assert len(names) == len(set(names)) == sum(row[3] for row in rows)
    return set(names), sum(row[4] for row in rows), sum(row[5] for row in rows)


def story(seed: int) -> Iterator[Commit]:
    """Steps without end, the same for a seed: the one numbered k, from 1, was accepted at second k.

    Cell ``step`` tells how many were taken.
    """
    draw = random.Random(seed)
    model, sequences, spare = Model(), {"ann": 0, "bob": 0, "eve": 0}, {"ann": [], "bob": [], "eve": []}
    position = 0
    step = 0
    while True:
        step += 1
        writes, waiting, retracted = [], [], []
        for client in draw.sample(sorted(sequences), draw.randrange(4)):
            if spare[client] and draw.random() < 0.5:
                sequence = spare[client].pop()  # fills a gap
            else:
                if draw.random() < 0.1:
                    spare[client].append(sequences[client])
                    sequences[client] += 1
                sequence, sequences[client] = sequences[client], sequences[client] + 1
            events = draw.randrange(1, 50)
            write = Write(client, sequence, "add", "delay", events, draw.randbytes(events * 100), float(step))
            taken_back = [n for n in model.standing(step - 20.0) if n[0] == client and n not in retracted]
            if taken_back and draw.random() < 0.3:
                retracted.append(draw.choice(taken_back))
                write = replace(write, kind="retract", of=retracted[-1][1], payload=b"")
            writes.append(write)
            if draw.random() < 0.3:
                rest = draw.randbytes(events * 50)
                waiting.append(
                    Waiting(position, client, sequence, write.kind, "delay", "delay/0", rest, events)
                )
                position += 1
        finished = []
        for place, part in model.waiting.items():
            if draw.random() < 0.2:
                finished.append(place)
            elif draw.random() < 0.2 and part.events > 1:
                waiting.append(replace(part, values=part.values[50:], events=part.events - 1))
        cells = {f"delay/{draw.randrange(5)}": draw.randbytes(draw.randrange(400)) for _ in range(2)}
        commit = Commit(
            writes=tuple(writes),
            waiting=tuple(waiting),
            finished=tuple(finished),
            cells=cells | {"step": str(step).encode()},
            retracted=tuple(retracted),
            added=step * 10,
            removed=step,
            position=position,
        )
        model.apply(commit)
        yield commit
