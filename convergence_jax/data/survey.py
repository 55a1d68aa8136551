"""`Survey`: the first look at a finite file, which finds the lift of each feature."""

import numpy as np

from convergence_jax.exact.fixed_point import FixedPoint

_EXPONENTS = 2048
_BIAS = 1022
"""A float64 with exponent field `f` is below ``2**(f - 1022)`` and not below half of that."""

_SHARE_LOST = 1e-3


class Survey:
    """How often each binary exponent occurs in each feature: integers, so independent of the order of rows.

    Parameters
    ----------
    features : int
        Number of features.
    """

    def __init__(self, features: int) -> None:
        self.counts = np.zeros((features, _EXPONENTS), dtype=np.int64)

    def add(self, values: np.ndarray) -> None:
        """Take in finite values, ``Float64 (features, rows)``."""
        for counts, column in zip(self.counts, values, strict=True):
            field = (np.ascontiguousarray(column).view(np.int64) >> 52) & (_EXPONENTS - 1)
            # Zeros share their field with subnormals; they have no exponent.
            counts += np.bincount(field, minlength=_EXPONENTS)
            counts[0] -= np.count_nonzero(column == 0.0)

    def lift(self, feature: int) -> FixedPoint:
        """The finest lift that holds every value of a feature.

        Narrow, unless that rounds more than a few of the non-zero values to zero: one in a thousand.
        """
        counts = self.counts[feature]
        occupied = np.flatnonzero(counts)
        largest = int(occupied[-1]) - _BIAS if len(occupied) else 0
        narrow = FixedPoint.covering(largest)
        # Below half a tick for certain; the field above it may hold one tie more.
        lost = counts[: max(0, _BIAS - narrow.scale_bits)].sum()
        if lost > max(3, _SHARE_LOST * counts.sum()):
            return FixedPoint.covering(largest, wide=True)
        return narrow
