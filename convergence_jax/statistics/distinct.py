"""`Distinct`: how many different things were observed, in a few kilobytes."""

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np

from convergence_jax.statistics.arrays import as_array, expand_mask, namespace, tabulate_maximum
from convergence_jax.statistics.state import require_same, state, static

Array = Any

_HASH_BITS = 64


@state
class DistinctState:
    """``registers : UInt8[Array, "... 2**index_bits"]``, the longest run of zeros seen by each, plus one."""

    registers: Array
    statistic: "Distinct" = static()


@dataclass(frozen=True)
class DistinctValue:
    """An estimate of how many different things were observed.

    Attributes
    ----------
    estimate : Float64[ndarray, "..."]
        Nearly unbiased, from zero to beyond ``2**60``; infinite where every register is full.
    standard_error : Float64[ndarray, "..."]
        Of the estimate, in the same unit: ``estimate * relative_error``. An upper figure where the estimate
        is small against the number of registers.
    """

    estimate: np.ndarray
    standard_error: np.ndarray


@dataclass(frozen=True)
class Distinct:
    """Approximate count of distinct observations (HyperLogLog) of 64-bit hashes.

    The merge is a maximum: idempotent, so there is no ``remove``, and what was seen twice counts once.

    Parameters
    ----------
    index_bits : int, default 12
        ``2**index_bits`` registers of one byte. The relative standard error is
        ``1.04 / 2**(index_bits / 2)``, 1.6% by default.

    Raises
    ------
    ValueError
        Unless ``4 <= index_bits <= 18``.

    Notes
    -----
    Flajolet, Fusy, Gandouet and Meunier (2007), with the estimator of Ertl (2017, "New cardinality estimation
    algorithms for HyperLogLog sketches", algorithm 6), which needs no tables of corrections. Text becomes a
    hash on the host by :func:`~convergence_jax.statistics.hashing.hash_text`; other hashes are as good where
    all their bits are, but states of different hashes must not meet.
    """

    index_bits: int = 12

    def __post_init__(self) -> None:
        if not 4 <= self.index_bits <= 18:
            raise ValueError(f"Distinct: index_bits must be between 4 and 18, got {self.index_bits}.")

    @property
    def relative_error(self) -> float:
        """Standard error of the estimate over the estimate."""
        return sqrt(3 * log(2) - 1) / sqrt(self._length)

    @property
    def _length(self) -> int:
        return 1 << self.index_bits

    def _split(self, x: Array) -> tuple[Array, Array]:
        """Register of each hash, and one plus the number of leading zeros of the bits that are left."""
        if x.dtype != np.uint64:
            raise TypeError(f"Distinct.lift: want hashes as uint64, got {x.dtype}: see hash_text.")
        xp = namespace(x)
        register = (x >> np.uint64(_HASH_BITS - self.index_bits)).astype(xp.int64)
        # A one after the last bit ends the run.
        rest = (x << np.uint64(self.index_bits)) | np.uint64(1 << (self.index_bits - 1))
        return register, (_leading_zeros(rest) + np.uint8(1)).astype(xp.uint8)

    def empty(self) -> DistinctState:
        """Nothing observed."""
        return DistinctState(np.zeros(self._length, dtype=np.uint8), self)

    def lift(self, x: Any) -> DistinctState:
        """One state for each hash: ``UInt64[Array, "..."]``."""
        register, run = self._split(as_array(x))
        xp = namespace(register)
        here = register[..., None] == np.arange(self._length, dtype=np.int64)
        return DistinctState(xp.where(here, run[..., None], np.uint8(0)), self)

    def collect(self, xs: Array, where: Array | None = None) -> DistinctState:
        """The state of all hashes along the leading axis, without one state each."""
        register, run = self._split(xs)
        if where is not None:
            register = namespace(xs).where(expand_mask(where, xs.ndim), register, np.int64(-1))
        return DistinctState(tabulate_maximum(register, run, self._length), self)

    def merge(self, a: DistinctState, b: DistinctState) -> DistinctState:
        """The larger of both registers, everywhere."""
        require_same(self, a.statistic, b.statistic)
        xp = namespace(a.registers, b.registers)
        return DistinctState(xp.maximum(a.registers, b.registers), self)

    def present(self, state: DistinctState) -> DistinctValue:
        """The estimate, with a relative standard error of ``1.04 / sqrt(2**index_bits)``."""
        require_same(self, state.statistic)
        registers = np.asarray(state.registers)
        flat = registers.reshape(-1, self._length)
        estimate = np.array([self._estimate(row) for row in flat]).reshape(registers.shape[:-1])
        return DistinctValue(estimate, estimate * self.relative_error)

    def _estimate(self, registers: np.ndarray) -> float:
        longest = _HASH_BITS - self.index_bits
        seen = np.bincount(registers, minlength=longest + 2) / self._length
        z = _tau(1.0 - float(seen[longest + 1]))
        for run in range(longest, 0, -1):
            z = 0.5 * (z + float(seen[run]))
        z += _sigma(float(seen[0]))
        return self._length / (2 * log(2) * z) if z > 0 else float("inf")


def _leading_zeros(x: Array) -> Array:
    """Leading zeros of 64-bit integers that are not zero, by halving; ``uint8``."""
    xp = namespace(x)
    zeros = xp.zeros(x.shape, dtype=xp.uint8)
    for width in (32, 16, 8, 4, 2, 1):
        empty = (x >> np.uint64(_HASH_BITS - width)) == 0
        zeros = zeros + xp.where(empty, np.uint8(width), np.uint8(0))
        x = xp.where(empty, x << np.uint64(width), x)
    return zeros


def _sigma(x: float) -> float:
    """``x + sum of x**(2**k) * 2**(k - 1)``, the correction for registers still empty; infinite at one."""
    if x == 1.0:
        return float("inf")
    power, total, before = 1.0, x, -1.0
    while total != before:
        x, before = x * x, total
        total += x * power
        power += power
    return total


def _tau(x: float) -> float:
    """The correction for registers that are full."""
    if x in (0.0, 1.0):
        return 0.0
    power, total, before = 1.0, 1.0 - x, -1.0
    while total != before:
        x, before, power = sqrt(x), total, power / 2
        total -= (1.0 - x) ** 2 * power
    return total / 3.0
