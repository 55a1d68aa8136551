"""Who is unusual: one look at one fleet, with a false discovery rate over agents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import special

from convergence_jax.baseline.conformal import compare, least_rejections, varying
from convergence_jax.baseline.distance import Float, Int, Units, nowhere
from convergence_jax.baseline.level import Level
from convergence_jax.baseline.multiplicity import q_values, smallest_times_number
from convergence_jax.baseline.populations import populations
from convergence_jax.baseline.reference import (
    Stratum,
    at_least_as_heavy,
    drawn,
    drawn_against,
    heaviness_shown,
    judge,
)
from convergence_jax.baseline.robust import clean_units, group_medians, scale_of
from convergence_jax.baseline.transform import Transform, choose, identity
from convergence_jax.baseline.verdict import Decision, Explanation, Judged

Result = tuple[Judged, tuple[Stratum, ...], Int]


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
        The same for any order of rows that gives the same levels. Nobody is flagged where nothing can be
        judged.

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


def decide_against_baseline(
    before_levels: Sequence[Level],
    after_levels: Sequence[Level],
    agents: int,
    *,
    alpha: float,
    features: Sequence[str],
) -> Decision:
    """Decide which agents of a later period are unlike the units of an earlier one.

    Parameters
    ----------
    before_levels, after_levels : sequence of Level
        Levels of both periods, whose units name the same agents.
    agents, alpha, features
        As for :func:`decide`.

    Returns
    -------
    Decision
        With `least_rejections`. Nobody is flagged where the earlier period has too few units.

    Raises
    ------
    ValueError
        As :func:`decide`, and if the periods have not the same levels.
    """
    for levels in (before_levels, after_levels):
        _checked(levels, alpha, features)
    if [level.name for level in before_levels] != [level.name for level in after_levels]:
        raise ValueError("decide_against_baseline: both periods need the same levels.")
    names, kept = list(features), varying(before_levels[0])
    transform = identity(np.zeros(len(kept)))
    stated = {name: "none" if j in kept else "left out" for j, name in enumerate(names)}
    assumes = [CONSTANT.format(names[j]) for j in range(len(names)) if j not in kept]
    judged, compared = [], []
    for depth, level in enumerate(after_levels):
        found = compare(before_levels, after_levels, depth, kept)
        compared.append(found)
        judged.append(Judged(level, transform, kept, found.node, found.baseline, found.score, found.p_value))
    unit_agent = np.concatenate([level.agent for level in after_levels])
    combined = smallest_times_number(
        np.concatenate([found.p_value for found in compared]), unit_agent, agents
    )
    q_value = q_values(combined)
    flagged = q_value <= alpha
    units = np.bincount(unit_agent, minlength=agents)
    fewest = int(units[units > 0].min(initial=1)) if len(unit_agent) else 1
    least = least_rejections(fewest, agents, min(found.least for found in compared), alpha)
    if least > agents:
        assumes.insert(0, f"the earlier period is too small to flag anyone: fewer than {least} agents in all")
    cut = float(combined[flagged].max()) / fewest if flagged.any() else alpha / max(agents, 1) / fewest
    return Decision(
        alpha, METHOD_AGAINST, ASSUMES_AGAINST + assumes, flagged,
        {j.level.name: _largest(j.score, j.level.agent, agents) for j in judged},
        {j.level.name: _of_level(j.p_value, j.level.agent, agents) for j in judged},
        q_value, least,
        [
            drawn_against(j.level.name, j.score, found.calibration, cut)
            for j, found in zip(judged, compared, strict=True)
        ],
        stated, names, judged,
    )  # fmt: skip


METHOD_AGAINST = (
    "Conformal p-values of each agent's later mean among the earlier means of the other agents, by distance "
    "from a robust baseline of other agents; Bonferroni over an agent's units, "
    "Benjamini-Hochberg over agents."
)
ASSUMES_AGAINST = [
    "an agent that has not changed is exchangeable with the other agents of the earlier period",
    "the number of observations is alike in both periods",
]
CONSTANT = "{} has one value in nine tenths of the agents: left out"
METHOD = (
    "Robust distance of each agent's mean from its group without itself, in the covariance between agents "
    "plus its own noise; p-values from the most conservative of the heavy-tailed laws that fit the inner "
    "nine tenths of the units, at the upper limit of their heaviness; Bonferroni over an agent's units, "
    "Benjamini-Hochberg over agents."
)
ASSUMES = [
    "at most a tenth of the agents of a group are unusual",
    "the tail of healthy agents is no heavier than the heaviest Student law that their bulk allows",
    "tails that noise or averaging hides are no heavier than Student's with three degrees of freedom",
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
    if heavy or judged.node.any() or not strata or not judged.score.any():
        return False
    values = judged.transform(judged.level.mean[:, judged.kept]) - judged.baseline.centre[0]
    inner = judged.score**2 <= special.chdtri(values.shape[1], 0.01)  # anomalies that agree would bend it too
    z = values[inner] @ judged.baseline.basis[0]
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
    values = levels[0].mean
    varies = scale_of(values) > 0 if len(values) else np.zeros(len(names), bool)
    kept = np.flatnonzero(varies)
    assumes = [CONSTANT.format(names[j]) for j in np.flatnonzero(~varies)]
    transform = choose(values[:, kept], lambda j: _residual(levels[-1], kept[j]))
    if (
        transform.side.any() and populations(values[:, kept]).any()
    ):  # what looks skewed are several populations
        transform = identity(transform.centre)
    return kept, transform, assumes


def _residual(finest: Level, feature: int) -> Float:
    """One feature of the finest units less the median of their group."""
    order = np.argsort(finest.group, kind="stable")
    group, codes = np.unique(finest.group[order], return_inverse=True)
    column = finest.mean[order][:, [feature]]
    starts = np.searchsorted(codes, np.arange(len(group)))
    return (column - group_medians(column, codes, starts)[codes])[:, 0]


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
        squared, decided, node, (noise / total).mean(1), level.count[order], deviations
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
    nobody = np.zeros(n, np.int64)
    return Judged(level, transform, kept, nobody, nowhere(d), np.zeros(n), np.ones(n)), (), nobody - 1


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
    if transform.side.any() and within.any():
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


__all__ = ["Decision", "Explanation", "Judged", "decide", "decide_against_baseline"]
