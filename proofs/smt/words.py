"""Tricks with single words: products by halves, two-word reals, floats that compare as integers, lifts.

Products are proved for whatever the products of two digits are, because the code is linear in them: see
`product_of_digits`. Floats are those of z3's theory; where a backend may flush subnormals, each operation
here does so or not, as it likes.
"""

from types import ModuleType
from typing import Any
from unittest.mock import patch

import z3

from convergence_jax.exact import compiled_window, fixed_point, reals
from convergence_jax.statistics import covariance, float_bits
from proofs.smt import namespace
from proofs.smt.claims import Claim, Mutant, Statement, claim
from proofs.smt.decode import Float
from proofs.smt.products import halves_of, product_of_digits
from proofs.smt.symbolic import FLOAT_SORTS, as_float, exact_float64_bits, scalar, variables


def _top(word: z3.BitVecRef) -> z3.BoolRef:
    return z3.Extract(word.size() - 1, word.size() - 1, word) == 1


def _signed_product(a: Any, b: Any, p: Any, q: Any, width: int) -> z3.BitVecRef:
    """Product of two signed numbers by their digits, modulo ``2**width``; `p` and `q` are the numbers."""
    size = max(width, p.size() + q.size()) + 1
    total = z3.ZeroExt(size - width, product_of_digits(a, b, width))
    zero, one = z3.BitVecVal(0, size), z3.BitVecVal(1, size)
    # A negative number is its unsigned reading, less a power of two.
    for x, y in ((p, q), (q, p)):
        total = total - z3.If(_top(x), z3.ZeroExt(size - y.size(), y) << x.size(), zero)
    total = total + z3.If(z3.And(_top(p), _top(q)), one << (p.size() + q.size()), zero)
    return z3.Extract(width - 1, 0, total)


@claim("_multiply_words: the 128 bits of a product of two int64", covariance, abstract_products=True)
def signed_words(covariance: ModuleType) -> Statement:
    a, b = variables("a", (), "uint64"), variables("b", (), "uint64")
    low, high = covariance._multiply_words(a, b)
    p, q = a.item(), b.item()
    expected = _signed_product(halves_of(p), halves_of(q), p, q, 128)
    return Statement([z3.Concat(high.item(), low.item()) == expected], [], [p, q])


@claim("multiply_high: the upper word of a product of two words", reals, abstract_products=True)
def upper_words(reals: ModuleType) -> Statement:
    a, b = variables("a", (), "uint64"), variables("b", (), "uint64")
    made = reals.multiply_high(a, b)
    expected = product_of_digits(halves_of(a.item()), halves_of(b.item()), 128)
    return Statement([made.item() == z3.Extract(127, 64, expected)], [], [a.item(), b.item()])


@claim("the distributive law, by which products of digits make a product")
def distributive_law() -> Statement:
    a, b, c, d, base = z3.Ints("a b c d base")
    by_digits = a * c + base * (a * d + b * c) + base * base * (b * d)
    return Statement([z3.simplify((a + base * b) * (c + base * d) - by_digits, som=True) == 0])


def _reals(reals: ModuleType, names: str) -> tuple[list[Any], list[z3.BitVecRef]]:
    made = [
        reals.Fixed(variables(f"{n}_whole", (1,), "int64"), variables(f"{n}_fraction", (1,), "uint64"))
        for n in names
    ]
    return made, [z3.Concat(x.whole.item(0), x.fraction.item(0)) for x in made]


@claim("two-word reals: add, subtract, negate and less as z3 has them for 128 bits", reals)
def two_words(reals: ModuleType) -> Statement:
    (x, y), (p, q) = _reals(reals, "xy")
    made = [reals.add(x, y), reals.subtract(x, y), reals.negate(x)]
    words = [z3.Concat(f.whole.item(0), f.fraction.item(0)) for f in made]
    goals = [words[0] == p + q, words[1] == p - q, words[2] == -p, reals.less(x, y).item(0) == (p < q)]
    return Statement(goals, [], [p, q])


