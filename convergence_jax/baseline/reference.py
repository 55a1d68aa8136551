"""The reference law of a level: p-values of its units, and what is needed to draw them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from convergence_jax.baseline.robust import on_lattice
from convergence_jax.baseline.tail import (
    CENSORED,
    LOG_GRID,
    Bins,
    Tail,
    best_scale,
    binned,
    elliptical,
    fit_tail,
    fitted,
    independent,
    likeliest,
    sum_of_squares,
)

Float = NDArray[np.float64]
Int = NDArray[np.int64]

HEAVIEST_HIDDEN = 1.0 / 3.0  # one over the degrees of freedom
LATTICE = 0.2  # least heaviness of a feature whose few values tell little about its tail
LIMIT = 2.0  # standard errors from the estimated heaviness to its upper limit
_STRATUM = 250  # fewest units that are given a reference of their own
_FEWEST_BY_FEATURE = 30
_FEW = 150
_OWN_LAW = 100  # units of a baseline that is given laws of its own
_MOST_OWN_LAWS = 60
_FIT_UNITS = 200_000


@dataclass(frozen=True)
class Stratum:
    """Units of similar precision, with the laws fitted to their distances."""

    units: int
    least_count: int
    most_count: int
    tails: tuple[Tail, ...]
    scale: float
    noise_share: float
    count: float

    def beyond(self, squared: Float) -> Float:
        """The largest of the laws' tail probabilities."""
        return np.max([tail.beyond(squared) for tail in self.tails], axis=0)

    @property
    def likeliest(self) -> Tail:
        """The law that fits best, for drawing."""
        return max(self.tails, key=lambda tail: tail.log_likelihood)


@dataclass(frozen=True)
class Hidden:
    """Heavy tails that a bulk can hide: of agents under their noise, of single observations in a mean.

    A sum's excess over a Gaussian is diluted: by the square of the share of variance that a part has, and by
    the number of observations that a mean is taken of. So what the bulk shows, times the dilution, is what
    the part may have, up to three degrees of freedom. One large jump of the part then makes the tail of the
    sum.
    """

    between: float
    noise: float

    def beyond(self, squared: Float, noise_share: Float, count: Float, features: int) -> Float:
        """Probability of a squared distance, in units of the core's scale, by one jump of either part."""
        agents = np.maximum(1.0 - noise_share, 1e-6)
        between = _law(self.between, features, squared / agents)
        widened = 1.0 / max(1.0 - 2.0 * self.noise, 1.0 / 3.0)  # the noise is measured by its variance
        noise = count * _law(self.noise, features, widened * squared * count / np.maximum(noise_share, 1e-6))
        return np.minimum(np.maximum(between, noise), 1.0)


def hidden_tails(strata: tuple[Stratum, ...]) -> Hidden:
    """The least that the most telling strata allow."""
    shown = [law.likeliest.heaviness_plus for law in strata]
    between = min(zip((law.noise_share for law in strata), shown, strict=True))
    noise = min(
        (law.count / max(law.noise_share, 1e-3) ** 2, h) for law, h in zip(strata, shown, strict=True)
    )
    return Hidden(
        min(between[1] / max(1.0 - between[0], 1e-3) ** 2, HEAVIEST_HIDDEN),
        min(noise[0] * noise[1], HEAVIEST_HIDDEN),
    )


def _law(heaviness: float, features: int, squared: Float) -> Float:
    with np.errstate(divide="ignore"):
        return np.exp(np.interp(np.log(squared), LOG_GRID, elliptical(features, round(heaviness, 4))))


@dataclass(frozen=True)
class Reference:
    """What a report draws: distances against the law they were judged by.

    Parameters
    ----------
    name : str
        Name of the level.
    edges : float64[bins + 1]
        Edges of the histogram, in robust standard deviations; the last bin holds all that is beyond.
    counts, expected : float64[bins]
        Units counted, and expected under the reference.
    threshold : float
        Score from which a unit is flagged; infinite if none could be.
    strata : tuple of Stratum
        Fitted laws by precision of the units.
    """

    name: str
    edges: Float
    counts: Float
    expected: Float
    threshold: float
    strata: tuple[Stratum, ...]


