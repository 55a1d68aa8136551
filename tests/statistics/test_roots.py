"""Roots of ratios of integers are rounded once."""

import math
import random
from fractions import Fraction

from convergence_jax.statistics.roots import root_ratio
from convergence_jax.testing import oracles


def test_a_root_is_correctly_rounded():
    draw = random.Random(20261123)
    for _ in range(500):
        numerator = draw.randrange(-(2 ** draw.randrange(1, 300)), 2**150)
        radicand = draw.randrange(1, 2 ** draw.randrange(1, 400))
        sign = (numerator > 0) - (numerator < 0)
        assert oracles.is_nearest_root(
            root_ratio(numerator, radicand), sign, Fraction(numerator * numerator, radicand)
        )


def test_a_tie_goes_to_the_even_neighbour_and_a_trace_above_it_does_not():
    odd = (1 << 53) + 1
    assert root_ratio(odd, 1) == 2.0**53
    assert root_ratio(odd << 200, (1 << 400) - 1) == 2.0**53 + 2  # a trace above the tie


def test_the_root_of_nothing_is_not_a_number():
    assert math.isnan(root_ratio(1, 0))
    assert math.isnan(root_ratio(1, -1))
    assert root_ratio(0, 5) == 0.0
