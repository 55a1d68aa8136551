"""The HTTP interface of a node: writes, answers, status, metrics and the live page."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec

from convergence_jax.errors import InputError, StaleError
from convergence_jax.partition.answers.answer import Query, answer
from convergence_jax.partition.nodes.live import page
from convergence_jax.partition.nodes.node import Node
from convergence_jax.partition.nodes.status import answer_json, metrics, status
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.writer import Outcome
from convergence_jax.partition.writes.writer import Request as WriteRequest
from convergence_jax.transport.http_messages import EVENTS, Request, Response, event
from convergence_jax.transport.http_server import HttpServer
from convergence_jax.transport.identity import CLIENT, Identity

Body = TypeVar("Body")

STRONG_SECONDS = 5.0
"""How long a strong answer waits for every member, unless the query says."""


class WriteBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The body of ``POST /writes``.

    Attributes
    ----------
    sequence : int
        The client's own number, from 0; a retry has the same one.
    statistic : str
    values : list of float, or of lists of float
        One number an observation, or one for each feature.
    agents : list of str or None
        One an observation, for evidence.
    client : str or None
        Who writes, where a token was shown and no certificate.
    """

    sequence: int
    statistic: str
    values: list[float | list[float]]
    agents: list[str] | None = None
    client: str | None = None


class RetractionBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The body of ``POST /retractions``: take back the write `of` this client, under a number of its own."""

    sequence: int
    of: int
    client: str | None = None


class FaultsBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The body of ``POST /faults``: cut the links to and from these members, and no others."""

    outgoing: list[str] = []
    incoming: list[str] = []


class HttpApi:
    """Routes of a node.

    Parameters
    ----------
    node : Node
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        config = node.config
        token = None if config.http_token is None else _token(config.http_token)
        routes = {
            ("POST", "/writes"): self._write,
            ("POST", "/retractions"): self._retract,
            ("POST", "/leave"): self._leave,
            ("GET", "/answers"): self._answer,
            ("GET", "/status"): self._status,
            ("GET", "/events"): self._events,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/"): self._page,
        }
        if config.allow_faults:
            routes[("POST", "/faults")] = self._faults
        self.server = HttpServer(routes, credentials=None if token else node.credentials, token=token)

    async def _write(self, request: Request) -> Response:
        body = _body(request, WriteBody)
        client = _client(request.identity, body.client)
        roster = self._node.participant.replica.roster
        payload = observations(roster, body.statistic, body.values, body.agents)
        _check_sequence(body.sequence)
        return _outcome(await self._node.write(WriteRequest(client, body.sequence, body.statistic, payload)))

    async def _retract(self, request: Request) -> Response:
        body = _body(request, RetractionBody)
        client = _client(request.identity, body.client)
        _check_sequence(body.sequence)
        return _outcome(await self._node.write(WriteRequest(client, body.sequence, of=body.of)))

    async def _leave(self, request: Request) -> Response:
        self._node.leave()
        return Response.json({"leaving": True}, 202)

    async def _answer(self, request: Request) -> Response:
        given = dict(request.query)
        seconds = given.pop("timeout", str(STRONG_SECONDS))
        try:
            query = msgspec.convert(given, Query, strict=False)
            timeout = min(60.0, float(seconds))
        except (msgspec.ValidationError, ValueError) as error:
            raise InputError(f"query: {error}") from None
        node = self._node
        if query.mode == "strong":
            missing = await node.peers.ask_everyone(timeout)
            if missing:
                node.counts["answers_refused"] += 1
                line = f"unavailable: no answer from {', '.join(missing)}; mode statistical always answers"
                return Response.json({"error": line, "missing": missing}, 503)
        try:
            found = answer(node.participant, query, node.means)
        except StaleError as error:
            node.counts["answers_refused"] += 1
            return Response.error(503, f"unavailable: {error}")
        node.counts["answers"] += 1
        return Response.json(answer_json(found))

    async def _status(self, request: Request) -> Response:
        return Response.json(status(self._node))

    async def _events(self, request: Request) -> Response:
        return Response(self._stream(), content_type=EVENTS)

    async def _stream(self) -> AsyncIterator[bytes]:
        while not self._node.stopping.is_set():
            yield event(status(self._node))
            await asyncio.sleep(1.0)

    async def _metrics(self, request: Request) -> Response:
        return Response(metrics(self._node).encode(), content_type="text/plain; version=0.0.4")

    async def _page(self, request: Request) -> Response:
        return Response(page(), content_type="text/html; charset=utf-8")

    async def _faults(self, request: Request) -> Response:
        body = _body(request, FaultsBody)
        self._node.links.block(body.outgoing, body.incoming)
        return Response.json({"blocked": self._node.links.blocked})


def _body(request: Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"body: {error}") from None


def _client(identity: Identity | None, name: str | None) -> str:
    """Who writes: the name in the certificate, and nobody else's."""
    if identity is None:
        if not name:
            raise InputError("client: name the client; there is no certificate that does.")
        return Identity(CLIENT, name).name
    if identity.role != CLIENT:
        raise InputError(
            f"{identity.role} {identity.name}: writes are clients'; show a client's certificate."
        )
    if name not in (None, identity.name):
        raise InputError(f"client: the certificate says {identity.name}, the body {name}.")
    return identity.name


def _check_sequence(sequence: int) -> None:
    if not 0 <= sequence < 1 << 62:
        raise InputError("sequence: must be from 0 to below 2**62.")


def _outcome(outcome: Outcome) -> Response:
    if outcome.refused:
        status = 507 if "no room on the disk" in outcome.refused else 409
        return Response.error(status, outcome.refused)
    return Response.json({"acknowledged": True, "duplicate": outcome.duplicate, "events": outcome.events})


def _token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; write the token of the HTTP server there.") from None
    if len(token) < 16:
        raise InputError(f"{path}: a token needs at least 16 characters.")
    return token
