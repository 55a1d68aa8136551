"""`Schedule`: one story for the simulator to act out, every part of it drawn from one seed."""

import random
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convergence_jax.partition.rows.roster import (
    EvidenceSchema,
    Feature,
    Member,
    MomentsSchema,
    Roster,
    Schema,
    SignedRoster,
    body,
    check,
)
from convergence_jax.partition.simulation.network import Weather

CLUSTER = "simulated"
PPM = 1000
"""Drift of one part per million, in nanoseconds a second."""


@dataclass(frozen=True)
class Fault:
    """Something that happens to a node or to the network.

    Attributes
    ----------
    seconds : float
        When, in true time.
    kind : str
        ``divide``, ``one_way``, ``heal``, ``crash``, ``reboot``, ``pause``, ``full``, ``backup``, ``lose``,
        ``leave`` or ``roster``.
    nodes : tuple of str
        Whom it hits; for a cut, one side.
    lasts : float
        Seconds until a crashed node starts again, a paused one goes on, a full disk has room.
    """

    seconds: float
    kind: str
    nodes: tuple[str, ...] = ()
    lasts: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """Everything that is settled before a simulation starts; the rest follows from `seed` too.

    Attributes
    ----------
    seed : int
    rosters : tuple of Roster
        The first one, and those that ``roster`` faults bring in, in order.
    seconds : float
        How long clients write and things go wrong.
    drift : dict of str to int
        Of each node's clock, in nanoseconds a second.
    step_seconds, exchange_seconds, push_seconds : float
        Mean time between a node's steps, exchanges and one-way messages; 0 for no such messages.
    commit_seconds : float
        Mean time that a disk takes to sync.
    weather : Weather
    client_loss : float
        Share of requests, and of answers to clients, that are lost.
    clients : int
        For each node.
    writes, events : int
        Writes of a client, and the most observations in one.
    retracting, giving_up : float
        Share of requests that take a write back, and of clients' timeouts after which a request is dropped.
    limit : int
        Bytes that a message of an exchange may have.
    checks : int
        How often answers are compared with the truth.
    faults : tuple of Fault
        By time.
    signed : bool
        Whether rows are really signed and signatures verified.
    """

    seed: int
    rosters: tuple[Roster, ...]
    seconds: float
    drift: dict[str, int]
    step_seconds: float
    exchange_seconds: float
    push_seconds: float
    commit_seconds: float
    weather: Weather
    client_loss: float
    clients: int
    writes: int
    events: int
    retracting: float
    giving_up: float
    limit: int
    checks: int
    faults: tuple[Fault, ...]
    signed: bool = False

    @property
    def names(self) -> list[str]:
        """Every node that ever takes part."""
        return [member.name for member in self.rosters[-1].members]

    def keys(self) -> dict[str, Ed25519PrivateKey]:
        """Keys of the authority, under an empty name, and of every node."""
        return {name: _key(self.seed, name) for name in ("", *self.names)}

    def authorised(self, place: int) -> SignedRoster:
        """One of the rosters, signed."""
        roster = self.rosters[place]
        return SignedRoster(roster, _key(self.seed, "").sign(body(roster)).hex())


