"""`Fleet`: all that is known of a fleet, exactly and in canonical order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.data.backend import Backend
from convergence_jax.exact import digits
from convergence_jax.hierarchy.leaf_sums import mean_ticks
from convergence_jax.statistics.moments import Moments, MomentsState

Path = tuple[str, ...]


@dataclass(frozen=True)
class Units:
    """Agents within the groups of one level: all observations of an agent there, merged.

    Attributes
    ----------
    agent, group : Int64 (units,)
        Indices into the sorted agents and the sorted groups of the level; sorted by agent, then group.
    count : Int64 (units,)
        Observations.
    sums : UInt32 (units, features, digits)
        Sums of ticks.
    """

    agent: np.ndarray
    group: np.ndarray
    count: np.ndarray
    sums: np.ndarray

    def __len__(self) -> int:
        return len(self.agent)

    def in_groups(self, parent: np.ndarray) -> "Units":
        """The units one level up, where group `g` becomes ``parent[g]``."""
        group = parent[self.group]
        # Sorted by agent and path, so what merges is adjacent.
        starts = np.flatnonzero(np.diff(self.agent, prepend=-1) | np.diff(group, prepend=-1))
        if len(starts) == len(self):
            return Units(self.agent, group, self.count, self.sums)
        return Units(
            self.agent[starts],
            group[starts],
            np.add.reduceat(self.count, starts),
            digits.normalize(np.add.reduceat(digits.lanes(self.sums), starts)),
        )


@dataclass(frozen=True)
class FleetLevel:
    """One level of groups, from the whole population to the finest.

    Attributes
    ----------
    name : str
        ``all`` for the population, else the column of the level.
    labels : list of tuple of str
        Path of each group, sorted; the population's is empty.
    parent : Int64 (groups,)
        Index of each group's parent one level up; empty for the population.
    observations : MomentsState
        Moments of the observations of each group.
    units : Units
        Agents within groups.
    ticks : Int64 (features, units)
        Mean of each unit, lifted a second time: rounded to the ticks of the lifts, ties to even.
    means : MomentsState
        Moments of the units' lifted means, of each group.
    """

    name: str
    labels: list[Path]
    parent: np.ndarray
    observations: MomentsState
    units: Units
    ticks: np.ndarray
    means: MomentsState


@dataclass(frozen=True)
class Fleet:
    """All states of a fleet: the same for any order and split of the rows, any device and device count.

    Attributes
    ----------
    moments : Moments
        The statistic; holds the lifts.
    agents : list of str
        Agents, sorted.
    levels : list of FleetLevel
        The population first, then from coarse to fine.
    """

    moments: Moments
    agents: list[str]
    levels: list[FleetLevel]

    def parts(self) -> dict[str, Any]:
        """What the digest covers: lifts, agents, groups and states; what follows from them is left out."""
        finest = self.levels[-1]
        return {
            "lifts": [[lift.scale_bits, lift.range_bits] for lift in self.moments.lifts],
            "agents": self.agents,
            "levels": [
                {
                    "name": level.name,
                    "groups": ["\x1f".join(label) for label in level.labels],
                    "observations": level.observations,
                    "means": level.means,
                }
                for level in self.levels
            ],
            "units": finest.units,
        }


def build_levels(
    moments: Moments,
    names: tuple[str, ...],
    labels: list[list[Path]],
    parents: list[np.ndarray],
    observations: MomentsState,
    units: Units,
    backend: Backend,
) -> list[FleetLevel]:
    """Every level from the states of the finest.

    Parameters
    ----------
    names, labels, parents
        Of each level, the population first.
    observations : MomentsState
        Of the finest groups, in the order of their labels.
    units : Units
        Of the finest level.
    backend : Backend
        What sums.
    """
    everything = backend.merge_upwards(observations, parents[1:], [len(label) for label in labels])
    levels: list[FleetLevel] = []
    for depth in range(len(names) - 1, -1, -1):
        # Where no units merge on the way up, their means stay what they are.
        if not levels or len(units) != levels[-1].ticks.shape[1]:
            ticks = np.ascontiguousarray(mean_ticks(units.count, units.sums).T)
        means = backend.group_moments(moments, ticks, units.group, len(labels[depth]))
        levels.append(
            FleetLevel(names[depth], labels[depth], parents[depth], everything[depth], units, ticks, means)
        )
        if depth:
            units = units.in_groups(parents[depth])
    return levels[::-1]
