"""``exp``, ``ln`` and what is made of them: stated bounds against 400 bits, and bits across backends."""

import itertools
import math
from fractions import Fraction

import arithmetic as truth
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.exact import constants, exp_ln, reals
from convergence_jax.exact.digits import from_ints
from convergence_jax.exact.reals import Fixed
from convergence_jax.testing.oracles import is_nearest
from convergence_jax.testing.sample import bits
from convergence_jax.testing.strategies import finite_floats

MANY = 100_000


def rounded(value) -> int:
    return int(truth.CONTEXT.floor(value + 0.5))


def test_every_constant_is_the_nearest_integer():
    mp = truth.CONTEXT
    two, ln2 = mp.mpf(2), mp.log(2)
    assert tuple(rounded(two ** (mp.mpf(i) / 256) * 2**63) for i in range(256)) == constants.EXP_TABLE
    slopes = ((ln2 / 256) ** n / mp.factorial(n) * 256 for n in range(1, 7))
    assert tuple(rounded(c * 2**64) for c in slopes) == constants.EXP_COEFFICIENTS
    assert tuple(rounded(two ** (71 - 7 * n) / n) for n in range(2, 9)) == constants.LN_COEFFICIENTS
    logs = [-mp.log(mp.mpf(r) / 2**16) for r in constants.RECIPROCALS]
    scaled = zip(logs, constants.LN_SHIFTS, strict=True)
    assert tuple(rounded(v * two ** (71 - s)) for v, s in scaled) == constants.LN_TABLE
    assert rounded(ln2 * 2**64) == constants.LN2
    assert rounded((1 / ln2 - 1) * 2**64) == constants.LOG2E
    for digits, value in ((constants.LN2_DIGITS, ln2), (constants.LOG2E_DIGITS, 1 / ln2 - 1)):
        assert digits[0] << 64 | digits[1] << 32 | digits[2] == rounded(value * 2**96)


def test_a_reciprocal_brings_its_interval_to_within_one_256th_above_one():
    for i, r in enumerate(constants.RECIPROCALS):
        least, limit = Fraction(256 + i, 256), Fraction(257 + i, 256)
        assert least * r / 2**16 >= 1
        assert limit * r / 2**16 <= 1 + Fraction(1, 256)
        assert constants.LN_SHIFTS[i] == max(0, math.floor(math.log2(max(i, 1))))


def test_a_small_exponential_becomes_a_real_to_within_half_a_unit():
    exponents = np.repeat(np.arange(-70, 0), 64)
    words = np.random.default_rng(8).integers(1 << 63, 1 << 64, len(exponents), dtype=np.uint64)
    words[::64], words[1::64], words[2::64] = 1 << 63, (1 << 64) - 1, 3 << 62
    for convert in (exp_ln.as_fixed, jax.jit(exp_ln.as_fixed)):
        made = convert(exponents, words)
        for k, word, got in zip(exponents.tolist(), words.tolist(), truth.values(made), strict=True):
            assert abs(got - truth.number(k, word)) <= Fraction(1, 2**65)


def exp_errors(x: Fixed) -> list[Fraction]:
    made = zip(truth.values(x), *exp_ln.exp(x), strict=True)
    exact = [(truth.exp(v), truth.number(k, m)) for v, k, m in made if abs(v) < truth.FAR]
    return [abs(got / want - 1) for want, got in exact]


def test_exp_keeps_its_bound_at_every_boundary_and_size():
    x = truth.fixed(truth.EDGES + truth.SPREAD)
    _, mantissa = exp_ln.exp(x)
    assert mantissa.min() >= 1 << 63
    assert max(exp_errors(x)) + truth.MARGIN < exp_ln.EXP_ERROR


def test_the_largest_mantissa_of_exp_fits_its_word():
    t, slope = (1 << 64) - (1 << 8), 0
    for c in (*constants.EXP_COEFFICIENTS[::-1], 0):
        slope = c + (t * slope >> 64)  # grows with t, as does all that follows
    growth = constants.EXP_TABLE[-1] * slope >> 64
    assert constants.EXP_TABLE[-1] + (growth + 128 >> 8) == (1 << 64) - 1


