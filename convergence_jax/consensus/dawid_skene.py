"""Maximum likelihood: a table of error rates a worker, fitted by expectation and maximisation."""

from __future__ import annotations

import numpy as np

from convergence_jax.consensus.estimate import Estimate, best_run
from convergence_jax.consensus.labels import Labels
from convergence_jax.consensus.observer_model import Shape


def estimate(
    labels: Labels, *, smoothing: float = 0.01, tolerance: float = 1e-6, rounds: int = 500
) -> Estimate:
    """Expectation and maximisation from the shares of the votes (Dawid and Skene, 1979).

    Parameters
    ----------
    labels : Labels
        Labels; items of known truth keep it. A worker's repeated ratings count as independent.
    smoothing : float, default 0.01
        Added to every cell of every table. Zero is the published method, which can put probability zero on
        what a worker has not yet done.
    tolerance : float, default 1e-6
        Stop when no posterior moves by more.
    rounds : int, default 500
        Most rounds.

    Returns
    -------
    Estimate
        Its bound is the log-likelihood.
    """
    shape = Shape(labels.items, labels.workers, labels.classes, likelihood=True)
    prior = np.full((labels.classes, labels.classes), float(smoothing))
    return best_run(labels, shape, prior, tolerance=tolerance, rounds=rounds)
