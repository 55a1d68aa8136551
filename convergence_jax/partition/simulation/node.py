"""`SimulatedNode`: a participant with a disk, clocks and messages, which crashes, pauses and starts again."""

import hashlib
import random
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convergence_jax.partition.participant import Participant
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.messages import Digest, News
from convergence_jax.partition.rows.roster import Roster, SignedRoster
from convergence_jax.partition.rows.row import Incarnation
from convergence_jax.partition.simulation.clock import SimulatedClock
from convergence_jax.partition.simulation.disk import SimulatedDisk
from convergence_jax.partition.simulation.network import SECOND, SimulatedNetwork
from convergence_jax.partition.simulation.oracle import Oracle
from convergence_jax.partition.simulation.schedule import Schedule
from convergence_jax.partition.writes.incarnation import next_incarnation
from convergence_jax.partition.writes.journal import JournalFull
from convergence_jax.partition.writes.records import Commit
from convergence_jax.partition.writes.writer import Outcome, Request, Step

PUSH_BYTES = 1200
"""What fits into a datagram."""


class SimulatedNode:
    """One machine with one node.

    Parameters
    ----------
    name : str
    schedule : Schedule
    clock : SimulatedClock
    disk : SimulatedDisk
    network : SimulatedNetwork
    oracle : Oracle
    chance : random.Random
    after : callable of (int, callable)
        Does something in so many nanoseconds.
    true : callable to int
        True time, in nanoseconds.
    make : callable
        Makes a participant, as :class:`~convergence_jax.partition.participant.Participant` does.
    key : Ed25519PrivateKey
    released : callable of str
        Hears, by the node's name, that its row holds something new.
    """

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        clock: SimulatedClock,
        disk: SimulatedDisk,
        network: SimulatedNetwork,
        oracle: Oracle,
        chance: random.Random,
        after: Callable[[int, Callable[[], None]], None],
        true: Callable[[], int],
        make: Callable[..., Participant],
        key: Ed25519PrivateKey,
        released: Callable[[str], None],
    ) -> None:
        self.name, self.schedule, self.clock, self.disk = name, schedule, clock, disk
        self.network, self.oracle = network, oracle
        self._chance, self._after, self._true, self._make, self._key = chance, after, true, make, key
        self._released = released
        self.peers: dict[str, SimulatedNode] = {}
        self.rosters: list[SignedRoster] = [schedule.authorised(0)]
        self.participant: Participant | None = None
        self.paused = self.leaving = False
        self.generation = 0
        self._failing = False
        self.step_seconds, self.exchange_seconds = schedule.step_seconds, schedule.exchange_seconds
        self.push_seconds = schedule.push_seconds
        self._waiting: list[Callable[[Participant], None]] = []
        self._unpublished: list[Commit] = []
        self._known: dict[str, dict[Incarnation, int]] = {}

    # Life

    @property
    def answering(self) -> Participant | None:
        """The participant, while anyone can ask it."""
        return None if self.paused else self.participant

    def start(self) -> None:
        """A new incarnation, from what the disk holds."""
        if self.participant is not None:
            return
        counter = next_incarnation(self.disk.counter, self.clock.wall())
        self.disk.opened(counter)
        signed = self.schedule.signed
        self.participant = self._make(
            self.name,
            self.rosters[-1],
            self.disk,
            counter,
            self.clock.clock,
            sign=self._key.sign if signed else seal,
            verify=Roster.verify if signed else sealed,
            earlier=self.rosters[:-1],
        )
        self.participant.replica.keep_rosters = self._keep_rosters
        self.participant.leaving = self.leaving
        self._publish(self.participant)
        self._soon(self._step)
        self._soon(self._exchange)
        if self.push_seconds:
            self._soon(self._push)

    def crash(self) -> None:
        """Stop at once; what is not synced may be gone."""
        self.participant, self.paused, self._failing = None, False, False
        self.generation += 1
        self._waiting.clear()
        self._known.clear()
        commit = self.disk.cached
        if self.disk.crash(self._chance) and commit is not None:
            self._unpublished.append(commit)

    def lose(self, backup: SimulatedDisk) -> None:
        """Crash, and find in place of the disk a backup of it."""
        self.crash()
        self._unpublished.clear()
        forgotten = self._chance.random() < 0.5 and self.clock.wall() > self.disk.counter + 1
        counter = 0 if forgotten else self.disk.counter  # then the next one follows the clock
        self.disk = backup
        self.disk.counter = counter
        self.network.forget(self.name)
        self.oracle.restored(self.name, self.disk)

    def pause(self) -> None:
        """Stand still, as under SIGSTOP: what happens meanwhile waits."""
        self.paused = self.participant is not None

    def go_on(self) -> None:
        """After a pause."""
        self.paused = False
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            self._do(action)

    def hurry(self, seconds: float) -> None:
        """Let what waits be released, in steps and exchanges so far apart."""
        self.step_seconds = self.exchange_seconds = seconds
        self.push_seconds = 0.0
        self.go_on()
        self.make_room()
        self.start()

    def make_room(self) -> None:
        """On a disk that is full."""
        self.disk.full = False

    @property
    def idle(self) -> bool:
        """Whether it runs and nothing waits in it."""
        p = self.participant
        busy = p is None or p.restoring or not p.writer.idle or any(p.writer.backlog) or self._failing
        return not busy and self.disk.cached is None and not self._unpublished

    def leave(self) -> None:
        """Take no more writes, and say so once all is released."""
        self.leaving = True
        if self.participant is not None:
            self.participant.leaving = True

    def join_roster(self, roster: SignedRoster) -> None:
        """Hear of a roster from its authority."""

        def join(participant: Participant) -> None:
            participant.replica.join_roster(roster)

        self._do(join)

    def _keep_rosters(self, rosters: list[SignedRoster]) -> None:
        self.rosters = list(rosters)

    def _do(self, action: Callable[[Participant], None], generation: int | None = None) -> None:
        """Have the process do something: now, after its pause, or never, if it is down or another one."""
        if self.participant is None or generation not in (None, self.generation):
            return
        if self.paused:
            self._waiting.append(action)
        else:
            action(self.participant)

    def _soon(self, action: Callable[[Participant], None]) -> None:
        """Step, exchange or push after about the time that is set for it, unless it crashes before."""
        mean: dict[Callable[[Participant], None], float]
        mean = {self._step: self.step_seconds, self._exchange: self.exchange_seconds}
        pause = self._chance.uniform(0.5, 1.5) * mean.get(action, self.push_seconds)
        generation = self.generation
        self._after(round(pause * SECOND), lambda: self._do(action, generation))

    # Steps

    def request(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Take a client's request."""

        def answer(outcome: Outcome) -> None:
            self.oracle.answered(self.name, self.disk, (request.client, request.sequence), outcome)
            done(outcome)

        self._do(lambda participant: participant.submit(request, answer))

    def _publish(self, participant: Participant) -> None:
        commits, self._unpublished = self._unpublished, []
        if self.oracle.published(participant, self._true(), commits):
            self._released(self.name)

    def _step(self, participant: Participant) -> None:
        if participant.restoring and participant.read_back() is not None:
            others = [p for peer in self.peers.values() if (p := peer.participant)]
            self.oracle.read_back(participant, self.disk, others, self._true())
        step = participant.begin()
        if not _writes(step.commit):
            self._finish(participant, step)
            return
        generation = self.generation
        delay = round(self._chance.expovariate(1.0) * self.schedule.commit_seconds * SECOND)
        try:
            self.disk.cache(step.commit)
        except JournalFull as error:
            reason, self._failing = str(error), True
            self._after(delay, lambda: self._do(lambda p: self._abort(p, step, reason), generation))
        else:
            self._after(delay, lambda: self._synced(step, generation))

    def _synced(self, step: Step, generation: int) -> None:
        if generation == self.generation:
            self.disk.sync()
            self._unpublished.append(step.commit)
            self._do(lambda participant: self._finish(participant, step), generation)

    def _finish(self, participant: Participant, step: Step) -> None:
        participant.finish(step)
        self._publish(participant)
        self._soon(self._step)

    def _abort(self, participant: Participant, step: Step, reason: str) -> None:
        participant.abort(step, reason)
        self._failing = False
        self._soon(self._step)

    # Messages

    def _send(self, peer: str, message: Digest | News, receive: Callable[[Participant, Any], None]) -> None:
        target = self.peers[peer]
        data = messages.encode(message)
        self.network.send(
            self.name,
            peer,
            data,
            lambda data: target._do(lambda participant: receive(participant, messages.decode(data))),
        )

    def _exchange(self, participant: Participant) -> None:
        self._soon(self._exchange)
        peer = self._chance.choice([name for name in participant.replica.roster.live if name != self.name])
        generation, target = self.generation, self.peers[peer]

        def second(there: Participant, digest: Digest) -> None:
            target._known[self.name] = {
                key.incarnation: version for key, version in zip(digest.keys, digest.versions, strict=True)
            }
            target._send(self.name, gossip.answer(there.replica, digest, self.schedule.limit), third)

        def third(here: Participant, news: News) -> None:
            if generation == self.generation:
                here.heard(news, peer)
            else:  # it answers an incarnation that is gone
                gossip.receive(here.replica, news)
            rest = gossip.fulfil(here.replica, news, self.schedule.limit)
            if rest is not None:
                self._send(peer, rest, _join)

        self._send(peer, participant.digest(), second)

    def _push(self, participant: Participant) -> None:
        if not self.push_seconds:
            return
        self._soon(self._push)
        peer = self._chance.choice([name for name in participant.replica.roster.live if name != self.name])
        news = gossip.push(participant.replica, self._known.get(peer, {}), PUSH_BYTES)
        if news is not None:
            self._send(peer, news, _join)


def _join(participant: Participant, news: News) -> None:
    gossip.receive(participant.replica, news)


def _writes(commit: Commit) -> bool:
    return bool(commit.writes or commit.waiting or commit.finished or commit.cells or commit.retracted)


def seal(body: bytes) -> bytes:
    """In place of a signature: as long, and of these bytes alone, but anyone can make it."""
    return hashlib.blake2b(body).digest()


def sealed(roster: Roster, node: str, body: bytes, signature: bytes) -> bool:
    """Whether bytes are those that were sealed."""
    return signature == seal(body)
