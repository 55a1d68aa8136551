"""`HttpServer`: a small HTTP/1.1 server for one process: JSON, one page, streams of events.

The protocol is h11's; here are connections, time and size limits, and who is let in: with credentials,
whoever shows a certificate of the same authority; without, whoever knows the token, from this machine only.
"""

import asyncio
import hmac
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import parse_qsl, unquote

import h11

from convergence_jax.errors import InputError
from convergence_jax.transport.address import Address
from convergence_jax.transport.http_messages import Request, Response
from convergence_jax.transport.identity import Credentials, Identity
from convergence_jax.transport.lines import one_line, to_standard_error

Handler = Callable[[Request], Awaitable[Response]]
"""Answers a request. An :class:`InputError` becomes 400 with its line, anything else that it raises 500."""

_ALWAYS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),  # the page's address may hold the token
)


@dataclass(frozen=True)
class Limits:
    """What one client may ask of the server.

    Attributes
    ----------
    body_bytes, header_bytes : int
        Longest body, and longest request line with headers.
    connections, streams : int
        How many at a time, of everybody together.
    request_seconds : float
        For a whole request to arrive, once its connection is open or the answer before it is sent.
    write_seconds : float
        For a client to take some of what is sent to it.
    handshake_seconds : float
        For TLS.
    """

    body_bytes: int = 8 << 20
    header_bytes: int = 16 << 10
    connections: int = 128
    streams: int = 16
    request_seconds: float = 30.0
    write_seconds: float = 10.0
    handshake_seconds: float = 10.0


