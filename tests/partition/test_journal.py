"""A journal keeps what was committed, whole, once, within bounds, and says why when it cannot."""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_model import Model, recount, seen, story

from convergence_jax.errors import InputError
from convergence_jax.partition.writes import journal as journal_module
from convergence_jax.partition.writes.incarnation import next_incarnation
from convergence_jax.partition.writes.journal import SqliteJournal
from convergence_jax.partition.writes.records import Commit, Sequences, Waiting, Write
from convergence_jax.partition.writes.tables import RECOUNT

WRITE = Write("ann", 0, "add", "delay", 3, b"123", 100.0)
PART = Waiting(0, "ann", 0, "add", "delay", "delay/0", b"23", 2)


def write(sequence: int, accepted: float = 100.0, **other) -> Write:
    """A write of ann."""
    return replace(WRITE, sequence=sequence, accepted=accepted, **other)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """An empty journal that keeps payloads for ten seconds."""
    with closing(SqliteJournal(tmp_path / "journal", node="n1", retention_seconds=10.0)) as opened:
        yield opened


# Against plain dictionaries

CLIENTS = st.sampled_from(["ann", "b'b\N{SNOWMAN}", ""])
COUNTS = st.integers(0, 2**62)
WRITES = st.builds(
    Write,
    client=CLIENTS,
    sequence=st.integers(0, 8) | COUNTS,
    kind=st.sampled_from(["add", "retract"]),
    statistic=st.sampled_from(["delay", "size"]),
    events=st.integers(1, 2**40),
    payload=st.binary(max_size=40) | st.integers(0, 20_000).map(bytes),
    accepted=st.floats(0.0, 100.0),
    of=st.none() | COUNTS,
)
PARTS = st.builds(
    Waiting,
    position=st.integers(0, 6) | COUNTS,
    client=CLIENTS,
    sequence=st.integers(0, 8),
    kind=st.sampled_from(["add", "retract"]),
    statistic=st.sampled_from(["delay", "size"]),
    cell=st.text(max_size=3),
    values=st.binary(max_size=10),
    events=st.integers(1, 2**40),
)
COMMITS = st.builds(
    Commit,
    writes=st.lists(WRITES, max_size=4).map(tuple),
    waiting=st.lists(PARTS, max_size=3, unique_by=lambda part: part.position).map(tuple),
    finished=st.lists(st.integers(0, 6), max_size=3).map(tuple),
    cells=st.dictionaries(st.text(max_size=2), st.binary(max_size=5), max_size=3),
    retracted=st.lists(st.tuples(CLIENTS, st.integers(0, 8)), max_size=2).map(tuple),
    added=COUNTS,
    removed=COUNTS,
    position=COUNTS,
)


@given(steps=st.lists(st.tuples(COMMITS, st.booleans()), max_size=12))
def test_a_journal_holds_what_was_committed_and_nothing_of_a_step_that_it_refused(steps) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as place:
        opened = SqliteJournal(Path(place, "journal"), node="n1")
        try:
            for commit, again in steps:
                if model.refuses(commit):
                    with pytest.raises(ValueError, match="journal: "):
                        opened.commit(commit)
                else:
                    opened.commit(commit)
                    model.apply(commit)
                if again:
                    opened.close()
                    opened = SqliteJournal(Path(place, "journal"), node="n1")
                assert seen(opened.load()) == model.seen()
                for name in [(w.client, w.sequence) for w in commit.writes]:
                    assert opened.find(*name) == model.standing(0.0).get(name)
                assert opened.expired("delay", 50.0, 5) == expired(model, "delay", 50.0)[:5]
        finally:
            opened.close()
        names, events, removed = recount(Path(place, "journal"))
        writes = model.writes.values()
        assert (names, events) == (set(model.writes), sum(w.events for w in writes))
        assert removed == sum(w.events for w in writes if w.kind == "retract")


def expired(model: Model, statistic: str, before: float) -> list[Write]:
    """What a journal that drops nothing finds, in order of acceptance, then of arrival."""
    standing = model.standing(0.0).values()
    found = [w for w in standing if w.kind == "add" and w.statistic == statistic and w.accepted < before]
    return sorted(found, key=lambda w: w.accepted)


# Once only


def test_a_step_with_a_write_that_is_there_already_changes_nothing(journal: SqliteJournal) -> None:
    journal.commit(Commit((WRITE,), (PART,), cells={"delay/0": b"1"}, added=1, position=1))
    before = journal.load()
    step = Commit(
        (write(1), WRITE), (replace(PART, position=1),), (0,), {"delay/0": b"2"}, added=2, position=2
    )
    with pytest.raises(
        ValueError, match=r"journal: UNIQUE constraint failed: writes.client, writes.sequence"
    ):
        journal.commit(step)
    assert journal.load() == before
    journal.commit(replace(step, writes=(write(1),)))
    assert journal.load().acknowledged == {"ann": Sequences(2)}


