"""A tree over agents: which group each is in, at every level, and what a roll-up of them all costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convergence_jax.hierarchy.segments import SegmentLayout, lay_out


@dataclass(frozen=True, eq=False)
class Tree:
    """Groups of agents, groups of groups, up to one root. Arrays of positions on the host, no values.

    Attributes
    ----------
    group : Int32[ndarray, "agents"]
        Finest group of each agent, or of each row: several rows may belong to one agent.
    parents : tuple of Int32[ndarray, "groups"]
        Coarse to fine: ``parents[k]`` leads from the groups of level ``k + 1`` to those of level ``k``.
    sizes : tuple[int, ...]
        Groups of every level, coarse to fine; the first is 1.

    See Also
    --------
    from_codes, by_size : the two ways to make one.
    """

    group: np.ndarray
    parents: tuple[np.ndarray, ...]
    sizes: tuple[int, ...]

    @property
    def levels(self) -> int:
        """Levels of groups, the root included."""
        return len(self.sizes)

    @property
    def agents(self) -> int:
        """Agents, or rows."""
        return len(self.group)

    @property
    def merges(self) -> int:
        """Merges of one roll-up: one for each agent, and one for each group below the root."""
        return self.agents + sum(self.sizes[1:])

    @cached_property
    def layout(self) -> SegmentLayout:
        """Layout of the agents by finest group; made once."""
        return lay_out(self.group, self.sizes[-1])

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where each level begins when the groups of all levels are numbered through, coarse to fine."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def ancestors(self) -> np.ndarray:
        """``Int32[ndarray, "groups levels"]``: for each finest group, its group at every level."""
        columns = [np.arange(self.sizes[-1], dtype=np.int32)]
        for parent in reversed(self.parents):
            columns.append(parent[columns[-1]])
        return np.stack(columns[::-1], axis=1)


def from_codes(codes: Sequence[np.ndarray]) -> tuple[Tree, list[np.ndarray]]:
    """A tree from group columns.

    Parameters
    ----------
    codes : sequence of Int[ndarray, "agents"]
        One column a level, coarse to fine, as non-negative integers. A group is the path of values: equal
        codes under different parents are different groups.

    Returns
    -------
    tree : Tree
        One level more than columns; groups of a level in the order of their paths.
    paths : list of Int64[ndarray, "groups columns"]
        For every level, coarse to fine and the root first, the codes of each group's path.

    Raises
    ------
    ValueError
        If the columns differ in length or a code is negative.
    """
    n = len(codes[0]) if codes else 0
    group = np.zeros(n, dtype=np.int64)
    paths = [np.zeros((1, 0), dtype=np.int64)]
    parents: list[np.ndarray] = []
    for column in codes:
        column = np.asarray(column).astype(np.int64)
        if len(column) != n:
            raise ValueError(f"from_codes: every column must have {n} rows, got {len(column)}.")
        if n and int(column.min()) < 0:
            raise ValueError(f"from_codes: codes must not be negative, got {int(column.min())}.")
        width = int(column.max()) + 1 if n else 1
        keys, group = _unique(group * width + column, len(paths[-1]) * width)
        parent, code = keys // width, keys % width
        parents.append(parent.astype(np.int32))
        paths.append(np.concatenate([paths[-1][parent], code[:, None]], axis=1))
    tree = Tree(group.astype(np.int32), tuple(parents), tuple(len(p) for p in paths))
    return tree, paths


def _unique(keys: np.ndarray, bound: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys in order, and which one each key is; by a table where the bound allows one."""
    if bound <= 4 * len(keys) + 1024:
        present = np.zeros(bound, dtype=bool)
        present[keys] = True
        distinct = np.flatnonzero(present)
        return distinct, (np.cumsum(present) - 1)[keys]
    return np.unique(keys, return_inverse=True)


def by_size(agents: int, arity: int) -> Tree:
    """A tree of groups of at most `arity` neighbours, up to one root.

    Raises
    ------
    ValueError
        If `arity` is below 2 or there is no agent.
    """
    if arity < 2:
        raise ValueError(f"by_size: arity must be at least 2, got {arity}.")
    if agents < 1:
        raise ValueError(f"by_size: at least one agent is needed, got {agents}.")
    sizes = [-(-agents // arity)]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // arity))
    parents = tuple((np.arange(size) // arity).astype(np.int32) for size in sizes[-2::-1])
    return Tree((np.arange(agents) // arity).astype(np.int32), parents, tuple(sizes[::-1]))
