"""`Superaccumulator`: sums of floats without any rounding, for every finite input."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import FLOAT64, Format
from convergence_jax.exact.rounding import round_digits
from convergence_jax.exact.terms import Terms, format_of, product_terms, terms

Array = Any

_BLOCK = 1 << 20
"""Terms summed at once by NumPy: sums of this many digits are exact in float64."""


@dataclass(frozen=True, eq=False)
class AccumulatorState:
    """A sum of floats as an integer, and what no integer can hold as counts.

    Attributes
    ----------
    digits : UInt32[Array, "... L"]
        The sum of the finite terms, in units of ``2**lsb`` of the format, modulo ``2**(32 * L)``.
    nan, pos_inf, neg_inf : Int64[Array, "..."]
        How many terms were NaN, plus and minus infinity.
    """

    digits: Array
    nan: Array
    pos_inf: Array
    neg_inf: Array


def register() -> None:
    """Register the state with JAX as a pytree; imports JAX. Once is enough, more does no harm."""
    global _registered
    if not _registered:
        import jax

        jax.tree_util.register_dataclass(AccumulatorState)
        _registered = True


_registered = False
if "jax" in sys.modules:
    register()


@dataclass(frozen=True)
class Superaccumulator:
    """Exact sums of float32 or float64, or of products of two of them.

    Merging adds integers: associative, commutative and undone by ``remove``, in bits. The only rounding is
    that of ``present``.

    Parameters
    ----------
    format : Format
        One of ``FLOAT32``, ``FLOAT64``, ``FLOAT32_PRODUCT``, ``FLOAT64_PRODUCT`` of
        :mod:`convergence_jax.exact.constants`.

    Notes
    -----
    Sums of fewer than ``2**format.count_bits`` terms cannot wrap around: ``2**74`` for float32, ``2**109``
    for float64; counts of NaN and of each infinity are right below ``2**63``. Nothing remembers the sign of a
    zero: an exact zero is ``+0.0``, also the sum of ``-0.0``.

    Examples
    --------
    >>> import numpy as np
    >>> stat = Superaccumulator()
    >>> float(stat.present(stat.collect(np.array([1e300, 1.0, -1e300, 5e-324]))))
    1.0
    """

    format: Format = FLOAT64

    @property
    def product(self) -> bool:
        """Whether a term is a product of two floats."""
        return self.format.name.endswith("product")

    def empty(self, shape: tuple[int, ...] = ()) -> AccumulatorState:
        """The empty sum, in NumPy; `shape` gives leading axes."""
        counts = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        return AccumulatorState(np.zeros((*shape, self.format.digits), dtype=np.uint32), *counts)

    def lift(self, x: Any) -> AccumulatorState:
        """One state per element: an array, or a pair of arrays if terms are products."""
        made = self._terms(x)
        xp = made.chunk.__array_namespace__()
        index = np.arange(self.format.digits, dtype=np.int64)
        offset = index - made.chunk[..., None]
        lanes = sum(
            xp.where(offset == np.int64(k), digit[..., None], np.int64(0))
            for k, digit in enumerate(made.digits)
        )
        counts = (kind.astype(xp.int64) for kind in (made.nan, made.pos_inf, made.neg_inf))
        return AccumulatorState(group.normalize(lanes), *counts)

    def merge(self, a: AccumulatorState, b: AccumulatorState) -> AccumulatorState:
        """The sum of two sums."""
        self._require(a, b)
        return AccumulatorState(
            group.add(a.digits, b.digits), a.nan + b.nan, a.pos_inf + b.pos_inf, a.neg_inf + b.neg_inf
        )

    def remove(self, a: AccumulatorState, b: AccumulatorState) -> AccumulatorState:
        """Undo a merge, NaN and infinities included."""
        self._require(a, b)
        return AccumulatorState(
            group.subtract(a.digits, b.digits), a.nan - b.nan, a.pos_inf - b.pos_inf, a.neg_inf - b.neg_inf
        )

    def total(self, states: AccumulatorState, axis: int = 0) -> AccumulatorState:
        """Merge along one axis of the counts, at most ``2**31`` states."""
        self._require(states)
        axis %= states.nan.ndim
        counts = (n.sum(axis=axis) for n in (states.nan, states.pos_inf, states.neg_inf))
        return AccumulatorState(group.total(states.digits, axis), *counts)

    def collect(self, xs: Any, where: Array | None = None) -> AccumulatorState:
        """Sum along the leading axis; the bits are those of merging every lift.

        Parameters
        ----------
        xs : Float[Array, "n ..."], or a pair of them if terms are products
            At most ``2**30`` along the leading axis.
        where : Bool[Array, "n"], optional
            True where an element counts.
        """
        parts = [a if hasattr(a, "__array_namespace__") else np.asarray(a) for a in self._factors(xs)]
        if where is not None:
            where = where.reshape(where.shape + (1,) * (parts[0].ndim - where.ndim))
        if any(a.__array_namespace__() is not np for a in parts):
            from convergence_jax.exact.sums import dot_state, sum_state

            reduce: Any = dot_state if self.product else sum_state
            return reduce(*parts, axis=0, where=where)
        if where is not None:
            parts = [np.where(where, a, a.dtype.type(0)) for a in parts]
        state = self.empty(np.broadcast_shapes(*(a.shape for a in parts))[1:])
        for start in range(0, max(len(a) for a in parts), _BLOCK):
            block = [a[start : start + _BLOCK] for a in parts]
            state = self.merge(state, self._tabulate(self._terms(block if self.product else block[0])))
        return state

    def present(self, state: AccumulatorState, dtype: Any = np.float64) -> Array:
        """The sum, correctly rounded to nearest-even.

        Parameters
        ----------
        state : AccumulatorState
            Of this format, in NumPy or JAX.
        dtype : dtype
            float64 or float32.

        Returns
        -------
        Float[Array, "..."]
            NaN if a NaN was added, or infinities of both signs, or if more of a kind was removed than merged;
            an infinity if those of its sign were added; else the exact sum, rounded once.
        """
        self._require(state)
        xp = state.digits.__array_namespace__()
        zero, dtype = np.int64(0), np.dtype(dtype)
        nan, plus, minus = state.nan, state.pos_inf, state.neg_inf
        value = round_digits(state.digits, self.format.lsb, dtype)
        value = xp.where(plus > zero, dtype.type(np.inf), value)
        value = xp.where(minus > zero, dtype.type(-np.inf), value)
        wrong = (nan != zero) | (plus < zero) | (minus < zero) | ((plus > zero) & (minus > zero))
        return xp.where(wrong, dtype.type(np.nan), value)

    def _factors(self, x: Any) -> list[Array]:
        if not self.product:
            return [x]
        if not isinstance(x, tuple | list) or len(x) != 2:
            raise TypeError(f"{self.format.name}: a term is a pair of arrays (x, y), got {type(x).__name__}.")
        return list(x)

    def _terms(self, x: Any) -> Terms:
        parts = [a if hasattr(a, "__array_namespace__") else np.asarray(a) for a in self._factors(x)]
        for a in parts:
            if format_of(a.dtype, product=self.product) != self.format:
                raise TypeError(f"Superaccumulator: format {self.format.name} cannot hold {a.dtype}.")
        return product_terms(*parts) if self.product else terms(*parts)

    def _tabulate(self, made: Terms) -> AccumulatorState:
        """Sum along the leading axis in NumPy."""
        trailing, length = made.chunk.shape[1:], self.format.digits
        columns = int(np.prod(trailing, dtype=np.int64))
        cell = (made.chunk.reshape(len(made.chunk), columns) + np.arange(columns) * length).ravel()
        lanes = np.zeros(columns * length, dtype=np.int64)
        for k, digit in enumerate(made.digits):
            # Digits that lie beyond the last one are zero, so their cell may be any.
            index = np.minimum(cell + k, columns * length - 1)
            lanes += np.bincount(index, digit.ravel(), columns * length).astype(np.int64)
        counts = (kind.sum(axis=0, dtype=np.int64) for kind in (made.nan, made.pos_inf, made.neg_inf))
        return AccumulatorState(group.normalize(lanes.reshape(*trailing, length)), *counts)

    def _require(self, *states: AccumulatorState) -> None:
        for state in states:
            if state.digits.shape[-1] != self.format.digits:
                raise ValueError(
                    f"Superaccumulator: states of {self.format.name} have {self.format.digits} digits, "
                    f"got {state.digits.shape[-1]}: use the format that made them."
                )
