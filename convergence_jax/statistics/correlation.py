"""`Correlation`: Pearson's correlation of two variables, from exact sums."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convergence_jax.exact import digits
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.multiply import multiply_ticks
from convergence_jax.statistics.arrays import as_array, namespace, zero_unless
from convergence_jax.statistics.faults import Faults, any_fault, count_faults, no_faults, total_faults
from convergence_jax.statistics.roots import root_ratio
from convergence_jax.statistics.state import map_arrays, require_same, state, static

Array = Any


@state
class CorrelationState:
    """Sums over pairs, in ticks.

    Attributes
    ----------
    count : Int64[Array, "..."]
        Pairs held.
    sums : UInt32[Array, "... 2 L"]
        Digits of the sums of `x` and of `y`.
    products : UInt32[Array, "... 3 P"]
        Digits of the sums of ``x * x``, ``x * y`` and ``y * y``.
    faults : Faults
        Values not held, ``(..., 2)``; a pair with one of them is not counted.
    """

    count: Array
    sums: Array
    products: Array
    faults: Faults
    statistic: "Correlation" = static()


@dataclass(frozen=True)
class CorrelationValue:
    """Pearson's correlation.

    Attributes
    ----------
    count : Int64[ndarray, "..."]
        Pairs held.
    correlation : Float64[ndarray, "..."]
        Of the lifted values, correctly rounded; NaN where a variable is constant or fewer than two pairs are
        held.
    valid : Bool[ndarray, "..."]
        True where every pair was held.
    """

    count: np.ndarray
    correlation: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Correlation:
    """Sums of two variables, of their squares and of their product; exact up to the declared lifts.

    Parameters
    ----------
    x, y : FixedPoint
        The lift of each variable. The correlation depends on the scales only through their rounding.
    """

    x: FixedPoint = field(default_factory=FixedPoint)
    y: FixedPoint = field(default_factory=FixedPoint)

    @property
    def _wide(self) -> bool:
        return self.x.wide or self.y.wide

    @property
    def _lengths(self) -> tuple[int, int]:
        """Digits of a sum and of a sum of products: neither wraps around before the count does."""
        return (4, 8) if self._wide else (3, 4)

    def _lift(self, pair: Any) -> tuple[Array, Array, Array, Faults]:
        """Ticks of both, digits of their products, whether the pair is held, and the faults."""
        x, y = as_array(pair[0]), as_array(pair[1])
        xp = namespace(x, y)
        (a, a_held), (b, b_held) = self.x.lift(x), self.y.lift(y)
        faults = map_arrays(lambda *f: xp.stack(f, axis=-1), count_faults(x, a_held), count_faults(y, b_held))
        held = a_held & b_held
        a, b = zero_unless(held, a), zero_unless(held, b)
        products = [multiply_ticks(*both, wide=self._wide) for both in ((a, a), (a, b), (b, b))]
        return xp.stack([a, b], axis=-1), xp.stack(products, axis=-2), held, faults

    def empty(self) -> CorrelationState:
        """No pairs."""
        return CorrelationState(
            np.zeros((), dtype=np.int64),
            np.zeros((2, self._lengths[0]), dtype=np.uint32),
            np.zeros((3, self._lengths[1]), dtype=np.uint32),
            no_faults(np, (2,)),
            self,
        )

    def lift(self, x: Any) -> CorrelationState:
        """Round pairs to ticks: two arrays ``Float[Array, "..."]``, float32 or float64."""
        ticks, products, held, faults = self._lift(x)
        count = held.astype(namespace(held).int64)
        return CorrelationState(count, digits.from_int64(ticks, self._lengths[0]), products, faults, self)

    def collect(self, xs: Any, where: Array | None = None) -> CorrelationState:
        """The state of all pairs along the leading axis, at most ``2**31`` of them."""
        lifted = self.lift(xs)
        return CorrelationState(
            zero_unless(where, lifted.count).sum(axis=0),
            digits.total(zero_unless(where, lifted.sums)),
            digits.total(zero_unless(where, lifted.products)),
            total_faults(map_arrays(lambda n: zero_unless(where, n), lifted.faults)),
            self,
        )

    def merge(self, a: CorrelationState, b: CorrelationState) -> CorrelationState:
        """Add counts, sums, products and faults."""
        require_same(self, a.statistic, b.statistic)
        return CorrelationState(
            a.count + b.count,
            digits.add(a.sums, b.sums),
            digits.add(a.products, b.products),
            a.faults + b.faults,
            self,
        )

    def remove(self, a: CorrelationState, b: CorrelationState) -> CorrelationState:
        """Subtract counts, sums, products and faults."""
        require_same(self, a.statistic, b.statistic)
        return CorrelationState(
            a.count - b.count,
            digits.subtract(a.sums, b.sums),
            digits.subtract(a.products, b.products),
            a.faults - b.faults,
            self,
        )

    def present(self, state: CorrelationState) -> CorrelationValue:
        """Pearson's correlation of the lifted pairs, correctly rounded; see :class:`CorrelationValue`."""
        require_same(self, state.statistic)
        count = np.asarray(state.count)
        sums, products = digits.to_ints(state.sums), digits.to_ints(state.products)
        n = count.astype(object)
        x, y = sums[..., 0], sums[..., 1]
        covariance = np.asarray(n * products[..., 1] - x * y, dtype=object)  # times n**2, which cancels
        spread = np.asarray((n * products[..., 0] - x * x) * (n * products[..., 2] - y * y), dtype=object)
        pairs = zip(covariance.ravel(), spread.ravel(), strict=True)
        value = np.array([root_ratio(int(c), int(s)) for c, s in pairs]).reshape(count.shape)
        valid = ~any_fault(state.faults).any(axis=-1) & (count >= 0)
        return CorrelationValue(count, value, valid)
