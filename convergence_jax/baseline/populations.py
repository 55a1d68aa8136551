"""Several populations in one group: clusters that a valley of density keeps apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage

from convergence_jax.baseline.robust import on_lattice, scale_of

Float = NDArray[np.float64]
Int = NDArray[np.int64]

SMALLEST_SHARE = 0.1  # of the units; what is smaller may be anomalies that agree
MOST = 12
_LEAST_UNITS = 200
_SAMPLE = 700
_ROUNDS = 12
_VALLEY = 0.4  # largest density between two populations, over that at the lower of their medians
_APART = 2.0  # least distance of their medians, over the sum of their spreads


def populations(values: Float) -> Int:
    """Code of the population of every unit; all zero if no valley parts them.

    Ward's tree of a sample, cut where it has most branches of a tenth of the units and more, starts
    a classification by Gaussian likelihood in which each population has its own trimmed covariance. Two
    populations are merged unless, along the direction that parts them best, the density between their medians
    falls well below that at either. A skewed or heavy-tailed population has no such valley and stays whole.

    Parameters
    ----------
    values : float64[n, d]
        Units of one group.
    """
    n, d = values.shape
    if n < max(_LEAST_UNITS, 20 * d):
        return np.zeros(n, np.int64)
    every = -(-n // _SAMPLE)
    part = values[:: max(1, every // 8)]
    scale = np.where(on_lattice(part), 0.0, scale_of(part))  # every point of a lattice is a peak
    if not scale.any():
        return np.zeros(n, np.int64)
    standard = ((values - np.median(part, axis=0)) / np.where(scale > 0, scale, 1.0))[:, scale > 0]
    sample = standard[::every]
    codes = _branches(np.clip(sample, -10, 10))
    models = _models(sample, codes)
    for _ in range(_ROUNDS):
        if len(models) < 2:
            return np.zeros(n, np.int64)
        codes = _nearest(sample, models)
        merged = _merged(sample, codes)
        models = _models(sample, merged)
        if np.array_equal(merged, codes) and np.array_equal(_nearest(sample, models), codes):
            break
    if len(models) < 2:
        return np.zeros(n, np.int64)
    # Whoever lies between two belongs to the one that it is less unusual in.
    sharp = _models(standard, _nearest(standard, models), ridge=1e-3)
    if not sharp:
        return np.zeros(n, np.int64)
    return _nearest(standard, [(centre, whitening, 0.0) for centre, whitening, _ in sharp])


def _branches(sample: Float) -> Int:
    """Cut of Ward's tree with the most branches that are large enough; the rest goes to code -1."""
    n = len(sample)
    tree = linkage(sample, "ward")
    children, sizes = tree[:, :2].astype(np.int64), np.concatenate([np.ones(n), tree[:, 3]])
    roots, least = [2 * n - 2], SMALLEST_SHARE * n
    best: list[int] = []
    for _ in range(4 * MOST):  # the merges are in order of height, so the latest is undone first
        last = max(roots)
        if last < n:
            break
        roots.remove(last)
        roots.extend(int(child) for child in children[last - n])
        large = [root for root in roots if sizes[root] >= least]
        if max(len(best), 1) < len(large) <= MOST:
            best = large
    codes = np.full(n, -1, np.int64)
    for code, root in enumerate(best):
        stack = [root]
        while stack:
            node = stack.pop()
            if node < n:
                codes[node] = code
            else:
                stack.extend(int(child) for child in children[node - n])
    return codes


def _models(sample: Float, codes: Int, ridge: float = 0.02) -> list[tuple[Float, Float, float]]:
    """Median, whitening matrix and offset of the log-density of every large population."""
    n, d = sample.shape
    models = []
    for code in range(int(codes.max()) + 1):
        members = sample[codes == code]
        if len(members) < max(SMALLEST_SHARE * n, d + 2):
            continue
        centre, spread = _core(members)
        spread = spread + np.eye(d) * (ridge * np.trace(spread) / d + 1e-6)
        values, vectors = np.linalg.eigh(spread)
        models.append((centre, vectors / np.sqrt(values), float(np.log(values).sum())))
    return models


def _core(members: Float) -> tuple[Float, Float]:
    """Mean and covariance of the nine tenths nearest to the centre, in their own metric."""
    n, d = members.shape
    centre, whitening = np.median(members, axis=0), np.eye(d)
    for _ in range(3):
        away = (((members - centre) @ whitening) ** 2).sum(1)
        inner = members[np.argsort(away, kind="stable")[: min(max(int(0.9 * n), d + 2), n)]]
        centre, spread = inner.mean(0), np.cov(inner.T).reshape(d, d)
        values, vectors = np.linalg.eigh(spread + np.eye(d) * (1e-3 * np.trace(spread) / d + 1e-9))
        whitening = vectors / np.sqrt(values)
    return centre, spread


def _nearest(values: Float, models: list[tuple[Float, Float, float]]) -> Int:
    """Population of largest Gaussian likelihood."""
    cost = [(((values - centre) @ whitening) ** 2).sum(1) + offset for centre, whitening, offset in models]
    return np.argmin(cost, axis=0).astype(np.int64)


def _merged(sample: Float, codes: Int) -> Int:
    """Merge the pair with the least valley between, until all pairs have one."""
    known: dict[tuple[int, int], float] = {}
    while True:
        present = np.unique(codes).tolist()
        pairs = [(a, b) for i, a in enumerate(present) for b in present[i + 1 :]]
        for a, b in pairs:
            if (a, b) not in known:
                known[a, b] = _valley(sample[codes == a], sample[codes == b])
        pair = max(pairs, key=lambda pair: known[pair], default=None)
        if pair is None or known[pair] <= _VALLEY:
            return np.unique(codes, return_inverse=True)[1].reshape(-1).astype(np.int64)
        codes = np.where(codes == pair[1], pair[0], codes)
        known = {
            names: depth for names, depth in known.items() if pair[0] not in names and pair[1] not in names
        }


def _valley(first: Float, second: Float) -> float:
    """Least density between the medians over the lesser density at them; infinite if they are not apart."""
    d = first.shape[1]
    if min(len(first), len(second)) < d + 2:
        return np.inf
    (one, spread), (other, spread_other) = _core(first), _core(second)
    within = (spread + spread_other) / 2
    within = within + np.eye(d) * (1e-3 * np.trace(within) / d + 1e-9)
    direction = np.linalg.solve(within, other - one)
    a, b = first @ direction, second @ direction
    low, high = float(np.median(a)), float(np.median(b))
    if high - low <= _APART * (scale_of(a[:, None])[0] + scale_of(b[:, None])[0]):
        return np.inf
    both = np.sort(np.concatenate([a, b]))
    at = np.linspace(low, high, 25)
    half = (high - low) / 16
    density = np.searchsorted(both, at + half) - np.searchsorted(both, at - half)
    return float(density.min() / max(min(density[0], density[-1]), 1))
