"""Logarithms of sums of exponentials: over a short axis, and over any number of observations that merge."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from convergence_jax.exact import digits as group
from convergence_jax.exact import reals
from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK, EXPONENTIAL
from convergence_jax.exact.exp_ln import as_fixed, exp, ln, log_sigmoid
from convergence_jax.exact.reals import LIMIT_BITS, Fixed

Array = Any

HYPOTHESES = 64
"""Largest length of the axis of :func:`log_sum_exp` and its kin."""

RANGE = 2048.0
"""`LogSumExp` takes magnitudes below this."""

LOG_SUM_EXP_ERROR = 2.0**-61
"""Absolute bound on the error of what `LogSumExp` presents, before its one rounding."""

_BLOCK = 1 << 18
_RANGE_BITS = np.int64((1023 + 11) << 52)
_INFINITY = np.int64(0x7FF << 52)
_SIZE = np.int64((1 << 63) - 1)


def log_sum_exp_error(length: int) -> float:
    """Absolute bound on the error of :func:`log_sum_exp` over an axis of some length, and of `log_odds`."""
    return (max(4.0, (length - 1) / 2) + 4.0) * 2.0**-64


def log_sum_exp(x: Fixed, axis: int = -1) -> Fixed:
    """``ln(sum(e**x))`` along a short axis.

    Parameters
    ----------
    x : Fixed
        At most ``2**61`` in magnitude.
    axis : int, default -1
        Of length 1 to 64.

    Returns
    -------
    Fixed
        Without the axis; off by less than ``log_sum_exp_error(length)``: ``2**-61`` up to nine, ``2**-58.8``
        at 64. No order along the axis changes a bit.
    """
    x = _axis_last(x, axis, least=1)
    top, _ = _largest(x)
    made = _add_ln(top, _total(_terms(x, top)))
    return Fixed(*(word[..., 0] for word in made))


def log_odds(x: Fixed, axis: int = -1) -> Fixed:
    """``x[k] - ln(sum(e**x[j] for j != k))``: the log odds of each hypothesis against all others together.

    Parameters
    ----------
    x : Fixed
        Logarithms of weights, as :func:`log_sum_exp` takes them.
    axis : int, default -1
        Of length 2 to 64.

    Returns
    -------
    Fixed
        In the shape of `x`, off by less than ``log_sum_exp_error(length)``. The sum beside the largest weight
        is taken anew, not as a difference, so that it keeps its digits however small it is.
    """
    x = _axis_last(x, axis, least=2)
    xp = x.whole.__array_namespace__()
    top, is_top = _largest(x)
    terms = _terms(x, top)
    beside = _add_ln(top, reals.subtract(_total(terms), terms))
    lowest = Fixed(xp.full_like(x.whole, -(1 << LIMIT_BITS)), xp.zeros_like(x.fraction))
    rest = reals.where(is_top, lowest, x)
    second, _ = _largest(rest)
    beside_top = _add_ln(second, _total(_terms(rest, second)))
    made = reals.subtract(x, reals.where(is_top, beside_top, beside))
    return Fixed(*(xp.moveaxis(word, -1, axis) for word in made))


def log_softmax(x: Fixed, axis: int = -1) -> Array:
    """Logarithm of the probability of each hypothesis, from logarithms of weights.

    Parameters
    ----------
    x : Fixed
        As :func:`log_odds` takes them.
    axis : int, default -1
        Of length 2 to 64.

    Returns
    -------
    Float64[Array, "..."]
        In the shape of `x`. Before the one rounding the absolute error is below ``log_sum_exp_error(length) +
        SOFTPLUS_ERROR``, which is below ``2**-60`` up to 16 hypotheses; the relative error is below that plus
        ``LOG_SIGMOID_ERROR``, also where the logarithm is next to zero.
    """
    return log_sigmoid(log_odds(x, axis))


def log_not_softmax(x: Fixed, axis: int = -1) -> Array:
    """Logarithm of the probability that a hypothesis is false, with the errors of :func:`log_softmax`."""
    return log_sigmoid(reals.negate(log_odds(x, axis)))


def _axis_last(x: Fixed, axis: int, least: int) -> Fixed:
    xp = x.whole.__array_namespace__()
    length = x.whole.shape[axis]
    if not least <= length <= HYPOTHESES:
        raise ValueError(f"log_sum_exp: the axis must have {least} to {HYPOTHESES} entries, got {length}.")
    return Fixed(*(xp.moveaxis(word, axis, -1) for word in x))


def _largest(x: Fixed) -> tuple[Fixed, Array]:
    """The largest along the last axis, which stays, and a mask of where it comes first."""
    xp = x.whole.__array_namespace__()
    whole = xp.max(x.whole, axis=-1, keepdims=True)
    fraction = xp.max(xp.where(x.whole == whole, x.fraction, np.uint64(0)), axis=-1, keepdims=True)
    same = (x.whole == whole) & (x.fraction == fraction)
    return Fixed(whole, fraction), same & (xp.cumsum(same.astype(xp.int64), axis=-1) == 1)


def _terms(x: Fixed, top: Fixed) -> Fixed:
    """``e**(x - top)``, each rounded once more to a multiple of ``2**-64``; that of the largest is one."""
    return as_fixed(*exp(reals.subtract(x, top)))


def _total(terms: Fixed) -> Fixed:
    """Sum along the last axis, which stays."""
    xp = terms.whole.__array_namespace__()
    low = xp.sum(terms.fraction & DIGIT_MASK, axis=-1, keepdims=True)
    high = xp.sum(terms.fraction >> DIGIT_BITS, axis=-1, keepdims=True) + (low >> DIGIT_BITS)
    whole = xp.sum(terms.whole, axis=-1, keepdims=True) + (high >> DIGIT_BITS).astype(xp.int64)
    return Fixed(whole, (high << DIGIT_BITS) | (low & DIGIT_MASK))


def _add_ln(x: Fixed, factor: Fixed) -> Fixed:
    """``x + ln(factor)`` for a positive factor."""
    _, exponent, mantissa, _ = reals.normal(factor)
    return reals.add(x, ln(exponent, mantissa))


class LogSumExpState(NamedTuple):
    """A sum of exponentials as an integer, and what it cannot hold as counts.

    Attributes
    ----------
    digits : UInt32[Array, "... 189"]
        The sum, in units of ``2**-3018``, modulo ``2**6048``.
    nan, pos_inf, out_of_range : Int64[Array, "..."]
        How many observations were NaN, plus infinity, and finite but ``2**11`` or more in magnitude.
    """

    digits: Array
    nan: Array
    pos_inf: Array
    out_of_range: Array


@dataclass(frozen=True)
class LogSumExp:
    """``ln(sum(e**x))`` that merges and removes without error.

    Each exponential is rounded once, to 64 bits, and added as an integer; so the state does not depend on
    order, tree or device, and the error of the answer not on the number of observations.

    Notes
    -----
    Observations are float64 below 2048 in magnitude, or minus infinity, whose exponential is zero. Fewer than
    ``2**74`` of them cannot wrap around. See :doc:`/explanation/logarithms`.

    Examples
    --------
    >>> import numpy as np
    >>> stat = LogSumExp()
    >>> state = stat.collect(np.array([1000.0, 1000.0, -np.inf]))
    >>> float(stat.present(state)) == 1000.0 + float(np.log(2.0))
    True
    """

    def empty(self, shape: tuple[int, ...] = ()) -> LogSumExpState:
        """The empty sum, in NumPy; `shape` gives leading axes."""
        counts = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        return LogSumExpState(np.zeros((*shape, EXPONENTIAL.digits), dtype=np.uint32), *counts)

    def lift(self, x: Array) -> LogSumExpState:
        """The exponential of each element: ``Float64[Array, "..."]``."""
        parts, chunk, counts = _place(x)
        offset = np.arange(EXPONENTIAL.digits, dtype=np.int64) - chunk[..., None]
        xp = chunk.__array_namespace__()
        digits = sum(xp.where(offset == k, part[..., None], np.int64(0)) for k, part in enumerate(parts))
        return LogSumExpState(digits.astype(xp.uint32), *(kind.astype(xp.int64) for kind in counts))

    def merge(self, a: LogSumExpState, b: LogSumExpState) -> LogSumExpState:
        """The sum of two sums."""
        _require(a, b)
        return LogSumExpState(
            group.add(a.digits, b.digits), *(m + n for m, n in zip(a[1:], b[1:], strict=True))
        )

    def remove(self, a: LogSumExpState, b: LogSumExpState) -> LogSumExpState:
        """Undo a merge, counts included."""
        _require(a, b)
        counts = (m - n for m, n in zip(a[1:], b[1:], strict=True))
        return LogSumExpState(group.subtract(a.digits, b.digits), *counts)

    def collect(self, xs: Array, where: Array | None = None) -> LogSumExpState:
        """Sum along the leading axis, at most ``2**30`` elements; the bits are those of merging every lift.

        Parameters
        ----------
        xs : Float64[Array, "n ..."]
        where : Bool[Array, "n"], optional
            True where an element counts.
        """
        xp = xs.__array_namespace__()
        if where is not None:
            where = where.reshape(where.shape + (1,) * (xs.ndim - where.ndim))
            xs = xp.where(where, xs, np.float64(-np.inf))
        if xp is np:
            state = self.empty(xs.shape[1:])
            for start in range(0, len(xs), _BLOCK):
                state = self.merge(state, _tabulate(xs[start : start + _BLOCK]))
            return state
        return _tabulate(xs)

    def present(self, state: LogSumExpState) -> Array:
        """The logarithm of the sum: ``Float64[Array, "..."]``.

        Before its one rounding it is off by less than ``LOG_SUM_EXP_ERROR``. Minus infinity for a sum of
        nothing; NaN if a NaN or a number out of range was observed, or if more was removed than merged; plus
        infinity if that was observed.
        """
        _require(state)
        xp = state.digits.__array_namespace__()
        index = np.arange(EXPONENTIAL.digits, dtype=np.int64)
        top = xp.max(xp.where(state.digits != 0, index, np.int64(0)), axis=-1, keepdims=True)

        def digit(below: int) -> Array:
            found = xp.take_along_axis(state.digits, xp.maximum(top - below, 0), axis=-1)
            return xp.where(top >= below, found, np.uint32(0)).astype(xp.uint64)

        leading = (digit(0) << DIGIT_BITS) | digit(1)
        mantissa, by = reals.to_top(leading)
        mantissa = mantissa | (digit(2) >> (DIGIT_BITS - xp.minimum(by, np.uint64(DIGIT_BITS))))
        exponent = top * DIGIT_BITS + (EXPONENTIAL.lsb + DIGIT_BITS - 1) - by.astype(xp.int64)
        value = reals.to_float(ln(exponent, mantissa))[..., 0]
        value = xp.where(leading[..., 0] == 0, -np.inf, value)
        negative = state.digits[..., -1] >> (DIGIT_BITS - 1) != 0
        value = xp.where(negative | (state.out_of_range != 0), np.nan, value)
        value = xp.where(state.pos_inf > 0, np.inf, value)
        return xp.where((state.nan != 0) | (state.pos_inf < 0), np.nan, value)


def _place(x: Array) -> tuple[list[Array], Array, tuple[Array, Array, Array]]:
    """Three digits of each exponential, where they begin, and which elements have none."""
    x = x if hasattr(x, "__array_namespace__") else np.asarray(x)
    xp = x.__array_namespace__()
    exponent, mantissa = exp(reals.from_float(x))
    size = x.view(np.int64) & _SIZE
    held = size < _RANGE_BITS
    nan, infinite = size > _INFINITY, size == _INFINITY
    mantissa = xp.where(held, mantissa, np.uint64(0))
    position = xp.where(held, exponent - (63 + EXPONENTIAL.lsb), np.int64(0))
    by = (position & (DIGIT_BITS - 1)).astype(xp.uint64)
    low, high = (mantissa & DIGIT_MASK) << by, (mantissa >> DIGIT_BITS) << by
    parts = [low & DIGIT_MASK, (low >> DIGIT_BITS) + (high & DIGIT_MASK), high >> DIGIT_BITS]
    counts = (nan, infinite & (x.view(np.int64) > 0), ~(held | nan | infinite))
    return [part.astype(xp.int64) for part in parts], position >> 5, counts


def _tabulate(xs: Array) -> LogSumExpState:
    """Sum along the leading axis."""
    parts, chunk, counts = _place(xs)
    xp = chunk.__array_namespace__()
    trailing, length = xs.shape[1:], EXPONENTIAL.digits
    columns = int(np.prod(trailing, dtype=np.int64))
    cell = (chunk.reshape(len(xs), columns) + np.arange(columns) * length).reshape(-1)
    lanes = xp.zeros(columns * length, dtype=xp.int64)
    for k, part in enumerate(parts):
        if xp is np:  # sums of so few digits are exact in float64
            lanes += np.bincount(cell + k, part.reshape(-1), columns * length).astype(np.int64)
        else:
            lanes = lanes.at[cell + k].add(part.reshape(-1))
    totals = (xp.sum(kind, axis=0, dtype=xp.int64) for kind in counts)
    return LogSumExpState(group.normalize(lanes.reshape(*trailing, length)), *totals)


def _require(*states: LogSumExpState) -> None:
    for state in states:
        if state.digits.shape[-1] != EXPONENTIAL.digits:
            raise ValueError(
                f"LogSumExp: states have {EXPONENTIAL.digits} digits, got {state.digits.shape[-1]}: "
                "use the statistic that made them."
            )
