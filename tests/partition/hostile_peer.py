"""What a peer could send that no node would: bytes, shapes and numbers out of range, drawn from a seed."""

import random
from collections.abc import Callable, Iterator

import msgspec
from cluster_of_replicas import (
    carried,
    contradiction,
    head_of,
    latency,
    replica,
    roster,
    sealed,
    sent,
    successor,
)

from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.messages import News
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import encode as encode_roster
from convergence_jax.partition.rows.row import Incarnation

ROSTER = roster(3)
NUMBERS = [-(2**63), -(2**31), -1, 0, 1, 2, 3, 127, 128, 2**31, 2**32, 2**62, 2**62 + 1, 2**63 - 1, 2**64 - 1]
CELLS = {"latency": latency(1.0, 2.0)}

pack = msgspec.msgpack.encode


_FORGED = encode_roster(successor(ROSTER, signer="mallory"))
_PROOFS = [contradiction(Incarnation("n2", place, 9), signer="mallory") for place in range(10)]


def genuine() -> list[bytes]:
    """Messages as a member sends them, but for a proof and a roster that are forged."""
    writer, other = replica("n2", ROSTER), replica("n3", ROSTER)
    writer.publish({"latency": latency(1.0)}, now=1, added=1, removed=0)
    other.publish(CELLS, now=1, added=2, removed=0)
    digest = gossip.digest(writer, 5, b"saltsalt")
    news = gossip.answer(other, digest)
    writer.publish(CELLS, now=2, added=2, removed=0)
    parts = carried(sent(writer, base=1), sent(other))
    made = [
        digest,
        news,
        parts,
        msgspec.structs.replace(parts, conflicts=_PROOFS[:1]),
        msgspec.structs.replace(parts, roster=_FORGED),
        News(messages.FORMAT, b"", parts.keys, [], [], [(0, 0), (1, 7)]),
    ]
    return [messages.encode(message) for message in made]


def random_bytes(draw: random.Random, seeds: list[bytes]) -> bytes:
    """Bytes of no kind, or such that begin like a message."""
    start = draw.choice([b"", b"\x98\x01\x01", b"\x98\x02\x01", b"\x98\x02\x01\xc4\x00\x91\x94"])
    return start + draw.randbytes(draw.randrange(60))


def damaged(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A message with a few bits changed, bytes gone or doubled, or the end of another."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(data))
        kind = draw.randrange(5)
        if kind < 2:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del data[at : at + draw.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = draw.randbytes(draw.randrange(1, 9))
        else:
            data[at:] = draw.choice(seeds)[at:]
        if not data:
            break
    return bytes(data)


def shaped(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A message of the right shape with numbers, bytes and names of any size in a few places."""
    tree = msgspec.msgpack.decode(draw.choice(seeds))
    for _ in range(draw.randrange(1, 4)):
        _spoil(draw, tree)
    return pack(tree)


def _spoil(draw: random.Random, tree: list) -> None:
    place = tree
    while True:
        inner = [item for item in place if isinstance(item, list) and item]
        if not inner or draw.random() < 0.3:
            break
        place = draw.choice(inner)
    at = draw.randrange(len(place))
    value = place[at]
    if isinstance(value, bool):
        place[at] = draw.choice([not value, None, 2])
    elif isinstance(value, int):
        place[at] = draw.choice(NUMBERS)
    elif isinstance(value, bytes):
        place[at] = draw.choice([b"", value[:-1], value + b"\0", draw.randbytes(64), bytes(len(value))])
    elif isinstance(value, str):
        place[at] = draw.choice(["", "n1", "n2", "n3", "n9", "x" * 300, "\x1f", "\0"])
    elif isinstance(value, dict):
        place[at] = draw.choice([{}, {"latency": b"\xff"}, {"trust": b"\1"}, {"a\x1fb": b"\1"}, {"": b""}])
    elif isinstance(value, list):
        place[at] = draw.choice([[], value * 2, value * 50, value[::-1], value[:1], [value]])


def nested(draw: random.Random, seeds: list[bytes]) -> bytes:
    """Arrays and maps inside each other, many of them or deep, or that claim to be huge."""
    kind = draw.randrange(4)
    if kind == 0:
        return b"\x91" * draw.randrange(1, 3000)
    if kind == 1:
        return b"\x98\x02\x01" + bytes([0x80 | draw.randrange(16)]) * draw.randrange(1, 2000)
    if kind == 2:
        claimed = draw.choice([b"\xdd", b"\xdf", b"\xc6", b"\xdb"])
        return b"\x98\x02\x01\xc4\x00" + claimed + draw.randbytes(4) + draw.randbytes(draw.randrange(30))
    return pack([1, 1, 1, bytes(8), 1, [["n2", i, i] for i in range(draw.randrange(200))], [], b"", []])


def skewed(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A message of another version of the format."""
    tree = msgspec.msgpack.decode(draw.choice(seeds))
    tree[1] = draw.choice([0, 2, 3, 2**31, 2**64 - 1, -1])
    return pack(tree)


def unsigned(draw: random.Random, seeds: list[bytes]) -> bytes:
    """Rows and proofs that are right but for their signature, and rosters that the authority did not sign."""
    key = Incarnation(draw.choice(["n2", "n3", "n9"]), draw.choice([1, 2, 10**9]), draw.getrandbits(64))
    head = head_of(key, draw.randrange(1, 9), CELLS, added=draw.randrange(9), final=draw.random() < 0.5)
    update, keys = sealed(head, CELLS, key="mallory")
    if draw.random() < 0.3:
        update = msgspec.structs.replace(update, signature=draw.randbytes(draw.choice([0, 63, 64, 65])))
    message = carried((update, keys))
    if draw.random() < 0.3:
        message = msgspec.structs.replace(message, conflicts=[draw.choice(_PROOFS)])
    if draw.random() < 0.3:
        message = msgspec.structs.replace(message, roster=_FORGED)
    return messages.encode(message)


def replayed(draw: random.Random, seeds: list[bytes]) -> bytes:
    """Rows that were right once."""
    return draw.choice(_OLD)


def _old() -> Iterator[bytes]:
    writer = replica("n2", ROSTER)
    for version in range(1, 5):
        writer.publish({"latency": latency(*range(version))}, now=version, added=version, removed=0)
        yield messages.encode(carried(sent(writer)))
        if version > 1:
            yield messages.encode(carried(sent(writer, base=version - 1)))


_OLD = list(_old())

FUZZ: dict[str, tuple[Callable[[random.Random, list[bytes]], bytes], int]] = {
    "random bytes": (random_bytes, 25_000),
    "damaged": (damaged, 25_000),
    "shaped": (shaped, 30_000),
    "nested": (nested, 5_000),
    "skewed": (skewed, 7_000),
    "unsigned": (unsigned, 3_000),
    "replayed": (replayed, 5_000),
}
"""Ways to be hostile, and how many messages to try of each: 100,000 together."""


def victim() -> Replica:
    """A node with a row of its own that holds all that genuine messages and old rows could bring."""
    held = replica("n1", ROSTER, counter=5)
    held.publish({"latency": latency(7.0)}, now=1, added=1, removed=0)
    writer, other = replica("n2", ROSTER), replica("n3", ROSTER)
    for version in range(1, 8):
        writer.publish({"latency": latency(*range(version))}, now=version, added=version, removed=0)
        other.publish(CELLS, now=version, added=version, removed=0)
    held.join(*sent(writer))
    held.join(*sent(other))
    return held
