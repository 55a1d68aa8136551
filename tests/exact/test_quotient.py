"""Quotients of two-word integers are the nearest floats, in NumPy and in compiled JAX alike."""

import random
from fractions import Fraction

import jax
import numpy as np
import pytest

from convergence_jax.exact.quotient import DENOMINATOR_BITS, NUMERATOR_BITS, round_quotient

CASES = 20_000


def any_size(rng):
    top = rng.randrange(-(2 ** rng.randrange(1, NUMERATOR_BITS)), 2 ** rng.randrange(1, NUMERATOR_BITS))
    return top, rng.randrange(1, 2 ** rng.randrange(1, DENOMINATOR_BITS + 1))


def near_ties(rng):
    bottom = rng.randrange(1, 2**DENOMINATOR_BITS)
    halfway = rng.randrange(2**52, 2**53) * 2 + 1
    return (halfway << rng.randrange(0, 16)) * bottom + rng.choice([-1, 0, 0, 1]), bottom


def whole(rng):
    bottom = rng.randrange(1, 2**DENOMINATOR_BITS)
    return rng.randrange(-50, 50) * bottom, bottom


def extremes(rng):
    top = rng.choice([0, 1, -1, 2**64, -(2**64), 2**NUMERATOR_BITS - 1, 1 - 2**NUMERATOR_BITS])
    return top, rng.choice([1, 2, 3, 2**49, 2**DENOMINATOR_BITS - 1])


@pytest.mark.parametrize("draw", [any_size, near_ties, whole, extremes], ids=lambda f: f.__name__)
def test_a_quotient_is_the_nearest_float(draw):
    rng = random.Random(draw.__name__)
    pairs = [draw(rng) for _ in range(CASES)]
    powers = [rng.randrange(-800, 801) if rng.random() < 0.3 else rng.randrange(-80, 20) for _ in pairs]
    want = [
        float(Fraction(top, bottom) * Fraction(2) ** power)
        for (top, bottom), power in zip(pairs, powers, strict=True)
    ]
    low = np.array([top % 2**64 for top, _ in pairs], dtype=np.uint64)
    high = np.array([(top >> 64) % 2**64 for top, _ in pairs], dtype=np.uint64)
    words = low, high, np.array([bottom for _, bottom in pairs]), np.array(powers)
    assert [v.hex() for v in round_quotient(*words)] == [v.hex() for v in want]
    compiled = np.asarray(jax.jit(round_quotient)(*words))
    assert [v.hex() for v in compiled] == [v.hex() for v in want]
