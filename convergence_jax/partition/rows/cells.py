"""`Cells`: the content of a row, which knows what changed since a version and hashes only that.

A cell is a key and the bytes of a state; one without bytes does not exist. Keys are spread by their hash over
4,096 buckets. The digest is SHA-256 over the buckets that hold something, each of which is SHA-256 over its
cells by key, so a change costs one bucket, whatever the number of cells.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_BUCKETS = 1 << 12


@dataclass(frozen=True)
class Patch:
    """Cells as they would be after a change, before it is made.

    Attributes
    ----------
    changes : dict of str to bytes
        Cells that differ from what is there; empty bytes delete one.
    digest : bytes
        Of all cells after the change.
    """

    changes: dict[str, bytes]
    digest: bytes
    hashes: dict[int, bytes]


class Cells:
    """Keys and bytes, with the version at which each one last changed."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[str, bytes]] = {}
        self._hashes: dict[int, bytes] = {}
        self._changed: dict[str, int] = {}  # oldest change first, deleted cells too
        self._digest = _root({})

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def __iter__(self) -> Iterator[str]:
        for bucket in self._buckets.values():
            yield from bucket

    def get(self, key: str) -> bytes:
        """Bytes of a cell, empty where there is none."""
        return self._buckets.get(_bucket(key), {}).get(key, b"")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content, 32 bytes: the same for the same cells whatever their history."""
        return self._digest

    def since(self, version: int) -> dict[str, bytes]:
        """Every cell that changed after a version, with what it holds now; all of them since version 0."""
        found = {}
        for key in reversed(self._changed):
            if self._changed[key] <= version:
                break
            found[key] = self.get(key)
        if version == 0:
            return {key: data for key, data in found.items() if data}
        return found

    def patch(self, changes: Mapping[str, bytes], *, whole: bool = False) -> Patch:
        """What the cells would be with some of them changed; with `whole`, with no others left."""
        if whole:
            changes = {**dict.fromkeys(self, b""), **changes}
        real = {key: data for key, data in changes.items() if self.get(key) != data}
        touched: dict[int, dict[str, bytes]] = {}
        for key, data in real.items():
            index = _bucket(key)
            bucket = touched.setdefault(index, dict(self._buckets.get(index, {})))
            bucket.pop(key, None)
            if data:
                bucket[key] = data
        hashes = {index: _hash(bucket) for index, bucket in touched.items()}
        kept = {index: value for index, value in {**self._hashes, **hashes}.items() if value}
        return Patch(real, _root(kept) if real else self._digest, hashes)

    def apply(self, patch: Patch, version: int) -> None:
        """Make a change that :meth:`patch` looked at, as of a version; nothing may come between the two."""
        for key, data in patch.changes.items():
            index = _bucket(key)
            bucket = self._buckets.setdefault(index, {})
            bucket.pop(key, None)
            if data:
                bucket[key] = data
            elif not bucket:
                del self._buckets[index]
            self._changed.pop(key, None)
            self._changed[key] = version
        for index, value in patch.hashes.items():
            self._hashes.pop(index, None)
            if value:
                self._hashes[index] = value
        self._digest = patch.digest


def _bucket(key: str) -> int:
    hashed = hashlib.blake2b(key.encode(), digest_size=2).digest()
    return int.from_bytes(hashed, "little") % _BUCKETS


def _hash(bucket: dict[str, bytes]) -> bytes:
    if not bucket:
        return b""
    sha = hashlib.sha256()
    for key in sorted(bucket):
        name, data = key.encode(), bucket[key]
        sha.update(struct.pack("<II", len(name), len(data)) + name + data)
    return sha.digest()


def _root(hashes: dict[int, bytes]) -> bytes:
    parts = [struct.pack("<H", index) + hashes[index] for index in sorted(hashes)]
    return hashlib.sha256(b"".join(parts)).digest()
