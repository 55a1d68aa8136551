"""What nodes send each other: MessagePack arrays, small, checked before anything is done with them.

Names, counters and nonces of incarnations come once a message, in its `keys`; rows name them by their place.
A token is the difference from the newest one of its issuer in the message, so an echo takes a byte or two.
"""

from collections.abc import Iterable, Sequence, Set
from functools import cached_property

import msgspec

from convergence_jax.partition.rows.row import Conflict, Head, Incarnation, Natural, Nonce, Token

FORMAT = 1
"""Version of the messages; another one is refused."""

MAX_BYTES = 32 << 20
"""A longer message is refused unread."""


class Key(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """An incarnation and, in `issued`, the token that the message counts its others down from."""

    node: str
    counter: Natural
    nonce: Nonce
    issued: Natural = 0

    @cached_property
    def incarnation(self) -> Incarnation:
        """Without the token."""
        return Incarnation(self.node, self.counter, self.nonce)


class Update(msgspec.Struct, frozen=True, array_like=True):
    """A row, or what changed in it since a version.

    Attributes
    ----------
    key : int
        Place in the keys of the message.
    version, base : int
        The version it is, and the one it says the changes since; 0 for the whole row.
    numbers : tuple of int
        Counter less frontier, added, removed, final, roster, and the key's token less the row's.
    echoes : bytes
        For each key of the message one LEB128: 0 for no echo, else one more than the key's token less it.
    cells : dict of str to bytes
        Empty bytes for a cell that is gone.
    signature : bytes
    """

    key: Natural
    version: Natural
    base: Natural
    numbers: tuple[Natural, Natural, Natural, bool, Natural, Natural]
    echoes: bytes
    cells: dict[str, bytes]
    signature: bytes


class Digest(msgspec.Struct, frozen=True, array_like=True, tag=1, tag_field="what"):
    """Which rows a node has, in which versions: the first leg of an exchange.

    Attributes
    ----------
    format : int
    roster : int
        Version of the roster.
    salt : bytes
        Random, 8 bytes: nobody can prepare two rows with one print.
    token : int
        The sender's own, as of now; its key is the first.
    keys : list of Key
    versions : list of int
        Of each key; 0 for none.
    prints : bytes
        Two bytes a key, of the salt and the head: equal versions that differ show, if not now then next time.
    conflicts : list of int
        Places of keys that are in conflict here.
    """

    format: int
    roster: Natural
    salt: bytes
    token: Natural
    keys: list[Key]
    versions: list[Natural]
    prints: bytes
    conflicts: list[Natural]


class News(msgspec.Struct, frozen=True, array_like=True, tag=2, tag_field="what"):
    """Rows that the other side lacks, and which ones are wanted in return.

    Attributes
    ----------
    format : int
    roster : bytes
        A newer roster, as its file; empty for none.
    keys : list of Key
    updates : list of Update
    conflicts : list of Conflict
    wants : list of tuple of int
        Place of a key, and the version here: 0 for the whole row.
    more : bool
        Whether rows were left out for want of room.
    """

    format: int
    roster: bytes
    keys: list[Key]
    updates: list[Update]
    conflicts: list[Conflict]
    wants: list[tuple[Natural, Natural]]
    more: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Digest | News)


def encode(message: Digest | News) -> bytes:
    """Bytes of a message."""
    return _encoder.encode(message)


def encode_update(update: Update) -> bytes:
    """Bytes of a row alone, to know how many they are."""
    return _encoder.encode(update)


def decode(data: bytes) -> Digest | News:
    """A message out of bytes from a peer; its contents are still only claims.

    Raises
    ------
    ValueError
        With one word first that says why: ``oversized``, ``format`` or ``malformed``.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"oversized: {len(data)} bytes.")
    try:
        message = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"malformed: {error}") from None
    if message.format != FORMAT:
        raise ValueError(f"format: {message.format}, want {FORMAT}.")
    if isinstance(message, Digest) and not (
        message.keys
        and len(message.versions) == len(message.keys)
        and len(message.prints) == 2 * len(message.keys)
        and len(message.salt) == 8
    ):
        raise ValueError("malformed: a digest whose parts do not match.")
    return message


class Dictionary:
    """The keys of a message being written."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        newest: dict[Incarnation, int] = {}
        for issuer, issued in tokens:
            newest[issuer] = max(issued, newest.get(issuer, 0))
        self._newest = newest
        self._place = {issuer: place for place, issuer in enumerate(newest)}

    @property
    def keys(self) -> list[Key]:
        """As they are sent."""
        return [Key(i.node, i.counter, i.nonce, issued) for i, issued in self._newest.items()]

    @property
    def issuers(self) -> Set[Incarnation]:
        """The keys, without their tokens."""
        return self._place.keys()

    def place(self, key: Incarnation) -> int:
        """Where a key is in the message."""
        return self._place[key]

    def update(self, head: Head, base: int, cells: dict[str, bytes], signature: bytes) -> Update:
        """A row as it is sent."""
        down = {issuer: self._newest[issuer] - issued + 1 for issuer, issued in head.echoes}
        echoes = bytearray()
        for issuer in self._place:
            number = down.get(issuer, 0)
            while number > 0x7F:
                echoes.append(number & 0x7F | 0x80)
                number >>= 7
            echoes.append(number)
        key = head.key
        numbers = (
            key.counter - head.frontier,
            head.added,
            head.removed,
            head.final,
            head.roster,
            self._newest[key] - head.issued,
        )
        stripped = bytes(echoes).rstrip(b"\0")
        return Update(self._place[key], head.version, base, numbers, stripped, cells, signature)


def _numbers(data: bytes) -> list[int]:
    """What LEB128 numbers, one after the other, say."""
    numbers, number, shift = [], 0, 0
    for byte in data:
        if byte < 0x80 and not shift:
            numbers.append(byte)
            continue
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
        elif shift > 63:
            break
    if shift:
        raise ValueError("malformed: an echo that has no end.")
    return numbers


def read(update: Update, keys: Sequence[Key], digest: bytes) -> Head:
    """The head of a row that was sent, given the digest of its cells.

    Raises
    ------
    ValueError
        If it names a key that the message does not have, or no node would seal such a row.
    """
    if not 0 <= update.key < len(keys):
        raise ValueError("malformed: a row of no key.")
    key = keys[update.key]
    behind, added, removed, final, roster, issued = update.numbers
    numbers_back = _numbers(update.echoes)
    if len(numbers_back) > len(keys):
        raise ValueError("malformed: more echoes than keys.")
    tokens = [
        (other.incarnation, other.issued - number + 1)
        for other, number in zip(keys, numbers_back, strict=False)
        if number
    ]
    if len({issuer for issuer, _ in tokens}) < len(tokens):
        raise ValueError("malformed: two echoes of one incarnation.")
    if min(key.counter - behind, key.issued - issued, *(token for _, token in tokens)) < 0:
        raise ValueError("malformed: a number below 0.")
    return Head(
        key.incarnation,
        update.version,
        key.counter - behind,
        added,
        removed,
        final,
        roster,
        key.issued - issued,
        tuple(sorted(tokens)),
        digest,
    )
