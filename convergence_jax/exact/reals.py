"""Reals as two words, ``whole + fraction * 2**-64``: what logarithms are computed in.

Every function is integer operations alone, from the bits of a float to the bits of a float, and written once
for NumPy and JAX: no backend can flush, contract or reorder anything, so all give the same bits.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK

Array = Any

LIMIT_BITS = 62
"""Reals reach from ``-2**62`` to ``2**62``; what is made of anything beyond is the nearer of the two."""

_BLOCK = 8192
"""Elements that NumPy works on at once, so that temporaries stay in the cache."""


class Fixed(NamedTuple):
    """Multiples of ``2**-64``, elementwise.

    Attributes
    ----------
    whole : Int64[Array, "..."]
        The integer part, rounded down.
    fraction : UInt64[Array, "..."]
        What lies above it, in units of ``2**-64``.
    """

    whole: Array
    fraction: Array


def elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of arrays, written for one shape, take any that broadcast.

    NumPy arguments pass through it in short blocks; arguments and results may be :class:`Fixed` or tuples.
    """

    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        leaves = [leaf for argument in arguments for leaf in _leaves(argument)]
        shapes = {leaf.shape for leaf in leaves}
        xp = next((n for leaf in leaves if (n := leaf.__array_namespace__()) is not np), np)
        if xp is not np:
            converted = map(xp.asarray, leaves)
            return function(*(_like(argument, converted) for argument in arguments))
        shape = np.broadcast_shapes(*shapes)
        if len(shapes) == 1 and len(shape) == 1 and shape[0] <= _BLOCK:
            return function(*arguments)
        flat = [np.broadcast_to(leaf, shape).ravel() for leaf in leaves]
        made = []
        for start in range(0, max(flat[0].size, 1), _BLOCK):
            part = (leaf[start : start + _BLOCK] for leaf in flat)
            made.append(function(*(_like(argument, part) for argument in arguments)))
        columns = zip(*map(_leaves, made), strict=True)
        return _like(made[0], (np.concatenate(column).reshape(shape) for column in columns))

    return run


def _leaves(value: Any) -> Iterator[Array]:
    if isinstance(value, tuple):
        yield from value
    else:
        yield value if hasattr(value, "__array_namespace__") else np.asarray(value)


def _like(value: Any, leaves: Iterator[Array]) -> Any:
    """The next of `leaves`, in the structure of `value`."""
    if isinstance(value, Fixed):
        return Fixed(next(leaves), next(leaves))
    return tuple(next(leaves) for _ in value) if isinstance(value, tuple) else next(leaves)


@elementwise
def from_float(x: Array) -> Fixed:
    """Nearest multiple of ``2**-64``, ties to even.

    Parameters
    ----------
    x : Float64[Array, "..."]
        Magnitudes of ``2**62`` and more become ``2**62`` with their sign, infinities included, and so does a
        NaN by its sign bit: what it should mean is for the caller to say.
    """
    xp = x.__array_namespace__()
    negative, exponent, mantissa = decode(x)
    up = exponent + 12  # from units of 2**(exponent - 52) to 2**-64
    left, over = (xp.clip(n, 0, 63).astype(xp.uint64) for n in (up, up - 64))
    far = up >= 64
    low = xp.where(far, np.uint64(0), mantissa << left)
    high = xp.where(far, mantissa << over, (mantissa >> 1) >> (63 - left))
    down = xp.clip(-up, 0, 54).astype(xp.uint64)  # 54 leaves less than half a unit
    kept = mantissa >> down
    rest = mantissa - (kept << down)
    rises = (rest << 1) + (kept & 1) > np.uint64(1) << down
    low = xp.where(up < 0, kept + rises.astype(xp.uint64), low)
    high = xp.where(up < 0, np.uint64(0), high)
    beyond = exponent >= LIMIT_BITS
    whole = xp.where(beyond, np.int64(1 << LIMIT_BITS), high.astype(xp.int64))
    made = Fixed(whole, xp.where(beyond, np.uint64(0), low))
    return where(negative, negate(made), made)


