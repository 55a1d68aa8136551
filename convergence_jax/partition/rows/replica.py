"""`Replica`: all rows that a node knows of, joined: the order and number of arrivals leave no trace.

Rows are joined by version, an incarnation that a later one of its node has absorbed is dropped, and a
conflict takes the place of a row for good. Over the rows of writers that do not contradict themselves that is
the join of a lattice: associative, commutative, idempotent, and monotone. Of one that does, only a replica
that meets both rows before a later one has the proof; gossip then takes it to all. Whatever is in the table
was signed by its writer, whoever passed it on.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from convergence_jax.data.digest import digest
from convergence_jax.partition.rows.cells import Cells
from convergence_jax.partition.rows.content import SEPARATOR, about, check_cell, read_state, statistic_of
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.messages import Key, Update, read
from convergence_jax.partition.rows.roster import Roster, SignedRoster, newer
from convergence_jax.partition.rows.row import Conflict, Head, Incarnation, Token, conflict

HISTORY = 64
"""Versions of a row of which the count of events is remembered, to tell which rows changed most."""


@dataclass
class Row:
    """A row as a replica holds it.

    Attributes
    ----------
    head : Head
    signature : bytes
        Empty for the own row until it is first sent.
    cells : Cells
    history : deque of (int, int)
        Versions and the events that each one counted.
    """

    head: Head
    signature: bytes
    cells: Cells
    history: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=HISTORY))

    @cached_property
    def mark(self) -> bytes:
        """Hash of the head, cells and all."""
        return hashlib.sha256(self.head.body("")).digest()

    def events_since(self, version: int) -> int:
        """Events that were released or taken back after a version, as far back as is remembered."""
        now = self.head.added + self.head.removed
        before = [events for known, events in self.history if known <= version]
        return now - before[-1] if before else now


class Replica:
    """The table of rows.

    Parameters
    ----------
    roster : SignedRoster
        The newest known at the start; later ones are joined.
    key : Incarnation
        Of the own row.
    sign : callable of bytes to bytes
        Signs the own row. A simulation without signatures gives a function that returns nothing.
    verify : callable of (roster, node, body, signature) to bool
        Whether a signature is its node's.
    earlier : sequence of SignedRoster
        Older rosters, by version, that members may still go by.
    """

    def __init__(
        self,
        roster: SignedRoster,
        key: Incarnation,
        *,
        sign: Callable[[bytes], bytes],
        verify: Callable[[Roster, str, bytes, bytes], bool] = Roster.verify,
        earlier: Sequence[SignedRoster] = (),
    ) -> None:
        self.key = key
        self.rosters = [*earlier, roster]
        self.keep_rosters: Callable[[list[SignedRoster]], None] = lambda rosters: None
        """Called with all rosters before a new one is gone by, to make them durable."""
        self.table: dict[Incarnation, Row] = {}
        self.conflicts: dict[Incarnation, Conflict] = {}
        self.tokens: dict[str, Token] = {}
        self.wanted_whole: set[Incarnation] = set()
        self.refused: Counter[str] = Counter()
        self._sign, self._verify = sign, verify
        self._totals: dict[str, Any] = {}
        self._agents: dict[str, set[str]] = {}

    @property
    def roster(self) -> Roster:
        """The newest roster."""
        return self.rosters[-1].roster

    @property
    def own(self) -> Row:
        """The own row, once it was published."""
        return self.table[self.key]

    # The writer's side

    def publish(
        self,
        changes: Mapping[str, bytes],
        *,
        now: int,
        added: int,
        removed: int,
        frontier: int | None = None,
        final: bool = False,
    ) -> Head:
        """Seal the next version of the own row, with the newest tokens that were seen.

        Parameters
        ----------
        changes : mapping of str to bytes
            Cells that changed.
        now : int
            Milliseconds since this incarnation started, by its own clock.
        added, removed : int
            Observations released and taken back so far.
        frontier : int, optional
            As in :class:`~convergence_jax.partition.rows.row.Head`; everything earlier unless given.
        final : bool
            Nothing will follow.
        """
        row = self.table.get(self.key)
        cells = row.cells if row else Cells()
        version = row.head.version + 1 if row else 1
        patch = cells.patch(changes)
        cells.apply(patch, version)
        frontier = self.key.counter if frontier is None else frontier
        echoes = tuple(sorted(token for node, token in self.tokens.items() if node in self.roster.live))
        roster = self.roster.version
        head = Head(self.key, version, frontier, added, removed, final, roster, now, echoes, cells.digest)
        self._put(head, b"", cells, row, patch.changes)
        return head

    def signature(self, row: Row) -> bytes:
        """Of a row; the own one is signed when it is first sent in a version."""
        if not row.signature:
            row.signature = self._sign(row.head.body(self.roster.cluster))
        return row.signature

    # Joining

    @property
    def superseded(self) -> bool:
        """Whether others drop the own row, because they know a later incarnation of this node."""
        return self._frontier(self.key.node) > self.key.counter

    def see(self, token: Token) -> None:
        """Take note of a token that came from its issuer, or in a row that its issuer signed."""
        issuer, issued = token
        known = self.tokens.get(issuer.node)
        if issuer.node != self.key.node and (known is None or (known[0], known[1]) < (issuer, issued)):
            self.tokens[issuer.node] = token

    def join_roster(self, other: SignedRoster) -> bool:
        """Take a newer roster; whether it was."""
        verdict = newer(self.rosters[-1], other)
        if verdict == "refused":
            self.refused["roster"] += 1
        if verdict != "news":
            return False
        self.keep_rosters([*self.rosters, other])
        self.rosters.append(other)
        for key in [*self.table, *self.conflicts]:
            # The own row stays, uncounted: a node that is let in again goes on from its last version.
            if key != self.key and not self._may_hold(key):
                self.table.pop(key, None)
                self.conflicts.pop(key, None)
                self.wanted_whole.discard(key)
        self._totals.clear()
        return True

    def join_conflict(self, proof: Conflict) -> bool:
        """Take a proof that an incarnation contradicted itself; whether it was news."""
        cluster = self.roster.cluster
        try:
            key = proof.key(cluster)
        except ValueError:
            self.refused["malformed"] += 1
            return False
        if key in self.conflicts or not self._may_hold(key):
            return False
        pairs = ((proof.first, proof.first_signature), (proof.second, proof.second_signature))
        if not all(self._verify(self.roster, key.node, body, signature) for body, signature in pairs):
            self.refused["signature"] += 1
            return False
        self.conflicts[key] = proof
        self._totals.clear()
        return True

    def join(self, update: Update, keys: list[Key]) -> bool:
        """Take a row, or what changed in it; whether it was news. What is wrong is counted in `refused`.

        A change since a version that is not here, or that does not lead to what was signed, is not taken: the
        whole row is asked for next time.
        """
        try:
            return self._join(update, keys)
        except ValueError as error:
            self.refused[str(error).split(":")[0]] += 1
            return False

    def _join(self, update: Update, keys: list[Key]) -> bool:
        if not 0 <= update.key < len(keys):
            raise ValueError("malformed: a row of no key.")
        key = keys[update.key].incarnation
        if key == self.key or key in self.conflicts:
            return False
        if key.node not in self.roster.by_name:
            raise ValueError("unknown: no such member.")
        if not self._may_hold(key) or key.counter < self._frontier(key.node):
            return False
        row = self.table.get(key)
        have = row.head.version if row else 0
        if update.version < have or update.version < 1:
            return False
        if update.base > have:
            if row:  # else the next digest asks for all of it anyway
                self.wanted_whole.add(key)
            return False
        cells = row.cells if row else Cells()
        patch = cells.patch(update.cells, whole=update.base == 0)
        head = read(update, keys, patch.digest)
        if row and head == row.head:
            self.wanted_whole.discard(key)
            return False
        body = head.body(self.roster.cluster)
        if not self._verify(self.roster, key.node, body, update.signature):
            if update.base == 0:
                raise ValueError("signature: not the writer's.")
            self.wanted_whole.add(key)
            return False
        self.wanted_whole.discard(key)
        if row and update.version == have:
            mine = row.head.body(self.roster.cluster)
            self.conflicts[key] = conflict(mine, row.signature, body, update.signature)
            self._totals.clear()
            return True
        for name, data in patch.changes.items():
            if data:
                check_cell(self.roster, name, data)
        cells.apply(patch, update.version)
        self._put(head, update.signature, cells, row, patch.changes)
        self.see((key, head.issued))
        return True

    def _put(
        self, head: Head, signature: bytes, cells: Cells, former: Row | None, changes: Iterable[str]
    ) -> None:
        row = Row(head, signature, cells)
        if former:
            row.history = former.history
        row.history.append((head.version, head.added + head.removed))
        self.table[head.key] = row
        absorbed = [
            k
            for k in self.table
            if k.node == head.key.node and k.counter < head.frontier and k != self.key  # see `superseded`
        ]
        for key in absorbed:
            self.wanted_whole.discard(key)
            for name in self.table.pop(key).cells:
                self._totals.pop(name, None)
        for name in changes:
            self._totals.pop(name, None)
            if SEPARATOR in name:
                self._agents.setdefault(about(name), set()).add(name)

    def _frontier(self, node: str) -> int:
        return max((row.head.frontier for key, row in self.table.items() if key.node == node), default=0)

    def _may_hold(self, key: Incarnation) -> bool:
        member = self.roster.by_name.get(key.node)
        lifted = any(
            (i.node, i.counter, i.nonce) == (key.node, key.counter, key.nonce) for i in self.roster.lifted
        )
        return member is not None and not member.revoked and not lifted

    # What the rows say

    @property
    def excluded(self) -> frozenset[str]:
        """Nodes whose rows count nowhere, because one of their incarnations contradicted itself."""
        return frozenset(key.node for key in self.conflicts)

    def rows(self) -> list[Row]:
        """Rows that count, by key."""
        out = self.excluded if self._may_hold(self.key) else self.excluded | {self.key.node}
        return [self.table[key] for key in sorted(self.table) if key.node not in out]

    def latest(self, node: str) -> Row | None:
        """The row of a node's last incarnation that is known."""
        keys = [key for key in self.table if key.node == node]
        return self.table[max(keys)] if keys else None

    def age(self, node: str, now: int) -> Fraction | float:
        """Echo age of a node's rows, in seconds of the own clock, exactly; infinite without a valid echo.

        Everything that the node released up to then is in its rows here. 0 for the own row, and for one that
        is final.

        Parameters
        ----------
        node : str
        now : int
            Milliseconds since this incarnation started.
        """
        row = self.latest(node)
        if row is None or not row.head.whole:
            return float("inf")
        if row.head.final or node == self.key.node:
            return 0.0
        issued = next((issued for issuer, issued in row.head.echoes if issuer == self.key), None)
        if issued is None or issued > now:
            return float("inf")
        return Fraction(now + 1 - issued, 1000)

    def cells_about(self, statistic: str, agent: str) -> list[str]:
        """Cells of an agent, one an observer, sorted."""
        return sorted(self._agents.get(statistic + SEPARATOR + agent, ()))

    def total(self, cell: str) -> Any:
        """All rows' states of one cell, merged."""
        found = self._totals.get(cell)
        if found is None:
            statistic = statistic_of(self.roster, cell)
            found = statistic.empty()
            for row in self.rows():
                data = row.cells.get(cell)
                if data:
                    found = statistic.merge(found, read_state(self.roster, cell, data))
            self._totals[cell] = found
        return found

    def digest(self) -> str:
        """SHA-256 of what every member that counts has said: equal on two replicas that hold the same rows.

        No tokens, signatures, ages or versions go in, and several incarnations of a node are merged first.
        """
        said: dict[str, Any] = {}
        for row in self.rows():
            said.setdefault(row.head.key.node, []).append(row.cells)
        parts = {node: self._together(cells) for node, cells in said.items()}
        return digest({node: part for node, part in parts.items() if part}, sorted(self.excluded))

    def _together(self, parts: list[Cells]) -> bytes:
        if len(parts) == 1:
            return parts[0].digest if len(parts[0]) else b""
        merged: dict[str, Any] = {}
        for part in parts:
            for name in part:
                state = read_state(self.roster, name, part.get(name))
                statistic = statistic_of(self.roster, name)
                merged[name] = statistic.merge(merged[name], state) if name in merged else state
        cells = Cells()
        cells.apply(cells.patch({name: encode(state) for name, state in merged.items()}), 1)
        return cells.digest if len(cells) else b""