def test_exp_errs_to_either_side_alike_but_for_its_one_truncation():
    x = reals.from_float(np.random.default_rng(21).uniform(0.0, 1.0, 4000))
    made = zip(truth.values(x), *exp_ln.exp(x), strict=True)
    errors = [float((truth.number(k, m) / truth.exp(v) - 1) / truth.UNIT) for v, k, m in made]
    # The product with the fraction is rounded down, half a unit on average, and 1 / ln 2 is off by its
    # rounding, times the fraction; all else is to nearest, and products within the polynomial hardly count.
    rounding = float(constants.LOG2E - (1 / truth.CONTEXT.log(2) - 1) * 2**64)
    wanted = math.log(2) * (rounding / 2 - 0.5)
    assert abs(np.mean(errors) - wanted) < 10 * np.std(errors) / math.sqrt(4000)


@given(n=truth.reals(84))
def test_exp_keeps_its_bound(n):
    assert max(exp_errors(truth.fixed(n)), default=0) + truth.MARGIN < exp_ln.EXP_ERROR


def test_exp_keeps_its_bound_far_out_and_at_the_ends_of_its_range():
    ends = [2**31 * 2**64 - 1, 2**31 * 2**64 - 12345, -(2**31) * 2**64, -(2**31) * 2**64 + 1]
    ends += [n for n in truth.EDGES if abs(n) >= truth.FAR << 64]
    log2e = 1 / truth.CONTEXT.log(2)
    for n, k, m in zip(ends, *exp_ln.exp(truth.fixed(ends)), strict=True):
        power = truth.CONTEXT.mpf(n) / 2**64 * log2e  # too large for e**x itself
        relative = truth.CONTEXT.mpf(int(m)) / 2**63 * 2 ** (int(k) - power) - 1
        assert abs(relative) < exp_ln.EXP_ERROR


def test_exp_of_zero_is_one_and_what_lies_beyond_the_range_is_its_end():
    exponent, mantissa = exp_ln.exp(truth.fixed([0, 2**70 * 2**20, -(2**70) * 2**55]))
    assert (exponent[0], mantissa[0]) == (0, 1 << 63)
    assert exponent[2] == exp_ln.exp(truth.fixed([-(2**95)]))[0][0]


def test_exp_never_steps_back_by_more_than_its_bound():
    for start in (0, -(1 << 64), 5 << 64):
        exponent, mantissa = exp_ln.exp(truth.fixed(range(start - 500, start + 500)))
        made = [truth.number(k, m) for k, m in zip(exponent, mantissa, strict=True)]
        slack = 1 - 2 * Fraction(exp_ln.EXP_ERROR)
        assert all(b >= a * slack for a, b in itertools.pairwise(made))


mantissas = st.one_of(
    st.integers(1 << 63, (1 << 64) - 1),
    st.builds(
        lambda i, d: min(max((256 + i << 55) + d, 1 << 63), (1 << 64) - 1),
        st.integers(0, 256),
        st.integers(-2, 2),
    ),
)


def ln_errors(exponents, mantissas) -> list[Fraction]:
    exponent, mantissa = np.array(exponents, dtype=np.int64), np.array(mantissas, dtype=np.uint64)
    ln2 = truth.ln(Fraction(2))
    made = truth.values(exp_ln.ln(exponent, mantissa))
    wanted = [e * ln2 + truth.ln(Fraction(m, 1 << 63)) for e, m in zip(exponents, mantissas, strict=True)]
    return [abs(a - b) for a, b in zip(made, wanted, strict=True)]


LN_ERROR_OF_MANTISSA = Fraction(103, 100) * truth.UNIT
"""What is left of the bound where the exponent is zero."""


def test_ln_keeps_its_bound_at_every_entry_of_its_table():
    near = [(256 + i << 55) + d for i in range(256) for d in (0, 1, 77)]
    near += [(257 + i << 55) - d for i in range(256) for d in (1, 2)]
    for exponent in (0, -1, 1, 2**31 - 1, -(2**31) + 1, 1023):
        worst = max(ln_errors([exponent] * len(near), near))
        assert worst + truth.MARGIN < (exp_ln.LN_ERROR if exponent else LN_ERROR_OF_MANTISSA)


@given(
    exponents=st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=16, max_size=16),
    mantissas=st.lists(mantissas, min_size=16, max_size=16),
)
def test_ln_keeps_its_bound(exponents, mantissas):
    assert max(ln_errors(exponents, mantissas)) + truth.MARGIN < exp_ln.LN_ERROR


def test_ln_of_one_is_zero():
    assert truth.values(exp_ln.ln(np.array([0]), np.array([1 << 63], dtype=np.uint64))) == [0]


