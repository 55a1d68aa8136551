"""`TunSwitch`: a network in user space, for the faults that a kernel without ``tc netem`` cannot make.

One thread owns a TUN device in the namespace of every node and carries IP packets between them: late, out of
order, twice, slowly, in one direction only, or not at all.
"""

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from convergence_jax.partition.clusters.namespaces import (
    Link,
    batch,
    bring_up,
    claim,
    enter,
    leave,
    node_address,
    node_name,
    remove,
)

DEVICE = "/dev/net/tun"

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LONGEST = 1 << 16


@dataclass(frozen=True)
class Path:
    """What befalls the packets of one link, in one direction. As it is made: nothing.

    Attributes
    ----------
    delay_seconds : float
        Every packet is that late.
    jitter_seconds : float
        And later by up to this, each by another time, so that packets overtake each other.
    loss, duplication : float
        Probability that a packet is lost, and that one that is not comes twice.
    bytes_per_second : float
        Packets wait for those before them; one that would wait for more than `queue_seconds` is dropped.
    queue_seconds : float
        How long the queue before a slow link may be.
    """

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    bytes_per_second: float = float("inf")
    queue_seconds: float = 1.0


PERFECT = Path()


def missing() -> str | None:
    """Why there can be no TUN devices here; None if there can."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    return None


class TunSwitch:
    """A context with `count` nodes, each in a namespace of its own; at its end they are gone.

    It can stand in for :class:`~convergence_jax.partition.clusters.namespaces.Namespaces`: here, too, the
    calling thread stands beside the nodes meanwhile, and reaches them all over perfect links.

    Parameters
    ----------
    count : int
        How many nodes.
    prefix : str
        Starts the names of the namespaces.
    seed : int
        The n-th packet of a link meets the same fate whenever this is the same.

    Attributes
    ----------
    carried, dropped : int
        Packets that were delivered, duplicates among them, and packets that were not.
    """

    def __init__(self, count: int, prefix: str, seed: int = 0) -> None:
        self.count, self.prefix = count, prefix
        self.carried = self.dropped = 0
        self._paths: dict[Link, Path] = {}
        self._cut: frozenset[Link] = frozenset()
        self._chance = {
            (a, b): random.Random(f"{seed} {a} {b}") for a in range(count) for b in range(count) if a != b
        }
        self._free: dict[Link, float] = {}
        self._due: list[tuple[float, int, int, bytes]] = []
        self._order = 0
        self._places: dict[bytes, int] = {}
        self._devices: list[int] = []
        self._held = contextlib.ExitStack()
        self._thread = threading.Thread(target=self._carry, name=f"switch {prefix}")

    def __enter__(self) -> "TunSwitch":
        with contextlib.ExitStack() as held:
            held.enter_context(claim(self.prefix))
            held.callback(remove, self.prefix)
            remove(self.prefix)
            observer = f"{self.prefix}-observer"
            names = [*(node_name(self.prefix, node) for node in range(self.count)), observer]
            batch(None, [f"netns add {name}" for name in names])
            for node, name in enumerate(names):
                device = _device(name)
                self._devices.append(device)
                held.callback(os.close, device)
                bring_up(name, node)
                self._places[bytes(map(int, node_address(node).split(".")))] = node
            self._wake, self._stop = os.pipe()
            held.callback(os.close, self._wake)
            held.callback(self._end)
            self._thread.start()
            held.callback(leave, enter(observer))
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def _end(self) -> None:
        os.close(self._stop)  # the other end of the pipe wakes the thread
        if self._thread.ident is not None:
            self._thread.join()

    def name(self, node: int) -> str:
        """The name of a node's namespace."""
        return node_name(self.prefix, node)

    def address(self, node: int) -> str:
        """The address of a node."""
        return node_address(node)

    def command(self, node: int, argv: Sequence[str]) -> list[str]:
        """The command line that runs another one where a node lives."""
        return ["ip", "netns", "exec", self.name(node), *argv]

    def shape(self, links: Iterable[Link], path: Path) -> None:
        """From now on packets of these links fare like this; the others as before."""
        self._paths = {**self._paths, **dict.fromkeys(links, path)}

    def cut_one_way(self, links: Iterable[Link]) -> None:
        """Cut these links, each from its first node to its second, and no others."""
        self._cut = frozenset(links)

    def cut(self, groups: Iterable[Iterable[int]]) -> None:
        """Cut all links between groups, and mend all within; nodes in no group stay together."""
        side = {node: place for place, group in enumerate(groups) for node in group}
        self.cut_one_way(link for link in self._chance if side.get(link[0]) != side.get(link[1]))

    def heal(self) -> None:
        """Mend every link that was cut; what befalls packets on their way stays."""
        self._cut = frozenset()

    def _carry(self) -> None:
        places = {device: node for node, device in enumerate(self._devices)}
        with select.epoll() as ready:
            for end in (self._wake, *self._devices):
                ready.register(end, select.EPOLLIN)
            while True:
                wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1
                for end, _ in ready.poll(wait):
                    if end == self._wake:
                        return
                    self._take(end, places[end])
                while self._due and self._due[0][0] <= time.monotonic():
                    _, _, node, packet = heapq.heappop(self._due)
                    self._put(node, packet)

    def _take(self, device: int, source: int) -> None:
        for _ in range(64):  # then it is another device's turn
            try:
                packet = os.read(device, _LONGEST)
            except OSError:
                return  # no more for now
            there = self._places.get(packet[16:20])
            if packet[0] >> 4 == 4 and there is not None:
                self._send((source, there), packet)

    def _send(self, link: Link, packet: bytes) -> None:
        chance = self._chance.get(link)
        if chance is None:  # to or from whoever stands beside
            self._put(link[1], packet)
            return
        path = self._paths.get(link, PERFECT)
        # As many draws for every packet, so that one fault does not move another.
        lost, twice, late, later = (chance.random() for _ in range(4))
        now = time.monotonic()
        sent = max(now, self._free.get(link, 0.0)) + len(packet) / path.bytes_per_second
        if link in self._cut or lost < path.loss or sent - now > path.queue_seconds:
            self.dropped += 1
            return
        self._free[link] = sent
        for draw in (late, later)[: 2 if twice < path.duplication else 1]:
            at = sent + path.delay_seconds + draw * path.jitter_seconds
            if at <= now:
                self._put(link[1], packet)
            else:
                self._order += 1
                heapq.heappush(self._due, (at, self._order, link[1], packet))

    def _put(self, node: int, packet: bytes) -> None:
        try:
            os.write(self._devices[node], packet)
        except OSError:
            self.dropped += 1  # its queue is full
        else:
            self.carried += 1


def _device(namespace: str) -> int:
    """A new TUN device ``eth0`` in a namespace; it is gone when the descriptor is closed."""
    home = enter(namespace)
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"eth0", _IFF_TUN | _IFF_NO_PI))
            subprocess.run(["ip", "link", "set", "eth0", "txqueuelen", "10000"], check=True)
        except BaseException:
            os.close(device)
            raise
    finally:
        leave(home)
    return device
