"""`Address`: where something listens, as ``host:port``."""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass

from convergence_jax.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Address:
    """A host and a port.

    Attributes
    ----------
    host : str
        A name, or an IPv4 or IPv6 address without brackets.
    port : int
        From 0 to 65535; 0 asks the system for a free one when listening.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``host:port`` or ``[::1]:port``.

        Raises
        ------
        InputError
            If it is neither.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            fits = _ip(host) is not None and ":" in host
        else:
            fits = is_host_name(host)
        if not (colon and fits and re.fullmatch("[0-9]{1,5}", port) and int(port) < 1 << 16):
            raise InputError(f"{text}: is no address; write host:port, such as 127.0.0.1:7000 or [::1]:7000.")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def numeric(self) -> bool:
        """Whether the host is an IP address, which no name server is asked for."""
        return _ip(self.host) is not None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it: an address such as 127.0.0.1 or ::1, or ``localhost``."""
        ip = _ip(self.host)
        return self.host.lower() == "localhost" if ip is None else ip.is_loopback

    async def resolve(self) -> tuple[str, int]:
        """The IP address and port to send to; a name is looked up without holding up the event loop.

        Raises
        ------
        OSError
            If the name cannot be found.
        """
        if self.numeric:
            return self.host, self.port
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        host, port = found[0][4][:2]
        return str(host), int(port)


def is_host_name(text: str) -> bool:
    """Whether a text has the form of a host name or an IPv4 address: letters, digits, ``.-_``."""
    return _NAME.fullmatch(text) is not None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
