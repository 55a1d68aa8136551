"""`Namespaces`: a machine a node, as network namespaces on one bridge, whose links are cut by the kernel."""

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from convergence_jax.errors import InputError

# From a node to a node, one way; nodes are numbered from 0.
Link = tuple[int, int]

MOST = 1000
"""Ports that a Linux bridge has room for are 1,024."""

_NAMES = Path("/var/run/netns")  # where iproute2 keeps the names of namespaces
_CLONE_NEWNET = 0x40000000
_NET, _OBSERVER = "10.77", "10.77.255.254"

# Only IP: while ARP gets through, a link that is cut one way still works the other way.
_RULES = """
table bridge links {
  set cut { type ipv4_addr . ipv4_addr; }
  set lossy { type ipv4_addr . ipv4_addr; }
  chain lose { }
  chain between {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @cut drop
    ip saddr . ip daddr @lossy jump lose
  }
}
"""


class Namespaces:
    """A context with `count` network namespaces, each with one address; at its end they are gone.

    Within it the calling thread, and what it starts, stands in one more namespace, at the bridge itself: it
    reaches every node, whatever is cut between them, and nothing else. Nothing of this is to be seen in the
    network that the thread came from; the same thread has to leave the context, and is then back there.

    Parameters
    ----------
    count : int
        How many nodes, 1 to :data:`MOST`.
    prefix : str
        Lower-case letters and digits, a letter first; starts the names of the namespaces. Not that of another
        run that is going on.

    Raises
    ------
    ValueError
        If `count` or `prefix` is not of this kind.
    InputError
        On entering, if a run with this prefix is going on or the kernel refuses.

    Notes
    -----
    What a run that was killed left behind under the same prefix is removed first, its processes too. A cut
    takes hold for all links at one instant: nftables replaces a set of (source, destination) pairs as one
    transaction.
    """

    def __init__(self, count: int, prefix: str) -> None:
        if not 1 <= count <= MOST:
            raise ValueError(f"Namespaces: count must be from 1 to {MOST}, got {count}.")
        if not re.fullmatch("[a-z][a-z0-9]{0,19}", prefix):
            raise ValueError(f"Namespaces: prefix must be a letter, then a-z or 0-9, got {prefix!r}.")
        self.count = count
        self.prefix = prefix
        self._switch = f"{prefix}-switch"
        self._claim: socket.socket | None = None
        self._home: int | None = None

    def __enter__(self) -> "Namespaces":
        self._claim = claim(self.prefix)
        try:
            remove(self.prefix)
            self._build()
            self._home = enter(self._switch)
        except BaseException as error:
            self.close()
            if isinstance(error, subprocess.CalledProcessError | OSError):
                raise InputError(f"network namespaces: the kernel refuses: {_why(error)}.") from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go back and remove everything, with the processes that still run in it; again does nothing."""
        if self._home is not None:
            leave(self._home)
            self._home = None
        if self._claim is not None:
            try:
                remove(self.prefix)
            finally:
                self._claim.close()
                self._claim = None

    def name(self, node: int) -> str:
        """The name of a node's namespace, for ``ip netns``."""
        return node_name(self.prefix, self._known(node))

    def address(self, node: int) -> str:
        """The address of a node, as text."""
        return node_address(self._known(node))

    def command(self, node: int, argv: Sequence[str]) -> list[str]:
        """The command line that runs another one where a node lives.

        The process that it starts becomes the program itself: a signal to it is a signal to the program.
        """
        return ["ip", "netns", "exec", self.name(node), *argv]

    def cut(self, groups: Iterable[Iterable[int]]) -> None:
        """Cut all links between groups, and mend all within.

        Parameters
        ----------
        groups : iterable of iterables of int
            Nodes, each in one group at most; those in none stay together.

        Raises
        ------
        ValueError
            If a node is in two groups, or there is no such node.
        """
        side: dict[int, int] = {}
        for place, group in enumerate(groups):
            for node in group:
                if side.setdefault(self._known(node), place) != place:
                    raise ValueError(f"cut: node {node} is in two groups.")
        every = range(self.count)
        self.cut_one_way([(a, b) for a in every for b in every if side.get(a) != side.get(b)])

    def cut_one_way(self, links: Iterable[Link]) -> None:
        """Cut these links, each from its first node to its second, and no others."""
        self._rules(self._filled("cut", links))

    def lossy(self, links: Iterable[Link], percent: float) -> None:
        """Have these links, and no others, lose packets at random.

        Parameters
        ----------
        links : iterable of (int, int)
            From a node to a node, one way.
        percent : float
            How many of a hundred packets are lost, 0 to 100; counted in hundredths.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"lossy: percent must be from 0 to 100, got {percent}.")
        share = round(percent * 100)
        # The kernel takes no comparison that is always true.
        some = f"numgen random mod 10000 < {share} " if share < 10_000 else ""
        rule = f"add rule bridge links lose {some}drop\n" if share else ""
        self._rules("flush chain bridge links lose\n" + rule + self._filled("lossy", links))

    def heal(self) -> None:
        """Mend every link: nothing is cut, and none loses packets."""
        self._rules(self._filled("cut", ()) + self._filled("lossy", ()))

    def _filled(self, name: str, links: Iterable[Link]) -> str:
        pairs = sorted({(self._known(a), self._known(b)) for a, b in links})
        elements = ", ".join(f"{node_address(a)} . {node_address(b)}" for a, b in pairs)
        fill = f"add element bridge links {name} {{ {elements} }}\n" if elements else ""
        return f"flush set bridge links {name}\n{fill}"

    def _rules(self, text: str) -> None:
        try:
            run(["ip", "netns", "exec", self._switch, "nft", "-f", "-"], text)
        except subprocess.CalledProcessError as error:
            raise InputError(f"network namespaces: nft refuses: {_why(error)}.") from error

    def _known(self, node: int) -> int:
        if not 0 <= node < self.count:
            raise ValueError(f"Namespaces: nodes are 0 to {self.count - 1}, got {node}.")
        return node

    def _build(self) -> None:
        names = [self.name(node) for node in range(self.count)]
        batch(None, [f"netns add {name}" for name in (self._switch, *names)])
        lines = ["link set lo up", "link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
        for node, name in enumerate(names):
            lines += [
                f"link add port{node} type veth peer name eth0 netns {name}",
                f"link set port{node} addrgenmode none",
                f"link set port{node} master bridge up",
            ]
        lines += [
            "link set bridge addrgenmode none",
            f"addr add {_OBSERVER}/16 dev bridge",
            "link set bridge up",
        ]
        batch(self._switch, lines)
        for node, name in enumerate(names):
            bring_up(name, node)
        self._rules(_RULES)


def node_name(prefix: str, node: int) -> str:
    """The name of a node's namespace."""
    return f"{prefix}-{node}"


