"""Scores against a truth that is partly known."""

import jax
import numpy as np
import pytest

from convergence_jax.consensus import scoring

P = np.array([[0.95, 0.05], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.1, 0.9]])
TRUTH = np.array([0, 1, 1, 0, -1])


def test_scores_are_those_of_the_definition():
    logs = np.log(P)
    assert scoring.accuracy(logs, TRUTH) == 2.5 / 4  # a tie is half right
    want = -np.mean(np.log([0.95, 0.25, 0.75, 0.5]))
    assert scoring.log_loss(logs, TRUTH) == pytest.approx(want, rel=1e-15)
    # bins .9-1: one right of .95; .7-.8: one right, one wrong, of .75; .5-.6: one right of .5
    error = (abs(1 - 0.95) + abs(1 - 1.5) + abs(1 - 0.5)) / 4
    found = scoring.calibration_error(jax.random.key(0), logs, TRUTH)
    assert found.value == pytest.approx(error, rel=1e-12)
    assert found.lower <= found.value <= found.upper
    curve = scoring.reliability_curve(logs, TRUTH)
    assert curve.count.tolist() == [0, 0, 0, 0, 0, 1, 0, 2, 0, 1]
    assert curve.accuracy[7] == 0.5


def test_what_was_thought_impossible_costs_the_clip():
    logs = np.array([[0.0, -np.inf]])
    assert scoring.log_loss(logs, np.array([1])) == pytest.approx(-np.log(1e-12), rel=1e-15)
    assert scoring.log_loss(logs, np.array([1]), clip=1e-6) == pytest.approx(-np.log(1e-6), rel=1e-15)


def test_the_same_key_gives_the_same_interval():
    rng = np.random.default_rng(4)
    p = rng.uniform(0.5, 1, 500)
    logs, truth = np.log(np.c_[p, 1 - p]), (rng.random(500) > p).astype(int)
    a, b = (scoring.calibration_error(jax.random.key(3), logs, truth, resamples=200) for _ in range(2))
    assert a == b
    assert a.value < 0.1  # calibrated by construction: 10 bins of 50, each off by about .45 / sqrt(50)


def test_truth_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="no truth is known"):
        scoring.accuracy(np.log(P), np.full(5, -1))
    with pytest.raises(ValueError, match="truth must have shape"):
        scoring.log_loss(np.log(P), TRUTH[:3])
    with pytest.raises(ValueError, match="truth must be below 2"):
        scoring.accuracy(np.log(P), TRUTH + 5)
