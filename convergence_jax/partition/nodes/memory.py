"""What a node remembers beside its journal: the rosters it went by, and whether it has left.

Both must outlive a restart. A node that fell back to an older roster would count on caps that others no
longer keep to, and peers count on nothing to follow from one that has left.
"""

from pathlib import Path

import msgspec

from convergence_jax.errors import InputError
from convergence_jax.partition.rows.roster import SignedRoster
from convergence_jax.partition.writes.durable_files import put_in_place

_ROSTERS, _LEFT = "rosters.json", "left"


def kept_rosters(folder: Path, given: SignedRoster) -> list[SignedRoster]:
    """Rosters to start with, by version: those kept before, and the one given if it is newer.

    Raises
    ------
    InputError
        If the file of those kept is damaged.
    """
    path = folder / _ROSTERS
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=list[SignedRoster])
    except FileNotFoundError:
        return [given]
    except (msgspec.DecodeError, OSError) as error:
        raise InputError(f"{path}: {error}; delete it if the config's roster is the newest.") from None
    newer = given.roster.version > max(signed.roster.version for signed in kept)
    return [*kept, given] if newer else kept


def keep_rosters(folder: Path, rosters: list[SignedRoster]) -> None:
    """Make rosters durable."""
    _write(folder / _ROSTERS, msgspec.json.encode(rosters))


def has_left(folder: Path) -> bool:
    """Whether the node said that nothing follows."""
    return (folder / _LEFT).exists()


def note_leaving(folder: Path) -> None:
    """Remember for good that the node leaves."""
    _write(folder / _LEFT, b"")


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(data)
    put_in_place(draft, path)