def check_log1p_exp(n) -> None:
    x = truth.fixed(-abs(v) for v in n)
    for v, k, m in zip(truth.values(x), *exp_ln.log1p_exp(x), strict=True):
        want = truth.softplus(v)
        assert int(m) >= 1 << 63
        if want:
            assert abs(truth.number(k, m) / want - 1) + truth.MARGIN < exp_ln.LOG_SIGMOID_ERROR


def check_softplus(n) -> None:
    x = truth.fixed(n)
    for v, made in zip(truth.values(x), truth.values(exp_ln.softplus(x)), strict=True):
        assert abs(made - truth.softplus(v)) + truth.MARGIN < exp_ln.SOFTPLUS_ERROR


def check_log_sigmoid(n) -> None:
    x = truth.fixed(n)
    (log_p, log_q), p = exp_ln.log_sigmoids(x), exp_ln.sigmoid(x)
    assert bits(log_p) == bits(exp_ln.log_sigmoid(x))
    assert bits(log_q) == bits(exp_ln.log_sigmoid(reals.negate(x)))
    for v, a, b in zip(truth.values(x), log_p, p, strict=True):
        exact = -truth.softplus(-v)
        assert truth.near(a, exact, relative=exp_ln.LOG_SIGMOID_ERROR)
        assert math.copysign(1.0, a) == -1.0
        probability = truth.exp(exact) if exact > -800 else Fraction(0)
        assert truth.near(b, probability, relative=exp_ln.LOG_SIGMOID_ERROR)


CHECKS = pytest.mark.parametrize("check", [check_log1p_exp, check_softplus, check_log_sigmoid])


@CHECKS
def test_soft_functions_keep_their_bound_at_every_boundary_and_size(check):
    check(truth.EDGES + truth.SPREAD)


@CHECKS
@given(n=truth.reals())
def test_soft_functions_keep_their_bound(check, n):
    check(n)


def test_tails_are_subnormal_and_then_zero():
    x = reals.from_float(np.array([708.5, 730.0, 744.4, 745.0, 745.2, 1e6, 1e300]))
    log_p = exp_ln.log_sigmoid(x)
    assert log_p[:4].tolist() == [-float(truth.exp(-v)) for v in truth.values(x)[:4]]
    assert bits(log_p[4:]) == bits(np.full(3, -0.0))
    assert exp_ln.log_sigmoid(reals.negate(x)).tolist()[-2:] == [-1e6, -(2.0**62)]
    assert exp_ln.sigmoid(x)[-1] == 1.0


def test_the_last_bit_of_a_real_decides_a_tie():
    tie = (1 << 52 << 64) + (1 << 63)  # between two floats that differ by one
    x = truth.fixed([-tie, -tie - 1, -tie + 1])
    wanted = [-(2.0**52), -(2.0**52 + 1), -(2.0**52)]
    assert exp_ln.log_sigmoid(x).tolist() == wanted
    assert reals.to_float(x).tolist() == wanted


@given(a=truth.reals(126), b=truth.reals(126))
def test_log_add_exp_keeps_its_bound_and_commutes(a, b):
    x, y = truth.fixed(a), truth.fixed(b)
    made = exp_ln.log_add_exp(x, y)
    assert bits(made) == bits(exp_ln.log_add_exp(y, x))
    for v, w, got in zip(truth.values(x), truth.values(y), truth.values(made), strict=True):
        assert abs(got - (w + truth.softplus(v - w))) + truth.MARGIN < exp_ln.SOFTPLUS_ERROR


@given(xs=st.lists(finite_floats(), min_size=16, max_size=16))
@example(xs=[k * 2.0**-65 for k in (1, -1, 3, -3, 5, 7, 2**53 - 1, 2**53 - 3)])
@example(xs=[k * 2.0**-66 for k in (1, 2, 3, 5, 6, 7, 2**53 - 1, 2**53 - 2)])
@example(xs=[2.0**62, np.nextafter(2.0**62, 0), -(2.0**62), 2.0**-66, 2.0**-117, 2.0**-118, 2.0**-119])
def test_floats_become_the_nearest_real_and_come_back(xs):
    x = reals.from_float(np.array(xs))
    for v, got in zip(xs, truth.values(x), strict=True):
        limit = Fraction(2) ** 62
        assert got == min(max(round(Fraction(v) / truth.UNIT) * truth.UNIT, -limit), limit)
    assert all(map(is_nearest, reals.to_float(x).tolist(), truth.values(x)))