@claim("to_top: shifted by the number of leading zeros", reals)
def leading_one(reals: ModuleType) -> Statement:
    x = variables("x", (), "uint64")
    head, by = (part.item() for part in reals.to_top(x))
    nonzero = z3.And(head == x.item() << by, _top(head), z3.ULT(by, 64))
    return Statement([z3.If(x.item() == 0, z3.And(head == 0, by == 63), nonzero)], [], [x.item()])


@claim("from_float: the nearest multiple of 2^-64, ties to even, for every float64 below 2^62", reals)
def reals_from_floats(reals: ModuleType) -> Statement:
    x = Float("x", "float64")
    made = reals.from_float(scalar(x.bits, "float64").reshape(1))
    word = z3.Concat(made.whole.item(0), made.fraction.item(0))
    lowest, limit = 1023 - 66, 1023 + 62
    goals = [z3.Implies(z3.ULT(x.field, lowest), word == 0)]
    wide = z3.FPSort(13, 53)
    scaled = z3.fpMul(z3.RNE(), z3.fpToFP(z3.RNE(), x.theory, wide), z3.FPVal(2.0**64, wide))
    nearest = word == z3.fpToSBV(z3.RNE(), scaled, z3.BitVecSort(128))
    for field in range(lowest, limit):
        goals.append(z3.simplify(z3.substitute(nearest, (x.field, z3.BitVecVal(field, 11)))))
    most = z3.BitVecVal(1 << 126, 128)
    goals.append(z3.Implies(z3.UGE(x.field, limit), word == z3.If(x.sign == 1, -most, most)))
    return Statement(goals, [], [x.bits])


@claim("order_keys: below as integers where below as floats, -0 below 0; its own inverse", float_bits)
def order(float_bits: ModuleType) -> Statement:
    a, b = variables("a", (), "int64"), variables("b", (), "int64")
    f, g = as_float(a.item()), as_float(b.item())
    keys = [float_bits.order_keys(x) for x in (a, b)]
    zeros = z3.And(z3.fpIsZero(f), z3.fpIsZero(g), z3.fpIsNegative(f), z3.fpIsPositive(g))
    number = z3.Not(z3.Or(z3.fpIsNaN(f), z3.fpIsNaN(g)))
    goals = [
        z3.Implies(number, (keys[0] < keys[1]).item() == z3.Or(z3.fpLT(f, g), zeros)),
        float_bits.order_keys(keys[0]).item() == a.item(),
        float_bits.is_nan(a).item() == z3.fpIsNaN(f),
        float_bits.is_infinite(a).item() == z3.fpIsInf(f),
    ]
    return Statement(goals, [], [a.item(), b.item()])


@claim("widen: every float32 exactly, whichever operations flush subnormals", fixed_point, flushing=True)
def widened(fixed_point: ModuleType) -> Statement:
    x = Float("x", "float32")
    bits = fixed_point.widen(x.array).item()
    exact = z3.fpToFP(z3.RNE(), x.theory, z3.Float64())
    nan = z3.fpIsNaN(x.theory)
    goals = [z3.fpIsNaN(as_float(bits)) == nan, z3.Or(nan, bits == z3.fpToIEEEBV(exact))]
    return Statement(goals, [], [x.bits])


