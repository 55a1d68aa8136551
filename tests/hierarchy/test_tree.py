"""Trees, roll-ups, changes in place, devices and export: the same bits every way, and the work counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.hierarchy import mesh, update
from convergence_jax.hierarchy.leaf_sums import sums_by_segment
from convergence_jax.hierarchy.reduce import roll_up, roll_up_layout
from convergence_jax.hierarchy.segment_moments import moments_by_segment
from convergence_jax.hierarchy.tree import Tree, by_size, from_codes
from convergence_jax.hierarchy.update import LiveTree
from convergence_jax.statistics.moments import Moments, MomentsState

NARROW = Moments((FixedPoint(20, 11), FixedPoint(28, 3)))
WIDE = Moments((FixedPoint(50, 12), FixedPoint(20, 11)))
AGENTS = 200
statistics = pytest.mark.parametrize("stat", [NARROW, WIDE], ids=["narrow", "wide"])


def bits(state: object) -> bytes:
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))


def uneven_tree() -> Tree:
    rng = np.random.default_rng(2)
    return from_codes([rng.geometric(0.5, AGENTS), rng.integers(0, 3, AGENTS), rng.geometric(0.2, AGENTS)])[0]


TREE = uneven_tree()


def observations(key: int) -> np.ndarray:
    """Rows ``(AGENTS, 2)``, some of which cannot be held."""
    rng = np.random.default_rng(key)
    xs = rng.standard_normal((AGENTS, 2)) * 3
    xs[rng.integers(AGENTS), 0], xs[rng.integers(AGENTS), 1], xs[rng.integers(AGENTS), 1] = (
        np.nan,
        np.inf,
        1e300,
    )
    return xs


def states_of(live: LiveTree) -> tuple[MomentsState, ...]:
    return tuple(live.state(level) for level in range(live.tree.levels))


@statistics
@settings(max_examples=5)
@given(key=st.integers(0, 2**32 - 1))
def test_every_group_of_every_level_holds_its_rows(stat, key):
    xs = observations(key)
    levels = roll_up(stat, TREE, xs.T)
    with np.errstate(over="ignore", invalid="ignore"):
        rows = stat.lift(xs)
    ancestors = TREE.ancestors[TREE.group]
    for k, state in enumerate(levels):
        for g in range(TREE.sizes[k]):
            whole = stat.total(jax.tree.map(lambda a, k=k, g=g: a[ancestors[:, k] == g], rows))
            assert bits(jax.tree.map(lambda a, g=g: a[g], state)) == bits(whole)


def test_groups_are_paths_of_values_in_order():
    tree, paths = from_codes([np.array([7, 2, 7, 2]), np.array([0, 5, 0, 0])])
    assert tree.sizes == (1, 2, 3)
    assert [p.tolist() for p in paths] == [[[]], [[2], [7]], [[2, 0], [2, 5], [7, 0]]]
    assert tree.group.tolist() == [2, 1, 2, 0]
    assert [p.tolist() for p in tree.parents] == [[0, 0], [0, 0, 1]]
    sparse, paths = from_codes([np.array([10**12, 3, 10**12])])
    assert paths[1].tolist() == [[3], [10**12]]
    assert sparse.group.tolist() == [1, 0, 1]


def test_a_tree_by_size_has_full_groups_up_to_one_root():
    tree = by_size(1000, 8)
    assert tree.sizes == (1, 2, 16, 125)
    assert np.bincount(tree.group).max() == 8
    assert by_size(1, 8).sizes == (1,)
    for args, message in (((10, 1), "arity must be at least 2, got 1"), ((0, 2), "at least one agent")):
        with pytest.raises(ValueError, match=message):
            by_size(*args)
    with pytest.raises(ValueError, match="must have 2 rows, got 3"):
        from_codes([np.zeros(2, np.int64), np.zeros(3, np.int64)])
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        from_codes([np.array([-1])])
    with pytest.raises(ValueError, match="must have 1000 columns"):
        roll_up(NARROW, tree, np.zeros((2, 3)))


@statistics
@given(key=st.integers(0, 2**32 - 1), steps=st.lists(st.sampled_from([1, 3, 150]), min_size=1, max_size=6))
def test_changes_in_place_leave_the_bits_of_a_fresh_roll_up(stat, key, steps):
    rng = np.random.default_rng(key)
    live, now = LiveTree(stat, TREE), np.full((AGENTS, 2), np.nan)
    present = np.zeros(AGENTS, dtype=bool)
    for k, size in enumerate([AGENTS, *steps]):
        agents = rng.permutation(AGENTS)[:size]
        if k % 3 == 2:
            live.leave(agents)
            present[agents] = False
        else:
            xs = observations(int(rng.integers(2**32)))[:size]
            live.update(agents, xs)
            now[agents], present[agents] = xs, True
    np.testing.assert_array_equal(live.present, present)
    fresh = LiveTree(stat, TREE)
    fresh.join(np.flatnonzero(present), now[present])
    assert bits(states_of(live)) == bits(states_of(fresh))
    everyone = LiveTree(stat, TREE)
    everyone.join(np.arange(AGENTS), np.where(present[:, None], now, 0.0))
    everyone.leave(np.flatnonzero(~present))
    assert bits(states_of(live)) == bits(states_of(everyone))


@statistics
def test_a_live_tree_with_everyone_in_it_is_the_roll_up(stat):
    xs = observations(11)
    live = LiveTree(stat, TREE)
    for part in np.array_split(np.random.default_rng(0).permutation(AGENTS), [1, 5, 170]):
        live.join(part, xs[part])
    assert bits(states_of(live)) == bits(roll_up(stat, TREE, xs.T))
    live.leave(np.arange(AGENTS))
    assert bits(states_of(live)) == bits(states_of(LiveTree(stat, TREE)))


@statistics
def test_carrying_the_lanes_changes_no_state(stat, monkeypatch):
    xs = observations(12)
    live, often = LiveTree(stat, TREE), LiveTree(stat, TREE)
    live.join(np.arange(AGENTS), xs)
    monkeypatch.setattr(update, "_SETTLE_AFTER", 1)
    for part in np.array_split(np.arange(AGENTS), 4):
        often.join(part, xs[part])
    assert bits(states_of(often)) == bits(states_of(live))


def test_a_change_that_does_not_fit_is_refused():
    live = LiveTree(NARROW, TREE)
    with pytest.raises(ValueError, match="distinct"):
        live.update([3, 3], np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"2 agents need observations of shape \(2, 2\)"):
        live.update([3, 4], np.zeros((1, 2)))


@statistics
def test_devices_leave_no_trace(stat):
    xs = observations(13).T
    alone = moments_by_segment(stat, xs, TREE.group, TREE.sizes[-1])
    ticks = np.random.default_rng(1).integers(-(2**30), 2**30, (2, AGENTS))
    count, sums = sums_by_segment(stat, ticks, TREE.group, TREE.sizes[-1])
    for devices in (1, 2, 8):
        chosen = jax.devices()[:devices]
        spread = mesh.moments_by_segment(stat, xs, TREE.group, TREE.sizes[-1], devices=chosen)
        assert bits(spread) == bits(alone)
        again = mesh.sums_by_segment(stat, ticks, TREE.group, TREE.sizes[-1], devices=chosen)
        np.testing.assert_array_equal(again[0], count)
        np.testing.assert_array_equal(again[1], sums)


@statistics
def test_a_roll_up_is_exported_for_cpu_and_cuda_without_a_host_callback(stat):
    parents, sizes = tuple(jnp.asarray(p) for p in TREE.parents), TREE.sizes
    f = jax.jit(lambda xs, layout, parents: roll_up_layout(stat, xs, layout, parents, sizes))
    exported = jax.export.export(f, platforms=["cpu", "cuda"])(np.zeros((2, AGENTS)), TREE.layout, parents)
    assert exported.platforms == ("cpu", "cuda")
    assert "custom_call" not in exported.mlir_module()


def exponent(ns: list[int], work: list[float]) -> float:
    """Slope of the work on a doubly logarithmic scale."""
    return float(np.polyfit(np.log(ns), np.log(work), 1)[0])


SIZES = [10**3, 10**4, 10**5, 10**6]


def test_merges_of_a_roll_up_grow_with_n_and_those_of_an_update_with_depth():
    trees = [by_size(n, 8) for n in SIZES]
    assert exponent(SIZES, [tree.merges for tree in trees]) == pytest.approx(1.0, abs=0.01)
    live = [LiveTree(NARROW, tree) for tree in trees[:3]]
    done = [tree.join(5, np.zeros(2)) for tree in live]
    assert done == [2 * tree.tree.levels for tree in live]
    assert [tree.merges for tree in live] == done


def test_operations_of_an_update_grow_with_depth_and_not_with_n():
    instructions, flops, depths = [], [], []
    for n in SIZES:
        tree = by_size(n, 8)
        lanes = jax.ShapeDtypeStruct((sum(tree.sizes), update._row_length(NARROW)), jnp.int64)
        packed = jax.ShapeDtypeStruct((6 + tree.levels, 1), jnp.int64)
        lowered = update._add_paths.lower(NARROW, lanes, packed)
        instructions.append(lowered.as_text().count(" = "))
        cost = lowered.compile().cost_analysis()
        flops.append(cost["flops"])
        depths.append(tree.levels)
    per_level = np.diff(instructions) / np.diff(depths)
    assert len(set(per_level)) == 1  # so many more for each level, whatever n is
    assert exponent(SIZES, flops) < 0.2


def test_operations_of_a_roll_up_do_not_depend_on_n():
    counts, several = [], []
    for n in SIZES:
        xs, tree = jax.ShapeDtypeStruct((2, n), jnp.float64), by_size(n, 50)
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), np.int32), tree.layout)
        f = jax.jit(lambda xs, layout: moments_by_segment(NARROW, xs, layout))
        counts.append(f.lower(xs, shapes).as_text().count(" = "))
        # The loop takes as many steps as there are rows to add, and no more than a sixth in padding besides;
        # blocks of 50 rows take 13 steps of 4.
        assert int(tree.layout.steps.sum()) * 4 * 1008 <= 1.17 * n + 1008 * 52
        several.append(tree.layout.part_owner.shape[0] > 0)
    # Segments of several blocks ask for one more table; the smaller inputs are padded first.
    for kind in set(several):
        alike = [count for count, other in zip(counts, several, strict=True) if other == kind]
        assert max(alike) <= min(alike) + 8
