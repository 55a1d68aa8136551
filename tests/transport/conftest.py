"""One authority for all tests of the transport, and certificates as they are needed."""

import datetime
import functools
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from convergence_jax.transport.authority import Authority
from convergence_jax.transport.identity import Credentials

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # tests import gRPC before the module that silences it


@pytest.fixture(scope="session")
def authority():
    return Authority.create("tests")


@pytest.fixture(scope="session")
def issue(authority):
    """``issue(name, kind)``: credentials, made once."""

    @functools.cache
    def made(name, kind="node", hosts=("127.0.0.1", "localhost")):
        return authority.issue(name, kind=kind, hosts=hosts if kind == "node" else ())

    return made


@pytest.fixture(scope="session")
def craft(authority):
    """``craft(uris, dns, days)``: what the authority would never issue, signed by it all the same."""

    def crafted(uris=(), dns=(), days=1):
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.UniformResourceIdentifier(uri) for uri in uris] + [x509.DNSName(name) for name in dns]
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n1")]))
            .issuer_name(x509.load_pem_x509_certificate(authority.certificate).subject)
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names or [x509.DNSName("nobody")]), critical=False)
            .add_extension(identifier, critical=False)
            .sign(authority._key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Credentials(certificate.public_bytes(pem), secret, authority.certificate)

    return crafted
