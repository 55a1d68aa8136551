"""`Authority`: issues the certificates of one cluster. A node process never imports this.

Keys are ECDSA on P-256, which every TLS library takes.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from convergence_jax.errors import InputError
from convergence_jax.transport.address import is_host_name
from convergence_jax.transport.identity import NODE, NODE_DOMAIN, Credentials, Identity, server_name
from convergence_jax.transport.private_file import read_small, write_whole

_BEHIND = datetime.timedelta(hours=1)
"""How far a peer's clock may be behind when it meets a new certificate."""

_FILES = ("authority.pem", "authority-key.pem")


class Authority:
    """The certificate authority of a cluster.

    Parameters
    ----------
    certificate : bytes
        PEM of its own certificate.
    key : bytes
        PEM of its private key.

    Raises
    ------
    InputError
        If they cannot be read or do not belong together.
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InputError("authority: its certificate or key is no PEM without a password.") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or (
            private.public_key() != self._certificate.public_key()
        ):
            raise InputError("authority: the key does not belong to the certificate.")
        self._key = private

    @classmethod
    def create(cls, name: str, *, days: int = 3650) -> "Authority":
        """A new authority, trusted by nobody yet.

        Parameters
        ----------
        name : str
            Its common name, at most 64 characters.
        days : int, default 3650
            How long it is valid.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_common_name(name), _common_name(name), key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        return cls(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))

    @property
    def certificate(self) -> bytes:
        """PEM of the certificate, for everybody."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, name: str, *, hosts: Sequence[str] = (), kind: str = NODE, days: int = 365
    ) -> Credentials:
        """A new key and a certificate for it.

        Parameters
        ----------
        name : str
            Whom the certificate speaks for.
        hosts : sequence of str, optional
            Names and IP addresses at which browsers and other programs reach a node's HTTP server. Between
            nodes they do not matter: there the name is checked, wherever it runs.
        kind : {"node", "client"}
            The role. A client's certificate is no server's, and has no hosts.
        days : int, default 365
            How long it is valid, never longer than the authority.

        Raises
        ------
        InputError
            If the name or a host is of another form, or the authority expires first.
        """
        identity = Identity(kind, name)
        if hosts and kind != NODE:
            raise InputError(f"{name}: a client's certificate has no hosts; leave them out.")
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if kind == NODE:
            names += [x509.DNSName(server_name(name)), *map(_host, hosts)]
            purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_common_name(name), self._certificate.subject, key.public_key(), days)
        if _now() + datetime.timedelta(days=days) > self._certificate.not_valid_after_utc:
            raise InputError(f"{name}: its certificate would outlive the authority; give fewer days.")
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(authority=False), True),
            (x509.ExtendedKeyUsage(purposes), False),
            (x509.SubjectAlternativeName(names), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Credentials(certificate.public_bytes(serialization.Encoding.PEM), _pem(key), self.certificate)

    def save(self, directory: str | Path) -> None:
        """Write certificate and key into a directory; the key can be read by its owner only.

        Raises
        ------
        InputError
            If the disk refuses.
        """
        write_whole(Path(directory) / _FILES[0], self.certificate, private=False)
        write_whole(Path(directory) / _FILES[1], _pem(self._key), private=True)

    @classmethod
    def load(cls, directory: str | Path) -> "Authority":
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If a file is missing or holds something else.
        """
        return cls(*(read_small(Path(directory) / name) for name in _FILES))


def identity_of(certificate: bytes) -> Identity | None:
    """Whom a certificate, PEM or DER, names; None if nobody. Says nothing about who signed it.

    Raises
    ------
    InputError
        If it is no certificate.
    """
    pem = certificate.lstrip().startswith(b"-----BEGIN ")
    try:
        read = (x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate)(certificate)
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise InputError("certificate: is neither PEM nor DER; issue it again.") from error
    return Identity.from_uris(names.get_values_for_type(x509.UniformResourceIdentifier))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    if not 1 <= days <= 36500:
        raise InputError(f"days: must be from 1 to 36500, got {days}.")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _BEHIND)
        .not_valid_after(_now() + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if f".{host}".lower().endswith(f".{NODE_DOMAIN}"):
        raise InputError(f"{host}: such names are given to nodes by the authority; leave it out.")
    if not is_host_name(host):
        raise InputError(f"{host}: is neither a host name nor an IP address.")
    return x509.DNSName(host)


def _common_name(name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        raise InputError(f"{name}: cannot be a common name; use 1 to 64 characters.") from error


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
