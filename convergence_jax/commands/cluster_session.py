"""`Session`: what is typed at the prompt of ``convergence cluster``."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from convergence_jax.commands.cluster_view import table
from convergence_jax.errors import InputError, RemoteError, closest
from convergence_jax.partition.clusters.cluster import Cluster
from convergence_jax.partition.clusters.local import FEATURE, STATISTIC
from convergence_jax.transport.http_client import HttpClient

HELP = """\
cut 2,3          cut nodes 2 and 3 off from the others; cut 1 2,3 makes three groups
one-way 1 2      cut the link from node 1 to node 2, and no other
heal             mend every link
kill 3           end node 3 with SIGKILL
pause 3          stop its process with SIGSTOP; resume 3 lets it go on
start 3          start it again
write 2 100      write 100 observations to node 2
load on          write to every node all the time; load off stops that
ask 2 strong     ask node 2 for the mean: strong, bounded_staleness, eventual or statistical
show             print the table
sleep 5          do nothing for 5 seconds
quit             stop the nodes and end"""

_MOST_EVENTS = 100_000
_MOST_SECONDS = 3600.0
_WRITER = "terminal"
_LOAD_EVERY_SECONDS = 0.25
_MAX_AGE = "2"


class Session:
    """A context with a running cluster and who writes to it.

    Parameters
    ----------
    cluster : Cluster
        Whose clients show a token.
    rate : float
        Events a second and node of ``load on``.

    Notes
    -----
    Threads share it: the prompt, a sweep of the status, and the load.
    """

    def __init__(self, cluster: Cluster, rate: float) -> None:
        self.cluster = cluster
        self.ended = False
        self._rate = rate
        self._lock = threading.RLock()
        self._chance = random.Random(1)
        self._sequences: defaultdict[str, int] = defaultdict(int)
        self._unanswered: dict[str, dict[str, Any]] = {}
        self._connections: dict[str, HttpClient] = {}
        self._writing = threading.Lock()
        self._load: threading.Thread | None = None
        self._loading = threading.Event()
        self._commands: dict[str, Callable[[list[str]], str]] = {
            "cut": self._cut,
            "one-way": self._one_way,
            "heal": self._heal,
            "kill": self._kill,
            "pause": self._pause,
            "resume": self._resume,
            "start": self._start,
            "write": self._write,
            "load": self._switch_load,
            "ask": self._ask,
            "show": lambda words: table(self.statuses(), self.cluster),
            "sleep": self._sleep,
            "help": lambda words: HELP,
            "quit": self._quit,
        }

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_load()
        for connection in self._connections.values():
            connection.close()

    def url(self, name: str) -> str:
        """Where the live page of a node is, token and all."""
        return f"http://{self.cluster.places[name].http}/?{urlencode({'token': self.cluster.files.token})}"

    def execute(self, line: str) -> str:
        """Do what a line says; what to print about it.

        Raises
        ------
        InputError
            If it says nothing that can be done.
        """
        name, *words = line.split()
        if name not in self._commands:
            raise InputError(f"{name}: no such command{closest(name, sorted(self._commands))}")
        return self._commands[name](words)

    def statuses(self) -> dict[str, dict[str, Any] | None]:
        """What every node says now."""
        with self._lock:
            return self.cluster.statuses()

    # Faults

    def _cut(self, words: list[str]) -> str:
        if not words:
            raise InputError("cut: name the nodes to cut off, such as cut 2,3.")
        groups = [[self._node(word) for word in group.split(",")] for group in words]
        named = [name for group in groups for name in group]
        if len(set(named)) < len(named):
            raise InputError("cut: a node is named twice; each is in one group.")
        with self._lock:
            self.cluster.cut(groups)
        rest = [name for name in self.cluster.names if name not in named]
        return "cut: " + " | ".join(" ".join(group) for group in [*groups, rest] if group)

    def _one_way(self, words: list[str]) -> str:
        if len(words) != 2:
            raise InputError("one-way: name two nodes, such as one-way 1 2.")
        source, destination = (self._node(word) for word in words)
        with self._lock:
            self.cluster.cut_one_way([(source, destination)])
        return f"cut: nothing gets from {source} to {destination}"

    def _heal(self, words: list[str]) -> str:
        with self._lock:
            self.cluster.heal()
        return "healed: every link is mended"

    def _kill(self, words: list[str]) -> str:
        name = self._only_node("kill", words)
        with self._lock:
            self.cluster.kill(name)
        return f"{name}: killed"

    def _pause(self, words: list[str]) -> str:
        name = self._only_node("pause", words)
        with self._lock:
            self.cluster.pause(name)
        return f"{name}: stands still"

    def _resume(self, words: list[str]) -> str:
        name = self._only_node("resume", words)
        with self._lock:
            self.cluster.resume(name)
        return f"{name}: goes on"

    def _start(self, words: list[str]) -> str:
        name = self._only_node("start", words)
        with self._lock:
            self.cluster.start([name])
        return f"{name}: answers"

    # Writing and asking

    def _write(self, words: list[str]) -> str:
        if len(words) != 2:
            raise InputError("write: name a node and how many observations, such as write 2 100.")
        name, events = self._node(words[0]), int(self._number("write", words[1], 1, _MOST_EVENTS))
        if self.write(name, events):
            return f"{name}: acknowledged {events:,} observations"
        return f"{name}: does not answer; what was not acknowledged is sent again before the next write"

    def write(self, name: str, events: int) -> bool:
        """Write random delays to a node; whether it acknowledged them, and all that was sent before."""
        low = 800.0 * self.cluster.names.index(name) / max(1, len(self.cluster.names) - 1)
        with self._writing:
            waiting = self._unanswered.pop(name, None)
            if waiting is not None and not self._send(name, waiting):
                return False
            values = [self._chance.uniform(low, low + 200.0) for _ in range(events)]
            names = {"client": _WRITER, "sequence": self._sequences[name], "statistic": STATISTIC}
            self._sequences[name] += 1
            return self._send(name, {**names, "values": values})

    def _send(self, name: str, body: dict[str, Any]) -> bool:
        """A write whose fate is unknown is kept as it is: sent again, it counts once."""
        try:
            status, said = self._connection(name).request("POST", "/writes", json=body)
        except RemoteError:
            self._unanswered[name] = body
            return False
        if status != 200:
            raise InputError(f"{name}: {said}")
        return True

    def _connection(self, name: str) -> HttpClient:
        if name not in self._connections:
            self._connections[name] = self.cluster.connection(name, _WRITER, 5.0)
        return self._connections[name]

    def _switch_load(self, words: list[str]) -> str:
        if words not in (["on"], ["off"]):
            raise InputError("load: say on or off.")
        self._stop_load()
        if words == ["off"]:
            return "load: off"
        self._loading.clear()
        self._load = threading.Thread(target=self._keep_writing, daemon=True)
        self._load.start()
        return f"load: {self._rate:,.0f} events a second to each node"

    def _stop_load(self) -> None:
        self._loading.set()
        if self._load is not None:
            self._load.join()
            self._load = None

    def _keep_writing(self) -> None:
        while not self._loading.wait(_LOAD_EVERY_SECONDS):
            for name in self.cluster.names:
                if self.cluster.life(name) is not None:
                    self.write(name, max(1, round(self._rate * _LOAD_EVERY_SECONDS)))

    def _ask(self, words: list[str]) -> str:
        if not 1 <= len(words) <= 2:
            raise InputError("ask: name a node and a mode, such as ask 2 strong.")
        name, mode = self._node(words[0]), (words[1:] or ["statistical"])[0]
        query = {"statistic": STATISTIC, "feature": FEATURE, "what": "mean", "mode": mode}
        if mode == "bounded_staleness":
            query["max_age"] = _MAX_AGE
        with self.cluster.connection(name, _WRITER) as connection:
            try:
                status, said = connection.request("GET", "/answers?" + urlencode(query))
            except RemoteError:
                return f"{name}: does not answer"
        if status != 200:
            return f"{name}, {mode}: {said['error']}"
        if said["value"] is None:
            return f"{name}, {mode}: no observations yet"
        text = f"{name}, {mode}: mean {said['value']:.2f} of {said['count']:,} observations"
        if "lower" in said:
            text += f", certainly in [{said['lower']:.2f}, {said['upper']:.2f}]"
            text += f", confidence {said['confidence']:.3f}"
        return text

    # The rest

    def _sleep(self, words: list[str]) -> str:
        if len(words) != 1:
            raise InputError("sleep: say how many seconds, such as sleep 5.")
        time.sleep(self._number("sleep", words[0], 0.0, _MOST_SECONDS))
        return ""

    def _quit(self, words: list[str]) -> str:
        self.ended = True
        return ""

    def _only_node(self, command: str, words: list[str]) -> str:
        if len(words) != 1:
            raise InputError(f"{command}: name one node, such as {command} 3.")
        return self._node(words[0])

    def _node(self, word: str) -> str:
        name = word if word in self.cluster.places else f"n{word}"
        if name not in self.cluster.places:
            raise InputError(f"{word}: no such node; there are 1 to {len(self.cluster.names)}.")
        return name

    @staticmethod
    def _number(command: str, word: str, low: float, high: float) -> float:
        try:
            number = float(word)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise InputError(f"{command} {word}: give a number from {low:g} to {high:g}.")
        return number
