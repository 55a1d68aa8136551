"""`SimulatedClient`: writes in batches and asks again until it hears, while requests and answers get lost."""

import random
from collections.abc import Callable
from typing import Protocol

from convergence_jax.partition.rows.roster import EvidenceSchema, Roster, Schema
from convergence_jax.partition.simulation.network import SECOND
from convergence_jax.partition.simulation.schedule import Schedule
from convergence_jax.partition.simulation.truth import Request as Asked
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.writer import Outcome, Request

AGENTS = ("ada", "ada", "ada", "ada", "bob", "cy")
"""Whom evidence is about: most of it about one, who comes up against its own cap."""

OUTSTANDING = 3
"""Requests that a client sends before it hears of any, at most."""


class Server(Protocol):
    """A node, as its clients see it."""

    name: str

    def request(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Take a request, or not, if the node is down."""
        ...


class SimulatedClient:
    """A client of one node.

    Parameters
    ----------
    name : str
    server : Server
        The node, until that one leaves.
    others : callable to list of Server
        Nodes that take writes.
    roster : Roster
    schedule : Schedule
    chance : random.Random
    after : callable of (int, callable)
        Does something in so many nanoseconds.
    asked : callable of Asked
        Hears of each request before it is first sent.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        others: Callable[[], list[Server]],
        roster: Roster,
        schedule: Schedule,
        chance: random.Random,
        after: Callable[[int, Callable[[], None]], None],
        asked: Callable[[Asked], None],
    ) -> None:
        self.name, self.server = name, server
        self.loss = schedule.client_loss
        self._others, self._roster, self._schedule = others, roster, schedule
        self._chance, self._after, self._asked = chance, after, asked
        self._left = schedule.writes
        self._outstanding: dict[int, Server] = {}
        self._written: list[int] = []
        self._sequence = 0
        self._patience = schedule.seconds / 16
        self._think()

    @property
    def waits(self) -> bool:
        """Whether any request is without an answer."""
        return bool(self._outstanding)

    def rest(self) -> None:
        """Write nothing new."""
        self._left, self.loss = 0, 0.0

    def give_up(self, server: Server) -> None:
        """Ask a node that has lost its disk for nothing again whose answer is missing."""
        self._outstanding = {s: at for s, at in self._outstanding.items() if at is not server}

    def _think(self) -> None:
        pause = self._chance.expovariate(1.0) * self._schedule.seconds / self._schedule.writes
        self._after(round(pause * SECOND), self._act)

    def _act(self) -> None:
        if not self._left:
            return
        if len(self._outstanding) < OUTSTANDING:
            self._left -= 1
            request = self._retraction() if self._chance.random() < self._schedule.retracting else None
            request = request or self._write()
            self._outstanding[request.sequence] = self.server
            self._sequence += 1
            self._send(request)
        self._think()

    def _retraction(self) -> Request | None:
        if not self._written:
            return None
        of = self._chance.choice(self._written)
        self._asked(Asked(self.name, self._sequence, "", of=of))
        return Request(self.name, self._sequence, of=of)

    def _write(self) -> Request:
        schema = self._chance.choice(self._roster.statistics)
        count = self._chance.randint(1, self._schedule.events)
        values, agents = self._draw(schema, count)
        self._asked(Asked(self.name, self._sequence, schema.name, values, agents))
        self._written.append(self._sequence)
        payload = observations(self._roster, schema.name, values, agents or None)
        return Request(self.name, self._sequence, schema.name, payload)

    def _draw(self, schema: Schema, count: int) -> tuple[tuple[tuple[float, ...], ...], tuple[str, ...]]:
        if isinstance(schema, EvidenceSchema):
            sides = [(schema.low, schema.high)]
        else:
            sides = [(feature.low, feature.high) for feature in schema.features]
        extreme = self._chance.random() < 0.3

        def value(low: float, high: float) -> float:
            return self._chance.choice((low, high)) if extreme else self._chance.uniform(low, high)

        values = tuple(tuple(value(*side) for side in sides) for _ in range(count))
        evidence = isinstance(schema, EvidenceSchema)
        return values, tuple(self._chance.choice(AGENTS) for _ in range(count)) if evidence else ()

    def _send(self, request: Request) -> None:
        """To the node that it was first sent to, unless that one refused it because it leaves."""
        server = self._outstanding[request.sequence]

        def answer(outcome: Outcome) -> None:
            if self._chance.random() >= self.loss:
                self._after(self._moment(), lambda: self._hear(server, request.sequence, outcome))

        for _ in range(self._copies()):
            self._after(self._moment(), lambda: server.request(request, answer))
        timeout = self._chance.uniform(0.5, 1.5) * self._patience
        self._after(round(timeout * SECOND), lambda: self._remind(request))

    def _copies(self) -> int:
        return 0 if self._chance.random() < self.loss else 2 if self._chance.random() < 0.1 else 1

    def _moment(self) -> int:
        return round(self._chance.random() * self._patience / 4 * SECOND)

    def _remind(self, request: Request) -> None:
        if request.sequence not in self._outstanding:
            return
        if self.loss and self._chance.random() < self._schedule.giving_up:
            del self._outstanding[request.sequence]
        else:
            self._send(request)

    def _hear(self, server: Server, sequence: int, outcome: Outcome) -> None:
        if "leaving" in outcome.refused and self._outstanding.get(sequence) is server:
            self.server = self._outstanding[sequence] = self._chance.choice(self._others())
        final = ("cannot be taken back", "take nothing back")
        if not outcome.refused or any(reason in outcome.refused for reason in final):
            self._outstanding.pop(sequence, None)
