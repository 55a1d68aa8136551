"""Every statistic of the library keeps the law, in bits, faults included."""

import copy
import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given

import convergence_jax as cj
from convergence_jax.exact.constants import FLOAT32
from convergence_jax.statistics.faults import any_fault
from convergence_jax.statistics.law import Removable
from convergence_jax.statistics.sums import Sum, SumState
from convergence_jax.testing import laws, strategies
from convergence_jax.testing.catalogue import CASES
from convergence_jax.testing.sample import CAPACITY, Sample, bits

EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
REMOVABLE = pytest.mark.parametrize(
    "case", [c for c in CASES if isinstance(c.statistic, Removable)], ids=lambda case: case.name
)


@EVERY
def test_every_statistic_keeps_the_law(case):
    @given(sample=case.samples, order=strategies.orders(), arity=strategies.arities())
    def run(sample, order, arity):
        laws.check_laws(case.statistic, sample, order=order, arity=arity)

    run()


@EVERY
def test_a_statistic_is_a_value_that_compiled_code_may_keep_and_its_answers_do_not_change(case):
    again = copy.deepcopy(case.statistic)
    assert again == case.statistic
    assert hash(again) == hash(case.statistic)
    answer = case.statistic.present(case.statistic.empty())
    for kept in filter(dataclasses.is_dataclass, (again, case.statistic.empty(), answer)):
        for field in dataclasses.fields(kept):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(kept, field.name, None)


@pytest.mark.parametrize("stat", [cj.Sum(), laws.MergingOnly(cj.Extrema())], ids=repr)
@given(sample=strategies.samples(), order=strategies.orders(), arity=strategies.arities())
def test_tree_shape_and_order_leave_no_trace(stat, sample, order, arity):
    flat = cj.reduce(stat, sample.xs, arity=CAPACITY, where=sample.seen)
    tree = cj.reduce(stat, sample.xs[order], arity=arity, where=sample.seen[order])
    assert bits(tree) == bits(flat)


@REMOVABLE
def test_a_window_that_slides_equals_one_that_was_counted_anew(case):
    @given(sample=case.samples)
    def run(sample):
        states = [case.statistic.lift(x) for x in Sample(sample.xs, np.ones(CAPACITY, bool)).observations()]
        window = functools.reduce(case.statistic.merge, states[:4])
        for i in range(4, CAPACITY):
            window = case.statistic.merge(case.statistic.remove(window, states[i - 4]), states[i])
        assert bits(window) == bits(functools.reduce(case.statistic.merge, states[-4:]))

    run()


@REMOVABLE
def test_an_observation_that_was_removed_and_never_added_is_not_valid(case):
    @given(sample=case.samples)
    def run(sample):
        for x in sample.observations():
            lifted = case.statistic.lift(x)
            value = case.statistic.present(case.statistic.remove(case.statistic.empty(), lifted))
            if hasattr(value, "valid") and not np.any(any_fault(lifted.faults)):
                assert not np.any(value.valid)

    run()


@pytest.mark.parametrize("name", ["extrema", "distinct", "product-by-name"])
def test_idempotent_statistics_have_no_remove_and_count_nothing_twice(name):
    case = next(c for c in CASES if c.name == name)
    assert not hasattr(case.statistic, "remove")
    assert not isinstance(case.statistic, Removable)

    @given(sample=case.samples)
    def run(sample):
        state = functools.reduce(
            case.statistic.merge, map(case.statistic.lift, sample.observations()), case.statistic.empty()
        )
        assert bits(case.statistic.merge(state, state)) == bits(state)

    run()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (cj.Sum(20, 11), cj.Sum(19, 12)),
        (cj.Sum(20, 11), cj.Sum(20, 10)),
        (cj.Histogram((0.0, 1.0)), cj.Histogram((0.0, 2.0))),
        (cj.Quantiles(2, -4, 4), cj.Quantiles(2, -3, 5)),
        (cj.product(a=cj.Sum(20, 11)), cj.product(a=cj.Sum(19, 12))),
    ],
    ids=repr,
)
def test_states_of_other_lifts_do_not_merge(one, other):
    laws.strangers_do_not_merge(one, other, np.float64(0.5))


def test_compiled_code_refuses_states_of_other_lifts():
    a, b = cj.Sum(20, 11), cj.Sum(19, 12)
    x, y = (jax.tree.map(jax.numpy.asarray, stat.lift(np.float64(1.0))) for stat in (a, b))
    with pytest.raises(ValueError, match="do not merge"):
        jax.jit(a.merge)(x, y)
    with pytest.raises(ValueError):
        jax.tree.map(jax.numpy.add, x, y)


def test_states_are_hashed_and_compared_as_the_objects_they_are():
    one, other = Sum().empty(), Sum().empty()
    assert len({one, other, one}) == 2
    assert one != other


@EVERY
def test_states_are_pytrees_that_survive_a_round_trip(case):
    leaves, structure = jax.tree.flatten(case.statistic.empty())
    assert bits(jax.tree.unflatten(structure, leaves)) == bits(case.statistic.empty())
    assert all(leaf.dtype.kind in "iu" for leaf in leaves)


@dataclasses.dataclass(frozen=True)
class _Broken:
    """A sum with one verb replaced: what the laws must catch."""

    verb: str
    inner: Sum = dataclasses.field(default_factory=Sum)

    def empty(self) -> SumState:
        return self.inner.empty()

    def lift(self, x: Any) -> SumState:
        return self.inner.lift(x)

    def merge(self, a: SumState, b: SumState) -> SumState:
        made = self.inner.merge(a, b)
        if self.verb == "merge":
            return dataclasses.replace(made, count=a.count | b.count)
        if self.verb == "faults":
            return dataclasses.replace(made, faults=a.faults)
        if self.verb == "order":
            return dataclasses.replace(made, count=a.count + 2 * b.count)
        return made

    def remove(self, a: SumState, b: SumState) -> SumState:
        made = self.inner.remove(a, b)
        return dataclasses.replace(made, faults=a.faults) if self.verb == "remove" else made

    def present(self, state: SumState) -> Any:
        return self.inner.present(state)


@pytest.mark.parametrize("verb", ["merge", "faults", "order", "remove"])
def test_the_laws_catch_a_broken_statistic(verb):
    xs = np.array([1.0, np.nan, 2.0, np.inf, 1e9, -3.0])
    sample = Sample(xs, np.ones(len(xs), dtype=bool))
    laws.check_laws(_Broken("none"), sample)
    with pytest.raises(AssertionError, match="_Broken"):
        laws.check_laws(_Broken(verb), sample)


def test_folding_without_64_bit_mode_says_what_to_do():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        cj.reduce(cj.Count(), np.zeros(3, dtype=np.float32))


def test_float32_sums_next_to_a_subnormal_count_nothing_twice():
    xs = np.array([1.0, 4.0, 1e-45], dtype=np.float32)
    stat = cj.Superaccumulator(FLOAT32)
    assert bits(cj.reduce(stat, xs)) == bits(stat.collect(xs))
