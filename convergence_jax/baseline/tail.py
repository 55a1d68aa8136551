"""How often a healthy unit lies this far out: heavy-tailed laws fitted to the bulk, at an upper limit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.interpolate import PchipInterpolator

Float = NDArray[np.float64]

CENSORED = 0.1  # the share of units of which only the number, not the distance, is used
HEAVINESS = (1e-4, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0)
LOG_GRID = np.linspace(np.log(1e-5), np.log(1e12), 1200)
_BINS = 60
_BODY = 1 << 14  # cells of the grid on which independent squares are convolved


@dataclass(frozen=True)
class Bins:
    """Counts of squared distances between edges, and how many lie beyond the last edge."""

    log_edges: Float
    counts: Float
    beyond: float


@dataclass(frozen=True)
class Tail:
    """A fitted reference law of squared distances.

    Parameters
    ----------
    family : str
        Name of the family.
    heaviness, heaviness_plus, heaviness_limit : float
        One over the degrees of freedom: estimate, one standard error above, upper confidence limit.
    log_scale : float
        Logarithm of the scale, at the limit.
    log_tail : float[1200]
        Logarithm of the probability beyond ``exp(LOG_GRID)`` at scale one, at the limit.
    log_likelihood : float
        At the estimate.
    """

    family: str
    heaviness: float
    heaviness_plus: float
    heaviness_limit: float
    log_scale: float
    log_tail: Float
    log_likelihood: float

    def beyond(self, squared: Float) -> Float:
        """Probability that a healthy unit's squared distance exceeds each of `squared`."""
        with np.errstate(divide="ignore"):
            at = np.log(squared) - self.log_scale
        return np.exp(np.interp(at, LOG_GRID, self.log_tail))


