"""From a stream of rows to the states of a `Fleet`."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from convergence_jax.data.backend import Backend
from convergence_jax.data.coding import Coder, pair, positions, unpair
from convergence_jax.data.fleet import Fleet, Path, Units, build_levels
from convergence_jax.statistics.moments import Moments
from convergence_jax.statistics.state import map_arrays


class FleetIndex:
    """Codes of agents, groups and leaves, shared by the tables of one run.

    A *leaf* is an agent in one finest group.
    """

    def __init__(self, levels: Sequence[str]) -> None:
        self.names = ("all", *levels)
        self.agents = Coder()
        self.leaves = Coder()
        self._texts = [Coder() for _ in levels]
        self._paths = [Coder() for _ in levels]

    def encode(self, agent: pa.Array, levels: Sequence[pa.Array]) -> tuple[np.ndarray, np.ndarray]:
        """Codes of the leaf and of the finest group of each row, ``int64 (rows,)`` each."""
        path = np.zeros(len(agent), dtype=np.int64)
        for column, texts, paths in zip(levels, self._texts, self._paths, strict=True):
            path = paths.encode(pair(path, texts.encode(column)))
        return self.leaves.encode(pair(self.agents.encode(agent), path)), path

    def sorted_groups(self) -> tuple[list[list[Path]], list[np.ndarray], np.ndarray]:
        """Labels and parents of every level in order of text, and the finest codes in that order."""
        labels: list[list[Path]] = [[()]]
        parents = [np.zeros(0, dtype=np.int64)]
        order = np.zeros(1, dtype=np.int64)
        for texts, paths in zip(self._texts, self._paths, strict=True):
            above, text = unpair(paths.values)
            parent = positions(order)[above]
            order = np.lexsort((positions(texts.order())[text], parent))
            labels.append([(*labels[-1][parent[code]], texts.values[text[code]]) for code in order])
            parents.append(parent[order])
        return labels, parents, order


class FleetTable:
    """Growing states: counts and sums of every leaf, moments of the observations of every finest group.

    The groups' are kept as lanes, which add in any order; they become digits once, in :meth:`finish`.

    Attributes
    ----------
    rows : int
        Rows merged so far.
    """

    def __init__(self, index: FleetIndex, moments: Moments, backend: Backend) -> None:
        self._index = index
        self._moments = moments
        self._backend = backend
        self.rows = 0
        self._leaves = backend.leaf_table(moments)
        self._groups = map_arrays(_as_lanes, moments.empty((0,)))

    def add(self, leaf: np.ndarray, group: np.ndarray, ticks: np.ndarray) -> None:
        """Merge rows.

        Parameters
        ----------
        leaf, group : Int64 (rows,)
            Codes from :meth:`FleetIndex.encode`.
        ticks : Int (features, rows)
            Lifted values, all held.
        """
        if not len(leaf):
            return
        self.rows += len(leaf)
        self._leaves.add(ticks, leaf)
        here, position = np.unique(group, return_inverse=True)
        state = self._backend.group_moments(self._moments, ticks, position, len(here))

        def merge(lanes: np.ndarray, part: np.ndarray) -> np.ndarray:
            lanes = _grown(lanes, here[-1] + 1)
            lanes[here] += _as_lanes(part)
            return lanes

        self._groups = map_arrays(merge, self._groups, state)

    def finish(self) -> Fleet:
        """All states in canonical order; leaves without observations here are no units."""
        index, moments = self._index, self._moments
        labels, parents, order = index.sorted_groups()
        agent_order = index.agents.order()
        count, sums = self._leaves.state(len(index.leaves))
        seen = np.flatnonzero(count)
        agent, group = unpair([index.leaves.values[leaf] for leaf in seen])
        agent, group = positions(agent_order)[agent], positions(order)[group]
        place = np.lexsort((group, agent))
        leaves = seen[place]
        units = Units(agent[place], group[place], count[leaves], sums[leaves])
        observations = moments.of_lanes(
            map_arrays(lambda lanes: _grown(lanes, len(order), exactly=True)[order], self._groups)
        )
        agents = [index.agents.values[code] for code in agent_order]
        return Fleet(
            moments,
            agents,
            build_levels(moments, index.names, labels, parents, observations, units, self._backend),
        )


def _as_lanes(x: np.ndarray) -> np.ndarray:
    return np.asarray(x).astype(np.int64)


def _grown(table: np.ndarray, length: int, *, exactly: bool = False) -> np.ndarray:
    """`table` with zeros appended up to `length` rows; by half again at least, so that growing is cheap."""
    if length <= len(table):
        return table
    if not exactly:
        length = max(length, len(table) * 3 // 2)
    grown = np.zeros((length, *table.shape[1:]), dtype=table.dtype)
    grown[: len(table)] = table
    return grown
