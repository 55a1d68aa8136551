"""Who is unusual: one look at one fleet, with a false discovery rate over agents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from convergence_jax.baseline.distance import Baseline, Float, Int, Units
from convergence_jax.baseline.level import Level
from convergence_jax.baseline.multiplicity import q_values, smallest_times_number
from convergence_jax.baseline.populations import populations
from convergence_jax.baseline.reference import (
    Reference,
    Stratum,
    at_least_as_heavy,
    drawn,
    heaviness_shown,
    judge,
)
from convergence_jax.baseline.robust import clean_units, group_medians, scale_of
from convergence_jax.baseline.transform import Transform, choose, identity


@dataclass(frozen=True)
class Explanation:
    """One feature of an unusual agent.

    `value` and `expected` are in the feature's own unit, `deviation` in standard deviations
    of an agent with as many observations, `share` the part of the squared distance that the feature makes.
    """

    feature: str
    value: float
    expected: float
    deviation: float
    share: float


@dataclass(frozen=True)
class Judged:
    """One level after the decision: its units in their original order, and what explains them."""

    level: Level
    transform: Transform
    kept: Int
    node: Int
    baseline: Baseline
    score: Float
    p_value: Float


Result = tuple[Judged, tuple[Stratum, ...], Int]


@dataclass(frozen=True)
class Decision:
    """Who is unusual, how sure that is, and why.

    Parameters
    ----------
    alpha : float
        The false discovery rate over agents.
    method : str
        The rule, in a sentence.
    assumes : list of str
        What the rate rests on.
    flagged : bool[agents]
        The agents called unusual.
    scores, p_values : dict of float64[agents]
        For each level, the largest score and the p-value of the agent's units there (times their number); NaN
        where it has none.
    q_value : float64[agents]
        The smallest rate at which the agent would be flagged.
    least_rejections : int or None
        The fewest agents the rule can flag, where it cannot flag fewer than some.
    reference : list of Reference
        For each level, what is needed to draw it.
    transforms : dict of str
        For each feature, the transform it went through, in words.
    """

    alpha: float
    method: str
    assumes: list[str]
    flagged: NDArray[np.bool_]
    scores: dict[str, Float]
    p_values: dict[str, Float]
    q_value: Float
    least_rejections: int | None
    reference: list[Reference]
    transforms: dict[str, str]
    features: list[str]
    judged: list[Judged] = field(repr=False, default_factory=list)

    def most_unusual_unit(self, agent: int) -> tuple[int, int] | None:
        """Level and unit in which the agent has its smallest p-value; None if it has no unit."""
        best: tuple[float, float, int, int] | None = None
        for k, judged in enumerate(self.judged):
            low, high = np.searchsorted(judged.level.agent, [agent, agent + 1])
            for i in range(int(low), int(high)):
                rank = (float(judged.p_value[i]), -float(judged.score[i]), k, i)
                best = rank if best is None or rank < best else best
        return None if best is None else (best[2], best[3])

    def explain(self, agent: int) -> list[Explanation]:
        """What makes the agent unusual, where it is most so, the heaviest feature first.

        The squared distance is split by Garthwaite and Koch's partition (2016): into squares of the uncorrelated
        variables that are closest to the standardised features, one each.
        """
        where = self.most_unusual_unit(agent)
        return [] if where is None else _explained(self.judged[where[0]], where[1], self.features)


def decide(levels: Sequence[Level], agents: int, *, alpha: float, features: Sequence[str]) -> Decision:
    """Decide who is unusual among `agents` agents.

    Parameters
    ----------
    levels : sequence of Level
        The whole population, then the named levels, coarse to fine.
    agents : int
        Number of agents; units name them ``0 ... agents - 1``.
    alpha : float
        False discovery rate over agents, between 0 and 1.
    features : sequence of str
        Names of the features.

    Returns
    -------
    Decision
        The same for any order of rows that gives the same levels. Nobody is flagged where nothing can be judged.

    Raises
    ------
    ValueError
        If `alpha` is not between 0 and 1 or `features` does not fit the levels.
    """
    _checked(levels, alpha, features)
    names = list(features)
    kept, transform, assumes = _features_judged(levels, names)
    whole = _judged(levels, 0, kept, transform)
    if transform.side.any() and not _nearly_gaussian(whole[0], whole[1]):
        transform = identity(transform.centre)
        whole = _judged(levels, 0, kept, transform)
    stated = dict.fromkeys(names, "none") | transform.stated([names[j] for j in kept])
    stated |= {name: "left out" for j, name in enumerate(names) if j not in kept}
    results = [whole] + [_judged(levels, depth, kept, transform) for depth in range(1, len(levels))]
    results = _no_lighter_than_finer(results, len(kept))
    scores, p_values, pairs = {}, {}, []
    for level, (judged, _, stratum) in zip(levels, results, strict=True):
        pairs.append((judged.p_value, level.agent))
        scores[level.name] = _largest(judged.score, level.agent, agents)
        p_values[level.name] = _of_level(judged.p_value, level.agent, agents)
        if (stratum < 0).any():
            assumes.append(
                f"{int((stratum < 0).sum())} units of level {level.name} have no baseline: not judged"
            )
    combined = smallest_times_number(
        np.concatenate([p for p, _ in pairs]), np.concatenate([a for _, a in pairs]), agents
    )
    q_value = q_values(combined)
    flagged = q_value <= alpha
    cut = float(combined[flagged].max()) if flagged.any() else alpha / max(agents, 1)
    number = float(np.median(np.bincount(np.concatenate([a for _, a in pairs]), minlength=1)))
    reference = [
        drawn(judged.level.name, judged.score, stratum, strata, cut / max(number, 1.0))
        for judged, strata, stratum in results
    ]
    if not any((stratum >= 0).any() for _, _, stratum in results):
        assumes.insert(0, "no unit has enough others like it: nothing was judged and nobody flagged")
    return Decision(
        alpha, METHOD, ASSUMES + assumes, flagged, scores, p_values, q_value, None, reference, stated, names,
        [judged for judged, _, _ in results],
    )  # fmt: skip


METHOD = (
    "Robust distance of each agent's mean from its group without itself, in the covariance between agents plus its own "
    "noise; p-values from the most conservative of three heavy-tailed laws fitted to the inner nine tenths of the units, "
    "at the upper limit of their heaviness; Bonferroni over an agent's units, Benjamini-Hochberg over agents."
)
ASSUMES = [
    "at most a tenth of the agents of a group are unusual",
    "the tail of healthy agents is no heavier than the heaviest Student law that their bulk allows",
    "agents are independent given their groups",
]


LEAST_TO_PART = 500  # units of a group in which several populations are looked for
MOST_PARTED = 50  # such groups
POPULATIONS = 64  # more than a group can have
NEARLY_GAUSSIAN = 0.1  # heaviness up to which transformed features keep their transforms


def _nearly_gaussian(judged: Judged, strata: tuple[Stratum, ...]) -> bool:
    """Whether transformed units look as if the transforms were right, and not a bend in a mixture.

    Their distances must be light-tailed, and no uncorrelated direction may bend with another: the mean of
    ``z_i (z_j^2 - 1)``, of values cut at 2.5, within four standard errors of zero.
    """
    heavy = any(tail.heaviness > NEARLY_GAUSSIAN for law in strata for tail in law.tails[:2])
    if heavy or judged.node.any() or not strata:
        return False
    values = judged.transform(judged.level.mean[:, judged.kept]) - judged.baseline.centre[0]
    z = values @ judged.baseline.basis[0]
    z = np.clip(z / np.where(z.any(0), scale_of(z), 1.0), -2.5, 2.5)
    z -= z.mean(0)
    square = z**2 - (z**2).mean(0)
    bend = z.T @ square / len(z)
    error = np.sqrt((z**2).mean(0)[:, None] * (square**2).mean(0)[None, :] / len(z))
    np.fill_diagonal(bend, 0.0)
    return bool((np.abs(bend) <= 4.0 * error).all())


def _checked(levels: Sequence[Level], alpha: float, features: Sequence[str]) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"decide: alpha must lie between 0 and 1, got {alpha}.")
    if not levels:
        raise ValueError("decide: needs at least the level of the whole population.")
    if levels[0].mean.shape[1] != len(features):
        raise ValueError(f"decide: {len(features)} names for {levels[0].mean.shape[1]} features.")


def _features_judged(levels: Sequence[Level], names: list[str]) -> tuple[Int, Transform, list[str]]:
    """The features that vary, their transforms, and what is assumed of the others."""
    values, finest = levels[0].mean, levels[-1]
    order = np.argsort(finest.group, kind="stable")
    group, codes = np.unique(finest.group[order], return_inverse=True)
    inner = finest.mean[order]
    residuals = inner
    if len(group) > 1:
        starts = np.searchsorted(codes, np.arange(len(group)))
        residuals = inner - group_medians(inner, codes, starts)[codes]
    varies = scale_of(values) > 0 if len(values) else np.zeros(len(names), bool)
    kept = np.flatnonzero(varies)
    assumes = [
        f"{names[j]} has one value in nine tenths of the agents: left out" for j in np.flatnonzero(~varies)
    ]
    transform = choose(values[:, kept], residuals[:, kept])
    if (
        transform.side.any() and populations(values[:, kept]).any()
    ):  # what looks skewed are several populations
        transform = identity(transform.centre)
    return kept, transform, assumes


def _judged(
    levels: Sequence[Level], depth: int, kept: Int, transform: Transform
) -> tuple[Judged, tuple[Stratum, ...], Int]:
    level = levels[depth]
    n, d = len(level.agent), len(kept)
    if d == 0 or n == 0:
        return _unjudged(level, transform, kept)
    units, order = _units(levels, depth, kept, transform)
    _, baseline, squared = clean_units(units)
    node = baseline.node[units.group]
    decided = baseline.rank[node] > 0
    variance = np.einsum("gii->gi", baseline.covariance)[node]
    own = np.einsum("gii->gi", baseline.within)[node]
    inverse = units.inverse_count - baseline.mean_inverse_count[node]
    noise = own * units.inverse_count[:, None]
    total = np.maximum(variance + own * inverse[:, None], noise) + 1e-300
    deviations = (units.values - baseline.centre[node]) / np.sqrt(total)
    score, p_value, strata, stratum = judge(
        squared, decided, (noise / total).mean(1), level.count[order], deviations
    )
    back = np.empty(n, np.int64)
    back[order] = np.arange(n)
    judged = Judged(level, transform, kept, node[back], baseline, score[back], p_value[back])
    return judged, strata, stratum[back]


def _no_lighter_than_finer(results: list[Result], features: int) -> list[Result]:
    """Every level judged by laws at least as heavy as the finer levels show."""
    shown: dict[str, float] = {}
    adjusted = []
    for judged, strata, stratum in reversed(results):
        if shown:
            p_value, strata = at_least_as_heavy(
                judged.score, judged.p_value, strata, stratum, shown, features
            )
            judged = replace(judged, p_value=p_value)
        for family, heaviness in heaviness_shown(strata).items():
            shown[family] = max(shown.get(family, 0.0), heaviness)
        adjusted.append((judged, strata, stratum))
    return adjusted[::-1]


def _unjudged(level: Level, transform: Transform, kept: Int) -> tuple[Judged, tuple[Stratum, ...], Int]:
    n, d = len(level.agent), len(kept)
    zero = np.zeros((1, d, d))
    empty = Baseline(
        np.zeros(1, np.int64), np.zeros(1), np.zeros((1, d)), zero, zero, np.zeros(1), zero, np.zeros((1, d)),
        np.zeros(1, np.int64),
    )  # fmt: skip
    nowhere = np.full(n, -1)
    return Judged(level, transform, kept, np.zeros(n, np.int64), empty, np.zeros(n), np.ones(n)), (), nowhere


def _units(levels: Sequence[Level], depth: int, kept: Int, transform: Transform) -> tuple[Units, Int]:
    """Units of a level sorted by group and population, and the order that sorts them."""
    level = levels[depth]
    values = transform(level.mean[:, kept])
    present, group = np.unique(level.group, return_inverse=True)
    group = group.reshape(-1).astype(np.int64)
    ancestors, up = [], present
    for above in range(depth, 0, -1):
        up = levels[above].parent[up].astype(np.int64)
        ancestors.append(up)
    within, freedom = level.within[present][:, kept[:, None], kept[None, :]], level.within_freedom[present]
    population = _populations(values, group)
    if population.any():
        pairs, group = np.unique(group * POPULATIONS + population, return_inverse=True)
        group, of = group.reshape(-1).astype(np.int64), pairs // POPULATIONS
        within, freedom, ancestors = within[of], freedom[of], [of] + [above[of] for above in ancestors]
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(freedom)))
    ordered = values[order]
    slope = transform.slope(transform.inverse(group_medians(ordered, group[order], starts)))
    within = within * slope[:, :, None] * slope[:, None, :]
    units = Units(ordered, 1.0 / level.count[order], group[order], starts, tuple(ancestors), within, freedom)
    return units, order


def _populations(values: Float, group: Int) -> Int:
    """Population of every unit within its group, looked for in the groups that are large enough."""
    result = np.zeros(len(group), np.int64)
    sizes = np.bincount(group)
    large = np.flatnonzero(sizes >= LEAST_TO_PART)
    for g in large[np.argsort(-sizes[large], kind="stable")][:MOST_PARTED]:
        members = np.flatnonzero(group == g)
        result[members] = populations(values[members])
    return result


def _largest(score: Float, agent: Int, agents: int) -> Float:
    result = np.full(agents, np.nan)
    np.fmax.at(result, agent, score)
    return result


def _of_level(p_value: Float, agent: Int, agents: int) -> Float:
    result = smallest_times_number(p_value, agent, agents)
    result[np.bincount(agent, minlength=agents) == 0] = np.nan
    return result


def _explained(judged: Judged, unit: int, names: list[str]) -> list[Explanation]:
    level, kept, transform = judged.level, judged.kept, judged.transform
    baseline, node, inverse = judged.baseline, judged.node[unit], 1.0 / level.count[unit]
    d = len(kept)
    values = level.mean[unit]
    result = [Explanation(name, float(v), float(v), 0.0, 0.0) for name, v in zip(names, values, strict=True)]
    if d == 0 or baseline.rank[node] == 0:
        return result
    away = transform(values[None, kept])[0] - baseline.centre[node]
    between = baseline.covariance[node] - baseline.within[node] * baseline.mean_inverse_count[node]
    diagonal = np.maximum(np.diag(between), 0.0) + np.diag(baseline.within[node]) * inverse
    spread = np.sqrt(np.maximum(diagonal, 1e-300))
    matrix = between + baseline.within[node] * inverse
    eigenvalues, vectors = np.linalg.eigh(matrix / spread[:, None] / spread[None, :])
    root = np.where(eigenvalues > 1e-9 * d, 1.0 / np.sqrt(np.maximum(eigenvalues, 1e-300)), 0.0)
    standard = np.where(diagonal > 1e-290, away / spread, 0.0)
    parts = ((vectors * root) @ (vectors.T @ standard)) ** 2
    expected = transform.inverse(baseline.centre[node][None])[0]
    total = parts.sum() or 1.0
    for k, j in enumerate(kept):
        result[j] = Explanation(
            names[j], float(values[j]), float(expected[k]), float(standard[k]), float(parts[k] / total)
        )
    return sorted(result, key=lambda part: (-part.share, names.index(part.feature)))