def test_infinities_and_nan_become_the_ends_of_the_range():
    made = reals.from_float(np.array([np.inf, -np.inf, np.nan, -0.0]))
    assert truth.values(made) == [2**62, -(2**62), 2**62, 0]


@given(n=st.lists(st.integers(-(2**250), 2**250), min_size=8, max_size=8), by=st.integers(0, 250))
@pytest.mark.parametrize("lsb", [-2148, -1074, -300, -128, -97, -96, -95, -65, -64, -63, -32, 0, 5])
def test_digits_become_the_nearest_real(lsb, n, by):
    n = [v >> by for v in n]
    for v, got in zip(n, truth.values(reals.from_digits(from_ints(n, 8), lsb)), strict=True):
        limit = Fraction(2) ** 62
        assert got == min(max(round(v * Fraction(2) ** (lsb + 64)) * truth.UNIT, -limit), limit)


@pytest.mark.parametrize("lsb", [-300, -200, -64, 0])
@pytest.mark.parametrize("length", [1, 4])
def test_many_rows_of_few_digits_become_the_nearest_reals(lsb, length):
    n = [(-1) ** i * (2**30 - 1 - i) << 32 * (length - 1) for i in range(60)]
    made = truth.values(reals.from_digits(from_ints(n, length), lsb))
    limit = Fraction(2) ** 62
    exact = [round(v * Fraction(2) ** (lsb + 64)) * truth.UNIT for v in n]
    assert made == [min(max(v, -limit), limit) for v in exact]


@given(n=truth.reals(126), m=truth.reals(126))
def test_sums_differences_and_floats_of_reals_are_exact(n, m):
    x, y = truth.fixed(n), truth.fixed(m)
    exact = list(zip(truth.values(x), truth.values(y), strict=True))
    half = [v // 2 for v in n]
    assert truth.values(reals.negate(x)) == [-v for v, _ in exact]
    assert reals.less(x, y).tolist() == [v < w for v, w in exact]
    x, y = truth.fixed(half), truth.fixed([w // 2 for w in m])
    assert truth.values(reals.add(x, y)) == [
        v + w for v, w in zip(truth.values(x), truth.values(y), strict=True)
    ]
    assert truth.values(reals.subtract(x, y)) == [
        v - w for v, w in zip(truth.values(x), truth.values(y), strict=True)
    ]
    assert all(map(is_nearest, reals.to_float(x).tolist(), truth.values(x)))


def many() -> np.ndarray:
    rng = np.random.default_rng(3)
    size = 2.0 ** rng.uniform(-70, 34, MANY)
    return np.where(rng.random(MANY) < 0.5, rng.normal(0, 300, MANY), size * rng.choice([-1, 1], MANY))


@pytest.mark.parametrize("name", ["exp", "softplus", "log_sigmoid", "sigmoid"])
def test_numpy_and_compiled_code_give_the_same_bits(name):
    function = getattr(exp_ln, name)
    x = many()
    wanted = function(reals.from_float(x))
    compiled = jax.jit(lambda x: function(reals.from_float(x)))(jnp.asarray(x))
    assert bits(compiled) == bits(wanted)
    eager = function(reals.from_float(jnp.asarray(x[:100])))
    assert bits(eager) == bits(function(reals.from_float(x[:100])))


def test_numpy_and_compiled_code_give_the_same_bits_of_ln():
    rng = np.random.default_rng(4)
    mantissa = rng.integers(1 << 63, (1 << 64) - 1, MANY, dtype=np.uint64, endpoint=True)
    exponent = rng.integers(-3000, 3000, MANY)
    wanted = exp_ln.ln(exponent, mantissa)
    assert bits(jax.jit(exp_ln.ln)(jnp.asarray(exponent), jnp.asarray(mantissa))) == bits(wanted)
    assert bits(jax.jit(reals.to_float)(jax.tree.map(jnp.asarray, wanted))) == bits(reals.to_float(wanted))


def test_shapes_are_kept_and_broadcast():
    x = reals.from_float(np.ones((3, 1, 2)))
    assert exp_ln.log_sigmoid(x).shape == (3, 1, 2)
    y = reals.from_float(np.zeros((5, 1)))
    assert exp_ln.log_add_exp(x, y).whole.shape == (3, 5, 2)
    assert exp_ln.log_sigmoid(reals.from_float(np.float64(0.0))).shape == ()
    assert exp_ln.sigmoid(reals.from_float(np.zeros((0, 4)))).shape == (0, 4)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="float64"):
        reals.from_float(np.ones(2, dtype=np.float32))
