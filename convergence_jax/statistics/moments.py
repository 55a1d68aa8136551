"""`Moments`: count, mean, variance and full covariance of several features, exact up to the declared lift."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convergence_jax.exact import digits
from convergence_jax.exact.constants import NARROW_BITS
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.multiply import multiply_ticks
from convergence_jax.statistics.arrays import as_array, namespace
from convergence_jax.statistics.covariance import mean_and_covariance
from convergence_jax.statistics.faults import Faults, count_faults, no_faults
from convergence_jax.statistics.state import map_arrays, require_same, state, static

Array = Any

COUNT_BITS = 32
"""A state is valid for fewer than ``2**32`` observations; below that no digit can have wrapped around."""


@state
class MomentsState:
    """Sums of ticks and of their products.

    Attributes
    ----------
    count : Int64[Array, "..."]
        Observations held, all features together.
    sums : UInt32[Array, "... features 2W"]
        Digits of each feature's sum, in its ticks; ``W`` is 1 for narrow lifts and 2 for wide ones.
    products : UInt32[Array, "... pairs 4W"]
        Digits of the sums of products of every pair of features, upper triangle by rows.
    faults : Faults
        Values not held, ``[..., features]``. An observation with any is not counted.
    statistic : Moments
        Identity: which lifts the ticks are of.
    """

    count: Array
    sums: Array
    products: Array
    faults: Faults
    statistic: "Moments" = static()


@dataclass(frozen=True)
class MomentsValue:
    """What moments say, in the features' own units.

    Attributes
    ----------
    count : Int64[ndarray, "..."]
        Observations.
    mean : Float64[ndarray, "... features"]
        Correctly rounded; NaN where there are no observations.
    covariance : Float64[ndarray, "... features features"]
        With divisor ``n - 1``, every entry correctly rounded; NaN where there are fewer than two.
    valid : Bool[ndarray, "..."]
        False where the count is not between 0 and ``2**32``; everything else is NaN there.
    """

    count: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    valid: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """Diagonal of the covariance, ``Float64[ndarray, "... features"]``, correctly rounded."""
        return np.diagonal(self.covariance, axis1=-2, axis2=-1)

    @property
    def standard_error(self) -> np.ndarray:
        """``sqrt(variance / n)``, ``[..., features]``, within two units in the last place."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(self.variance / self.count[..., None])

    @property
    def correlation(self) -> np.ndarray:
        """Pearson's correlations, ``[..., features, features]``; NaN where a variance is zero or unknown."""
        deviation = np.sqrt(self.variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = self.covariance / deviation[..., :, None] / deviation[..., None, :]
        return np.clip(scaled, -1.0, 1.0)

    def confidence_interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Interval for the mean of normal observations, by Student's t with ``n - 1`` degrees of freedom.

        Parameters
        ----------
        level : float, default 0.95
            Probability that the interval holds the true mean, between 0 and 1.

        Returns
        -------
        lower, upper : Float64[ndarray, "... features"]
            NaN where there are fewer than two observations.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise ValueError(f"confidence_interval: level must be between 0 and 1, got {level}.")
        from scipy.special import stdtrit

        freedom = np.where(self.count > 1, self.count - 1, np.nan)
        half = stdtrit(freedom, (1 + level) / 2)[..., None] * self.standard_error
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Moments:
    """Count, mean, variance and covariance of `d` features: sums of integers, never a running mean.

    Parameters
    ----------
    lifts : tuple[FixedPoint, ...]
        One declared lift per feature. If any is wide (more than 31 bits), products take eight digits.

    Raises
    ------
    ValueError
        If there is no lift.
    """

    lifts: tuple[FixedPoint, ...]

    def __post_init__(self) -> None:
        if not self.lifts:
            raise ValueError("Moments: at least one lift is needed, one per feature, got none.")

    @property
    def features(self) -> int:
        """Number of features."""
        return len(self.lifts)

    @cached_property
    def wide(self) -> bool:
        """Whether any feature has more than 31 bits."""
        return any(lift.bits > NARROW_BITS for lift in self.lifts)

    @property
    def sum_digits(self) -> int:
        """Digits of a sum."""
        return 4 if self.wide else 2

    @property
    def product_digits(self) -> int:
        """Digits of a sum of products."""
        return 8 if self.wide else 4

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """First and second feature of every pair, the upper triangle by rows."""
        return np.triu_indices(self.features)

    def empty(self, shape: tuple[int, ...] = ()) -> MomentsState:
        """No observations, in NumPy; `shape` gives leading axes."""
        d, p = self.features, len(self.pairs[0])
        return MomentsState(
            np.zeros(shape, dtype=np.int64),
            np.zeros((*shape, d, self.sum_digits), dtype=np.uint32),
            np.zeros((*shape, p, self.product_digits), dtype=np.uint32),
            no_faults(np, (*shape, d)),
            self,
        )

    def ticks(self, x: Array) -> tuple[Array, Array, Faults]:
        """Lift observations without making states.

        Parameters
        ----------
        x : Float[Array, "... features"]
            float32 or float64.

        Returns
        -------
        ticks : Int64[Array, "... features"]
            All zero where any feature is not held.
        held : Bool[Array, "..."]
            Whether every feature is.
        faults : Faults
            Zeros and ones, ``[..., features]``.
        """
        if x.shape[-1] != self.features:
            raise ValueError(
                f"Moments: the last axis must be the {self.features} features, got shape {x.shape}."
            )
        xp = namespace(x)
        lifted = [lift.lift(x[..., i]) for i, lift in enumerate(self.lifts)]
        each = xp.stack([held for _, held in lifted], axis=-1)
        held = xp.all(each, axis=-1)
        ticks = xp.where(held[..., None], xp.stack([t for t, _ in lifted], axis=-1), np.int64(0))
        return ticks, held, count_faults(x, each)

    def lift(self, x: Any) -> MomentsState:
        """One state per observation: ``Float[Array, "... features"]`` to leading axes ``...``."""
        x = as_array(x)
        ticks, held, faults = self.ticks(x)
        return self.from_ticks(ticks, held.astype(namespace(x).int64), faults)

    def from_ticks(self, ticks: Array, count: Array, faults: Faults) -> MomentsState:
        """One state per row of ticks, ``Int64[Array, "... features"]``, zero where `count` is."""
        first, second = self.pairs
        products = multiply_ticks(ticks[..., first], ticks[..., second], wide=self.wide)
        return MomentsState(count, digits.from_int64(ticks, self.sum_digits), products, faults, self)

    def merge(self, a: MomentsState, b: MomentsState) -> MomentsState:
        """Add counts, sums, products and faults."""
        require_same(self, a.statistic, b.statistic)
        return map_arrays(lambda x, y: digits.add(x, y) if _is_digits(x) else x + y, a, b)

    def remove(self, a: MomentsState, b: MomentsState) -> MomentsState:
        """Subtract counts, sums, products and faults."""
        require_same(self, a.statistic, b.statistic)
        return map_arrays(lambda x, y: digits.subtract(x, y) if _is_digits(x) else x - y, a, b)

    def total(self, states: MomentsState, axis: int = 0) -> MomentsState:
        """Merge along one leading axis, at most ``2**31`` states."""
        require_same(self, states.statistic)
        axis %= states.count.ndim
        xp = namespace(states.count)
        return map_arrays(lambda x: digits.total(x, axis) if _is_digits(x) else xp.sum(x, axis=axis), states)

    def of_lanes(self, lanes: MomentsState) -> MomentsState:
        """The state whose digits are still lanes, ``Int64``, of any size and sign."""
        return map_arrays(
            lambda x, like: digits.normalize(x) if _is_digits(like) else x, lanes, self.empty((0,))
        )

    def present(self, state: MomentsState) -> MomentsValue:
        """Mean and covariance, each with one rounding; on the host. See :class:`MomentsValue`."""
        require_same(self, state.statistic)
        count = np.asarray(state.count)
        valid = (count >= 0) & (count < 1 << COUNT_BITS)
        flat = map_arrays(lambda x: x.reshape(-1, *x.shape[count.ndim :]), state)
        held = namespace(flat.count).where(valid.reshape(-1), flat.count, np.int64(0))
        scale = tuple(lift.scale_bits for lift in self.lifts)
        mean, covariance = mean_and_covariance(held, flat.sums, flat.products, scale)
        d = self.features
        return MomentsValue(
            count, mean.reshape(*count.shape, d), covariance.reshape(*count.shape, d, d), valid
        )


def _is_digits(x: Array) -> bool:
    return bool(x.dtype == np.uint32)
