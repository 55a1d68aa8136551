"""The roster: who takes part, at which rate, and what is counted; signed, and only ever newer.

A roster is one JSON file. Its signature is by the authority key that the roster before it names, or that a
node's own config names for its first one. Every node passes the newest roster on.
"""

import math
import re
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from convergence_jax.errors import InputError
from convergence_jax.exact.constants import SCALE_LIMIT
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.statistics.log_evidence import LogEvidence
from convergence_jax.statistics.moments import Moments

_DOMAIN = b"convergence roster 1\n"
_NAMES = {
    "members": re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),  # as certificates of nodes have them
    "statistics": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"),
}


class Feature(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, dict=True):
    """One feature of a ``moments`` statistic: its range, and the grid that its values are rounded to.

    Attributes
    ----------
    name : str
    low, high : float
        Values outside are refused; in the feature's unit.
    scale_bits : int
        ``2**scale_bits`` ticks a unit.
    """

    name: str
    low: float
    high: float
    scale_bits: int = 10

    @cached_property
    def lift(self) -> FixedPoint:
        """The narrowest lift that holds the range."""
        largest = max(abs(self.low), abs(self.high), 2.0**-self.scale_bits)
        return FixedPoint(self.scale_bits, math.frexp(largest)[1] + 1)

    @cached_property
    def ticks(self) -> tuple[int, int]:
        """Range in ticks: the lift rounds monotonely, so values in the range have ticks in this one."""
        scale = 2.0**self.scale_bits
        return round(self.low * scale), round(self.high * scale)


class MomentsSchema(
    msgspec.Struct,
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    tag="moments",
    tag_field="kind",
    dict=True,
):
    """Count, mean and covariance of features.

    Attributes
    ----------
    name : str
    features : list of Feature
    window_seconds : float or None
        A write is taken back so long after it was accepted; never unless given.
    """

    name: str
    features: list[Feature]
    window_seconds: float | None = None

    @cached_property
    def statistic(self) -> Moments:
        """What adds the observations up."""
        return Moments(tuple(feature.lift for feature in self.features))


class EvidenceSchema(
    msgspec.Struct,
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    tag="log_evidence",
    tag_field="kind",
    dict=True,
):
    """Log-likelihood ratios about agents, summed for each agent and each observer that said them.

    Attributes
    ----------
    name : str
    low, high : float
        Values outside are refused; natural logarithms.
    agent_rate, agent_burst : float
        Each member releases at most ``agent_burst + agent_rate * seconds`` items about one agent.
    window_seconds : float or None
        A write is taken back so long after it was accepted; never unless given.
    """

    name: str
    low: float
    high: float
    agent_rate: float
    agent_burst: float
    window_seconds: float | None = None

    @cached_property
    def statistic(self) -> LogEvidence:
        """What adds the items up."""
        largest = max(abs(self.low), abs(self.high), 1.0)
        return LogEvidence(range_bits=math.frexp(largest)[1] + 1)


Schema = MomentsSchema | EvidenceSchema