def test_a_write_that_was_folded_away_cannot_be_written_again(journal: SqliteJournal) -> None:
    journal.commit(Commit((WRITE,)))
    assert journal.compact(200.0) == 1
    with pytest.raises(ValueError, match="a write of this client and sequence was folded away"):
        journal.commit(Commit((WRITE,), added=5))
    assert journal.load().added == 0


def test_a_write_is_retracted_once_and_no_longer_found(journal: SqliteJournal) -> None:
    back = write(1, kind="retract", payload=b"", of=0)
    journal.commit(Commit((WRITE,)))
    journal.commit(Commit((back,), retracted=(("ann", 0),)))
    assert journal.find("ann", 0) is None
    assert journal.find("ann", 1) == back
    assert journal.expired("delay", 1e9, 9) == []
    for name in [("ann", 0), ("ann", 7), ("bob", 0)]:
        with pytest.raises(ValueError, match=r"write \d of '\w+' is not there or was retracted"):
            journal.commit(Commit((write(2),), retracted=(name,)))
    assert journal.load().acknowledged == {"ann": Sequences(2)}


def test_a_step_may_take_back_what_was_folded_away_since_it_was_found(journal: SqliteJournal) -> None:
    journal.commit(Commit((WRITE,)))
    assert journal.find("ann", 0) == WRITE
    journal.compact(200.0)
    with pytest.raises(ValueError, match="write 1 of 'ann' is not there"):
        journal.commit(Commit(retracted=(("ann", 1),)))
    journal.commit(Commit((write(1, 200.0),), retracted=(("ann", 0),)))
    assert journal.load().acknowledged == {"ann": Sequences(2)}


def test_what_sqlite_cannot_hold_leaves_the_journal_as_it_was(journal: SqliteJournal) -> None:
    for bad in [write(1 << 63), write(1, client="\ud800"), write(1, kind="other"), write(1, events=0)]:
        with pytest.raises((ValueError, OverflowError)):
            journal.commit(Commit((WRITE, bad)))
    journal.commit(Commit((WRITE,)))
    assert journal.load().acknowledged == {"ann": Sequences(1)}


# Whose it is


def test_a_journal_serves_one_process_at_a_time(journal: SqliteJournal) -> None:
    busy = "journal: another process has this journal open: stop that first"
    with pytest.raises(InputError, match=busy):
        SqliteJournal(journal.path, node="n1")
    link = journal.path.with_name("link")
    link.symlink_to(journal.path)
    module = "convergence_jax.partition.writes.journal"
    code = f"import sys; from {module} import *; SqliteJournal(sys.argv[1], node='n1')"
    done = subprocess.run([sys.executable, "-c", code, link], capture_output=True, text=True, check=False)
    assert busy in done.stderr
    journal.close()
    SqliteJournal(journal.path, node="n1").close()


def test_a_journal_of_another_node_is_refused(journal: SqliteJournal) -> None:
    journal.close()
    with pytest.raises(InputError, match="journal: journal of node 'n1', not 'n2': give each node its own"):
        SqliteJournal(journal.path, node="n2")
    SqliteJournal(journal.path, node="n1").close()  # the refusal let go of it


