"""Which caps a member keeps to, and which ones others may count on, while a roster changes.

Members hear of a new roster at different times. A writer keeps to the lowest cap of every roster that some
member may still go by, and a reader counts on the highest of every roster that the writer may still go by;
each row says which roster its writer had. So the bound of a reader never lies below what a writer releases:
if the row at the reader is of version `h`, and the reader goes by version `r`, it counts on the highest of
`h` to `r`, of which the writer holds `h`. It keeps to the lowest of those it holds from `v` on, where no
member is known to go by less than `v` or what follows `v` here; so `h` is among them, or `v` lies between
`h` and `r`. A reader that missed a version between the two, or all from `h` on, counts on nothing. What is
said holds for readers whom the writer's newest roster names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import EvidenceSchema, Member, Roster, SignedRoster


@dataclass(frozen=True)
class Cap:
    """At most ``burst + rate * seconds`` events in any time: both exact."""

    rate: Fraction
    burst: Fraction


@dataclass(frozen=True)
class Caps:
    """Of one member.

    Attributes
    ----------
    additions, removals : Cap
        Of all its observations.
    agents : dict of str to Cap
        Of items about one agent, by statistic.
    """

    additions: Cap
    removals: Cap
    agents: dict[str, Cap]


def to_keep(replica: Replica) -> Caps:
    """The caps that the own node keeps to, which must hold every roster that a row of it named."""
    known = [row.head.roster for node in replica.roster.live if (row := replica.latest(node)) is not None]
    oldest = min([*known, replica.roster.version]) if len(known) == len(replica.roster.live) else 0
    held = [signed.roster.version for signed in replica.rosters]
    earlier = [version for version in held if version <= oldest]
    return _of(_since(replica.rosters, max(earlier, default=0)), replica.key.node, min)


def to_count_on(replica: Replica, node: str) -> Caps | None:
    """The caps that another node is known not to exceed; None while its roster, or one since, is not here.

    Without any row of it, nothing is known to have been seen, and its age is infinite: any caps will do.
    """
    row = replica.latest(node)
    if row is None:
        return _of(_since(replica.rosters, 0), node, max)
    rosters = _since(replica.rosters, row.head.roster)
    held = [roster.version for roster in rosters]
    if not held or held != list(range(row.head.roster, replica.roster.version + 1)):
        return None
    return _of(rosters, node, max)


def _since(rosters: Sequence[SignedRoster], version: int) -> list[Roster]:
    return [signed.roster for signed in rosters if signed.roster.version >= version]


_NOBODY = Member(name="nobody", keys=[], address="", rate=0.0, burst=0.0, remove_rate=0.0, remove_burst=0.0)
"""Whom a roster does not name may release nothing under it; nor what it has no statistic for."""


def _of(rosters: list[Roster], node: str, choose: Callable[..., float]) -> Caps:
    members = [roster.by_name.get(node, _NOBODY) for roster in rosters]

    def cap(rates: list[float], bursts: list[float]) -> Cap:
        return Cap(Fraction(choose(rates, default=0.0)), Fraction(choose(bursts, default=0.0)))

    agents = {}
    for name, schema in rosters[-1].schemas.items():
        if isinstance(schema, EvidenceSchema):
            found = [s if isinstance(s := r.schemas.get(name), EvidenceSchema) else None for r in rosters]
            agents[name] = cap(
                [s.agent_rate if s else 0.0 for s in found], [s.agent_burst if s else 0.0 for s in found]
            )
    return Caps(
        cap([m.rate for m in members], [m.burst for m in members]),
        cap([m.remove_rate for m in members], [m.remove_burst for m in members]),
        agents,
    )
