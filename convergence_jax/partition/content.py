"""What a cell holds: its key, the statistic that made it, and states as bytes."""

from typing import Any

from convergence_jax.partition.encoding import decode
from convergence_jax.partition.roster import EvidenceSchema, Roster
from convergence_jax.statistics.law import Removable

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
