"""Distance of every unit from its group without itself, for all groups of a level at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Float = NDArray[np.float64]
Int = NDArray[np.int64]

RANK_TOLERANCE = 1e-9  # a direction whose share of the correlation is below this is a constant
_CHUNK = 1 << 15


@dataclass(frozen=True)
class Units:
    """Units of one level sorted by group, with the tree above their groups.

    Parameters
    ----------
    values : float64[n, d]
        One row a unit.
    inverse_count : float64[n]
        One over its number of observations.
    group : int64[n]
        Group from 0 to ``G - 1``, ascending.
    starts : int64[G]
        First unit of each group.
    ancestors : tuple of int64[G]
        For each group its ancestor one level up, two levels up, ... to the whole population.
    within, within_freedom : float64[G, d, d], int64[G]
        Covariance of observations within units, and its degrees of freedom.
    """

    values: Float
    inverse_count: Float
    group: Int
    starts: Int
    ancestors: tuple[Int, ...]
    within: Float
    within_freedom: Int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of units and of features."""
        return self.values.shape[0], self.values.shape[1]


@dataclass(frozen=True)
class Baseline:
    """Centre and covariances of every node: the groups of the level, then their ancestors.

    ``node`` names, for each group, the finest node that holds enough units. In a node's `basis` the
    covariance of the units' means is the identity and that of the noise is the diagonal `noise`.
    """

    node: Int
    size: Float
    centre: Float
    covariance: Float
    within: Float
    mean_inverse_count: Float
    basis: Float
    noise: Float
    rank: Int


def fit(units: Units, clean: NDArray[np.bool_]) -> Baseline:
    """Moments of the clean units of every group, small groups falling back to an ancestor.

    A group serves as its own baseline when at least ``d + 2`` of its units are clean; otherwise the units of
    this level under its nearest ancestor that has as many serve.

    Parameters
    ----------
    units : Units
        What to fit.
    clean : bool[n]
        The units to fit it to.
    """
    d = units.shape[1]
    size, total, products, inverse = _group_sums(units, clean)
    freedom = units.within_freedom.astype(float)
    within = units.within * freedom[:, None, None]
    groups = len(size)
    node, tables = np.arange(groups), [(size, total, products, inverse, within, freedom)]
    lacking, offset = size < d + 2, groups
    for ancestor in units.ancestors:
        if not lacking.any():
            break
        table = tuple(_rolled_up(part, ancestor) for part in tables[0])
        node = np.where(lacking, offset + ancestor, node)
        tables.append(table)  # type: ignore[arg-type]
        lacking &= table[0][ancestor] < d + 2
        offset += len(table[0])
    size, total, products, inverse, within, freedom = (
        np.concatenate(parts) for parts in zip(*tables, strict=True)
    )
    some = np.maximum(size, 1.0)
    centre = total / some[:, None]
    covariance = products - some[:, None, None] * centre[:, :, None] * centre[:, None, :]
    covariance /= np.maximum(size - 1.0, 1.0)[:, None, None]
    within = within / np.maximum(freedom, 1.0)[:, None, None]
    basis, noise, rank = _bases(covariance, within)
    rank[size < d + 2] = 0
    return Baseline(node, size, centre, covariance, within, inverse / some, basis, noise, rank)


def nowhere(features: int) -> Baseline:
    """One node that holds no units: rank zero, every distance zero."""
    d, none = features, np.zeros(1)
    square, line = np.zeros((1, d, d)), np.zeros((1, d))
    nodes = np.zeros(1, np.int64)
    return Baseline(nodes, none, line, square, square, none, square, line, nodes)


def squared_distances(units: Units, clean: NDArray[np.bool_], baseline: Baseline) -> tuple[Float, Float]:
    """Squared distance of every unit from its baseline without itself.

    For unit ``i`` with ``n_i`` observations and a baseline of ``m`` other units it is
    ``(x - c)' M^-1 (x - c)`` with ``M = B + W / n_i + S / m``: covariance between agents (what is
    left of the units' covariance ``S`` after their noise, projected to positive semidefinite), its own noise,
    and the uncertainty of the centre. A clean unit is taken out of ``c`` and ``S`` first, by a rank-one
    downdate.

    Returns
    -------
    squared : float64[n]
        Zero where the baseline has rank zero.
    others : float64[n]
        Number of units that the unit was compared with.
    """
    node = baseline.node[units.group]
    size = baseline.size[node]
    inside = clean.astype(float)
    others = size - inside
    projected = _projected(units, baseline)
    # Without itself S becomes spread I - downdate projected projected', and c moves away by shift.
    m = np.maximum(size, 3.0)
    spread = np.where(clean, (m - 1) / (m - 2), 1.0)
    shift = np.where(clean, m / (m - 1), 1.0)
    downdate = np.where(clean, m / ((m - 1) * (m - 2)), 0.0)
    inverse = (m * baseline.mean_inverse_count[node] - inside * units.inverse_count) / np.maximum(
        m - inside, 1.0
    )
    uncertainty = 1.0 / np.maximum(others, 1.0)
    noise = baseline.noise[node]
    if noise.any():
        between = np.maximum(spread[:, None] - noise * inverse[:, None], 0.0)
        variance = between + noise * units.inverse_count[:, None] + (spread * uncertainty)[:, None]
    else:
        variance = np.broadcast_to((spread * (1.0 + uncertainty))[:, None], projected.shape)
    plain = (projected**2 / variance).sum(1)
    left = np.maximum(1.0 - downdate * (1.0 + uncertainty) * plain, 1e-3)
    return shift**2 * plain / left, others


