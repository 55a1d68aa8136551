"""Arrays of z3 bit-vectors that the library's own functions take for NumPy arrays.

The functions of convergence_jax.exact are written over the namespace of their arguments, so they run on
these arrays unchanged: what is proved is the code, not a copy of it. Semantics are those of NumPy 2 and XLA
on fixed-width integers: wrap-around, arithmetic shifts of signed and logical shifts of unsigned words, the
promotion of NEP 50. Where backends may differ nothing is assumed; an *obligation* is recorded instead, and
`run.py` proves every one of them: shift amounts below the width, conversions within range.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import z3

MANTISSA_BITS = {32: 23, 64: 52}
FLOAT_SORTS = {32: z3.Float32(), 64: z3.Float64()}


@dataclass
class Recording:
    """What a run relies on (`obligations`) and may rely on (`facts`).

    With `flushing`, operations on floats may or may not take any subnormal for zero, each by its own choice.
    With `abstract_products`, a product of two unknowns is a fresh word below ``2**64``, provided that an
    obligation holds: both factors are below ``2**32``. Equal factors give the same word.
    """

    flushing: bool = False
    abstract_products: bool = False
    obligations: list[z3.BoolRef] = field(default_factory=list)
    facts: list[z3.BoolRef] = field(default_factory=list)
    known: list[tuple[z3.BitVecRef, tuple[z3.BitVecRef, z3.BitVecRef]]] = field(default_factory=list)

    def product(self, a: z3.BitVecRef, b: z3.BitVecRef, given: tuple[z3.BoolRef, ...] = ()) -> z3.BitVecRef:
        """The word that stands for a product of two words; equal factors, in any order, have one."""
        a, b = z3.simplify(a), z3.simplify(b)
        for word, (p, q) in self.known:
            for c, d in ((p, q), (q, p)):
                if (c.eq(a) and d.eq(b)) or (given and _always(z3.And(c == a, d == b), given)):
                    return word
        word = z3.FreshConst(z3.BitVecSort(64), "product")
        self.known.append((word, (a, b)))
        limit = (1 << 32) - 1
        self.obligations += [z3.ULE(a, limit), z3.ULE(b, limit)]
        self.facts.append(z3.ULE(word, limit * limit))
        for c, d in ((a, b), (b, a)):  # as signs multiply
            self.facts += [z3.Implies(c == 0, word == 0), z3.Implies(c == 1, word == d)]
        return word

    def products(self) -> list[tuple[z3.BitVecRef, tuple[z3.BitVecRef, z3.BitVecRef]]]:
        """The words that stand for products so far, with their factors."""
        return list(self.known)


def _always(formula: z3.BoolRef, given: tuple[z3.BoolRef, ...]) -> bool:
    solver = z3.Solver()
    solver.add(*given, z3.Not(formula))
    return solver.check() == z3.unsat


_recordings = [Recording()]


@contextmanager
def recording(**options: bool) -> Iterator[Recording]:
    """Collect what is recorded while the block runs."""
    _recordings.append(Recording(**options))
    try:
        yield _recordings[-1]
    finally:
        _recordings.pop()


def current() -> Recording:
    """The recording under way."""
    return _recordings[-1]


def _oblige(formula: z3.BoolRef) -> None:
    formula = z3.simplify(formula)
    if not z3.is_true(formula):
        _recordings[-1].obligations.append(formula)


def _constant(value: Any, dtype: np.dtype) -> Any:
    if dtype == np.bool_:
        return z3.BoolVal(bool(value))
    if dtype.kind == "f":
        value = np.asarray(value, dtype).view(f"u{dtype.itemsize}")
    elif isinstance(value, int) and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise OverflowError(f"{value} does not fit {dtype}: NumPy and JAX refuse it.")
    return z3.BitVecVal(int(value), 8 * dtype.itemsize)


def _fold(made: Any, *arguments: Any) -> Any:
    constant = all(z3.is_bv_value(a) or z3.is_true(a) or z3.is_false(a) for a in arguments)
    return z3.simplify(made) if constant else made


def _each(function: Any, *arrays: np.ndarray) -> np.ndarray:
    arrays = np.broadcast_arrays(*arrays)
    out = np.empty(arrays[0].shape, dtype=object)
    for index in np.ndindex(out.shape):
        arguments = [a[index] for a in arrays]
        out[index] = _fold(function(*arguments), *arguments)
    return out


def _weak(x: Any) -> bool:
    return isinstance(x, (bool, int, float)) and not isinstance(x, np.generic)


def _promote(*values: Any) -> np.dtype:
    """Type of a result, by NEP 50; what NumPy and JAX promote differently is an error."""
    dtypes = [v.dtype for v in values if not _weak(v)]
    dtype = np.result_type(*dtypes) if dtypes else np.result_type(*values)
    if dtype.kind == "f" and any(d.kind != "f" for d in dtypes):
        raise TypeError(f"{dtypes} would become floats.")
    for v in values:
        if _weak(v) and np.result_type(dtype, type(v)) != dtype and not isinstance(v, int):
            raise TypeError(f"{v!r} does not keep {dtype}.")
    return dtype


def array(value: Any, dtype: Any = None) -> SymbolicArray:
    """A symbolic array of constants; one that is symbolic already is only converted."""
    if isinstance(value, SymbolicArray):
        return value if dtype is None else value.astype(dtype)
    weak = _weak(value)
    host = np.asarray(value, dtype=object) if weak else np.asarray(value)
    dtype = np.dtype(dtype if dtype is not None else np.asarray(value).dtype)
    elements = np.empty(host.shape, dtype=object)
    for index in np.ndindex(host.shape):
        elements[index] = _constant(host[index], dtype)
    return SymbolicArray(elements, dtype)


def variables(name: str, shape: tuple[int, ...], dtype: Any) -> SymbolicArray:
    """Unknown elements, any at all: `name` with a number each."""
    dtype = np.dtype(dtype)
    out = np.empty(shape, dtype=object)
    for n, index in enumerate(np.ndindex(shape)):
        label = f"{name}{n}" if shape else name
        out[index] = z3.Bool(label) if dtype == np.bool_ else z3.BitVec(label, 8 * dtype.itemsize)
    return SymbolicArray(out, dtype)


def leading_one_on_top(word: z3.BitVecRef) -> tuple[z3.BitVecRef, z3.BitVecRef]:
    """A word shifted so that its leading one is on top, and by how much."""
    width = word.size()
    total, by = z3.BitVecVal(0, width), width // 2
    while by:
        short = z3.LShR(word, width - by) == 0
        word, total = z3.If(short, word << by, word), z3.If(short, total + by, total)
        by //= 2
    return word, total


def exact_float64_bits(word: z3.BitVecRef, signed: bool) -> z3.BitVecRef:
    """Bits of the float64 that equals an integer below ``2**53`` in magnitude; `words.py` proves it."""
    negative = word < 0 if signed else z3.BoolVal(False)
    head, by = leading_one_on_top(z3.If(negative, -word, word))
    field = z3.BitVecVal(1023 + 63 - 1, 64) - by  # the leading one of the mantissa adds one
    bits = z3.If(word == 0, z3.BitVecVal(0, 64), (field << 52) + z3.LShR(head, 11))
    return bits | z3.If(negative, z3.BitVecVal(1 << 63, 64), z3.BitVecVal(0, 64))


def as_float(bits: z3.BitVecRef) -> z3.FPRef:
    """A float of z3's theory, of its bits."""
    return z3.fpBVToFP(bits, FLOAT_SORTS[bits.size()])


