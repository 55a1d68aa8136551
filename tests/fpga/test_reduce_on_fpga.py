"""`reduce` by the kernels: the bits of XLA, for every statistic that they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convergence_jax as cj
from convergence_jax.exact.constants import FLOAT32, FLOAT32_PRODUCT, FLOAT64_PRODUCT
from convergence_jax.fpga import reduce as fpga_reduce
from convergence_jax.fpga.backend import FpgaBackend
from convergence_jax.statistics.state import map_arrays
from convergence_jax.testing import strategies
from convergence_jax.testing.sample import bits

NARROW, WIDE = cj.FixedPoint(20, 11), cj.FixedPoint(20, 42)
SINGLE = cj.Superaccumulator(FLOAT32)
STATISTICS = {
    "float64": cj.Superaccumulator(),
    "float32": SINGLE,
    "exponentials": cj.LogSumExp(),
    "narrow moments": cj.Moments((NARROW,) * 3),
    "wide moments": cj.Moments((WIDE,) * 3),
    "moments of both": cj.Moments((NARROW, WIDE, cj.FixedPoint(-3, 30))),
    "narrow sum": cj.Sum(),
    "wide sum": cj.Sum(20, 42),
}
TAKEN = pytest.mark.parametrize("stat", STATISTICS.values(), ids=STATISTICS)
ROWS = 64
SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e308, -1e308, 2048.0, -2048.0, 1e12, 2.0**62]


@pytest.fixture(scope="module")
def backend(host) -> FpgaBackend:
    return FpgaBackend(host)


def trailing(stat) -> tuple[int, ...]:
    """Shape of one observation."""
    return (stat.features,) if isinstance(stat, cj.Moments) else ()


def dtype(stat) -> type:
    return np.float32 if stat == SINGLE else np.float64


def values(stat, rows: int, seed: int = 1) -> np.ndarray:
    """Ordinary numbers, and some that lifts or formats find special."""
    rng = np.random.default_rng(seed)
    shape = (rows, *trailing(stat))
    x = np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), rng.normal(0.0, 500.0, shape))
    with np.errstate(over="ignore"):
        return x.astype(dtype(stat))


def same(found, wanted) -> bool:
    """Whether two states have the same structure, types, shapes and bytes."""
    return jax.tree.structure(found) == jax.tree.structure(wanted) and bits(found) == bits(wanted)


def agree(backend: FpgaBackend, stat, xs, where=None) -> bool:
    """Whether the device gives the state of XLA, which gets one length of arrays and so compiles once."""
    length, missing = len(xs), ROWS - len(xs)
    filled = np.concatenate([xs, np.ones((missing, *xs.shape[1:]), xs.dtype)])
    seen = np.concatenate([np.ones(length, bool) if where is None else where, np.zeros(missing, bool)])
    found = cj.reduce(stat, xs, where=where, backend=backend)
    return same(found, cj.reduce(stat, filled, where=seen))


@TAKEN
def test_a_state_has_the_bits_of_xla_and_comes_from_kernels(stat, backend):
    xs, launches = values(stat, 301), backend.host.launches
    found = cj.reduce(stat, xs, backend=backend)
    assert backend.host.launches > launches
    assert same(found, cj.reduce(stat, xs))
    assert same(cj.reduce(stat, jnp.asarray(xs), backend=backend), found)


@TAKEN
def test_a_mask_leaves_out_what_xla_leaves_out(stat, backend):
    xs, seen = values(stat, ROWS, seed=4), np.random.default_rng(2).random(ROWS) < 0.6
    wanted = cj.reduce(stat, xs, where=seen)
    assert same(cj.reduce(stat, xs, where=seen, backend=backend), wanted)
    assert same(cj.reduce(stat, jnp.asarray(xs), where=jnp.asarray(seen), backend=backend), wanted)


@TAKEN
@given(data=st.data())
def test_any_observations_and_any_mask_give_the_bits_of_xla(stat, data, backend):
    features = stat.features if isinstance(stat, cj.Moments) else None
    elements = strategies.floats32() if stat == SINGLE else strategies.floats()
    sample = data.draw(strategies.samples(elements, features=features, dtype=dtype(stat)))
    assert agree(backend, stat, sample.xs, sample.seen)


@TAKEN
def test_no_observations_give_the_empty_state(stat, backend):
    xs = values(stat, 7)
    found = cj.reduce(stat, xs[:0], backend=backend)
    assert same(found, cj.reduce(stat, xs[:0]))
    assert bits(found) == bits(stat.empty())
    assert same(cj.reduce(stat, xs[:0], where=np.zeros(0, bool), backend=backend), found)
    assert same(cj.reduce(stat, xs, where=np.zeros(7, bool), backend=backend), found)


@TAKEN
@pytest.mark.parametrize("special", SPECIAL, ids=repr)
def test_what_is_not_held_is_counted_as_by_xla(stat, special, backend):
    xs = np.ones((5, *trailing(stat)), dtype(stat))
    with np.errstate(over="ignore"):
        xs[1:3].reshape(2, -1)[:, -1] = special
    assert agree(backend, stat, xs)
    assert agree(backend, stat, xs, np.array([True, False, True, True, False]))


@pytest.mark.parametrize("stat", [cj.LogSumExp(), cj.Sum(), cj.Sum(20, 42)], ids=repr)
@pytest.mark.parametrize("shape", [(7, 2, 2), (0, 2, 2), (4, 0)])
def test_trailing_axes_are_states_of_their_own(stat, shape, backend):
    xs = values(stat, int(np.prod(shape))).reshape(shape)
    assert agree(backend, stat, xs)
    assert agree(backend, stat, xs, np.arange(shape[0]) % 3 != 1)


@pytest.mark.parametrize("stat", [STATISTICS["moments of both"], cj.Sum(), cj.Sum(20, 42)], ids=repr)
@pytest.mark.parametrize("block", [1, 100])
def test_blocks_leave_no_trace(stat, block, backend, monkeypatch):
    monkeypatch.setattr(fpga_reduce, "BLOCK", block)
    assert agree(backend, stat, values(stat, 61))


def test_states_of_device_and_xla_merge_and_present(backend):
    stat, xs, here = (
        STATISTICS["narrow moments"],
        np.arange(3.0 * ROWS).reshape(ROWS, 3),
        np.arange(ROWS) < 40,
    )
    rest = map_arrays(np.asarray, cj.reduce(stat, xs, where=~here))
    both = stat.merge(cj.reduce(stat, xs[here], backend=backend), rest)
    assert bits(both) == bits(cj.reduce(stat, xs, backend=backend))
    assert stat.present(cj.check(both)).mean.tolist() == xs.mean(axis=0).tolist()


@pytest.mark.parametrize(
    ("stat", "xs"),
    [
        (cj.Count(), np.zeros(3)),
        (cj.Extrema(), np.zeros(3)),
        (cj.Histogram((0.0, 1.0)), np.zeros(3)),
        (cj.Superaccumulator(FLOAT32_PRODUCT), (np.zeros(3, np.float32),) * 2),
        (cj.Superaccumulator(FLOAT64_PRODUCT), (np.zeros(3),) * 2),
        (cj.product(a=cj.Sum(), b=cj.Count()), np.zeros(3)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_other_statistics_are_refused_by_name(stat, xs, backend):
    with pytest.raises(TypeError) as caught:
        cj.reduce(stat, xs, where=np.ones(3, bool), backend=backend)
    for named in (repr(stat), "Superaccumulator", "float32", "float64", "LogSumExp", "Moments", "Sum"):
        assert named in str(caught.value)


@pytest.mark.parametrize(
    ("stat", "xs", "where", "error", "said"),
    [
        (cj.Superaccumulator(), np.zeros(3, np.float32), None, TypeError, "cannot hold float32"),
        (cj.Superaccumulator(), np.zeros((3, 2)), None, ValueError, "must have one axis"),
        (cj.LogSumExp(), np.zeros(3, np.float32), None, TypeError, "must be float64, got float32"),
        (cj.Moments((NARROW,) * 3), np.zeros(3), None, ValueError, r"\(n, 3\), got shape \(3,\)"),
        (cj.Moments((NARROW,) * 3), np.zeros((0, 2)), None, ValueError, "must be the 3 features"),
        (cj.Sum(), np.zeros((3, 2)), np.ones((3, 2), bool), ValueError, r"where must have the shape \(3,\)"),
    ],
)
def test_wrong_types_and_shapes_are_refused(stat, xs, where, error, said, backend):
    with pytest.raises(error, match=said):
        cj.reduce(stat, xs, where=where, backend=backend)
