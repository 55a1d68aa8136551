"""A certificate speaks for one node or one client, and keys stay with their owner."""

import datetime
import ssl
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.errors import InputError
from convergence_jax.transport.address import Address
from convergence_jax.transport.authority import Authority, identity_of
from convergence_jax.transport.identity import Credentials, Identity, server_name
from convergence_jax.transport.signing import SigningKey, verify


def read(pem):
    return x509.load_pem_x509_certificate(pem)


def alternative_names(certificate):
    return read(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


@pytest.mark.parametrize(("kind", "name"), [("node", "n1"), ("client", "Alice.B@site+1"), ("node", "a" * 63)])
def test_a_certificate_names_its_owner_and_role_in_pem_and_der(authority, kind, name):
    issued = authority.issue(name, kind=kind)
    der = read(issued.certificate).public_bytes(serialization.Encoding.DER)
    assert identity_of(issued.certificate) == identity_of(der) == Identity(kind, name)


def test_only_a_nodes_certificate_can_be_a_servers(authority):
    def purposes(issued):
        usage = read(issued.certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        return {purpose._name for purpose in usage}

    node, client = (
        authority.issue("n1", hosts=["10.0.0.1", "host.example"]),
        authority.issue("n1", kind="client"),
    )
    assert purposes(node) == {"serverAuth", "clientAuth"}
    assert purposes(client) == {"clientAuth"}
    for issued in (node, client):
        assert not read(issued.certificate).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = alternative_names(node.certificate)
    assert names.get_values_for_type(x509.DNSName) == [server_name("n1"), "host.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert alternative_names(client.certificate).get_values_for_type(x509.DNSName) == []


def test_openssl_accepts_the_chain_strictly_and_no_further_one(authority, tmp_path):
    issued = authority.issue("n1")
    issued.save(tmp_path)
    strict = ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "authority.pem"]
    good = subprocess.run(
        [*strict, tmp_path / "certificate.pem"], capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stderr

    # A node that issues a certificate with its own key convinces nobody.
    key = serialization.load_pem_private_key(issued.key, None)
    parent = read(issued.certificate)
    now = datetime.datetime.now(datetime.UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(parent.subject)
        .issuer_name(parent.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "forged.pem").write_bytes(forged.public_bytes(serialization.Encoding.PEM))
    bad = subprocess.run(
        [*strict, "-untrusted", tmp_path / "certificate.pem", tmp_path / "forged.pem"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode != 0


def test_what_is_saved_is_loaded_and_keys_are_readable_by_their_owner_only(authority, tmp_path):
    issued = authority.issue("n1")
    issued.save(tmp_path / "n1")
    authority.save(tmp_path / "authority")
    assert Credentials.load(tmp_path / "n1") == issued
    again = Authority.load(tmp_path / "authority")
    assert again.certificate == authority.certificate
    assert again.issue("n2").authority == issued.authority
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*") if p.is_file()}
    assert modes == {
        "certificate.pem": 0o644,
        "key.pem": 0o600,
        "authority.pem": 0o644,
        "authority-key.pem": 0o600,
    }
    assert issued.key.decode() not in repr(issued)


def test_credentials_that_do_not_fit_together_are_refused_by_name(authority, tmp_path):
    one, two = authority.issue("n1"), authority.issue("n2")
    Credentials(one.certificate, two.key, one.authority).save(tmp_path)
    with pytest.raises(InputError, match="do not fit together"):
        Credentials.load(tmp_path)
    (tmp_path / "key.pem").write_bytes(b"\x00\xff")
    with pytest.raises(InputError, match=r"key\.pem: is no PEM file"):
        Credentials.load(tmp_path)
    (tmp_path / "key.pem").unlink()
    with pytest.raises(InputError, match=r"key\.pem: cannot be read: No such file"):
        Credentials.load(tmp_path)
    other = Authority.create("other")
    other_key = other._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(InputError, match="does not belong"):
        Authority(authority.certificate, other_key)
    with pytest.raises(InputError, match="no PEM"):
        Authority(authority.certificate, b"nonsense")


def test_a_file_that_cannot_be_written_leaves_the_former_one(authority, tmp_path, monkeypatch):
    authority.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        Authority.create("new").save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("kind", "name"),
    [("node", name) for name in ("", "N1", "n.1", "-n", "n-", "a" * 64, "n1\n", "n1/x", "é")]
    + [("client", name) for name in ("", ".c", "a/b", "a b", "c\n", "a" * 65, "a%2fb", "ü")]
    + [("authority", "n1")],
)
def test_a_name_that_could_be_read_in_two_ways_is_refused(authority, kind, name):
    with pytest.raises(InputError):
        authority.issue(name, kind=kind)


def test_hosts_cannot_claim_the_name_of_another_node(authority):
    for host in ("n2.node.convergence.internal", "N2.NODE.convergence.internal", "node.convergence.internal"):
        with pytest.raises(InputError, match="given to nodes by the authority"):
            authority.issue("n1", hosts=[host])
    for host in ("*", "a b", "*.example", ""):
        with pytest.raises(InputError, match="neither a host name"):
            authority.issue("n1", hosts=[host])
    with pytest.raises(InputError, match="no hosts"):
        authority.issue("c1", kind="client", hosts=["localhost"])


def test_a_certificate_does_not_outlive_its_authority():
    short = Authority.create("short", days=2)
    with pytest.raises(InputError, match="outlive"):
        short.issue("n1", days=3)
    with pytest.raises(InputError, match="from 1 to"):
        short.issue("n1", days=0)
    with pytest.raises(InputError, match="common name"):
        Authority.create("x" * 65)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["https://node/n1"],
        ["convergence://node/n1", "convergence://node/n2"],
        ["convergence://node/n1", "CONVERGENCE://client/c1"],
        ["convergence://admin/n1"],
        ["convergence://node/n1/"],
        ["convergence://node/N1"],
        ["convergence://node/n1?x"],
        ["convergence://node/"],
        ["convergence://client/a%40b"],
        ["convergence://node/n1\n"],
        ["Convergence://node/n1"],
    ],
)
def test_no_identity_is_guessed(uris):
    assert Identity.from_uris(uris) is None
    assert Identity.from_auth_context({"peer_uri": [uri.encode() for uri in uris]}) is None
    assert Identity.from_tls({"subjectAltName": tuple(("URI", uri) for uri in uris)}) is None


def test_only_verified_uris_count_as_identity():
    assert Identity.from_uris(["https://example", "convergence://node/n1"]) == Identity("node", "n1")
    assert (
        Identity.from_auth_context({"x509_common_name": [b"n1"], "peer_dns": [b"convergence://node/n1"]})
        is None
    )
    assert Identity.from_auth_context({"peer_uri": [b"\xff"]}) is None
    assert Identity.from_tls({"subjectAltName": (("DNS", "convergence://node/n1"),)}) is None
    assert Identity.from_tls(None) is None


def test_what_is_no_certificate_names_nobody(authority):
    assert identity_of(authority.certificate) is None
    for junk in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\x30\x82"):
        with pytest.raises(InputError, match="neither PEM nor DER"):
            identity_of(junk)


def test_credentials_speak_only_the_newest_tls_to_peers_that_show_a_certificate(authority):
    for server in (True, False):
        context = authority.issue("n1").tls(server=server)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname is not server
        assert len(context.get_ca_certs()) == 1


def test_signatures_are_those_of_rfc_8032():
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = SigningKey(secret)  # section 7.1, test 2
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = key.sign(b"\x72")
    assert signature.hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verify(key.public, signature, b"\x72")


@given(message=st.binary(max_size=200), bit=st.integers(0, 64 * 8 - 1), other=st.binary(max_size=70))
def test_a_changed_signature_message_or_key_verifies_nothing(message, bit, other):
    key = SigningKey(bytes(32))
    signature = key.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert verify(key.public, signature, message)
    assert not verify(key.public, bytes(flipped), message)
    assert not verify(key.public, signature, message + b"\0")
    assert not verify(SigningKey.generate().public, signature, message)
    assert not verify(other, signature, message)
    assert not verify(key.public, other, message)


def test_a_signing_key_is_kept_in_pem_as_every_library_reads_it(tmp_path):
    key = SigningKey.generate()
    path = tmp_path / "deep" / "signing.pem"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    theirs = serialization.load_pem_private_key(path.read_bytes(), None)
    assert theirs.public_key().public_bytes_raw() == key.public
    assert SigningKey.load(path).public == key.public
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem.replace(b"\n", b"\r\n"))
    read_by_them = serialization.load_pem_private_key(pem, None).public_key().public_bytes_raw()
    assert SigningKey.load(path).public == read_by_them
    assert "private" not in repr(key)
    assert theirs.private_bytes_raw().hex() not in repr(key)


def test_a_file_that_holds_another_kind_of_key_is_refused_by_name(authority, tmp_path):
    path = tmp_path / "signing.pem"
    SigningKey.generate().save(path)
    good = path.read_bytes()
    exchange = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    bad = [authority.issue("n1").key, exchange, b"", b"\xff" * 100, good[:-30], good * 2]
    bad += [good.replace(b"PRIVATE", b"PUBLIC"), good.replace(b"END PRIVATE", b"END PUBLIC")]
    for data in bad:
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"signing\.pem: holds no Ed25519 private key"):
            SigningKey.load(path)
    path.write_bytes(bytes(1 << 17))
    with pytest.raises(InputError, match="more than"):
        SigningKey.load(path)


@pytest.mark.parametrize(
    ("text", "host", "port", "numeric", "loopback"),
    [
        ("127.0.0.1:7000", "127.0.0.1", 7000, True, True),
        ("127.9.9.9:0", "127.9.9.9", 0, True, True),
        ("[::1]:65535", "::1", 65535, True, True),
        ("localhost:1", "localhost", 1, False, True),
        ("0.0.0.0:1", "0.0.0.0", 1, True, False),
        ("10.0.0.1:1", "10.0.0.1", 1, True, False),
        ("[fe80::1]:1", "fe80::1", 1, True, False),
        ("node-1.example:1", "node-1.example", 1, False, False),
    ],
)
def test_an_address_is_read_as_it_is_written(text, host, port, numeric, loopback):
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)
    assert (address.numeric, address.loopback) == (numeric, loopback)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", ":1", "::1:1", "[::1]", "[127.0.0.1]:1", "a b:1", "h:65536", "h:-1", "h:1x", "h:١"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="is no address"):
        Address.parse(text)
