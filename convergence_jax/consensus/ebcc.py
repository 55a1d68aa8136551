"""Enhanced Bayesian combination: items of a class come in groups that workers see differently."""

from __future__ import annotations

import jax
import numpy as np

from convergence_jax.consensus.estimate import Estimate, best_of, default_prior, run, starts, summary
from convergence_jax.consensus.labels import Labels
from convergence_jax.consensus.observer_model import Shape, rows_of

GROUP_COUNT = 0.1
"""Dirichlet count of the share of each group: below one, so that groups that nothing needs stay empty."""


def estimate(
    labels: Labels,
    *,
    key: jax.Array,
    groups: int = 3,
    restarts: int = 1,
    tolerance: float = 1e-4,
    rounds: int = 200,
) -> Estimate:
    """Variational Bayes from random groups (Li et al., 2019); of all restarts the one of the largest bound.

    Workers' errors are independent within a group only, so groups stand for what makes them err together.

    Parameters
    ----------
    labels : Labels
        Labels; items of known truth keep it.
    key : PRNG key
        Typed; draws the groups that the items begin in.
    groups : int, default 3
        Groups a class, at least 1.
    restarts : int, default 1
        Starts to try.
    tolerance : float, default 1e-4
        Stop when no posterior moves by more.
    rounds : int, default 200
        Most rounds.

    Raises
    ------
    ValueError
        If there is no group or no restart.
    """
    if groups < 1 or restarts < 1:
        raise ValueError(f"ebcc: groups and restarts must be at least 1, got {groups} and {restarts}.")
    shape = Shape(labels.items, labels.workers, labels.classes, groups=groups)
    prior, rows = default_prior(labels.classes), rows_of(labels)
    ends = []
    for draw in jax.random.split(key, restarts):
        drawn = np.asarray(
            jax.random.exponential(draw, (labels.items, labels.classes, groups), dtype=np.float64)
        )
        share = drawn / drawn.sum(2, keepdims=True)  # even over the simplex
        for start in starts(labels, prior):
            first = (start[:, :, None] * share).reshape(labels.items, -1)
            end = run(
                labels,
                shape,
                prior,
                first,
                rows=rows,
                group_count=GROUP_COUNT,
                tolerance=tolerance,
                rounds=rounds,
            )
            ends.append(summary(shape, end, group_count=GROUP_COUNT, tolerance=tolerance))
    return best_of(ends)