def judge(
    squared: Float, decided: NDArray[np.bool_], node: Int, noise_share: Float, count: Int, deviations: Float
) -> tuple[Float, Float, tuple[Stratum, ...], Int]:
    """Scores and p-values of the units of one level.

    Parameters
    ----------
    squared : float64[n]
        Gaussian-equivalent squared distances.
    decided : bool[n]
        False where a unit has no baseline; it gets p-value 1.
    node : int64[n]
        The baseline of the unit. One with many units is given laws of its own beside those of all.
    noise_share : float64[n]
        Share of a unit's variance that its own noise makes, between 0 and 1.
    count : int64[n]
        Observations of the unit.
    deviations : float64[n, d]
        Standardised deviation in every feature.

    Returns
    -------
    score, p_value : float64[n]
        Distance in robust standard deviations; probability that a healthy unit lies as far out.
    strata : tuple of Stratum
        The laws.
    stratum : int64[n]
        The stratum of every unit.
    """
    n, d = deviations.shape
    score, p_value = np.zeros(n), np.ones(n)
    stratum = _strata(noise_share, count, decided)
    laws: list[Stratum] = []
    for k in range(int(stratum.max(initial=-1)) + 1):
        here = np.flatnonzero(stratum == k)
        law = _fitted(squared[here], noise_share[here], count[here], deviations[here], d)
        laws.append(law)
        score[here] = np.sqrt(squared[here] / law.scale)
        p_value[here] = law.beyond(squared[here])
    sizes = np.bincount(node[decided], minlength=1)
    large = np.flatnonzero(sizes >= _OWN_LAW)
    if np.count_nonzero(sizes) > 1 and len(large) <= _MOST_OWN_LAWS:
        for k in large.tolist():
            here = np.flatnonzero(decided & (node == k))
            law = _fitted(squared[here], noise_share[here], count[here], deviations[here], d)
            p_value[here] = np.maximum(p_value[here], law.beyond(squared[here]))
    if laws and noise_share.any():
        hidden = hidden_tails(tuple(laws))
        core = np.array([np.exp(law.likeliest.log_scale) for law in laws])[stratum]
        jump = hidden.beyond(squared / core, noise_share, count.astype(float), d)
        p_value = np.where(stratum >= 0, np.maximum(p_value, jump), p_value)
    return score, p_value, tuple(laws), stratum


def heaviness_shown(strata: tuple[Stratum, ...]) -> dict[str, float]:
    """Heaviness that a level lets its units have, by family: the limit, of several strata the largest."""
    shown: dict[str, float] = {}
    for law in strata:
        for tail in law.tails:
            if tail.family in ("elliptical", "independent"):
                heaviness = tail.heaviness_limit if len(strata) == 1 else tail.heaviness_plus
                shown[tail.family] = max(shown.get(tail.family, 0.0), heaviness)
    return shown


