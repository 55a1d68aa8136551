"""`confusion`: how often an observer says each label for each truth, as the cells of a small heat map."""

import math
from collections.abc import Sequence
from typing import Any

from convergence_jax.report.consensus_page import Observer
from convergence_jax.report.wording import MISSING, count, name

MOST_LABELS = 12


def confusion(observer: Observer, labels: Sequence[str], prior: Sequence[float]) -> dict[str, Any]:
    """Lay out an observer's confusion matrix.

    Parameters
    ----------
    observer : Observer
        With a matrix.
    labels : sequence of str
        Names of its rows and columns; numbers from 1 stand in where there are not as many.
    prior : sequence of float
        How frequent each is; where there are more than `MOST_LABELS`, the most frequent are laid out.

    Returns
    -------
    dict
        ``observer``, ``said`` (of how many items), ``labels``, ``rows`` (a label and its cells: text, shade
        in percent, whether it is the truth) and ``left_out``, how many labels are not laid out.

    Raises
    ------
    ValueError
        If the matrix is not square.
    """
    matrix = observer.confusion
    k = len(matrix)
    if any(len(row) != k for row in matrix):
        raise ValueError(
            f"Observer {name(observer.observer)!r}: want as many labels said as truths in its confusion "
            f"matrix, got rows of {sorted({len(row) for row in matrix})} for {k} truths."
        )
    names = list(labels) if len(labels) == k else [str(i + 1) for i in range(k)]
    kept = list(range(k))
    if k > MOST_LABELS:
        weight = prior if len(prior) == k else [0.0] * k
        kept = sorted(sorted(kept, key=lambda i: (-weight[i], i))[:MOST_LABELS])
    return {
        "observer": name(observer.observer, 60),
        "said": count(observer.items),
        "labels": [name(names[j], 16) for j in kept],
        "rows": [(name(names[i], 28), [(*_cell(float(matrix[i][j])), i == j) for j in kept]) for i in kept],
        "left_out": k - len(kept),
    }


def _cell(share: float) -> tuple[str, int]:
    """Percent as a text, and the same as a shade; what is neither none nor all is written as neither."""
    if not math.isfinite(share):
        return MISSING, 0
    share = min(max(share, 0.0), 1.0)
    whole = round(100 * share)
    text = "<1" if 0 < share < 0.005 else ">99" if 0.995 <= share < 1 else str(whole)
    return text, whole
