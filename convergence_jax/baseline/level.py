"""One level of the tree as the decision sees it: units, their groups, and the moments of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Level:
    """All units of one level, a unit being an agent within one group of the level.

    Parameters
    ----------
    name : str
        Name of the level; ``"all"`` for the whole population.
    labels : list of tuple of str
        Path of every group, ``G`` of them.
    agent, group, count : int64[n]
        Agent (ascending), group and number of observations of every unit.
    mean : float64[n, d]
        Mean of the unit's observations.
    parent : int64[G]
        Group one level up; empty for the whole population.
    group_count : int64[G]
        Units in the group.
    group_mean, group_covariance : float64[G, d], float64[G, d, d]
        Mean and covariance (divisor ``n - 1``; zero where ``n < 2``) of the units' means.
    within : float64[G, d, d]
        Pooled covariance of observations about the mean of their unit.
    within_freedom : int64[G]
        Degrees of freedom of `within`; zero where every unit has one observation.
    """

    name: str
    labels: list[tuple[str, ...]]
    agent: NDArray[np.int64]
    group: NDArray[np.int64]
    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    parent: NDArray[np.int64]
    group_count: NDArray[np.int64]
    group_mean: NDArray[np.float64]
    group_covariance: NDArray[np.float64]
    within: NDArray[np.float64]
    within_freedom: NDArray[np.int64]


def levels_from_arrays(
    agent: NDArray[np.int64],
    groups: Sequence[NDArray[np.int64]],
    values: NDArray[np.float64],
    names: Sequence[str] = (),
) -> list[Level]:
    """Levels of a table of observations, in floating point.

    The detector builds the same levels from exact states; this is for tests, experiments and
    callers who hold arrays.

    Parameters
    ----------
    agent : int64[rows]
        Agent of every observation, ``0 ... agents - 1``.
    groups : sequence of int64[rows]
        One column of group codes for every named level, coarse to fine; a group is the path of codes.
    values : float64[rows, d]
        Observations.
    names : sequence of str, optional
        Names of the levels; ``level 1``, ``level 2``, ... by default.

    Returns
    -------
    list of Level
        The whole population first, then one level a column.
    """
    names = list(names) or [f"level {i + 1}" for i in range(len(groups))]
    agent = np.asarray(agent, np.int64)
    path = np.zeros(len(agent), np.int64)
    labels: list[tuple[str, ...]] = [()]
    levels = [_level("all", labels, agent, path, values, np.zeros(0, np.int64))]
    for name, codes in zip(names, groups, strict=True):
        pairs, finer = np.unique(np.stack([path, codes], 1), axis=0, return_inverse=True)
        labels = [(*labels[up], str(code)) for up, code in pairs]
        path = finer.reshape(-1).astype(np.int64)
        levels.append(_level(name, labels, agent, path, values, pairs[:, 0].astype(np.int64)))
    return levels


def _level(
    name: str,
    labels: list[tuple[str, ...]],
    agent: NDArray[np.int64],
    group: NDArray[np.int64],
    values: NDArray[np.float64],
    parent: NDArray[np.int64],
) -> Level:
    groups, features = len(labels), values.shape[1]
    unit_code, unit = np.unique(agent * groups + group, return_inverse=True)
    unit = unit.reshape(-1)
    unit_agent, unit_group = unit_code // groups, unit_code % groups
    count = np.bincount(unit, minlength=len(unit_code))
    mean = column_sums(values, unit, len(unit_code)) / count[:, None]
    products, freedom = _scatter(values - mean[unit], group, groups), np.bincount(group, minlength=groups)
    units = np.bincount(unit_group, minlength=groups)
    freedom = freedom - units
    group_mean = column_sums(mean, unit_group, groups) / np.maximum(units, 1)[:, None]
    between = _scatter(mean - group_mean[unit_group], unit_group, groups)
    within = np.where(freedom[:, None, None] > 0, products / np.maximum(freedom, 1)[:, None, None], 0.0)
    covariance = between / np.maximum(units - 1, 1)[:, None, None]
    covariance[units < 2] = 0.0
    assert covariance.shape == (groups, features, features)
    return Level(
        name, labels, unit_agent, unit_group, count, mean, parent,
        units, group_mean, covariance, within, freedom,
    )  # fmt: skip


def column_sums(
    values: NDArray[np.float64], segment: NDArray[np.int64], segments: int
) -> NDArray[np.float64]:
    """Sum of the rows of every segment, ``(segments, columns)``."""
    if segments == 1:
        return values.sum(0, keepdims=True)
    return np.stack([np.bincount(segment, column, segments) for column in values.T], 1)


def _scatter(centred: NDArray[np.float64], segment: NDArray[np.int64], segments: int) -> NDArray[np.float64]:
    if segments == 1:
        return (centred.T @ centred)[None]
    features = centred.shape[1]
    result = np.empty((segments, features, features))
    for i in range(features):
        for j in range(i, features):
            result[:, i, j] = np.bincount(segment, centred[:, i] * centred[:, j], segments)
            result[:, j, i] = result[:, i, j]
    return result
