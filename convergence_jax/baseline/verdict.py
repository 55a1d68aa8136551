"""What a decision says: who is flagged, at which rate, and which features make an agent unusual."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convergence_jax.baseline.distance import Baseline, Float, Int
from convergence_jax.baseline.level import Level
from convergence_jax.baseline.reference import Reference
from convergence_jax.baseline.transform import Transform


@dataclass(frozen=True)
class Explanation:
    """One feature of an unusual agent.

    `value` and `expected` are in the feature's own unit, `deviation` in standard deviations
    of an agent with as many observations, `share` the part of the squared distance that the feature makes.
    """

    feature: str
    value: float
    expected: float
    deviation: float
    share: float


@dataclass(frozen=True)
class Judged:
    """One level after the decision: its units in their original order, and what explains them."""

    level: Level
    transform: Transform
    kept: Int
    node: Int
    baseline: Baseline
    score: Float
    p_value: Float


@dataclass(frozen=True)
class Decision:
    """Who is unusual, how sure that is, and why.

    Parameters
    ----------
    alpha : float
        The false discovery rate over agents.
    method : str
        The rule, in a sentence.
    assumes : list of str
        What the rate rests on.
    flagged : bool[agents]
        The agents called unusual.
    scores, p_values : dict of float64[agents]
        For each level, the largest score and the p-value of the agent's units there (times their number); NaN
        where it has none.
    q_value : float64[agents]
        The smallest rate at which the agent would be flagged.
    least_rejections : int or None
        The fewest agents the rule can flag, where it cannot flag fewer than some.
    reference : list of Reference
        For each level, what is needed to draw it.
    transforms : dict of str
        For each feature, the transform it went through, in words.
    """

    alpha: float
    method: str
    assumes: list[str]
    flagged: NDArray[np.bool_]
    scores: dict[str, Float]
    p_values: dict[str, Float]
    q_value: Float
    least_rejections: int | None
    reference: list[Reference]
    transforms: dict[str, str]
    features: list[str]
    judged: list[Judged] = field(repr=False, default_factory=list)

    def most_unusual_unit(self, agent: int) -> tuple[int, int] | None:
        """Level and unit in which the agent has its smallest p-value; None if it has no unit."""
        best: tuple[float, float, int, int] | None = None
        for k, judged in enumerate(self.judged):
            low, high = np.searchsorted(judged.level.agent, [agent, agent + 1])
            for i in range(int(low), int(high)):
                rank = (float(judged.p_value[i]), -float(judged.score[i]), k, i)
                best = rank if best is None or rank < best else best
        return None if best is None else (best[2], best[3])

    def explain(self, agent: int) -> list[Explanation]:
        """What makes the agent unusual, where it is most so, the heaviest feature first.

        The squared distance is split by Garthwaite and Koch's partition (2016): into squares of the
        uncorrelated variables that are closest to the standardised features, one each.
        """
        where = self.most_unusual_unit(agent)
        return [] if where is None else _explained(self.judged[where[0]], where[1], self.features)


def _explained(judged: Judged, unit: int, names: list[str]) -> list[Explanation]:
    level, kept, transform = judged.level, judged.kept, judged.transform
    baseline, node, inverse = judged.baseline, judged.node[unit], 1.0 / level.count[unit]
    d = len(kept)
    values = level.mean[unit]
    result = [Explanation(name, float(v), float(v), 0.0, 0.0) for name, v in zip(names, values, strict=True)]
    if d == 0 or baseline.rank[node] == 0:
        return result
    away = transform(values[None, kept])[0] - baseline.centre[node]
    between = baseline.covariance[node] - baseline.within[node] * baseline.mean_inverse_count[node]
    diagonal = np.maximum(np.diag(between), 0.0) + np.diag(baseline.within[node]) * inverse
    spread = np.sqrt(np.maximum(diagonal, 1e-300))
    matrix = between + baseline.within[node] * inverse
    eigenvalues, vectors = np.linalg.eigh(matrix / spread[:, None] / spread[None, :])
    root = np.where(eigenvalues > 1e-9 * d, 1.0 / np.sqrt(np.maximum(eigenvalues, 1e-300)), 0.0)
    standard = np.where(diagonal > 1e-290, away / spread, 0.0)
    parts = ((vectors * root) @ (vectors.T @ standard)) ** 2
    expected = transform.inverse(baseline.centre[node][None])[0]
    total = parts.sum() or 1.0
    for k, j in enumerate(kept):
        result[j] = Explanation(
            names[j], float(values[j]), float(expected[k]), float(standard[k]), float(parts[k] / total)
        )
    return sorted(result, key=lambda part: (-part.share, names.index(part.feature)))
