"""Distinct counts: the hash never changes, the error is as stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convergence_jax as cj
from convergence_jax.testing import oracles


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        ("", 0xB4B2797457A0A6E4),
        ("a", 0x2F42665B399EF840),
        ("agent-1", 0x4A3465837DBA8306),
        ("\xc4rger", 0xBF3E3E2359C54E17),
        ("\u65e5\u672c", 0x3A9B54E1CF3533E8),
        ("\U0001f642", 0xB797A272450A10B9),
        ("e\u0301", 0x6D90957B9548473A),
    ],
)
def test_the_hash_of_a_text_never_changes(text, hashed):
    assert int(cj.hash_text([text])[0]) == hashed


@given(text=st.text(max_size=20).filter(lambda t: t.isascii()))
def test_text_and_its_bytes_have_one_hash(text):
    assert cj.hash_text([text]) == cj.hash_text([text.encode("utf-8")])


def test_hashing_refuses_what_has_no_single_spelling():
    with pytest.raises(TypeError, match="want str or bytes, got int"):
        cj.hash_text([1])
    with pytest.raises(UnicodeEncodeError):
        cj.hash_text(["\ud800"])
    with pytest.raises(TypeError, match="uint64"):
        cj.Distinct().lift(np.int64(1))


def test_hashing_nothing_gives_nothing():
    assert cj.hash_text([]).shape == (0,)


@pytest.mark.parametrize(("index_bits", "salt"), [(10, "a"), (12, "b"), (12, "c"), (14, "d")])
def test_a_hundred_thousand_agents_are_counted_within_four_standard_errors(index_bits, salt):
    names = [f"{salt}-agent-{i % 100_000}" for i in range(120_000)]
    stat = cj.Distinct(index_bits)
    value = stat.present(cj.reduce(stat, cj.hash_text(names)))
    error = abs(float(value.estimate) / oracles.distinct(names) - 1)
    assert error <= 4 * stat.relative_error


@pytest.mark.parametrize("count", [0, 1, 2, 10, 100, 1000, 10_000, 100_000])
def test_the_estimate_has_the_stated_standard_error_and_no_bias(count):
    stat, repeats = cj.Distinct(8), 200
    rng = np.random.default_rng(20261123)
    errors = []
    for _ in range(repeats):
        hashes = rng.integers(0, 2**64, size=count, dtype=np.uint64)
        errors.append(float(stat.present(stat.collect(hashes)).estimate) - count)
    limit = stat.relative_error * count
    # The mean of `repeats` errors has a standard error of limit / sqrt(repeats), their deviation one of
    # limit / sqrt(2 * repeats): four of each.
    assert abs(np.mean(errors)) <= 4 * limit / np.sqrt(repeats)
    assert np.std(errors) <= limit * (1 + 4 / np.sqrt(2 * repeats))


@pytest.mark.parametrize(("index_bits", "percent"), [(4, 25.97), (10, 3.247), (12, 1.623), (14, 0.812)])
def test_the_standard_error_is_that_of_the_paper(index_bits, percent):
    """Flajolet and others (2007): 1.039 over the root of the number of registers."""
    assert 100 * cj.Distinct(index_bits).relative_error == pytest.approx(percent, rel=1e-3)


def test_seeing_an_agent_again_changes_nothing():
    stat = cj.Distinct(6)
    hashes = cj.hash_text([f"{i}" for i in range(50)])
    once, twice = stat.collect(hashes), stat.collect(np.concatenate([hashes, hashes]))
    assert once.registers.tobytes() == twice.registers.tobytes()


def test_the_longest_runs_of_zeros_are_kept():
    stat = cj.Distinct(4)
    state = stat.lift(np.uint64(0))
    assert state.registers.tolist() == [61] + [0] * 15
    assert np.isfinite(stat.present(state).estimate)
    assert stat.lift(np.uint64(2**64 - 1)).registers.tolist() == [0] * 15 + [1]
    full = stat.collect(np.arange(16, dtype=np.uint64) << np.uint64(60))
    assert stat.present(full).estimate == np.inf