def _lift(scale_bits: int, range_bits: int, dtype: str) -> Claim:
    sentence = f"lift: {dtype} to ticks of 2^{-scale_bits}, whichever operations flush subnormals"

    @claim(sentence, fixed_point, flushing=True)
    def lift(fixed_point: ModuleType) -> Statement:
        x = Float("x", dtype)
        made = fixed_point.FixedPoint(scale_bits, range_bits)
        ticks, held = (part.item() for part in made.lift(x.array))
        wide = z3.FPSort(13, 53)
        scale = z3.fpToFP(z3.RNE(), z3.FPVal(2.0**scale_bits, FLOAT_SORTS[64]), wide)
        scaled = z3.fpMul(z3.RNE(), z3.fpToFP(z3.RNE(), x.theory, wide), scale)
        nearest = z3.fpToSBV(z3.RNE(), scaled, z3.BitVecSort(64))
        limit = 1 << made.bits
        word = z3.fpLT(z3.fpAbs(scaled), z3.FPVal(2.0**63, wide))  # what is not has no such integer
        within = z3.And(x.finite, word, nearest < limit, nearest > -limit)
        right = z3.And(held == within, ticks == z3.If(within, nearest, 0))
        bias = (1 << (x.field.size() - 1)) - 1
        lowest, most = bias - scale_bits - 1, bias + range_bits + 1
        goals = [
            z3.Implies(z3.ULT(x.field, lowest), z3.And(held, ticks == 0)),  # below half a tick
            z3.Implies(z3.UGE(x.field, most), z3.And(z3.Not(held), ticks == 0)),
        ]
        for field in range(lowest, most):
            each = (x.field, z3.BitVecVal(field, x.field.size()))
            goals.append(z3.simplify(z3.substitute(right, each)))
        return Statement(goals, [], [x.bits])

    return lift


@claim("_shifted: a signed word times 2^by in 128 bits, for any by", compiled_window)
def shifted(compiled_window: ModuleType) -> Statement:
    x, by = variables("x", (), "int64"), variables("by", (), "int64")
    with patch.object(compiled_window, "jnp", namespace):
        low, high = compiled_window._shifted(x, by)
    expected = z3.SignExt(64, x.item()) << z3.ZeroExt(64, by.item())
    made = z3.Concat(high.item(), low.item())
    return Statement([made == expected], [by.item() >= 0], [x.item(), by.item()])


@claim("the conversion of integers to floats in symbolic.py is that of z3's theory of floats")
def conversion() -> Statement:
    word = z3.BitVec("word", 64)
    small = z3.And(word < 1 << 53, word > -(1 << 53))
    expected = z3.fpToIEEEBV(z3.fpToFP(z3.RNE(), word, z3.Float64()))
    return Statement([exact_float64_bits(word, True) == expected], [small], [word])


LIFTS = [
    _lift(20, 11, "float64"),
    _lift(20, 11, "float32"),
    _lift(-30, 61, "float64"),
    _lift(1000, -938, "float64"),
]
CLAIMS = [
    distributive_law,
    signed_words,
    upper_words,
    two_words,
    leading_one,
    order,
    widened,
    LIFTS[0],
    shifted,
    conversion,
]
DEEP = [reals_from_floats, *LIFTS[1:]]

MUTANTS = [
    Mutant(signed_words, "high - signs", "high", "negative factors are read as unsigned"),
    Mutant(upper_words, "return a_high * b_high + ", "return a_high * b_low + ", "a product of wrong halves"),
    Mutant(two_words, "(x.fraction != 0).astype", "(x.fraction == 0).astype", "a borrow where there is none"),
    Mutant(reals_from_floats, "(rest << 1) + (kept & 1) >", "(rest << 1) >", "ties go down"),
    Mutant(
        order,
        "MAGNITUDE_MASK)\n\n\ndef is_nan",
        "np.int64(-1))\n\n\ndef is_nan",
        "negative keys turn positive",
    ),
    Mutant(
        widened,
        "xp.where((bits & np.int32(0x7F800000)) == np.int32(0), small, x.astype(xp.float64))",
        "x.astype(xp.float64)",
        "the backend widens subnormals, and may flush them",
    ),
    Mutant(LIFTS[0], "xp.abs(rounded) <", "xp.abs(scaled) <", "what rounds up to the limit is held"),
    Mutant(
        shifted,
        "((word >> np.uint64(1)) >> (np.uint64(63) - low))",
        "(word >> (np.uint64(64) - low))",
        "a shift by the whole width",
    ),
]
