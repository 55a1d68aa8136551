"""`outline`: a tree of any size, cut to the groups that a person would want to see."""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from convergence_jax.report.page import TreeNode

BUDGET = 600  # groups shown in all
WIDTH = 20  # groups shown below one group at most
NARROW = 6  # groups shown there even if none has a flagged agent


@dataclass
class Branch:
    """One group with the groups below it that are shown.

    Parameters
    ----------
    labels : tuple of str
        Its labels below the branch that holds it: one, unless a group between is missing from the tree.
    agents, flagged : int
        Agents in the group, and how many of them are flagged.
    children : list of Branch
        The worst first.
    hidden, hidden_with_flagged : int
        Groups directly below that are not shown, and how many of them have flagged agents.
    below : int
        Groups directly below, shown or not.
    """

    labels: tuple[str, ...]
    agents: int
    flagged: int
    children: list["Branch"] = field(default_factory=list)
    hidden: int = 0
    hidden_with_flagged: int = 0
    below: int = 0

    @property
    def share(self) -> float:
        """The share of agents that are flagged."""
        return self.flagged / self.agents if self.agents else 0.0


def _worst_first(node: TreeNode) -> tuple[int, float, int, tuple[str, ...]]:
    return (-node.flagged, -node.flagged / max(node.agents, 1), -node.agents, node.path)


def outline(nodes: Sequence[TreeNode], root: TreeNode, *, budget: int = BUDGET) -> Branch:
    """Choose the groups to show: coarse before fine, worst before better, until the budget is spent.

    Parameters
    ----------
    nodes : sequence of TreeNode
        All groups in any order. A group whose parent is missing hangs below its nearest ancestor.
    root : TreeNode
        The whole population, taken where `nodes` has no entry for the empty path.
    budget : int
        Groups shown in all, at least; every group that is left out is counted where it would have been.

    Returns
    -------
    Branch
        The whole population, whatever order `nodes` had.
    """
    known = {node.path: node for node in nodes}
    root = known.setdefault((), root)
    below: dict[tuple[str, ...], list[TreeNode]] = defaultdict(list)
    for path, node in known.items():
        if path:
            parent = path[:-1]
            while parent not in known:
                parent = parent[:-1]
            below[parent].append(node)

    top = Branch((), root.agents, root.flagged)
    waiting = [(0, _worst_first(root), top)]
    while waiting:
        depth, (*_, path), branch = heapq.heappop(waiting)
        children = sorted(below.get(path, ()), key=_worst_first)
        with_flagged = sum(node.flagged > 0 for node in children)
        width = min(WIDTH, max(NARROW, with_flagged + 2))
        if len(children) == width + 1:
            width += 1  # rather the last one than a line that says that there is one more
        width = min(width, budget)
        for node in children[:width]:
            child = Branch(node.path[len(path) :], node.agents, node.flagged)
            branch.children.append(child)
            heapq.heappush(waiting, (depth + 1, _worst_first(node), child))
        budget -= len(children[:width])
        branch.below = len(children)
        branch.hidden = len(children[width:])
        branch.hidden_with_flagged = sum(node.flagged > 0 for node in children[width:])
    return top
