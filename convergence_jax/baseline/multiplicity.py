"""Many questions at once: Bonferroni within an agent, Benjamini and Hochberg over agents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smallest_times_number(
    p_values: NDArray[np.float64], agent: NDArray[np.int64], agents: int
) -> NDArray[np.float64]:
    """One p-value an agent from those of its units: the smallest, times how many there are.

    Parameters
    ----------
    p_values : float64[n]
        One for every unit of every level.
    agent : int64[n]
        The agent of the unit.
    agents : int
        Number of agents.

    Returns
    -------
    float64[agents]
        At most 1; exactly 1 for an agent without units.
    """
    smallest = np.ones(agents)
    np.minimum.at(smallest, agent, p_values)
    return np.minimum(smallest * np.maximum(np.bincount(agent, minlength=agents), 1), 1.0)


def q_values(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest rate at which Benjamini and Hochberg's procedure rejects each p-value.

    ``q_values(p) <= alpha`` is exactly the set that the procedure rejects at `alpha`; its false
    discovery rate is at most `alpha` for independent or positively dependent p-values (Benjamini and
    Hochberg, 1995).
    """
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * (n / np.arange(1, n + 1))
    result = np.empty(n)
    result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return result
