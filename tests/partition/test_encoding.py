"""States become bytes and come back in bits, and no state has two encodings."""

import dataclasses

import numpy as np
import pytest
from cluster_of_replicas import LATENCY, TRUST
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convergence_jax.exact import digits
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.partition.rows.encoding import decode, encode
from convergence_jax.statistics.count import Count
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import map_arrays
from convergence_jax.testing.catalogue import CASES
from convergence_jax.testing.sample import arrays, bits

CLASSES = [case for case in CASES if dataclasses.is_dataclass(case.statistic.empty())]
"""All but log-sum-exp, whose state is a tuple: no roster has it."""
EVERY = pytest.mark.parametrize("case", CLASSES, ids=lambda case: case.name)
MOMENTS = Moments((FixedPoint(), FixedPoint(-3, 20)))


def told(state) -> list[int]:
    """The integers of a state in the order of its class, read off without the library's own reader."""
    numbers = []
    for _, array in arrays(state):
        if array.dtype == np.uint32 and array.ndim:
            for row in array.reshape(-1, array.shape[-1]):
                value = sum(int(digit) << (32 * place) for place, digit in enumerate(row))
                numbers.append(value - (1 << (32 * len(row))) * (int(row[-1]) >> 31))
        else:
            numbers += [int(value) for value in array.reshape(-1)]
    return numbers


def leb128(number: int) -> bytes:
    """Seven bits a byte, the lowest first, by division."""
    out = []
    while True:
        number, low = divmod(number, 128)
        out.append(low + (128 if number else 0))
        if not number:
            return bytes(out)


def described(numbers: list[int]) -> bytes:
    """What the module's text says that numbers become."""
    out, at = b"", 0
    while at < len(numbers):
        run = 0
        while at + run < len(numbers) and numbers[at + run] == 0:
            run += 1
        if run:
            out += b"\0" + leb128(run - 1)
            at += run
        else:
            value = numbers[at]
            out += leb128(2 * value if value > 0 else 2 * abs(value) - 1)
            at += 1
    return out


@EVERY
def test_every_state_comes_back_in_bits_from_the_bytes_that_are_described(case):
    @settings(max_examples=12)
    @given(sample=case.samples)
    def run(sample):
        state = sample.total(case.statistic)
        data = encode(state)
        assert bits(decode(case.statistic, data)) == bits(state)
        assert data == described(told(state))

    run()


@EVERY
def test_what_is_decoded_at_all_has_these_bytes_and_no_others(case):
    @settings(max_examples=12)
    @given(sample=case.samples, draw=st.randoms(use_true_random=False))
    def run(sample, draw):
        data = encode(sample.total(case.statistic))
        for damaged in [data[:-1], data + b"\0", data + b"\0\0", *(mutated(data, draw) for _ in range(15))]:
            try:
                state = decode(case.statistic, damaged)
            except ValueError:
                assert damaged != data
            else:
                assert encode(state) == damaged

    run()


def mutated(data: bytes, draw) -> bytes:
    """Bytes with one of them changed, gone, doubled or put in."""
    at = draw.randrange(len(data))
    kind = draw.randrange(5)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[at + 1 :]
    if kind == 2:
        return data[:at] + bytes([data[at] | 128, 0]) + data[at + 1 :]
    if kind == 3:
        return data[:at] + bytes(draw.choice([[0], [0, 0], [0, 127], [1]])) + data[at:]
    return data[:at]


@given(st.binary(max_size=40))
@example(b"\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\1")
@example(b"\x80" * 5000)
@example(b"\xff" * 5000 + b"\1")
def test_random_bytes_are_refused_or_mean_what_they_say(data):
    for statistic in (Count(), MOMENTS, LATENCY.statistic, TRUST.statistic):
        try:
            state = decode(statistic, data)
        except ValueError:
            continue
        assert encode(state) == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "too early"),
        (b"\x80", "too early"),
        (b"\0", "too early"),
        (b"\x82\0", "longer than"),
        (b"\0\1", "left over"),
        (b"\2\2", "left over"),
        (leb128(2**64), "does not fit"),
        (leb128(2**66), "more than"),
        (b"\x80" * 3000 + b"\1", "no end"),
    ],
)
def test_bytes_that_are_no_count_are_refused_for_what_is_wrong(data, why):
    with pytest.raises(ValueError, match=why):
        decode(Count(), data)


def test_two_runs_of_zeros_in_a_row_are_refused():
    empty = encode(MOMENTS.empty())
    zeros = empty[1] + 1
    assert empty == bytes([0, zeros - 1])
    for first in range(1, zeros):
        with pytest.raises(ValueError, match="two runs"):
            decode(MOMENTS, bytes([0, first - 1, 0, zeros - first - 1]))


def extreme(value: int, count: int) -> MomentsState:
    """A state whose digits are all of one value."""
    return map_arrays(
        lambda array: (
            digits.from_ints(np.full(array.shape[:-1], value, dtype=object), array.shape[-1])
            if array.dtype == np.uint32
            else np.full_like(array, count)
        ),
        MOMENTS.empty(),
    )


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 2**63, -(2**63) - 1, -1, 1, -(2**127), 2**127 - 1])
@pytest.mark.parametrize("count", [-(2**63), 2**63 - 1, -1, 0])
def test_the_ends_of_the_range_come_back_too(value, count):
    state = extreme(value, count)
    data = encode(state)
    assert data == described(told(state))
    assert bits(decode(MOMENTS, data)) == bits(state)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**127, 2**200, -(2**200)])
def test_a_number_beyond_its_field_is_refused(value):
    counts = described([value, 0])
    with pytest.raises(ValueError, match=r"fit|bits"):
        decode(Count(), counts)
    sums = described([0, *[value] * 2, *[0] * 9])
    with pytest.raises(ValueError, match="bits"):
        decode(MOMENTS, sums)


def test_small_states_take_few_bytes():
    one = LATENCY.statistic.total(LATENCY.statistic.lift(np.array([[0.0]])))
    assert len(encode(one)) == 3
    assert len(encode(TRUST.statistic.collect(np.array([0.5])))) < 20
