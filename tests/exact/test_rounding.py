"""The one rounding of an answer, against Python's integers and fractions."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.exact.digits import from_ints
from convergence_jax.exact.rounding import round_digits, round_ratio

LENGTH = 8
LIMIT = 1 << (32 * LENGTH - 2)


def nearest(value: Fraction, precision: int, least: int, largest: int) -> float:
    """Nearest float of a binary format, ties to even, by integers alone."""
    if value == 0:
        return 0.0
    sign, value = (-1, -value) if value < 0 else (1, value)
    power = value.numerator.bit_length() - value.denominator.bit_length()
    power -= value < Fraction(2) ** power
    unit = Fraction(2) ** (max(power, least) - precision + 1)
    rounded = round(value / unit) * unit  # Python rounds a fraction half to even
    return sign * (float("inf") if rounded >= Fraction(2) ** (largest + 1) else float(rounded))


def to_float64(value: Fraction) -> float:
    return nearest(value, 53, -1022, 1023)


def bits(x: np.ndarray) -> bytes:
    return np.asarray(x).tobytes()


# Whole numbers of every size, and those that lie on a tie of 53 bits or next to one.
ties = st.builds(
    lambda m, shift, off, sign: sign * (((m | 1 << 53 | 1) << shift) + off),
    st.integers(0, (1 << 54) - 1),
    st.integers(0, 180),
    st.integers(-1, 1),
    st.sampled_from([1, -1]),
)
numerators = st.one_of(st.integers(-LIMIT, LIMIT), st.integers(-9, 9), ties)
denominators = st.one_of(
    st.integers(1, 2**64 - 1), st.sampled_from([1, 2, 3, 2**63, 2**64 - 1, 2**53 + 1]), st.integers(1, 100)
)
exponents = st.one_of(st.integers(-80, 80), st.integers(-1400, 1000), st.sampled_from([-1000, -1001, 1000]))


@given(n=st.lists(st.tuples(numerators, denominators, exponents), min_size=16, max_size=16))
def test_a_ratio_is_the_nearest_float64(n):
    top, bottom, power = zip(*n, strict=True)
    made = round_ratio(from_ints(top, LENGTH), np.array(bottom, dtype=np.uint64), np.array(power))
    wanted = [to_float64(Fraction(a, b) * Fraction(2) ** e) for a, b, e in n]
    assert bits(made) == bits(np.array(wanted))


@given(tie=ties, denominator=st.integers(1, 1 << 20))
def test_a_ratio_that_lies_on_a_tie_goes_to_even(tie, denominator):
    for off in (-1, 0, 1):
        made = round_ratio(from_ints(tie * denominator + off, 10), denominator)
        assert made == to_float64(Fraction(tie * denominator + off, denominator))


@pytest.mark.parametrize("denominator", [1, 3, 2**40 + 1])
def test_a_ratio_below_the_normal_floats_is_rounded_once(denominator):
    """A hair beside a tie of the subnormals: rounded to 53 bits first it would lie on the tie."""
    for whole in (2, 3, 1000, 1001, 2**30):
        for hair in (-1, 0, 1):
            top = (((2 * whole + 1) << 100) + hair) * denominator
            made = round_ratio(from_ints([top, -top], LENGTH), denominator, -1074 - 101)
            up = hair > 0 or (hair == 0 and whole % 2 == 1)
            assert made.tolist() == [(whole + up) * 5e-324, -(whole + up) * 5e-324]


def test_a_ratio_keeps_the_shape_and_broadcasts_its_divisor_and_power():
    rng = np.random.default_rng(5)
    top = rng.integers(0, 2**32, (300, 7, 4), dtype=np.uint32)
    bottom, power = rng.integers(1, 1000, (300, 1)), -rng.integers(0, 60, 7)
    made = round_ratio(top, bottom, power)
    assert made.shape == (300, 7)
    for i, j in ((0, 0), (13, 5), (299, 6)):
        n = int.from_bytes(top[i, j].tobytes(), "little", signed=True)
        assert made[i, j] == to_float64(Fraction(n, int(bottom[i, 0])) * Fraction(2) ** int(power[j]))
    assert round_ratio(from_ints(7, 4), 2).shape == ()
    assert round_ratio(np.zeros((0, 4), dtype=np.uint32), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_a_ratio_of_very_many_digits_is_the_nearest_float64():
    tops = [[3**620 * sign + off for off in (-1, 0, 7)] for sign in (1, -1)]
    made = round_ratio(from_ints(tops, 40), np.array([7, 10**9, 1]), -300)
    wanted = [
        [to_float64(Fraction(t, b) / 2**300) for t, b in zip(row, (7, 10**9, 1), strict=True)] for row in tops
    ]
    assert made.tolist() == wanted


def test_a_ratio_by_nothing_is_not_a_number_and_an_exact_zero_is_positive():
    made = round_ratio(from_ints([1, 0, -3, 0], 4), np.array([0, 0, -1, 5]))
    assert np.isnan(made[:3]).all()
    assert bits(made[3]) == bits(np.float64(0.0))


@given(n=st.lists(numerators, min_size=8, max_size=8), exponent=st.sampled_from([-1250, -1180, -149, 0, 790]))
@example(n=[2**54 - 1, -(2**54 - 1), 1, -1, 0, 2, 3, 2**53 + 1], exponent=970)
@example(n=[3, 2, 1, -1, -3, 2**52, 2**53 - 1, 2**53 + 1], exponent=-1075)
def test_digits_are_read_out_as_the_nearest_float(n, exponent):
    digits = from_ints(n, LENGTH)
    for dtype, form in ((np.float64, (53, -1022, 1023)), (np.float32, (24, -126, 127))):
        wanted = np.array([nearest(Fraction(v) * Fraction(2) ** exponent, *form) for v in n]).astype(dtype)
        assert bits(round_digits(digits, exponent, dtype)) == bits(wanted)
        on_device = jax.jit(round_digits, static_argnums=(1, 2))(jnp.asarray(digits), exponent, dtype)
        assert bits(on_device) == bits(wanted)  # subnormals included


@given(n=st.lists(numerators, min_size=8, max_size=8), exponent=st.sampled_from([-1250, -1180, 0, 790, 1000]))
@example(n=[2**54 - 1, -(2**54 - 1), 1, -1, 0, 2, 3, 2**53 + 1], exponent=970)
def test_rounded_below_and_above_the_floats_enclose_the_number_and_nothing_between(n, exponent):
    digits = from_ints(n, LENGTH)
    ends = [round_digits(digits, exponent, towards=side) for side in ("below", "above")]
    on_device = jax.jit(round_digits, static_argnums=(1,), static_argnames="towards")
    for side, made in zip(("below", "above"), ends, strict=True):
        assert bits(on_device(jnp.asarray(digits), exponent, towards=side)) == bits(made)
    for v, low, high in zip(n, *ends, strict=True):
        exact = Fraction(v) * Fraction(2) ** exponent
        assert low == -math.inf or Fraction(float(low)) <= exact
        assert high == math.inf or exact <= Fraction(float(high))
        assert low == high == exact if low == high else high == math.nextafter(low, math.inf)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="float64 or float32"):
        round_digits(from_ints([1], 4), 0, np.float16)
