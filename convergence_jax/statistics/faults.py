"""What a lift could not hold, as counts: they merge and are removed like everything else."""

from typing import Any

import numpy as np

from convergence_jax.statistics.state import map_arrays, state

Array = Any


@state
class Faults:
    """Observations that were not held, by kind.

    Attributes
    ----------
    nan, infinite, out_of_range : Int64[Array, "..."]
        One count a kind; modulo ``2**64``, so that removal is exact.
    """

    nan: Array
    infinite: Array
    out_of_range: Array

    def __add__(self, other: "Faults") -> "Faults":
        return map_arrays(lambda a, b: a + b, self, other)

    def __sub__(self, other: "Faults") -> "Faults":
        return map_arrays(lambda a, b: a - b, self, other)


def count_faults(x: Array, held: Array) -> Faults:
    """Classify observations elementwise: values and whether each one is held, to zeros and ones."""
    xp = x.__array_namespace__()
    nan, infinite = xp.isnan(x), xp.isinf(x)
    kinds = (nan, infinite, ~(held | nan | infinite))
    return Faults(*(kind.astype(xp.int64) for kind in kinds))


def no_faults(xp: Any, shape: tuple[int, ...] = ()) -> Faults:
    """No faults, in namespace `xp`."""
    return Faults(*(xp.zeros(shape, dtype=xp.int64) for _ in range(3)))


def total_faults(faults: Faults) -> Faults:
    """Sum of faults along the leading axis."""
    return map_arrays(lambda n: n.sum(axis=0), faults)


def any_fault(faults: Faults) -> np.ndarray:
    """The mask of places with a fault of any kind, on the host."""
    kinds = (faults.nan, faults.infinite, faults.out_of_range)
    return np.any([np.asarray(kind) != 0 for kind in kinds], axis=0)
