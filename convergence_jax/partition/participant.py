"""`Participant`: one node as it thinks, without disk, network or clock of its own.

A node process and the simulator run this same class: they hand it a journal, a clock and messages, and carry
out what it says. Nothing in it waits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convergence_jax.errors import InputError
from convergence_jax.partition.rows import gossip
from convergence_jax.partition.rows.content import read_state, statistic_of
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.messages import Digest, News
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import Roster, SignedRoster
from convergence_jax.partition.rows.row import Incarnation
from convergence_jax.partition.unseen import Unseen, age_bound, unseen
from convergence_jax.partition.writes import caps
from convergence_jax.partition.writes.records import Journal, Snapshot
from convergence_jax.partition.writes.writer import Outcome, Request, Step, Writer


@dataclass(frozen=True)
class Clock:
    """What time it is, and where chance comes from.

    Attributes
    ----------
    boottime : callable to int
        Nanoseconds of a clock that counts while the machine sleeps.
    wall : callable to float
        Seconds since the epoch.
    random : callable of int to bytes
    """

    boottime: Callable[[], int]
    wall: Callable[[], float]
    random: Callable[[int], bytes]


@dataclass(frozen=True)
class Origin:
    """What is known of one member's rows, at an instant.

    Attributes
    ----------
    node : str
    age_seconds : float
        Everything that it released longer ago is here; drift allowed for, infinite if unknown.
    events : int
        Observations of its that are here: released, less taken back.
    version : int
        Of its last row; 0 for none.
    unseen : Unseen
        What it may have released, and taken back, since.
    excluded, final, self : bool
        Whether it contradicted itself, has left for good, is the own node.
    """

    node: str
    age_seconds: float
    events: int
    version: int
    unseen: Unseen
    excluded: bool
    final: bool
    self: bool


class Participant:
    """A member of the roster.

    Parameters
    ----------
    name : str
    roster : SignedRoster
        Already trusted.
    journal : Journal
    counter : int
        Of this incarnation, already durable.
    clock : Clock
    sign : callable of bytes to bytes
    verify : callable of (roster, node, body, signature) to bool
    earlier : sequence of SignedRoster
        As in :class:`~convergence_jax.partition.rows.replica.Replica`.
    """

    def __init__(
        self,
        name: str,
        roster: SignedRoster,
        journal: Journal,
        counter: int,
        clock: Clock,
        *,
        sign: Callable[[bytes], bytes],
        verify: Callable[[Roster, str, bytes, bytes], bool] = Roster.verify,
        earlier: Sequence[SignedRoster] = (),
    ) -> None:
        self.clock = clock
        self.journal = journal
        self._started = clock.boottime()
        key = Incarnation(name, counter, int.from_bytes(clock.random(8), "little"))
        self.replica = Replica(roster, key, sign=sign, verify=verify, earlier=earlier)
        held = journal.load()
        self.writer = Writer(
            journal,
            held,
            lambda: self.replica.roster,
            lambda cell: self.replica.own.cells.get(cell),
            self._started,
        )
        self._restored: Snapshot | None = held if held.restored else None
        self._heard: set[str] = set()
        self.uncertain = 0
        self.leaving = False
        if held.restored:
            self.replica.publish({}, now=self.now(), added=0, removed=0, frontier=0)
        else:
            self.replica.publish(held.cells, now=self.now(), added=held.added, removed=held.removed)

    @property
    def name(self) -> str:
        """Of the node."""
        return self.replica.key.node

    @property
    def restoring(self) -> bool:
        """Whether this node still reads its own rows back after a restore."""
        return self._restored is not None

    def now(self) -> int:
        """Milliseconds since this incarnation started, rounded down."""
        return (self.clock.boottime() - self._started) // 1_000_000

    # Writing

    def submit(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Take a client's request; `done` hears when it is durable or refused."""
        self.writer.submit(request, done)

    def begin(self) -> Step:
        """Stage the next step; one at a time. The caller commits ``step.commit``, unless it is empty.

        Raises
        ------
        InputError
            If others know a later run of this node: whatever this one accepts, they will never count.
        """
        if self.replica.superseded:
            raise InputError(
                f"{self.name}: a later run of this node is known to others; stop this one, or set the clock "
                "right and start it again."
            )
        closed = f"{self.name} is leaving and takes no more writes; use another node." if self.leaving else ""
        keep = caps.to_keep(self.replica)
        return self.writer.begin(keep, self.clock.boottime(), self.clock.wall(), closed)

    def finish(self, step: Step) -> None:
        """The step is durable: show it in the own row, with the tokens seen so far, then acknowledge it."""
        self.writer.finish(step)
        self._publish(step.commit.cells)
        self.writer.answer(step)

    def abort(self, step: Step, reason: str) -> None:
        """The step could not be made durable."""
        self.writer.abort(step, reason)

    def _publish(self, cells: Mapping[str, bytes]) -> None:
        done = self.leaving and self.writer.idle and not any(self.writer.backlog) and not self.writer.windowed
        self.replica.publish(
            cells,
            now=self.now(),
            added=self.writer.added if not self.restoring else 0,
            removed=self.writer.removed if not self.restoring else 0,
            frontier=0 if self.restoring else None,
            final=done and not self.restoring,
        )

    # Gossip

    def digest(self) -> Digest:
        """First leg of an exchange."""
        return gossip.digest(self.replica, self.now(), self.clock.random(8))

    def heard(self, news: News, peer: str) -> None:
        """Join the second leg, which a peer answered; after a restore, note that it told all that it has."""
        gossip.receive(self.replica, news)
        if not news.more and not any(key.node == self.name for key in self.replica.wanted_whole):
            self._heard.add(peer)

    # After a restore

    def read_back(self) -> Mapping[str, bytes] | None:
        """Cells to publish once every other member was heard after a restore; None before that.

        Between steps. What peers hold of this node's rows takes the place of what the backup had, if it is
        newer; then what waited in the backup may have been released since, and is set aside as `uncertain`.
        """
        held = self._restored
        others = [node for node in self.replica.roster.live if node != self.name]
        if held is None or not self._heard.issuperset(others):
            return None
        rows = [row for row in self.replica.rows() if row.head.key.node == self.name]
        there = [row for row in rows if row.head.key != self.replica.key]
        added, removed = (sum(getattr(row.head, what) for row in there) for what in ("added", "removed"))
        if (held.added, held.removed) >= (added, removed):
            cells, added, removed, position = held.cells, held.added, held.removed, 0
        else:
            cells, position = self._merged([row.cells for row in there]), held.position
        self.uncertain += self.journal.read_back(cells, added, removed, position)
        self._restored = None
        self.leaving |= any(row.head.final for row in there)  # others count on nothing to follow
        self.writer.load(self.journal.load())
        self._publish(cells)
        return cells

    def _merged(self, parts: list[Any]) -> dict[str, bytes]:
        roster = self.replica.roster
        states: dict[str, Any] = {}
        for part in parts:
            for name in part:
                state = read_state(roster, name, part.get(name))
                statistic = statistic_of(roster, name)
                states[name] = statistic.merge(states[name], state) if name in states else state
        return {name: encode(state) for name, state in states.items()}

    # What may be said

    def origins(self) -> list[Origin]:
        """Every live member, at this instant, by name."""
        now, replica = self.now(), self.replica
        return [self._origin(node, now) for node in replica.roster.live]

    def _origin(self, node: str, now: int) -> Origin:
        replica = self.replica
        row = replica.latest(node)
        rows = [row.head for key, row in replica.table.items() if key.node == node]
        head = row.head if row else None
        echo_age = replica.age(node, now)
        age = age_bound(echo_age, replica.roster.drift) if echo_age else 0.0
        final = head is not None and head.final
        if age == 0.0 and (final or node == self.name):
            possible = Unseen(0, 0)
        else:
            cap = caps.to_count_on(replica, node)
            possible = Unseen(None, None)
            if cap is not None:
                possible = Unseen(
                    unseen(cap.additions.burst, cap.additions.rate, age),
                    unseen(cap.removals.burst, cap.removals.rate, age),
                )
        return Origin(
            node,
            age,
            sum(h.added - h.removed for h in rows),
            head.version if head else 0,
            possible,
            node in replica.excluded,
            final,
            node == self.name,
        )

    def unseen_about(self, statistic: str, origins: list[Origin]) -> list[Unseen]:
        """What may be unseen about one agent, by each member's caps on that and on everything."""
        return [self._about(statistic, origin) for origin in origins]

    def _about(self, statistic: str, origin: Origin) -> Unseen:
        possible = origin.unseen
        if origin.excluded:
            return Unseen()
        if possible.additions == 0:
            return possible
        known = caps.to_count_on(self.replica, origin.node)
        if known is None:
            return possible
        cap = known.agents[statistic]
        about = unseen(cap.burst, cap.rate, origin.age_seconds)
        if about is None or (possible.additions is not None and possible.additions < about):
            return possible
        return Unseen(about, possible.removals)

    def digest_of_states(self) -> str:
        """As :meth:`~convergence_jax.partition.rows.replica.Replica.digest`."""
        return self.replica.digest()

    def oldest(self) -> float:
        """The largest age of any member that counts, in seconds."""
        return max((o.age_seconds for o in self.origins() if not o.excluded), default=math.inf)
