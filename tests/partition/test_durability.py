"""What a journal said to be durable is there after a kill or a loss of power, and nothing else is."""

import itertools
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journal_child import RETENTION_SECONDS
from journal_model import Model, recount, seen, story
from power_loss import Disk, build

from convergence_jax.partition.writes.backup import restore
from convergence_jax.partition.writes.journal import SqliteJournal

CHILD = [sys.executable, str(Path(__file__).with_name("journal_child.py"))]
Require = Callable[[str, bool, str], None]


# A trace of system calls


@pytest.fixture
def trace(tmp_path: Path, require: Require) -> Callable[[str], list[str]]:
    """System calls of a process that tells a story in a new journal."""
    require("strace", shutil.which("strace") is not None, "strace is not installed")

    def run(synchronous: str) -> list[str]:
        calls = "trace=write,pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2"
        command = ["strace", "-f", "-y", "-e", calls, "-o", str(tmp_path / "trace"), *CHILD]
        subprocess.run(
            [*command, "story", str(tmp_path / "journal"), "5", synchronous, "40"],
            check=True,
            stdout=subprocess.PIPE,
        )
        return (tmp_path / "trace").read_text().splitlines()

    return run


def unsynced(calls: list[str]) -> list[str]:
    """What was said while a write of the journal's log, or of the incarnation, was not known to be durable.

    A line of the trace appears when its call has returned; the process has one thread.
    """
    dirty: set[str] = set()
    written, early = False, []
    for call in calls:
        found = re.search(r" (\w+)\(\d+<([^>]*)>", call)
        if found and found[1] in {"write", "pwrite64", "pwritev"}:
            said = re.search(r'"(ack \d+|incarnation \d+)\\n"', call)
            if said:
                if dirty or not written:
                    early.append(said[1])
                written = False
            elif re.search(r"/journal(-wal|\.incarnation\.new)$", found[2]):
                dirty.add(found[2])
                written = True
        elif found and found[1] in {"fsync", "fdatasync"} and call.endswith("= 0"):
            dirty.discard(found[2])
        elif renamed := re.search(r', "([^"]*)/journal\.incarnation"\) = 0$', call):
            dirty.add(renamed[1])  # the folder
    return early


def test_every_acknowledgement_follows_a_sync_that_returned(trace: Callable[[str], list[str]]) -> None:
    calls = trace("FULL")
    assert sum('"ack ' in call for call in calls) == 40
    assert sum('"incarnation ' in call for call in calls) == 1
    assert unsynced(calls) == []


def test_the_trace_shows_acknowledgements_that_follow_no_sync(trace: Callable[[str], list[str]]) -> None:
    assert len(unsynced(trace("OFF"))) > 30


# A disk that loses power


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, require: Require) -> Path:
    """What makes a disk of a folder that loses power."""
    require("cc", shutil.which("cc") is not None, "no C compiler is installed")
    return build(tmp_path_factory.mktemp("power_loss"))


class Lost(AssertionError):
    """Something acknowledged is missing, or something is there that nobody wrote."""


def stand(journal: Path, seed: int, *, restored: bool = False) -> tuple[int, int]:
    """The step that a journal stands at, and its incarnation, if it holds exactly a beginning of a story."""
    try:
        with closing(SqliteJournal(journal, node="n1")) as opened:
            snapshot = opened.load()
            (whole,) = opened._writer.execute("PRAGMA integrity_check").fetchone()
            step = int(snapshot.cells.get("step", b"0"))
            model = Model()
            for commit in itertools.islice(story(seed), step):
                model.apply(commit)
            kept = model.standing(step - RETENTION_SECONDS)
            found = {name: opened.find(*name) for name in kept}
    except Exception as error:  # whatever a damaged file leads to
        raise Lost(repr(error)) from error
    if whole != "ok" or seen(snapshot) != model.seen() | {"restored": restored} or found != kept:
        raise Lost(f"the journal at step {step} is not what was written: {whole}")
    names, events, removed = recount(journal)
    writes = model.writes.values()
    told = (sum(w.events for w in writes), sum(w.events for w in writes if w.kind == "retract"))
    if names != set(model.writes) or (events, removed) != told:
        raise Lost("the recount by SQL differs")
    return step, snapshot.incarnation


