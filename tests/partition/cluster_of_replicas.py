"""Small clusters for the tests of this room: keys and rosters, rows by hand, exchanges between replicas."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.cells import Cells
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.messages import Dictionary, Key, News, Update
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import (
    EvidenceSchema,
    Feature,
    Member,
    MomentsSchema,
    Roster,
    SignedRoster,
    body,
)
from convergence_jax.partition.rows.row import Conflict, Head, Incarnation, conflict

LATENCY = MomentsSchema(name="latency", features=[Feature(name="delay", low=0.0, high=1000.0)])
TRUST = EvidenceSchema(name="trust", low=-8.0, high=8.0, agent_rate=5.0, agent_burst=5.0)
SALT = b"01234567"

Sent = tuple[Update, list[Key]]
"""A row in a message of its own."""


@cache
def signing_key(name: str) -> Ed25519PrivateKey:
    """The same key for a name in every run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public(name: str) -> str:
    """The public half, as rosters have it."""
    return signing_key(name).public_key().public_bytes_raw().hex()


def member(name: str, **other) -> Member:
    """A member with ample caps, unless others are given."""
    caps = {"rate": 1e6, "burst": 1e6, "remove_rate": 1e6, "remove_burst": 1e6}
    return Member(**{"name": name, "keys": [public(name)], "address": "127.0.0.1:1", **caps, **other})


def signed(roster: Roster, signer: str = "authority") -> SignedRoster:
    """A roster under somebody's signature."""
    return SignedRoster(roster, signing_key(signer).sign(body(roster)).hex())


def roster(members: int | Iterable[Member] = 3, version: int = 1, **other) -> SignedRoster:
    """A signed roster of n1, n2, ... or of given members."""
    people = [member(f"n{i + 1}") for i in range(members)] if isinstance(members, int) else list(members)
    fields = {"cluster": "tests", "authority": public("authority"), "statistics": [LATENCY, TRUST], **other}
    return signed(Roster(version=version, members=people, **fields))


def successor(former: SignedRoster, signer: str = "authority", **changes) -> SignedRoster:
    """The next version of a roster, with some fields changed."""
    changes.setdefault("version", former.roster.version + 1)
    return signed(msgspec.structs.replace(former.roster, **changes), signer)


def members_with(known: SignedRoster, name: str, **changes) -> list[Member]:
    """Members of a roster with one of them changed."""
    return [
        msgspec.structs.replace(one, **changes) if one.name == name else one for one in known.roster.members
    ]


def replica(node: str, known: SignedRoster, counter: int = 1, nonce: int = 0, key: str = "") -> Replica:
    """An empty replica of a node."""
    return Replica(known, Incarnation(node, counter, nonce), sign=signing_key(key or node).sign)


def latency(*values: float) -> bytes:
    """A cell of latencies."""
    states = LATENCY.statistic.lift(np.array(values, dtype=np.float64)[:, None])
    return encode(LATENCY.statistic.total(states))


def trust(*values: float) -> bytes:
    """A cell of evidence."""
    return encode(TRUST.statistic.collect(np.array(values, dtype=np.float64)))


def head_of(key: Incarnation, version: int, cells: Mapping[str, bytes], **other) -> Head:
    """A version of a row, as its writer would seal it."""
    content = Cells()
    content.apply(content.patch(cells), 1)
    fields = {
        "frontier": key.counter,
        "added": 0,
        "removed": 0,
        "final": False,
        "roster": 1,
        "issued": version,
    }
    return Head(**{"key": key, "version": version, "echoes": (), "digest": content.digest, **fields, **other})


def sealed(head: Head, cells: Mapping[str, bytes], key: str = "", base: int = 0) -> Sent:
    """A row signed by hand, by whoever holds a key: its node unless another is named."""
    dictionary = Dictionary([(head.key, head.issued), *head.echoes])
    signature = signing_key(key or head.key.node).sign(head.body("tests"))
    return dictionary.update(head, base, dict(cells), signature), dictionary.keys


def sent(held: Replica, key: Incarnation | None = None, base: int = 0) -> Sent:
    """A row of a replica as it would be sent, since a version."""
    row = held.table[key or held.key]
    dictionary = Dictionary([(row.head.key, row.head.issued), *row.head.echoes])
    return dictionary.update(row.head, base, row.cells.since(base), held.signature(row)), dictionary.keys


def contradiction(key: Incarnation, version: int = 1, signer: str = "") -> Conflict:
    """Proof that an incarnation signed two versions under one number."""
    sign = signing_key(signer or key.node).sign
    bodies = [head_of(key, version, {"latency": latency(value)}).body("tests") for value in (1.0, 2.0)]
    return conflict(bodies[0], sign(bodies[0]), bodies[1], sign(bodies[1]))


def exchange(asker: Replica, other: Replica, *, now: int = 1, legs: int = 3, salt: bytes = SALT) -> int:
    """Push and pull as bytes, with only so many legs that arrive; how many bytes were sent."""
    first = messages.encode(gossip.digest(asker, now, salt))
    if legs < 1:
        return len(first)
    second = messages.encode(gossip.answer(other, messages.decode(first)))
    if legs < 2:
        return len(first) + len(second)
    news = messages.decode(second)
    gossip.receive(asker, news)
    wanted = gossip.fulfil(asker, news)
    third = b"" if wanted is None else messages.encode(wanted)
    if third and legs == 3:
        gossip.receive(other, messages.decode(third))
    return len(first) + len(second) + len(third)


def converge(*replicas: Replica, rounds: int = 4) -> None:
    """Exchange between all pairs, some times over, each time with other salts."""
    for turn in range(rounds):
        for asker in replicas:
            for other in replicas:
                if asker is not other:
                    exchange(asker, other, salt=hashlib.sha256(b"%d" % turn).digest()[:8])


def table(held: Replica) -> dict[Incarnation, tuple[bytes, dict[str, bytes]]]:
    """Every row in bits."""
    return {
        key: (row.head.body("tests"), {name: row.cells.get(name) for name in row.cells})
        for key, row in held.table.items()
    }


def everything(held: Replica) -> tuple:
    """All that a replica knows and that decides what it says, in bits."""
    return (
        table(held),
        dict(held.conflicts),
        held.digest(),
        dict(held.tokens),
        [known.roster.version for known in held.rosters],
    )


def carried(*rows: Sent) -> News:
    """A message with rows, as some peer would pass them on."""
    keys, updates = [], []
    for update, own in rows:
        updates.append(
            msgspec.structs.replace(
                update, key=update.key + len(keys), echoes=b"\0" * len(keys) + update.echoes
            )
        )
        keys += own
    return News(messages.FORMAT, b"", keys, updates, [], [])
