"""Exact sums of arrays against integers that share no code with the library."""

from functools import partial
from math import prod

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.exact.segments import segment_state
from convergence_jax.exact.sums import dot_state, sum_state
from convergence_jax.exact.superaccumulator import AccumulatorState, Superaccumulator

RNG = np.random.default_rng(2024)
ROWS = 96
SEGMENTS = 5
CAPACITY = 5003  # prime: a block and a rest

total = jax.jit(sum_state, static_argnames="axis")
dot = jax.jit(dot_state, static_argnames="axis")
segments = jax.jit(segment_state, static_argnums=2)


def leaves(state: AccumulatorState) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in (state.digits, state.nan, state.pos_inf, state.neg_inf)]


def same(a: AccumulatorState, b: AccumulatorState) -> bool:
    pairs = zip(leaves(a), leaves(b), strict=True)
    return all(x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in pairs)


def integer(state: AccumulatorState) -> int:
    return int.from_bytes(np.asarray(state.digits).astype("<u4").tobytes(), "little", signed=True)


def oracle(xs: np.ndarray, lsb: int = -1074) -> int:
    """Sum in units of ``2**lsb``, by Python integers."""
    ratios = (float(x).as_integer_ratio() for x in np.ravel(xs))
    return sum(n * 2**-lsb // d for n, d in ratios)


def fast_oracle(xs: np.ndarray) -> int:
    """The same for very many: mantissas of one exponent add as integers, in two halves."""
    fraction, exponent = np.frexp(xs)
    mantissa = (fraction * 2.0**53).astype(np.int64)
    whole = 0
    for e in np.unique(exponent):  # a mantissa counts 2**(e - 53), which is 2**(e + 1021) units
        part = mantissa[exponent == e]
        whole += ((int((part >> 26).sum()) << 26) + int((part & (2**26 - 1)).sum())) << int(e) + 1021
    return whole


def ill_conditioned(n: int, spread: int) -> np.ndarray:
    """Values over many binary orders that nearly cancel, in random order."""
    half = np.ldexp(RNG.standard_normal(n // 2), RNG.integers(-spread, spread, n // 2))
    return RNG.permutation(np.concatenate([half, -half[1:], [2.0**-spread]]))


CASES = {
    "normal": RNG.standard_normal(3000),
    "long": RNG.standard_normal(CAPACITY),
    "cancelling": ill_conditioned(4000, 20),
    "cancelling over many orders": ill_conditioned(4000, 900),
    "huge and tiny": np.tile([1e300, 1e-300, -1e300, 1.0, 5e-324], 700),
    "subnormal": RNG.integers(0, 1 << 52, 3000).view(np.float64),
    "subnormal among normal": np.concatenate([RNG.standard_normal(2100), np.full(3, 5e-324)]),
    "largest": np.full(2500, 1.7976931348623157e308),
    "smallest normal": np.full(2500, 2.2250738585072014e-308),
    "ties": np.concatenate([[1.0], np.full(2048, 2.0**-53)]),
    "beyond the window": np.concatenate([np.full(5000, 1.0), [2.0**13, 2.0**-90]]),
    "one outlier the sample misses": np.concatenate([np.ones(4999), [1e200], np.ones(2)]),
    "zeros": np.zeros(2100),
    "negative zeros": np.full(7, -0.0),
    "any bits": (RNG.integers(0, 1 << 63, 3000) * RNG.choice([-1, 1], 3000)).view(np.float64),
    "one": np.array([1.5]),
    "none": np.zeros(0),
}
CASES["any bits"] = CASES["any bits"][np.isfinite(CASES["any bits"])]


def padded(xs: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Values among NaN that a mask leaves out, so that every case has one shape."""
    where = np.zeros(CAPACITY, dtype=bool)
    where[RNG.permutation(CAPACITY)[: len(xs)]] = True
    row = np.full(CAPACITY, np.nan, dtype=xs.dtype)
    row[where] = RNG.permutation(xs)
    return jnp.asarray(row), jnp.asarray(where)


@pytest.mark.parametrize("name", CASES)
def test_a_sum_is_exact_in_any_order(name):
    xs = CASES[name]
    x, where = padded(xs)
    state = total(x, where=where)
    assert integer(state) == oracle(xs)
    assert same(state, total(x[::-1], where=where[::-1]))
    assert same(state, Superaccumulator().collect(xs))


@pytest.mark.parametrize("name", CASES)
def test_a_sum_of_float32_is_exact(name):
    with np.errstate(over="ignore", under="ignore"):
        xs = CASES[name].astype(np.float32)
    xs = xs[np.isfinite(xs)]
    x, where = padded(xs)
    assert integer(total(x, where=where)) == oracle(xs, -149)


def test_a_sum_of_nothing_is_zero():
    for shape in ((0,), (0, 3), (3, 0)):
        assert same(sum_state(jnp.zeros(shape), axis=0), Superaccumulator().collect(np.zeros(shape)))


@pytest.mark.slow
def test_ten_million_ill_conditioned_values_are_summed_exactly():
    xs = ill_conditioned(10**7, 30)
    assert integer(total(jnp.asarray(xs))) == fast_oracle(xs)
    assert fast_oracle(xs[:3000]) == oracle(xs[:3000])


def test_neighbours_of_a_power_of_two_and_values_at_the_window_s_ends_are_exact():
    for top in (-1022, -500, 0, 900, 1010):
        for below in (30, 36, 37, 38, 49, 50, 51, 52, 90, 101, 102, 103):
            low = max(top - below, -1074)
            xs = np.concatenate(
                [np.full(40, 2.0**top), np.full(24, -np.nextafter(2.0**top, 0)), np.full(32, 2.0**low)]
            )
            assert integer(total(jnp.asarray(xs))) == oracle(xs), (top, below)


wild = st.one_of(
    st.sampled_from([0.0, -0.0, 5e-324, 1e308, -1e308, np.nan, np.inf, -np.inf]),
    st.floats(-1.0, 1.0),
    st.floats(width=64),
)
arrays = st.lists(wild, min_size=ROWS, max_size=ROWS).map(np.array)
masks = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array)
orders = st.permutations(range(ROWS)).map(np.array)


@given(xs=arrays, where=masks, order=orders)
def test_order_and_sharding_leave_no_trace(xs, where, order):
    stat = Superaccumulator()
    x, mask = jnp.asarray(xs), jnp.asarray(where)
    flat = total(x, where=mask)
    assert same(flat, stat.collect(xs, where=where))
    assert same(flat, total(x[order], where=mask[order]))
    parts = total(x.reshape(8, -1), axis=1, where=mask.reshape(8, -1))
    assert same(flat, stat.total(parts))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, (0, 1), (1, 2), (0, 2), (2, 0), (), None])
def test_any_axes_may_be_summed(axis):
    xs = RNG.standard_normal((3, 40, 4))
    xs[1, :, 2] = ill_conditioned(40, 500)
    xs[0, 0, 0], xs[2, 1, 3] = np.nan, -np.inf
    axes = tuple(range(3)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = [a % 3 for a in axes]
    kept = [a for a in range(3) if a not in axes]
    rows = np.transpose(xs, (*axes, *kept)).reshape(
        prod(xs.shape[a] for a in axes), *(xs.shape[a] for a in kept)
    )
    assert same(total(jnp.asarray(xs), axis=axis), Superaccumulator().collect(rows))


def test_columns_are_summed_exactly_each_within_its_own_window():
    xs = RNG.standard_normal((5000, 3)) * np.array([1e-200, 1.0, 1e200])
    xs[17, 1] = 1e-90
    state = total(jnp.asarray(xs), axis=0)
    for j in range(3):
        assert integer(jax.tree.map(lambda a, j=j: a[j], state)) == oracle(xs[:, j])


@pytest.mark.parametrize(("shape", "groups"), [((0,), 3), ((0, 2), 3), ((4, 0), 3), ((4,), 0), ((4, 2), 0)])
def test_groups_of_nothing_and_no_groups_are_empty(shape, groups):
    ids = np.zeros(shape[0], dtype=np.int32)
    wanted = Superaccumulator().empty((groups, *shape[1:]))
    for sum_groups in (segment_state, segments):
        assert same(sum_groups(jnp.ones(shape), jnp.asarray(ids), groups), wanted)


def test_a_mapped_sum_is_the_sum_of_each():
    xs = np.stack([RNG.standard_normal(ROWS), ill_conditioned(ROWS, 800), np.full(ROWS, np.nan)])
    mapped = jax.jit(jax.vmap(sum_state))(jnp.asarray(xs))
    assert same(mapped, total(jnp.asarray(xs), axis=1))
    assert same(mapped, Superaccumulator().collect(xs.T))
    ids = RNG.integers(0, SEGMENTS, ROWS)
    by_segment = jax.jit(jax.vmap(lambda x: segment_state(x, jnp.asarray(ids), SEGMENTS)))(jnp.asarray(xs))
    for i, x in enumerate(xs):
        wanted = segments(jnp.asarray(x), jnp.asarray(ids), SEGMENTS)
        assert same(jax.tree.map(lambda a, i=i: a[i], by_segment), wanted)


def test_devices_that_sum_a_part_each_make_the_same_bits():
    devices = jax.device_count()
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("agents",))
    spec = jax.sharding.PartitionSpec("agents")
    xs = ill_conditioned(8000 * devices, 40)

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=spec, out_specs=spec)
    def parts(x):
        return sum_state(x.reshape(1, -1), axis=1)

    whole = Superaccumulator().total(parts(jnp.asarray(xs)))
    assert same(whole, total(jnp.asarray(xs)))
    assert integer(whole) == oracle(xs)


def test_products_are_summed_exactly():
    stat_xs = (RNG.standard_normal(3000), ill_conditioned(3000, 900), CASES["subnormal"])
    for x in stat_xs:
        y = RNG.permutation(x)
        pairs = (
            (float(a).as_integer_ratio(), float(b).as_integer_ratio()) for a, b in zip(x, y, strict=True)
        )
        wanted = sum(p * r * 2**2148 // (q * s) for (p, q), (r, s) in pairs)
        assert integer(dot(jnp.asarray(x), jnp.asarray(y))) == wanted
        with np.errstate(over="ignore", under="ignore"):
            narrow = [np.clip(a, -1e38, 1e38).astype(np.float32) for a in (x, y)]
        wide = [a.astype(np.float64) for a in narrow]
        assert integer(dot(*map(jnp.asarray, narrow))) == oracle(wide[0] * wide[1], -298)


def test_products_broadcast_and_take_axes_and_masks():
    x, y = RNG.standard_normal((4, 50)), RNG.standard_normal(50)
    where = RNG.random((4, 50)) < 0.5
    state = dot(jnp.asarray(x), jnp.asarray(y), axis=1, where=jnp.asarray(where))
    for i in range(4):
        wanted = dot(jnp.asarray(x[i][where[i]]), jnp.asarray(y[where[i]]))
        assert same(jax.tree.map(lambda a, i=i: a[i], state), wanted)


@given(xs=arrays, where=masks, ids=st.lists(st.integers(-2, SEGMENTS + 1), min_size=ROWS, max_size=ROWS))
def test_a_segment_is_the_sum_of_its_values(xs, where, ids):
    ids = np.array(ids)
    state = segments(jnp.asarray(xs), jnp.asarray(ids), SEGMENTS, jnp.asarray(where))
    for g in range(SEGMENTS):
        wanted = Superaccumulator().collect(xs[where & (ids == g)])
        assert same(jax.tree.map(lambda a, g=g: a[g], state), wanted)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("spread", [0, 60])
def test_segments_of_columns_are_exact_at_any_spread(dtype, spread):
    xs = np.ldexp(RNG.standard_normal((70_001, 2)), RNG.integers(-spread, spread + 1, (70_001, 2))).astype(
        dtype
    )
    ids = RNG.integers(0, 7, 70_001)
    state = segments(jnp.asarray(xs), jnp.asarray(ids), 7)
    for g in range(7):
        wanted = total(jnp.asarray(xs), axis=0, where=jnp.asarray(ids == g)[:, None])
        assert same(jax.tree.map(lambda a, g=g: a[g], state), wanted)


@pytest.mark.parametrize("spread", [0, 200])
def test_more_elements_than_a_block_holds_are_each_added_once(spread):
    n = (1 << 20) + 12_345
    xs = np.ldexp(RNG.standard_normal(n), RNG.integers(-spread, spread + 1, n))
    ids = RNG.integers(0, 3, n).astype(np.int32)
    state = segments(jnp.asarray(xs), jnp.asarray(ids), 3)
    assert same(Superaccumulator().total(state), total(jnp.asarray(xs)))


def test_sums_export_for_cpu_and_cuda_without_calling_the_host():
    x, ids = jax.ShapeDtypeStruct((5000,), np.float64), jax.ShapeDtypeStruct((5000,), np.int32)
    for function, given_ in (
        (sum_state, (x,)),
        (partial(segment_state, num_segments=9), (x, ids)),
        (dot_state, (x, x)),
    ):

        def arrays_of(*args, function=function):
            return jax.tree.leaves(function(*args))

        exported = jax.export.export(jax.jit(arrays_of), platforms=["cpu", "cuda"])(*given_)
        text = exported.mlir_module()
        assert "callback" not in text


def test_wrong_input_is_refused_while_tracing():
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        sum_state(jnp.arange(3))
    with pytest.raises(ValueError, match="axis 2 does not exist"):
        sum_state(jnp.zeros((2, 2)), axis=2)
    with pytest.raises(ValueError, match=r"one id for each of \(3,\) rows, got \(2,\)"):
        segment_state(jnp.zeros(3), jnp.zeros(2, dtype=np.int32), 2)