def at_least_as_heavy(
    score: Float,
    p_value: Float,
    strata: tuple[Stratum, ...],
    stratum: Int,
    least: dict[str, float],
    features: int,
) -> tuple[Float, tuple[Stratum, ...]]:
    """P-values and laws after a finer level has shown heavier tails.

    The union of groups has the tails of its groups, but where their centres are spread, its bulk
    hides them.
    """
    result, laws = p_value.copy(), []
    for k, law in enumerate(strata):
        here = np.flatnonzero(stratum == k)
        squared, tails = score[here] ** 2 * law.scale, list(law.tails)
        bins = binned(squared[:: max(1, len(here) // _FIT_UNITS)])
        for i, tail in enumerate(law.tails):
            heaviness = round(least.get(tail.family, 0.0), 4)
            if heaviness > tail.heaviness_limit:
                table = (elliptical if tail.family == "elliptical" else independent)(features, heaviness)
                likelihood, log_scale = best_scale(bins, table)
                tails[i] = Tail(
                    tail.family, tail.heaviness, tail.heaviness_plus, heaviness, log_scale, table, likelihood
                )
                result[here] = np.maximum(result[here], tails[i].beyond(squared))
        laws.append(replace(law, tails=tuple(tails)))
    return result, tuple(laws)


def drawn(name: str, score: Float, stratum: Int, strata: tuple[Stratum, ...], cut: float) -> Reference:
    """Histogram of scores, expected counts, and the score at which the tail probability is `cut`."""
    used = score[stratum >= 0]
    top = max(float(np.quantile(used, 0.995)) * 1.5 if len(used) else 1.0, 1e-6)
    edges = np.linspace(0.0, top, 49)
    counts = np.histogram(np.minimum(used, top), edges)[0].astype(float)
    expected, thresholds = np.zeros(48), [np.inf]
    for law in strata:
        tail = law.likeliest.beyond(np.maximum(edges, 1e-9) ** 2 * law.scale)
        tail[-1] = 0.0
        expected += law.units * -np.diff(tail)
        if cut > 0:
            grid = np.geomspace(0.1, 1e6, 4000)
            beyond = law.beyond(grid**2 * law.scale) <= cut
            if beyond.any():
                thresholds.append(float(grid[np.argmax(beyond)]))
    return Reference(name, edges, counts, expected, min(thresholds), strata)


def drawn_against(name: str, score: Float, calibration: Float, cut: float) -> Reference:
    """Histogram of later scores, the earlier ones as what was expected."""
    top = max(float(np.quantile(calibration, 0.995)) * 1.5 if len(calibration) else 1.0, 1e-6)
    edges = np.linspace(0.0, top, 49)
    counts = np.histogram(np.minimum(score, top), edges)[0].astype(float)
    expected = np.histogram(np.minimum(calibration, top), edges)[0] * (len(score) / max(len(calibration), 1))
    larger = (
        int(np.floor(cut * (1 + len(calibration)))) - 1
    )  # earlier scores that may lie at least as far out
    ordered = np.sort(calibration)
    threshold = float(ordered[len(ordered) - 1 - larger]) if 0 <= larger < len(ordered) else np.inf
    return Reference(name, edges, counts, expected, threshold, ())


def _strata(noise_share: Float, count: Int, decided: NDArray[np.bool_]) -> Int:
    """Up to four strata of units by how much the shape of their own noise can show.

    The excess of a mean of ``k`` observations falls as ``1 / k``, and counts only in the share of variance
    that is noise.
    """
    result = np.where(decided, 0, -1)
    show = noise_share**2 / count
    used = show[decided]
    if len(used) < 2 * _STRATUM or used.max(initial=0.0) < 0.01:
        return result
    parts = min(4, len(used) // _STRATUM)
    # Equal counts of observations stay together; a new stratum begins where counts differ.
    order = np.argsort(used, kind="stable")
    bounds = [used[order[len(used) * k // parts]] for k in range(1, parts)]
    kinds = np.searchsorted(np.unique(bounds), used, side="right")
    sizes = np.bincount(kinds)
    for k in range(len(sizes) - 1):  # one that ties left too small joins its neighbour
        if sizes[k] < _STRATUM:
            kinds[kinds == k] = k + 1
            sizes[k + 1] += sizes[k]
    if len(sizes) > 1 and sizes[-1] < _STRATUM:
        kinds[kinds == len(sizes) - 1] = max(kinds[kinds < len(sizes) - 1], default=0)
    result[decided] = np.unique(kinds, return_inverse=True)[1]
    return result


def _fitted(squared: Float, noise_share: Float, count: Int, deviations: Float, d: int) -> Stratum:
    n = len(squared)
    step = max(1, n // _FIT_UNITS)
    bins = binned(squared[::step])
    tails = [fit_tail(bins, "elliptical", d, LIMIT)]
    if d > 1:
        tails.append(fit_tail(bins, "independent", d, LIMIT))
    if n >= _FEWEST_BY_FEATURE:
        tails.append(_by_feature(bins, deviations[::step], d))
    scale = float(np.median(squared)) / float(special.chdtri(d, 0.5)) or 1.0
    return Stratum(
        n,
        int(count.min()),
        int(count.max()),
        tuple(tails),
        max(scale, 1e-12),
        float(np.median(noise_share)),
        float(np.median(count)),
    )


def _by_feature(bins: Bins, deviations: Float, d: int) -> Tail:
    """A law whose features are as heavy-tailed as their own bulk, a skewed one as its longer side."""
    heaviness, widths = [], []
    for column in deviations.T:
        column = column - np.median(column)
        both = binned(column**2)
        likely, width = likeliest(both, 1)[0], 0.0
        if on_lattice(column[:, None])[0]:
            likely = max(likely, LATTICE)
        if _skewed(column):
            halves = [
                half
                for half in (column[column > 0], column[column < 0])
                if len(half) > _FEWEST_BY_FEATURE // 2
            ]
            sides = [likeliest(binned(half**2, 2 * CENSORED), 1) for half in halves]
            likely = max([likely, *(side[0] for side in sides)])
            two_sided = best_scale(both, elliptical(1, likely))[1]
            width = max([0.0, *(side[1] - two_sided for side in sides)])
        heaviness.append(likely)
        widths.append(float(np.exp(width)))
    _, log_scale = best_scale(bins, sum_of_squares(tuple(heaviness)))
    law = sum_of_squares(tuple(heaviness), tuple(widths))
    return fitted("by feature", max(heaviness), log_scale, law)


def _skewed(column: Float) -> bool:
    """Whether the quantiles of both sides differ by three standard errors, of few units by two."""
    low, high = np.quantile(column, [0.15, 0.85])
    needed = 2.24 if len(column) < _FEW else 3.36
    return abs(high + low) > needed / np.sqrt(len(column)) * (high - low)
