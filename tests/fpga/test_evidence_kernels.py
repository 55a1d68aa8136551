"""Sums of evidence in cells in OpenCL: digits and masks as NumPy and JAX make them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.consensus.evidence import Evidence, collect
from convergence_jax.exact.constants import WINDOW, WINDOW_FIRST_DIGIT
from convergence_jax.exact.window_segments import window_segments
from convergence_jax.fpga.constants_header import constants_header
from convergence_jax.fpga.evidence import FpgaEvidence
from convergence_jax.fpga.host import Host
from convergence_jax.testing import strategies

EDGES = [
    *(2.0**14, np.nextafter(2.0**14, 0.0), -(2.0**14), -np.nextafter(2.0**14, 0.0)),
    *(2.0**-82, -(2.0**-82), 2.0**-83, 3 * 2.0**-83, 2.0**-30 + 2.0**-82, 2.0**-31 + 2.0**-83),
    *(0.0, -0.0, 5e-324, -5e-324, np.inf, -np.inf, np.nan, -np.nan, 1e308),
]


def values(rows: int, seed: int = 1) -> np.ndarray:
    """Random bits, ordinary numbers and the edges of the window."""
    rng = np.random.default_rng(seed)
    any_bits = rng.integers(0, 1 << 64, rows, dtype=np.uint64).view(np.float64)
    ordinary = rng.normal(0.0, 30.0, rows)
    x = np.where(rng.random(rows) < 0.2, any_bits, ordinary)
    return np.where(rng.random(rows) < 0.2, rng.choice(EDGES, rows), x)


def ordinary(rows: int) -> np.ndarray:
    """Numbers that all lie in the window."""
    return np.random.default_rng(2).normal(0.0, 300.0, rows).round(6) * (1.0 + 2.0**-30)


def plain(found: tuple) -> tuple[tuple[str, tuple[int, ...], bytes], tuple[str, bytes] | None]:
    """Type, shape and bytes of the digits, and those of the mask."""
    digits, outside = np.asarray(found[0]), found[1]
    mask = None if outside is None else (str(outside.shape), np.asarray(outside).tobytes())
    return (str(digits.dtype), digits.shape, digits.tobytes()), mask


def agree(fpga: FpgaEvidence, x: np.ndarray, ids: np.ndarray, cells: int) -> bool:
    """Whether the device, NumPy and JAX give the same bytes."""
    found = plain(fpga.window_segments(x, ids, cells))
    compiled = window_segments(jnp.asarray(x), jnp.asarray(ids), cells)
    return found == plain(window_segments(x, ids, cells)) == plain(compiled)


@pytest.mark.parametrize("longest", [1, 3, 100, 1 << 16])
@pytest.mark.parametrize("cells", [1, 2, 40, 3_000])
def test_sums_have_the_bits_of_the_library(cells, longest, host):
    x, ids = values(1_003), np.random.default_rng(3).integers(0, cells, 1_003)
    fpga = FpgaEvidence(host, longest=longest)
    assert agree(fpga, x, ids, cells)
    assert agree(fpga, x[:1_002].reshape(334, 3), ids[:334].astype(np.int32), cells)


@pytest.mark.parametrize("longest", [50, 1 << 16])
def test_what_lies_in_the_window_has_no_mask(longest, host):
    x, ids = ordinary(2_000), np.random.default_rng(3).integers(0, 9, 2_000)
    fpga = FpgaEvidence(host, longest=longest)
    digits, outside = fpga.window_segments(x, ids, 9)
    assert outside is None
    assert plain((digits, outside)) == plain(window_segments(x, ids, 9))


@given(
    x=st.lists(st.one_of(strategies.floats(), st.sampled_from(EDGES), st.floats(-50.0, 50.0)), max_size=30),
    longest=st.sampled_from([1, 2, 1 << 16]),
)
@example(x=[float("nan")], longest=1)
@example(x=[-(2.0**-82), 2.0**-82, -(2.0**-82)], longest=2)
def test_any_numbers_sum_to_the_bits_of_numpy(x, longest, host):
    x, ids = np.array(x, dtype=np.float64), np.arange(len(x)) % 3
    found = FpgaEvidence(host, longest=longest).window_segments(x, ids, 4)
    assert plain(found) == plain(window_segments(x, ids, 4))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (5, 0)])
@pytest.mark.parametrize("cells", [0, 4])
def test_nothing_sums_to_zeros(shape, cells, host):
    x, ids = np.zeros(shape), np.zeros(shape[0], np.int64)
    launches = host.launches
    found = FpgaEvidence(host).window_segments(x, ids, cells)
    assert plain(found) == plain(window_segments(x, ids, cells))
    assert host.launches == launches


@pytest.mark.parametrize("number", [np.nextafter(2.0**14, 0.0), -np.nextafter(2.0**14, 0.0), -(2.0**-82)])
def test_carries_and_borrows_cross_the_whole_sum(number, host):
    x, ids = np.full(70_001, number), np.zeros(70_001, np.int64)
    for longest in (1_000, 1 << 16, 1 << 20):
        found = FpgaEvidence(host, longest=longest).window_segments(x, ids, 1)
        assert plain(found) == plain(window_segments(x, ids, 1))


def test_order_leaves_no_trace_and_a_short_cell_beside_a_long_one_none(host):
    x = ordinary(5_000)
    ids = np.where(np.arange(5_000) % 100 == 7, np.arange(5_000) // 100 + 1, 0)
    fpga = FpgaEvidence(host, longest=64)
    first = plain(fpga.window_segments(x, ids, 60))
    assert first == plain(window_segments(x, ids, 60))
    assert first == plain(fpga.window_segments(x[::-1], ids[::-1], 60))


def test_only_cells_in_parts_take_a_second_kernel(host):
    x, ids = ordinary(100), np.arange(100) % 4
    launches = host.launches
    FpgaEvidence(host, longest=25).window_segments(x, ids, 4)
    assert host.launches == launches + 1
    FpgaEvidence(host, longest=24).window_segments(x, ids, 4)
    assert host.launches == launches + 3
    assert FpgaEvidence(host).execution["kernel_launches"] == launches + 3


def bits(evidence: Evidence) -> list[bytes]:
    """Bytes of everything in a table."""
    sums = evidence.sums
    arrays = [evidence.agent, evidence.observer, evidence.count, evidence.refused]
    return [np.asarray(a).tobytes() for a in (*arrays, sums.window, sums.far, sums.outside)]


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("agents", [5, 400_000])
def test_collect_makes_the_same_table_with_the_device(agents, columns, host):
    rng, rows = np.random.default_rng(4), 600
    x = values(rows if columns is None else rows * columns).reshape((rows, *([columns] if columns else [])))
    agent, observer = rng.integers(0, agents, rows), rng.integers(0, 3, rows)
    sizes = {"agents": agents, "observers": 3}
    fpga = FpgaEvidence(host, longest=16)
    launches = host.launches
    found = collect(agent, observer, x, **sizes, backend=fpga)
    assert host.launches > launches
    wanted = collect(agent, observer, x, **sizes)
    assert bits(found) == bits(wanted)
    assert dataclasses.replace(found, statistic=wanted.statistic).bytes_a_cell == wanted.bytes_a_cell
    assert found.refused.sum() > 0
    assert len(found.sums.far) > 0
    halves = [
        collect(agent[part], observer[part], x[part], **sizes, backend=backend)
        for part, backend in ((slice(None, 300), fpga), (slice(300, None), None))
    ]
    assert bits(halves[0].merge(halves[1])) == bits(wanted)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("WINDOW_FIRST_DIGIT", str(WINDOW_FIRST_DIGIT), str(WINDOW_FIRST_DIGIT - 1)),
        ("FLOAT64_WINDOW_TERM_BITS", str(WINDOW.term_bits), str(WINDOW.term_bits - 5)),
    ],
)
def test_the_kernel_reads_the_window_from_the_header(name, old, new, host):
    header = constants_header()
    assert header.count(f"#define {name} {old}\n") == 1
    other = Host(header=header.replace(f"#define {name} {old}\n", f"#define {name} {new}\n"))
    x, ids = np.array([1.5, -3.0, 1000.0]), np.zeros(3, np.int64)
    assert plain(FpgaEvidence(other).window_segments(x, ids, 1)) != plain(window_segments(x, ids, 1))


def test_other_types_are_refused(host):
    with pytest.raises(TypeError, match="values must be float64, got float32"):
        FpgaEvidence(host).window_segments(np.zeros(2, np.float32), np.zeros(2, np.int64), 1)