def from_digits(digits: Array, lsb: int) -> Fixed:
    """Nearest multiple of ``2**-64`` of an exact number, ties to even.

    Parameters
    ----------
    digits : UInt32[Array, "... L"]
        Two's complement, least significant digit first, as :mod:`convergence_jax.exact.digits` has them.
    lsb : int
        The number is the integer times ``2**lsb``. One beyond ``2**62`` becomes that, with its sign.
    """
    xp = digits.__array_namespace__()
    lanes = group.lanes(digits)
    negative = digits[..., -1:] >> np.uint32(DIGIT_BITS - 1) != np.uint32(0)
    magnitude = group.normalize(xp.where(negative, -lanes, lanes)).astype(xp.uint64)
    # Shift all bits, so that the unit 2**-64 begins a digit, between zeros enough for every slice below.
    first, by = divmod(-64 - lsb, DIGIT_BITS)
    pads = [(*magnitude.shape[:-1], n) for n in (2 + max(0, -first), max(1, first + 5 - digits.shape[-1]))]
    zeros = [xp.zeros(pad, dtype=xp.uint64) for pad in pads]
    padded = xp.concatenate([zeros[0], magnitude, zeros[1]], axis=-1)
    lower, upper = padded[..., :-1] >> by, padded[..., 1:] << (DIGIT_BITS - by)
    shifted = (lower | upper) & DIGIT_MASK
    first += pads[0][-1]

    words = [shifted[..., i : i + 1] for i in range(first - 1, first + 4)]
    low, high = words[1] | (words[2] << DIGIT_BITS), words[3] | (words[4] << DIGIT_BITS)
    sticky = xp.any(shifted[..., : first - 1] != 0, axis=-1, keepdims=True)
    under = (words[0] << DIGIT_BITS) | sticky.astype(xp.uint64)
    up = under + (low & 1) > np.uint64(1 << 63)
    low = low + up.astype(xp.uint64)
    high = high + (up & (low == 0)).astype(xp.uint64)
    beyond = (high >= 1 << LIMIT_BITS) | xp.any(shifted[..., first + 4 :] != 0, axis=-1, keepdims=True)
    whole = xp.where(beyond, 1 << LIMIT_BITS, high.astype(xp.int64))
    made = Fixed(whole, xp.where(beyond, 0, low))
    signed = where(negative, negate(made), made)
    return Fixed(signed.whole[..., 0], signed.fraction[..., 0])


@elementwise
def to_float(x: Fixed) -> Array:
    """Nearest float64, ties to even; ``+0.0`` for zero."""
    negative, exponent, mantissa, sticky = normal(x)
    return round_mantissa(negative, exponent, mantissa, sticky)


def normal(x: Fixed) -> tuple[Array, Array, Array, Array]:
    """Sign and magnitude of a real with its leading one on top.

    Returns
    -------
    negative : Bool[Array, "..."]
    exponent : Int64[Array, "..."]
    mantissa : UInt64[Array, "..."]
        The magnitude is ``mantissa * 2**(exponent - 63)``, rounded down; zero only for zero.
    sticky : Bool[Array, "..."]
        Whether it was more.
    """
    xp = x.whole.__array_namespace__()
    negative = x.whole < 0
    size = where(negative, negate(x), x)
    high, low = size.whole.astype(xp.uint64), size.fraction
    short = high == 0
    head, by = to_top(xp.where(short, low, high))
    rest = xp.where(short, 0, low)
    head = head | ((rest >> 1) >> (63 - by))
    exponent = xp.where(short, -1, 63) - by.astype(xp.int64)
    return negative, exponent, head, rest << by != 0


def to_top(word: Array) -> tuple[Array, Array]:
    """A word shifted so that its leading one is bit 63, and by how much; zero stays zero, by 63."""
    xp = word.__array_namespace__()
    total = xp.zeros_like(word)
    for by in (32, 16, 8, 4, 2, 1):
        step = xp.where(word >> (64 - by) == 0, np.uint64(by), np.uint64(0))
        word, total = word << step, total + step
    return word, total


