"""`Probes`: a socket in every namespace of a network, to see who reaches whom, and what arrives."""

import contextlib
import socket
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol

from convergence_jax.partition.clusters.namespaces import Link, enter, leave

PORT = 9000
SECONDS = 10.0
"""How long anything that must arrive may take."""

GRACE = 0.15
"""How long to wait, after all that must arrive has, for what must not."""

_SO_RCVBUFFORCE = 33  # beyond the limit for all; takes the superuser


class Network(Protocol):
    """Nodes with names and addresses."""

    count: int

    def name(self, node: int) -> str:
        """The namespace of a node."""
        ...

    def address(self, node: int) -> str:
        """The address of a node."""
        ...


class Probes:
    """A context with a UDP socket in the namespace of every node, opened and used from this process."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.sockets: list[socket.socket] = []
        self._node = {network.address(node): node for node in range(network.count)}
        self._turn = 0
        self._held = contextlib.ExitStack()

    def __enter__(self) -> "Probes":
        with contextlib.ExitStack() as held:
            for node in range(self.network.count):
                opened = held.enter_context(socket_in(self.network, node, socket.SOCK_DGRAM))
                opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
                opened.bind((self.network.address(node), PORT))
                opened.setblocking(False)
                self.sockets.append(opened)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def send(self, link: Link, content: bytes) -> None:
        """Send a datagram from a node to a node."""
        self.sockets[link[0]].sendto(content, (self.network.address(link[1]), PORT))

    def take(self, node: int) -> list[tuple[int, bytes]]:
        """What has arrived at a node: from whom, and what."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                content, (host, _) = self.sockets[node].recvfrom(1 << 16)
                found.append((self._node[host], content))
        return found

    def reached(self, expected: Iterable[Link]) -> set[Link]:
        """Over which links a datagram arrives, of all that there are.

        Datagrams over links that are not `expected` go first: those that are wait for them.
        """
        self._turn += 1
        turn = str(self._turn).encode()
        awaited = set(expected)
        every = sorted(self.links(), key=lambda link: link in awaited)
        for link in every:
            self.send(link, turn)
        found: set[Link] = set()
        ends = time.monotonic() + SECONDS
        again = time.monotonic() + 0.5
        while not awaited <= found and time.monotonic() < ends:
            found |= self._arrived(turn)
            if time.monotonic() > again:  # the first of a pair may be lost while its address is sought
                again += 0.5
                for link in awaited - found:
                    self.send(link, turn)
            time.sleep(0.002)
        time.sleep(GRACE)
        return found | self._arrived(turn)

    def links(self) -> set[Link]:
        """Every pair of two nodes."""
        nodes = range(self.network.count)
        return {(a, b) for a in nodes for b in nodes if a != b}

    def _arrived(self, turn: bytes) -> set[Link]:
        return {
            (source, node)
            for node in range(self.network.count)
            for source, content in self.take(node)
            if content == turn
        }

    def series(self, link: Link, numbers: range, pause_seconds: float = 0.0) -> list[int]:
        """Send numbers over a link and return those that arrive, in the order in which they do.

        It ends when nothing has arrived for a while after the last was sent.
        """
        self.take(link[1])
        arrived: list[int] = []
        for number in numbers:
            self.send(link, str(number).encode())
            if pause_seconds:
                time.sleep(pause_seconds)
            arrived += [int(content) for _, content in self.take(link[1])]
        quiet = time.monotonic() + 2 * GRACE
        while time.monotonic() < quiet:
            more = [int(content) for _, content in self.take(link[1])]
            if more:
                arrived += more
                quiet = time.monotonic() + 2 * GRACE
            time.sleep(0.002)
        return arrived


def socket_in(network: Network, node: int, kind: socket.SocketKind) -> socket.socket:
    """A socket that lives where a node does; it stays there."""
    home = enter(network.name(node))
    try:
        return socket.socket(socket.AF_INET, kind)
    finally:
        leave(home)


def without(links: Iterable[Link], gone: Iterable[Link]) -> set[Link]:
    """Links but for some."""
    return set(links) - set(gone)
