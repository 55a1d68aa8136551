"""Products of signed integers as digits: what second moments are made of and presented from."""

from typing import Any

import numpy as np

from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK
from convergence_jax.exact.digits import from_int64, normalize

Array = Any


def multiply(a: Array, b: Array, length: int) -> Array:
    """Product of two signed integers.

    Parameters
    ----------
    a, b : UInt32[Array, "... La"], UInt32[Array, "... Lb"]
        Digits in two's complement, in one namespace; leading axes broadcast.
    length : int
        Digits of the result.

    Returns
    -------
    UInt32[Array, "... length"]
        The product modulo ``2**(32 * length)``.

    Notes
    -----
    The digits are multiplied as unsigned numbers, each product split into two halves. A negative factor is
    its unsigned reading minus ``2**(32 * La)``, so the other factor is taken off ``La`` digits further up.
    """
    xp = a.__array_namespace__()
    x = [a[..., i].astype(xp.uint64) for i in range(a.shape[-1])]
    y = [b[..., j].astype(xp.uint64) for j in range(b.shape[-1])]
    a_negative = (a[..., -1] >> (DIGIT_BITS - 1)).astype(xp.int64)
    b_negative = (b[..., -1] >> (DIGIT_BITS - 1)).astype(xp.int64)
    zero = xp.zeros(np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), dtype=xp.int64)
    lanes = [zero] * length

    def add_at(k: int, value: Array) -> None:
        if k < length:
            lanes[k] = lanes[k] + value.astype(xp.int64)

    for i, p in enumerate(x):
        for j, q in enumerate(y):
            product = p * q
            add_at(i + j, product & np.uint64(DIGIT_MASK))
            add_at(i + j + 1, product >> np.uint64(DIGIT_BITS))
    for j, q in enumerate(y):
        add_at(len(x) + j, -(a_negative * q.astype(xp.int64)))
    for i, p in enumerate(x):
        add_at(len(y) + i, -(b_negative * p.astype(xp.int64)))
    add_at(len(x) + len(y), a_negative * b_negative)
    return normalize(xp.stack(lanes, axis=-1))


def multiply_ticks(a: Array, b: Array, *, wide: bool) -> Array:
    """Product of two ticks, ``Int64[Array, "..."]``: four digits if narrow (31 bits), eight if wide (62)."""
    if not wide:
        return from_int64(a * b, 4)
    return multiply(from_int64(a, 2), from_int64(b, 2), 8)
