"""What `reduce` compiles can be exported: it lowers for CPU and GPU and never calls the host."""

import jax
import jax.export
import numpy as np
import pytest

import convergence_jax as cj

STATISTICS = [
    (cj.Sum(), 1),
    (cj.Moments((cj.FixedPoint(), cj.FixedPoint())), 2),
    (cj.Quantiles(), 1),
    (cj.Extrema(), 1),
    (cj.Superaccumulator(), 1),
]


@pytest.mark.parametrize(("stat", "features"), STATISTICS, ids=lambda v: type(v).__name__)
def test_reduce_is_exported_for_cpu_and_cuda_without_a_host_callback(stat, features):
    xs = np.zeros((64, features) if features > 1 else 64)
    fold = jax.jit(lambda xs: jax.tree.leaves(cj.reduce(stat, xs, arity=4)))
    exported = jax.export.export(fold, platforms=["cpu", "cuda"])(xs)
    assert exported.platforms == ("cpu", "cuda")
    assert "custom_call" not in exported.mlir_module()
