"""Means and covariances from sums of ticks and of their products, each with one rounding."""

from functools import lru_cache
from typing import Any

import numpy as np

from convergence_jax.exact import digits as group
from convergence_jax.exact.multiply import multiply
from convergence_jax.exact.quotient import DENOMINATOR_BITS, round_quotient
from convergence_jax.exact.rounding import round_ratio
from convergence_jax.statistics.arrays import namespace

Array = Any

SHORT_COUNT = 1 << (DENOMINATOR_BITS // 2)
"""Below it, and with narrow ticks, ``n * (n - 1)`` and every numerator fit :func:`round_quotient`."""

_NEAR = 400
"""Largest scale of a feature for which no answer is subnormal."""

_BLOCK = 16384  # entries whose temporaries stay in the cache
_MASK, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def mean_and_covariance(
    count: Array, sums: Array, products: Array, scale: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of states, on the host.

    Parameters
    ----------
    count : Int64[Array, "states"]
        Observations, from 0 to ``2**32 - 1``.
    sums : UInt32[Array, "states features 2W"]
        Sums of ticks.
    products : UInt32[Array, "states pairs 4W"]
        Sums of products, upper triangle by rows.
    scale : tuple of int
        Scale bits of every feature.

    Returns
    -------
    mean : Float64[ndarray, "states features"]
        ``S_i / n`` ticks, correctly rounded; NaN without observations.
    covariance : Float64[ndarray, "states features features"]
        ``(n * S_ij - S_i * S_j) / (n * (n - 1))`` square ticks, every entry correctly rounded; NaN with fewer
        than two observations.

    Notes
    -----
    Short counts of narrow ticks take one pass of integer operations, compiled where the state is a JAX array.
    """
    d = len(scale)
    place = np.zeros((d, d), dtype=np.int64)
    first, second = np.triu_indices(d)
    place[first, second] = place[second, first] = np.arange(len(first))
    short = sums.shape[-1] == 2 and max(map(abs, scale)) <= _NEAR
    if short and int(np.asarray(count).max(initial=0)) < SHORT_COUNT:
        if namespace(count) is not np:
            mean, entries = _compiled()(count, sums, products, scale)
            return np.asarray(mean), np.take(np.asarray(entries), place.ravel(), axis=1).reshape(-1, d, d)
        answer = _short
    else:
        count, sums, products = np.asarray(count), np.asarray(sums), np.asarray(products)
        answer = _any
    mean, entries = np.empty((len(count), d)), np.empty((len(count), len(first)))
    rows = max(1, _BLOCK // len(first))
    with np.errstate(all="ignore"):
        for start in range(0, len(count), rows):
            part = slice(start, start + rows)
            mean[part], entries[part] = answer(count[part], sums[part], products[part], scale)
    return mean, np.take(entries, place.ravel(), axis=1).reshape(-1, d, d)


@lru_cache(maxsize=1)
def _compiled() -> Any:
    import jax

    return jax.jit(_short, static_argnums=3)


def _short(count: Array, sums: Array, products: Array, scale: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and entries of the upper triangle, by :func:`round_quotient`."""
    xp = namespace(count)
    first, second = np.triu_indices(len(scale))
    exponent = -np.array(scale, dtype=np.int64)
    n = count[:, None]
    low = _word(sums, 0)
    high = xp.where(low >> np.uint64(63) != np.uint64(0), ~np.uint64(0), np.uint64(0))
    mean = round_quotient(low, high, n, xp.broadcast_to(exponent, low.shape))
    numerator = _covariance_words(
        n.astype(xp.uint64), low[:, first], low[:, second], _word(products, 0), _word(products, 2)
    )
    by = n * (n - np.int64(1))
    entries = round_quotient(
        *numerator, by, xp.broadcast_to(exponent[first] + exponent[second], (1, len(first)))
    )
    return xp.where(n > np.int64(0), mean, np.nan), xp.where(n > np.int64(1), entries, np.nan)


def _any(count: np.ndarray, sums: np.ndarray, products: np.ndarray, scale: tuple[int, ...]) -> Any:
    """The same for any width and count, by :func:`round_ratio`."""
    first, second = np.triu_indices(len(scale))
    exponent = -np.array(scale, dtype=np.int64)
    n = count[:, None]
    length = 2 * sums.shape[-1]
    numerator = group.subtract(
        multiply(group.from_int64(n, 2), products, length), multiply(sums[:, first], sums[:, second], length)
    )
    m = n.astype(np.uint64)
    entries = round_ratio(numerator, m * (m - np.uint64(1)), exponent[first] + exponent[second])
    return round_ratio(sums, m, exponent), entries


def _word(digits: Array, at: int) -> Array:
    """A 64-bit word of two digits."""
    xp = namespace(digits)
    return digits[..., at].astype(xp.uint64) | (digits[..., at + 1].astype(xp.uint64) << _SHIFT)


def _covariance_words(n: Array, a: Array, b: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Words of ``n * products - a * b``, all modulo ``2**128``."""
    xp = namespace(a)
    p = n * (low & _MASK)
    q = n * (low >> _SHIFT) + (p >> _SHIFT)
    low, high = (q << _SHIFT) | (p & _MASK), n * high + (q >> _SHIFT)
    low_ab, high_ab = _multiply_words(a, b)
    return low - low_ab, high - high_ab - (low < low_ab).astype(xp.uint64)


def _multiply_words(a: Array, b: Array) -> tuple[Array, Array]:
    """Low and high word of the product of two signed 64-bit integers, in ``uint64``."""
    xp = namespace(a)
    a_low, a_high, b_low, b_high = a & _MASK, a >> _SHIFT, b & _MASK, b >> _SHIFT
    p = a_low * b_low
    q = a_high * b_low + (p >> _SHIFT)
    r = a_low * b_high + (q & _MASK)
    high = a_high * b_high + (q >> _SHIFT) + (r >> _SHIFT)
    zero = np.uint64(0)
    signs = xp.where(a >> np.uint64(63) != zero, b, zero) + xp.where(b >> np.uint64(63) != zero, a, zero)
    return (r << _SHIFT) | (p & _MASK), high - signs
