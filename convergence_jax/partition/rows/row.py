"""Rows: what one incarnation of a node says, in versions that only it can sign.

The key of a row is an :class:`Incarnation`; only its process writes it, and a restart takes a new one. A
version is a :class:`Head`, which holds the digest of the row's cells, and a signature over it. Two heads that
differ under one version are a :class:`Conflict`, which takes the place of the row for good.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec

Natural = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
"""A number from a peer: differences of two still fit what is signed."""

Nonce = Annotated[int, msgspec.Meta(ge=0)]
"""64 bits without sign."""

_DOMAIN = "convergence row 1"


class Incarnation(NamedTuple):
    """One run of a node.

    Attributes
    ----------
    node : str
    counter : int
        Rises with every start of the node.
    nonce : int
        64 random bits, so that two runs that took one counter by mistake are still two.
    """

    node: str
    counter: int
    nonce: int


# A reading of an issuer's clock: milliseconds since that incarnation started, rounded down.
Token = tuple[Incarnation, int]


@dataclass(frozen=True)
class Head:
    """One version of a row, without its cells.

    Attributes
    ----------
    key : Incarnation
    version : int
        From 1.
    frontier : int
        The row holds everything of this node's incarnations whose counter is below this, and takes their
        place. Equal to its own counter but while a node reads its rows back after a restore.
    added, removed : int
        Observations released, and taken back, in all incarnations that the row holds.
    final : bool
        Nothing will ever follow: the node has left.
    roster : int
        Version of the roster that the writer kept to.
    issued : int
        The writer's own token when it sealed this version.
    echoes : tuple of Token
        The newest token of each other node that it had seen by then, sorted.
    digest : bytes
        Of the cells, 32 bytes.
    """

    key: Incarnation
    version: int
    frontier: int
    added: int
    removed: int
    final: bool
    roster: int
    issued: int
    echoes: tuple[Token, ...]
    digest: bytes

    def body(self, cluster: str) -> bytes:
        """The bytes that are signed: MessagePack, one encoding a head."""
        key = self.key
        return msgspec.msgpack.encode(
            (
                _DOMAIN,
                cluster,
                (key.node, key.counter, key.nonce),
                (self.version, self.frontier, self.added, self.removed, self.final, self.roster, self.issued),
                [(i.node, i.counter, i.nonce, issued) for i, issued in self.echoes],
                self.digest,
            )
        )

    @property
    def whole(self) -> bool:
        """Whether it holds everything that its node released in earlier incarnations."""
        return self.frontier == self.key.counter


_Key = tuple[str, Natural, Nonce]
_Numbers = tuple[Natural, Natural, Natural, Natural, bool, Natural, Natural]
_Body = tuple[str, str, _Key, _Numbers, list[tuple[str, Natural, Nonce, Natural]], bytes]


def parse(body: bytes, cluster: str) -> Head:
    """The head that has this body.

    Raises
    ------
    ValueError
        If none has.
    """
    try:
        domain, where, key, numbers, echoes, digest = msgspec.msgpack.decode(body, type=_Body)
    except msgspec.DecodeError as error:
        raise ValueError(f"row: {error}") from None
    version, frontier, added, removed, final, roster, issued = numbers
    tokens = tuple((Incarnation(node, counter, nonce), echo) for node, counter, nonce, echo in echoes)
    head = Head(Incarnation(*key), version, frontier, added, removed, final, roster, issued, tokens, digest)
    if domain != _DOMAIN or where != cluster or head.body(cluster) != body:
        raise ValueError("row: is of another kind or cluster, or not in its one encoding.")
    return head


class Conflict(msgspec.Struct, frozen=True, array_like=True):
    """Proof that one incarnation signed two heads under one version.

    Attributes
    ----------
    first, second : bytes
        The bodies, as signed; the smaller first.
    first_signature, second_signature : bytes
    """

    first: bytes
    second: bytes
    first_signature: bytes
    second_signature: bytes

    def key(self, cluster: str) -> Incarnation:
        """Whose they are.

        Raises
        ------
        ValueError
            If they are no two versions in conflict.
        """
        first, second = parse(self.first, cluster), parse(self.second, cluster)
        if self.first >= self.second or (first.key, first.version) != (second.key, second.version):
            raise ValueError("conflict: the two heads do not contradict each other.")
        return first.key


def conflict(first: bytes, first_signature: bytes, second: bytes, second_signature: bytes) -> Conflict:
    """Proof from two bodies that differ, in either order."""
    if first > second:
        first, first_signature, second, second_signature = second, second_signature, first, first_signature
    return Conflict(first, second, first_signature, second_signature)