def _maybe_flushed(bits: z3.BitVecRef) -> z3.BitVecRef:
    if not _recordings[-1].flushing:
        return bits
    width, mantissa = bits.size(), MANTISSA_BITS[bits.size()]
    subnormal = z3.And(z3.Extract(width - 2, mantissa, bits) == 0, z3.Extract(mantissa - 1, 0, bits) != 0)
    zero = bits & (1 << (width - 1))
    return z3.If(z3.And(subnormal, z3.FreshBool("flushes")), zero, bits)


def _float_operation(function: Any) -> Any:
    """An operation on bits, of one on floats; results that are floats become bits again."""

    def run(*arguments: z3.BitVecRef) -> Any:
        made = function(*(as_float(_maybe_flushed(bits)) for bits in arguments))
        return _maybe_flushed(z3.fpToIEEEBV(made)) if z3.is_fp(made) else made

    return run


def _converted(x: z3.ExprRef, old: np.dtype, new: np.dtype) -> z3.ExprRef:
    width = 8 * new.itemsize
    if old == np.bool_:
        return z3.If(x, _constant(1, new), _constant(0, new))
    if new == np.bool_:
        return x != 0
    if old.kind == "f" and new.kind == "f":
        return _float_operation(lambda f: z3.fpToFP(z3.RNE(), f, FLOAT_SORTS[width]))(x)
    if new.kind == "f":
        if new != np.float64:
            raise TypeError("Only conversions to float64 are modelled.")
        wide = z3.ZeroExt(64 - x.size(), x) if old.kind == "u" else z3.SignExt(64 - x.size(), x)
        size = z3.If(wide < 0, -wide, wide) if old.kind == "i" else wide
        _oblige(z3.ULT(size, 1 << 53))
        return exact_float64_bits(wide, old.kind == "i")
    if old.kind == "f":
        if new != np.int64:
            raise TypeError("Only conversions to int64 are modelled.")
        f = as_float(x)
        _oblige(z3.fpLT(z3.fpAbs(f), z3.FPVal(2.0**63, f.sort())))
        return z3.fpToSBV(z3.RTZ(), f, z3.BitVecSort(64))
    if width <= x.size():
        return z3.Extract(width - 1, 0, x)
    return (z3.SignExt if old.kind == "i" else z3.ZeroExt)(width - x.size(), x)


