"""One function of arrays, run as it is in NumPy or compiled by JAX: the same bits either way."""

from collections.abc import Callable
from typing import Any

import numpy as np


def runner(compiled: bool) -> Callable[..., Any]:
    """How to call ``function(*arrays, **static)``: as it is, or compiled and its results on the host."""
    return _compiled if compiled else _plainly


def _plainly(function: Callable[..., Any], *arrays: np.ndarray, **static: int) -> Any:
    return function(*arrays, **static)


def _compiled(function: Callable[..., Any], *arrays: np.ndarray, **static: int) -> Any:
    import jax

    made = jax.jit(function, static_argnames=tuple(static))(*arrays, **static)
    return jax.tree.map(lambda a: np.array(a), made)