def node_address(node: int) -> str:
    """The address of a node, numbered from 0."""
    return f"{_NET}.{node // 250}.{node % 250 + 1}"


def bring_up(name: str, node: int) -> None:
    """Give a node's device ``eth0``, which is there already, its address, and start it."""
    address = f"addr add {node_address(node)}/16 dev eth0"
    batch(name, ["link set lo up", "link set eth0 addrgenmode none", address, "link set eth0 up"])


def run(argv: Sequence[str], text: str = "") -> str:
    """Run a program with some input and return its output; one that fails raises ``CalledProcessError``."""
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


def batch(namespace: str | None, lines: Iterable[str]) -> None:
    """Carry out lines of ``ip`` in one process, in a namespace or, without one, here."""
    where = [] if namespace is None else ["-n", namespace]
    run(["ip", *where, "-batch", "-"], "".join(f"{line}\n" for line in lines))


def claim(prefix: str) -> socket.socket:
    """Take a prefix for as long as the socket is open; a process that dies lets go of it.

    Raises
    ------
    InputError
        If a run has it.
    """
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0convergence_jax namespaces {prefix}")
    except OSError as error:
        held.close()
        raise InputError(f"network namespaces: a run with prefix {prefix} goes on; take another.") from error
    return held


def enter(namespace: str) -> int:
    """Move the calling thread into a namespace, and return what :func:`leave` needs to go back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(_NAMES / namespace, os.O_RDONLY)
        try:
            _move(there)
        finally:
            os.close(there)
    except BaseException:
        os.close(home)
        raise
    return home


def leave(home: int) -> None:
    """Move the calling thread back, once."""
    try:
        _move(home)
    finally:
        os.close(home)


def _move(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def remove(prefix: str) -> None:
    """Remove the namespaces of a prefix, if there are any, and kill the processes that live in its nodes."""
    try:
        present = sorted(entry.name for entry in _NAMES.iterdir())
    except FileNotFoundError:
        return
    ours = [name for name in present if re.fullmatch(rf"{re.escape(prefix)}-(\d+|switch|observer)", name)]
    # Whatever those names stand for: never those who live where this thread does.
    spared = {None, _identity(Path("/proc/thread-self/ns/net"))}
    lived_in = {_identity(_NAMES / name) for name in ours if name[-1].isdigit()} - spared
    for process in _processes() if lived_in else ():
        if process != os.getpid() and _identity(Path(f"/proc/{process}/ns/net")) in lived_in:
            with contextlib.suppress(ProcessLookupError):  # it may just have ended
                os.kill(process, signal.SIGKILL)
    if ours:
        batch(None, [f"netns del {name}" for name in ours])


def _processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # a process that has ended
    return found.st_dev, found.st_ino


def missing() -> str | None:
    """Why this machine, or this user, cannot have namespaces, in a few words; None if it can.

    It builds two and removes them, which takes about a tenth of a second.
    """
    if os.geteuid() != 0:
        return "they take the superuser"
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            return f"there is no program {program}; install {package}"
    try:
        with Namespaces(2, f"try{secrets.token_hex(4)}") as tried:
            tried.cut([[0], [1]])
    except InputError as error:
        return str(error).rstrip(".")
    return None


def _why(error: Exception) -> str:
    """The first line that a program said, or what the system did."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line.strip().rstrip(".") for line in said.splitlines() if line.strip()]
    return lines[0] if lines else "it gives no reason"