class SymbolicArray:
    """An array of unknowns: an object array of z3 expressions, and the type that they have."""

    __array_ufunc__ = None  # numpy scalars and arrays on the left leave the operation to this class
    __hash__ = None

    def __init__(self, elements: np.ndarray, dtype: Any) -> None:
        self.elements, self.dtype = elements, np.dtype(dtype)
        self.shape, self.ndim = elements.shape, elements.ndim

    def __array_namespace__(self, **_: Any) -> Any:
        from proofs.smt import namespace

        return namespace

    def __iter__(self) -> Iterator[SymbolicArray]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.elements)

    def __getitem__(self, key: Any) -> SymbolicArray:
        made = np.empty((), dtype=object)
        picked = self.elements[key]
        if not isinstance(picked, np.ndarray):
            made[()] = picked
            picked = made
        return SymbolicArray(picked, self.dtype)

    def item(self, *index: int) -> Any:
        """The z3 expression at an index."""
        return self.elements[index]

    def astype(self, dtype: Any, **_: Any) -> SymbolicArray:
        old, new = self.dtype, np.dtype(dtype)
        if old == new:
            return self
        return SymbolicArray(_each(lambda x: _converted(x, old, new), self.elements), new)

    def view(self, dtype: Any) -> SymbolicArray:
        dtype = np.dtype(dtype)
        if dtype.itemsize != self.dtype.itemsize:
            raise TypeError(f"{self.dtype} as {dtype} changes the shape.")
        return SymbolicArray(self.elements, dtype)

    def reshape(self, *shape: Any) -> SymbolicArray:
        return SymbolicArray(self.elements.reshape(*shape), self.dtype)

    def _with(self, other: Any, operation: Any, swap: bool, boolean: bool = False) -> SymbolicArray:
        dtype = _promote(self, other)
        a, b = self.astype(dtype), array(other, dtype)
        if swap:
            a, b = b, a
        made = _each(lambda p, q: operation(p, q, dtype), a.elements, b.elements)
        return SymbolicArray(made, np.bool_ if boolean else dtype)

    def __neg__(self) -> SymbolicArray:
        if self.dtype.kind == "f":
            return SymbolicArray(_each(lambda x: x ^ (1 << (x.size() - 1)), self.elements), self.dtype)
        if self.dtype.kind != "i":
            raise TypeError("Only signed integers and floats are negated.")
        return SymbolicArray(_each(lambda x: -x, self.elements), self.dtype)

    def __invert__(self) -> SymbolicArray:
        invert = z3.Not if self.dtype == np.bool_ else lambda x: ~x
        return SymbolicArray(_each(invert, self.elements), self.dtype)

    def __abs__(self) -> SymbolicArray:
        if self.dtype.kind != "f":
            raise TypeError("abs of integers is not modelled.")
        return SymbolicArray(_each(lambda x: x & ((1 << (x.size() - 1)) - 1), self.elements), self.dtype)


