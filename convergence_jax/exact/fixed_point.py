"""`FixedPoint`: how a float becomes an integer, declared, with one rounding."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.exact.constants import NARROW_BITS, SCALE_LIMIT, WIDE_BITS

Array = Any


@dataclass(frozen=True)
class FixedPoint:
    """A declared lift of reals to integers: ``ticks = round(x * 2**scale_bits)``, ties to even.

    Two states merge only under the same lift: it belongs to the identity of the state.

    Parameters
    ----------
    scale_bits : int
        ``2**scale_bits`` ticks make one unit; may be negative. At most 1000 in magnitude.
    range_bits : int
        Values whose ticks reach ``2**(scale_bits + range_bits)``, that is ``|x|`` of about ``2**range_bits``
        units, are out of range: counted, not stored.

    Raises
    ------
    ValueError
        If ``scale_bits + range_bits`` is not between 1 and 62, or the scale is beyond its limit.

    Notes
    -----
    The error of one lift is at most half a tick, ``2**-(scale_bits + 1)`` units. Up to 31 bits together is
    the *narrow* form, in which a product of two ticks fits one 64-bit word; up to 62 the *wide* form.
    """

    scale_bits: int = 20
    range_bits: int = 11

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= WIDE_BITS:
            raise ValueError(
                f"FixedPoint: scale_bits + range_bits must be between 1 and {WIDE_BITS}, got "
                f"{self.scale_bits} + {self.range_bits}: lower one of them."
            )
        if abs(self.scale_bits) > SCALE_LIMIT:
            raise ValueError(
                f"FixedPoint: scale_bits must be at most {SCALE_LIMIT} in magnitude, got {self.scale_bits}."
            )

    @property
    def bits(self) -> int:
        """Ticks are below ``2**bits`` in magnitude."""
        return self.scale_bits + self.range_bits

    @property
    def wide(self) -> bool:
        """Whether a product of two ticks needs more than one 64-bit word."""
        return self.bits > NARROW_BITS

    @property
    def tick(self) -> float:
        """Size of one tick, in units; a power of two, exact."""
        return 2.0**-self.scale_bits

    @classmethod
    def covering(cls, exponent: int, *, wide: bool = False) -> "FixedPoint":
        """A fine lift that holds every ``|x| < 2**exponent``, rounding included.

        Parameters
        ----------
        exponent : int
            Strict bound on the magnitude, as a power of two; :func:`largest_exponent` finds it.
        wide : bool
            Take the wide form.
        """
        bits = WIDE_BITS if wide else NARROW_BITS
        # One bit of room: a value just below the bound may round up to it.
        scale = max(-SCALE_LIMIT, min(SCALE_LIMIT, bits - 1 - exponent))
        return cls(scale_bits=scale, range_bits=bits - scale)

    def lift(self, x: Array) -> tuple[Array, Array]:
        """Ticks of observations, and whether each one is held.

        Parameters
        ----------
        x : Float[Array, "..."]
            float32 or float64, any value.

        Returns
        -------
        ticks : Int64[Array, "..."]
            Zero where the value is not held.
        held : Bool[Array, "..."]
            False for NaN, infinities and values out of range.

        Notes
        -----
        Scaling by a power of two is exact where the product is a normal float64, so the one rounding is
        `round`. A subnormal product, rounded or flushed, is below half a tick either way: that is why the
        scale has a limit.
        """
        xp = x.__array_namespace__()
        with np.errstate(over="ignore", invalid="ignore"):  # what no tick can hold is out of range
            scaled = widen(x) * np.float64(2.0**self.scale_bits)
        rounded = xp.round(scaled)
        held = xp.abs(rounded) < np.float64(2.0**self.bits)
        return xp.where(held, rounded, 0.0).astype(xp.int64), held


def widen(x: Array) -> Array:
    """The float64 that equals each value, also where the backend flushes subnormals of float32.

    Parameters
    ----------
    x : Float[Array, "..."]
        float32, whose subnormals are normal float64 and survive; or float64, returned as it is.

    Returns
    -------
    Float64[Array, "..."]
    """
    xp = x.__array_namespace__()
    if x.dtype != np.float32:
        return x.astype(xp.float64)
    bits = x.view(np.int32)
    mantissa = (bits & np.int32(0x7FFFFF)).astype(xp.float64) * np.float64(2.0**-149)
    small = xp.where(bits < np.int32(0), -mantissa, mantissa)
    return xp.where((bits & np.int32(0x7F800000)) == np.int32(0), small, x.astype(xp.float64))


def largest_exponent(x: Array) -> int | None:
    """Smallest integer `e` with ``|v| < 2**e`` for every finite `v` of `x`, from the bits, on the host.

    Returns None where no finite value differs from zero. The largest of several parts is the same for any
    order and any split of the data.
    """
    bits = np.asarray(x, dtype=np.float64).view(np.int64) & np.int64((1 << 63) - 1)
    bits = bits[(bits < np.int64(0x7FF << 52)) & (bits > 0)]
    if bits.size == 0:
        return None
    return int(np.frexp(np.array(bits.max()).view(np.float64))[1])
