"""Bounds under lying observers: every liar set, exact ends, rounded outwards, and nothing narrower holds."""

import math
from fractions import Fraction

import numpy as np
import pytest
from drawn_items import AGENTS, OBSERVERS, items
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.consensus.bounds import bounds, check_liars, largest_sum
from convergence_jax.consensus.evidence import collect
from convergence_jax.exact import digits
from convergence_jax.testing import oracles

LIARS = st.integers(0, (OBSERVERS - 1) // 2)
PRIORS = st.sampled_from([0.0, math.log(1000.0), -math.log(3.0), 1e-30])


@given(items(), LIARS, PRIORS)
def test_bounds_are_the_extremes_over_every_set_of_liars(drawn, liars, prior):
    found = bounds(drawn.table(), liars, prior)
    for agent in range(AGENTS):
        low, high = oracles.honest_range(drawn.said(agent), liars)
        lower, upper = float(found.lower[agent]), float(found.upper[agent])
        assert Fraction(lower) <= low + Fraction(prior) < Fraction(math.nextafter(lower, math.inf))
        assert Fraction(math.nextafter(upper, -math.inf)) < high + Fraction(prior) <= Fraction(upper)


@given(items(), LIARS, st.permutations(range(OBSERVERS)), st.integers(0, OBSERVERS), st.sampled_from([-1, 1]))
def test_whatever_at_most_f_liars_say_the_honest_total_is_within(drawn, liars, order, number, side):
    honest = drawn.table()
    truth = [sum(drawn.said(agent)) for agent in range(AGENTS)]
    lying = np.array(order[: min(number, liars)], dtype=np.int32)
    without = honest.retract(lying) if len(lying) else honest
    agent, observer = (grid.ravel().astype(np.int32) for grid in np.meshgrid(range(AGENTS), lying))
    lies = collect(agent, observer, np.full(len(agent), side * 16000.5), agents=AGENTS, observers=OBSERVERS)
    found = bounds(without.merge(lies), liars)
    for a in range(AGENTS):
        kept = truth[a] - sum(x for o, x in enumerate(drawn.said(a)) if o in lying)
        assert Fraction(float(found.lower[a])) <= kept <= Fraction(float(found.upper[a]))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2**63, 2**64 - 1])), min_size=9, max_size=9),
    st.integers(0, 10),
)
def test_the_largest_are_chosen_by_all_their_digits(words, number):
    values = [(upper << 64) | lower for upper, lower in words]
    table = digits.from_ints(values, 4)[None]
    got = digits.to_ints(digits.normalize(largest_sum(table, number)))[0]
    assert got == sum(sorted(values, reverse=True)[:number])


def test_a_float_at_either_end_is_not_within_its_bounds():
    """2**53 + 1 is no float: the lower end is below it and the upper above."""
    x = np.array([2.0**13, 2.0**-41, 0.0])
    found = bounds(collect(np.zeros(3, int), np.arange(3), x, agents=1, observers=3), 0)
    assert found.lower[0] < found.upper[0] == math.nextafter(found.lower[0], math.inf)


@pytest.mark.parametrize(
    ("liars", "observers", "line"),
    [
        (1, 0, "1 of 0 is not a minority, and then nothing is certain; give at most 0."),
        (1, 2, "1 of 2 is not a minority, and then nothing is certain; give at most 0."),
        (2, 3, "2 of 3 is not a minority, and then nothing is certain; give at most 1."),
        (50, 100, "50 of 100 is not a minority, and then nothing is certain; give at most 49."),
        (-1, 3, "give 0 or more, got -1."),
    ],
)
def test_a_number_of_liars_that_leaves_no_honest_majority_is_refused(liars, observers, line):
    with pytest.raises(ValueError, match=f"observers lying: {line}"):
        check_liars(liars, observers)
    assert check_liars(max(0, (observers - 1) // 2), observers) is None