def _shift(left: bool) -> Any:
    def operation(a: Any, b: Any, dtype: np.dtype) -> Any:
        _oblige(z3.ULT(b, a.size()))
        if left:
            return a << b
        return a >> b if dtype.kind == "i" else z3.LShR(a, b)

    return operation


def _arithmetic(on_integers: Any, on_floats: Any) -> Any:
    def operation(a: Any, b: Any, dtype: np.dtype) -> Any:
        if dtype.kind == "f":
            return _float_operation(lambda p, q: on_floats(z3.RNE(), p, q))(a, b)
        if dtype == np.bool_:
            raise TypeError("Arithmetic on booleans is not modelled.")
        return on_integers(a, b)

    return operation


def _times(a: Any, b: Any) -> Any:
    known = z3.is_bv_value(a) or z3.is_bv_value(b)
    current = _recordings[-1]
    return current.product(a, b) if current.abstract_products and not known else a * b


def _bitwise(on_integers: Any, on_booleans: Any) -> Any:
    return lambda a, b, dtype: (on_booleans if dtype == np.bool_ else on_integers)(a, b)


def _compare(signed: Any, unsigned: Any, on_floats: Any) -> Any:
    def operation(a: Any, b: Any, dtype: np.dtype) -> Any:
        if dtype.kind == "f":
            return _float_operation(on_floats)(a, b)
        return (signed if dtype.kind == "i" else unsigned)(a, b)

    return operation


_OPERATIONS = {
    "add": _arithmetic(lambda a, b: a + b, z3.fpAdd),
    "sub": _arithmetic(lambda a, b: a - b, z3.fpSub),
    "mul": _arithmetic(_times, z3.fpMul),
    "and": _bitwise(lambda a, b: a & b, z3.And),
    "or": _bitwise(lambda a, b: a | b, z3.Or),
    "xor": _bitwise(lambda a, b: a ^ b, z3.Xor),
    "lshift": _shift(True),
    "rshift": _shift(False),
}
_COMPARISONS = {
    "lt": _compare(lambda a, b: a < b, z3.ULT, z3.fpLT),
    "le": _compare(lambda a, b: a <= b, z3.ULE, z3.fpLEQ),
    "gt": _compare(lambda a, b: a > b, z3.UGT, z3.fpGT),
    "ge": _compare(lambda a, b: a >= b, z3.UGE, z3.fpGEQ),
    "eq": _compare(lambda a, b: a == b, lambda a, b: a == b, z3.fpEQ),
    "ne": _compare(lambda a, b: a != b, lambda a, b: a != b, z3.fpNEQ),
}


def _method(operation: Any, swap: bool, boolean: bool) -> Any:
    return lambda self, other: self._with(other, operation, swap, boolean)


for _name, _operation in _OPERATIONS.items():
    setattr(SymbolicArray, f"__{_name}__", _method(_operation, False, False))
    setattr(SymbolicArray, f"__r{_name}__", _method(_operation, True, False))
for _name, _operation in _COMPARISONS.items():
    setattr(SymbolicArray, f"__{_name}__", _method(_operation, False, True))


def scalar(expression: Any, dtype: Any) -> SymbolicArray:
    """One z3 expression as an array without axes."""
    made = np.empty((), dtype=object)
    made[()] = expression
    return SymbolicArray(made, dtype)


def locals_at_return(function: Any, *arguments: Any) -> tuple[Any, dict[str, Any]]:
    """What a function returns and its local variables as it does."""
    held: dict[str, Any] = {}

    def look(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is function.__code__:
            held.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        made = function(*arguments)
    finally:
        sys.setprofile(before)
    return made, held
