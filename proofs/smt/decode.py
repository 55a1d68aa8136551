"""Floats and their products as terms (convergence_jax.exact.terms): every bit pattern, NaN and all.

A term stands for ``sign * sum(digits[k] * 2**(32 * (chunk + k)))`` units, a finite float for ``sign *
mantissa * 2**shift`` units with the mantissa and shift of IEEE 754, which `Float` writes down; z3's theory of
floats confirms it. With ``shift = 32 * q + r``, equality of the two is that of the digits with
``mantissa * 2**r``, of the chunk with `q`, and of the signs.
"""

from types import ModuleType
from typing import Any

import z3

from convergence_jax.exact import terms as code
from convergence_jax.exact.constants import DIGIT_BITS, FLOAT32, FLOAT64, WINDOW
from proofs.smt.claims import Mutant, Statement, claim
from proofs.smt.products import halves_of, product_of_digits
from proofs.smt.symbolic import MANTISSA_BITS, as_float, current, scalar, variables

BITS = {"float32": 32, "float64": 64}
LSB = {"float32": FLOAT32.lsb, "float64": FLOAT64.lsb}


class Float:
    """A float of any bits, and what IEEE 754 says of it."""

    def __init__(self, name: str, dtype: str) -> None:
        width, mantissa = BITS[dtype], MANTISSA_BITS[BITS[dtype]]
        self.sign = z3.BitVec(f"{name}_sign", 1)
        self.field = z3.BitVec(f"{name}_exponent", width - 1 - mantissa)
        self.fraction = z3.BitVec(f"{name}_fraction", mantissa)
        self.bits = z3.Concat(self.sign, self.field, self.fraction)
        self.array = scalar(self.bits, dtype)
        self.theory = as_float(self.bits)
        self.finite = z3.Not(z3.Or(z3.fpIsNaN(self.theory), z3.fpIsInf(self.theory)))
        subnormal = self.field == 0
        hidden = z3.If(subnormal, z3.BitVecVal(0, 1), z3.BitVecVal(1, 1))
        self.mantissa = z3.ZeroExt(63 - mantissa, z3.Concat(hidden, self.fraction))
        self.shift = z3.ZeroExt(64 - self.field.size(), z3.If(subnormal, self.field, self.field - 1))


def _signed(made: code.Terms, signs: dict[z3.BitVecRef, int]) -> list[z3.BitVecRef]:
    """The digits of a term for given signs."""
    values = [(sign, z3.BitVecVal(value, 1)) for sign, value in signs.items()]
    return [z3.substitute(digit.item(), *values) for digit in made.digits]


def _placed(made: code.Terms, floats: list[Float], integer: z3.BitVecRef, shift: z3.BitVecRef) -> list[Any]:
    """That a term is an integer, shifted, with the product of the signs of the floats."""
    plus = _signed(made, {f.sign: 0 for f in floats})
    word = z3.Concat(*(z3.Extract(DIGIT_BITS - 1, 0, digit) for digit in reversed(plus)))
    wide = z3.ZeroExt(word.size() - integer.size(), integer)
    goals = [z3.ULT(digit, 1 << DIGIT_BITS) for digit in plus]
    goals.append(word == wide << z3.URem(z3.ZeroExt(word.size() - 64, shift), DIGIT_BITS))
    goals.append(made.chunk.item() == z3.UDiv(shift, DIGIT_BITS))
    for signs in range(1, 2 ** len(floats)):
        each = {f.sign: signs >> n & 1 for n, f in enumerate(floats)}
        odd = sum(each.values()) % 2
        signed = _signed(made, each)
        goals.append(z3.And([a == (-b if odd else b) for a, b in zip(signed, plus, strict=True)]))
    return goals


def _one(code: ModuleType, dtype: str) -> Statement:
    x = Float("x", dtype)
    made = code.terms(x.array)
    return Statement(_placed(made, [x], x.mantissa, x.shift), [x.finite], [x.bits])


@claim("a finite float32 is its term, in units of 2^-149", code)
def float32_terms(code: ModuleType) -> Statement:
    return _one(code, "float32")


@claim("a finite float64 is its term, in units of 2^-1074", code)
def float64_terms(code: ModuleType) -> Statement:
    return _one(code, "float64")


