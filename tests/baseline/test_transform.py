"""Transforms rise, can be undone, and are chosen only where the bulk is skewed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.baseline.transform import Transform, choose

TRANSFORM = Transform(
    np.array([1.0, -2.0, 3.0]),
    np.array([1.0, -1.0, 0.0]),
    np.array([1.0, 0.5, 1.0]),
    np.array([0.8, 0.3, 0.0]),
)


def chosen(values: np.ndarray) -> Transform:
    return choose(values, lambda j: values[:, j] - np.median(values[:, j]))


@given(x=st.floats(-1e6, 1e6), step=st.floats(1e-3, 1e6))
def test_a_transform_rises_everywhere(x: float, step: float) -> None:
    low, high = TRANSFORM(np.full((1, 3), x)), TRANSFORM(np.full((1, 3), x + step))
    assert (high > low).all()


@given(x=st.floats(-1e3, 1e3))
def test_the_inverse_undoes_it(x: float) -> None:
    values = np.full((1, 3), x)
    # The exponential magnifies the rounding of its argument, which is at most log(2e3) here.
    assert TRANSFORM.inverse(TRANSFORM(values)) == pytest.approx(values, rel=1e-11, abs=1e-11)


@given(x=st.floats(-50, 50))
def test_the_slope_is_the_derivative(x: float) -> None:
    h = 1e-5
    values = np.full((1, 3), x)
    numeric = (TRANSFORM(values + h) - TRANSFORM(values - h)) / (2 * h)
    assert TRANSFORM.slope(values) == pytest.approx(numeric, rel=1e-3)


def test_lognormal_features_get_the_logarithm_and_symmetric_ones_nothing() -> None:
    rng = np.random.default_rng(0)
    values = np.stack(
        [np.exp(rng.normal(size=3000)), rng.standard_t(3, 3000), -np.exp(rng.normal(size=3000))], 1
    )
    transform = chosen(values)
    assert transform.side.tolist() == [1.0, 0.0, -1.0]
    assert transform.stated(["a", "b", "c"]) == {"a": "log(value - 0)", "b": "none", "c": "-log(0 - value)"}


def test_counts_and_small_fleets_are_left_as_they_are() -> None:
    rng = np.random.default_rng(1)
    assert not chosen(rng.poisson(0.7, (2000, 2)).astype(float)).side.any()
    assert not chosen(np.exp(rng.normal(size=(60, 2)))).side.any()
