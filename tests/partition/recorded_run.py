"""A run as a node's status tells it, second by second, and a server that plays it to a page."""

import http.server
import json
import math
import queue
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

Status = dict[str, Any]

RATE, BURST = 40.0, 20
"""Cap of every origin in the recorded run: events a second, and at once."""


def cut_and_heal(
    seconds: range = range(600, 690),
    cut: range = range(625, 660),
    away: Iterable[str] = ("n2", "n3"),
    nodes: int = 5,
) -> list[Status]:
    """What n1 of `nodes` says in each of some seconds while others are cut off for a time.

    The interval is that of a mean of values in [0, 200] with at most ``BURST + RATE * age`` unseen events an
    origin; the events here keep the mean near 100. In second 1 no origin has answered yet.
    """
    away = list(away)
    return [_status(second, cut, away, nodes) for second in seconds]


def _status(second: int, cut: range, away: list[str], nodes: int) -> Status:
    origins, unseen, seen = [], 0, 0
    for number in range(1, nodes + 1):
        name, own = f"n{number}", number == 1
        age = 0.0 if own else 0.35 + 0.3 * ((second * 7 + number * 3) % 5) / 5
        fresh = second
        if name in away and second in cut:
            fresh = cut.start
            age += second - fresh
        events = int(fresh * RATE * (0.8 + 0.03 * number))
        hidden = 0 if own else math.floor(BURST + RATE * age)
        unseen, seen = unseen + hidden, seen + events
        origins.append(
            {
                "node": name,
                "age_seconds": None if not own and second < 2 else age,
                "events": events,
                "version": fresh,
                "unseen": None if not own and second < 2 else hidden,
                "unseen_removals": 0 if second >= 2 or own else None,
                "excluded": False,
                "final": False,
                "self": own,
            }
        )
    known = second >= 2
    mean = 100 + 0.3 * math.sin(second / 9) + 0.1 * math.sin(second / 2.3)
    lower, upper = mean * seen / (seen + unseen), (mean * seen + 200 * unseen) / (seen + unseen)
    slack = 0.1 + 0.3 * (upper - lower) / 2
    share = seen / (seen + unseen) if known else 0.0
    count = answer("latency", "count", None, seen, None, None, share, count=seen)
    if known:
        count.update(lower=seen, upper=seen + unseen)
    average = answer("latency", "mean", "delay", mean, 0.0, 200.0, share, count=seen)
    if known:
        anytime = max(lower, mean - slack), min(upper, mean + slack)
        average.update(lower=lower, upper=upper, anytime_lower=anytime[0], anytime_upper=anytime[1])
    return {
        "node": "n1",
        "incarnation": 3,
        "version": second,
        "roster": 1,
        "seconds": second + 0.004,
        "origins": origins,
        "backlog": {"additions": 12 if second in cut else 0, "removals": 0},
        "acknowledged": 32 * second,
        "bytes": {"sent": 5200 * second, "received": 6100 * second},
        "refused": {"signature": 0, "replayed": 2},
        "digest": f"{second * 2654435761:064x}"[-64:],
        "blocked": [],
        "answers": [count, average],
    }


def answer(
    statistic: str,
    what: str,
    feature: str | None,
    value: float | None,
    lower: float | None,
    upper: float | None,
    confidence: float,
    count: int = 0,
) -> dict[str, Any]:
    """One answer of a status, without an anytime interval."""
    return {
        "statistic": statistic,
        "what": what,
        "feature": feature,
        "value": value,
        "lower": lower,
        "upper": upper,
        "anytime_lower": None,
        "anytime_upper": None,
        "confidence": confidence,
        "count": count,
    }


class Player:
    """A node's web server that says what a test tells it to.

    Attributes
    ----------
    asked : list of str
        Paths with queries that were asked for, in order.
    reply : int
        HTTP status with which ``status`` and ``events`` are answered; other than 200 they are refused.
    """

    def __init__(self, page: bytes, first: Status | None = None, token: str | None = None) -> None:
        self.page, self.latest, self.token = page, first, token
        self.asked: list[str] = []
        self.reply = 200
        self._listeners: list[queue.Queue[bytes | None]] = []
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> "Player":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reply = 503
        self.hang_up()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()  # waits for the threads of its streams

    @property
    def origin(self) -> str:
        """Where it listens, as the start of an address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        with self._lock:
            return len(self._listeners)

    def say(self, *statuses: Status) -> None:
        """Send statuses down every open stream; the last one is what ``status`` answers."""
        for status in statuses:
            self.latest = status
            self.send(json.dumps(status))

    def send(self, text: str) -> None:
        """Send one event, whatever its text."""
        lines = "".join(f"data: {line}\n" for line in text.split("\n"))
        with self._lock:
            for listener in self._listeners:
                listener.put(f"{lines}\n".encode())

    def hang_up(self) -> None:
        """End every open stream."""
        with self._lock:
            for listener in self._listeners:
                listener.put(None)

    def listen(self) -> "queue.Queue[bytes | None]":
        """What a new stream is to write; None ends it."""
        listener: queue.Queue[bytes | None] = queue.Queue()
        with self._lock:
            self._listeners.append(listener)
        return listener

    def leave(self, listener: "queue.Queue[bytes | None]") -> None:
        """Forget a stream that ended."""
        with self._lock:
            self._listeners.remove(listener)


def _handler(player: Player) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer as a node would."""
            player.asked.append(self.path)
            address = urlsplit(self.path)
            if address.path == "/":
                self.give(200, "text/html; charset=utf-8", player.page)
            elif player.token is not None and parse_qs(address.query).get("token") != [player.token]:
                self.give(401, "application/json", b"{}")
            elif player.reply != 200:
                self.give(player.reply, "application/json", b"{}")
            elif address.path == "/status" and player.latest is not None:
                self.give(200, "application/json", json.dumps(player.latest).encode())
            elif address.path == "/events":
                self.stream()
            else:
                self.give(404, "application/json", b"{}")

        def give(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"retry: 200\n\n")
            listener = player.listen()
            try:
                while (event := listener.get()) is not None:
                    self.wfile.write(event)
            except OSError:
                pass  # the browser went away
            finally:
                player.leave(listener)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
