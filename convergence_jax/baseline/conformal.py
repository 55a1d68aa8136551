"""Who has changed: conformal p-values of a later period against the units of an earlier one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_jax.baseline.distance import Baseline, Float, Int, Units, fit, nowhere, squared_distances
from convergence_jax.baseline.level import Level
from convergence_jax.baseline.robust import clean_units, scale_of

FOLDS = 5


@dataclass(frozen=True)
class Compared:
    """Scores and conformal p-values of the later units of one level.

    ``calibration`` has the earlier scores, ``least`` the smallest p-value that any unit can have,
    ``baseline`` and ``node`` what a unit was compared with, for explanations.
    """

    score: Float
    p_value: Float
    calibration: Float
    least: float
    baseline: Baseline
    node: Int
    calibrated: int


def compare(before: Sequence[Level], after: Sequence[Level], depth: int, kept: Int) -> Compared:
    """Conformal p-values of the later units of level `depth` among the earlier ones.

    Agents are dealt into five folds by their number. One baseline is fitted to the earlier units of fold 0
    and judges the other folds, another to those of fold 1 and judges fold 0; each calibrates on all
    earlier units outside its own fold, those of the judged agent left out. If an agent's later unit is
    exchangeable with the other agents' earlier ones, its p-value ``(1 + number at least as far) / (1 +
    number)`` is valid.
    """
    if not len(kept) or not len(after[depth].agent):
        return _nothing(len(after[depth].agent), len(kept))
    early, late = _units_of(before, depth, kept, before), _units_of(after, depth, kept, before)
    score, p_value = np.zeros(len(late.agent)), np.ones(len(late.agent))
    node = np.zeros(len(late.agent), np.int64)
    calibration, least, calibrated = np.zeros(0), 1.0, 0
    kept_baseline: Baseline | None = None
    for fitted, judged in ((0, tuple(range(1, FOLDS))), (1, (0,))):
        here = np.flatnonzero(np.isin(late.agent % FOLDS, judged))
        members = early.agent % FOLDS == fitted
        if not members.any():
            continue
        baseline, early_score, late_score, late_node = _scored(early, members, late)
        if kept_baseline is None:
            kept_baseline, node = baseline, late_node
        others = np.flatnonzero(~members)
        if not len(here) or not len(others):
            continue
        p_value[here] = _conformal(
            late_score[here], late.agent[here], early_score[others], early.agent[others]
        )
        score[here] = late_score[here]
        least = min(least, 1.0 / (1 + len(others)))
        if len(others) > calibrated:
            calibration, calibrated = early_score[others], len(others)
    if kept_baseline is None:
        return _nothing(len(late.agent), len(kept))
    order = np.argsort(late.order, kind="stable")
    return Compared(score[order], p_value[order], calibration, least, kept_baseline, node[order], calibrated)


def _nothing(units: int, features: int) -> Compared:
    zero = np.zeros(units)
    return Compared(zero, zero + 1.0, np.zeros(0), 1.0, nowhere(features), np.zeros(units, np.int64), 0)


def least_rejections(units_judged: int, agents: int, least: float, alpha: float) -> int:
    """Fewest agents that Benjamini and Hochberg's procedure can reject.

    The smallest p-value of an agent with `units_judged` units is ``units_judged * least``, so ``k``
    rejections need ``units_judged * least <= alpha k / agents``. With one score an agent and ``least = 1 / (n
    + 1)`` that is about ``1 / alpha``, however far out an agent lies.
    """
    return max(1, math.ceil(units_judged * least * agents / alpha - 1e-9))


@dataclass(frozen=True)
class _Period:
    """Units of a period with the groups of the earlier one, and which unit each was."""

    units: Units
    agent: Int
    order: Int


def _units_of(levels: Sequence[Level], depth: int, kept: Int, before: Sequence[Level]) -> _Period:
    """Units with groups numbered as in the earlier period; those unknown there share the last number."""
    level, reference = levels[depth], before[depth]
    known = {label: g for g, label in enumerate(reference.labels)}
    groups = len(reference.labels)
    code = np.array([known.get(label, groups) for label in level.labels], np.int64)
    group = code[level.group]
    order = np.argsort(group, kind="stable")
    ancestors, up = [], np.arange(groups)
    for above in range(depth, 0, -1):
        up = before[above].parent[up].astype(np.int64)
        nowhere = len(before[above - 1].labels) if above > 1 else 0  # the whole population has everyone
        ancestors.append(np.append(up, nowhere))
    d = len(kept)
    within = np.zeros((groups + 1, d, d))
    within[:groups] = reference.within[:, kept[:, None], kept[None, :]]
    freedom = np.append(reference.within_freedom, 0)
    starts = np.searchsorted(group[order], np.arange(groups + 1))
    units = Units(
        level.mean[order][:, kept],
        1.0 / level.count[order],
        group[order],
        starts,
        tuple(ancestors),
        within,
        freedom,
    )
    return _Period(units, level.agent[order], order)


def _scored(early: _Period, members: NDArray[np.bool_], late: _Period) -> tuple[Baseline, Float, Float, Int]:
    """A baseline from the members, and the scores of all earlier and later units."""
    part = _part(early.units, members)
    clean, _, _ = clean_units(part)
    chosen = np.zeros(len(members), bool)
    # Groups keep their numbers, so that units outside the fold find their baseline.
    chosen[np.flatnonzero(members)] = clean
    baseline = fit(early.units, chosen)
    nobody = np.zeros(len(members), bool)
    early_squared, _ = squared_distances(early.units, nobody, baseline)
    late_squared, _ = squared_distances(late.units, np.zeros(len(late.agent), bool), baseline)
    return baseline, np.sqrt(early_squared), np.sqrt(late_squared), baseline.node[late.units.group]


def _part(units: Units, members: NDArray[np.bool_]) -> Units:
    present, group = np.unique(units.group[members], return_inverse=True)
    group = group.reshape(-1).astype(np.int64)
    return Units(
        units.values[members],
        units.inverse_count[members],
        group,
        np.searchsorted(group, np.arange(len(present))),
        tuple(above[present] for above in units.ancestors),
        units.within[present],
        units.within_freedom[present],
    )


def _conformal(late: Float, late_agent: Int, early: Float, early_agent: Int) -> Float:
    """``(1 + number of other agents' scores at least as large) / (1 + number of them)``."""
    ordered = np.sort(early)
    larger = len(early) - np.searchsorted(ordered, late, side="left")
    by_agent = np.argsort(early_agent, kind="stable")
    agents, scores = early_agent[by_agent], early[by_agent]
    first, stop = (
        np.searchsorted(agents, late_agent, side="left"),
        np.searchsorted(agents, late_agent, side="right"),
    )
    own, own_larger = stop - first, np.zeros(len(late), np.int64)
    for k in range(int(own.max(initial=0))):
        some = first + k < stop
        own_larger[some] += scores[np.minimum(first + k, len(scores) - 1)][some] >= late[some]
    return (1.0 + larger - own_larger) / (1.0 + len(early) - own)


def varying(before: Level) -> Int:
    """Features that do not have one value in nine tenths of the earlier units."""
    if not len(before.agent):
        return np.zeros(0, np.int64)
    return np.flatnonzero(scale_of(before.mean) > 0)
