"""Exact sums and their peers; small and untimed unless benchmarks are enabled."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convergence_jax.exact.segments import segment_state
from convergence_jax.exact.sums import sum_state
from convergence_jax.exact.superaccumulator import Superaccumulator

SEGMENTS = 100


@pytest.fixture(scope="module")
def values(request: pytest.FixtureRequest) -> np.ndarray:
    small = request.config.getoption("benchmark_disable") and not request.config.getoption("benchmark_enable")
    return np.random.default_rng(0).standard_normal(10**4 if small else 10**6)


def waiting(f: Callable) -> Callable:
    return lambda *args: jax.block_until_ready(f(*args))


@pytest.mark.benchmark(group="sum")
@pytest.mark.parametrize("peer", ["exact", "jnp.sum", "np.sum", "math.fsum", "xsum"])
def test_sum(benchmark, values, peer):
    x = jnp.asarray(values)
    if peer == "exact":
        state = benchmark(waiting(jax.jit(sum_state)), x)
        assert Superaccumulator().present(state) == math.fsum(values)
    elif peer == "jnp.sum":
        benchmark(waiting(jax.jit(jnp.sum)), x)
    elif peer == "np.sum":
        benchmark(np.sum, values)
    elif peer == "math.fsum":
        benchmark(math.fsum, values)
    else:
        xsum = pytest.importorskip("xsum", reason="xsum is not installed: pip install '.[bench]'")

        def by_xsum() -> float:
            accumulator = xsum.xsum_large_accumulator()
            xsum.xsum_add(accumulator, values)
            return xsum.xsum_round(accumulator)

        assert benchmark(by_xsum) == math.fsum(values)


@pytest.mark.benchmark(group="column sums")
@pytest.mark.parametrize("peer", ["exact", "jnp.sum"])
def test_column_sums(benchmark, values, peer):
    x = jnp.asarray(values).reshape(-1, 16)
    reduce = sum_state if peer == "exact" else jnp.sum
    benchmark(waiting(jax.jit(lambda a: reduce(a, axis=0))), x)


@pytest.mark.benchmark(group="segments")
@pytest.mark.parametrize("peer", ["exact", "segment_sum"])
def test_segments(benchmark, values, peer):
    ids = jnp.asarray(np.random.default_rng(1).integers(0, SEGMENTS, len(values)), dtype=jnp.int32)
    reduce = segment_state if peer == "exact" else jax.ops.segment_sum
    benchmark(waiting(jax.jit(lambda a, i: reduce(a, i, SEGMENTS))), jnp.asarray(values), ids)
