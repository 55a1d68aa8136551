"""`Count`: how many observations there were."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.statistics.arrays import as_array, expand_mask, namespace
from convergence_jax.statistics.state import map_arrays, state

Array = Any


@state
class CountState:
    """``count : Int64[Array, "..."]``, modulo ``2**64``."""

    count: Array


@dataclass(frozen=True)
class Count:
    """The number of observations, NaN and infinities included: it looks at no value."""

    def empty(self) -> CountState:
        """No observations."""
        return CountState(np.zeros((), dtype=np.int64))

    def lift(self, x: Any) -> CountState:
        """One for each observation of `x`, an array of any type."""
        x = as_array(x)
        xp = namespace(x)
        return CountState(xp.ones(x.shape, dtype=xp.int64))

    def collect(self, xs: Array, where: Array | None = None) -> CountState:
        """The state of all observations along the leading axis."""
        if where is None:
            xp = namespace(xs)
            return CountState(xp.full(xs.shape[1:], xs.shape[0], dtype=xp.int64))
        xp = namespace(xs, where)
        seen = xp.broadcast_to(expand_mask(where, xs.ndim), xs.shape)
        return CountState(xp.sum(seen, axis=0, dtype=xp.int64))

    def merge(self, a: CountState, b: CountState) -> CountState:
        """Add the counts."""
        return map_arrays(lambda x, y: x + y, a, b)

    def remove(self, a: CountState, b: CountState) -> CountState:
        """Subtract the counts."""
        return map_arrays(lambda x, y: x - y, a, b)

    def present(self, state: CountState) -> np.ndarray:
        """The count, exact below ``2**63``; negative where more was removed than merged."""
        return np.asarray(state.count)
