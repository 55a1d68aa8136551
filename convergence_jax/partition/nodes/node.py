"""`Node`: a participant with a disk, a network and clients: one process of a cluster."""

import asyncio
import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from convergence_jax.errors import RemoteError
from convergence_jax.partition.answers.origin_means import OriginMeans
from convergence_jax.partition.nodes.config import NodeConfig, read_roster
from convergence_jax.partition.nodes.links import Links
from convergence_jax.partition.nodes.memory import has_left, keep_rosters, kept_rosters, note_leaving
from convergence_jax.partition.nodes.peers import Peers
from convergence_jax.partition.nodes.release_log import ReleaseLog
from convergence_jax.partition.participant import Clock, Participant
from convergence_jax.partition.writes.incarnation import last_incarnation, next_incarnation, note_incarnation
from convergence_jax.partition.writes.journal import JournalFull, SqliteJournal
from convergence_jax.partition.writes.records import Commit
from convergence_jax.partition.writes.writer import Outcome, Request
from convergence_jax.transport.identity import Credentials
from convergence_jax.transport.signing import SigningKey

JOURNAL = "journal.sqlite"
"""The journal's file in a node's folder."""

RELEASES = "releases.jsonl"
"""The log of releases in a node's folder, where faults are allowed."""

_COMPACTION_SECONDS = 30.0


def boottime() -> int:
    """Nanoseconds since the machine started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Node:
    """A running member.

    Parameters
    ----------
    config : NodeConfig

    Raises
    ------
    InputError
        If a file of the config cannot be used.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        given = read_roster(config)
        credentials = Credentials.load(config.credentials)
        key = SigningKey.load(config.signing_key)
        path = Path(config.data) / JOURNAL
        self.journal = SqliteJournal(path, node=config.name, retention_seconds=config.retention_seconds)
        *earlier, roster = kept_rosters(Path(config.data), given)
        counter = next_incarnation(last_incarnation(path), time.time())
        note_incarnation(path, counter)
        clock = Clock(boottime, time.time, os.urandom)
        self.participant = Participant(
            config.name, roster, self.journal, counter, clock, sign=key.sign, earlier=earlier
        )
        self.participant.replica.keep_rosters = lambda rosters: keep_rosters(Path(config.data), rosters)
        self.participant.leaving = has_left(Path(config.data))

        self.links = Links()
        self.means = OriginMeans()
        listen = config.listen or roster.roster.by_name[config.name].address
        self.peers = Peers(self.participant, credentials, key, listen, self.links)
        self.credentials = credentials
        self.started = boottime()
        self.counts: Counter[str] = Counter()
        self.commit_seconds = 0.0
        self.failed: Exception | None = None
        self.stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._disk = ThreadPoolExecutor(1, "disk")
        self._chance = random.Random(os.urandom(16))
        self._out_of_reach: set[str] = set()
        self._releases = ReleaseLog(Path(config.data) / RELEASES) if config.allow_faults else None
        if self._releases:  # the last step before a crash was durable, and may not have come to the log
            own = self.participant.replica.own.cells
            self._releases.note(roster.roster, {cell: own.get(cell) for cell in own}, boottime())

    async def run(self) -> None:
        """Serve until :meth:`stop`.

        Raises
        ------
        OSError
            If the disk fails otherwise than by being full: what it holds is then uncertain until a restart.
        """
        await self.peers.start()
        loops = (self._steps, self._rounds, self._datagrams, self._compactions)
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(loop()) for loop in loops]
        tasks.append(asyncio.create_task(self._until_stopped()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.peers.stop()
            self._disk.shutdown()
            self.journal.close()
            if self._releases:
                self._releases.close()

    def leave(self) -> None:
        """Take no more writes, release what waits, and say that nothing follows: for good."""
        note_leaving(Path(self.config.data))
        self.participant.leaving = True

    def stop(self) -> None:
        """End :meth:`run` soon."""
        self.stopping.set()

    async def _until_stopped(self) -> None:
        await self.stopping.wait()

    async def write(self, request: Request) -> Outcome:
        """What became of a request, once it is durable."""
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if not answered.done():
                answered.set_result(outcome)

        self.participant.submit(request, done)
        self._wake.set()
        outcome = await answered
        if outcome.refused:
            self.counts["writes_refused"] += 1
        elif not outcome.duplicate:
            self.counts["writes"] += 1
            self.counts["events"] += outcome.events
        return outcome

    async def _steps(self) -> None:
        """One step after the other: whatever came in meanwhile goes into the next one."""
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.config.heartbeat_seconds)
            self._wake.clear()
            self._read_back()
            step = self.participant.begin()
            if _changes_something(step.commit):
                started = time.perf_counter()
                try:
                    await loop.run_in_executor(self._disk, self.journal.commit, step.commit)
                except JournalFull as error:
                    self.participant.abort(step, str(error))
                    self.counts["disk_full"] += 1
                    await asyncio.sleep(0.1)
                    continue
                self.commit_seconds += time.perf_counter() - started
                self.counts["commits"] += 1
            self.participant.finish(step)
            if self._releases and step.commit.cells:
                self._releases.note(self.participant.replica.roster, dict(step.commit.cells), boottime())

    def _read_back(self) -> None:
        cells = self.participant.read_back() if self.participant.restoring else None
        if cells and self._releases:
            self._releases.note(self.participant.replica.roster, dict(cells), boottime())

    async def _rounds(self) -> None:
        """Exchange with a member drawn at random, every round."""
        ahead: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(self.config.round_seconds * self._chance.uniform(0.9, 1.1))
            others = self.peers.others
            if others and len(ahead) < 4:  # a link that hangs holds up nothing but itself
                task = asyncio.create_task(self._exchange(self._chance.choice(others)))
                ahead.add(task)
                task.add_done_callback(ahead.discard)

    async def _exchange(self, node: str) -> None:
        try:
            await self.peers.exchange(node, max(1.0, 2 * self.config.round_seconds))
            self.counts["exchanges"] += 1
            self._out_of_reach.discard(node)
        except RemoteError:
            self.counts["exchanges_failed"] += 1
            self._out_of_reach.add(node)

    async def _datagrams(self) -> None:
        """Tell one of the members that the last exchange did not reach, every round: it may still hear."""
        while True:
            await asyncio.sleep(self.config.round_seconds * self._chance.uniform(0.9, 1.1))
            out_of_reach = [node for node in self.peers.others if node in self._out_of_reach]
            if out_of_reach:
                await self.peers.send_datagrams(self._chance.choice(out_of_reach))

    async def _compactions(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_COMPACTION_SECONDS)
            windows = (schema.window_seconds or 0.0 for schema in self.participant.replica.roster.statistics)
            self.journal.retention_seconds = max(self.config.retention_seconds, 2 * max(windows) + 60.0)
            with suppress(JournalFull):
                await loop.run_in_executor(self._disk, self.journal.compact, time.time())


def _changes_something(commit: Commit) -> bool:
    return bool(commit.writes or commit.waiting or commit.finished or commit.cells or commit.retracted)
