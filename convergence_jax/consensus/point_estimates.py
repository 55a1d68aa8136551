"""Point estimates beside the bounds: descriptions in floats, without a guarantee.

A trimmed mean or a median of what observers say, times how many they are, is a good guess at the total if
most are honest. It is not an e-value and bounds nothing: see :mod:`convergence_jax.consensus.bounds` for what
is certain.
"""

from dataclasses import dataclass

import numpy as np

from convergence_jax.consensus.evidence import Evidence
from convergence_jax.exact.constants import FLOAT64, WINDOW
from convergence_jax.exact.rounding import round_digits


@dataclass(frozen=True)
class PointEstimates:
    """Guesses at every agent's total, from what each observer said in all.

    Attributes
    ----------
    trimmed_mean : Float64[ndarray, "agents"]
        Mean without the `f` largest and the `f` smallest, times the number of observers that spoke; NaN where
        nothing is left.
    median : Float64[ndarray, "agents"]
        Their median, times that number; NaN where nobody spoke.
    """

    trimmed_mean: np.ndarray
    median: np.ndarray


def cell_values(evidence: Evidence, column: int = 0) -> np.ndarray:
    """What each cell says, rounded, ``Float64[ndarray, "cells"]``."""
    values = round_digits(evidence.sums.window[:, column], WINDOW.lsb)
    if len(evidence.sums.far):
        values[evidence.sums.far] = round_digits(evidence.sums.full()[:, column], FLOAT64.lsb)
    return values


def point_estimates(evidence: Evidence, values: np.ndarray, liars: int) -> PointEstimates:
    """Trimmed mean and median of each agent's observers.

    Parameters
    ----------
    evidence : Evidence
    values : Float64[ndarray, "cells"]
        As :func:`cell_values` gives them.
    liars : int
        How many to trim on either side.
    """
    speakers = evidence.observers_by_agent()
    rank, ordered, owner = ranked(evidence, values)
    kept = (rank >= liars) & (rank < speakers[owner] - liars)
    number = np.maximum(speakers - 2 * liars, 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = np.bincount(owner[kept], ordered[kept], evidence.agents)
        trimmed = np.where(number > 0, total / number * speakers, np.nan)
        return PointEstimates(trimmed, medians(evidence, ordered) * speakers)


def ranked(evidence: Evidence, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rank within its agent, value and agent of every cell, in ascending order by agent, then value."""
    order = np.lexsort((values, evidence.agent))
    owner = evidence.agent[order]  # the order of agents is that of the table
    first = np.searchsorted(evidence.agent, owner)
    return np.arange(len(values)) - first, values[order], owner


def medians(evidence: Evidence, ordered: np.ndarray) -> np.ndarray:
    """Median of each agent's values, which are in ascending order agent by agent; NaN where it has none."""
    starts = np.searchsorted(evidence.agent, np.arange(evidence.agents + 1))
    return middle(ordered, starts)


def middle(ordered: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Median of each run of ascending values; run `i` lies from ``starts[i]`` to ``starts[i + 1]``."""
    number = np.diff(starts)
    padded = np.append(ordered, np.nan)
    low = np.where(number > 0, starts[:-1] + (number - 1) // 2, len(ordered))
    high = np.where(number > 0, starts[:-1] + number // 2, len(ordered))
    return (padded[low] + padded[high]) / 2
