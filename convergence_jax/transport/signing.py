"""`SigningKey`: the Ed25519 key of a node, with which it signs rows and datagrams."""

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from convergence_jax.errors import InputError
from convergence_jax.transport.private_file import read_small, write_whole

PUBLIC_BYTES = 32
"""Length of a public key."""

SIGNATURE_BYTES = 64
"""Length of a signature."""

_BEGIN, _END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
"""What PKCS #8 puts before the 32 bytes of an Ed25519 key (RFC 8410, section 7)."""


class SigningKey:
    """A private Ed25519 key.

    Parameters
    ----------
    secret : bytes
        The key's 32 bytes (RFC 8032). Use :meth:`generate` to make a new one.

    Notes
    -----
    PEM of this one kind of key is so short that reading it here spares a node the 3 MB of a reader of all
    kinds.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public: bytes = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key from the system's random source."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message."""
        return self._key.sign(message)

    def save(self, path: str | Path) -> None:
        """Write the key as PEM (PKCS #8) that only its owner can read.

        Raises
        ------
        InputError
            If the disk refuses.
        """
        body = base64.b64encode(_PREFIX + self._key.private_bytes_raw()).decode()
        write_whole(Path(path), f"{_BEGIN}\n{body}\n{_END}\n".encode(), private=True)

    @classmethod
    def load(cls, path: str | Path) -> "SigningKey":
        """Read a key from PEM.

        Raises
        ------
        InputError
            If the file cannot be read or holds no Ed25519 key.
        """
        lines = read_small(Path(path)).decode("ascii", "replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        try:
            body = base64.b64decode("".join(lines[1:-1]), validate=True)
        except binascii.Error:
            body = b""
        framed = len(lines) > 2 and lines[0] == _BEGIN and lines[-1] == _END
        if not (framed and body.startswith(_PREFIX) and len(body) == len(_PREFIX) + 32):
            raise InputError(f"{path}: holds no Ed25519 private key in PEM; make a new one.")
        return cls(body[len(_PREFIX) :])


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature of a message was made with the private key that belongs to a public one.

    Parameters
    ----------
    public : bytes
        32 bytes. Anything else verifies nothing.
    signature : bytes
        64 bytes. Anything else is no signature.
    message : bytes
        What was signed.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
