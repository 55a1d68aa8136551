"""Majority: the share of the votes, with no idea of who is right."""

from __future__ import annotations

import numpy as np

from convergence_jax.consensus.estimate import Estimate, votes_start
from convergence_jax.consensus.labels import Labels


def estimate(labels: Labels) -> Estimate:
    """Shares of the votes as probabilities; tables are each worker's agreement with them.

    Parameters
    ----------
    labels : Labels
        Labels; items of known truth have it.

    Returns
    -------
    Estimate
        Without a bound: votes have no likelihood. A class that nobody named has log posterior minus infinity.
    """
    share, size = votes_start(labels), labels.classes
    counts = np.zeros((labels.workers, size, size))
    np.add.at(counts.transpose(0, 2, 1), (labels.worker, labels.label), share[labels.item])
    counts += 1.0 / size
    with np.errstate(divide="ignore"):
        logs = np.log(share)
    return Estimate(logs, counts / counts.sum(2, keepdims=True), share.mean(0), None, 0, True)
