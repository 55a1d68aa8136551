"""From exact states to the floats of the decision."""

import numpy as np

from convergence_jax.baseline.level import Level
from convergence_jax.data.fleet import Fleet, FleetLevel


def measure(fleet: Fleet) -> list[Level]:
    """Present every level of a fleet: means, covariance between units, covariance within them.

    Parameters
    ----------
    fleet : Fleet
        Exact states.

    Returns
    -------
    list of Level
        Floats, computed on the host in the order of agents, so the same for any order of the rows.

    Notes
    -----
    The scatter of a group's observations about its mean is that of the units' means, each counted as often
    as it has observations, plus the scatter within units. The whole comes from the exact state, correctly
    rounded; the first is taken off in floating point, whose error is small against the whole.
    """
    return [_measure(fleet, level) for level in fleet.levels]


def _measure(fleet: Fleet, level: FleetLevel) -> Level:
    units = level.units
    tick = np.array([lift.tick for lift in fleet.moments.lifts])
    # Ticks of 31 bits are floats exactly; wide ones round here once more.
    mean = (level.ticks * tick[:, None]).T
    means = fleet.moments.present(level.means)
    observed = fleet.moments.present(level.observations)
    covariance = np.where((means.count < 2)[:, None, None], 0.0, means.covariance)
    freedom = observed.count - means.count
    between = _weighted_scatter(mean - np.nan_to_num(observed.mean)[units.group], level)
    scatter = np.maximum(observed.count - 1, 0)[:, None, None] * np.nan_to_num(observed.covariance)
    within = (scatter - between) / np.maximum(freedom, 1)[:, None, None]
    within[freedom < 1] = 0.0
    diagonal = np.einsum("gii->gi", within)
    np.maximum(diagonal, 0.0, out=diagonal)  # what rounding left of a zero
    return Level(
        level.name,
        level.labels,
        units.agent,
        units.group,
        units.count,
        mean,
        level.parent,
        means.count,
        np.where((means.count < 1)[:, None], 0.0, means.mean),
        covariance,
        within,
        freedom,
    )


def _weighted_scatter(centred: np.ndarray, level: FleetLevel) -> np.ndarray:
    """Sum of ``count * centred centred'`` over the units of each group, ``(groups, features, features)``."""
    group, count = level.units.group, level.units.count
    groups, features = len(level.labels), centred.shape[1]
    result = np.empty((groups, features, features))
    for i in range(features):
        weighted = count * centred[:, i]
        for j in range(i, features):
            result[:, i, j] = result[:, j, i] = np.bincount(group, weighted * centred[:, j], groups)
    return result
