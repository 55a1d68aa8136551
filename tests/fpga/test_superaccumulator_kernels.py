"""The superaccumulator in OpenCL: the bits of NumPy, and the rounding of Python's fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from vectors import VECTORS, any_bits

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import EXPONENTIAL, FLOAT32, FLOAT32_PRODUCT, FLOAT64, Format
from convergence_jax.exact.superaccumulator import AccumulatorState, Superaccumulator
from convergence_jax.fpga.constants_header import constants_header
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.stream import stream
from convergence_jax.fpga.superaccumulator import FpgaSuperaccumulator

SIZES = [0, 1, 2, 7, 8, 9, 31, 1000, 10_007]
TYPES = {FLOAT32: np.float32, FLOAT64: np.float64}

FORMATS = pytest.mark.parametrize("format", [FLOAT32, FLOAT64], ids=lambda format: format.name)
FORMS = pytest.mark.parametrize("task", [True, False], ids=["task", "shares"])


def bits(state: AccumulatorState) -> bytes:
    leaves = (state.digits, state.nan, state.pos_inf, state.neg_inf)
    return b"".join(np.asarray(leaf).tobytes() for leaf in leaves)


def rounded(value: Fraction, dtype: type) -> float:
    """The nearest float, ties to even, by one division: Python's `round` knows both."""
    precision, least, most = {np.float64: (53, -1074, 1024), np.float32: (24, -149, 128)}[dtype]
    if value == 0:
        return 0.0
    power = abs(value.numerator).bit_length() - value.denominator.bit_length()
    power -= abs(value) < Fraction(2) ** power  # 2**power <= |value|
    unit = Fraction(2) ** max(power - precision + 1, least)
    found = round(value / unit) * unit
    if abs(found) >= Fraction(2) ** most:
        return float("inf") if value > 0 else float("-inf")
    return math.copysign(found, value)  # a fraction that rounds to zero keeps its sign


def state_of(values: list[int], format: Format) -> AccumulatorState:
    zeros = np.zeros(len(values), np.int64)
    return AccumulatorState(group.from_ints(values, format.digits), zeros, zeros, zeros)


def integer(state: AccumulatorState) -> int:
    return int.from_bytes(state.digits.astype("<u4").tobytes(), "little", signed=True)


# Deposits


@FORMS
@FORMATS
@pytest.mark.parametrize("count", SIZES)
def test_any_bits_make_the_state_of_numpy(host, format, task, count):
    xs = any_bits(count, TYPES[format], seed=count)
    state = FpgaSuperaccumulator(host, format, task).collect(xs)
    assert bits(state) == bits(Superaccumulator(format).collect(xs))


@FORMS
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
@example(values=[1e300, 1.0, -1e300, 5e-324])
def test_the_state_is_the_sum_of_fractions(host, task, values):
    state = FpgaSuperaccumulator(host, FLOAT64, task).collect(np.array(values, np.float64))
    assert integer(state) == sum(map(Fraction, values), Fraction()) * 2**1074


@FORMS
@FORMATS
def test_order_leaves_no_trace(host, format, task):
    stat, xs = FpgaSuperaccumulator(host, format, task), any_bits(3_001, TYPES[format])
    assert bits(stat.collect(xs)) == bits(stat.collect(np.random.default_rng(3).permutation(xs)))


