"""Likelihood ratios made cautious, and priors: bounds against 400 bits, and IEEE 754 by integers."""

import math
from fractions import Fraction

import arithmetic as truth
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.exact import likelihoods
from convergence_jax.testing.oracles import is_nearest
from convergence_jax.testing.sample import bits
from convergence_jax.testing.strategies import floats

EPSILONS = (5e-324, 1e-300, 2.0**-66, 2.0**-64, 1e-9, 2.0**-11, 0.01, 0.3, 0.5, 0.75, 1.0 - 2.0**-53)
ratios = st.one_of(
    st.floats(-60.0, 60.0),
    st.floats(-800.0, 800.0),
    st.floats(-(2.0**63), 2.0**63),
    st.sampled_from([0.0, 5e-324, -5e-324, 1e-17, -1e-17, 2.0**60, -(2.0**60), 1e6, -1e6]),
)
epsilons = st.one_of(st.floats(0.0, 1.0), st.sampled_from(EPSILONS))
rows = st.lists(st.tuples(ratios, epsilons), min_size=16, max_size=16)


def log_sum(a: Fraction, b: Fraction) -> Fraction:
    return max(a, b) + truth.softplus(-abs(a - b))


@given(rows=rows)
@example(rows=[(x, e) for x in (0.0, 1e-17, 37.0, -745.0) for e in EPSILONS])
def test_contamination_keeps_its_bound(rows):
    x, epsilon = (np.array(column) for column in zip(*rows, strict=True))
    for v, e, got in zip(x, epsilon, likelihoods.contaminate(x, epsilon), strict=True):
        v, e = Fraction(v), Fraction(e)
        if 0 < e < 1:
            exact = log_sum(v + truth.ln(1 - e), truth.ln(e))
            assert truth.near(got, exact, absolute=likelihoods.CONTAMINATE_ERROR)


@given(rows=rows)
@example(rows=[(x, e) for x in (0.0, 1e-17, 37.0, -745.0) for e in EPSILONS])
def test_clipping_keeps_its_bound_and_is_odd(rows):
    x, epsilon = (np.array(column) for column in zip(*rows, strict=True))
    made = likelihoods.clip_likelihoods(x, epsilon)
    assert bits(made) == bits(-likelihoods.clip_likelihoods(-x, epsilon))
    for v, e, got in zip(x, epsilon, made, strict=True):
        v, e = Fraction(v), Fraction(e)
        if 0 < e < 1:
            a, b = truth.ln(1 - e), truth.ln(e)
            exact = log_sum(v + a, b) - log_sum(a, b + v)
            assert truth.near(got, exact, absolute=likelihoods.CLIP_ERROR)


def test_no_contamination_leaves_every_float_and_all_leaves_nothing():
    x = np.array([0.0, -0.0, 5e-324, -5e-324, 0.1, -750.0, 1e300, np.inf, -np.inf])
    assert bits(likelihoods.contaminate(x, 0.0)) == bits(x)
    assert bits(likelihoods.clip_likelihoods(x, 0.0)) == bits(x)
    assert bits(likelihoods.contaminate(x, 1.0)) == bits(np.zeros(9))
    assert bits(likelihoods.clip_likelihoods(x, 1.0)) == bits(-x)
    compiled = jax.jit(likelihoods.clip_likelihoods)
    assert bits(compiled(jnp.asarray(x), jnp.zeros(9))) == bits(x)
    assert bits(compiled(jnp.asarray(x), jnp.ones(9))) == bits(-x)


def test_infinite_ratios_become_the_bounds_and_ratios_of_one_stay():
    x = np.array([np.inf, -np.inf, 0.0])
    assert likelihoods.contaminate(x, 0.01).tolist() == [np.inf, math.log(0.01), 0.0]
    bound = likelihoods.clip_likelihoods(x, 0.01).tolist()
    assert is_nearest(bound[0], truth.ln((1 - Fraction(0.01)) / Fraction(0.01)))
    assert bound[1:] == [-bound[0], 0.0]
    assert likelihoods.contaminate(np.array([1e300]), 0.5).tolist() == [1e300]


def test_what_is_no_number_or_no_probability_is_nan():
    x = np.array([np.nan, -np.nan, 1.0, 1.0, 1.0, 1.0])
    epsilon = np.array([0.5, 0.0, -5e-324, np.nextafter(1.0, 2.0), np.nan, np.inf])
    assert np.isnan(likelihoods.contaminate(x, epsilon)).all()
    assert np.isnan(likelihoods.clip_likelihoods(x, epsilon)).all()