class HttpServer:
    """Serves routes over mutual TLS, or to this machine alone with a token.

    Parameters
    ----------
    routes : mapping of (str, str) to Handler
        By method and path. ``HEAD`` is answered by the handler of ``GET``.
    credentials : Credentials, optional
        The node's own. Then every client must show a certificate of the same authority.
    token : str, optional
        Without credentials: what a client must show, as ``Authorization: Bearer`` or, with GET, ``?token=``.
    limits : Limits, optional
        Sizes, counts and times.
    log : callable, optional
        Takes one line about each failed handler; standard error by default.

    Raises
    ------
    InputError
        If there is neither or both of credentials and token.
    """

    def __init__(
        self,
        routes: Mapping[tuple[str, str], Handler],
        *,
        credentials: Credentials | None = None,
        token: str | None = None,
        limits: Limits | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        if (credentials is None) == (not token):
            raise InputError("http: give either certificates or a token, so that not everybody is let in.")
        self.routes = dict(routes)
        self.token = token
        self.limits = limits or Limits()
        self.log = log or to_standard_error
        self.address: Address | None = None
        """Where it listens, with its true port, once it does."""
        self.streams = 0
        """How many are open."""
        self._tls = None if credentials is None else credentials.tls(server=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> Address:
        """Listen; returns the address with its true port.

        Raises
        ------
        InputError
            If the address can be reached from other machines and there is no TLS; if it is taken.
        """
        where = Address.parse(address)
        if self._tls is None and not where.loopback:
            raise InputError(
                f"{where}: without certificates only this machine is served; listen on 127.0.0.1."
            )
        host = "127.0.0.1" if where.loopback and not where.numeric else where.host
        try:
            self._server = await asyncio.start_server(self._connected, host, where.port)
        except OSError as error:
            raise InputError(f"{where}: cannot listen there: {error.strerror or error}.") from error
        self.address = Address(where.host, int(self._server.sockets[0].getsockname()[1]))
        return self.address

    async def stop(self) -> None:
        """Take no more connections and end those that are open."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    async def __aenter__(self) -> "HttpServer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) <= self.limits.connections and self._server is not None:
                if (
                    self._tls is not None
                ):  # here and not before, so that handshakes are counted and can be ended
                    await writer.start_tls(self._tls, ssl_handshake_timeout=self.limits.handshake_seconds)
                await _Connection(self, reader, writer).serve()
                writer.close()
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
        except (OSError, TimeoutError, h11.ProtocolError):
            pass  # the client is gone, or too slow
        except asyncio.CancelledError:
            pass  # the server stops; whoever cancelled waits for this task only
        finally:
            writer.transport.abort()  # nothing is left to send, or nobody to take it
            self._connections.discard(task)


class _Refusal(Exception):
    """A request that is answered without its handler."""

    def __init__(self, status: int, line: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(line)
        self.response = Response.error(status, line, headers)


class _Connection:
    """One client."""

    def __init__(
        self, server: HttpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._limits = server.limits
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=server.limits.header_bytes)
        tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        self._secure = tls is not None
        self._identity = Identity.from_tls(tls.getpeercert()) if tls is not None else None

    async def serve(self) -> None:
        """Answer requests one after the other until either side has had enough."""
        while True:
            head = False
            try:
                async with asyncio.timeout(self._limits.request_seconds):
                    event = await self._next()
                    if not isinstance(event, h11.Request):
                        return  # the client closed between requests
                    head = event.method == b"HEAD"
                    handler, request = await self._read(event)
                response = await self._handle(handler, request)
            except _Refusal as refusal:
                response = refusal.response
            except h11.RemoteProtocolError as error:
                response = Response.error(error.error_status_hint, f"is no valid HTTP: {one_line(error)}")
            if self._protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                return
            await self._send(response, head)
            if self._protocol.our_state is not h11.DONE or self._protocol.their_state is not h11.DONE:
                await self._linger()
                return
            self._protocol.start_next_cycle()

    async def _next(self) -> object:
        """The next event of the client."""
        while True:
            event = self._protocol.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._protocol.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[]))
            self._protocol.receive_data(await self._reader.read(1 << 16))

    async def _read(self, event: h11.Request) -> tuple[Handler, Request]:
        """Who may come in, what is asked for, and the body; in this order."""
        headers: dict[str, str] = {}
        for name, value in event.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        target, _, raw = event.target.decode("latin-1").partition("?")
        method = event.method.decode("latin-1")
        method = "GET" if method == "HEAD" else method
        try:
            pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=64)
        except ValueError:
            raise _Refusal(400, "the query is no list of name=value") from None
        query = dict(pairs)
        if len(query) < len(pairs):
            raise _Refusal(400, "the query has a name twice")
        self._admit(method, headers, query.pop("token", None))
        path = unquote(target)
        handler = self._server.routes.get((method, path))
        if handler is None:
            allowed = sorted(known for known, where in self._server.routes if where == path)
            if allowed:
                raise _Refusal(405, f"{path} takes {' and '.join(allowed)}", (("Allow", ", ".join(allowed)),))
            raise _Refusal(404, f"there is no {one_line(path)}")
        body = await self._body(headers)
        return handler, Request(method, path, query, headers, body, self._identity)

    def _admit(self, method: str, headers: Mapping[str, str], query_token: str | None) -> None:
        if self._secure:
            if self._identity is None:
                raise _Refusal(403, "the certificate names nobody")
            return
        # A page of another site may have its own name lead here; its Host header still has that name.
        host = headers.get("host", "")
        with suppress(InputError):
            host = Address.parse(host).host
        if not Address(host.removeprefix("[").removesuffix("]"), 0).loopback:
            raise _Refusal(403, "this server answers to the names of this machine only")
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            shown = query_token or "" if method == "GET" else ""
        known = self._server.token or ""
        if not hmac.compare_digest(shown.strip().encode(), known.encode()):
            raise _Refusal(401, "the token is missing or wrong", (("WWW-Authenticate", "Bearer"),))

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        limit = self._limits.body_bytes
        too_long = _Refusal(413, f"the body is longer than {limit} bytes")
        if int(headers.get("content-length", "0")) > limit:
            raise too_long
        parts: list[bytes] = []
        length = 0
        while True:
            event = await self._next()
            if not isinstance(event, h11.Data):
                return b"".join(parts)
            length += len(event.data)
            if length > limit:
                raise too_long
            parts.append(bytes(event.data))

    async def _handle(self, handler: Handler, request: Request) -> Response:
        try:
            return await handler(request)
        except InputError as error:
            return Response.error(400, one_line(error))
        except Exception as error:
            self._server.log(f"{request.method} {one_line(request.path)}: failed: {one_line(repr(error))}")
            return Response.error(500, "failed; the server's log says how")

    async def _send(self, response: Response, head: bool) -> None:
        if isinstance(response.body, bytes):
            length = ("Content-Length", str(len(response.body)))
            # What is left of a body that nobody wants is not read, so the connection ends with this answer.
            unread = self._protocol.their_state is not h11.DONE
            await self._start(response, length, *([("Connection", "close")] if unread else []))
            if not head:
                await self._write(h11.Data(data=response.body))
            await self._write(h11.EndOfMessage())
            return
        body = response.body
        try:
            if self._server.streams >= self._limits.streams:
                await self._send(Response.error(503, "too many streams are open; close one"), head)
                return
            self._server.streams += 1
            try:
                await self._start(response, ("Connection", "close"))
                if not head:
                    await self._stream(body)
                await self._write(h11.EndOfMessage())
            finally:
                self._server.streams -= 1
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    async def _start(self, response: Response, *headers: tuple[str, str]) -> None:
        kind = ("Content-Type", response.content_type)
        every = [kind, *_ALWAYS, *response.headers, *headers]
        await self._write(h11.Response(status_code=response.status, headers=every))

    async def _stream(self, body: AsyncIterator[bytes]) -> None:
        """Send parts as they come up; end as soon as the client goes away or says anything more."""

        async def pump() -> None:
            async for part in body:
                await self._write(h11.Data(data=part))

        pumping = asyncio.create_task(pump())
        gone = asyncio.create_task(self._reader.read(1))
        try:
            await asyncio.wait({pumping, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = pumping.done()
            pumping.cancel()
            gone.cancel()
            outcome, _ = await asyncio.gather(pumping, gone, return_exceptions=True)
        if not ended:
            raise ConnectionResetError
        if isinstance(outcome, OSError | TimeoutError):
            raise outcome
        if isinstance(outcome, BaseException):
            self._server.log(f"stream: failed: {one_line(repr(outcome))}")
            raise ConnectionResetError  # an end that the client can tell from a good one

    async def _write(self, event: h11.Event) -> None:
        data = self._protocol.send(event)
        if data:
            self._writer.write(data)
            async with asyncio.timeout(self._limits.write_seconds):
                await self._writer.drain()

    async def _linger(self) -> None:
        """Let the client read the last answer before what it still sends meets a closed door."""
        if self._protocol.their_state is h11.SEND_BODY:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    while await self._reader.read(1 << 16):
                        pass
