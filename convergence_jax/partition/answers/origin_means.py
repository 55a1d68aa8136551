"""`OriginMeans`: what a node remembers of each origin's mean, for its anytime-valid intervals."""

import numpy as np

from convergence_jax.exact import digits
from convergence_jax.partition.answers.anytime import Boundary, OriginMean, anytime_mean_interval
from convergence_jax.partition.answers.interval import Interval, Span
from convergence_jax.partition.participant import Origin
from convergence_jax.partition.rows.content import read_state
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import MomentsSchema

ALPHA = 0.05
"""Probability that any anytime-valid interval of one feature, in the whole run of a node, misses."""

_ROOM = 16
"""Boundaries allow for at least so many members, so that a roster can grow."""


class OriginMeans:
    """Bounds on each origin's mean, narrowed by every look at its rows.

    Starts anew with the process, and for a feature when the roster outgrows what its boundary allows for:
    then the probability of a miss is per such period.
    """

    def __init__(self) -> None:
        self._boundaries: dict[tuple[str, int], Boundary] = {}
        self._seen: dict[tuple[str, int, str], OriginMean] = {}
        self._read: dict[tuple[str, str], tuple[list[bytes], int, list[int]]] = {}

    def interval(
        self, replica: Replica, schema: MomentsSchema, feature: int, origins: list[Origin]
    ) -> Interval | None:
        """An interval for the mean of a feature, if each origin's conditional mean is constant.

        None where the assumption does not apply: anything was taken back, or may be; there is nothing yet; or
        the rows contradict it.
        """
        low, high = schema.features[feature].ticks
        counted = [origin for origin in origins if not origin.excluded]
        if low == high or any(origin.unseen.removals != 0 for origin in counted):
            return None
        if any(row.head.removed for row in replica.rows()):
            return None
        boundary = self._boundary(
            schema.name, feature, Span(low, high, schema.features[feature].scale_bits), counted
        )
        means = []
        for origin in counted:
            key = (schema.name, feature, origin.node)
            count, totals = self._said(replica, origin.node, schema)
            means.append(self._seen.get(key, OriginMean()).seen(count, totals[feature], boundary))
            self._seen[key] = means[-1]
        return anytime_mean_interval(means, [origin.unseen for origin in counted], boundary)

    def _boundary(self, statistic: str, feature: int, span: Span, origins: list[Origin]) -> Boundary:
        known = self._boundaries.get((statistic, feature))
        if known is None or known.span != span or known.origins < len(origins):
            known = Boundary(span, max(_ROOM, 2 * len(origins)), ALPHA)
            self._boundaries[statistic, feature] = known
            for key in [key for key in self._seen if key[:2] == (statistic, feature)]:
                del self._seen[key]
        return known

    def _said(self, replica: Replica, node: str, schema: MomentsSchema) -> tuple[int, list[int]]:
        """Count and sums, in ticks, of all that a node's rows hold."""
        cells = [row.cells.get(schema.name) for key, row in replica.table.items() if key.node == node]
        known = self._read.get((schema.name, node))
        if known is None or known[0] != cells:
            count, totals = 0, [0] * len(schema.features)
            for data in filter(None, cells):
                state = read_state(replica.roster, schema.name, data)
                count += int(state.count)
                sums = digits.to_ints(np.asarray(state.sums))
                totals = [total + int(more) for total, more in zip(totals, sums, strict=True)]
            known = self._read[schema.name, node] = (cells, count, totals)
        return known[1], known[2]
