"""Moments, tables of leaves and merges in OpenCL: the bits of Moments itself, lifted and merged in NumPy."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.data.backend import Xla
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.fpga import moments as fpga_moments
from convergence_jax.fpga.backend import FpgaBackend
from convergence_jax.fpga.constants_header import constants_header
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.parts import parts_of
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import map_arrays

NARROW, WIDE = FixedPoint(15, 16), FixedPoint(20, 42)
LIFTS = pytest.mark.parametrize("lift", [NARROW, WIDE], ids=["narrow", "wide"])


@pytest.fixture(scope="module")
def backend(host) -> FpgaBackend:
    return FpgaBackend(host)


def statistic(lift: FixedPoint, features: int) -> Moments:
    return Moments((lift,) * features)


def extreme_ticks(lift: FixedPoint, features: int, rows: int, seed: int = 1) -> np.ndarray:
    """Ticks over the whole range, its ends and zero among them."""
    rng, most = np.random.default_rng(seed), (1 << lift.bits) - 1
    ticks = rng.integers(-most, most, (features, rows), endpoint=True)
    ends = rng.choice([-most, most, 0, 1, -1], (features, rows))
    return np.where(rng.random((features, rows)) < 0.3, ends, ticks)


def one_by_one(stat: Moments, ticks: np.ndarray, group: np.ndarray, groups: int) -> MomentsState:
    """Merged by Moments in NumPy, group by group."""
    states = []
    for g in range(groups):
        rows = np.ascontiguousarray(ticks[:, group == g].T.astype(np.int64))
        lifted = stat.from_ticks(rows, np.ones(len(rows), np.int64), stat.empty((len(rows),)).faults)
        states.append(stat.total(lifted))
    return map_arrays(lambda *parts: np.stack(parts), *states)


def bits(state: MomentsState) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    map_arrays(lambda x: found.append((str(x.dtype), np.asarray(x).tobytes())) or x, state)
    return found


@LIFTS
@pytest.mark.parametrize(
    ("features", "rows", "groups"), [(1, 1, 1), (3, 1000, 7), (10, 4001, 2), (2, 50, 400)]
)
def test_groups_have_the_moments_of_their_rows(backend, lift, features, rows, groups):
    stat, ticks = statistic(lift, features), extreme_ticks(lift, features, rows)
    group = np.random.default_rng(2).integers(-1, groups, rows)
    found = backend.group_moments(stat, ticks, group, groups)
    assert bits(found) == bits(one_by_one(stat, ticks, group, groups))


@LIFTS
def test_the_largest_products_of_one_sign_add_up(backend, lift):
    rows, most = 100_000, (1 << lift.bits) - 1
    ticks = np.stack([np.full(rows, most), np.full(rows, -most)])
    found = backend.group_moments(statistic(lift, 2), ticks, np.zeros(rows, int), 1)
    numbers = [int.from_bytes(np.asarray(x).tobytes(), "little", signed=True) for x in found.products[0]]
    assert numbers == [rows * most**2, -rows * most**2, rows * most**2]


@LIFTS
def test_segments_in_several_parts_and_in_several_turns_leave_no_trace(host, lift, monkeypatch):
    stat, ticks = statistic(lift, 3), extreme_ticks(lift, 3, 5000)
    group = np.random.default_rng(3).choice([0, 0, 0, 1, 2, 5, 9], 5000)
    wanted = bits(FpgaBackend(host).group_moments(stat, ticks, group, 10))
    monkeypatch.setattr(fpga_moments, "parts_of", lambda segments, longest=99: parts_of(segments, 99))
    assert bits(FpgaBackend(host).group_moments(stat, ticks, group, 10)) == wanted
    monkeypatch.setattr(fpga_moments, "LANE_BYTES", 1)
    assert bits(FpgaBackend(host).group_moments(stat, ticks, group, 10)) == wanted


@LIFTS
def test_a_table_of_leaves_grows_and_counts_as_the_one_of_jax(backend, lift):
    stat = statistic(lift, 2)
    here, there = backend.leaf_table(stat), Xla().leaf_table(stat)
    for batch, most in enumerate((5, 3000, 2)):
        ticks = extreme_ticks(lift, 2, 500, batch)
        leaf = np.random.default_rng(batch).integers(-1, most, 500)
        for table in (here, there):
            table.add(ticks, leaf)
    for found, wanted in zip(here.state(4000), there.state(4000), strict=True):
        assert (found.dtype, found.tobytes()) == (wanted.dtype, wanted.tobytes())


@LIFTS
def test_levels_are_merged_as_by_jax(backend, lift):
    stat, ticks = statistic(lift, 2), extreme_ticks(lift, 2, 600)
    finest = backend.group_moments(stat, ticks, np.arange(600) % 40, 40)
    parents, sizes = [np.zeros(6, int), np.arange(40) % 6], [1, 6, 40]
    found = backend.merge_upwards(finest, parents, sizes)
    wanted = Xla().merge_upwards(finest, parents, sizes)
    assert [bits(level) for level in found] == [bits(level) for level in wanted]


def test_a_bit_of_a_constant_changes_the_moments():
    header = constants_header().replace("#define DIGIT_MASK 0xffffffffUL", "#define DIGIT_MASK 0xfffffffeUL")
    assert header != constants_header()
    stat, ticks = statistic(NARROW, 2), extreme_ticks(NARROW, 2, 100)
    args = (stat, ticks, np.zeros(100, int), 1)
    broken = FpgaBackend(Host(header=header)).group_moments(*args)
    assert bits(broken) != bits(FpgaBackend(Host()).group_moments(*args))


# How rows are dealt


@given(st.lists(st.integers(-2, 6), max_size=60), st.integers(1, 9), st.integers(1, 20), st.integers(1, 12))
def test_parts_hold_every_row_of_a_segment_once_and_shares_and_slices_every_part(
    rows, longest, most, workers
):
    parts = parts_of(np.array(rows, dtype=np.int64), longest)
    seen = [(int(s), int(r)) for s, a, b in zip(parts.segment, parts.first, parts.first[1:], strict=False)
            for r in parts.order[a:b]]  # fmt: skip
    assert sorted(seen) == sorted((s, r) for r, s in enumerate(rows) if s >= 0)
    sizes = np.diff(parts.first.astype(int))
    assert all(0 < size <= longest for size in sizes)
    shares = parts.shares(workers)
    assert (shares[0], shares[-1], len(shares)) == (0, len(parts), workers + 1)
    assert (np.diff(shares.astype(int)) >= 0).all()
    slices = list(parts.slices(most))
    assert [s for part in slices for s in part.segment] == list(parts.segment)
    owners = [set(part.segment) for part in slices]
    assert all(not a & b for a, b in pairwise(owners))
    assert all(len(part) <= most or len(set(part.segment)) == 1 for part in slices)