@FORMS
@FORMATS
@pytest.mark.parametrize("piece_bytes", [8, 24, 1 << 12, 1 << 15])
def test_pieces_leave_no_trace(host, format, task, piece_bytes):
    xs = any_bits(max(101, piece_bytes // 2 + 1), TYPES[format])
    whole = FpgaSuperaccumulator(host, format, task).collect(xs)
    assert bits(FpgaSuperaccumulator(host, format, task, piece_bytes).collect(xs)) == bits(whole)


@FORMATS
def test_strides_leave_no_trace(host, format):
    stat, xs = FpgaSuperaccumulator(host, format, piece_bytes=1 << 10), any_bits(3_001, TYPES[format])
    assert bits(stat.collect(xs[::-3])) == bits(stat.collect(xs[::-3].copy()))


@FORMS
@FORMATS
def test_the_kernels_take_the_unit_from_the_header(host, format, task):
    name = f"#define {format.name.upper()}_LSB"
    smaller = constants_header().replace(f"{name} ({format.lsb})", f"{name} ({format.lsb - 1})")
    other = FpgaSuperaccumulator(Host(host.device, header=smaller), format, task)
    stat, xs = FpgaSuperaccumulator(host, format, task), any_bits(500, TYPES[format])
    xs = xs[np.isfinite(xs)]
    assert integer(other.collect(xs)) == 2 * integer(stat.collect(xs)) != 0


@FORMATS
def test_the_default_form_suits_the_device(host, format):
    stat, xs = FpgaSuperaccumulator(host, format), any_bits(100, TYPES[format])
    before = host.launches, host.bytes_to_device
    state = stat.collect(xs)
    assert bits(state) == bits(FpgaSuperaccumulator(host, format, host.device.tasks).collect(xs))
    assert host.launches > before[0]
    assert host.bytes_to_device == before[1] + 2 * xs.nbytes


# Digits


@pytest.mark.parametrize("length", [2, FLOAT32.digits, FLOAT64.digits, EXPONENTIAL.digits])
def test_lanes_close_to_their_limit_become_the_digits_of_their_integer(host, length):
    rng, limit = np.random.default_rng(4), (1 << 63) - (1 << 32)
    lanes = rng.integers(1 - limit, limit, (50, length))
    lanes[:4] = np.array([[limit - 1], [1 - limit], [-1], [0]])
    digits = host.empty(4 * lanes.size)
    host.run("canonicalise", len(lanes), host.put(lanes), np.uint32(length), digits)
    sums = [sum(int(lane) << (32 * k) for k, lane in enumerate(row)) for row in lanes]
    assert host.get(digits, lanes.shape, np.uint32).tobytes() == group.from_ints(sums, length).tobytes()


@FORMATS
def test_merge_and_remove_are_those_of_numpy_and_undo_each_other(host, format):
    stat, plain, rng = FpgaSuperaccumulator(host, format), Superaccumulator(format), np.random.default_rng(5)
    shape, modulus = (3, 4), 1 << (32 * format.digits)

    def state(*shape: int) -> AccumulatorState:
        digits = rng.integers(0, 1 << 32, (*shape, format.digits), dtype=np.uint32)
        return AccumulatorState(digits, *rng.integers(-5, 1 << 40, (3, *shape)))

    for a, b in [(state(*shape), state(*shape)), (state(), state()), (state(3, 1), state(4))]:
        assert bits(stat.merge(a, b)) == bits(plain.merge(a, b))
        assert bits(stat.remove(a, b)) == bits(plain.remove(a, b))
    a, b = state(*shape), state(*shape)
    assert bits(stat.remove(stat.merge(a, b), b)) == bits(a)
    ones, one = state_of([-1, modulus - 1], format), state_of([1], format)
    assert bits(stat.merge(ones, one)) == bits(stat.empty((2,)))  # the carry goes through every digit
    assert bits(stat.remove(stat.empty((2,)), one)) == bits(ones)


@FORMATS
def test_states_of_no_element_are_merged_and_presented(host, format):
    stat = FpgaSuperaccumulator(host, format)
    none = stat.empty((0, 3))
    assert bits(none) == bits(Superaccumulator(format).empty((0, 3)))
    assert stat.merge(none, none).digits.shape == (0, 3, format.digits)
    assert stat.present(none).shape == (0, 3)
    assert stat.collect(np.array([], TYPES[format])).digits.shape == (format.digits,)


# Rounding


@FORMATS
def test_vectors_have_the_value_of_numpy(host, format):
    stat, plain = FpgaSuperaccumulator(host, format), Superaccumulator(format)
    for xs in VECTORS[format.name].values():
        for dtype in (np.float32, np.float64):
            found = stat.present(stat.collect(xs), dtype)
            assert found.tobytes() == plain.present(plain.collect(xs), dtype).tobytes()


@FORMATS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_present_rounds_as_fractions_do(host, format, dtype):
    rng, values = np.random.default_rng(6), [0]
    precision, bits_of_format = {np.float64: 53, np.float32: 24}[dtype], 32 * format.digits
    for length in range(1, bits_of_format - 1):
        value = int.from_bytes(rng.bytes(bits_of_format // 8), "little") % (1 << length) | 1 << (length - 1)
        values += [value, 1 << (length - 1), (1 << length) - 1]
        unit = length - precision  # a tie, what is just beside it, and a tie of an odd neighbour
        if unit >= 1:
            tie = (value >> unit << unit) + (1 << (unit - 1))
            values += [tie, tie + 1, tie - 1, tie ^ (1 << unit)]
    # Subnormal results: ties at every bit below the normal numbers, and the last that rounds to zero.
    least = {np.float64: -1074, np.float32: -149}[dtype] - format.lsb
    if least > 0:
        for k in range(1, 2 * precision):
            values += [k << (least - 1), (k << (least - 1)) + 1, (k << (least - 1)) - 1]
    values += [-value for value in values]
    state = state_of(values, format)
    found = FpgaSuperaccumulator(host, format).present(state, dtype)
    unit = Fraction(2) ** format.lsb
    wanted = np.array([rounded(value * unit, dtype) for value in values], dtype)
    assert found.tobytes() == wanted.tobytes()
    assert found.tobytes() == Superaccumulator(format).present(state, dtype).tobytes()
    assert not np.isfinite(found).all() or (format, dtype) == (FLOAT32, np.float64)


@FORMATS
def test_overflow_begins_half_a_unit_above_the_largest_float(host, format):
    stat = FpgaSuperaccumulator(host, format)
    dtype, precision = TYPES[format], format.term_bits - {FLOAT32: 24, FLOAT64: 53}[format]
    largest, half = (
        int(Fraction(float(np.finfo(dtype).max)) / Fraction(2) ** format.lsb),
        1 << (precision - 1),
    )
    values = [largest, largest + half - 1, largest + half, -largest - half + 1, -largest - half]
    most = np.finfo(dtype).max
    wanted = np.array([most, most, np.inf, -most, -np.inf], dtype)
    assert stat.present(state_of(values, format), dtype).tobytes() == wanted.tobytes()


@FORMATS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_decide_the_value_as_in_numpy(host, format, dtype):
    kinds = np.array([(a, b, c) for a in (-1, 0, 2) for b in (-1, 0, 1) for c in (-1, 0, 3)]).T
    digits = np.zeros((kinds.shape[1], format.digits), np.uint32)
    digits[:, 3] = 7
    state = AccumulatorState(digits, *kinds)
    found = FpgaSuperaccumulator(host, format).present(state, dtype)
    assert found.dtype == dtype
    assert found.tobytes() == Superaccumulator(format).present(state, dtype).tobytes()


# Pieces


@pytest.mark.parametrize("length", [1, 2, 3, 10, 11, 40])
def test_pieces_of_a_stream_make_the_array_again(host, length):
    array = np.arange(20, dtype=np.int64).reshape(10, 2)
    pieces = [host.get(buffer, (count, 2), np.int64) for buffer, count in stream(host, array, length)]
    assert len(pieces) == -(-10 // length)
    assert np.concatenate(pieces).tobytes() == array.tobytes()


def test_a_stream_of_nothing_has_no_piece(host):
    assert list(stream(host, np.zeros(0), 5)) == []
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        next(stream(host, np.zeros(3), 0))


# Errors


def test_wrong_use_is_named(host):
    stat = FpgaSuperaccumulator(host, FLOAT32)
    with pytest.raises(TypeError, match="float32 cannot hold float64"):
        stat.collect(np.zeros(3))
    with pytest.raises(TypeError, match="exact sums take float32 or float64, got int64"):
        stat.collect(np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="one axis, got shape"):
        stat.collect(np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="must be float32 or float64, got float32_product"):
        FpgaSuperaccumulator(host, FLOAT32_PRODUCT)
    with pytest.raises(ValueError, match="piece_bytes must be at least 4, got 3"):
        FpgaSuperaccumulator(host, FLOAT32, piece_bytes=3)
    other = Superaccumulator(FLOAT64).empty()
    for wrong in (lambda: stat.present(other), lambda: stat.merge(other, other)):
        with pytest.raises(ValueError, match="have 11 digits, got 69"):
            wrong()
    with pytest.raises(TypeError, match="got int32"):
        stat.present(stat.empty(), np.int32)