def binned(squared: Float, censored: float = CENSORED) -> Bins:
    """Counts in about sixty bins of equal content, the largest distances in one; ties never part."""
    values = np.sort(squared)
    n = len(values)
    keep = n - int(np.floor(n * censored))
    cuts = np.unique(np.linspace(0, keep, min(_BINS, max(keep // 3, 1)) + 1)[1:].astype(np.int64))
    # An edge lies half-way between two neighbours that differ; equal neighbours move it up to where they do.
    cuts = np.unique(np.searchsorted(values, values[np.minimum(cuts, n) - 1], side="right"))
    cuts = cuts[cuts < n] if censored > 0 and (cuts < n).any() else cuts
    above = values[np.minimum(cuts, n - 1)]
    edges = np.where(cuts < n, (values[cuts - 1] + above) / 2, values[-1] * 1.0001 + 1e-12)
    good = edges > 0
    edges, cuts = edges[good], cuts[good]
    return Bins(
        np.log(edges), np.diff(cuts, prepend=0).astype(float), float(n - cuts[-1] if len(cuts) else n)
    )


def fit_tail(bins: Bins, family: str, features: int, z: float) -> Tail:
    """Fit scale and heaviness by censored maximum likelihood; take heaviness at its upper limit.

    Parameters
    ----------
    bins : Bins
        The distances.
    family : {"elliptical", "independent"}
        ``elliptical``: a multivariate Student law, so that distances follow a scaled F(d, nu).
        ``independent``: a sum of squares of `features` independent Student variables, up to rotation.
    features : int
        Directions in the distance.
    z : float
        The upper limit is where twice the profile log-likelihood has fallen by ``z**2``.
    """
    law = elliptical if family == "elliptical" else independent
    profile = np.empty(len(HEAVINESS))
    for k, heaviness in enumerate(HEAVINESS):
        profile[k], _ = best_scale(bins, law(features, heaviness))
    curve = PchipInterpolator(HEAVINESS, profile)
    fine = np.linspace(HEAVINESS[0], HEAVINESS[-1], 2001)
    values = curve(fine)
    fallen = 2 * (values.max() - values)
    estimate = float(fine[np.argmax(values)])
    plus, limit = (float(fine[np.flatnonzero(fallen <= step * step)[-1]]) for step in (1.0, z))
    table = law(features, round(limit, 4))
    _, log_scale = best_scale(bins, table)
    return Tail(family, estimate, plus, limit, log_scale, table, float(values.max()))


def likeliest(bins: Bins, features: int) -> tuple[float, float]:
    """Heaviness of largest likelihood, tried from the lightest upwards, and its logarithm of scale."""
    best, chosen, falling = -np.inf, (HEAVINESS[0], 0.0), 0
    for heaviness in HEAVINESS:
        likelihood, log_scale = best_scale(bins, elliptical(features, heaviness))
        falling = falling + 1 if likelihood <= best else 0
        if likelihood > best:
            best, chosen = likelihood, (heaviness, log_scale)
        if falling == 3:
            break
    return chosen


def fitted(family: str, heaviness: float, log_scale: float, log_tail: Float) -> Tail:
    """A law whose parameters were found elsewhere; it is never the likeliest."""
    return Tail(family, heaviness, heaviness, heaviness, log_scale, log_tail, -np.inf)


def best_scale(bins: Bins, log_tail: Float) -> tuple[float, float]:
    """Largest log-likelihood over scale and share of unusual units, and the logarithm of that scale."""
    if not len(bins.log_edges):
        return 0.0, 0.0
    cdf = -np.expm1(log_tail)
    middle = bins.log_edges[len(bins.log_edges) // 2] - np.interp(0.5, cdf, LOG_GRID)
    total = bins.counts.sum()
    # Of the units beyond the last bin some may follow no law at all.
    healthy = 1.0 - np.linspace(0.0, bins.beyond / max(total + bins.beyond, 1.0), 11)
    best, steps = float(middle), 12
    for step in (0.1, 0.1, 0.02):  # the second pass follows a best that lay on the edge of the first
        scales = best + step * np.arange(-steps, steps + 1)
        below = np.interp(bins.log_edges[None, :] - scales[:, None], LOG_GRID, cdf)
        share = np.diff(below, prepend=0.0, axis=1)
        inner = np.log(np.maximum(share, 1e-300)) @ bins.counts
        outer = np.log(np.maximum(1.0 - healthy * below[:, -1:], 1e-300)) * bins.beyond
        likelihood = inner + (outer + total * np.log(healthy)).max(1)
        at = int(np.argmax(likelihood))
        best = float(scales[at])
        if step == 0.1 and 0 < at < 2 * steps:
            steps = 6
    if 0 < at < len(scales) - 1:  # the top of the parabola through the best three
        left, top, right = likelihood[at - 1 : at + 2]
        bend = left - 2 * top + right
        move = 0.5 * (left - right) / bend if bend < 0 else 0.0
        return float(top - 0.25 * (left - right) * move), best + step * float(move)
    return float(likelihood[at]), best


@lru_cache(maxsize=512)
def elliptical(features: int, heaviness: float) -> Float:
    """Logarithm of the tail of ``d F(d, nu)`` on the grid."""
    nu = 1.0 / max(heaviness, 1e-4)
    tail = special.fdtrc(features, nu, np.exp(LOG_GRID) / features)
    return _extended(np.log(np.maximum(tail, 1e-300)), nu)


@lru_cache(maxsize=512)
def independent(features: int, heaviness: float) -> Float:
    """Logarithm of the tail of the sum of `features` squares of independent Student variables."""
    return sum_of_squares((heaviness,) * features)


def sum_of_squares(heaviness: tuple[float, ...], widths: tuple[float, ...] | None = None) -> Float:
    """Logarithm of the tail of a sum of squares of independent Student variables, each with its own law.

    Cells of a linear grid are convolved for the body; beyond it one large square carries the sum, so the tail
    is that of the squares, moved by the typical rest and joined to the body.
    """
    d = len(heaviness)
    laws = list(zip(heaviness, widths or (1.0,) * d, strict=True))
    top = 80.0 * d
    edges = np.linspace(0.0, top, _BODY + 1)
    transform = np.ones(_BODY + 1, complex)
    for law in sorted(set(laws)):
        mass = np.diff(special.fdtr(1.0, 1.0 / max(law[0], 1e-4), edges / law[1]))
        transform = transform * np.fft.rfft(mass, 2 * _BODY) ** laws.count(law)
    below = np.cumsum(np.fft.irfft(transform, 2 * _BODY)[:_BODY])
    at = (np.arange(_BODY) + (d + 1) / 2) * edges[1]
    above = np.maximum(1.0 - below, 0.0)
    inside = (above > 1e-10) & (at <= top)
    at, above = at[inside], np.minimum.accumulate(above[inside])
    rest = 0.5 * (d - 1)

    def jump(q: Float) -> Float:
        return sum(special.fdtrc(1.0, 1.0 / max(h, 1e-4), np.maximum(q - rest, 0.0) / w) for h, w in laws)

    q = np.exp(LOG_GRID)
    body = np.interp(LOG_GRID, np.log(at), np.log(above))
    # Below the first cell the distribution function is a power of q.
    low = q < at[0]
    body[low] = np.log1p(-(1 - above[0]) * (q[low] / at[0]) ** (d / 2))
    far = q > at[-1]
    with np.errstate(divide="ignore"):
        body[far] = np.log(above[-1]) + np.log(np.maximum(jump(q[far]), 1e-300)) - np.log(jump(at[-1:]))
    return _extended(np.minimum.accumulate(body), 1.0 / max(max(heaviness), 1e-4))


def _extended(log_tail: Float, nu: float) -> Float:
    """Keep the logarithm falling, as a power, where the probability has underflowed."""
    gone = log_tail < -600.0
    if gone.any():
        start = int(np.argmax(gone))
        log_tail = log_tail.copy()
        log_tail[start:] = log_tail[start] - (LOG_GRID[start:] - LOG_GRID[start]) * min(nu / 2, 50.0)
    return log_tail
