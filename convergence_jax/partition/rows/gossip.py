"""Anti-entropy: what two replicas tell each other until they hold the same rows.

An exchange has three legs: a digest of what one side has, the news that it lacks together with what the other
side wants, and the news wanted. Every leg may be lost, repeated, late or out of order.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from convergence_jax.partition.rows import messages
from convergence_jax.partition.rows.messages import FORMAT, Dictionary, Digest, Key, News, Update
from convergence_jax.partition.rows.replica import Replica, Row
from convergence_jax.partition.rows.roster import decode as decode_roster
from convergence_jax.partition.rows.roster import encode as encode_roster
from convergence_jax.partition.rows.row import Conflict, Incarnation

Item = TypeVar("Item")

_ROOM = 256
"""Bytes of a message that its updates leave to the rest."""


def digest(replica: Replica, now: int, salt: bytes) -> Digest:
    """First leg: which rows are here.

    Parameters
    ----------
    replica : Replica
    now : int
        Milliseconds since the own incarnation started; the digest carries it as the newest token.
    salt : bytes
        Random, 8 bytes.
    """
    others = sorted({*replica.table, *replica.conflicts} - {replica.key})
    held = [replica.key, *others]
    versions = [0 if key in replica.wanted_whole else _version(replica, key) for key in held]
    prints = b"".join(_print(replica, key, salt) for key in held)
    keys = [Key(key.node, key.counter, key.nonce) for key in held]
    conflicts = [place for place, key in enumerate(held) if key in replica.conflicts]
    return Digest(FORMAT, replica.roster.version, salt, now, keys, versions, prints, conflicts)


def answer(replica: Replica, theirs: Digest, limit: int = messages.MAX_BYTES) -> News:
    """Second leg: rows that the sender of a digest lacks, those that changed most first, and what is wanted.

    The sender's token is believed: the caller has made sure that the sender is the node of its first key.
    """
    sender = theirs.keys[0].incarnation
    replica.see((sender, theirs.token))
    have = {key.incarnation: version for key, version in zip(theirs.keys, theirs.versions, strict=True)}
    there = [key.incarnation for key in theirs.keys]
    prints = {key: theirs.prints[2 * i : 2 * i + 2] for i, key in enumerate(there)}
    in_conflict = {there[i] for i in theirs.conflicts if 0 <= i < len(there)}
    lacking, wanted = [], []
    for key in sorted({*replica.table, *have}):
        version, mine = have.get(key, 0), _version(replica, key)
        if key in replica.conflicts or key in in_conflict:
            continue
        differs = version == mine > 0 and prints[key] != _print(replica, key, theirs.salt)
        if mine > version or differs:
            lacking.append((key, 0 if differs else version))
        if version > mine or differs:
            wanted.append((key, 0 if differs or key in replica.wanted_whole else mine))
    proofs = [proof for key, proof in replica.conflicts.items() if key not in in_conflict]
    unknown = in_conflict - set(replica.conflicts)
    wanted += [(key, 0) for key in sorted(unknown)]
    # The next one and not the newest: each is signed by the authority that the one before it names.
    later = (known for known in replica.rosters if known.roster.version > theirs.roster)
    roster = next(map(encode_roster, later), b"")
    return _news(replica, lacking, limit, wanted=wanted, conflicts=proofs, roster=roster)


def fulfil(replica: Replica, news: News, limit: int = messages.MAX_BYTES) -> News | None:
    """Third leg: what the other side wants; None if that is nothing."""
    wanted = {}
    for place, version in news.wants:
        if 0 <= place < len(news.keys):
            wanted[news.keys[place].incarnation] = version
    proofs = [replica.conflicts[key] for key in wanted if key in replica.conflicts]
    lacking = [
        (key, version)
        for key, version in wanted.items()
        if key in replica.table and key not in replica.conflicts and version <= _version(replica, key)
    ]
    if not lacking and not proofs:
        return None
    return _news(replica, lacking, limit, conflicts=proofs)


def push(replica: Replica, known: dict[Incarnation, int], limit: int) -> News | None:
    """Rows for a peer that cannot ask, since what it was last known to have; None if nothing changed."""
    lacking = [
        (key, known.get(key, 0))
        for key in sorted(replica.table)
        if _version(replica, key) > known.get(key, 0) and key not in replica.conflicts
    ]
    return _news(replica, lacking, limit, conflicts=replica.conflicts.values()) if lacking else None


def receive(replica: Replica, news: News) -> list[Incarnation]:
    """Join everything in a message; the keys of rows that were news."""
    if news.roster:
        try:
            replica.join_roster(decode_roster(news.roster, "a peer's roster"))
        except ValueError:
            replica.refused["roster"] += 1
    changed = []
    for proof in news.conflicts:
        replica.join_conflict(proof)
    for update in news.updates:
        if replica.join(update, news.keys):
            changed.append(news.keys[update.key].incarnation)
    return changed


def _version(replica: Replica, key: Incarnation) -> int:
    row = replica.table.get(key)
    return 0 if row is None else row.head.version


def _print(replica: Replica, key: Incarnation, salt: bytes) -> bytes:
    row = replica.table.get(key)
    if row is None:
        return b"\0\0"
    return hashlib.blake2b(row.mark, key=salt, digest_size=2).digest()


def _news(
    replica: Replica,
    lacking: list[tuple[Incarnation, int]],
    limit: int,
    *,
    wanted: Iterable[tuple[Incarnation, int]] = (),
    conflicts: Iterable[Conflict] = (),
    roster: bytes = b"",
) -> News:
    if len(roster) > limit // 2:  # a datagram has room for rows alone
        roster = b""
    room = limit - _ROOM - len(roster)
    proofs, room = _fitting(conflicts, lambda proof: len(proof.first) + len(proof.second) + 140, room)
    asked, room = _fitting(wanted, lambda pair: _key_size(pair[0]) + 10, room)
    order = sorted(lacking, key=lambda pair: _importance(replica.table[pair[0]], pair[1]), reverse=True)
    rows = [(replica.table[key], base, replica.table[key].cells.since(base)) for key, base in order]

    def written(rows: Sequence[tuple[Row, int, dict[str, bytes]]]) -> tuple[Dictionary, list[Update]]:
        tokens = [
            token for row, _, _ in rows for token in ((row.head.key, row.head.issued), *row.head.echoes)
        ]
        dictionary = Dictionary([*tokens, *((key, 0) for key, _ in asked)])
        return dictionary, [
            dictionary.update(row.head, base, cells, replica.signature(row)) for row, base, cells in rows
        ]

    dictionary, updates = written(rows)
    sizes = [len(messages.encode_update(update)) for update in updates]
    named = {key for key, _ in asked}
    if sum(sizes) + sum(map(_key_size, dictionary.issuers - named)) > room:
        chosen = []
        for row, size in zip(rows, sizes, strict=True):  # beside fewer others it is no larger
            head = row[0].head
            issuers = {head.key, *(issuer for issuer, _ in head.echoes)} - named
            size += sum(map(_key_size, issuers))
            if size <= room:
                room -= size
                named |= issuers
                chosen.append(row)
        dictionary, updates = written(chosen)
    wants = [(dictionary.place(key), version) for key, version in asked]
    return News(FORMAT, roster, dictionary.keys, updates, proofs, wants, len(updates) < len(rows))


def _fitting(items: Iterable[Item], size: Callable[[Item], int], room: int) -> tuple[list[Item], int]:
    """The first items that together take no more than half the room, and the room that they leave."""
    found, left = [], room
    for item in items:
        if left - size(item) >= room // 2:
            left -= size(item)
            found.append(item)
    return found, left


def _key_size(key: Incarnation) -> int:
    return len(key.node.encode()) + 30


def _importance(row: Row, version: int) -> tuple[int, int]:
    return (row.events_since(version), row.head.version - version)
