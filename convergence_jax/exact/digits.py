"""Integers modulo ``2**(32 * L)`` as ``L`` digits: the group that every exact state lives in.

A number is a ``uint32`` array ``(..., L)``, least significant digit first. Every bit pattern is one residue
and every residue one bit pattern, so a state is canonical by its type: ``==`` on digits is ``==`` on values.
A residue is read as signed (two's complement) when it is presented.

Sums in flight are *lanes*: ``int64`` digits whose carries are still outstanding. Lanes add elementwise, in
any order; :func:`normalize` turns them into digits. Lanes depend on the path taken and never leave the room.

Everything here runs on NumPy and on JAX arrays alike and imports neither JAX nor a device.
"""

from typing import Any

import numpy as np

from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK

Array = Any
"""A NumPy or a JAX array; the functions of this module stay in the namespace of their arguments."""

_BASE = 1 << DIGIT_BITS


def _shift_up(x: Array, by: int, fill: int | bool = 0) -> Array:
    """Move every digit `by` places towards the most significant end."""
    xp = x.__array_namespace__()
    if by >= x.shape[-1]:
        return xp.full_like(x, fill)
    head = xp.full((*x.shape[:-1], by), fill, dtype=x.dtype)
    return xp.concatenate([head, x[..., :-by]], axis=-1)


def normalize(lanes: Array) -> Array:
    """Propagate the carries of signed lanes.

    Parameters
    ----------
    lanes : Int64[Array, "... L"]
        Digits of any sign, each below ``2**63`` in magnitude.

    Returns
    -------
    UInt32[Array, "... L"]
        The residue of ``sum(lanes[i] * 2**(32 * i))`` modulo ``2**(32 * L)``.

    Notes
    -----
    Two local passes leave digits that carry at most one; the rest is carry lookahead in ``log2(L)`` steps
    (Kogge and Stone, 1973), so that no loop runs over the digits. Signs are lost first: one unit of the next
    digit is lent to each digit, and the sum of what was lent is taken off as a constant.
    """
    xp = lanes.__array_namespace__()
    length = lanes.shape[-1]
    if length == 2:  # fits a word, whose wrap-around is the residue: no carries to look for
        word = lanes[..., :1] + (lanes[..., 1:] << DIGIT_BITS)
        parts = [word & DIGIT_MASK, (word >> DIGIT_BITS) & DIGIT_MASK]
        return xp.concatenate(parts, axis=-1).astype(xp.uint32)
    # -(B + B**2 + ...) modulo B**L has the digits 0, B - 1, B - 2, B - 2, ...
    unlend = np.full(length, _BASE - 2, dtype=np.int64)
    unlend[:1] = 0
    unlend[1:2] = _BASE - 1
    x = (lanes & DIGIT_MASK) + _shift_up(lanes >> DIGIT_BITS, 1)  # at least -B/2, below 3B/2
    x = x + (unlend + _BASE)  # lend one unit each: in [B/2, 7B/2)
    x = (x & DIGIT_MASK) + _shift_up(x >> DIGIT_BITS, 1)  # below B + 3
    x = (x & DIGIT_MASK) + _shift_up(x >> DIGIT_BITS, 1)  # at most B
    generate, propagate = x > DIGIT_MASK, x == DIGIT_MASK
    step = 1
    while step < length:
        generate = generate | (propagate & _shift_up(generate, step, False))
        propagate = propagate & _shift_up(propagate, step, False)
        step *= 2
    carried = x + _shift_up(generate, 1, False).astype(xp.int64)
    return (carried & DIGIT_MASK).astype(xp.uint32)


def lanes(digits: Array) -> Array:
    """Read digits as lanes, to add many before one :func:`normalize`."""
    return digits.astype(digits.__array_namespace__().int64)


def add(a: Array, b: Array) -> Array:
    """Sum of two residues, ``uint32`` digits ``(..., L)``."""
    return normalize(lanes(a) + lanes(b))


def subtract(a: Array, b: Array) -> Array:
    """Difference of two residues: the exact inverse of :func:`add`."""
    return normalize(lanes(a) - lanes(b))


def total(digits: Array, axis: int = 0) -> Array:
    """Sum of residues along one axis (not the last), at most ``2**31`` of them."""
    xp = digits.__array_namespace__()
    return normalize(xp.sum(lanes(digits), axis=axis))


def from_int64(x: Array, length: int) -> Array:
    """Residue of a signed 64-bit integer, in `length` digits (at least two)."""
    xp = x.__array_namespace__()
    low, high, sign = x & DIGIT_MASK, (x >> DIGIT_BITS) & DIGIT_MASK, (x >> 63) & DIGIT_MASK
    parts = [low, high] + [sign] * (length - 2)
    return xp.stack(parts, axis=-1).astype(xp.uint32)


def to_ints(digits: Array) -> np.ndarray:
    """Signed values as Python integers: an object array ``(...,)``, on the host."""
    d = np.ascontiguousarray(np.asarray(digits, dtype="<u4"))
    flat = d.reshape(-1, d.shape[-1])
    out = np.empty(len(flat), dtype=object)
    for i, row in enumerate(flat):
        out[i] = int.from_bytes(row.tobytes(), "little", signed=True)
    return out.reshape(d.shape[:-1])


def from_ints(values: Any, length: int) -> np.ndarray:
    """Digits ``(..., length)`` of Python integers, modulo ``2**(32 * length)``."""
    flat = np.asarray(values, dtype=object)
    modulus = 1 << (DIGIT_BITS * length)
    raw = b"".join((int(v) % modulus).to_bytes(4 * length, "little") for v in flat.ravel())
    return np.frombuffer(raw, dtype="<u4").reshape(*flat.shape, length).astype(np.uint32)