def check_copy(journal: Path, seed: int, acknowledged: int, step: int) -> None:
    """A backup, from the step of the last acknowledged one at least, can be restored."""
    copy = Path(f"{journal}.copy")
    if acknowledged or copy.exists():
        again = Path(f"{journal}.again")
        try:
            restore(copy, again, node="n1")
        except (ValueError, OSError) as error:
            raise Lost(str(error)) from error
        copied, incarnation = stand(again, seed, restored=True)
        for path in journal.parent.glob(f"{again.name}*"):
            path.unlink()
        if not acknowledged <= copied <= step or incarnation:
            raise Lost(f"the copy of step {acknowledged} is of step {copied}")


def lives(library: Path, place: Path, seed: int, synchronous: str, count: int) -> Iterator[int]:
    """Steps that a journal stands at after each of several losses of power in a row."""
    place.mkdir()
    draw = random.Random(seed)
    disk = Disk(library, place)
    held = {"ack": 0, "copy": 0, "incarnation": 0}
    for _ in range(count):
        command = [*CHILD, "story", str(disk.folder / "journal"), str(seed), synchronous, "60"]
        for line in disk.live(command, draw.getrandbits(60), draw.randrange(1, 1800)):
            what, number = line.split()
            held[what] = int(number)
        disk.lose_power(draw)
        journal = disk.folder / "journal"
        step, incarnation = stand(journal, seed)
        if not (held["ack"] <= step <= held["ack"] + 1):
            raise Lost(f"step {held['ack']} was acknowledged, and the journal is at {step}")
        if not (held["incarnation"] <= incarnation <= held["incarnation"] + 1):
            raise Lost(f"incarnation {held['incarnation']} was noted, and the journal has {incarnation}")
        check_copy(journal, seed, held["copy"], step)
        held |= {"ack": step, "incarnation": incarnation}
        yield step


@pytest.mark.parametrize("seed", range(12))
def test_power_loss_keeps_what_was_acknowledged_and_invents_nothing(
    library: Path, tmp_path: Path, seed: int
) -> None:
    assert list(lives(library, tmp_path / "disk", seed, "FULL", 5))[-1] > 0


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_power_loss_loses_what_was_not_synced(library: Path, tmp_path: Path, synchronous: str) -> None:
    lost = 0
    for seed in range(6):
        try:
            list(lives(library, tmp_path / f"disk-{seed}", seed, synchronous, 3))
        except Lost:
            lost += 1
    assert lost > 0


# Killed under load


def kill_often(place: Path, seconds: float, seed: int) -> tuple[int, int]:
    """Kill a process under load for some seconds; how often, and how many writes were kept.

    After each kill, the writes in the journal, counted by SQL alone, are those acknowledged and, whole or
    not at all, the group in flight.
    """
    draw = random.Random(seed)
    until = time.monotonic() + seconds
    writes: dict[str, int] = {}
    while time.monotonic() < until or len(writes) < 5 or sum(writes.values()) < 100:
        client = f"client-{len(writes)}"
        command = [*CHILD, "load", str(place / "journal"), client]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            first = child.stdout.readline()  # it has opened the journal
            time.sleep(draw.uniform(0.0, 0.4))
            child.kill()
            said = [line.split() for line in [first, *child.stdout]]
        acknowledged = max([-1, *(int(number) for what, number in said if what == "ack")])
        tried = max(int(number) for what, number in said if what == "try")
        names, events, removed = recount(place / "journal")
        mine = {sequence for name, sequence in names if name == client}
        assert mine in (set(range(acknowledged + 1)), set(range(tried + 1)))
        writes[client] = len(mine)
        assert names == {(name, s) for name, n in writes.items() for s in range(n)}
        assert events == sum(1 + s % 7 for n in writes.values() for s in range(n))
        assert removed == 0
    return len(writes), sum(writes.values())


def test_a_process_killed_under_load_loses_and_invents_nothing(tmp_path: Path) -> None:
    kills, writes = kill_often(tmp_path, 4.0, seed=3)
    assert kills >= 5
    assert writes >= 100
