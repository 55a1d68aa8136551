"""A process that writes a journal and says on its standard output what is durable, until it is killed.

``story PATH SEED SYNCHRONOUS STEPS`` goes on with the story of a seed, and prints ``incarnation COUNTER``
once that is noted, ``ack STEP`` after each step and ``copy STEP`` after each backup, to ``PATH.copy``.
``load PATH CLIENT`` commits as fast as it can, and prints ``try LAST`` before and ``ack LAST`` after each
commit of several writes.
"""

import itertools
import os
import sys
from contextlib import closing

from journal_model import story

from convergence_jax.partition.writes.backup import backup
from convergence_jax.partition.writes.incarnation import next_incarnation
from convergence_jax.partition.writes.journal import SqliteJournal
from convergence_jax.partition.writes.records import Commit, Write

RETENTION_SECONDS = 20.0


def say(text: str) -> None:
    """One line, in one system call."""
    os.write(1, f"{text}\n".encode())


def opened(path: str, synchronous: str) -> SqliteJournal:
    """The journal, with a weaker promise if a test wants one broken."""
    journal = SqliteJournal(path, node="n1", retention_seconds=RETENTION_SECONDS)
    if synchronous != "FULL":
        journal._writer.execute(f"PRAGMA synchronous = {synchronous}")
    journal._writer.execute("PRAGMA wal_autocheckpoint = 60")  # pages: many checkpoints in few steps
    return journal


def tell(path: str, seed: int, synchronous: str, steps: int) -> None:
    """Some more steps of a story, with a compaction, a backup or a restart of the journal now and then."""
    journal = opened(path, synchronous)
    held = journal.load()
    counter = next_incarnation(held.incarnation, 0.0)
    journal.opened(counter)
    say(f"incarnation {counter}")
    first = int(held.cells.get("step", b"0"))
    for step, commit in itertools.islice(enumerate(story(seed), 1), first, first + steps):
        journal.commit(commit)
        say(f"ack {step}")
        if step % 7 == 0:
            journal.compact(float(step), limit=8)
        if step % 11 == 0:
            backup(path, f"{path}.copy")
            say(f"copy {step}")
        if step % 17 == 0:
            journal.close()
            journal = opened(path, synchronous)
    journal.close()


def load(path: str, client: str) -> None:
    """Groups of writes without end; the one numbered s holds 1 + s % 7 events."""
    with closing(SqliteJournal(path, node="n1", retention_seconds=RETENTION_SECONDS)) as journal:
        sequence = 0
        for step in itertools.count():
            many = range(sequence, sequence + 1 + step % 8)
            say(f"try {many[-1]}")
            journal.commit(
                Commit(
                    tuple(Write(client, s, "add", "delay", 1 + s % 7, bytes(s % 997), s / 10) for s in many)
                )
            )
            say(f"ack {many[-1]}")
            sequence = many[-1] + 1
            if step % 50 == 49:
                journal.compact(sequence / 10)


if __name__ == "__main__":
    if sys.argv[1] == "story":
        tell(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
    else:
        load(sys.argv[2], sys.argv[3])
