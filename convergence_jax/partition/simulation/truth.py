"""`Ledger`: what a node has released, added up from the clients' own writes in plain integers.

Nothing here uses the statistics, the encoding or the intervals of the package: it is what they are held to.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from convergence_jax.partition.rows.replica import Row
from convergence_jax.partition.rows.roster import MomentsSchema, Roster, Schema
from convergence_jax.partition.rows.row import Incarnation
from convergence_jax.partition.writes.records import RETRACT, Commit, Waiting

# Of moments: count, sum of each feature in ticks, sums of products of each pair, upper triangle by
# rows. Of evidence: count, sum in units of ``2**-1074``.
Sums = tuple[int, ...]

# By statistic; for evidence by statistic, agent and observer. What is zero is left out.
Totals = dict[tuple[str, ...], Sums]

SEPARATOR = "\x1f"
SMALLEST = 1074
"""Every float64 is a whole number of ``2**-1074``."""


@dataclass(frozen=True)
class Request:
    """What a client once asked for.

    Attributes
    ----------
    client, sequence : str, int
    statistic : str
    values : tuple of tuple of float
        Observations; empty for a retraction.
    agents : tuple of str
        One an observation, for evidence.
    of : int or None
        The write to take back.
    """

    client: str
    sequence: int
    statistic: str
    values: tuple[tuple[float, ...], ...] = ()
    agents: tuple[str, ...] = ()
    of: int | None = None


def whole(value: float) -> int:
    """A float in units of ``2**-1074``."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * ((1 << SMALLEST) // denominator)


def one(schema: Schema, value: tuple[float, ...]) -> Sums:
    """Sums of a single observation."""
    if not isinstance(schema, MomentsSchema):
        return 1, whole(value[0])
    scales = [feature.scale_bits for feature in schema.features]
    ticks = [round(math.ldexp(v, bits)) for v, bits in zip(value, scales, strict=True)]  # half to even
    return 1, *ticks, *(a * b for i, a in enumerate(ticks) for b in ticks[i:])


def add(totals: Totals, other: Mapping[tuple[str, ...], Sums], sign: int = 1) -> None:
    """Add to totals, in place."""
    for cell, sums in other.items():
        before = totals.get(cell, (0,) * len(sums))
        after = tuple(a + sign * b for a, b in zip(before, sums, strict=True))
        totals[cell] = after
        if not any(after):
            del totals[cell]


def events(totals: Totals) -> int:
    """Observations in all cells."""
    return sum(sums[0] for sums in totals.values())


def said(schema: Schema, request: Request) -> Totals:
    """What a write adds."""
    totals: Totals = {}
    agents = request.agents or ("",) * len(request.values)
    for value, agent in zip(request.values, agents, strict=True):
        cell = (schema.name, agent, request.client) if agent else (schema.name,)
        add(totals, {cell: one(schema, value)})
    return totals


def held_back(schema: Schema, item: Waiting) -> Totals:
    """What still waits, of one write and cell."""
    width = len(schema.features) if isinstance(schema, MomentsSchema) else 1
    numbers = struct.unpack(f"<{len(item.values) // 8}d", item.values)
    totals: Totals = {}
    for at in range(0, len(numbers), width):
        add(totals, {tuple(item.cell.split(SEPARATOR)): one(schema, numbers[at : at + width])})
    return totals


