"""Forty-five patients, five anaesthetists: the example of Dawid and Skene (1979), built in."""

from __future__ import annotations

import numpy as np

from convergence_jax.consensus.labels import Labels

RATINGS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111
2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111
2322222 1111111 1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432
1111111 1111111 1212111 2322222 1211111 2222222
"""
"""One patient a word, in the paper's order: three ratings of the first observer, then one of each other."""

CLASS_SHARES = (0.40, 0.42, 0.11, 0.07)
"""The published estimates, to the two decimals that are published."""

ERROR_RATES = (
    ((0.89, 0.11, 0.00, 0.00), (0.07, 0.88, 0.05, 0.00), (0.00, 0.34, 0.66, 0.00), (0.00, 0.00, 0.56, 0.44)),
    ((0.83, 0.17, 0.00, 0.00), (0.05, 0.63, 0.31, 0.00), (0.00, 0.00, 1.00, 0.00), (0.00, 0.00, 0.00, 1.00)),
    ((1.00, 0.00, 0.00, 0.00), (0.11, 0.79, 0.11, 0.00), (0.00, 0.40, 0.20, 0.40), (0.00, 0.00, 0.67, 0.33)),
    ((0.94, 0.06, 0.00, 0.00), (0.05, 0.84, 0.10, 0.00), (0.00, 0.00, 0.80, 0.20), (0.00, 0.00, 0.33, 0.67)),
    ((1.00, 0.00, 0.00, 0.00), (0.16, 0.73, 0.11, 0.00), (0.00, 0.21, 0.79, 0.00), (0.00, 0.00, 0.33, 0.67)),
)
"""The published tables, observer by observer: true class by row, answer by column."""


def labels() -> Labels:
    """The figures of table 1 of the paper (Dawid and Skene, 1979) as labels, classes from zero.

    Fitness for anaesthesia in four classes. The first observer saw each form three times, weeks apart.

    Examples
    --------
    >>> table = labels()
    >>> table.items, table.workers, table.classes, len(table.item)
    (45, 5, 4, 315)
    """
    rows = np.array([[int(digit) - 1 for digit in word] for word in RATINGS.split()])
    item, column = np.indices(rows.shape)
    worker = np.array([0, 0, 0, 1, 2, 3, 4])[column]
    return Labels(item.ravel(), worker.ravel(), rows.ravel(), len(rows), 5, 4)
