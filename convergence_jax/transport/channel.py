"""`Server` and `Client`: calls between nodes, with deadlines, over gRPC with mutual TLS.

A call is a name and bytes, and its answer is bytes: what they mean is decoded by the caller, strictly. Both
ends show certificates of one authority; the server learns the client's identity from it, and the client
checks that it reached the node it wanted, whatever the address.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

# gRPC reads this when it starts, and logs every lost connection otherwise. Nothing else here imports gRPC.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

from convergence_jax.errors import InputError, RemoteError
from convergence_jax.transport.address import Address
from convergence_jax.transport.identity import Credentials, Identity, server_name
from convergence_jax.transport.lines import one_line, to_standard_error

Handler = Callable[[Identity, bytes], Awaitable[bytes]]
"""Answers a call of a verified peer. It is cancelled when the caller's deadline passes."""

MAX_BYTES = 4 << 20
"""Default length of the longest message."""

_SERVICE = "convergence.Node"

_CLIENT = [
    ("grpc.http2.max_pings_without_data", 0),
    # Only while a call waits: of n nodes each has a connection to each, and a ping a second on every one of
    # them costs more than all that they have to say.
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.keepalive_time_ms", 1000),
    # A connection that leaves a ping unanswered for two seconds is closed. The second line is for other
    # pings, such as those that measure the path: while one is under way no keepalive is sent, and it may take
    # a minute.
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long an attempt may take, over slow links too. Linux repeats a lost SYN after 1 s, so that a cut
    # that heals while an attempt is under way costs no more than that.
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),  # a new client is a new connection
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # whoever calls knows what may be repeated
]

_SERVER = [
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),  # the client pings more often; here it is about leaving no dead ones
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.http2.ping_timeout_ms", 5000),
    ("grpc.so_reuseport", 0),  # a second node on the same port is an error, not half of the calls
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_metadata_size", 8192),
    ("grpc.absolute_max_metadata_size", 16384),
]

_IDENTITY_ONLY = ("grpc.compression_enabled_algorithms_bitset", 1)
"""No compression: a short message must not become a long one."""

_LONGEST_CALL_SECONDS = 60.0


@dataclass
class Traffic:
    """Bytes of messages so far, without framing, TLS and TCP.

    Attributes
    ----------
    sent, received : int
        Whole requests and answers.
    """

    sent: int = 0
    received: int = 0


class Server:
    """Answers calls of peers that show a certificate of the same authority.

    Parameters
    ----------
    credentials : Credentials
        The node's own.
    address : str
        Where to listen, ``host:port``; port 0 takes a free one. A name is looked up once.
    handlers : mapping of str to Handler
        By name of the call. What a handler raises as :class:`RemoteError` or :class:`InputError` the caller
        gets as one line; anything else is logged here and only said to have failed there.
    max_bytes : int, default 4 MiB
        Longest request and answer.
    max_calls : int, default 64
        Calls that are answered at the same time; more are refused.
    log : callable, optional
        Takes one line about each failed handler; standard error by default.
    """

    def __init__(
        self,
        credentials: Credentials,
        address: str,
        handlers: Mapping[str, Handler],
        *,
        max_bytes: int = MAX_BYTES,
        max_calls: int = 64,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._credentials = credentials
        self._wanted = Address.parse(address)
        self._handlers = dict(handlers)
        self._max_bytes = max_bytes
        self._options = [*_SERVER, *_message_options(max_bytes)]
        self._max_calls = max_calls
        self._log = log or to_standard_error
        self._server: grpc.aio.Server | None = None
        self.address = self._wanted
        """Where it listens, with the true port once started."""
        self.traffic = Traffic()

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        InputError
            If the address is taken, or no address of this machine.
        """
        server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=self._max_calls)
        methods = {name: self._method(name, handler) for name, handler in self._handlers.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
        own = self._credentials
        tls = grpc.ssl_server_credentials(
            [(own.key, own.certificate)], own.authority, require_client_auth=True
        )
        try:
            port = server.add_secure_port(str(self._wanted), tls)
        except RuntimeError:
            port = 0
        if port == 0:
            await server.stop(None)
            raise InputError(f"{self._wanted}: cannot listen there; the port is taken or the host not here.")
        self._server = server
        self.address = Address(self._wanted.host, port)
        await server.start()

    async def stop(self, grace_seconds: float = 0.5) -> None:
        """Take no more calls, and let those that are being answered finish for a moment."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(grace_seconds)

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _method(self, name: str, handler: Handler) -> grpc.RpcMethodHandler:
        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            self.traffic.received += len(request)
            peer = Identity.from_auth_context(context.auth_context())
            if peer is None:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the certificate names nobody")
                raise AssertionError  # abort raises
            try:
                async with asyncio.timeout(_LONGEST_CALL_SECONDS):
                    response = await handler(peer, request)
            except (RemoteError, InputError) as error:
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, one_line(error))
            except Exception as error:
                self._log(f"{name}: call of {peer.role} {peer.name} failed: {one_line(repr(error))}")
                await context.abort(grpc.StatusCode.INTERNAL, "failed there")
            if len(response) > self._max_bytes:  # gRPC would log this with a traceback
                line = f"the answer is longer than {self._max_bytes} bytes"
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, line)
            self.traffic.sent += len(response)
            return response

        return grpc.unary_unary_rpc_method_handler(answer)


