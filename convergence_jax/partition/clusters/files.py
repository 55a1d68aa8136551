"""Files of a new cluster: authorities, certificates, keys, a signed roster, and a config for each node.

A folder has ``roster.json``, ``certificates/`` and ``roster-authority.pem`` of the two authorities (keep both
keys away from the nodes of a real cluster), ``clients/NAME/`` with a client's credentials, and a folder for
each node with ``node.toml`` and everything that it names. Where clients of this machine show a token in place
of a certificate, it is in ``http-token``.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convergence_jax.data.config import to_toml_table
from convergence_jax.errors import InputError
from convergence_jax.partition.nodes.config import NodeConfig
from convergence_jax.partition.rows.roster import Member, Roster, Schema, SignedRoster, body, check, encode
from convergence_jax.transport.authority import Authority
from convergence_jax.transport.identity import CLIENT, Credentials
from convergence_jax.transport.private_file import read_small, write_whole
from convergence_jax.transport.signing import SigningKey

_TOKEN = "http-token"


@dataclass(frozen=True)
class Place:
    """Where a node is.

    Attributes
    ----------
    name : str
    address : str
        ``host:port`` for its peers.
    http : str
        ``host:port`` for its clients.
    """

    name: str
    address: str
    http: str


@dataclass(frozen=True)
class ClusterFiles:
    """A cluster on disk.

    Attributes
    ----------
    folder : Path
    places : tuple of Place
    """

    folder: Path
    places: tuple[Place, ...]

    def config(self, name: str) -> Path:
        """The config of a node."""
        return self.folder / name / "node.toml"

    def data(self, name: str) -> Path:
        """The folder of a node's journal."""
        return self.folder / name / "data"

    def client(self, name: str) -> Credentials:
        """What a client shows."""
        return Credentials.load(self.folder / "clients" / name)

    @property
    def token(self) -> str | None:
        """What clients show in place of a certificate; None where they need one."""
        path = self.folder / _TOKEN
        return read_small(path).decode("ascii").strip() if path.exists() else None


def sign_roster(roster: Roster, key: SigningKey) -> SignedRoster:
    """A roster with its authority's signature."""
    return SignedRoster(roster, key.sign(body(roster)).hex())


def write_cluster(
    folder: Path,
    places: Sequence[Place],
    statistics: Sequence[Schema],
    *,
    cluster: str,
    rate: float,
    burst: float,
    remove_rate: float = 0.0,
    remove_burst: float = 0.0,
    clients: Sequence[str] = ("client",),
    round_seconds: float = 1.0,
    heartbeat_seconds: float = 0.5,
    allow_faults: bool = False,
    http_token: bool = False,
) -> ClusterFiles:
    """Write everything that a new cluster needs.

    Parameters
    ----------
    folder : Path
        New or empty.
    places : sequence of Place
        Every node.
    statistics : sequence of MomentsSchema or EvidenceSchema
    cluster : str
        Its name.
    rate, burst, remove_rate, remove_burst : float
        Caps of every node, as in :class:`~convergence_jax.partition.rows.roster.Member`.
    clients : sequence of str
        Names to issue certificates for.
    round_seconds, heartbeat_seconds : float
    allow_faults : bool
        As in :class:`~convergence_jax.partition.nodes.config.NodeConfig`.
    http_token : bool
        Whether clients show a token, over plain HTTP, in place of a certificate.

    Raises
    ------
    InputError
        If the folder holds something, or a name or number is out of bounds.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; give a new folder.")
    signer = SigningKey.generate()
    authority = Authority.create(f"{cluster} authority")
    keys = {place.name: SigningKey.generate() for place in places}
    members = [
        Member(
            name=place.name,
            keys=[keys[place.name].public.hex()],
            address=place.address,
            rate=rate,
            burst=burst,
            remove_rate=remove_rate,
            remove_burst=remove_burst,
        )
        for place in places
    ]
    roster = Roster(
        cluster=cluster,
        version=1,
        authority=signer.public.hex(),
        members=members,
        statistics=list(statistics),
    )
    check(roster)
    folder.mkdir(parents=True, exist_ok=True)
    signer.save(folder / "roster-authority.pem")
    authority.save(folder / "certificates")
    (folder / "roster.json").write_bytes(encode(sign_roster(roster, signer)))
    if http_token:
        write_whole(folder / _TOKEN, secrets.token_urlsafe(24).encode() + b"\n", private=True)
    for name in clients:
        authority.issue(name, kind=CLIENT).save(folder / "clients" / name)
    for place in places:
        home = folder / place.name
        host = place.http.rpartition(":")[0]
        authority.issue(place.name, hosts=[host]).save(home / "credentials")
        keys[place.name].save(home / "signing_key.pem")
        config = NodeConfig(
            name=place.name,
            roster="../roster.json",
            authority=roster.authority,
            data="data",
            credentials="credentials",
            signing_key="signing_key.pem",
            listen=place.address,
            http=place.http,
            http_token=f"../{_TOKEN}" if http_token else None,
            round_seconds=round_seconds,
            heartbeat_seconds=heartbeat_seconds,
            allow_faults=allow_faults,
        )
        (home / "node.toml").write_text(to_toml_table(config, "node"), encoding="utf-8")
    return ClusterFiles(folder, tuple(places))
