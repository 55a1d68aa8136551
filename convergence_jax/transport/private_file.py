"""Small files that are there as a whole or not at all, and keys that only their owner can read."""

import os
import tempfile
from pathlib import Path

from convergence_jax.errors import InputError


def write_whole(path: Path, data: bytes, *, private: bool) -> None:
    """Write a file durably under a hidden name, then rename it; its directory is made if it is missing.

    Parameters
    ----------
    path : Path
        The file; a former one is replaced.
    data : bytes
        All of it.
    private : bool
        Whether only the owner may read it (mode 0600) or everybody (0644).

    Raises
    ------
    InputError
        If the disk refuses; a former file is then as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".convergence-", dir=path.parent)  # made with mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(handle, 0o600 if private else 0o644)
                os.fsync(handle)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error


def read_small(path: Path, limit: int = 1 << 16) -> bytes:
    """Read a file of a known kind, such as a key.

    Parameters
    ----------
    path : Path
        The file.
    limit : int, default 65536
        Most bytes that such a file has.

    Raises
    ------
    InputError
        If it cannot be read or is longer.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if len(data) > limit:
        raise InputError(f"{path}: has more than {limit} bytes; no key or certificate is that long.")
    return data
