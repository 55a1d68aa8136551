"""Laws of the superaccumulator, against Python's fractions."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.exact.constants import FLOAT32, FLOAT32_PRODUCT, FLOAT64, FLOAT64_PRODUCT
from convergence_jax.exact.superaccumulator import AccumulatorState, Superaccumulator

ROWS = 12
HARD = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    5e-324,
    -5e-324,
    2.2e-308,
    1.7976931348623157e308,
    -1e300,
    1e-300,
    2.0**-1074 * 3,
]
HARD32 = [0.0, -0.0, 1.0, 1.401298464324817e-45, 3.4028234663852886e38, -3.4028234663852886e38, 1.1754e-38]

wide = st.one_of(st.sampled_from(HARD), st.floats(allow_nan=False, allow_infinity=False), st.floats(-1, 1))
narrow = st.one_of(
    st.sampled_from(HARD32).map(lambda v: float(np.float32(v))),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
special = st.sampled_from([np.nan, np.inf, -np.inf])
masks = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array)


def rows(values: st.SearchStrategy, dtype: type) -> st.SearchStrategy:
    return st.lists(values, min_size=ROWS, max_size=ROWS).map(lambda v: np.array(v, dtype=dtype))


FORMATS = pytest.mark.parametrize(
    ("format", "values", "dtype"),
    [(FLOAT64, wide, np.float64), (FLOAT32, narrow, np.float32)],
    ids=["64", "32"],
)


def leaves(state: AccumulatorState) -> list:
    return [state.digits, state.nan, state.pos_inf, state.neg_inf]


def bits(state: AccumulatorState) -> bytes:
    return b"".join(np.asarray(leaf).tobytes() for leaf in leaves(state))


def integer(state: AccumulatorState) -> int:
    return int.from_bytes(np.asarray(state.digits).astype("<u4").tobytes(), "little", signed=True)


def exact(values: np.ndarray) -> Fraction:
    return sum((Fraction(float(v)) for v in values), Fraction(0))


def rounded(value: Fraction) -> float:
    """Python rounds the quotient of integers correctly."""
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return np.inf if value > 0 else -np.inf


@FORMATS
@given(data=st.data())
def test_the_state_is_the_exact_sum_and_presents_as_the_nearest_float(format, values, dtype, data):
    xs = data.draw(rows(values, dtype))
    stat = Superaccumulator(format)
    state = stat.collect(xs)
    assert integer(state) == exact(xs) * Fraction(2) ** -format.lsb
    assert stat.present(state) == rounded(exact(xs))
    assert bits(state) == bits(stat.total(stat.lift(xs)))


@FORMATS
@given(data=st.data())
def test_merge_is_commutative_and_removal_leaves_no_trace(format, values, dtype, data):
    xs = data.draw(rows(st.one_of(values, special), dtype))
    taken = data.draw(masks)
    stat = Superaccumulator(format)
    a, b = stat.collect(xs, where=taken), stat.collect(xs, where=~taken)
    both = stat.collect(xs)
    assert bits(stat.merge(a, b)) == bits(stat.merge(b, a)) == bits(both)
    assert bits(stat.remove(both, b)) == bits(a)
    assert bits(stat.remove(both, both)) == bits(stat.empty())
    assert bits(stat.merge(a, stat.empty())) == bits(a)
    assert bits(stat.collect(xs[::-1])) == bits(both)


@FORMATS
@given(data=st.data())
def test_numpy_and_jax_make_the_same_bits(format, values, dtype, data):
    xs = data.draw(rows(st.one_of(values, special), dtype))
    where = data.draw(masks)
    stat = Superaccumulator(format)
    x = jnp.asarray(xs)
    assert bits(stat.lift(xs)) == bits(LIFT[format](x))
    host = stat.collect(xs, where=where)
    assert bits(host) == bits(COLLECT[format](x, jnp.asarray(where)))
    shown = PRESENT[format](jax.tree.map(jnp.asarray, host))
    np.testing.assert_array_equal(np.asarray(shown).view(np.int64), stat.present(host).view(np.int64))


LIFT = {f: jax.jit(Superaccumulator(f).lift) for f in (FLOAT64, FLOAT32)}
COLLECT = {f: jax.jit(Superaccumulator(f).collect) for f in (FLOAT64, FLOAT32)}
PRESENT = {f: jax.jit(Superaccumulator(f).present) for f in (FLOAT64, FLOAT32)}


@given(x=rows(wide, np.float64), y=rows(wide, np.float64))
def test_products_are_exact(x, y):
    stat = Superaccumulator(FLOAT64_PRODUCT)
    wanted = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, y, strict=True))
    state = stat.collect((x, y))
    assert integer(state) == wanted * 2**2148
    assert stat.present(state) == rounded(wanted)
    assert bits(state) == bits(stat.total(stat.lift((x, y))))


@given(x=rows(narrow, np.float32), y=rows(narrow, np.float32))
def test_products_of_float32_are_exact(x, y):
    stat = Superaccumulator(FLOAT32_PRODUCT)
    wanted = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, y, strict=True))
    assert integer(stat.collect((x, y))) == wanted * 2**298


def test_products_of_what_is_not_finite_are_those_of_ieee_754():
    stat = Superaccumulator(FLOAT64_PRODUCT)
    values = np.array([0.0, -0.0, 5e-324, -2.0, np.inf, -np.inf, np.nan])
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    with np.errstate(invalid="ignore"):
        z = x * y
    state = stat.lift((x, y))
    np.testing.assert_array_equal(state.nan, np.isnan(z))
    np.testing.assert_array_equal(state.pos_inf, z == np.inf)
    np.testing.assert_array_equal(state.neg_inf, z == -np.inf)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([np.inf, 1.0], np.inf),
        ([-np.inf, 1e308], -np.inf),
        ([np.inf, -np.inf], np.nan),
        ([np.nan, np.inf], np.nan),
        ([1.7e308, 1.7e308], np.inf),
        ([1.7e308, 1.7e308, -1.7e308], 1.7e308),
    ],
)
def test_infinities_present_as_ieee_754_adds_them(values, wanted):
    stat = Superaccumulator()
    np.testing.assert_equal(stat.present(stat.collect(np.array(values))), wanted)


def test_what_was_not_finite_is_gone_when_removed():
    stat = Superaccumulator()
    good, bad = stat.lift(np.array(2.5)), stat.collect(np.array([np.nan, np.inf, -np.inf, 7.0]))
    both = stat.merge(good, bad)
    assert np.isnan(stat.present(both))
    assert bits(stat.remove(both, bad)) == bits(good)
    assert np.isnan(stat.present(stat.remove(good, bad)))  # more removed than merged


def test_an_exact_zero_is_positive_and_float32_can_be_asked_for():
    stat = Superaccumulator()
    assert np.signbit(stat.present(stat.collect(np.array([-0.0, -0.0])))) == np.False_
    value = stat.present(stat.collect(np.array([1.0, 2.0**-24, 2.0**-60])), np.float32)
    assert value.dtype == np.float32
    assert value == np.float32(1.0 + 2.0**-23)  # rounded once: by way of float64 it would be a tie


def test_states_and_inputs_of_other_formats_are_refused():
    with pytest.raises(ValueError, match="float64 have 69 digits, got 11"):
        Superaccumulator().merge(Superaccumulator().empty(), Superaccumulator(FLOAT32).empty())
    with pytest.raises(TypeError, match="cannot hold float32"):
        Superaccumulator().lift(np.float32(1))
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        Superaccumulator().lift(np.array(1))
    with pytest.raises(TypeError, match="a pair of arrays"):
        Superaccumulator(FLOAT64_PRODUCT).lift(np.array(1.0))