def integers(data: bytes) -> list[int]:
    """The integers of an encoded state: zigzag LEB128, a run of zeros as one 0 and how many more."""
    found: list[int] = []
    at = 0
    while at < len(data):
        zero = data[at] == 0
        at += zero
        number, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if zero:
            found += [0] * (number + 1)
        else:
            found.append(number // 2 if number % 2 == 0 else -(number + 1) // 2)
    return found


def read(roster: Roster, row: Row) -> Totals:
    """What the cells of a row say."""
    totals: Totals = {}
    for cell in row.cells:
        name = tuple(cell.split(SEPARATOR))
        schema = roster.schemas[name[0]]
        numbers = integers(row.cells.get(cell))
        if isinstance(schema, MomentsSchema):
            features = len(schema.features)
            sums = tuple(numbers[: 1 + features + features * (features + 1) // 2])
        else:  # in and outside of the window; the window's unit is 2**-82
            sums = numbers[2], (numbers[0] << SMALLEST - 82) + numbers[1]
        totals[name] = sums
    return totals


@dataclass(frozen=True)
class Release:
    """What a node's row says from an instant on.

    Attributes
    ----------
    at : int
        True time, in nanoseconds.
    added, removed : int
        Observations released and taken back so far.
    totals : dict
    about : dict of (str, str) to int
        Items added so far about each agent, by statistic and agent.
    """

    at: int
    added: int
    removed: int
    totals: Totals
    about: dict[tuple[str, ...], int]


@dataclass
class Ledger:
    """All that one node has released, and where each version of its rows stands in that.

    Attributes
    ----------
    schemas : mapping of str to Schema
    request : callable of (str, int) to Request
        What a client asked for under a sequence.
    releases : list of Release
        The first one is empty.
    versions : dict of (Incarnation, int) to int
        Place in `releases` of what a version holds; none for one that says nothing yet, after a restore.
    """

    schemas: Mapping[str, Schema]
    request: Callable[[str, int], Request]
    releases: list[Release] = field(default_factory=lambda: [Release(0, 0, 0, {}, {})])
    versions: dict[tuple[Incarnation, int], int] = field(default_factory=dict)
    _waiting: dict[int, tuple[str, Totals]] = field(default_factory=dict)

    @property
    def last(self) -> Release:
        """What is released by now."""
        return self.releases[-1]

    def accept(self, at: int, commits: Iterable[Commit]) -> bool:
        """Take in steps that became visible together, at an instant; whether they released anything."""
        added, removed = self.last.added, self.last.removed
        totals, about = dict(self.last.totals), dict(self.last.about)
        for commit in commits:
            adds, takes = self._released(commit)
            add(totals, adds)
            add(totals, takes, -1)
            for (name, *agent), sums in adds.items():
                key = (name, *agent[:1])
                about[key] = about.get(key, 0) + sums[0]
            added, removed = added + events(adds), removed + events(takes)
        changed = (added, removed) != (self.last.added, self.last.removed)
        if changed:
            self.releases.append(Release(at, added, removed, totals, about))
        return changed

    def _released(self, commit: Commit) -> tuple[Totals, Totals]:
        adds: Totals = {}
        takes: Totals = {}
        for write in commit.writes:
            if write.kind != RETRACT:
                add(adds, self._said(write.client, write.sequence))
        for name in commit.retracted:
            add(takes, self._said(*name))
        for position in (*commit.finished, *(item.position for item in commit.waiting)):
            kind, before = self._waiting.pop(position, ("", {}))
            add(takes if kind == RETRACT else adds, before)
        for item in commit.waiting:
            left = held_back(self.schemas[item.statistic], item)
            self._waiting[item.position] = item.kind, left
            add(takes if item.kind == RETRACT else adds, left, -1)
        return adds, takes

    def _said(self, client: str, sequence: int) -> Totals:
        request = self.request(client, sequence)
        return said(self.schemas[request.statistic], request)

    def published(self, row: Row) -> None:
        """A version of the own row is out, and holds what is released by now."""
        if row.head.whole:
            self.versions[row.head.key, row.head.version] = len(self.releases) - 1

    def place(self, row: Row | None) -> int | None:
        """Where a row that anyone holds stands in `releases`; None for none, or one that says nothing."""
        return None if row is None else self.versions.get((row.head.key, row.head.version))

    def missing_since(self, place: int) -> int | None:
        """True time of the first release after a place; None if there is none."""
        return self.releases[place + 1].at if place + 1 < len(self.releases) else None

    def wait_for(self, waiting: Iterable[Waiting]) -> None:
        """What waits from now on, by position: another disk is in the place of the former."""
        self._waiting = {
            item.position: (item.kind, held_back(self.schemas[item.statistic], item)) for item in waiting
        }

    def go_back(self, at: int, waiting: Iterable[Waiting], found: Totals) -> int | None:
        """Forget what was lost with a disk: the node goes on from an earlier release, which it read back.

        Returns
        -------
        int or None
            The place of that release; None if the node never released just this.
        """
        places = [i for i, release in enumerate(self.releases) if release.totals == found]
        self.wait_for(waiting)
        if not places:
            return None
        kept = self.releases[places[-1]]
        del self.releases[places[-1] + 1 :]
        self.versions = {name: place for name, place in self.versions.items() if place < len(self.releases)}
        self.releases.append(Release(at, kept.added, kept.removed, found, kept.about))
        return places[-1]
