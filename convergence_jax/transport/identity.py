"""`Identity`: who a certificate speaks for; `Credentials`: a certificate with its key.

The identity is the one URI of the scheme ``convergence`` among the certificate's alternative names:
``convergence://node/n1`` or ``convergence://client/c1``. So a client's certificate never speaks as a node. A
node's certificate has a DNS name besides, which a client of that node asks for; a client's has none, so
nothing that a client runs is ever taken for a node.
"""

import os
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convergence_jax.errors import InputError
from convergence_jax.transport.private_file import read_small, write_whole

NODE, CLIENT = "node", "client"

NODE_DOMAIN = "node.convergence.internal"
"""Suffix of the DNS names of nodes. ``internal`` is reserved for private use; no host of a roster has it."""

_NAMES = {
    NODE: re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),  # a DNS label, which ignores case: one case only
    CLIENT: re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"),  # the longest common name
}
_URI = re.compile(r"convergence://(node|client)/([^/]+)")


@dataclass(frozen=True)
class Identity:
    """Whom a certificate speaks for.

    Attributes
    ----------
    role : {"node", "client"}
        What it may do.
    name : str
        A node's: up to 63 lower-case letters, digits and inner hyphens. A client's: up to 64 letters, digits
        and ``._@+-``, the first one a letter or digit.

    Raises
    ------
    InputError
        If the name is of another form.
    """

    role: str
    name: str

    def __post_init__(self) -> None:
        if self.role not in _NAMES:
            raise InputError(f"{self.role}: is no role of a certificate; use node or client.")
        if not _NAMES[self.role].fullmatch(self.name):
            raise InputError(
                f"{self.name}: cannot be the name of a {self.role}; use letters, digits and hyphens"
                + (", all lower-case." if self.role == NODE else ".")
            )

    @property
    def uri(self) -> str:
        """How a certificate says it."""
        return f"convergence://{self.role}/{self.name}"

    @classmethod
    def from_uris(cls, uris: Iterable[str]) -> "Identity | None":
        """The identity among a certificate's URIs; None if there is none, or more than one."""
        own = [uri for uri in uris if uri.lower().startswith("convergence:")]
        parts = _URI.fullmatch(own[0]) if len(own) == 1 else None
        try:
            return cls(*parts.groups()) if parts else None
        except InputError:
            return None

    @classmethod
    def from_auth_context(cls, context: Mapping[str, Sequence[bytes]]) -> "Identity | None":
        """The identity of a gRPC peer whose certificate gRPC has verified."""
        return cls.from_uris(uri.decode("utf-8", "replace") for uri in context.get("peer_uri", ()))

    @classmethod
    def from_tls(cls, certificate: Mapping[str, Any] | None) -> "Identity | None":
        """The identity in what :meth:`ssl.SSLSocket.getpeercert` gives for a verified certificate."""
        names = (certificate or {}).get("subjectAltName", ())
        return cls.from_uris(value for kind, value in names if kind == "URI")


def server_name(node: str) -> str:
    """The DNS name in the certificate of a node, to be checked instead of the address it was reached at."""
    return f"{node}.{NODE_DOMAIN}"


@dataclass(frozen=True)
class Credentials:
    """A certificate, its key, and the authority that both ends trust; all PEM.

    Attributes
    ----------
    certificate : bytes
        The own certificate.
    key : bytes
        Its private key, PKCS #8 without a password. Not shown by ``repr``.
    authority : bytes
        Certificate of the only authority that peers are checked against.
    """

    certificate: bytes
    key: bytes
    authority: bytes

    FILES = ("certificate.pem", "key.pem", "authority.pem")

    def __repr__(self) -> str:
        return "Credentials(...)"

    def save(self, directory: str | Path) -> None:
        """Write three files into a directory; the key's can be read by its owner only.

        Raises
        ------
        InputError
            If the disk refuses.
        """
        parts = zip(self.FILES, (self.certificate, self.key, self.authority), strict=True)
        for name, data in parts:
            write_whole(Path(directory) / name, data, private=name == "key.pem")

    @classmethod
    def load(cls, directory: str | Path) -> "Credentials":
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If a file is missing or is no PEM, or the key does not belong to the certificate.
        """
        paths = [Path(directory) / name for name in cls.FILES]
        loaded = cls(*(read_small(path) for path in paths))
        for path, data in zip(paths, (loaded.certificate, loaded.key, loaded.authority), strict=True):
            if b"-----BEGIN " not in data:
                raise InputError(f"{path}: is no PEM file; issue the certificate again.")
        loaded.tls(server=False)
        return loaded

    def tls(self, *, server: bool) -> ssl.SSLContext:
        """A context for mutual TLS 1.3 that trusts the one authority.

        Parameters
        ----------
        server : bool
            True to require a certificate of clients; False to require one of the server and check its name.

        Raises
        ------
        InputError
            If certificate and key do not fit together or cannot be read.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        try:
            context.load_verify_locations(cadata=self.authority.decode("ascii"))
            # OpenSSL takes keys from files only: one that never reaches a disk.
            handle = os.memfd_create("credentials", os.MFD_CLOEXEC)
            try:
                os.write(handle, self.certificate + b"\n" + self.key)
                context.load_cert_chain(f"/proc/self/fd/{handle}", password=lambda: b"")
            finally:
                os.close(handle)
        except (ssl.SSLError, ValueError) as error:
            raise InputError("credentials: certificate, key and authority do not fit together.") from error
        return context
