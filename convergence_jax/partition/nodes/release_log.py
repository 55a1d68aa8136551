"""`ReleaseLog`: when a node's row took in what, for tests that compare answers with the truth afterwards."""

import os
from pathlib import Path

import msgspec
import numpy as np

from convergence_jax.exact import digits
from convergence_jax.partition.rows.content import read_state
from convergence_jax.partition.rows.roster import MomentsSchema, Roster


class Release(msgspec.Struct, frozen=True, array_like=True):
    """The own row's content from an instant on.

    Attributes
    ----------
    instant : int
        Nanoseconds of the clock that all nodes of a machine share.
    statistic : str
    count : int
    sums : list of int
        Of each feature, in ticks.
    """

    instant: int
    statistic: str
    count: int
    sums: list[int]


class ReleaseLog:
    """A file of JSON lines that survives the process, whatever becomes of it."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, roster: Roster, cells: dict[str, bytes], instant: int) -> None:
        """Write down the moments that a step changed."""
        for name, data in cells.items():
            schema = roster.schemas.get(name)
            if isinstance(schema, MomentsSchema):
                state = read_state(roster, name, data) if data else schema.statistic.empty()
                sums = [int(v) for v in digits.to_ints(np.asarray(state.sums))]
                release = Release(instant, name, int(state.count), sums)
                os.write(self._handle, msgspec.json.encode(release) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def read_releases(path: Path) -> list[Release]:
    """What a node logged; a last line that is not whole is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=Release) for line in lines if line]
