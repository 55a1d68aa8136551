"""Healthy fleets of many shapes, as tables of observations, to measure error rates on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Table = tuple[NDArray[np.int64], NDArray[np.float64]]

SHAPES = (
    "gaussian",
    "correlated",
    "t3 independent",
    "t3 mixed",
    "t3 elliptical",
    "lognormal independent",
    "lognormal mixed",
    "five clusters",
    "uneven counts",
    "uneven counts, t3 noise",
)


def healthy_means(shape: str, rng: np.random.Generator, agents: int, features: int) -> NDArray[np.float64]:
    """What every agent of a healthy fleet of one shape tends to, ``(agents, features)``.

    Parameters
    ----------
    shape : str
        One of `SHAPES`. ``mixed``: independent features multiplied by a random matrix;
        ``elliptical``: multivariate Student; clusters are equally likely and four spreads apart by
        coordinate.
    """
    normal = rng.normal(size=(agents, features))
    mixing = np.eye(features) + rng.normal(size=(features, features)) / np.sqrt(features)
    if shape == "gaussian":
        return normal
    if shape == "t3 independent":
        return rng.standard_t(3, size=(agents, features))
    if shape == "t3 mixed":
        return rng.standard_t(3, size=(agents, features)) @ mixing
    if shape == "t3 elliptical":
        return normal @ mixing / np.sqrt(rng.chisquare(3, size=(agents, 1)) / 3)
    if shape == "lognormal independent":
        return np.exp(normal)
    if shape == "lognormal mixed":
        return np.exp(normal) @ mixing
    if shape == "five clusters":
        return (4 * rng.normal(size=(5, features))[rng.integers(0, 5, agents)] + normal) @ mixing
    if shape in ("correlated", "uneven counts", "uneven counts, t3 noise"):
        return normal @ mixing
    raise ValueError(f"healthy_means: shape must be one of {', '.join(SHAPES)}, got {shape}.")


def observed(shape: str, means: NDArray[np.float64], rng: np.random.Generator) -> Table:
    """Observations of agents with these means: agent of every row, and its values.

    One exact observation each, but for the uneven shapes: 1 to 1,000 each, uniform in the logarithm, with
    noise twice as large as the agents differ.
    """
    agents, features = means.shape
    if not shape.startswith("uneven"):
        return np.arange(agents), means
    counts = np.exp(rng.uniform(0, np.log(1000), agents)).astype(np.int64)
    agent = np.repeat(np.arange(agents), counts)
    size = (len(agent), features)
    noise = rng.standard_t(3, size=size) if shape.endswith("t3 noise") else rng.normal(size=size)
    return agent, means[agent] + 2 * noise
