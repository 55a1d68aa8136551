"""A fixed hash of text to 64 bits, on the host."""

import hashlib
from collections.abc import Iterable

import numpy as np


def hash_text(texts: Iterable[str | bytes]) -> np.ndarray:
    """Hash texts to 64 bits: BLAKE2b (RFC 7693) of the UTF-8 bytes, unkeyed, with a digest of 8 bytes.

    Parameters
    ----------
    texts : iterable of str or bytes
        Bytes are hashed as they are. Text is not normalized: two spellings of one word are two texts.

    Returns
    -------
    UInt64[ndarray, "n"]
        Each digest read as a little-endian integer. The standard fixes every bit, so these numbers never
        change.

    Raises
    ------
    TypeError
        If an element is neither text nor bytes: a number has more than one spelling, so choose one.
    UnicodeEncodeError
        If a text has an unpaired surrogate, which UTF-8 cannot hold.
    """
    return np.frombuffer(b"".join(map(_digest, texts)), dtype="<u8").astype(np.uint64)


def _digest(text: str | bytes) -> bytes:
    if not isinstance(text, str | bytes):
        raise TypeError(f"hash_text: want str or bytes, got {type(text).__name__}: convert it to text first.")
    data = text.encode("utf-8") if isinstance(text, str) else text
    return hashlib.blake2b(data, digest_size=8, usedforsecurity=False).digest()
