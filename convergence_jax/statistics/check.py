"""`check`: the edge where counted faults become an exception."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from convergence_jax.errors import FaultError
from convergence_jax.statistics.faults import Faults

T = TypeVar("T")


def check(state: T) -> T:
    """Return a state unchanged, or raise if it counts a fault.

    Runs on the host and waits for the device. Where faults are expected, look at ``valid`` of the presented
    value instead, or remove the observations that brought them.

    Parameters
    ----------
    state : State
        Any state, or a tuple, list or dictionary of them.

    Returns
    -------
    State
        The same object.

    Raises
    ------
    FaultError
        If any count of a fault is not zero; the message says how many of each kind.
    """
    kinds = {field.name: 0 for field in dataclasses.fields(Faults)}
    for faults in _faults(state):
        for kind in kinds:
            kinds[kind] += int(np.sum(np.asarray(getattr(faults, kind)), dtype=object))
    if any(kinds.values()):
        said = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in kinds.items() if n)
        raise FaultError(
            f"check: {said}: the state lacks these values. Remove them, or declare a lift of larger range."
        )
    return state


def _faults(node: Any) -> Iterator[Faults]:
    if isinstance(node, Faults):
        yield node
    elif isinstance(node, dict):
        for child in node.values():
            yield from _faults(child)
    elif isinstance(node, tuple | list):
        for child in node:
            yield from _faults(child)
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        for field in dataclasses.fields(node):
            yield from _faults(getattr(node, field.name))