class Member(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One node of the roster.

    Attributes
    ----------
    name : str
        As in its certificate.
    keys : list of str
        Ed25519 public keys that its rows may be signed with, 64 hexadecimal digits each. To rotate, add the
        new one, restart the node with it, then take the old one out.
    address : str
        ``host:port`` of its gRPC and UDP endpoint.
    rate, burst : float
        It releases at most ``burst + rate * seconds`` observations.
    remove_rate, remove_burst : float
        The same for observations taken back.
    revoked : bool
        Nothing that it ever said counts any more.
    """

    name: str
    keys: list[str]
    address: str
    rate: float
    burst: float
    remove_rate: float = 0.0
    remove_burst: float = 0.0
    revoked: bool = False


class Lifted(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An incarnation whose conflict was looked into: its rows stay out, its node's later ones count again."""

    node: str
    counter: int
    nonce: int


class Roster(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, dict=True):
    """Who takes part and what is counted.

    Attributes
    ----------
    cluster : str
        Rows of another cluster are refused.
    version : int
        A replica keeps the highest that it has seen.
    authority : str
        Public key that must sign the next version.
    members : list of Member
    statistics : list of MomentsSchema or EvidenceSchema
    drift_ppm : float
        Bound on how far any node's clock runs from true seconds, in parts per million.
    lifted : list of Lifted
        Conflicts that were settled.
    """

    cluster: str
    version: int
    authority: str
    members: list[Member]
    statistics: list[Schema]
    drift_ppm: float = 200.0
    lifted: list[Lifted] = []

    @cached_property
    def by_name(self) -> dict[str, Member]:
        """Members under their names."""
        return {member.name: member for member in self.members}

    @cached_property
    def schemas(self) -> dict[str, Schema]:
        """Statistics under their names."""
        return {schema.name: schema for schema in self.statistics}

    @cached_property
    def live(self) -> tuple[str, ...]:
        """Names of members that are not revoked, sorted."""
        return tuple(sorted(member.name for member in self.members if not member.revoked))

    @property
    def drift(self) -> Fraction:
        """Bound on the drift of a clock, exactly as it is written."""
        return Fraction(self.drift_ppm) / 1_000_000

    @cached_property
    def _keys(self) -> dict[str, list[Ed25519PublicKey]]:
        return {
            member.name: [Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for key in member.keys]
            for member in self.members
        }

    def verify(self, node: str, body: bytes, signature: bytes) -> bool:
        """Whether a member signed some bytes with any of its keys."""
        return any(_signed(key, body, signature) for key in self._keys.get(node, ()))


class SignedRoster(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A roster and the authority's signature over it, hexadecimal."""

    roster: Roster
    signature: str

    def signed_by(self, authority: str) -> bool:
        """Whether the holder of a public key, 64 hexadecimal digits, signed this."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(authority))
            return _signed(key, body(self.roster), bytes.fromhex(self.signature))
        except ValueError:
            return False


def body(roster: Roster) -> bytes:
    """The bytes that an authority signs: the same for a roster as written and as read."""
    read = msgspec.json.decode(msgspec.json.encode(roster), type=Roster)  # 1 becomes 1.0 where it is a float
    return _DOMAIN + msgspec.json.encode(read)


def encode(signed: SignedRoster) -> bytes:
    """As a file, for people too."""
    return msgspec.json.format(msgspec.json.encode(signed), indent=1) + b"\n"


def decode(data: bytes, where: str = "roster") -> SignedRoster:
    """Read a roster and check that it makes sense; who signed it is for the caller to ask.

    Raises
    ------
    InputError
        With the path of what is wrong.
    """
    try:
        signed = msgspec.json.decode(data, type=SignedRoster)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{where}: {error}; give a roster as `convergence cluster` writes it.") from None
    check(signed.roster, where)
    return signed


def check(roster: Roster, where: str = "roster") -> None:
    """Raise InputError if a roster contradicts itself."""

    def refuse(path: str, what: str) -> Any:
        raise InputError(f"{where}: $.roster.{path}: {what}.")

    for kind, items in (("members", roster.members), ("statistics", roster.statistics)):
        names = [item.name for item in items]
        for i, name in enumerate(names):
            if not _NAMES[kind].fullmatch(name):
                letters = "lower-case letters" if kind == "members" else "letters"
                refuse(f"{kind}[{i}].name", f"{name!r} is no name: {letters}, digits and hyphens, at most 63")
            if name in names[:i]:
                refuse(f"{kind}[{i}].name", f"{name!r} is there twice")
    if not roster.members or not roster.statistics:
        refuse("members" if not roster.members else "statistics", "is empty; at least one is needed")
    if not 1 <= roster.version < 1 << 62:
        refuse("version", "must be from 1 to below 2**62")
    if not 0.0 <= roster.drift_ppm < 1e5:
        refuse("drift_ppm", "must be from 0 to below 100000")
    for i, member in enumerate(roster.members):
        for cap in ("rate", "burst", "remove_rate", "remove_burst"):
            if not 0.0 <= getattr(member, cap) < 1e12:
                refuse(f"members[{i}].{cap}", "must be from 0 to below 1e12")
        if member.burst < 1.0:
            refuse(f"members[{i}].burst", "must be at least 1, or nothing is ever released")
        for key in member.keys:
            if not re.fullmatch(r"[0-9a-f]{64}", key):
                refuse(f"members[{i}].keys", "must be 64 hexadecimal digits each")
    for i, schema in enumerate(roster.statistics):
        _check_schema(schema, f"statistics[{i}]", refuse)
        if schema.window_seconds is not None:
            for j, member in enumerate(roster.members):
                if member.remove_rate <= 0.0 or member.remove_burst < 1.0:
                    refuse(f"members[{j}].remove_rate", f"must be above 0 for the window of {schema.name!r}")


def _check_schema(schema: Schema, path: str, refuse: Any) -> None:
    ranges: list[tuple[str, Any]] = [(path, schema)]
    if isinstance(schema, MomentsSchema):
        ranges = [(f"{path}.features[{i}]", feature) for i, feature in enumerate(schema.features)]
        if not ranges:
            refuse(f"{path}.features", "is empty; at least one is needed")
        for where, feature in ranges:
            if abs(feature.scale_bits) > SCALE_LIMIT:
                refuse(f"{where}.scale_bits", f"must be at most {SCALE_LIMIT} in magnitude")
    elif not (0.0 <= schema.agent_rate < 1e12 and 1.0 <= schema.agent_burst < 1e12):
        refuse(f"{path}.agent_burst", "must be at least 1, and agent_rate at least 0")
    for where, item in ranges:
        if not (math.isfinite(item.low) and math.isfinite(item.high) and item.low <= item.high):
            refuse(f"{where}.low", "low and high must be finite, and low at most high")
    if schema.window_seconds is not None and not schema.window_seconds > 0.0:
        refuse(f"{path}.window_seconds", "must be above 0")
    try:
        _ = schema.statistic
    except ValueError as error:
        refuse(path, str(error))


def _signed(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


Verdict = Literal["news", "old", "refused"]
"""What became of a roster that arrived."""


def newer(mine: SignedRoster, other: SignedRoster) -> Verdict:
    """Whether another roster takes the place of this one: a higher version, signed by the key named here."""
    if other.roster.cluster != mine.roster.cluster:
        return "refused"
    if other.roster.version <= mine.roster.version:
        return "old"
    return "news" if other.signed_by(mine.roster.authority) else "refused"
