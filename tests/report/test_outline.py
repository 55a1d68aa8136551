"""A tree of any size is cut to what a person would want to see, and what is cut is counted."""

from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.report.outline import NARROW, WIDTH, Branch, outline
from convergence_jax.report.page import TreeNode

ROOT = TreeNode((), 100, 5)

labels = st.sampled_from(["a", "b", "c", "d"])
nodes = st.lists(
    st.builds(
        lambda path, agents, flagged: TreeNode(tuple(path), agents, min(agents, flagged)),
        st.lists(labels, max_size=4),
        st.integers(0, 50),
        st.integers(0, 3),
    ),
    max_size=60,
    unique_by=lambda node: node.path,
)


def shown(branch: Branch) -> int:
    return sum(1 + shown(child) for child in branch.children)


def direct_and_hidden_agree(branch: Branch) -> bool:
    return branch.below == len(branch.children) + branch.hidden and all(
        direct_and_hidden_agree(child) for child in branch.children
    )


@given(tree=nodes, budget=st.integers(0, 80))
def test_every_group_is_shown_or_counted_whatever_the_budget(tree: list[TreeNode], budget: int) -> None:
    top = outline(tree, ROOT, budget=budget)
    assert shown(top) <= budget
    assert direct_and_hidden_agree(top)


@given(tree=nodes, seed=st.randoms(use_true_random=False))
def test_the_order_of_groups_leaves_no_trace(tree: list[TreeNode], seed) -> None:
    shuffled = list(tree)
    seed.shuffle(shuffled)
    assert outline(shuffled, ROOT) == outline(tree, ROOT)


def test_the_worst_come_first_and_the_rest_are_counted() -> None:
    tree = [TreeNode((f"g{i:03}",), 10, i % 7 == 0) for i in range(200)]
    top = outline(tree, ROOT)
    assert len(top.children) == WIDTH
    assert all(child.flagged for child in top.children)
    assert (top.below, top.hidden, top.hidden_with_flagged) == (200, 180, 29 - WIDTH)


def test_few_groups_without_flagged_agents_are_shown() -> None:
    top = outline([TreeNode((f"g{i:03}",), 10, 0) for i in range(200)], ROOT)
    assert len(top.children) == NARROW


def test_a_single_group_more_is_shown_rather_than_counted() -> None:
    top = outline([TreeNode((f"g{i}",), 10, 0) for i in range(NARROW + 1)], ROOT)
    assert (len(top.children), top.hidden) == (NARROW + 1, 0)


def test_a_group_whose_parent_is_missing_hangs_below_its_nearest_ancestor() -> None:
    top = outline([TreeNode(("a",), 5, 0), TreeNode(("a", "b", "c"), 3, 1)], ROOT)
    assert top.children[0].children[0].labels == ("b", "c")


def test_the_whole_population_of_the_tree_is_preferred_to_the_one_given() -> None:
    assert outline([TreeNode((), 7, 2)], ROOT).agents == 7
    assert outline([], ROOT).agents == 100
