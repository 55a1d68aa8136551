"""How work grows, by counting operations: exponents fitted to the counts, never to seconds."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convergence_jax.exact.constants import FLOAT32, FLOAT64
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.hierarchy.fold import reduce
from convergence_jax.hierarchy.tree import by_size
from convergence_jax.hierarchy.update import LiveTree
from convergence_jax.statistics.moments import Moments

SIZES = [2**10, 2**12, 2**14, 2**16]
MOMENTS = Moments((FixedPoint(20, 11), FixedPoint(20, 11)))


def exponent(ns: list[int], work: list[float]) -> float:
    """Slope of the work on a doubly logarithmic scale."""
    return float(np.polyfit(np.log(ns), np.log(work), 1)[0])


class Work(NamedTuple):
    """A state that says what it cost to make."""

    merges: Any
    depth: Any


@dataclass(frozen=True)
class CountedWork:
    """A statistic whose answer is the merges that were carried out, and how many of them in a row."""

    def empty(self) -> Work:
        return Work(np.int64(0), np.int64(0))

    def lift(self, x: Any) -> Work:
        return Work(jnp.zeros_like(x, dtype=jnp.int64), jnp.zeros_like(x, dtype=jnp.int64))

    def merge(self, a: Work, b: Work) -> Work:
        return Work(a.merges + b.merges + 1, jnp.maximum(a.depth, b.depth) + 1)

    def present(self, state: Work) -> Work:
        return state


@pytest.mark.parametrize("arity", [2, 8, 32])
def test_a_reduction_takes_n_merges_and_their_depth_is_logarithmic(arity):
    states = [reduce(CountedWork(), np.zeros(n), arity=arity) for n in SIZES]
    merges, depths = [int(s.merges) for s in states], [int(s.depth) for s in states]
    assert exponent(SIZES, merges) == pytest.approx(1.0, abs=0.01)
    # Empty children that fill up the last group are merged too: at most so many a level.
    levels = [math.ceil(math.log(n, arity) - 1e-9) for n in SIZES]
    filled = [arity * level for level in levels]
    assert all(n - 1 <= m <= n - 1 + f for n, m, f in zip(SIZES, merges, filled, strict=True))
    assert depths == [(arity - 1) * level for level in levels]


@pytest.mark.parametrize("arity", [4, 16])
def test_updating_every_agent_takes_n_log_n_merges_and_not_n_squared(arity):
    each, whole = [], []
    for n in SIZES:
        live = LiveTree(MOMENTS, by_size(n, arity))
        one = live.join(3, np.zeros(2))
        each.append(n * one)
        whole.append(n * live.tree.merges)
        assert one == 2 * live.tree.levels <= 2 * (math.log(n, arity) + 2)
    assert exponent(SIZES, each) == pytest.approx(1.0, abs=0.15)
    per_level = [work / (n * math.log(n)) for n, work in zip(SIZES, each, strict=True)]
    assert max(per_level) <= 1.25 * min(per_level)
    # Rolling everything up anew for each update is what that saves.
    assert exponent(SIZES, whole) == pytest.approx(2.0, abs=0.01)


def flops(function: Any, *shapes: jax.ShapeDtypeStruct) -> float:
    """Operations of a compiled function, as XLA counts them; bodies of loops once."""
    return float(jax.jit(function).lower(*shapes).compile().cost_analysis()["flops"])


@pytest.mark.parametrize(
    ("lift", "dtype"),
    [
        (Superaccumulator(FLOAT32).lift, jnp.float32),
        (Superaccumulator(FLOAT64).lift, jnp.float64),
    ],
    ids=["float32", "float64"],
)
def test_operations_of_lifting_grow_with_the_number_of_terms(lift, dtype):
    sizes = [2**8, 2**10, 2**12]
    counts = [flops(lambda x: lift(x), jax.ShapeDtypeStruct((n,), dtype)) for n in sizes]
    assert exponent(sizes, counts) == pytest.approx(1.0, abs=0.02)


def test_a_merge_takes_the_same_operations_whatever_was_merged_before():
    stat = Superaccumulator(FLOAT64)
    small, large = stat.collect(np.ones(1)), stat.collect(np.full(10**5, 1e300))
    assert [np.shape(a) for a in jax.tree.leaves(small)] == [np.shape(a) for a in jax.tree.leaves(large)]
