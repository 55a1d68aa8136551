"""How large a journal grows, what it does where no more fits, and copies of it."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from journal_model import Model, recount, seen, story

from convergence_jax.errors import InputError
from convergence_jax.partition.writes.backup import backup, restore
from convergence_jax.partition.writes.journal import JournalFull, SqliteJournal
from convergence_jax.partition.writes.records import Commit, Sequences, Waiting, Write

RETENTION_SECONDS = 10.0
WRITE = Write("ann", 0, "add", "delay", 3, b"123", 100.0)
PART = Waiting(0, "ann", 0, "add", "delay", "delay/0", b"23", 2)


def write(sequence: int, accepted: float = 100.0, **other) -> Write:
    """A write of ann."""
    return replace(WRITE, sequence=sequence, accepted=accepted, **other)


def opened(path: Path) -> closing[SqliteJournal]:
    """The journal at a place, closed after use."""
    return closing(SqliteJournal(path, node="n1", retention_seconds=RETENTION_SECONDS))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """An empty journal that keeps payloads for ten seconds."""
    with opened(tmp_path / "journal") as held:
        yield held


def size(journal: SqliteJournal) -> int:
    """Bytes of all its files together."""
    folder = journal.path.parent
    return sum(path.stat().st_size for path in folder.iterdir() if path.name.startswith(journal.path.name))


# Compaction


@pytest.mark.parametrize("gaps", [False, True], ids=["in order", "with gaps"])
def test_a_journal_stays_small_over_a_hundred_retentions(journal: SqliteJournal, gaps: bool) -> None:
    payload, sizes = bytes(20_000), []
    for half in range(200):
        now = half * RETENTION_SECONDS / 2
        numbers = range(5 * half, 5 * half + 5)
        journal.commit(Commit(tuple(write(n * (1 + gaps), now, payload=payload) for n in numbers)))
        if half % 2:
            assert journal.compact(now) < 100
            sizes.append(size(journal))
    kept = 5 * (3 + 2) * len(payload)  # of a retention, and until the next compaction
    assert 15 * len(payload) < sizes[10] < 1.3 * kept
    rows = 10 * (99 - 10) if gaps else 0
    assert max(sizes) - sizes[10] <= 120 * rows  # bytes that a write without payload takes
    assert len(journal.load().acknowledged["ann"]) == 1000


def test_compaction_keeps_what_is_young_and_counts_the_rest(journal: SqliteJournal) -> None:
    journal.commit(Commit(tuple(write(s, float(s), events=s + 1) for s in range(8))))
    journal.commit(Commit((write(8, 1.0, kind="retract", of=2, events=3),), retracted=(("ann", 2),)))
    assert journal.compact(15.0) == 5 + 1  # the payload of the last, behind younger ones
    assert [journal.find("ann", s) is not None for s in range(9)] == [False] * 5 + [True] * 3 + [False]
    assert journal.compact(18.0) == 3 + 1
    assert journal.compact(1e9) == 0
    assert recount(journal.path) == ({("ann", s) for s in range(9)}, 36 + 3, 3)


def test_compaction_stops_at_a_gap_and_goes_on_when_it_is_filled(journal: SqliteJournal) -> None:
    journal.commit(Commit((write(0), write(2), write(3))))
    assert journal.compact(200.0) == 3
    assert [journal.find("ann", s) for s in range(4)] == [None] * 4
    assert journal.load().acknowledged == {"ann": Sequences(1, frozenset({2, 3}))}
    journal.commit(Commit((write(1, 150.0),)))
    assert journal.load().acknowledged == {"ann": Sequences(4)}
    assert journal.compact(200.0) == 3
    assert journal.load().acknowledged == {"ann": Sequences(4)}


def test_compaction_leaves_what_still_waits(journal: SqliteJournal) -> None:
    journal.commit(Commit(tuple(write(s) for s in range(3)), (replace(PART, sequence=1),)))
    assert journal.compact(200.0) == 2
    assert journal.find("ann", 1) == write(1)
    journal.commit(Commit(finished=(0,)))
    assert journal.compact(200.0) == 2
    assert journal.find("ann", 1) is None


def test_compaction_does_no_more_than_asked_for(journal: SqliteJournal) -> None:
    journal.commit(Commit(tuple(write(s, client=c) for c in ("ann", "bob") for s in range(6))))
    assert [journal.compact(200.0, limit=4) for _ in range(4)] == [4, 4, 4, 0]


def test_compaction_gives_the_log_back(journal: SqliteJournal) -> None:
    journal.commit(Commit((write(0, payload=bytes(3_000_000)),)))
    log = Path(f"{journal.path}-wal")
    assert log.stat().st_size > 3_000_000
    journal.compact(0.0)
    assert log.stat().st_size == 0


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path, require: Callable[[str, bool, str], None]) -> Iterator[Path]:
    """A file system of one mebibyte."""
    place = tmp_path / "disk"
    place.mkdir()
    require("root", os.geteuid() == 0 and shutil.which("mount") is not None, "mounting takes root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    require("root", done.returncode == 0, f"no file system can be mounted: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("room", range(60_000, 900_000, 60_000))
def test_a_full_disk_refuses_whole_steps_and_stays_readable(
    small_disk: Path, tmp_path: Path, room: int
) -> None:
    ballast = small_disk / "ballast"
    model, refused, left = Model(), 0, True
    with opened(small_disk / "journal") as journal:
        ballast.write_bytes(bytes((1 << 20) - room - size(journal)))
        for step, commit in enumerate(story(room), 1):
            while not (done := kept_whole(journal, commit, model)) and left:
                refused += 1
                assert after_a_crash(small_disk, tmp_path / f"crash-{refused}") == model.seen()
                left = ballast.stat().st_size
                os.truncate(ballast, left // 2 if left > 20_000 else 0)
            if not done:
                break
            if step % 10 == 0:
                with suppress(JournalFull):
                    journal.compact(0.0)
        assert refused >= 2
        shutil.copytree(small_disk, tmp_path / "larger")
    with opened(tmp_path / "larger" / "journal") as journal:
        assert kept_whole(journal, commit, model)


def kept_whole(journal: SqliteJournal, commit: Commit, model: Model) -> bool:
    """Whether there was room for a step; what can be read is the same as in the model, either way."""
    try:
        journal.commit(commit)
        model.apply(commit)
        return True
    except JournalFull:
        return False
    finally:
        assert seen(journal.load()) == model.seen()
        kept = model.standing(0.0)
        assert {name: journal.find(*name) for name in kept} == kept


def after_a_crash(folder: Path, copy: Path) -> dict:
    """What a journal in use holds when its process is killed now."""
    shutil.copytree(folder, copy)
    with opened(copy / "journal") as journal:
        return seen(journal.load())


def test_a_journal_at_its_largest_size_refuses_and_goes_on_with_more(journal: SqliteJournal) -> None:
    journal._writer.execute("PRAGMA max_page_count = 40")
    journal.commit(Commit((write(0),), cells={"delay/0": b"1"}, added=1))
    before = journal.load()
    step = Commit((write(1), write(2, payload=bytes(200_000))), cells={"delay/0": b"2"}, added=2)
    line = "journal: no room on the disk, and nothing of this step was kept: free some space$"
    with pytest.raises(JournalFull, match=line):
        journal.commit(step)
    assert journal.load() == before
    journal._writer.execute("PRAGMA max_page_count = 4000")
    journal.commit(step)
    assert journal.load().added == 2


def test_another_failure_of_the_disk_is_an_os_error_and_not_a_full_disk(journal: SqliteJournal) -> None:
    journal._writer.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="journal: database is locked") as raised:
            journal.commit(Commit((WRITE,)))
        assert not isinstance(raised.value, JournalFull)
        other.execute("ROLLBACK")
    journal.commit(Commit((WRITE,)))


# Copies


def test_a_backup_of_a_journal_in_use_is_restored_as_it_was(journal: SqliteJournal, tmp_path: Path) -> None:
    journal.opened(5)
    step = Commit((write(0), write(1)), (PART,), cells={"delay/0": b"1"}, added=4, removed=1, position=1)
    journal.commit(step)
    before = journal.load()
    backup(journal.path, tmp_path / "copy")
    journal.commit(Commit((write(2),), finished=(0,), added=6, position=1))
    restore(tmp_path / "copy", tmp_path / "new" / "journal", node="n1")
    with opened(tmp_path / "new" / "journal") as again:
        assert again.load() == replace(before, incarnation=0, restored=True)
        assert again.find("ann", 1) == write(1)
        assert again.find("ann", 2) is None
    assert not journal.load().restored


def test_a_backup_laid_by_hand_where_a_journal_belongs_is_a_restored_one(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    journal.commit(Commit((WRITE,)))
    backup(journal.path, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy"]
    shutil.copyfile(tmp_path / "copy", tmp_path / "other")
    with opened(tmp_path / "other") as again:
        assert again.load().restored


def test_a_restored_journal_counts_incarnations_on(journal: SqliteJournal, tmp_path: Path) -> None:
    journal.opened(5)
    backup(journal.path, tmp_path / "copy")
    journal.opened(6)
    journal.close()
    for name in ["journal", "journal-wal", "journal-shm"]:
        (tmp_path / name).unlink(missing_ok=True)
    restore(tmp_path / "copy", journal.path, node="n1")
    with opened(journal.path) as again:
        assert again.load().incarnation == 6


def test_a_backup_replaces_a_backup_and_never_a_journal(journal: SqliteJournal, tmp_path: Path) -> None:
    backup(journal.path, tmp_path / "copy")
    journal.commit(Commit((WRITE,)))
    (tmp_path / "copy.partial").write_bytes(b"of a backup that was killed")
    backup(journal.path, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "other", node="n1")
    with opened(tmp_path / "other") as again:
        assert again.load().acknowledged == {"ann": Sequences(1)}
    for path in [journal.path, tmp_path / "other"]:
        with pytest.raises(InputError, match="a node keeps its journal here: name another file"):
            backup(journal.path, path)


def test_a_restore_overwrites_nothing(journal: SqliteJournal, tmp_path: Path) -> None:
    backup(journal.path, tmp_path / "copy")
    with pytest.raises(InputError, match="another process has this journal open"):
        restore(tmp_path / "copy", journal.path, node="n1")
    for name in ["other", "lost-wal"]:
        (tmp_path / name).write_bytes(b"kept")
        with pytest.raises(InputError, match=f"{name}: is there, and is kept: move it away before restoring"):
            restore(tmp_path / "copy", tmp_path / name.removesuffix("-wal"), node="n1")
        assert (tmp_path / name).read_bytes() == b"kept"
    assert not (tmp_path / "lost").exists()


def test_a_backup_that_cannot_be_used_is_refused_with_a_line(journal: SqliteJournal, tmp_path: Path) -> None:
    journal.commit(Commit((write(0, payload=bytes(100_000)),)))
    backup(journal.path, tmp_path / "copy")
    with pytest.raises(InputError, match="copy: from node 'n1', not 'n2': name a backup of this node"):
        restore(tmp_path / "copy", tmp_path / "new", node="n2")
    whole = (tmp_path / "copy").read_bytes()
    for content, line in [
        (whole[: len(whole) // 2], "bad: is damaged|bad: cannot be read as a journal"),
        (whole[:8000] + b"?" * 4000 + whole[12000:], "bad: is damaged|bad: cannot be read as a journal"),
        (b"nothing like it" * 100, "bad: cannot be read as a journal"),
        (b"", "bad: an empty file, not a journal"),
    ]:
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InputError, match=line):
            restore(tmp_path / "bad", tmp_path / "new", node="n1")
        assert not list(tmp_path.glob("new*.partial"))
    with pytest.raises(InputError, match="none: no journal that can be read"):
        restore(tmp_path / "none", tmp_path / "new", node="n1")
    with pytest.raises(InputError, match="none: no journal that can be read"):
        backup(tmp_path / "none", tmp_path / "copy")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "none").exists()


def test_a_backup_onto_a_full_disk_leaves_the_one_that_was_there(
    journal: SqliteJournal, small_disk: Path
) -> None:
    backup(journal.path, small_disk / "copy")
    before = (small_disk / "copy").read_bytes()
    journal.commit(Commit((write(0, payload=bytes(2_000_000)),)))
    with pytest.raises(JournalFull):
        backup(journal.path, small_disk / "copy")
    assert [path.name for path in small_disk.iterdir()] == ["copy"]
    assert (small_disk / "copy").read_bytes() == before


def test_a_row_read_back_from_peers_takes_the_place_of_the_restored_one(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    parts = tuple(replace(PART, position=p, events=p + 1) for p in range(5))
    journal.commit(Commit((WRITE,), parts, cells={"delay/0": b"1", "delay/1": b"1"}, added=4, position=5))
    backup(journal.path, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again", node="n1")
    with opened(tmp_path / "again") as again:
        assert again.read_back({"delay/0": b"2"}, 7, 2, 3) == 1 + 2 + 3
        snapshot = again.load()
    with opened(tmp_path / "again") as again:
        assert again.load() == snapshot
    assert snapshot.waiting == parts[3:]
    assert snapshot.cells == {"delay/0": b"2"}
    assert (snapshot.added, snapshot.removed, snapshot.position) == (7, 2, 5)
    assert snapshot.acknowledged == {"ann": Sequences(1)}
    assert not snapshot.restored
