"""A high-breakdown start: which units are surely clean, so that anomalies cannot hide one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from convergence_jax.baseline.distance import (
    Baseline,
    Float,
    Int,
    Units,
    fit,
    gaussian_equivalent,
    squared_distances,
)

SUPPORT = 0.75  # of the units carry the first fits
MOST_UNUSUAL = 0.1  # of the units may be left out of the baseline
KEPT_TAIL = 0.005  # a unit stays in the baseline unless a Gaussian one would lie as far out more rarely
_START_UNITS = 20_000
_LARGE = 200_000  # units from which three rounds are enough
_SHARES = np.array([0.5, 0.7, 0.8, 0.9])
_GAUSSIAN_QUANTILES = special.ndtri((1 + _SHARES) / 2)


def scale_of(columns: Float) -> Float:
    """Robust standard deviation of every column; zero only where nine tenths of it are one value.

    The median absolute deviation, or, where more than half of the values are equal, the wider quantiles.
    """
    away = np.abs(columns - np.median(columns, axis=0))
    quantiles = np.quantile(away, _SHARES, axis=0) / _GAUSSIAN_QUANTILES[:, None]
    return np.take_along_axis(quantiles, (quantiles > 0).argmax(0)[None], 0)[0]


def on_lattice(columns: Float) -> NDArray[np.bool_]:
    """Columns in which one value holds more than a tenth of the units: counts, flags, many zeros."""
    n = len(columns)
    ordered = np.sort(columns, axis=0)
    lag = int(MOST_UNUSUAL * n)
    return (ordered[lag:] == ordered[: n - lag]).any(0) if n > 10 else np.zeros(columns.shape[1], bool)


def group_medians(values: Float, group: Int, starts: Int) -> Float:
    """Median of every feature in every group, to a billionth of its scale; units are sorted by group."""
    stops = np.append(starts[1:], len(group))
    low, high = (starts + stops - 1) // 2, (starts + stops) // 2
    result = np.empty((len(starts), values.shape[1]))
    for j, column in enumerate(values.T):
        if len(starts) == 1:
            result[:, j] = np.median(column)
            continue
        # Groups laid side by side on one line, far values cut, so that one sort of floats does.
        middle = np.median(column[:: max(1, len(column) // _START_UNITS)])
        width = (
            100.0 * scale_of(column[:: max(1, len(column) // _START_UNITS), None])[0] or np.ptp(column) or 1.0
        )
        line = np.sort(group + (np.clip((column - middle) / width, -1.0, 1.0) + 1.0) / 2.5)
        result[:, j] = middle + width * (((line[low] + line[high]) / 2 - np.arange(len(starts))) * 2.5 - 1.0)
    return result


def concentrated(values: Float, noise: Float) -> tuple[Float, Float]:
    """Centre and scatter of the tightest three quarters of the units.

    Concentration steps (Rousseeuw and Van Driessen, 1999) from fixed starts in the manner of Hubert,
    Rousseeuw and Verdonck (2012): correlations of bounded scores, of ranks, of signs in space. The scatter
    with the smallest determinant is taken.

    Parameters
    ----------
    values : float64[n, d]
        Units, each feature with robust centre 0 and scale 1.
    noise : float64[n]
        Weight by which a unit's squared distance is divided: one plus its relative noise.
    """
    n, d = values.shape
    keep = min(max(int(np.ceil(SUPPORT * n)), d + 2), n)
    radius = np.maximum(np.sqrt((values**2).mean(1, keepdims=True)), 1e-12)
    ranks = special.ndtri(
        (np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0) + 0.625) / (n + 0.25)
    )
    starts = (np.tanh(values), ranks, values / radius, values * (radius <= np.median(radius)))
    best: tuple[float, Float, Float] | None = None
    for scores in starts:
        centre, scatter = np.zeros(d), _ridged(scores.T @ scores / n)
        scatter = _rescaled(values, scatter)
        chosen = None
        for _ in range(12):
            squared = _squared(values - centre, scatter) / noise
            new = np.sort(np.argpartition(squared, keep - 1)[:keep])
            if chosen is not None and np.array_equal(new, chosen):
                break
            chosen = new
            centre = values[chosen].mean(0)
            scatter = _ridged(np.cov(values[chosen].T, bias=True).reshape(d, d))
        determinant = float(np.linalg.slogdet(scatter)[1])
        if best is None or determinant < best[0] - 1e-9:
            best = determinant, centre, scatter
    assert best is not None
    return best[1], best[2]


def clean_units(units: Units, rounds: int = 4) -> tuple[NDArray[np.bool_], Baseline, Float]:
    """Clean units, the baseline that rests on them, and everyone's Gaussian-equivalent squared distance.

    The start is the tightest three quarters in the metric of all groups' residuals together; then every group
    fits itself, distances are scaled so that their median is that of a Gaussian, and units within the
    Gaussian 99.5% bound, and never fewer than nine tenths of all, join, until nothing changes or the rounds
    are over.
    """
    n, d = units.shape
    medians = group_medians(units.values, units.group, units.starts)
    sizes = np.diff(np.append(units.starts, n))
    small = sizes < d + 2
    if small.any():
        whole = np.median(units.values, axis=0)
        medians[small] = whole
    residuals = units.values - medians[units.group]
    step = max(1, n // _START_UNITS)
    scale = scale_of(residuals[::step])
    residuals = residuals / np.where(scale > 0, scale, np.inf)
    noise = np.ones(n)
    if units.within.any():
        trace = np.einsum("gii->gi", units.within)[units.group] / np.where(scale > 0, scale, np.inf) ** 2
        noise = 1.0 + trace.mean(1) * np.maximum(units.inverse_count - np.median(units.inverse_count), 0.0)
    centre, scatter = concentrated(residuals[::step], noise[::step])
    squared = _squared(residuals - centre, scatter) / noise
    middle = _median_squared(squared, units.group, units.starts, sizes >= 5 * d)
    clean = squared <= middle * (special.chdtri(d, 1 - SUPPORT) / special.chdtri(d, 0.5))
    clean |= (sizes < 3 * (d + 2))[units.group]  # too small to lose a quarter
    if (np.ptp(units.values[clean], axis=0) == 0).any() if clean.any() else True:
        clean[:] = True  # the middle of a lattice is one point; all units are the only start
    for turn in range(rounds if n <= _LARGE else 3):
        baseline = fit(units, clean)
        equivalent = distances(units, clean, baseline)
        decided = baseline.rank[baseline.node[units.group]] > 0
        if not decided.any():
            break
        typical = float(np.median(equivalent[decided]))
        first = turn == 0 and not clean.all()
        tail, share = (1 - SUPPORT, SUPPORT) if first else (KEPT_TAIL, 1 - MOST_UNUSUAL)
        bound = typical / special.chdtri(d, 0.5) * special.chdtri(d, tail)
        new = equivalent <= max(bound, np.quantile(equivalent[decided], share))
        if np.array_equal(new, clean):
            break
        clean = new
    baseline = fit(units, clean)
    return clean, baseline, distances(units, clean, baseline)


def distances(units: Units, clean: NDArray[np.bool_], baseline: Baseline) -> Float:
    """Gaussian-equivalent squared distances of all units."""
    squared, others = squared_distances(units, clean, baseline)
    rank = baseline.rank[baseline.node[units.group]]
    return gaussian_equivalent(squared, others, rank, units.shape[1])


def _median_squared(squared: Float, group: Int, starts: Int, own: NDArray[np.bool_]) -> Float:
    """Median squared distance of the unit's group where it is large, of everyone elsewhere."""
    middle = group_medians(squared[:, None], group, starts)[:, 0]
    return np.where(own, middle, np.median(squared))[group]


def _squared(centred: Float, scatter: Float) -> Float:
    values, vectors = np.linalg.eigh(scatter)
    return ((centred @ (vectors / np.sqrt(np.maximum(values, 1e-300)))) ** 2).sum(1)


def _ridged(scatter: Float) -> Float:
    """Singular directions get a little variance, so that they neither fail nor decide."""
    d = len(scatter)
    return scatter + np.eye(d) * max(1e-9 * np.trace(scatter) / d, 1e-12)


def _rescaled(values: Float, scatter: Float) -> Float:
    """Keep the directions of a start and measure its spreads robustly (Hubert et al., 2012)."""
    _, vectors = np.linalg.eigh(scatter)
    spread = np.maximum(scale_of(values @ vectors), 1e-6)
    return (vectors * spread**2) @ vectors.T
