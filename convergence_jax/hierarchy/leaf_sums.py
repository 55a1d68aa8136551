"""Counts and sums of millions of leaves: what means are made of, without the products."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convergence_jax.exact import digits
from convergence_jax.exact.constants import NARROW_BITS
from convergence_jax.hierarchy.segments import round_up
from convergence_jax.statistics.moments import Moments

Array = Any

_LOW = (1 << NARROW_BITS) - 1


@partial(jax.jit, donate_argnums=0)
def add_rows(table: Array, segments: Array, ticks: Array) -> Array:
    """Add rows to a table of sums in place.

    Parameters
    ----------
    table : Int64[Array, "segments 1 + columns"]
        Counts, then sums. Donated.
    segments : Int32[Array, "n"]
        Where each row goes; past the end of the table for rows to leave out.
    ticks : Int64[Array, "columns n"]
        Rows, feature-major.
    """
    ones = jnp.ones((ticks.shape[1], 1), jnp.int64)
    return table.at[segments].add(jnp.concatenate([ones, ticks.T.astype(jnp.int64)], axis=1))


class LeafSums:
    """A growing table of counts and sums, exact in any order of rows and batches.

    Parameters
    ----------
    statistic : Moments
        Its lifts decide narrow or wide.
    capacity : int, default 1024
        Leaves to make room for at first.
    device : jax.Device, optional
        Where the table lives.

    Attributes
    ----------
    leaves : int
        One more than the largest leaf seen.

    Notes
    -----
    A wide tick is kept as two halves of 31 bits, summed apart: sums of ``2**32`` ticks cannot wrap around.
    """

    def __init__(self, statistic: Moments, capacity: int = 1024, *, device: Any = None) -> None:
        self.statistic = statistic
        self._halves = 2 if statistic.wide else 1
        self._device = device
        empty = np.zeros((max(1, capacity), 1 + self._halves * statistic.features), dtype=np.int64)
        self._table = jax.device_put(empty, device)
        self.leaves = 0

    def add(self, ticks: np.ndarray, segments: np.ndarray) -> None:
        """Add a batch.

        Parameters
        ----------
        ticks : Int[ndarray, "features n"]
            Below ``2**31`` in magnitude, or ``2**62`` if the statistic is wide.
        segments : Int[ndarray, "n"]
            Leaf of each row; the table grows to hold the largest. A negative one leaves its row out.
        """
        n = len(segments)
        if ticks.shape != (self.statistic.features, n):
            raise ValueError(
                f"LeafSums.add: ticks must be ({self.statistic.features}, {n}), got {ticks.shape}."
            )
        if not n:
            return
        self.leaves = max(self.leaves, int(segments.max()) + 1)
        if self.leaves > len(self._table):
            capacity = max(2 * len(self._table), round_up(self.leaves))
            self._table = jnp.pad(self._table, ((0, capacity - len(self._table)), (0, 0)))
        if self._halves == 2:
            wide = ticks.astype(np.int64)
            ticks = np.concatenate([wide >> NARROW_BITS, wide & _LOW])
        nowhere = np.int64(len(self._table))
        where = np.where(segments < 0, nowhere, segments).astype(np.int32)
        missing = round_up(n) - n
        if missing:
            ticks = np.pad(ticks, ((0, 0), (0, missing)))
            where = np.pad(where, (0, missing), constant_values=nowhere)
        self._table = add_rows(self._table, *jax.device_put((where, ticks), self._device))

    def state(self, leaves: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Counts ``Int64[leaves]`` and digits of the sums ``UInt32[leaves, features, 2W]``, on the host."""
        leaves = self.leaves if leaves is None else leaves
        table = np.zeros((leaves, self._table.shape[1]), dtype=np.int64)
        known = np.asarray(self._table[: min(leaves, len(self._table))])
        table[: len(known)] = known
        return table[:, 0].copy(), sum_digits(table[:, 1:], self.statistic)


def sum_digits(sums: np.ndarray, statistic: Moments) -> np.ndarray:
    """Digits of sums, from one word each or from two halves each."""
    d = statistic.features
    if not statistic.wide:
        return np.ascontiguousarray(sums).view(np.uint32).reshape(-1, d, 2)
    high, low = sums[:, :d], sums[:, d:]
    carried = (high << NARROW_BITS) + low  # modulo 2**64
    # high * 2**31 + low = high_part * 2**64 + carried, with the carry of the sum in the high part
    unsigned_carry = (low.view(np.uint64) > carried.view(np.uint64)).astype(np.int64)
    top = (high >> (64 - NARROW_BITS)) + (low >> 63) + unsigned_carry
    return np.stack([carried, top], axis=-1).view(np.uint32).reshape(-1, d, 4)


def sums_by_segment(
    statistic: Moments, ticks: np.ndarray, segments: np.ndarray, num_segments: int
) -> tuple[np.ndarray, np.ndarray]:
    """Counts and sums of every segment.

    Parameters
    ----------
    statistic : Moments
        Its lifts decide narrow or wide.
    ticks : Int[ndarray, "features n"]
        Feature-major.
    segments : Int[ndarray, "n"]
        In any order; negative for rows to leave out.
    num_segments : int
        Number of segments.

    Returns
    -------
    count : Int64[ndarray, "segments"]
    sums : UInt32[ndarray, "segments features 2W"]
        As in :class:`~convergence_jax.statistics.moments.MomentsState`.
    """
    table = LeafSums(statistic, num_segments)
    table.add(ticks, segments)
    return table.state(num_segments)


def mean_ticks(count: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Means in the ticks of their sums: one rounding, ties to even, on the host.

    Parameters
    ----------
    count : Int64[ndarray, "n"]
        Between 0 and ``2**32``.
    sums : UInt32[ndarray, "n features L"]
        Digits of the sums.

    Returns
    -------
    Int64[ndarray, "n features"]
        Zero where the count is zero.

    Notes
    -----
    Schoolbook division of the magnitude by one digit: remainders stay below ``2**32``, so each step is a
    division of one 64-bit word. Ties to even and the sign commute.
    """
    n = np.maximum(count, 1).astype(np.uint64)[:, None]
    negative = (sums[..., -1] >> 31).astype(bool)
    if sums.shape[-1] == 2:
        word = np.ascontiguousarray(sums).view(np.int64)[..., 0]
        quotient, remainder = np.divmod(np.where(negative, -word, word).view(np.uint64), n)
    else:
        magnitude = np.where(negative[..., None], digits.subtract(np.zeros_like(sums), sums), sums)
        quotient, remainder = np.zeros(negative.shape, np.uint64), np.zeros(negative.shape, np.uint64)
        for k in range(sums.shape[-1] - 1, -1, -1):
            part = (remainder << np.uint64(32)) | magnitude[..., k].astype(np.uint64)
            digit, remainder = np.divmod(part, n)
            quotient = (quotient << np.uint64(32)) | digit  # the mean of ticks fits one word
    twice = remainder << np.uint64(1)
    up = (twice > n) | ((twice == n) & ((quotient & np.uint64(1)) == 1))
    rounded = (quotient + up.astype(np.uint64)).view(np.int64)
    return np.where(negative, -rounded, rounded)
