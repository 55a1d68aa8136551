"""States: frozen dataclasses of integer arrays, pytrees wherever JAX is in use.

A node process never imports JAX and handles the same states with NumPy, so registration waits: at once if JAX
is loaded, else when the first room that needs it calls :func:`register`.
"""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_waiting: list[type] = []


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def state(cls: type[T]) -> type[T]:
    """Make a class a state: a frozen dataclass whose fields are arrays or states, and a JAX pytree."""
    made = dataclasses.dataclass(frozen=True, eq=False)(cls)
    _waiting.append(made)
    if "jax" in sys.modules:
        register()
    return made


def static() -> Any:
    """Declare a field that is part of a state's identity and holds no data: the statistic that made it.

    JAX sees it in the structure of the pytree, so that states of different statistics cannot meet in one
    operation, and a jitted function compiles once per statistic.
    """
    return dataclasses.field(metadata={"static": True})


def is_static(field: "dataclasses.Field[Any]") -> bool:
    """Whether a field of a state is part of its identity."""
    return bool(field.metadata.get("static", False))


def register() -> None:
    """Register every state with JAX as a pytree; imports JAX."""
    import jax

    while _waiting:
        jax.tree_util.register_dataclass(_waiting.pop())


def map_arrays(f: Callable[..., Any], *states: T) -> T:
    """Apply `f` to corresponding arrays of states of one type, in nested states and dictionaries too.

    Raises
    ------
    ValueError
        If the states have different identities: other lifts, edges or bins.
    """
    first = states[0]
    if isinstance(first, dict):
        return type(first)((key, map_arrays(f, *(s[key] for s in states))) for key in first)  # type: ignore
    if not dataclasses.is_dataclass(first):
        return f(*states)
    kind: Any = type(first)
    made: dict[str, Any] = {}
    for field in dataclasses.fields(first):
        values = [getattr(s, field.name) for s in states]
        if is_static(field):
            require_same(values[0], *values[1:])
            made[field.name] = values[0]
        else:
            made[field.name] = map_arrays(f, *values)
    return kind(**made)


def require_same(statistic: Any, *others: Any) -> None:
    """Raise ValueError unless every statistic is the same: states of different ones have no common sum."""
    for other in others:
        if other != statistic:
            raise ValueError(
                f"states of different statistics, {statistic} and {other}, do not merge: use one statistic."
            )
