"""`Extrema`: the smallest and the largest observation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.statistics.arrays import as_array, expand_mask, namespace
from convergence_jax.statistics.faults import Faults, any_fault, no_faults
from convergence_jax.statistics.float_bits import float64_bits, floats, is_nan, order_keys
from convergence_jax.statistics.state import map_arrays, state

Array = Any

_ABOVE_ALL, _BELOW_ALL = np.int64((1 << 63) - 1), np.int64(-(1 << 63))  # keys of NaNs, which are never held


@state
class ExtremaState:
    """Keys of the extrema: integers in the order of the floats.

    Attributes
    ----------
    smallest, largest : Int64[Array, "..."]
        ``2**63 - 1`` and ``-2**63`` where nothing was observed.
    faults : Faults
        Here flags rather than counts, zero or one, because the merge is idempotent.
    """

    smallest: Array
    largest: Array
    faults: Faults


@dataclass(frozen=True)
class ExtremaValue:
    """The extrema, exact float64; NaN where nothing was observed, invalid where a NaN was."""

    minimum: np.ndarray
    maximum: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Extrema:
    """Minimum and maximum of floats, exact: subnormals and infinities included, and ``-0.0`` below ``0.0``.

    The merge is idempotent and forgets what is not extreme, so there is no ``remove``. NaN is a fault.
    """

    def empty(self) -> ExtremaState:
        """Nothing observed."""
        return ExtremaState(np.asarray(_ABOVE_ALL), np.asarray(_BELOW_ALL), no_faults(np))

    def lift(self, x: Any) -> ExtremaState:
        """Each observation as both extrema: ``Float[Array, "..."]``, float32 or float64."""
        bits = float64_bits(as_array(x))
        xp = namespace(bits)
        keys, nan = order_keys(bits), is_nan(bits)
        none = xp.zeros(bits.shape, dtype=xp.int64)
        faults = Faults(nan.astype(xp.int64), none, none)
        return ExtremaState(xp.where(nan, _ABOVE_ALL, keys), xp.where(nan, _BELOW_ALL, keys), faults)

    def collect(self, xs: Array, where: Array | None = None) -> ExtremaState:
        """The state of all observations along the leading axis."""
        lifted, xp = self.lift(xs), namespace(xs)
        if where is not None:
            seen = expand_mask(where, xs.ndim)
            lifted = map_arrays(lambda a, b: xp.where(seen, a, b), lifted, self.empty())
        return ExtremaState(
            xp.min(lifted.smallest, axis=0, initial=_ABOVE_ALL),
            xp.max(lifted.largest, axis=0, initial=_BELOW_ALL),
            map_arrays(lambda flag: xp.max(flag, axis=0, initial=np.int64(0)), lifted.faults),
        )

    def merge(self, a: ExtremaState, b: ExtremaState) -> ExtremaState:
        """The outer of both extrema."""
        xp = namespace(a.smallest, b.smallest)
        return ExtremaState(
            xp.minimum(a.smallest, b.smallest),
            xp.maximum(a.largest, b.largest),
            map_arrays(xp.maximum, a.faults, b.faults),
        )

    def present(self, state: ExtremaState) -> ExtremaValue:
        """The extrema, with no error at all; see :class:`ExtremaValue`."""
        keys = np.asarray(state.smallest), np.asarray(state.largest)
        none = keys[0] > keys[1]
        minimum, maximum = (np.where(none, np.nan, floats(order_keys(k))) for k in keys)
        return ExtremaValue(minimum, maximum, ~any_fault(state.faults))
