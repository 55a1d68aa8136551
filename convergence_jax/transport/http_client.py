"""`HttpClient`: calls a node's HTTP server. It blocks: with asyncio, use it in a thread."""

import http.client
import json as standard_json
import select
import socket
import ssl
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from convergence_jax.errors import InputError, RemoteError
from convergence_jax.transport.identity import Credentials, server_name
from convergence_jax.transport.lines import one_line

_LONGEST = 64 << 20


class HttpClient:
    """One connection, kept open between requests and opened again when the server has closed it.

    Parameters
    ----------
    url : str
        ``https://host:port`` or ``http://host:port``.
    credentials : Credentials, optional
        For https: the own certificate, and the authority that the server's must come from.
    node : str, optional
        For https: the node whose certificate the server must have; by default its hosts must name the URL's.
    token : str, optional
        For http.
    timeout_seconds : float, default 10
        For the connection, and for each part of an answer to arrive.

    Raises
    ------
    InputError
        If the URL is of another form, or https lacks credentials.

    Notes
    -----
    A request is never repeated by itself. Not to be shared by threads.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None = None,
        node: str | None = None,
        token: str | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or port is None or parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
            raise InputError(f"{url}: is no address of a node; write https://host:port.")
        if (parts.scheme == "https") != (credentials is not None):
            raise InputError(f"{url}: https takes a certificate, and http takes none.")
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if credentials is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
        else:
            name = server_name(node) if node else host
            context = credentials.tls(server=False)
            self._connection = _Secure(host, port, context, name, timeout_seconds)

    def request(self, method: str, path: str, *, json: Any = None, body: bytes = b"") -> tuple[int, Any]:
        """Send a request; return the status and what the answer's JSON holds, or its text.

        Parameters
        ----------
        method : str
            Such as ``GET``.
        path : str
            With its query, as it is sent.
        json : optional
            A value to send as JSON.
        body : bytes, optional
            What to send instead.

        Raises
        ------
        RemoteError
            If the server cannot be reached, lets nobody of this name in, or breaks off. Whether it did what
            was asked is then unknown.
        """
        content = standard_json.dumps(json, allow_nan=False).encode() if json is not None else body
        headers = {**self._headers, **({"Content-Type": "application/json"} if json is not None else {})}
        if self._closed_there():
            self._connection.close()
        try:
            self._connection.request(method, path, content or None, headers)
            with self._connection.getresponse() as response:
                data = response.read(_LONGEST)
                if response.length or len(data) == _LONGEST:
                    raise http.client.IncompleteRead(data)
                kind = response.headers.get_content_type()
                value = standard_json.loads(data) if kind == "application/json" and data else data.decode()
                return response.status, value
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            reason = one_line(error) or type(error).__name__
            raise RemoteError(f"{self._url}: {method} {one_line(path)}: {reason}") from error

    def close(self) -> None:
        """Close the connection; a later request opens it again."""
        self._connection.close()

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _closed_there(self) -> bool:
        """Whether the idle connection has something to read: its end, as nothing was asked."""
        sock: socket.socket | None = self._connection.sock
        if sock is None:
            return False
        poll = select.poll()  # unlike select(), takes any descriptor
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))


class _Secure(http.client.HTTPSConnection):
    """A connection whose server's name is checked against another name than the one connected to."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, name: str, timeout_seconds: float
    ) -> None:
        super().__init__(host, port, timeout=timeout_seconds, context=context)
        self._tls, self._name = context, name

    def connect(self) -> None:
        """Connect and shake hands."""
        http.client.HTTPConnection.connect(self)
        try:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
        except BaseException:
            self.close()
            raise


def request(
    method: str,
    url: str,
    *,
    json: Any = None,
    credentials: Credentials | None = None,
    node: str | None = None,
    token: str | None = None,
    timeout_seconds: float = 10.0,
) -> tuple[int, Any]:
    """One request over a connection of its own.

    Parameters
    ----------
    method : str
        Such as ``GET``.
    url : str
        With path and query.
    json : optional
        A value to send as JSON.
    credentials, node, token, timeout_seconds
        As in :class:`HttpClient`.

    Returns
    -------
    int, object
        Status, and what the answer's JSON holds, or its text.

    Raises
    ------
    InputError, RemoteError
        As there.
    """
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with HttpClient(
        base, credentials=credentials, node=node, token=token, timeout_seconds=timeout_seconds
    ) as client:
        return client.request(method, path, json=json)