def decode(x: Array) -> tuple[Array, Array, Array]:
    """Whether a float64 is negative, its exponent and its mantissa.

    Its magnitude is ``mantissa * 2**(exponent - 52)``, zeros and subnormals included; infinities and NaN have
    the exponent 1024.
    """
    if x.dtype != np.float64:
        raise TypeError(f"decode: values must be float64, got {x.dtype}: convert first.")
    xp = x.__array_namespace__()
    bits = x.view(np.int64)
    field = (bits >> 52) & 0x7FF
    hidden = xp.where(field > 0, np.int64(1 << 52), np.int64(0))
    mantissa = (bits & ((1 << 52) - 1)) | hidden
    return bits < 0, xp.maximum(field, 1) - 1023, mantissa.astype(xp.uint64)


def round_mantissa(negative: Array, exponent: Array, mantissa: Array, sticky: Array) -> Array:
    """The float64 nearest to a magnitude, ties to even, with a sign.

    Parameters
    ----------
    negative, sticky : Bool[Array, "..."]
        The sign, of zero too; and whether the magnitude is above what the mantissa says, by less than its
        unit.
    exponent : Int64[Array, "..."]
        The magnitude is ``mantissa * 2**(exponent - 63)``; infinite beyond float64, subnormals as IEEE 754
        rounds them.
    mantissa : UInt64[Array, "..."]
        At least ``2**63``, or zero.
    """
    xp = mantissa.__array_namespace__()
    lost = xp.clip(-1022 - exponent, 0, 63).astype(xp.uint64)  # bits that a subnormal lacks
    short = mantissa >> lost
    sticky = sticky | (short << lost != mantissa)
    kept, rest = short >> 11, short & 0x7FF
    up = (rest > 0x400) | ((rest == 0x400) & (sticky | (kept & 1 != 0)))
    # The leading one of `kept` adds one to the field of the exponent, and so does a carry out of it.
    field = xp.clip(exponent + 1022, 0, 2046).astype(xp.uint64) << 52
    bits = xp.where(exponent > 1023, np.uint64(0x7FF << 52), field + kept + up.astype(xp.uint64))
    bits = xp.where(mantissa == 0, np.uint64(0), bits)
    return (bits | (negative.astype(xp.uint64) << 63)).view(np.float64)


def add(a: Fixed, b: Fixed) -> Fixed:
    """Sum, exactly."""
    fraction = a.fraction + b.fraction
    carry = (fraction < a.fraction).astype(a.whole.dtype)
    return Fixed(a.whole + b.whole + carry, fraction)


def negate(x: Fixed) -> Fixed:
    """The negative, exactly."""
    borrow = (x.fraction != 0).astype(x.whole.dtype)
    return Fixed(-x.whole - borrow, ~x.fraction + 1)


def subtract(a: Fixed, b: Fixed) -> Fixed:
    """Difference, exactly."""
    borrow = (a.fraction < b.fraction).astype(a.whole.dtype)
    return Fixed(a.whole - b.whole - borrow, a.fraction - b.fraction)


def less(a: Fixed, b: Fixed) -> Array:
    """Whether ``a < b``."""
    return (a.whole < b.whole) | ((a.whole == b.whole) & (a.fraction < b.fraction))


def where(condition: Array, a: Fixed, b: Fixed) -> Fixed:
    """`a` where a condition holds, `b` elsewhere."""
    xp = a.whole.__array_namespace__()
    return Fixed(xp.where(condition, a.whole, b.whole), xp.where(condition, a.fraction, b.fraction))


def multiply_high(a: Array, b: Array) -> Array:
    """``a * b / 2**64`` of two unsigned words, rounded down."""
    a_low, a_high = a & DIGIT_MASK, a >> DIGIT_BITS
    b_low, b_high = b & DIGIT_MASK, b >> DIGIT_BITS
    middle = a_high * b_low + ((a_low * b_low) >> DIGIT_BITS)  # at most (2**32 - 1) * 2**32
    cross = a_low * b_high + (middle & DIGIT_MASK)
    return a_high * b_high + (middle >> DIGIT_BITS) + (cross >> DIGIT_BITS)
