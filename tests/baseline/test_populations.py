"""Clusters are told from skew and heavy tails by the valley between them."""

import numpy as np
import pytest

from convergence_jax.baseline.populations import populations


@pytest.mark.parametrize("seed", [0, 1])
def test_five_separate_clusters_are_five_populations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 2000)
    values = 12 * np.eye(5)[truth] + rng.normal(size=(2000, 5))
    found = populations(values)
    assert len(np.unique(found)) == 5
    assert len(np.unique(np.stack([truth, found]), axis=1).T) == 5


@pytest.mark.parametrize("shape", ["normal", "t3", "lognormal", "uniform", "lattice"])
def test_one_population_stays_one(shape: str) -> None:
    rng = np.random.default_rng(2)
    draw = {
        "normal": rng.normal(size=(2000, 4)),
        "t3": rng.standard_t(3, (2000, 4)),
        "lognormal": np.exp(rng.normal(size=(2000, 4))),
        "uniform": rng.random((2000, 4)),
        "lattice": rng.poisson(0.5, (2000, 4)).astype(float),
    }[shape]
    assert not populations(draw).any()


def test_a_clump_of_less_than_a_tenth_is_no_population() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2000, 3))
    values[:160] += 30
    assert not populations(values).any()
