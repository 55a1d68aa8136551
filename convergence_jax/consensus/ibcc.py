"""Independent Bayesian combination of classifiers: Dirichlet tables under a given prior or a learned one."""

from __future__ import annotations

from convergence_jax.consensus.estimate import Estimate, best_run, default_prior
from convergence_jax.consensus.labels import Labels
from convergence_jax.consensus.observer_model import Shape

PSEUDO_WORKERS = 3.0
"""A learned prior is drawn to the default one by as many workers as a table can be said to come from."""


def estimate(
    labels: Labels, *, learn_prior: bool = False, tolerance: float = 1e-4, rounds: int = 200
) -> Estimate:
    """Variational Bayes (Kim and Ghahramani, 2012).

    Parameters
    ----------
    labels : Labels
        Labels; items of known truth keep it.
    learn_prior : bool, default False
        True: the Dirichlet counts of the tables are fitted to the crowd, class by class, together with
        everything else, so that a worker with few labels is taken to be like the others.
    tolerance : float, default 1e-4
        Stop when no posterior (and no learned count, relatively) moves by more.
    rounds : int, default 200
        Most rounds.
    """
    shape = Shape(labels.items, labels.workers, labels.classes)
    learning = PSEUDO_WORKERS if learn_prior else 0.0
    return best_run(
        labels,
        shape,
        default_prior(labels.classes),
        learning=learning,
        tolerance=tolerance,
        rounds=rounds,
    )