def _theory(dtype: str) -> Statement:
    x = Float("x", dtype)
    wide = z3.FPSort(15, 53)
    size = x.theory.sort().sbits()
    integer = z3.fpToIEEEBV(z3.fpToFPUnsigned(z3.RNE(), z3.Extract(size - 1, 0, x.mantissa), wide))
    power = z3.ZeroExt(4, x.shift) + LSB[dtype]  # added to the field of the exponent
    magnitude = z3.fpAbs(z3.fpToFP(z3.RNE(), x.theory, wide))
    equal = z3.fpToIEEEBV(magnitude) == integer + (power << 52)
    zero = z3.fpIsZero(x.theory) == (x.mantissa == 0)
    sign = z3.Implies(z3.Not(zero), z3.fpIsNegative(x.theory) == (x.sign == 1))
    return Statement([zero, sign, z3.Or(x.mantissa == 0, equal)], [x.finite], [x.bits])


@claim("the mantissa and shift of a float32 are those of z3's theory of floats")
def float32_theory() -> Statement:
    return _theory("float32")


@claim("the mantissa and shift of a float64 are those of z3's theory of floats")
def float64_theory() -> Statement:
    return _theory("float64")


def _classes(code: ModuleType, dtype: str) -> Statement:
    x = Float("x", dtype)
    made = code.terms(x.array)
    f = x.theory
    nothing = z3.And([digit.item() == 0 for digit in made.digits] + [made.chunk.item() == 0])
    goals = [
        made.nan.item() == z3.fpIsNaN(f),
        made.pos_inf.item() == z3.And(z3.fpIsInf(f), z3.fpIsPositive(f)),
        made.neg_inf.item() == z3.And(z3.fpIsInf(f), z3.fpIsNegative(f)),
        z3.Or(x.finite, nothing),
        z3.ULT(made.chunk.item(), code.chunks_of(code.format_of(x.array.dtype))),
    ]
    return Statement(goals, [], [x.bits])


@claim("float32: NaN and infinities are told apart, count for nothing, and chunks are below 8", code)
def float32_classes(code: ModuleType) -> Statement:
    return _classes(code, "float32")


@claim("float64: NaN and infinities are told apart, count for nothing, and chunks are below 64", code)
def float64_classes(code: ModuleType) -> Statement:
    return _classes(code, "float64")


@claim("a product of two finite float32 is its term, in units of 2^-298", code, abstract_products=True)
def float32_products(code: ModuleType) -> Statement:
    x, y = Float("x", "float32"), Float("y", "float32")
    made = code.product_terms(x.array, y.array)
    ((product, factors),) = current().products()
    # Two numbers below 2**24 have a product below 2**48.
    small = [z3.ULT(f, 1 << 24) for f in factors]
    goals = [*small, z3.Or(_same(factors, (x, y)), _same(factors, (y, x)))]
    placed = _placed(made, [x, y], product, x.shift + y.shift)
    goals += [z3.Implies(z3.ULT(product, 1 << 48), goal) for goal in placed]
    return Statement(goals, [x.finite, y.finite], [x.bits, y.bits])


def _same(factors: tuple[Any, ...], floats: tuple[Float, ...]) -> Any:
    return z3.And([factor == f.mantissa for factor, f in zip(factors, floats, strict=True)])


@claim("_multiply: four words of the product of any two mantissas", code, abstract_products=True)
def mantissa_products(code: ModuleType) -> Statement:
    m, n = variables("m", (), "uint64"), variables("n", (), "uint64")
    words = [word.item() for word in code._multiply(m, n)]
    made = z3.Concat(*(z3.Extract(DIGIT_BITS - 1, 0, word) for word in reversed(words)))
    expected = product_of_digits(halves_of(m.item()), halves_of(n.item()), 128)
    small = [z3.ULT(x.item(), 1 << 53) for x in (m, n)]
    # What the highest partial product is below, as the halves above are below 2**21.
    small += [z3.ULT(current().product(halves_of(m.item())[1], halves_of(n.item())[1]), 1 << 42)]
    goals = [made == expected, *(z3.ULT(word, 1 << DIGIT_BITS) for word in words)]
    return Statement(goals, small, [m.item(), n.item()])


