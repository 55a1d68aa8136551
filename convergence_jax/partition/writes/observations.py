"""What a client writes: observations checked at the door, kept as bytes, lifted when they are released."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from convergence_jax.consensus.evidence import pool
from convergence_jax.errors import InputError
from convergence_jax.partition.rows.content import SEPARATOR, evidence_key
from convergence_jax.partition.rows.roster import EvidenceSchema, MomentsSchema, Roster, Schema
from convergence_jax.statistics.log_evidence import LogEvidenceState

LONGEST_NAME = 200
"""Characters of an agent's name, at most."""

MOST_EVENTS = 100_000
"""Observations in one write, at most."""


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """Observations as the journal keeps them.

    Attributes
    ----------
    values : bytes
        float64, little-endian: a row of features an observation, or one log-likelihood ratio.
    agents : list of str
        One an observation, for evidence.
    """

    values: bytes
    agents: list[str] = []


@dataclass(frozen=True)
class Batch:
    """Observations of one cell, in order.

    Attributes
    ----------
    cell : str
        Where they go.
    agent : str or None
        Whom they are about, for evidence.
    values : Float64[ndarray, "events ..."]
    """

    cell: str
    agent: str | None
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def split(self, events: int) -> tuple["Batch", "Batch"]:
        """The first `events`, and the rest."""
        first, rest = self.values[:events], self.values[events:]
        return Batch(self.cell, self.agent, first), Batch(self.cell, self.agent, rest)


def observations(roster: Roster, statistic: str, values: Any, agents: Sequence[str] | None = None) -> Payload:
    """Check what a client sent.

    Parameters
    ----------
    roster : Roster
    statistic : str
    values : sequence of float, or of sequences of float
        One number an observation, or one for each feature.
    agents : sequence of str, optional
        One an observation; for evidence, and only there.

    Returns
    -------
    Payload

    Raises
    ------
    InputError
        One line that names the statistic, and the observation if it is one. Nothing of the write is kept.
    """
    schema = roster.schemas.get(statistic)
    if schema is None:
        known = ", ".join(sorted(roster.schemas))
        raise InputError(f"{statistic}: no such statistic in the roster; it has {known}.")
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{statistic}: values must be numbers, one row an observation.") from None
    columns = len(schema.features) if isinstance(schema, MomentsSchema) else 1
    if array.ndim == 1 and columns == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != columns:
        raise InputError(f"{statistic}: want {columns} number(s) an observation, got shape {array.shape}.")
    if not 1 <= len(array) <= MOST_EVENTS:
        raise InputError(f"{statistic}: want 1 to {MOST_EVENTS} observations in a write, got {len(array)}.")
    _check_range(statistic, schema, array)
    _check_agents(statistic, schema, len(array), agents)
    return Payload(array.astype("<f8").tobytes(), list(agents or ()))


def batches(schema: Schema, payload: Payload, observer: str) -> list[Batch]:
    """The observations of a write by the cell that they go to, each in its order."""
    array = np.frombuffer(payload.values, dtype="<f8").astype(np.float64)
    if isinstance(schema, MomentsSchema):
        return [Batch(schema.name, None, array.reshape(-1, len(schema.features)))]
    names, code = np.unique(np.array(payload.agents, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    parts = np.split(array[order], np.cumsum(np.bincount(code, minlength=len(names)))[:-1])
    return [
        Batch(evidence_key(schema.name, str(name), observer), str(name), part)
        for name, part in zip(names, parts, strict=True)
    ]


def lift_all(schema: Schema, parts: Sequence[Batch]) -> dict[str, Any]:
    """The state of all observations of each cell."""
    if isinstance(schema, MomentsSchema):
        values = np.concatenate([batch.values for batch in parts])
        return {schema.name: schema.statistic.total(schema.statistic.lift(values))}
    statistic = schema.statistic
    cells = {cell: place for place, cell in enumerate(dict.fromkeys(batch.cell for batch in parts))}
    place = np.repeat([cells[batch.cell] for batch in parts], [len(batch) for batch in parts])
    sums = pool(place, np.concatenate([batch.values for batch in parts]), len(cells))
    count = np.bincount(place, minlength=len(cells)).astype(np.int64)
    outside = dict(zip(sums.far.tolist(), sums.outside[:, 0], strict=True))
    none = statistic.empty()
    return {
        cell: LogEvidenceState(
            sums.window[i, 0], outside.get(i, none.outside), count[i], none.faults, statistic
        )
        for cell, i in cells.items()
    }


def pack(batch: Batch) -> bytes:
    """A batch that waits, as the journal keeps it; its cell says the rest."""
    return batch.values.astype("<f8").tobytes()


def unpack(schema: Schema, cell: str, data: bytes) -> Batch:
    """A batch that waited."""
    array = np.frombuffer(data, dtype="<f8").astype(np.float64)
    if isinstance(schema, MomentsSchema):
        return Batch(cell, None, array.reshape(-1, len(schema.features)))
    return Batch(cell, cell.split(SEPARATOR)[1], array)


def _check_range(statistic: str, schema: Schema, array: np.ndarray) -> None:
    sides: list[Any] = [schema] if isinstance(schema, EvidenceSchema) else schema.features
    for column, side in enumerate(sides):
        values = array[:, column]
        wrong = ~((values >= side.low) & (values <= side.high))  # NaN as well
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            name = f" {side.name}" if len(sides) > 1 or side is not schema else ""
            raise InputError(
                f"{statistic}:{name} of observation {at} is {values[at]}, not from {side.low} to "
                f"{side.high}; leave it out or clip it."
            )


def _check_agents(statistic: str, schema: Schema, events: int, agents: Sequence[str] | None) -> None:
    if isinstance(schema, MomentsSchema):
        if agents:
            raise InputError(f"{statistic}: takes no agents; it is about all observations together.")
        return
    if agents is None or len(agents) != events:
        got = 0 if agents is None else len(agents)
        raise InputError(f"{statistic}: want one agent an observation, got {got} for {events}.")
    for at, agent in enumerate(agents):
        if not (0 < len(agent) <= LONGEST_NAME and agent.isprintable()):
            raise InputError(
                f"{statistic}: agent of observation {at} must have 1 to {LONGEST_NAME} printable characters."
            )
