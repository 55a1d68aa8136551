"""What a cell holds: its key, the statistic that made it, and states as bytes."""

from fractions import Fraction
from typing import Any

import numpy as np

from convergence_jax.exact import digits
from convergence_jax.exact.constants import FLOAT64, WINDOW
from convergence_jax.partition.rows.encoding import decode
from convergence_jax.partition.rows.roster import EvidenceSchema, MomentsSchema, Roster
from convergence_jax.statistics.faults import any_fault
from convergence_jax.statistics.law import Removable
from convergence_jax.statistics.log_evidence import LogEvidenceState
from convergence_jax.statistics.moments import COUNT_BITS, MomentsState

SEPARATOR = "\x1f"
"""Between the parts of a key: no name may hold it."""


def evidence_key(statistic: str, agent: str, observer: str) -> str:
    """Key of what an observer says about an agent."""
    return SEPARATOR.join((statistic, agent, observer))


def about(key: str) -> str:
    """Statistic and agent of a key, without the observer."""
    return SEPARATOR.join(key.split(SEPARATOR)[:2])


def statistic_of(roster: Roster, key: str) -> Removable[Any, Any]:
    """The statistic that made a cell."""
    return roster.schemas[key.split(SEPARATOR)[0]].statistic


def read_state(roster: Roster, key: str, data: bytes) -> Any:
    """The state in a cell.

    Raises
    ------
    ValueError
        If the roster has no such statistic, the key is not of its form, or the bytes are no state of it.
    """
    name, *rest = key.split(SEPARATOR)
    schema = roster.schemas.get(name)
    if schema is None:
        raise ValueError(f"cell: no statistic {name!r} in the roster.")
    if len(rest) != (2 if isinstance(schema, EvidenceSchema) else 0):
        raise ValueError(f"cell: {key!r} is no key of {name!r}.")
    return decode(schema.statistic, data)


def check_cell(roster: Roster, key: str, data: bytes) -> None:
    """Refuse a cell that no observations in the declared ranges add up to: it would spoil every answer.

    What passes adds up to what passes, whoever said it.

    Raises
    ------
    ValueError
        As :func:`read_state` does, and if the state is not possible.
    """
    state = read_state(roster, key, data)
    schema = roster.schemas[key.split(SEPARATOR)[0]]
    possible = _moments(schema, state) if isinstance(schema, MomentsSchema) else _evidence(schema, state)
    if any_fault(state.faults).any() or not possible:
        raise ValueError(f"cell: {key!r} is of no observations in range.")


def evidence_total(state: LogEvidenceState) -> Fraction:
    """A sum of evidence, exactly, in natural logarithms."""
    window, outside = (int(digits.to_ints(np.asarray(part))) for part in (state.window, state.outside))
    return window * Fraction(2) ** WINDOW.lsb + outside * Fraction(2) ** FLOAT64.lsb


def _evidence(schema: EvidenceSchema, state: LogEvidenceState) -> bool:
    n = int(state.count)
    return n >= 0 and n * Fraction(schema.low) <= evidence_total(state) <= n * Fraction(schema.high)


def _moments(schema: MomentsSchema, state: MomentsState) -> bool:
    n = int(state.count)
    sums, products = (digits.to_ints(np.asarray(part)).tolist() for part in (state.sums, state.products))
    ranges = [feature.ticks for feature in schema.features]
    if not 0 <= n < 1 << COUNT_BITS or any(
        not n * low <= total <= n * high for total, (low, high) in zip(sums, ranges, strict=True)
    ):
        return False
    pairs = list(zip(*(side.tolist() for side in schema.statistic.pairs), strict=True))
    scatter = {(i, j): n * p - sums[i] * sums[j] for (i, j), p in zip(pairs, products, strict=True)}
    return all(
        scatter[i, i] >= 0 and scatter[i, j] ** 2 <= scatter[i, i] * scatter[j, j] for i, j in pairs
    ) and (n > 0 or not any(products))
