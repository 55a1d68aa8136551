"""`Request` and `Response`: what a handler of the HTTP server is given and gives back."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from convergence_jax.transport.identity import Identity

JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """A request whose sender is allowed in, with its whole body.

    Attributes
    ----------
    method : str
        Such as ``GET``. A ``HEAD`` comes as ``GET``.
    path : str
        Decoded, without the query.
    query : mapping of str to str
        Decoded; each name once; without ``token``.
    headers : mapping of str to str
        By lower-case name.
    body : bytes
        Empty if there is none.
    identity : Identity or None
        Whom the certificate names; None where a token was shown instead.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    identity: Identity | None


@dataclass(frozen=True)
class Response:
    """What to send back.

    Attributes
    ----------
    body : bytes or async iterator of bytes
        All of it, or its parts as they come up: then it is closed when the client goes away.
    status : int, default 200
        As in RFC 9110.
    content_type : str, default "application/json"
        What the body is.
    headers : tuple of (str, str)
        More of them.
    """

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def json(cls, value: Any, status: int = 200) -> "Response":
        """A value as JSON; structs and dataclasses too. Numbers that are not finite become null."""
        return cls(msgspec.json.encode(value) + b"\n", status)

    @classmethod
    def error(cls, status: int, line: str, headers: tuple[tuple[str, str], ...] = ()) -> "Response":
        """What went wrong, as ``{"error": line}``."""
        return cls(msgspec.json.encode({"error": line}) + b"\n", status, headers=headers)


def event(data: Any) -> bytes:
    """One server-sent event with a value as JSON; its content type is :data:`EVENTS`."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


EVENTS = "text/event-stream"
"""Content type of a stream of :func:`event`."""
