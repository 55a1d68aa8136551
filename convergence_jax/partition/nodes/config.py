"""The config of a node: one TOML file with a ``[node]`` table."""

from pathlib import Path

import msgspec

from convergence_jax.data.config import convert, load
from convergence_jax.errors import InputError
from convergence_jax.partition.rows.roster import SignedRoster, decode


class NodeConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The ``[node]`` table. Relative paths start at the folder of the file.

    Attributes
    ----------
    name : str
        As in the roster and in the certificate.
    roster : str
        File of the signed roster to start with.
    authority : str
        Public key, 64 hexadecimal digits, that must have signed it.
    data : str
        Folder of the journal.
    credentials : str
        Folder of ``certificate.pem``, ``key.pem`` and ``authority.pem``.
    signing_key : str
        File of the Ed25519 key that signs the rows.
    listen : str or None
        ``host:port`` for gRPC and UDP; the roster's address unless given.
    http : str or None
        ``host:port`` for clients; no such server unless given.
    http_token : str or None
        File of a token: plain HTTP, for clients on this machine. Mutual TLS unless given.
    round_seconds : float
        How often to exchange with a peer.
    heartbeat_seconds : float
        How often to seal a version when nothing is written.
    retention_seconds : float
        How long a write can be taken back.
    allow_faults : bool
        Take orders to cut links, and keep a log of releases, for tests.
    """

    name: str
    roster: str
    authority: str
    data: str
    credentials: str
    signing_key: str
    listen: str | None = None
    http: str | None = None
    http_token: str | None = None
    round_seconds: float = 1.0
    heartbeat_seconds: float = 0.5
    retention_seconds: float = 3600.0
    allow_faults: bool = False


def read_config(path: str | Path) -> NodeConfig:
    """Read a node's config.

    Raises
    ------
    InputError
        With the file and the key.
    """
    path = Path(path)
    tables = load(path)
    for name in tables:
        if name != "node":
            raise InputError(f"{path}: $.{name}: unknown table; there is only [node].")
    if "node" not in tables:
        raise InputError(f"{path}: $.node: missing; add it.")
    config: NodeConfig = convert(tables["node"], NodeConfig, str(path), "$.node")
    for name in ("round_seconds", "heartbeat_seconds", "retention_seconds"):
        if not getattr(config, name) > 0.0:
            raise InputError(f"{path}: $.node.{name}: must be above 0.")
    at = path.resolve().parent
    places = ("roster", "data", "credentials", "signing_key", "http_token")
    found = {name: str(at / value) for name in places if (value := getattr(config, name)) is not None}
    return msgspec.structs.replace(config, **found)


def read_roster(config: NodeConfig) -> SignedRoster:
    """The roster that a node starts with.

    Raises
    ------
    InputError
        If it cannot be read, is not signed by the authority of the config, or lacks the node.
    """
    try:
        data = Path(config.roster).read_bytes()
    except OSError as error:
        raise InputError(f"{config.roster}: {error.strerror}; give the signed roster.") from None
    signed = decode(data, config.roster)
    if not signed.signed_by(config.authority):
        raise InputError(f"{config.roster}: is not signed by the authority {config.authority[:16]}….")
    if config.name not in signed.roster.by_name:
        raise InputError(f"{config.roster}: has no member {config.name!r}; add it and sign anew.")
    return signed