@claim("_place: four words, any, shifted to any position", code)
def placed_words(code: ModuleType) -> Statement:
    words, position = variables("word", (4,), "uint64"), variables("position", (), "uint64")
    sign, no = z3.BitVec("sign", 1), scalar(z3.BoolVal(False), "bool")
    made = code._place(list(words), scalar(z3.ZeroExt(63, sign), "uint64"), position, no, no)
    x = Float.__new__(Float)
    x.sign = sign
    whole = z3.Concat(*(z3.Extract(DIGIT_BITS - 1, 0, word) for word in reversed(words.elements)))
    small = [z3.ULT(word, 1 << DIGIT_BITS) for word in words.elements]
    return Statement(_placed(made, [x], whole, position.item()), small, [position.item()])


def _product_classes(code: ModuleType, dtype: str) -> Statement:
    x, y = Float("x", dtype), Float("y", dtype)
    made = code.product_terms(x.array, y.array)
    exact = z3.fpMul(z3.RNE(), x.theory, y.theory)
    infinite = z3.And(z3.fpIsInf(exact), z3.Or(z3.fpIsInf(x.theory), z3.fpIsInf(y.theory)))
    goals = [
        made.nan.item() == z3.fpIsNaN(exact),
        made.pos_inf.item() == z3.And(infinite, z3.fpIsPositive(exact)),
        made.neg_inf.item() == z3.And(infinite, z3.fpIsNegative(exact)),
        z3.ULT(made.chunk.item(), code.chunks_of(code.format_of(x.array.dtype, product=True))),
    ]
    return Statement(goals, [], [x.bits, y.bits])


@claim("products of float32 are NaN and infinite where IEEE 754 says so, chunks below 16", code)
def float32_product_classes(code: ModuleType) -> Statement:
    return _product_classes(code, "float32")


@claim("products of float64 are NaN and infinite where IEEE 754 says so, chunks below 128", code)
def float64_product_classes(code: ModuleType) -> Statement:
    return _product_classes(code, "float64")


@claim("within_window: below 2^14 in magnitude and a multiple of 2^-82, nothing else", code)
def window(code: ModuleType) -> Statement:
    x = Float("x", "float64")
    f = x.theory
    below = z3.fpLT(z3.fpAbs(f), z3.FPVal(2.0 ** (WINDOW.term_bits + WINDOW.lsb), f.sort()))
    scaled = z3.fpMul(z3.RNE(), f, z3.FPVal(2.0**-WINDOW.lsb, f.sort()))  # exact, if below
    multiple = z3.fpEQ(scaled, z3.fpRoundToIntegral(z3.RTZ(), scaled))
    return Statement([code.within_window(x.array).item() == z3.And(below, multiple)], [], [x.bits])


CLAIMS = [
    float32_theory,
    float64_theory,
    float32_terms,
    float64_terms,
    float32_classes,
    float64_classes,
    float32_products,
    mantissa_products,
    placed_words,
    float32_product_classes,
    float64_product_classes,
    window,
]

MUTANTS = [
    Mutant(
        float32_terms,
        "xp.maximum(exponent, one) - one",
        "exponent - one",
        "zero and subnormals are shifted as if there were an exponent below theirs",
    ),
    Mutant(
        float64_terms,
        "xp.where(exponent > zero, np.uint64(1 << bits), zero)",
        "xp.where(exponent >= zero, np.uint64(1 << bits), zero)",
        "subnormals get the hidden bit",
    ),
    Mutant(
        float64_terms,
        "(digit.astype(xp.int64) ^ negative) - negative",
        "digit.astype(xp.int64) ^ negative",
        "negative digits are one too low",
    ),
    Mutant(
        mantissa_products,
        "(middle >> _DIGIT) + (cross >> _DIGIT)",
        "(middle >> _DIGIT) + (middle >> _DIGIT)",
        "one partial product is counted twice and one not",
    ),
    Mutant(
        float32_product_classes,
        " | (infinite_y & _is_zero(x))",
        "",
        "zero times infinity is not NaN",
    ),
    Mutant(window, "WINDOW.lsb)  # the", "WINDOW.lsb - 1)  # the", "the upper half of the range is left out"),
]
