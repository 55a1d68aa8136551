"""Who takes part in replayed behaviours: keys and a roster, the same in every run."""

import hashlib
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convergence_jax.partition.rows.roster import Feature, Member, MomentsSchema, Roster, SignedRoster, body

CLUSTER = "replayed"
STATISTIC = "value"


@cache
def signing_key(name: str) -> Ed25519PrivateKey:
    """The same key for a name in every run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def _public(name: str) -> str:
    return signing_key(name).public_key().public_bytes_raw().hex()


def roster(nodes: list[str], *, rate: float = 1e6, burst: float = 1e6) -> SignedRoster:
    """A roster of nodes with one cap, whose clocks do not drift."""
    made = Roster(
        cluster=CLUSTER,
        version=1,
        authority=_public("authority"),
        drift_ppm=0.0,
        members=[
            Member(name=node, keys=[_public(node)], address="127.0.0.1:1", rate=rate, burst=burst)
            for node in nodes
        ],
        statistics=[MomentsSchema(name=STATISTIC, features=[Feature(name="x", low=0.0, high=1000.0)])],
    )
    return SignedRoster(made, signing_key("authority").sign(body(made)).hex())
