"""States: frozen dataclasses of integer arrays, pytrees wherever JAX is in use.

A node process never imports JAX and handles the same states with NumPy, so registration waits: at once if JAX is
loaded, else when the first room that needs it calls :func:`register`.
"""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_waiting: list[type] = []


@dataclass_transform(frozen_default=True)
def state(cls: type[T]) -> type[T]:
    """Make a class a state: a frozen dataclass whose fields are arrays or states, and a JAX pytree."""
    made = dataclasses.dataclass(frozen=True, eq=False)(cls)
    _waiting.append(made)
    if "jax" in sys.modules:
        register()
    return made


def register() -> None:
    """Register every state with JAX as a pytree; imports JAX."""
    import jax

    while _waiting:
        jax.tree_util.register_dataclass(_waiting.pop())


def map_arrays(f: Callable[..., Any], *states: T) -> T:
    """Apply `f` to corresponding arrays of states of one type, nested states included."""
    first = states[0]
    if not dataclasses.is_dataclass(first):
        return f(*states)
    names = [field.name for field in dataclasses.fields(first)]
    return type(first)(**{name: map_arrays(f, *(getattr(s, name) for s in states)) for name in names})
