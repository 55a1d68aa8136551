"""Files and folders whose change survives a loss of power once the call returns."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: what was made, renamed or deleted there.

    Parameters
    ----------
    folder : Path
        An existing folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Parameters
    ----------
    folder : Path
        Absolute.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def put_in_place(finished: Path, path: Path) -> None:
    """Give a finished file its name, in place of any file that has it; a crash leaves one or the other.

    Parameters
    ----------
    finished : Path
        The file with its whole content, in the folder of `path`.
    path : Path
        The name it takes.
    """
    with open(finished, "rb") as content:
        os.fsync(content.fileno())
    os.replace(finished, path)
    sync_folder(path.parent)
