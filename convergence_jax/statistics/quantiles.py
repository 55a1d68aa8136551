"""`Quantiles`: any quantile to a stated relative error, from counts in bins cut by the bits of the float."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from convergence_jax.statistics import float_bits
from convergence_jax.statistics.arrays import as_array, expand_mask, namespace, one_hot, tabulate, zero_unless
from convergence_jax.statistics.faults import Faults, any_fault, no_faults, total_faults
from convergence_jax.statistics.state import map_arrays, require_same, state, static

Array = Any


@state
class QuantilesState:
    """``counts : Int64[Array, "... bins"]``, from the most negative bin up, and the NaNs as faults."""

    counts: Array
    faults: Faults
    statistic: "Quantiles" = static()


@dataclass(frozen=True)
class QuantilesValue:
    """Quantiles and the interval that each one is certain to lie in.

    Attributes
    ----------
    probabilities : Float64[ndarray, "q"]
        What was asked for.
    values : Float64[ndarray, "... q"]
        The sample quantile within the declared relative error; NaN where nothing was observed. Zero where it
        is below ``2**low_exponent`` in magnitude, infinite where it is ``2**high_exponent`` or more.
    lower, upper : Float64[ndarray, "... q"]
        ``lower <= quantile <= upper`` for the sample quantile itself.
    count : Int64[ndarray, "..."]
        Observations.
    valid : Bool[ndarray, "..."]
        False where a NaN was observed or more was removed than merged.
    """

    probabilities: np.ndarray
    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    count: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Quantiles:
    """Counts in bins of constant relative width, from which any quantile is read.

    A bin is a sign, an exponent and the first bits of the mantissa, so an observation is placed by shifting
    integers: no logarithm, no rounding, the same bin on every device.

    Parameters
    ----------
    mantissa_bits : int, default 6
        ``2**mantissa_bits`` bins an octave; the relative error is at most ``2**-(mantissa_bits + 1)``.
    low_exponent, high_exponent : int, default -20 and 20
        Magnitudes from ``2**low_exponent`` up to, not including, ``2**high_exponent`` have that error.
        Smaller ones share one bin with zero, larger ones one bin for each sign; all are counted.

    Raises
    ------
    ValueError
        Unless ``-1022 <= low_exponent < high_exponent <= 1024`` and ``0 <= mantissa_bits <= 20``.

    Notes
    -----
    With ``B = (high_exponent - low_exponent) * 2**mantissa_bits`` the state has ``2 * B + 3`` counts: 41 kB
    by default. A log-linear histogram in the manner of HdrHistogram, over the float's own bits; the error
    guarantee is that of DDSketch (Masson, Rim and Lee, 2019).
    """

    mantissa_bits: int = 6
    low_exponent: int = -20
    high_exponent: int = 20

    def __post_init__(self) -> None:
        if not -1022 <= self.low_exponent < self.high_exponent <= 1024:
            raise ValueError(
                "Quantiles: exponents must satisfy -1022 <= low_exponent < high_exponent <= 1024, got "
                f"{self.low_exponent} and {self.high_exponent}."
            )
        if not 0 <= self.mantissa_bits <= 20:
            raise ValueError(f"Quantiles: mantissa_bits must be between 0 and 20, got {self.mantissa_bits}.")

    @property
    def relative_error(self) -> float:
        """Largest relative error of a quantile within the declared magnitudes."""
        return 2.0 ** -(self.mantissa_bits + 1)

    @property
    def _one_sign(self) -> int:
        return (self.high_exponent - self.low_exponent) << self.mantissa_bits

    @property
    def _length(self) -> int:
        return 2 * self._one_sign + 3

    @property
    def _first_code(self) -> int:
        return (self.low_exponent + float_bits.EXPONENT_BIAS) << self.mantissa_bits

    def _index(self, x: Array) -> tuple[Array, Faults]:
        """Position in the table, -1 for NaN."""
        bits = float_bits.float64_bits(x)
        xp = namespace(bits)
        code = (bits & float_bits.MAGNITUDE_MASK) >> np.int64(float_bits.MANTISSA_BITS - self.mantissa_bits)
        rank = xp.clip(code - np.int64(self._first_code - 1), np.int64(0), np.int64(self._one_sign + 1))
        index = np.int64(self._one_sign + 1) + xp.where(bits < 0, -rank, rank)
        nan = float_bits.is_nan(bits)
        none = xp.zeros(bits.shape, dtype=xp.int64)
        return xp.where(nan, np.int64(-1), index), Faults(nan.astype(xp.int64), none, none)

    def empty(self) -> QuantilesState:
        """No observations."""
        return QuantilesState(np.zeros(self._length, dtype=np.int64), no_faults(np), self)

    def lift(self, x: Any) -> QuantilesState:
        """One table for each observation: ``Float[Array, "..."]``, float32 or float64."""
        index, faults = self._index(as_array(x))
        return QuantilesState(one_hot(index, self._length), faults, self)

    def collect(self, xs: Array, where: Array | None = None) -> QuantilesState:
        """The table of all observations along the leading axis, without one table each."""
        index, faults = self._index(xs)
        if where is not None:
            index = namespace(xs).where(expand_mask(where, xs.ndim), index, np.int64(-1))
            faults = map_arrays(lambda n: zero_unless(where, n), faults)
        return QuantilesState(tabulate(index, self._length), total_faults(faults), self)

    def merge(self, a: QuantilesState, b: QuantilesState) -> QuantilesState:
        """Add the counts."""
        require_same(self, a.statistic, b.statistic)
        return map_arrays(lambda x, y: x + y, a, b)

    def remove(self, a: QuantilesState, b: QuantilesState) -> QuantilesState:
        """Subtract the counts."""
        require_same(self, a.statistic, b.statistic)
        return map_arrays(lambda x, y: x - y, a, b)

    def present(
        self, state: QuantilesState, probabilities: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)
    ) -> QuantilesValue:
        """Quantiles within the declared relative error, with their certain intervals.

        The quantile at probability `q` of `n` observations is the one of rank ``max(1, ceil(q * n))``, in
        exact arithmetic; NumPy calls it ``inverted_cdf``.

        Raises
        ------
        ValueError
            If a probability is not between 0 and 1.
        """
        require_same(self, state.statistic)
        if not all(0 <= q <= 1 for q in probabilities):
            raise ValueError(f"Quantiles.present: probabilities must lie in [0, 1], got {probabilities}.")
        counts = np.asarray(state.counts)
        reached = np.cumsum(counts, axis=-1).reshape(-1, counts.shape[-1])
        lower, value, upper = self._table()
        index = np.zeros((len(reached), len(probabilities)), dtype=np.int64)
        for row, steps in enumerate(reached):
            ranks = [max(1, ceil(Fraction(q) * int(steps[-1]))) for q in probabilities]
            index[row] = np.minimum(np.searchsorted(steps, ranks, side="left"), len(value) - 1)
        index = index.reshape(*counts.shape[:-1], len(probabilities))
        count = counts.sum(axis=-1)
        valid = ~any_fault(state.faults) & (counts >= 0).all(axis=-1)
        some = count[..., None] > 0
        return QuantilesValue(
            probabilities=np.array(probabilities, dtype=np.float64),
            values=np.where(some, value[index], np.nan),
            lower=np.where(some, lower[index], np.nan),
            upper=np.where(some, upper[index], np.nan),
            count=count,
            valid=valid,
        )

    def _table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower end, answer and upper end of every bin."""
        codes = np.int64(self._first_code) + np.arange(self._one_sign + 1, dtype=np.int64)
        edges = codes << np.int64(float_bits.MANTISSA_BITS - self.mantissa_bits)
        low, high = (
            float_bits.floats(edges[:-1]),
            float_bits.floats(edges[1:] - 1),
        )  # the largest float in the bin
        middle = float_bits.floats(
            edges[:-1] + (np.int64(1) << np.int64(float_bits.MANTISSA_BITS - self.mantissa_bits - 1))
        )
        smallest = float_bits.floats(edges[:1] - 1)
        largest = float_bits.floats(edges[-1:])
        inf = np.array([np.inf])
        lower = np.concatenate([-inf, -high[::-1], -smallest, low, largest])
        upper = np.concatenate([-largest, -low[::-1], smallest, high, inf])
        value = np.concatenate([-inf, -middle[::-1], np.zeros(1), middle, inf])
        return lower, value, upper
