"""Files and addresses of a cluster on this machine."""

import random
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from convergence_jax.errors import InputError
from convergence_jax.partition.clusters.files import ClusterFiles, Place, write_cluster
from convergence_jax.partition.rows.roster import Feature, MomentsSchema

STATISTIC, FEATURE = "latency", "delay"
"""What a cluster of :func:`prepare` counts: delays from 0 to 1,000."""

SCALE_BITS = 10
"""A delay has ``2**10`` ticks a unit."""

CONTROL = "control"
"""The client that asks for the status and switches links."""

_PEERS, _CLIENTS = 7400, 7401
"""Ports in a network of one's own, where nobody else listens."""


class Network(Protocol):
    """Where nodes live, each at its own address, and what cuts their links.

    :class:`~convergence_jax.partition.clusters.namespaces.Namespaces` is one. Nodes are numbered from 0.
    """

    def address(self, node: int) -> str:
        """The address of a node."""
        ...

    def command(self, node: int, argv: list[str]) -> list[str]:
        """The command line that runs another one where a node lives."""
        ...

    def cut_one_way(self, links: Sequence[tuple[int, int]]) -> None:
        """Cut these links, each from its first node to its second, and no others."""
        ...

    def heal(self) -> None:
        """Mend every link."""
        ...


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 where nobody listens, TCP or UDP.

    Parameters
    ----------
    count : int
        How many.

    Notes
    -----
    They lie below those that Linux gives to outgoing connections: one of these could otherwise have the port
    of a node that is down when it comes back.
    """
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        first = 32768
    found: list[int] = []
    for port in random.sample(range(10_000, max(first, 14_000)), 4_000):
        if len(found) == count:
            break
        if _free(port):
            found.append(port)
    if len(found) < count:
        raise InputError(f"{count} ports of 127.0.0.1: not that many are free; stop other programs.")
    return found


def _free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def prepare(
    folder: Path,
    nodes: int,
    *,
    rate: float,
    burst: float,
    clients: Sequence[str] = ("client",),
    round_seconds: float = 1.0,
    allow_faults: bool = False,
    http_token: bool = False,
    network: Network | None = None,
) -> ClusterFiles:
    """Write the files of a cluster on this machine, ``n1`` to ``nN``, that counts delays.

    Parameters
    ----------
    folder : Path
        New or empty.
    nodes : int
        At least 1.
    rate, burst : float
        Each node releases at most ``burst + rate * seconds`` observations.
    clients : sequence of str
        To issue certificates for, beside :data:`CONTROL`.
    round_seconds : float
        How often a node exchanges with another.
    allow_faults : bool
        Whether nodes take orders to cut links, and log what they release.
    http_token : bool
        Plain HTTP with a token in place of certificates, so that a browser can open the live pages.
    network : Network, optional
        Addresses of its own for each node; ports of 127.0.0.1 unless given.

    Raises
    ------
    InputError
        If the folder holds something, or too few ports are free.
    """
    names = [f"n{i + 1}" for i in range(nodes)]
    if network is None:
        ports = free_ports(2 * nodes)
        at = [(f"127.0.0.1:{p}", f"127.0.0.1:{q}") for p, q in zip(ports[::2], ports[1::2], strict=True)]
    else:
        hosts = [network.address(i) for i in range(nodes)]
        at = [(f"{host}:{_PEERS}", f"{host}:{_CLIENTS}") for host in hosts]
    feature = Feature(name=FEATURE, low=0.0, high=1000.0, scale_bits=SCALE_BITS)
    return write_cluster(
        folder,
        [Place(name, *where) for name, where in zip(names, at, strict=True)],
        [MomentsSchema(name=STATISTIC, features=[feature])],
        cluster="local",
        rate=rate,
        burst=burst,
        clients=(CONTROL, *clients),
        round_seconds=round_seconds,
        # Each heartbeat of a node is a signature that all others check, on the cores of this machine.
        heartbeat_seconds=max(0.5, nodes**2 / 500),
        allow_faults=allow_faults,
        http_token=http_token,
    )
