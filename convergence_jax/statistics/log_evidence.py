"""`LogEvidence`: sums of log-likelihoods, or of their ratios, that no item can disturb and any can leave."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import FLOAT64, WINDOW, WINDOW_FIRST_DIGIT
from convergence_jax.exact.rounding import round_digits
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.exact.terms import within_window
from convergence_jax.statistics.arrays import as_array, expand_mask, namespace, zero_unless
from convergence_jax.statistics.faults import Faults, any_fault, count_faults, no_faults, total_faults
from convergence_jax.statistics.state import map_arrays, require_same, state, static

Array = Any

_FULL = Superaccumulator(FLOAT64)
_LAST = WINDOW_FIRST_DIGIT + WINDOW.digits


@state
class LogEvidenceState:
    """The sum in two parts, how many items it holds, and those it does not.

    Attributes
    ----------
    window : UInt32[Array, "... 4"]
        Sum of the items that lie in the window, in units of ``2**-82`` modulo ``2**128``.
    outside : UInt32[Array, "... 69"]
        Sum of the others, in units of ``2**-1074``. A table of many states keeps those that are not zero.
    count : Int64[Array, "..."]
        Items held.
    faults : Faults
        Items not held.
    statistic : LogEvidence
        Identity: which range was declared.
    """

    window: Array
    outside: Array
    count: Array
    faults: Faults
    statistic: "LogEvidence" = static()


@dataclass(frozen=True)
class LogEvidenceValue:
    """What a sum of evidence says.

    Attributes
    ----------
    count : Int64[ndarray, "..."]
        Items held.
    total : Float64[ndarray, "..."]
        Their sum, correctly rounded; the log-odds if the items are log-likelihood ratios.
    valid : Bool[ndarray, "..."]
        Whether no item was refused and the count is within the bound below which nothing wraps around.
    """

    count: np.ndarray
    total: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class LogEvidence:
    """Sums of float64 in natural logarithms, without any rounding.

    An item adds to one of two integers, by its value alone: to four digits if it is a multiple of ``2**-82``
    below ``2**14``, as nearly all are, else to a full accumulator. Both are groups, so merging and removing
    are exact; only ``present`` rounds.

    Parameters
    ----------
    range_bits : int, default 30
        Items of ``2**range_bits`` and more in magnitude are out of range: counted, not held. From 1 to 1024.

    Raises
    ------
    ValueError
        If the range is not in its limits.

    Examples
    --------
    >>> import numpy as np
    >>> stat = LogEvidence()
    >>> state = stat.collect(np.array([1000.0, 2.0**-300, -1000.0]))
    >>> float(stat.present(state).total) == 2.0**-300
    True
    """

    range_bits: int = 30

    def __post_init__(self) -> None:
        if not 1 <= self.range_bits <= 1024:
            raise ValueError(f"LogEvidence: range_bits must be from 1 to 1024, got {self.range_bits}.")

    def holds(self, x: Array) -> Array:
        """Whether each item is finite and within the range."""
        xp = x.__array_namespace__()
        if self.range_bits == 1024:
            return xp.isfinite(x)
        return xp.abs(x) < np.float64(2.0**self.range_bits)

    def empty(self, shape: tuple[int, ...] = ()) -> LogEvidenceState:
        """No items; `shape` gives leading axes."""
        return LogEvidenceState(
            np.zeros((*shape, WINDOW.digits), dtype=np.uint32),
            np.zeros((*shape, FLOAT64.digits), dtype=np.uint32),
            np.zeros(shape, dtype=np.int64),
            no_faults(np, shape),
            self,
        )

    def lift(self, x: Any) -> LogEvidenceState:
        """One state per item, float64."""
        x = as_array(x)
        xp = namespace(x)
        held, near, far = self._parts(x)
        window, outside = _FULL.lift(near).digits, _FULL.lift(far).digits
        return LogEvidenceState(_slice(window), outside, held.astype(xp.int64), count_faults(x, held), self)

    def merge(self, a: LogEvidenceState, b: LogEvidenceState) -> LogEvidenceState:
        """The items of both."""
        require_same(self, a.statistic, b.statistic)
        return LogEvidenceState(
            group.add(a.window, b.window),
            group.add(a.outside, b.outside),
            a.count + b.count,
            a.faults + b.faults,
            self,
        )

    def remove(self, a: LogEvidenceState, b: LogEvidenceState) -> LogEvidenceState:
        """Take back what an observer said: the exact inverse of merge."""
        require_same(self, a.statistic, b.statistic)
        return LogEvidenceState(
            group.subtract(a.window, b.window),
            group.subtract(a.outside, b.outside),
            a.count - b.count,
            a.faults - b.faults,
            self,
        )

    def collect(self, xs: Any, where: Array | None = None) -> LogEvidenceState:
        """All items along the leading axis, at most ``2**30``; `where` is a mask over that axis."""
        x = as_array(xs)
        xp = namespace(x)
        held, near, far = self._parts(x)
        counted = held if where is None else held & expand_mask(where, x.ndim)
        faults = map_arrays(lambda kind: zero_unless(where, kind), count_faults(x, held))
        return LogEvidenceState(
            _slice(_FULL.collect(near, where).digits),
            _FULL.collect(far, where).digits,
            counted.astype(xp.int64).sum(axis=0),
            total_faults(faults),
            self,
        )

    def present(self, state: LogEvidenceState) -> LogEvidenceValue:
        """Count and sum, on the host."""
        require_same(self, state.statistic)
        state = map_arrays(np.asarray, state)
        full = group.add(widen(state.window), state.outside)
        within = (state.count >= 0) & (state.count < 1 << WINDOW.count_bits)
        return LogEvidenceValue(
            state.count, round_digits(full, FLOAT64.lsb), within & ~any_fault(state.faults)
        )

    def _parts(self, x: Array) -> tuple[Array, Array, Array]:
        """Held, and the values in the window and outside, of either part with zeros for the other's."""
        if x.dtype != np.float64:
            raise TypeError(f"LogEvidence: items must be float64, got {x.dtype}: convert first.")
        xp = namespace(x)
        held, inside = self.holds(x), within_window(x)
        zero = np.float64(0.0)
        return held, xp.where(held & inside, x, zero), xp.where(held & ~inside, x, zero)


def _slice(digits: Array) -> Array:
    """The window of full digits that hold a multiple of its unit."""
    return digits[..., WINDOW_FIRST_DIGIT:_LAST]


def widen(window: Array) -> Array:
    """Window digits as those of a full accumulator, ``UInt32[Array, "... 4"]`` to ``"... 69"``."""
    xp = namespace(window)
    lead = window.shape[:-1]
    below = xp.zeros((*lead, WINDOW_FIRST_DIGIT), dtype=xp.uint32)
    sign = (window[..., -1:].view(np.int32) >> np.int32(31)).view(np.uint32)
    above = xp.broadcast_to(sign, (*lead, FLOAT64.digits - _LAST))
    return xp.concatenate([below, window, above], axis=-1)
