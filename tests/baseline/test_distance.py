"""Distances against one's own group without oneself, against a fit that really leaves the unit out."""

import numpy as np
import pytest
from scipy import stats

from convergence_jax.baseline.distance import Units, fit, gaussian_equivalent, squared_distances


def units(seed: int, sizes: tuple[int, ...], features: int, noisy: bool) -> Units:
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    group = np.repeat(np.arange(len(sizes)), sizes)
    mixing = 2 * np.eye(features) + 0.3 * rng.normal(size=(features, features))
    within = np.stack([np.cov(rng.normal(size=(features, 9 * features))) for _ in sizes]).reshape(
        len(sizes), features, features
    )
    return Units(
        rng.normal(size=(n, features)) @ mixing + 3 * group[:, None],
        1.0 / rng.integers(1, 9, n) if noisy else np.ones(n),
        group,
        np.cumsum((0, *sizes[:-1])),
        (np.zeros(len(sizes), np.int64),),
        0.1 * within * noisy,
        np.full(len(sizes), 50) * noisy,
    )


def left_out(sample: Units, members: np.ndarray, i: int) -> float:
    """The definition, with everything computed again from the other units."""
    others = members[members != i]
    group = sample.group[i]
    centre = sample.values[others].mean(0)
    covariance = np.cov(sample.values[others].T).reshape(sample.shape[1], -1)
    within, inverse = sample.within[group], sample.inverse_count
    between = covariance - within * inverse[others].mean()
    matrix = between + within * inverse[i] + covariance / len(others)
    away = sample.values[i] - centre
    return float(away @ np.linalg.solve(matrix, away))


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("features", [1, 3])
def test_distance_is_the_one_from_the_group_without_the_unit(features: int, noisy: bool) -> None:
    sample = units(1, (40, 60), features, noisy)
    clean = np.ones(100, bool)
    clean[[3, 50]] = False
    squared, others = squared_distances(sample, clean, fit(sample, clean))
    for i in (0, 3, 17, 50, 99):
        members = np.flatnonzero(clean & (sample.group == sample.group[i]))
        assert squared[i] == pytest.approx(left_out(sample, members, i), rel=1e-9)
        assert others[i] == len(members) - clean[i]


def test_a_group_below_d_plus_two_units_uses_all_units_of_its_parent() -> None:
    sample = units(2, (4, 30, 30), 3, False)
    clean = np.ones(64, bool)
    baseline = fit(sample, clean)
    squared, others = squared_distances(sample, clean, baseline)
    assert others[:4].tolist() == [63.0] * 4
    assert others[4:].tolist() == [29.0] * 60
    assert squared[0] == pytest.approx(left_out(sample, np.arange(64), 0), rel=1e-9)


def test_a_direction_without_variance_is_left_out() -> None:
    sample = units(3, (50,), 2, False)
    doubled = Units(
        np.concatenate([sample.values, sample.values[:, :1]], 1),
        sample.inverse_count,
        sample.group,
        sample.starts,
        sample.ancestors,
        np.zeros((1, 3, 3)),
        sample.within_freedom,
    )
    clean = np.ones(50, bool)
    baseline = fit(doubled, clean)
    assert baseline.rank[0] == 2
    alone = squared_distances(sample, clean, fit(sample, clean))[0]
    assert squared_distances(doubled, clean, baseline)[0] == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize(("others", "rank"), [(12.0, 5), (39.0, 5), (5000.0, 5), (30.0, 3)])
def test_gaussian_equivalent_keeps_the_tail_probability(others: float, rank: int) -> None:
    scaled = np.array([0.3, 1.0, 3.0, 6.0])
    squared = scaled * (others - 1) * rank / (others - rank)
    value = gaussian_equivalent(squared, np.full(4, others), np.full(4, rank), 5)
    want = stats.f.sf(scaled, rank, others - rank)
    assert stats.chi2.sf(value, 5) == pytest.approx(want, rel=0.02)


def test_distances_of_gaussian_units_in_small_groups_follow_the_reference() -> None:
    rng = np.random.default_rng(5)
    groups, size, d = 300, 15, 4
    sample = Units(
        rng.normal(size=(groups * size, d)),
        np.ones(groups * size),
        np.repeat(np.arange(groups), size),
        np.arange(groups) * size,
        (np.zeros(groups, np.int64),),
        np.zeros((groups, d, d)),
        np.zeros(groups, np.int64),
    )
    clean = np.ones(groups * size, bool)
    squared, others = squared_distances(sample, clean, fit(sample, clean))
    value = gaussian_equivalent(squared, others, np.full(len(squared), d), d)
    for level in (0.5, 0.1, 0.01):
        share = (stats.chi2.sf(value, d) <= level).mean()
        # Units of one group share their others, so 4 standard errors of independent ones.
        assert abs(share - level) <= 4 * np.sqrt(level * (1 - level) / len(squared))
