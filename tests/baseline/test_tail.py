"""Tail laws against their closed forms, and fits against the laws that made the data."""

import numpy as np
import pytest
from scipy import stats

from convergence_jax.baseline.tail import LOG_GRID, binned, elliptical, fit_tail, independent, sum_of_squares


def test_the_elliptical_law_is_a_scaled_f() -> None:
    q = np.exp(LOG_GRID[500:900:50])
    assert np.exp(elliptical(4, 0.25)[500:900:50]) == pytest.approx(stats.f.sf(q / 4, 4, 4), rel=1e-9)


@pytest.mark.parametrize("features", [2, 5, 12])
def test_many_degrees_of_freedom_make_a_chi_squared(features: int) -> None:
    q = stats.chi2.isf([0.9, 0.5, 0.1, 1e-3, 1e-6], features)
    tail = np.exp(np.interp(np.log(q), LOG_GRID, sum_of_squares((1e-4,) * features)))
    # nu is 10,000, not infinity, and the grid has 80 / 2^14 a feature.
    assert tail == pytest.approx(stats.chi2.sf(q, features), rel=0.03)


def test_one_large_square_carries_a_heavy_sum() -> None:
    tail = np.interp(np.log(1e6), LOG_GRID, independent(5, 1 / 3))
    assert np.exp(tail) == pytest.approx(5 * 2 * stats.t.sf(1e3, 3), rel=0.05)


@pytest.mark.parametrize(
    "law", [elliptical(5, 0.3), independent(5, 0.3), sum_of_squares((0.1, 0.3), (1.0, 2.0))]
)
def test_a_tail_falls_from_one(law: np.ndarray) -> None:
    assert (np.diff(law) <= 1e-12).all()
    assert law[0] == pytest.approx(0.0, abs=1e-3)
    assert np.isfinite(law).all()


@pytest.mark.parametrize("nu", [3.0, 8.0, 1e4])
def test_a_fit_recovers_the_law_and_its_limit_lies_above(nu: float) -> None:
    squared = 2.5 * 5 * stats.f.rvs(5, nu, size=20_000, random_state=np.random.default_rng(3))
    tail = fit_tail(binned(squared), "elliptical", 5, 2.0)
    assert abs(tail.heaviness - 1 / nu) <= 0.04
    assert tail.heaviness <= tail.heaviness_plus <= tail.heaviness_limit <= 1 / nu + 0.08
    if nu > 100:
        assert np.exp(tail.log_scale) == pytest.approx(2.5, rel=0.03)


def test_a_tenth_of_anything_far_out_hardly_moves_the_fit() -> None:
    squared = stats.chi2.rvs(5, size=4000, random_state=np.random.default_rng(4))
    dirty = squared.copy()
    dirty[:320] = 1e4
    clean, moved = (fit_tail(binned(q), "elliptical", 5, 2.0) for q in (squared, dirty))
    assert moved.heaviness_limit <= clean.heaviness_limit + 0.05


def test_ties_stay_in_one_bin() -> None:
    bins = binned(np.repeat([1.0, 2.0, 5.0], [500, 300, 200]))
    assert bins.counts.tolist() == [500.0, 300.0]
    assert bins.beyond == 200.0
    assert np.exp(bins.log_edges).tolist() == pytest.approx([1.5, 3.5])


def test_nothing_but_equal_distances_still_fits() -> None:
    for squared in (np.zeros(50), np.ones(50), np.ones(1)):
        tail = fit_tail(binned(squared), "elliptical", 2, 2.0)
        assert np.isfinite(tail.beyond(np.array([0.0, 1.0, 1e9]))).all()
