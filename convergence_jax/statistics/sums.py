"""`Sum`: a sum that rounds once per observation and never again."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convergence_jax.exact import digits
from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.rounding import round_ratio
from convergence_jax.statistics.arrays import as_array, namespace, zero_unless
from convergence_jax.statistics.faults import Faults, any_fault, count_faults, no_faults, total_faults
from convergence_jax.statistics.state import map_arrays, require_same, state, static

Array = Any


@state
class SumState:
    """The sum in ticks, how many observations it holds, and those it does not.

    Attributes
    ----------
    ticks : UInt32[Array, "... L"]
        Digits of the sum, in units of the lift.
    count : Int64[Array, "..."]
        Observations held.
    faults : Faults
        Observations not held.
    statistic : Sum
        Identity: which lift the ticks are of.
    """

    ticks: Array
    count: Array
    faults: Faults
    statistic: "Sum" = static()


@dataclass(frozen=True)
class SumValue:
    """What a sum says.

    Attributes
    ----------
    count : Int64[ndarray, "..."]
        Observations held.
    total : Float64[ndarray, "..."]
        Sum of the lifted observations held, correctly rounded to nearest-even.
    mean : Float64[ndarray, "..."]
        Their mean, correctly rounded; NaN where there are none.
    error_bound : Float64[ndarray, "..."]
        The total, before its one rounding, is no further than this from the exact sum of the observations
        held: ``count`` times half a tick.
    valid : Bool[ndarray, "..."]
        True where every observation was held.
    """

    count: np.ndarray
    total: np.ndarray
    mean: np.ndarray
    error_bound: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Sum:
    """A sum of fixed-point observations: exact, in any order and over any tree, up to the declared lift.

    Parameters
    ----------
    scale_bits, range_bits : int
        A :class:`~convergence_jax.exact.fixed_point.FixedPoint` lift: ``2**scale_bits`` ticks a unit, and
        values of ``2**range_bits`` units and more are counted as faults.

    Notes
    -----
    The digits have at least 63 bits above the largest observation, so the sum cannot wrap around before the
    count does.
    """

    scale_bits: int = 20
    range_bits: int = 11

    def __post_init__(self) -> None:
        _ = self.fixed_point  # refuses a lift that cannot be

    @cached_property
    def fixed_point(self) -> FixedPoint:
        """The lift of one observation."""
        return FixedPoint(self.scale_bits, self.range_bits)

    @property
    def _length(self) -> int:
        return 4 if self.fixed_point.wide else 3

    def empty(self) -> SumState:
        """No observations."""
        zero = np.zeros((), dtype=np.int64)
        return SumState(np.zeros(self._length, dtype=np.uint32), zero, no_faults(np), self)

    def lift(self, x: Any) -> SumState:
        """Round each observation to ticks: ``Float[Array, "..."]``, float32 or float64."""
        x = as_array(x)
        ticks, held = self.fixed_point.lift(x)
        count = held.astype(namespace(x).int64)
        return SumState(digits.from_int64(ticks, self._length), count, count_faults(x, held), self)

    def collect(self, xs: Array, where: Array | None = None) -> SumState:
        """The state of all observations along the leading axis, at most ``2**31`` of them."""
        xp = namespace(xs)
        ticks, held = self.fixed_point.lift(xs)
        faults = count_faults(xs, held)
        ticks, held = zero_unless(where, ticks), zero_unless(where, held)
        faults = map_arrays(lambda n: zero_unless(where, n), faults)
        low, high = xp.sum(ticks & DIGIT_MASK, axis=0), xp.sum(ticks >> DIGIT_BITS, axis=0)
        lanes = xp.stack([low, high] + [xp.zeros_like(low)] * (self._length - 2), axis=-1)
        count = xp.sum(held, axis=0, dtype=xp.int64)
        return SumState(digits.normalize(lanes), count, total_faults(faults), self)

    def merge(self, a: SumState, b: SumState) -> SumState:
        """Add ticks, counts and faults."""
        require_same(self, a.statistic, b.statistic)
        return SumState(digits.add(a.ticks, b.ticks), a.count + b.count, a.faults + b.faults, self)

    def remove(self, a: SumState, b: SumState) -> SumState:
        """Subtract ticks, counts and faults."""
        require_same(self, a.statistic, b.statistic)
        return SumState(digits.subtract(a.ticks, b.ticks), a.count - b.count, a.faults - b.faults, self)

    def present(self, state: SumState) -> SumValue:
        """The sum and mean of the observations held, each correctly rounded; see :class:`SumValue`."""
        require_same(self, state.statistic)
        count = np.asarray(state.count)
        total = round_ratio(state.ticks, 1, -self.scale_bits)
        mean = round_ratio(state.ticks, count, -self.scale_bits)
        error_bound = count * np.float64(self.fixed_point.tick / 2)
        return SumValue(count, total, mean, error_bound, ~any_fault(state.faults) & (count >= 0))
