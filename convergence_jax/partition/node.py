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
from convergence_jax.partition.incarnation import last_incarnation, next_incarnation, note_incarnation
from convergence_jax.partition.journal import JournalFull, SqliteJournal
from convergence_jax.partition.links import Links
from convergence_jax.partition.node_config import NodeConfig, read_roster
from convergence_jax.partition.origin_means import OriginMeans
from convergence_jax.partition.participant import Clock, Participant
from convergence_jax.partition.peers import Peers
from convergence_jax.partition.records import Commit
from convergence_jax.partition.release_log import ReleaseLog
from convergence_jax.partition.writer import Outcome, Request
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
        roster = read_roster(config)
        credentials = Credentials.load(config.credentials)
        key = SigningKey.load(config.signing_key)
        path = Path(config.data) / JOURNAL
        self.journal = SqliteJournal(path, node=config.name, retention_seconds=config.retention_seconds)
        counter = next_incarnation(last_incarnation(path), time.time())
        note_incarnation(path, counter)
        clock = Clock(boottime, time.time, os.urandom)
        self.participant = Participant(config.name, roster, self.journal, counter, clock, sign=key.sign)
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
        self._releases = ReleaseLog(Path(config.data) / RELEASES) if config.allow_faults else None

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
        except RemoteError:
            self.counts["exchanges_failed"] += 1

    async def _datagrams(self) -> None:
        """Tell a member drawn at random, every round, without asking for an answer."""
        while True:
            await asyncio.sleep(self.config.round_seconds * self._chance.uniform(0.9, 1.1))
            if self.peers.others:
                await self.peers.send_datagrams(self._chance.choice(self.peers.others))

    async def _compactions(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_COMPACTION_SECONDS)
            with suppress(JournalFull):
                await loop.run_in_executor(self._disk, self.journal.compact, time.time())


def _changes_something(commit: Commit) -> bool:
    return bool(commit.writes or commit.waiting or commit.finished or commit.cells or commit.retracted)