class Client:
    """Calls one node.

    Parameters
    ----------
    credentials : Credentials
        The own ones, of a node or of a client.
    address : str
        Where the node listens, ``host:port``.
    node : str
        The name that the node's certificate must have.
    max_bytes : int, default 4 MiB
        Longest request and answer.

    Notes
    -----
    Connects when first called, and again by itself after a loss. To be used in one event loop and closed in
    it.
    """

    def __init__(
        self, credentials: Credentials, address: str, node: str, *, max_bytes: int = MAX_BYTES
    ) -> None:
        where = Address.parse(address)
        family = ("ipv6" if ":" in where.host else "ipv4") if where.numeric else "dns"
        self._label = f"{node} at {where}"
        name = server_name(node)
        self._channel = grpc.aio.secure_channel(
            f"{family}:{where}",
            grpc.ssl_channel_credentials(credentials.authority, credentials.key, credentials.certificate),
            options=[
                *_CLIENT,
                *_message_options(max_bytes),
                ("grpc.ssl_target_name_override", name),
                ("grpc.default_authority", name),
            ],
        )
        self._closed = False
        self.traffic = Traffic()

    async def call(self, method: str, request: bytes, timeout_seconds: float) -> bytes:
        """Send a request and wait for its answer.

        Parameters
        ----------
        method : str
            Name of the call.
        request : bytes
            The message.
        timeout_seconds : float
            Deadline, the peer's work included.

        Raises
        ------
        RemoteError
            If the peer cannot be reached, is another than wanted, refuses, fails, or is too slow. What it did
            before is unknown, unless it is said to refuse.
        """
        if self._closed:
            raise RemoteError(f"{self._label}: {method}: the client is closed")
        try:
            call = self._channel.unary_unary(f"/{_SERVICE}/{method}")(request, timeout=timeout_seconds)
            self.traffic.sent += len(request)
            response = await call
        except grpc.aio.AioRpcError as error:
            code = error.code().name.lower().replace("_", " ")
            detail = one_line(error.details() or "")
            raise RemoteError(f"{self._label}: {method}: {code}: {detail}") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the caller was cancelled, not the call
            raise RemoteError(f"{self._label}: {method}: the client is closed") from None
        self.traffic.received += len(response)
        return bytes(response)

    async def close(self) -> None:
        """Close the connection; calls under way raise :class:`RemoteError`."""
        self._closed = True
        await self._channel.close()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _message_options(max_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", max_bytes),
        ("grpc.max_receive_message_length", max_bytes),
        _IDENTITY_ONLY,
    ]
