"""The digamma function of positive numbers, in few operations, so that a loop around it compiles at once."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

Array = Any

_STEPS = np.arange(8.0)
_SERIES = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760)


def digamma(x: Array) -> Array:
    """Derivative of the logarithm of the gamma function, for positive float64.

    The asymptotic series at ``x + 8``, and the recurrence back. The first term left out is below 2e-14.
    """
    y = x + len(_STEPS)
    square, value = 1.0 / (y * y), jnp.full_like(y, _SERIES[-1])
    for coefficient in reversed(_SERIES[:-1]):
        value = coefficient + square * value
    return jnp.log(y) - 0.5 / y + value * square - (1.0 / (x[..., None] + _STEPS)).sum(-1)
