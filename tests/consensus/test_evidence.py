"""Tables of evidence: the same bits for any order, split, duplication and retraction, in NumPy and JAX."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from drawn_items import AGENTS, ITEMS, OBSERVERS, Items, bits, items
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.consensus.evidence import collect
from convergence_jax.exact import digits
from convergence_jax.exact.constants import FLOAT64
from convergence_jax.statistics.log_evidence import LogEvidence, widen
from convergence_jax.testing import strategies

COLUMNS = st.sampled_from([1, 2, 3])
DRAWN = COLUMNS.flatmap(items)


def totals(evidence):
    """Every agent's exact sums, as fractions."""
    sums = evidence.by_agent()
    full = widen(sums.window)
    full[sums.far] = sums.full()
    unit = Fraction(2) ** FLOAT64.lsb
    return [[int(v) * unit for v in row] for row in digits.to_ints(full)]


@given(DRAWN)
def test_sums_of_agents_are_those_of_rational_arithmetic(drawn):
    columns = drawn.values.reshape(ITEMS, -1).shape[1]
    expected = [[sum(drawn.said(agent, k)) for k in range(columns)] for agent in range(AGENTS)]
    assert totals(drawn.table()) == expected


@given(DRAWN, strategies.orders(ITEMS), st.integers(0, ITEMS), st.sampled_from([1, 3, 8]))
def test_order_and_sharding_leave_no_trace(drawn, order, cut, shards):
    whole = bits(drawn.table())
    assert bits(drawn.table(order)) == whole
    parts = [drawn.table(part) for part in np.array_split(order, shards)]
    merged = parts[0]
    for part in parts[1:]:
        merged = part.merge(merged)
    assert bits(merged) == whole
    left, right = drawn.table(order[:cut]), drawn.table(order[cut:])
    assert bits(left.merge(right).remove(right)) == bits(left)
    assert bits(left.remove(left)) == bits(drawn.table(slice(0, 0)))


@given(DRAWN, strategies.orders(ITEMS), st.integers(0, ITEMS))
def test_what_is_taken_out_before_it_came_in_is_owed(drawn, order, cut):
    left, right = drawn.table(order[:cut]), drawn.table(order[cut:])
    assert bits(left.remove(right).merge(right)) == bits(left)


def test_a_debt_of_what_no_window_holds_is_kept_where_nothing_is_counted():
    one, other = (
        collect(np.zeros(1, int), np.zeros(1, int), np.array([x]), agents=1, observers=1)
        for x in (2.0**-300, 2.0**-301)
    )
    owed = one.remove(other)
    assert owed.count.tolist() == [0]
    assert not owed.sums.window.any()
    assert bits(owed.merge(other)) == bits(one)


@given(DRAWN, st.sets(st.integers(0, OBSERVERS - 1)))
def test_retraction_leaves_the_bits_of_a_table_that_the_observer_never_wrote_to(drawn, gone):
    kept = np.flatnonzero(~np.isin(drawn.observer, list(gone)))
    assert bits(drawn.table().retract(sorted(gone))) == bits(drawn.table(kept))


@given(items(1))
def test_jax_gives_the_bits_of_numpy(drawn):
    on_device = Items(jnp.asarray(drawn.agent), jnp.asarray(drawn.observer), jnp.asarray(drawn.values))
    assert bits(on_device.table()) == bits(drawn.table())


@given(items(2))
def test_a_difference_of_columns_is_exact(drawn):
    expected = [[sum(drawn.said(i, 1)) - sum(drawn.said(i, 0))] for i in range(AGENTS)]
    assert totals(drawn.table().difference(1, 0)) == expected


def test_what_is_not_held_is_refused_whole_and_counted_by_observer():
    values = np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, np.inf], [2.0**30, 0.0], [4.0, 5.0]])
    made = collect(np.zeros(5, np.int32), np.array([0, 1, 1, 2, 2]), values, agents=1, observers=3)
    assert made.refused.tolist() == [0, 2, 1]
    assert made.count.tolist() == [1, 1]
    assert made.retract(1).refused.tolist() == [0, 0, 1]
    assert totals(made) == [[5, 7]]


def test_a_few_agents_of_a_million_have_the_cells_of_a_table_of_their_own():
    rng = np.random.default_rng(1)
    names = np.sort(rng.choice(10**6, 10, replace=False)).astype(np.int32)
    agent, observer = rng.integers(0, 10, 400), rng.integers(0, 50, 400)
    values = rng.standard_normal(400) * 2.0 ** rng.integers(-60, 10, 400)
    dense = collect(agent, observer, values, agents=10, observers=50)
    sparse = collect(names[agent], observer, values, agents=10**6, observers=50)
    assert sparse.agent.tolist() == names[dense.agent].tolist()
    for name in ("window", "far", "outside"):
        assert (getattr(sparse.sums, name) == getattr(dense.sums, name)).all()
    assert (sparse.count == dense.count).all()
    assert (sparse.observer == dense.observer).all()


def test_a_cell_takes_28_bytes_and_16_more_for_each_further_hypothesis():
    for columns, size in ((1, 28), (2, 44), (5, 92)):
        made = collect(np.arange(9), np.arange(9), np.ones((9, columns)), agents=9, observers=9)
        held = made.agent.nbytes + made.observer.nbytes + made.count.nbytes + made.sums.window.nbytes
        assert made.bytes_a_cell == size == held // 9


def test_tables_of_different_ranges_do_not_merge():
    one, other = (
        collect(
            np.zeros(1, int), np.zeros(1, int), np.ones(1), agents=1, observers=1, statistic=LogEvidence(b)
        )
        for b in (30, 31)
    )
    with pytest.raises(ValueError, match="do not merge"):
        one.merge(other)


@pytest.mark.parametrize(("agent", "observer"), [([3], [0]), ([0], [-1]), ([0, 1], [0])])
def test_codes_that_do_not_fit_are_refused(agent, observer):
    with pytest.raises(ValueError, match="collect:"):
        collect(np.array(agent), np.array(observer), np.ones(1), agents=3, observers=2)
