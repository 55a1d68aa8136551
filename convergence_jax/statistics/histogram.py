"""`Histogram`: counts between declared edges."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from convergence_jax.statistics.arrays import as_array, expand_mask, namespace, one_hot, tabulate, zero_unless
from convergence_jax.statistics.faults import Faults, any_fault, no_faults, total_faults
from convergence_jax.statistics.float_bits import MAGNITUDE_MASK, float64_bits, is_nan, order_keys
from convergence_jax.statistics.state import map_arrays, require_same, state, static

Array = Any


@state
class HistogramState:
    """``counts : Int64[Array, "... bins+2"]``, below and above at the ends, and the NaNs as faults."""

    counts: Array
    faults: Faults
    statistic: "Histogram" = static()


@dataclass(frozen=True)
class HistogramValue:
    """What a histogram says; every number is exact.

    Attributes
    ----------
    edges : Float64[ndarray, "bins+1"]
        The declared edges.
    counts : Int64[ndarray, "... bins"]
        Observations with ``edges[i] <= x < edges[i + 1]``.
    below, above : Int64[ndarray, "..."]
        Observations under the first edge, and from the last edge on; infinities included.
    valid : Bool[ndarray, "..."]
        False where a NaN was observed or more was removed than merged.
    """

    edges: np.ndarray
    counts: np.ndarray
    below: np.ndarray
    above: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Histogram:
    """Counts of observations in half-open bins ``[edges[i], edges[i + 1])``.

    Parameters
    ----------
    edges : sequence of float
        Finite and strictly increasing, at least two. Comparison is of the exact values, subnormals included.
        Observations outside are counted below and above.

    Raises
    ------
    ValueError
        If the edges are not finite and strictly increasing.
    """

    edges: Sequence[float]

    def __post_init__(self) -> None:
        edges = tuple(float(edge) + 0.0 for edge in self.edges)  # -0.0 becomes 0.0
        rising = all(a < b for a, b in pairwise(edges))
        if len(edges) < 2 or not rising or not all(map(math.isfinite, edges)):
            raise ValueError("Histogram: edges must be at least two finite numbers, strictly increasing.")
        object.__setattr__(self, "edges", edges)

    @cached_property
    def _keys(self) -> np.ndarray:
        return order_keys(float64_bits(np.array(self.edges)))

    @property
    def _length(self) -> int:
        return len(self.edges) + 1

    def _index(self, x: Array) -> tuple[Array, Faults]:
        """Position in the table, -1 for NaN."""
        bits = float64_bits(x)
        xp = namespace(bits)
        nan = is_nan(bits)
        keys = order_keys(xp.where((bits & MAGNITUDE_MASK) == 0, np.int64(0), bits))  # zeros are one value
        index = xp.searchsorted(xp.asarray(self._keys), keys, side="right").astype(xp.int64)
        none = xp.zeros(bits.shape, dtype=xp.int64)
        return xp.where(nan, np.int64(-1), index), Faults(nan.astype(xp.int64), none, none)

    def empty(self) -> HistogramState:
        """No observations."""
        return HistogramState(np.zeros(self._length, dtype=np.int64), no_faults(np), self)

    def lift(self, x: Any) -> HistogramState:
        """One table for each observation: ``Float[Array, "..."]``, float32 or float64."""
        index, faults = self._index(as_array(x))
        return HistogramState(one_hot(index, self._length), faults, self)

    def collect(self, xs: Array, where: Array | None = None) -> HistogramState:
        """The table of all observations along the leading axis, without one table each."""
        index, faults = self._index(xs)
        if where is not None:
            index = namespace(xs).where(expand_mask(where, xs.ndim), index, np.int64(-1))
            faults = map_arrays(lambda n: zero_unless(where, n), faults)
        return HistogramState(tabulate(index, self._length), total_faults(faults), self)

    def merge(self, a: HistogramState, b: HistogramState) -> HistogramState:
        """Add the counts."""
        require_same(self, a.statistic, b.statistic)
        return map_arrays(lambda x, y: x + y, a, b)

    def remove(self, a: HistogramState, b: HistogramState) -> HistogramState:
        """Subtract the counts."""
        require_same(self, a.statistic, b.statistic)
        return map_arrays(lambda x, y: x - y, a, b)

    def present(self, state: HistogramState) -> HistogramValue:
        """The counts, exact; see :class:`HistogramValue`."""
        require_same(self, state.statistic)
        counts = np.asarray(state.counts)
        valid = ~any_fault(state.faults) & (counts >= 0).all(axis=-1)
        below, above = counts[..., 0], counts[..., -1]
        return HistogramValue(np.array(self.edges), counts[..., 1:-1], below, above, valid)