def gaussian_equivalent(squared: Float, others: Float, rank: Int, features: int) -> Float:
    """Turn distances in an estimated covariance into those that a known covariance would give.

    For Gaussian units a distance from ``m`` others in ``r`` directions is Hotelling's,
    ``(m - 1) r / (m - r) F(r, m - r)``; the result has the same tail probability under chi-squared with
    `features` degrees of freedom, so units with baselines of different sizes can share one reference.
    """
    result = np.zeros_like(squared)
    freedom = np.maximum(others - 1.0, 1.0)
    for r in np.unique(rank[rank > 0]):
        here = rank == r
        large = here & (others >= 40.0 * r)
        # Box's approximation of Hotelling's law, in whole tails good where the baseline is large.
        result[large] = (freedom[large] - r / 2) * np.log1p(squared[large] / freedom[large])
        if r != features:
            result[large] = _same_tail(result[large], int(r), features)
        for m in np.unique(others[here & ~large]):
            some = here & (others == m)
            scaled = squared[some] * (m - r) / ((m - 1) * r)
            knots = np.concatenate([[0.0], np.geomspace(1e-4, 1e6, 300)]) if some.sum() > 400 else None
            at = scaled if knots is None else knots
            value = _chi_squared_with_tail(special.fdtrc(r, max(m - r, 1.0), at), at, int(r), m, features)
            result[some] = value if knots is None else np.interp(np.minimum(scaled, 1e6), knots, value)
    return result


def _chi_squared_with_tail(tail: Float, scaled: Float, r: int, m: float, features: int) -> Float:
    """Chi-squared with the given tail; where the tail underflows, its logarithm's leading term decides."""
    tiny = tail < 1e-280
    value = special.chdtri(features, np.maximum(tail, 1e-280))
    return np.where(tiny, value + m * np.log1p(scaled), value) if tiny.any() else value


def _same_tail(squared: Float, r: int, features: int) -> Float:
    tail = stats.chi2.sf(squared, r)
    exact = special.chdtri(features, np.maximum(tail, 1e-280))
    return np.where(tail < 1e-280, exact + squared, exact)


def _group_sums(units: Units, clean: NDArray[np.bool_]) -> tuple[Float, Float, Float, Float]:
    n, d = units.shape
    weight = clean.astype(float)
    starts, groups = units.starts, len(units.starts)

    filled = np.append(starts[1:], n) > starts

    def sums(rows: Float) -> Float:
        result = np.zeros((groups, *rows.shape[1:]))
        if filled.any():  # reduceat would give an empty segment its first neighbour
            result[filled] = np.add.reduceat(rows, starts[filled], axis=0)
        return result

    kept = units.values * weight[:, None]
    if groups * 256 < n:
        stops = np.append(starts[1:], n)
        products = np.stack([kept[a:b].T @ units.values[a:b] for a, b in zip(starts, stops, strict=True)])
        products = (products + products.transpose(0, 2, 1)) / 2
    else:
        products = np.empty((groups, d, d))
        columns = np.ascontiguousarray(kept.T)
        for i in range(d):
            for j in range(i, d):
                products[:, i, j] = products[:, j, i] = sums(columns[i] * columns[j])
    return sums(weight), sums(kept), products, sums(weight * units.inverse_count)


def _rolled_up(table: Float, ancestor: Int) -> Float:
    flat = table.reshape(len(table), -1)
    groups = int(ancestor.max()) + 1
    rolled = np.stack([np.bincount(ancestor, column, groups) for column in flat.T], 1)
    return np.asarray(rolled.reshape(groups, *table.shape[1:]), float)


def _bases(covariance: Float, within: Float) -> tuple[Float, Float, Int]:
    """Directions in which the units' covariance is the identity and the noise diagonal."""
    scale = np.sqrt(np.maximum(np.einsum("gii->gi", covariance), 0.0))
    scale = np.where(scale > 1e-12, 1.0 / np.maximum(scale, 1e-12), 0.0)
    values, vectors = np.linalg.eigh(covariance * scale[:, :, None] * scale[:, None, :])
    kept = values > RANK_TOLERANCE * covariance.shape[1]
    root = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    basis = scale[:, :, None] * vectors * root[:, None, :]
    rank = kept.sum(1).astype(np.int64)
    noise = np.zeros_like(values)
    if within.any():
        noise, turn = np.linalg.eigh(np.swapaxes(basis, 1, 2) @ within @ basis)
        basis, noise = basis @ turn, np.maximum(noise, 0.0)
    return basis, noise, rank


def _projected(units: Units, baseline: Baseline) -> Float:
    """Every unit minus its centre, in the basis of its node."""
    n, _ = units.shape
    result = np.empty_like(units.values)
    if len(units.starts) * 256 < n:
        stops = np.append(units.starts[1:], n)
        for node, a, b in zip(baseline.node, units.starts, stops, strict=True):
            result[a:b] = (units.values[a:b] - baseline.centre[node]) @ baseline.basis[node]
        return result
    for a in range(0, n, _CHUNK):
        node = baseline.node[units.group[a : a + _CHUNK]]
        centred = units.values[a : a + _CHUNK] - baseline.centre[node]
        result[a : a + _CHUNK] = np.einsum("nd,nde->ne", centred, baseline.basis[node])
    return result