def product(x: float, y: float) -> float:
    """The nearest float to a product of finite ones, by integers: Python divides integers correctly."""
    exact = Fraction(x) * Fraction(y)
    sign = math.copysign(1.0, x) * math.copysign(1.0, y)
    try:
        return math.copysign(float(exact), sign)
    except OverflowError:
        return math.copysign(math.inf, sign)


@given(xs=st.lists(floats(), min_size=16, max_size=16), ys=st.lists(floats(), min_size=16, max_size=16))
@example(xs=[3.0, 1.0, 1.5, -5e-324], ys=[5e-324, 5e-324, 5e-324, 0.5])
@example(xs=[2.0**-1074, 3 * 2.0**-1074, 2.0**-537, -0.0], ys=[0.5, 0.5, 2.0**-538, 7.0])
@example(
    xs=[2.0**1023, -(2.0**1023), 1.7976931348623157e308, 2.0**512], ys=[2.0, 1.5, 1 + 2.0**-52, 2.0**512]
)
@example(  # just above a tie, by what the upper word of the product does not hold
    xs=[1.0342819551925226, 1.2377545526401095, 1.2760761857447223, 1.6713242879706365],
    ys=[1.6697368122875953, 1.2675717492806657, 1.7283913664212704, 1.0957354284871472],
)
def test_tempering_multiplies_as_ieee_754_does(xs, ys):
    made = likelihoods.temper(np.array(xs), np.array(ys))
    for x, y, got in zip(xs, ys, made.tolist(), strict=True):
        if math.isfinite(x) and math.isfinite(y):
            assert bits(got) == bits(product(x, y))
        elif math.isnan(x) or math.isnan(y) or x == 0 or y == 0:
            assert math.isnan(got)
        else:
            assert got == x * y


def test_numpy_and_compiled_code_give_the_same_bits():
    rng = np.random.default_rng(6)
    pattern = rng.integers(0, 1 << 64, 100_000, dtype=np.uint64).view(np.float64)
    x = np.where(rng.random(100_000) < 0.5, pattern, rng.normal(0, 100, 100_000))
    epsilon = rng.choice(EPSILONS, 100_000)
    for function in (likelihoods.temper, likelihoods.contaminate, likelihoods.clip_likelihoods):
        wanted = function(x, epsilon)
        assert bits(jax.jit(function)(jnp.asarray(x), jnp.asarray(epsilon))) == bits(wanted)


def test_a_scalar_epsilon_broadcasts_in_either_namespace():
    x = np.linspace(-3.0, 3.0, 6).reshape(2, 3)
    made = likelihoods.contaminate(x, 0.125)
    assert made.shape == (2, 3)
    assert bits(jax.jit(lambda x: likelihoods.contaminate(x, 0.125))(jnp.asarray(x))) == bits(made)
    assert likelihoods.temper(x, np.float64(0.5)).tolist() == (x * 0.5).tolist()


positive = st.one_of(st.integers(1, 10**6), st.integers(1, 1 << 400), st.fractions(Fraction(1, 10**9), 10**9))


@given(a=positive, b=positive)
@example(a=1, b=1)
@example(a=1000, b=1)
@example(a=10**30 + 1, b=10**30)
@example(a=1, b=2)
@example(a=1 << 400, b=3)
def test_a_prior_is_within_half_a_unit_in_the_last_place(a, b):
    ratio = Fraction(a) / Fraction(b)
    context = truth.CONTEXT.clone()
    context.prec = 1600
    exact = context.log(context.mpf(ratio.numerator) / ratio.denominator)
    got = likelihoods.log_ratio(a, b)
    if ratio == 1:
        assert bits(got) == bits(0.0)
    else:
        unit = context.mpf(math.ulp(got))
        assert abs(context.mpf(got) - exact) <= unit * (context.mpf(0.5) + context.mpf(2) ** -70)
        assert got == -likelihoods.log_ratio(b, a)


def test_a_prior_of_nothing_is_refused():
    for a, b in ((0, 1), (1, 0), (-1, 1), (Fraction(-1, 2), 1), (1, Fraction(-1, 2))):
        with pytest.raises(ValueError, match=f"must be positive, got {a} and {b}"):
            likelihoods.log_ratio(a, b)