def test_a_journal_of_a_later_schema_is_refused(journal: SqliteJournal) -> None:
    journal.close()
    with closing(sqlite3.connect(journal.path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(InputError, match="a journal of schema 2, and this program reads 1: upgrade it"):
        SqliteJournal(journal.path, node="n1")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("CREATE TABLE other(x)", "a database, but not a journal: name another file"),
        (b"not SQLite at all, by far" * 100, "cannot be read as a journal .*: name another file"),
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_kept(
    tmp_path: Path, content: str | bytes, line: str
) -> None:
    path = tmp_path / "journal"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute(content)
    before = path.read_bytes()
    with pytest.raises(InputError, match=line):
        SqliteJournal(path, node="n1")
    assert path.read_bytes() == before


def test_a_place_where_nothing_can_be_kept_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in [tmp_path, tmp_path / "file" / "journal"]:
        with pytest.raises(InputError, match=r"the journal cannot be opened .*: check its folder and disk"):
            SqliteJournal(path, node="n1")


def test_a_journal_makes_its_folders(tmp_path: Path) -> None:
    with closing(SqliteJournal(tmp_path / "a" / "b" / "journal", node="n1")) as opened:
        assert opened.load().acknowledged == {}


# Reading


def test_reads_do_not_wait_for_a_step_and_do_not_see_it_early(journal: SqliteJournal) -> None:
    journal.commit(Commit((WRITE,), added=1))
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE meta SET value = 9 WHERE name = 'added'")
        assert journal.find("ann", 0) == WRITE
        assert journal.expired("delay", 1e9, 9) == [WRITE]
        assert journal.load().added == 1
        other.execute("ROLLBACK")


def test_threads_may_read_while_another_commits_and_compacts(journal: SqliteJournal) -> None:
    done, failed = threading.Event(), []

    def read() -> None:
        try:
            while not done.is_set():
                snapshot = journal.load()
                assert len(snapshot.acknowledged.get("ann", ())) == snapshot.added
                for found in journal.expired("delay", 1e9, 5):
                    assert journal.find("ann", found.sequence) in {found, None}
        except BaseException as error:
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for sequence in range(200):
        journal.commit(Commit((write(sequence, float(sequence)),), added=sequence + 1))
        if sequence % 20 == 0:
            journal.compact(float(sequence))
    done.set()
    for reader in readers:
        reader.join()
    assert failed == []


def test_expired_writes_come_oldest_first_and_no_more_than_asked_for(journal: SqliteJournal) -> None:
    ages = [5.0, 1.0, 3.0, 3.0, 7.0]
    journal.commit(Commit(tuple(write(s, accepted) for s, accepted in enumerate(ages))))
    journal.commit(Commit((write(5, 0.0, statistic="size"), write(6, 0.0, kind="retract", of=1))))
    assert [w.sequence for w in journal.expired("delay", 7.0, 9)] == [1, 2, 3, 0]
    assert [w.sequence for w in journal.expired("delay", 7.0, 2)] == [1, 2]
    assert [w.sequence for w in journal.expired("delay", 1.0, 2)] == []


def test_the_documented_query_is_the_one_that_recounts() -> None:
    document = journal_module.__doc__ or ""
    block = document.split("retractions::\n\n")[1].split("\n\n")[0]
    assert block.split() == RECOUNT.split()


def test_the_shell_of_sqlite_recounts_a_journal_in_use(
    journal: SqliteJournal, require: Callable[[str, bool, str], None]
) -> None:
    require("sqlite3", shutil.which("sqlite3") is not None, "the sqlite3 shell is not installed")
    journal.commit(Commit(tuple(write(s, float(s)) for s in range(5))))
    journal.commit(Commit((write(5, 50.0, kind="retract", of=4, events=2), write(8, 50.0))))
    journal.compact(14.5)
    done = subprocess.run(["sqlite3", journal.path, RECOUNT], capture_output=True, text=True, check=True)
    assert done.stdout == "ann|0|4|5|15|0\nann|5|5|1|2|2\nann|8|8|1|3|0\n"


# The incarnation


def test_an_incarnation_only_moves_forward(journal: SqliteJournal) -> None:
    assert journal.load().incarnation == 0
    journal.opened(3)
    assert journal.load().incarnation == 3
    for counter in (3, 2):
        with pytest.raises(ValueError, match=f"incarnation {counter} does not follow 3"):
            journal.opened(counter)
    journal.close()
    with closing(SqliteJournal(journal.path, node="n1")) as again:
        assert again.load().incarnation == 3


def test_a_next_incarnation_follows_the_last_and_the_clock() -> None:
    assert next_incarnation(0, 1700000000.9) == 1700000000
    assert next_incarnation(1700000000, 1700000000.9) == 1700000001
    assert next_incarnation(1700000005, 3.0) == 1700000006


def test_a_counter_that_cannot_be_read_is_named(journal: SqliteJournal) -> None:
    Path(f"{journal.path}.incarnation").write_text("?")
    with pytest.raises(InputError, match=r"journal.incarnation: holds no counter: delete it"):
        journal.load()


def test_every_step_of_a_story_is_held_with_compaction_on_the_way(journal: SqliteJournal) -> None:
    model = Model()
    for step, commit in enumerate(itertools.islice(story(11), 120), 1):
        journal.commit(commit)
        model.apply(commit)
        journal.compact(float(step), limit=3)
        assert seen(journal.load()) == model.seen()
        assert recount(journal.path)[0] == set(model.writes)
        kept = model.standing(step - 10.0)
        assert {name: journal.find(*name) for name in kept} == kept
    assert os.path.getsize(journal.path) < 2_000_000
