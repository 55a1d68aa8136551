"""Monotone transforms that make a skewed feature symmetric, chosen from the bulk of the units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_jax.baseline.robust import on_lattice

Float = NDArray[np.float64]

_SHARES = (0.25, 0.2, 0.15)  # of units beyond the quantiles that measure skewness
_LEAST_UNITS = 100
_WRONG_SIGN = 0.02  # share of units on the other side of zero that a plain logarithm may leave to its tangent
_STEEPEST = 3.0  # slope beyond which a transform would stretch a short tail into a long one


@dataclass(frozen=True)
class Transform:
    """One strictly increasing function a feature: the identity, or a shifted logarithm of one side.

    With ``z`` the signed deviation from `centre` (`side` is 1 for a long upper tail, -1 for a long lower one,
    0 for the identity), it is ``reach log(1 + z / reach)`` down to ``z = -cut`` and continues there as its
    tangent, so that it is defined everywhere. Its slope at the centre is one.
    """

    centre: Float
    side: Float
    reach: Float
    cut: Float

    def __call__(self, values: Float) -> Float:
        """Transformed deviations from the centre, in the unit of the feature."""
        z = values - self.centre
        for j in np.flatnonzero(self.side).tolist():
            z[:, j] = self.side[j] * self._bent(self.side[j] * z[:, j], j)
        return z

    def inverse(self, transformed: Float) -> Float:
        """Values that the transform takes to `transformed`."""
        result = np.array(transformed)
        for j in np.flatnonzero(self.side):
            y, reach, cut = self.side[j] * result[:, j], self.reach[j], self.cut[j]
            start = reach * np.log1p(-cut / reach)
            straight = (y - start) * (reach - cut) / reach - cut
            bent = reach * np.expm1(np.clip(y / reach, None, 700.0))
            result[:, j] = self.side[j] * np.where(y < start, straight, bent)
        return result + self.centre

    def slope(self, values: Float) -> Float:
        """Derivative at `values`."""
        z = values - self.centre
        result = np.ones_like(z)
        for j in np.flatnonzero(self.side):
            result[:, j] = self.reach[j] / (self.reach[j] + np.maximum(self.side[j] * z[:, j], -self.cut[j]))
        return result

    def stated(self, features: list[str]) -> dict[str, str]:
        """What each feature went through, in words."""
        result = {}
        for name, side, zero in zip(features, self.side, self.centre - self.side * self.reach, strict=True):
            upper, lower = f"log(value - {zero:.6g})", f"-log({zero:.6g} - value)"
            result[name] = "none" if side == 0 else upper if side > 0 else lower
        return result

    def _bent(self, z: Float, j: int) -> Float:
        reach, cut = self.reach[j], self.cut[j]
        start, slope = reach * np.log1p(-cut / reach), reach / (reach - cut)
        return np.where(z < -cut, start + slope * (z + cut), reach * np.log1p(np.maximum(z, -cut) / reach))


def identity(centre: Float) -> Transform:
    """No transform beyond taking the deviation from `centre`."""
    zero = np.zeros_like(centre)
    return Transform(centre, zero, zero + 1.0, zero)


def choose(values: Float, residual: Callable[[int], Float]) -> Transform:
    """The transform for every feature, from quantiles that no tenth of the units can move far.

    A feature is transformed only if three pairs of quantiles, of the values and of their
    residuals from the medians of their groups, agree that it is skewed by more than chance and if the
    logarithm that makes them symmetric at the median of the three undoes most of it. Positive values whose
    logarithm is near that are given the logarithm itself, negative ones that of their size.

    Parameters
    ----------
    values : float64[n, d]
        Units of the whole population.
    residual : callable
        Gives a feature's values less the median of their finest group, given its index.
    """
    n, d = values.shape
    centre = np.median(values, axis=0) if n else np.zeros(d)
    plain = identity(centre)
    if n < _LEAST_UNITS:
        return plain
    side, reach, cut = plain.side.copy(), plain.reach.copy(), plain.cut.copy()
    needed, lattice = max(0.1, 7.0 / np.sqrt(n)), on_lattice(values)
    for j in range(d):
        column = values[:, j]
        low, high = (
            centre[j] - np.quantile(column, _SHARES),
            np.quantile(column, 1 - np.array(_SHARES)) - centre[j],
        )
        if lattice[j] or min(low.min(), high.min()) <= 0:
            continue
        skew = (high - low) / (high + low)
        if min(abs(skew)) < needed or abs(np.sign(skew).sum()) < 3:
            continue
        inner = _skewness(residual(j))
        if min(abs(inner)) < needed or skew[0] * inner[0] < 0:
            continue
        sign = np.sign(skew[0])
        short, long = (low, high) if sign > 0 else (high, low)
        scale = float(np.median(short * long / (long - short)))
        z = sign * (column - centre[j])
        zero = float(sign * centre[j])
        if (sign * column <= 0).mean() <= _WRONG_SIGN and 0.6 < scale / zero < 1.6:
            scale = zero
        edge = float(min(-np.quantile(z, 0.05), (1.0 - 1.0 / _STEEPEST) * scale))
        trial = Transform(centre[j : j + 1], np.array([sign]), np.array([scale]), np.array([edge]))
        if max(abs(_skewness(trial(column[:, None])[:, 0]))) < 0.5 * min(abs(skew)):
            side[j], reach[j], cut[j] = sign, scale, edge
    return Transform(centre, side, reach, cut)


def _skewness(column: Float) -> Float:
    middle = np.median(column)
    low = middle - np.quantile(column, _SHARES)
    high = np.quantile(column, 1 - np.array(_SHARES)) - middle
    return (high - low) / np.maximum(high + low, 1e-300)