def _key(seed: int, name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(random.Random(f"{seed}/key/{name}").randbytes(32))


def draw(seed: int, *, nodes: int | None = None, signed: bool = False) -> Schedule:
    """The schedule of a seed.

    Parameters
    ----------
    seed : int
    nodes : int, optional
        How many; drawn as well unless given: mostly 3 to 5, sometimes 6, 7 or 20.
    signed : bool
        As in :class:`Schedule`.
    """
    chance = random.Random(f"{seed}/schedule")
    drawn = chance.choices((3, 4, 5, 6, 7, 20), (36, 26, 20, 9, 8, 1))[0]
    size = drawn if nodes is None else nodes
    names = tuple(f"n{i}" for i in range(size))
    pace = chance.choice((0.25, 0.5, 1.0, 2.0, 5.0))  # everything slower or faster
    seconds = pace * (15.0 if size > 7 else chance.choice((20.0, 30.0, 80.0)))
    restores = chance.random() < 0.06
    retracting = chance.choice((0.0, 0.1, 0.3)) if not restores else 0.0
    windows = not restores and chance.random() < 0.2
    events = chance.choice((1, 4, 4, 16))
    rosters = _rosters(seed, chance, names, pace, events, retracting > 0 or windows, windows)
    first, step = rosters[0], pace * chance.choice((0.7, 1.5, 4.0))
    extremes = (200 * PPM, -200 * PPM)
    return Schedule(
        seed=seed,
        rosters=rosters,
        seconds=seconds,
        drift={m.name: chance.choice((*extremes, chance.randint(-200, 200) * PPM)) for m in first.members},
        step_seconds=step,
        exchange_seconds=pace * chance.choice((1.0, 2.0, 4.0)),
        push_seconds=pace * chance.choice((0.0, 0.0, 0.0, 6.0)),
        commit_seconds=pace * chance.choice((0.01, 0.1, 0.5)),
        weather=_weather(chance, pace),
        client_loss=chance.choice((0.0, 0.1, 0.3)),
        clients=chance.choice((1, 1, 2)),
        writes=chance.choice((2, 3, 5)) if size < 8 else 2,
        events=events,
        retracting=retracting,
        giving_up=chance.choice((0.0, 0.0, 0.1)),
        limit=chance.choice((1 << 20, 700 + 120 * size)) if len(rosters) == 1 else 1 << 20,
        checks=8,
        faults=_faults(chance, names, seconds, step, len(rosters), restores),
        signed=signed,
    )


def _weather(chance: random.Random, pace: float) -> Weather:
    return Weather(
        delay=pace * chance.choice((0.001, 0.02, 0.2)),
        tail=pace * chance.choice((0.0, 0.05, 0.5)),
        loss=chance.choice((0.0, 0.05, 0.3)),
        duplication=chance.choice((0.0, 0.1)),
        late=chance.choice((0.0, 0.0, 0.05)),
        late_seconds=10.0 * pace,
    )


def _rosters(
    seed: int,
    chance: random.Random,
    names: tuple[str, ...],
    pace: float,
    events: int,
    removing: bool,
    windows: bool,
) -> tuple[Roster, ...]:
    window = chance.choice((3.0, 8.0)) * pace if windows else None

    def feature(name: str) -> Feature:
        low, high = chance.choice(((0.0, 1.0), (-5.0, 5.0), (0.1, 1000.0), (2.0, 3.0)))
        return Feature(name=name, low=low, high=high, scale_bits=chance.choice((0, 4, 10, 20)))

    moments = MomentsSchema(
        name="latency",
        features=[feature(name) for name in ("delay", "size")[: chance.choice((1, 2))]],
        window_seconds=window,
    )
    low, high = chance.choice(((-3.0, 3.0), (-0.5, 4.0), (0.0, 2.0)))
    evidence = EvidenceSchema(
        name="seen",
        low=low,
        high=high,
        agent_rate=chance.choice((0.2, 1.0)) / pace,
        agent_burst=chance.choice((1.0, 2.5, 6.0)) * (1 if events < 10 else 2),
        window_seconds=window if chance.random() < 0.5 else None,
    )
    statistics: list[Schema] = list(chance.choice(((moments,), (moments,), (evidence,), (moments, evidence))))
    removing = removing and (chance.random() < 0.8 or window is not None)

    def member(name: str) -> Member:
        return Member(
            name=name,
            keys=[_key(seed, name).public_key().public_bytes_raw().hex()],
            address=f"{name}:1",
            rate=chance.choice((0.2, 0.6, 2.0, 10.0)) / pace,
            burst=chance.choice((1.0, 2.5, 4.0, 20.0)) * (1 if events < 10 else 2),
            remove_rate=chance.choice((0.5, 2.0, 10.0)) / pace if removing else 0.0,
            remove_burst=chance.choice((1.0, 3.5, 20.0)) if removing else 0.0,
        )

    first = Roster(
        cluster=CLUSTER,
        version=1,
        authority=_key(seed, "").public_key().public_bytes_raw().hex(),
        members=[member(name) for name in names],
        statistics=statistics,
    )
    found = [first]
    for version in range(2, 2 + (chance.choice((1, 2, 3)) if chance.random() < 0.15 else 0)):
        changed = set(chance.sample(names, chance.randint(1, len(names))))
        members = [member(old.name) if old.name in changed else old for old in found[-1].members]
        found.append(_with(found[-1], version, members))
    for roster in found:
        check(roster)
    return tuple(found)


def _with(roster: Roster, version: int, members: list[Member]) -> Roster:
    return Roster(
        cluster=roster.cluster,
        version=version,
        authority=roster.authority,
        members=members,
        statistics=roster.statistics,
        drift_ppm=roster.drift_ppm,
    )


def _faults(
    chance: random.Random,
    names: tuple[str, ...],
    seconds: float,
    step: float,
    rosters: int,
    restores: bool,
) -> tuple[Fault, ...]:
    found: list[Fault] = []

    def some(most: int) -> tuple[str, ...]:
        return tuple(chance.sample(names, chance.randint(1, max(1, min(most, len(names) - 1)))))

    for _ in range(chance.choice((1, 2, 3))):
        start, lasts = chance.uniform(0.05, 0.8) * seconds, chance.uniform(0.1, 0.8) * seconds
        kind = chance.choice(("divide", "divide", "one_way", "flap"))
        side = some(len(names))
        flaps = chance.randint(2, 5) if kind == "flap" else 1
        for i in range(flaps):
            cut = "divide" if kind == "flap" else kind
            found.append(Fault(start + i * lasts / flaps, cut, side))
            found.append(Fault(start + (i + 0.7) * lasts / flaps, "heal"))
    for kind, most in (("crash", 3), ("reboot", 1), ("pause", 2), ("full", 1)):
        for _ in range(chance.randint(0, most)):
            lasts = chance.choice((0.005, 0.05, 0.3)) * seconds * chance.random()
            found.append(Fault(chance.uniform(0.02, 1.0) * seconds, kind, some(1), lasts))
    if chance.random() < 0.2:  # again and again, with hardly time for a step in between
        start, kind, node = chance.uniform(0.1, 0.8) * seconds, chance.choice(("crash", "full")), some(1)
        for i in range(chance.randint(3, 6)):
            found.append(Fault(start + 2 * i * step, kind, node, (0.3 if kind == "crash" else 1.0) * step))
    if chance.random() < 0.15 and not restores:
        found.append(Fault(chance.uniform(0.2, 0.9) * seconds, "leave", some(1)))
    for _ in range(rosters - 1):
        found.append(Fault(chance.uniform(0.05, 0.8) * seconds, "roster", some(1)))
    if restores:
        node, at = some(1), chance.uniform(0.1, 0.6)
        found.append(Fault(at * seconds, "backup", node))
        lost = chance.uniform(at + 0.05, 0.95) * seconds
        found.append(Fault(lost, "lose", node, chance.uniform(0.0, 0.3) * seconds))
    return tuple(sorted(found, key=lambda fault: fault.seconds))
