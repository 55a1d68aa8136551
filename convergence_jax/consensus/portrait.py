"""What each observer of evidence did, and what sets it apart: a description, not a verdict."""

from dataclasses import dataclass

import numpy as np

from convergence_jax.consensus.evidence import Evidence
from convergence_jax.consensus.point_estimates import medians, middle, ranked


@dataclass(frozen=True)
class Portrait:
    """What each observer did.

    Attributes
    ----------
    items : Int64[ndarray, "observers"]
        Items held.
    agents : Int64[ndarray, "observers"]
        Agents about which it spoke.
    total : Float64[ndarray, "observers"]
        Sum of the magnitudes of what it said about each.
    extreme_share : Float64[ndarray, "observers"]
        Share of its agents about which it is among the `extremes` farthest from the median of all who spoke.
    deviation : Float64[ndarray, "observers"]
        Median over its agents of its distance from that median, in robust standard deviations of the
        observers' distances; NaN where there is no spread.
    """

    items: np.ndarray
    agents: np.ndarray
    total: np.ndarray
    extreme_share: np.ndarray
    deviation: np.ndarray


def portrait(evidence: Evidence, values: np.ndarray, extremes: int) -> Portrait:
    """Describe every observer.

    Parameters
    ----------
    evidence : Evidence
        One column.
    values : Float64[ndarray, "cells"]
        What each cell says.
    extremes : int
        So many observers of each agent count as far out, where more than twice as many spoke.
    """
    observer, observers = evidence.observer, evidence.observers
    speakers = evidence.observers_by_agent()[evidence.agent]
    _, ordered, _ = ranked(evidence, values)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(values - medians(evidence, ordered)[evidence.agent])
        rank, ascending, _ = ranked(evidence, distance)
        spread = 1.4826 * medians(evidence, ascending)[evidence.agent]
        relative = np.divide(distance, spread, out=np.full(len(distance), np.nan), where=spread > 0)
    place = np.empty(len(values), dtype=np.int64)
    place[np.lexsort((distance, evidence.agent))] = rank
    far = (place >= speakers - extremes) & (speakers > 2 * extremes)
    agents = np.bincount(observer, minlength=observers)
    return Portrait(
        np.bincount(observer, evidence.count, observers).astype(np.int64),
        agents,
        np.bincount(observer, np.abs(values), observers),
        np.bincount(observer, far, observers) / np.maximum(agents, 1),
        _median_by(observer, relative, observers),
    )


def _median_by(group: np.ndarray, values: np.ndarray, groups: int) -> np.ndarray:
    """Median of the values of each group that are not NaN; NaN where it has none."""
    some = ~np.isnan(values)
    group, values = group[some], values[some]
    order = np.lexsort((values, group))
    return middle(values[order], np.searchsorted(group[order], np.arange(groups + 1)))
