"""`Cluster`: real node processes on this machine, what befalls them, and what they say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from convergence_jax.errors import InputError, RemoteError
from convergence_jax.partition.clusters.files import ClusterFiles
from convergence_jax.partition.clusters.local import CONTROL, Network
from convergence_jax.partition.nodes.node import boottime
from convergence_jax.transport.http_client import HttpClient

LOG = "node.log"
"""What a node wrote to its output and error streams, in its folder."""

# One thread an arena and a library: a node has little to do at once and shall stay small.
_LEAN = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0

# From a node to a node, one way.
Link = tuple[str, str]


class Cluster:
    """A context with a process a node; at its end all are stopped.

    Parameters
    ----------
    files : ClusterFiles
        As :func:`~convergence_jax.partition.clusters.local.prepare` gives them.
    network : Network, optional
        Where the nodes live and what cuts their links; their own switch unless given.

    Notes
    -----
    Made for one thread, but :meth:`life` and :meth:`connection`, which any may call.
    """

    def __init__(self, files: ClusterFiles, network: Network | None = None) -> None:
        self.files = files
        self.network = network
        self.places = {place.name: place for place in files.places}
        self.names = list(self.places)
        self.cuts: frozenset[Link] = frozenset()
        self.history: list[tuple[int, int]] = []
        """When links were switched, in nanoseconds of the nodes' clock, and how many have been cut since."""
        self._switched: dict[str, tuple[list[str], list[str]]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._controls: dict[str, HttpClient] = {}
        self._lives: dict[str, int] = {}
        self._born = 0
        self._stopped: dict[str, int] = {}

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Processes

    def start(self, names: Iterable[str] | None = None) -> None:
        """Start nodes that are not running, and wait until each answers.

        No more of them start at a time than there are cores: a hundred at once would starve each other.

        Parameters
        ----------
        names : iterable of str, optional
            All unless given.

        Raises
        ------
        InputError
            If one ends at once, with what it said, or does not answer in time.
        """
        waiting = [n for n in (self.names if names is None else names) if self.life(n) is None]
        starting: dict[str, float] = {}
        while waiting or starting:
            while waiting and len(starting) < (os.cpu_count() or 1):
                name = waiting.pop(0)
                self.launch(name)
                starting[name] = time.monotonic() + _START_SECONDS
            for name, deadline in list(starting.items()):
                if self.ready(name):
                    del starting[name]
                elif time.monotonic() > deadline:
                    raise InputError(f"{name}: does not answer; see {self.log(name)}.")
            time.sleep(0.02)

    def launch(self, name: str) -> None:
        """Start a node that is not running, and do not wait for it."""
        if name in self._processes:
            return
        program = [sys.executable, "-m", "convergence_jax.commands.node"]
        argv = [*program, str(self.files.config(name)), "--attended"]
        if self.network is not None:
            argv = self.network.command(self.names.index(name), argv)
        with open(self.log(name), "ab") as log:
            # A session of its own: Ctrl-C is for this process, which then stops the nodes in order. Should it
            # be killed instead, their input ends, and that ends them.
            self._processes[name] = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **_LEAN},
                start_new_session=True,
            )

    def ready(self, name: str) -> bool:
        """Whether a launched node answers by now; its cuts are then in force again.

        Raises
        ------
        InputError
            If it has ended, with the last line that it wrote.
        """
        process = self._processes[name]
        if process.poll() is not None:
            lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines() or ["no word"]
            raise InputError(f"{name}: ended with status {process.returncode}: {lines[-1]}")
        if self.status(name) is None:
            return False
        self._switched.pop(name, None)
        self._switch()
        self._born += 1
        self._lives[name] = self._born
        return True

    def life(self, name: str) -> int | None:
        """A number that changes when a node goes down and comes back; None while it does not answer."""
        return self._lives.get(name)

    @property
    def live(self) -> list[str]:
        """Nodes that answer, in order."""
        return [name for name in self.names if name in self._lives]

    def kill(self, name: str) -> None:
        """End a node with SIGKILL: it does nothing more, not even close a file."""
        self._lives.pop(name, None)
        self._stopped.pop(name, None)
        process = self._processes.pop(name, None)
        if process is not None:
            process.kill()
            _end(process)
        self._close(name)

    def pause(self, name: str) -> None:
        """Stop a node's clockwork with SIGSTOP; it does not notice."""
        life = self._lives.pop(name, None)
        if life is not None:
            self._stopped[name] = life
            self._processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused node go on."""
        life = self._stopped.pop(name, None)
        if life is not None:
            self._processes[name].send_signal(signal.SIGCONT)
            self._born += 1
            self._lives[name] = self._born
            self._switch()

    def stop(self) -> None:
        """Ask every node to end, and end those that do not."""
        for name in list(self._stopped):
            self.resume(name)
        self._lives.clear()
        for name in list(self._controls):
            self._close(name)
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
            _end(process)
        self._processes.clear()

    def log(self, name: str) -> Path:
        """The file of what a node says."""
        return self.files.folder / name / LOG

    def memory_megabytes(self) -> list[float]:
        """Resident memory of each running node, sorted, in 10**6 bytes."""
        found = []
        for process in self._processes.values():
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                found += [int(line.split()[1]) * 1024 / 1e6 for line in file if line.startswith("VmRSS:")]
        return sorted(found)

    # Links

    def cut(self, groups: Sequence[Iterable[str]]) -> None:
        """Cut all links between nodes of different groups, and no others; who is in no group is in the rest.

        Parameters
        ----------
        groups : sequence of iterables of str
            Names; each node in one at most.
        """
        side = {name: place for place, group in enumerate(groups) for name in group}
        pairs = [(a, b) for a in self.names for b in self.names if side.get(a) != side.get(b)]
        self._set(pairs)

    def cut_one_way(self, links: Iterable[Link]) -> None:
        """Cut these links, each from its first node to its second, and no others."""
        self._set(links)

    def heal(self) -> None:
        """Mend every link."""
        self._set(())

    def _set(self, links: Iterable[Link]) -> None:
        self.cuts = frozenset(links)
        if self.network is not None:
            place = {name: i for i, name in enumerate(self.names)}
            if self.cuts:
                self.network.cut_one_way([(place[a], place[b]) for a, b in sorted(self.cuts)])
            else:
                self.network.heal()
        self._switch()
        self.history.append((boottime(), len(self.cuts)))

    def _switch(self) -> None:
        """Tell each node that answers which of its links are cut, unless it knows."""
        if self.network is not None:
            return
        for name in self.names:
            wanted = (
                sorted(b for a, b in self.cuts if a == name),
                sorted(a for a, b in self.cuts if b == name),
            )
            if self._switched.get(name, ([], [])) == wanted or not self._runs(name):
                continue
            body = {"outgoing": wanted[0], "incoming": wanted[1]}
            try:
                status, said = self._control(name).request("POST", "/faults", json=body)
            except RemoteError:
                continue  # it is told when it is back
            if status == 404:
                raise InputError(f"{name}: takes no orders to cut links; start it with --allow-faults.")
            if status != 200:
                raise InputError(f"{name}: does not cut its links: {said}")
            self._switched[name] = wanted

    def _runs(self, name: str) -> bool:
        return name in self._processes and name not in self._stopped

    # What they say

    def connection(self, name: str, client: str, timeout_seconds: float = 10.0) -> HttpClient:
        """A connection of one's own to a node.

        Parameters
        ----------
        name : str
            The node.
        client : str
            One that certificates were issued for.
        timeout_seconds : float
            As in :class:`~convergence_jax.transport.http_client.HttpClient`.
        """
        at = self.places[name].http
        token = self.files.token
        if token is not None:
            return HttpClient(f"http://{at}", token=token, timeout_seconds=timeout_seconds)
        return HttpClient(
            f"https://{at}",
            credentials=self.files.client(client),
            node=name,
            timeout_seconds=timeout_seconds,
        )

    def _control(self, name: str) -> HttpClient:
        if name not in self._controls:
            self._controls[name] = self.connection(name, CONTROL, 5.0)
        return self._controls[name]

    def _close(self, name: str) -> None:
        control = self._controls.pop(name, None)
        if control is not None:
            control.close()

    def status(self, name: str) -> dict[str, Any] | None:
        """What ``GET /status`` of a node gives; None if it does not answer."""
        if not self._runs(name):
            return None
        try:
            status, said = self._control(name).request("GET", "/status")
        except RemoteError:
            return None
        return said if status == 200 else None

    def statuses(self) -> dict[str, dict[str, Any] | None]:
        """Of every node."""
        return {name: self.status(name) for name in self.names}

    def digests(self) -> list[str | None]:
        """The digest of each node; None of one that does not answer."""
        return [None if said is None else said["digest"] for said in self.statuses().values()]

    def backlog(self) -> int:
        """Observations that wait at all nodes together, to be added or taken back."""
        return sum(sum(said["backlog"].values()) for said in self.statuses().values() if said)

    def converge(self, timeout_seconds: float) -> float | None:
        """Seconds until all nodes give one digest; None if they do not in time."""
        started = time.monotonic()

        def agreed() -> bool:
            digests = set(self.digests())
            return len(digests) == 1 and None not in digests

        return time.monotonic() - started if wait_until(agreed, timeout_seconds) else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process that was told to, and close what led to it."""
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def wait_until(true: Callable[[], bool], timeout_seconds: float, every_seconds: float = 0.1) -> bool:
    """Ask again and again; whether it was true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True
