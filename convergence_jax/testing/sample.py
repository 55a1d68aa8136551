"""`Sample`: observations of one fixed shape with a mask, and the bits of states."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

CAPACITY = 16
"""Observations in every drawn sample, seen or not: one shape, so that nothing compiles twice."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Observations for the laws.

    Attributes
    ----------
    xs : PyTree[ndarray]
        Observations along the leading axis of every leaf; tuples and dictionaries of arrays nest.
    seen : Bool[ndarray, "n"]
        True where an observation counts.
    """

    xs: Any
    seen: np.ndarray
    _lifted: dict[Any, list[Any]] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    _totals: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Observations, seen or not."""
        return len(self.seen)

    def observations(self) -> list[Any]:
        """The observations seen, one by one."""
        return [take(self.xs, i) for i in np.flatnonzero(self.seen)]

    def lifted(self, statistic: Any) -> list[Any]:
        """The state of each observation seen, made once for all laws."""
        if statistic not in self._lifted:
            self._lifted[statistic] = [statistic.lift(x) for x in self.observations()]
        return self._lifted[statistic]

    def total(self, statistic: Any) -> Any:
        """The state of all observations seen, merged one after the other, in order."""
        if statistic not in self._totals:
            merge, empty = statistic.merge, statistic.empty()
            self._totals[statistic] = functools.reduce(merge, self.lifted(statistic), empty)
        return self._totals[statistic]

    def ordered(self, order: np.ndarray) -> "Sample":
        """The same observations in another order."""
        return Sample(take(self.xs, order), self.seen[order])


def take(xs: Any, index: Any) -> Any:
    """Index the leading axis of every leaf."""
    if isinstance(xs, dict):
        return {key: take(value, index) for key, value in xs.items()}
    if isinstance(xs, tuple | list):
        return type(xs)(take(value, index) for value in xs)
    return xs[index]


def arrays(state: Any, path: str = "state") -> Iterator[tuple[str, np.ndarray]]:
    """Every array of a state with the path to it, on the host; what is static counts as no array."""
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        for field in dataclasses.fields(state):
            if not field.metadata.get("static"):
                yield from arrays(getattr(state, field.name), f"{path}.{field.name}")
    elif isinstance(state, dict):
        for key in sorted(state):
            yield from arrays(state[key], f"{path}[{key!r}]")
    elif isinstance(state, tuple | list):
        for i, part in enumerate(state):
            yield from arrays(part, f"{path}[{i}]")
    else:
        yield path, np.asarray(state)


def bits(state: Any) -> bytes:
    """Bytes of a state: equal exactly where path, type, shape and every bit of every array are.

    NumPy and JAX arrays of the same content have the same bytes.
    """
    parts = []
    for path, array in arrays(state):
        little = array.astype(array.dtype.newbyteorder("<"))
        parts.append(f"{path}:{little.dtype.str}:{array.shape}:".encode() + little.tobytes())
    return b"\n".join(parts)
