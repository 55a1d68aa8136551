"""One coin a worker: right with one probability whatever the class, wrong evenly over the others."""

from __future__ import annotations

from convergence_jax.consensus.estimate import Estimate, best_run, default_prior
from convergence_jax.consensus.labels import Labels
from convergence_jax.consensus.observer_model import Shape


def estimate(labels: Labels, *, tolerance: float = 1e-4, rounds: int = 200) -> Estimate:
    """Variational Bayes with a Beta prior of :func:`~convergence_jax.consensus.estimate.default_prior`.

    Parameters
    ----------
    labels : Labels
        Labels; items of known truth keep it.
    tolerance : float, default 1e-4
        Stop when no posterior moves by more.
    rounds : int, default 200
        Most rounds.
    """
    shape = Shape(labels.items, labels.workers, labels.classes, one_coin=True)
    prior = default_prior(labels.classes) / labels.classes
    return best_run(labels, shape, prior, tolerance=tolerance, rounds=rounds)
