"""`Oracle`: hears all that happens in a simulation, and what each node says must agree with it."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import combinations
from math import isinf

from convergence_jax.errors import StaleError
from convergence_jax.partition.answers.answer import Answer, Mode, Query, What, answer
from convergence_jax.partition.answers.interval import Interval
from convergence_jax.partition.participant import Origin, Participant
from convergence_jax.partition.rows.roster import MomentsSchema, Roster
from convergence_jax.partition.rows.row import Incarnation
from convergence_jax.partition.simulation.disk import Name, SimulatedDisk
from convergence_jax.partition.simulation.truth import (
    SMALLEST,
    Ledger,
    Request,
    Sums,
    Totals,
    add,
    events,
    read,
    said,
)
from convergence_jax.partition.writes.records import ADD, Commit
from convergence_jax.partition.writes.writer import Outcome

SECOND = 10**9
"""In nanoseconds."""


class Oracle:
    """Knows the truth of every instant.

    Parameters
    ----------
    roster : Roster
        For its statistics.
    names : iterable of str
        Every node.

    Attributes
    ----------
    wrong : list of (str, str)
        What should not have been: a word for its kind, and the story.
    counts : Counter
        What was looked at.
    """

    def __init__(self, roster: Roster, names: Iterable[str]) -> None:
        self.roster = roster
        self.requests: dict[Name, Request] = {}
        self.acknowledged: dict[Name, str] = {}
        self.wrong: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.ledgers = {name: Ledger(roster.schemas, self._request) for name in names}
        self._asked: dict[str, Query] = {}
        self._before: dict[tuple[str, Query], tuple[object, Interval]] = {}
        self._held: dict[tuple[Incarnation, str], int] = {}
        self._restored: dict[str, tuple[set[Name], int]] = {}

    def _request(self, client: str, sequence: int) -> Request:
        return self.requests[client, sequence]

    def require(self, good: bool, kind: str, story: str) -> None:
        """Note that something is wrong, unless it is good."""
        if not good:
            self.wrong.append((kind, story))

    # What happens

    def asked(self, request: Request) -> None:
        """A client is about to send a request, for the first time."""
        self.requests[request.client, request.sequence] = request

    def answered(self, node: str, disk: SimulatedDisk, name: Name, outcome: Outcome) -> None:
        """A node tells a client what became of its request."""
        durable = name in disk.writes
        if outcome.refused:
            kept = (
                durable and self.requests[name].of is None
            )  # a retraction may overtake its write, and another not
            self.require(not kept, "refused", f"{node} refuses {name}, which is in its journal: {outcome}")
            return
        self.acknowledged[name] = node
        self.require(durable, "lost", f"{node} acknowledges {name}, which is not durable: {outcome}")
        self.counts["acknowledgements"] += 1

    def published(self, participant: Participant, at: int, commits: Iterable[Commit] = ()) -> bool:
        """A node shows a version of its row, which holds some more steps; whether they released anything."""
        ledger, own = self.ledgers[participant.name], participant.replica.own
        changed = ledger.accept(at, commits)
        ledger.published(own)
        if own.head.whole:
            here = read(self.roster, own)
            shown, true = (own.head.added, own.head.removed, here), ledger.last
            good = shown == (true.added, true.removed, true.totals)
            self.require(good, "content", f"row of {participant.name} holds {shown}, not {true}")
        return changed

    def restored(self, node: str, disk: SimulatedDisk) -> None:
        """A node's disk was lost, and a backup is in its place: what it lacks can no longer be held to it."""
        for name in [name for name, where in self.acknowledged.items() if where == node]:
            if name not in disk.writes:
                del self.acknowledged[name]
        self.ledgers[node].wait_for(disk.waiting.values())
        self._restored[node] = set(disk.writes), sum(item.events for item in disk.waiting.values())

    def read_back(
        self, participant: Participant, disk: SimulatedDisk, others: Iterable[Participant], at: int
    ) -> None:
        """After a restore a node goes on from what its peers hold: nothing that any of them has is gone."""
        node, own = participant.name, participant.replica.own
        ledger = self.ledgers[node]
        held = [
            ledger.place(row) for peer in others for row in peer.replica.rows() if row.head.key.node == node
        ]
        place = ledger.go_back(at, disk.waiting.values(), read(self.roster, own))
        ledger.published(own)
        newest = max((p for p in held if p is not None), default=0)
        good = place is not None and place >= newest
        self.require(good, "read back", f"{node} read back release {place}, and a peer holds {newest}")
        names, waiting = self._restored[node]
        self._restored[node] = names, events(ledger.last.totals) + waiting - participant.uncertain

    # What a node says

    def truth(self, participant: Participant) -> Totals:
        """Of all members that a node's roster names, at this instant."""
        totals: Totals = {}
        for node in participant.replica.roster.live:
            add(totals, self.ledgers[node].last.totals)
        return totals

    def check(self, participant: Participant, at: int, chance: random.Random) -> None:
        """Look at the ages and bounds that a node gives now, and ask it something.

        Parameters
        ----------
        participant : Participant
        at : int
            True time, in nanoseconds.
        chance : random.Random
            Draws the question.
        """
        origins = self.check_origins(participant, at)
        query = self._asked.get(participant.name)
        if query is None or chance.random() < 0.6:
            query = self._draw(chance, max((o.age_seconds for o in origins), default=1.0))
            self._asked[participant.name] = query
        self._check_answer(participant, query, at)

    def check_origins(self, participant: Participant, at: int) -> list[Origin]:
        """Look at the ages that a node gives now, and at the bounds on what it misses."""
        origins = participant.origins()
        for origin in origins:
            self._check_origin(participant, origin, at)
        return origins

    def _check_origin(self, participant: Participant, origin: Origin, at: int) -> None:
        ledger, row = self.ledgers[origin.node], participant.replica.latest(origin.node)
        place = ledger.place(row)
        who = f"{participant.name} on {origin.node} at {at / SECOND:.3f} s, whose row is release {place}"
        self.counts["ages"] += 1
        self.counts["finite ages"] += not isinf(origin.age_seconds)
        if place is None:
            self.require(isinf(origin.age_seconds), "age", f"{who}: age {origin.age_seconds}")
            place = 0
        elif origin.node not in self._restored:
            pair = participant.replica.key, origin.node
            self.require(self._held.get(pair, 0) <= place, "older", f"{who}: it had a later one")
            self._held[pair] = place
        since, then, now = ledger.missing_since(place), ledger.releases[place], ledger.last
        if since is not None and not origin.excluded:
            age, true = origin.age_seconds, Fraction(at - since, SECOND)
            self.require(isinf(age) or age >= true, "age", f"{who}: age {age}, truly {float(true)}")
        for what, bound, missing in (
            ("additions", origin.unseen.additions, now.added - then.added),
            ("removals", origin.unseen.removals, now.removed - then.removed),
        ):
            self.require(bound is None or missing <= bound, "unseen", f"{who}: {missing} {what}, not {bound}")
            self.counts["bounds that are reached"] += bound is not None and 0 < missing == bound

    def _draw(self, chance: random.Random, oldest: float) -> Query:
        schema = chance.choice(self.roster.statistics)
        modes: tuple[Mode, ...] = (
            "statistical",
            "statistical",
            "statistical",
            "bounded_staleness",
            "eventual",
        )
        mode = chance.choice(modes)
        max_age = min(oldest, 1e6) * chance.uniform(0.3, 1.5) if mode == "bounded_staleness" else None
        if not isinstance(schema, MomentsSchema):
            agents = sorted({a for r in self.requests.values() for a in r.agents}) or ["nobody"]
            return Query(
                statistic=schema.name,
                what="log_odds",
                agent=chance.choice(agents),
                observers_lying=chance.choice((None, None, 0, 1, 2)),
                prior=chance.choice((0.0, chance.uniform(-3.0, 3.0))),
                mode=mode,
                max_age=max_age,
            )
        whats: tuple[What, ...] = ("count", "mean", "mean", "covariance")
        what = chance.choice(whats)
        first, second = (chance.choice(schema.features).name for _ in range(2))
        return Query(
            statistic=schema.name,
            what=what,
            feature=first if what != "count" else None,
            other=second if what == "covariance" else None,
            mode=mode,
            max_age=max_age,
        )

    def _check_answer(self, participant: Participant, query: Query, at: int) -> None:
        who = f"{participant.name} at {at / SECOND:.3f} s, {query}"
        try:
            given = answer(participant, query)
        except StaleError:
            self.counts["stale"] += 1
            old = [o.age_seconds for o in participant.origins() if not o.excluded]
            good = query.mode == "bounded_staleness" and max(old) > (query.max_age or 0.0)
            self.require(good, "availability", f"{who}: refused at ages {old}")
            return
        self.counts["answers"] += 1
        if query.mode == "bounded_staleness":
            self._check_fresh(participant, query.max_age or 0.0, at, who)
        self._check_value(participant, given, who)
        if query.what == "log_odds":
            self._check_agents(participant, query, who)
        if given.interval is not None:
            self.counts["intervals"] += 1
            for truth in self._truths(participant, query):
                self.require(_holds(given.interval, truth), "interval", f"{who}: {given.interval}, {truth}")
            self._check_nested(participant, query, given.interval, who)

    def _check_fresh(self, participant: Participant, max_age: float, at: int, who: str) -> None:
        for node in participant.replica.roster.live:
            ledger = self.ledgers[node]
            since = ledger.missing_since(ledger.place(participant.replica.latest(node)) or 0)
            fresh = since is None or Fraction(at - since, SECOND) <= max_age
            self.require(fresh, "stale", f"{who}: answered, and {node} is older")

    def _check_agents(self, participant: Participant, query: Query, who: str) -> None:
        """No more items about any agent are missing than its caps and the ages say."""
        origins = participant.origins()
        for origin, possible in zip(origins, participant.unseen_about(query.statistic, origins), strict=True):
            ledger = self.ledgers[origin.node]
            then = ledger.releases[ledger.place(participant.replica.latest(origin.node)) or 0]
            now = {key: n for key, n in ledger.last.about.items() if key[0] == query.statistic}
            missing = max((n - then.about.get(key, 0) for key, n in now.items()), default=0)
            good = possible.additions is None or missing <= possible.additions
            self.require(good, "unseen", f"{who}: {missing} items of {origin.node}, not {possible.additions}")

    def _check_value(self, participant: Participant, given: Answer, who: str) -> None:
        """The count is that of the rows that are here."""
        rows = [(self.ledgers[row.head.key.node], row) for row in participant.replica.rows()]
        places = [(ledger, ledger.place(row)) for ledger, row in rows]
        if any(place is None for _, place in places):
            return
        here: Totals = {}
        for ledger, place in places:
            add(here, ledger.releases[place or 0].totals)
        cells = _cells(here, given.query)
        count = sum(sums[0] for sums in cells.values())
        self.require(given.count == count, "value", f"{who}: count {given.count} of rows that hold {count}")

    def _truths(self, participant: Participant, query: Query) -> list[Fraction]:
        """The answer that all members together would give, or all that must lie in its bounds."""
        cells = _cells(self.truth(participant), query)
        if query.what == "log_odds":
            spoken = [Fraction(sums[1], 1 << SMALLEST) for sums in cells.values()]
            total = sum(spoken, Fraction(query.prior))
            liars = range(min(query.observers_lying or 0, len(spoken)) + 1)
            return [total - sum(out, Fraction(0)) for f in liars for out in combinations(spoken, f)]
        schema = self.roster.schemas[query.statistic]
        assert isinstance(schema, MomentsSchema)
        names = [feature.name for feature in schema.features]
        sums: Sums = cells.get((query.statistic,), (0,) * (1 + len(names) * (len(names) + 3) // 2))
        n = sums[0]
        if query.what == "count":
            return [Fraction(n)]
        i = names.index(query.feature or names[0])
        j = names.index(query.other or names[i])
        i, j = min(i, j), max(i, j)
        first, second = (
            Fraction(2) ** schema.features[i].scale_bits,
            Fraction(2) ** schema.features[j].scale_bits,
        )
        if query.what == "mean":
            return [Fraction(sums[1 + i], n) / first] if n else []
        product = sums[1 + len(names) + i * len(names) - i * (i - 1) // 2 + j - i]
        scatter = n * product - sums[1 + i] * sums[1 + j]
        return [Fraction(scatter, n * (n - 1)) / first / second] if n > 1 else []

    def _check_nested(self, participant: Participant, query: Query, interval: Interval, who: str) -> None:
        """Without news, a later interval holds the earlier one."""
        replica = participant.replica
        held = tuple(sorted((key, row.head.version) for key, row in replica.table.items()))
        state = held, replica.key, replica.roster.version
        before = self._before.get((participant.name, query))
        self._before[participant.name, query] = state, interval
        if before is not None and before[0] == state:
            self.counts["without news"] += 1
            earlier = before[1]
            wider = interval.lower <= earlier.lower and earlier.upper <= interval.upper
            self.require(wider, "narrower", f"{who}: {interval} after {earlier} without news")

    # At the end

    def recount(self, participants: Mapping[str, Participant], disks: Mapping[str, SimulatedDisk]) -> None:
        """All is quiet and every replica the same: what is counted is what was written, each write once."""
        where = Counter(name for disk in disks.values() for name in disk.writes)
        for name, times in where.items():
            self.require(times == 1, "invented", f"{name} is in {times} journals")
            self.require(name in self.requests, "invented", f"nobody wrote {name}")
        for name, node in self.acknowledged.items():
            self.require(name in where, "lost", f"{name}, acknowledged by {node}, is in no journal")
            of = self.requests[name].of
            back = of is None or (name[0], of) in disks[node].retracted
            self.require(back, "lost", f"{name}, acknowledged by {node}, takes back {of}, which is there")
        for node, disk in disks.items():
            counted = read(self.roster, participants[node].replica.own)
            if node in self._restored:
                before, expected = self._restored[node]
                new = [self.requests[name] for name in disk.writes if name not in before]
                expected += sum(len(request.values) for request in new)
                good = events(counted) == expected
                self.require(good, "lost", f"{node}, restored, counts {events(counted)}, not {expected}")
            else:
                written = self._written(disk)
                self.require(counted == written, "lost", f"{node} counts {counted}, and holds {written}")
            for peer in participants.values():
                here: Totals = {}
                for row in peer.replica.rows():
                    if row.head.key.node == node:
                        add(here, read(self.roster, row))
                self.require(
                    here == counted, "diverged", f"{peer.name} holds {here} of {node}, not {counted}"
                )

    def _written(self, disk: SimulatedDisk) -> Totals:
        totals: Totals = {}
        for name, write in disk.writes.items():
            request = self.requests[name]
            if write.kind == ADD and name not in disk.retracted:
                add(totals, said(self.roster.schemas[request.statistic], request))
        for name in disk.retracted:
            asked = any((r.client, r.of) == name for r in self.requests.values())
            windowed = self.roster.schemas[self.requests[name].statistic].window_seconds is not None
            self.require(asked or windowed, "invented", f"nobody took {name} back")
        return totals


def _cells(totals: Totals, query: Query) -> Totals:
    """Those that a question is about."""
    if query.what == "log_odds":
        return {cell: s for cell, s in totals.items() if cell[:2] == (query.statistic, query.agent)}
    return {cell: s for cell, s in totals.items() if cell == (query.statistic,)}


def _holds(interval: Interval, truth: Fraction) -> bool:
    above = isinf(interval.lower) or Fraction(interval.lower) <= truth
    return above and (isinf(interval.upper) or truth <= Fraction(interval.upper))
