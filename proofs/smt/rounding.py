"""The one rounding of an answer (convergence_jax.exact.rounding): every integer of 2, 3 and 4 digits.

What is right is said without rounding anything. Floats of one sign are in the order of their bits, so a float
is the nearest to a number if the number lies between the midpoints to its neighbours, and on a midpoint only
if its last bit is even (IEEE 754, 4.3.1). All is in integers, in units below half a unit of every float in
question; infinity stands where the next float would.
"""

from types import ModuleType

import z3

from convergence_jax.exact import reals
from convergence_jax.exact import rounding as code
from convergence_jax.exact.constants import DIGIT_BITS, FLOAT32, FLOAT64
from proofs.smt.claims import Claim, Mutant, Statement, claim
from proofs.smt.symbolic import MANTISSA_BITS, as_float, locals_at_return, variables

BITS = {"float32": 32, "float64": 64}
LEAST = {"float32": FLOAT32.lsb, "float64": FLOAT64.lsb}


def _value(bits: z3.BitVecRef, dtype: str, unit: int, width: int) -> z3.BitVecRef:
    """A float of these bits, sign left out, in units of ``2**unit``; one below the unit is cut."""
    mantissa = MANTISSA_BITS[BITS[dtype]]
    field_bits = BITS[dtype] - 1 - mantissa
    field = z3.Extract(BITS[dtype] - 2, mantissa, bits)
    subnormal = field == 0
    hidden = z3.If(subnormal, z3.BitVecVal(0, 1), z3.BitVecVal(1, 1))
    whole = z3.ZeroExt(width - mantissa - 1, z3.Concat(hidden, z3.Extract(mantissa - 1, 0, bits)))
    shift = z3.ZeroExt(32 - field_bits, z3.If(subnormal, field, field - 1)) + (LEAST[dtype] - unit)
    up, down = (z3.ZeroExt(width - 32, s) for s in (shift, -shift))
    return z3.If(shift >= 0, whole << up, z3.LShR(whole, down))


def _rounded(code: ModuleType, length: int, exponent: int, dtype: str, towards: str) -> Statement:
    x = variables("digit", (length,), "uint32")
    made, held = locals_at_return(code.round_digits, x, exponent, dtype, towards)
    # The magnitude and the sign are unknowns of their own; `_magnitudes` says that they are those of x.
    digits = [z3.BitVec(f"m{i}", DIGIT_BITS) for i in range(length)]
    minus = z3.Bool("negative")
    known = [*zip(held["magnitude"].elements, digits, strict=True), (held["negative"].item(), minus)]
    bits = z3.substitute(made.item(), *known)
    goal = z3.And(_nearest(z3.Concat(*reversed(digits)), minus, bits, exponent, dtype, towards))
    goals = []
    for size in range(DIGIT_BITS * length + 1):  # by the place of the leading one
        parts = [z3.BitVecVal(0, DIGIT_BITS * length - size)] if size < DIGIT_BITS * length else []
        parts += [z3.BitVecVal(1, 1)] if size else []
        parts += [z3.BitVec(f"rest{size}", size - 1)] if size > 1 else []
        whole = z3.Concat(*parts) if len(parts) > 1 else parts[0]
        each = [(m, z3.Extract(DIGIT_BITS * i + 31, DIGIT_BITS * i, whole)) for i, m in enumerate(digits)]
        goals.append(z3.simplify(z3.substitute(goal, *each)))
    goals[0] = z3.substitute(goals[0], (minus, z3.BoolVal(False)))  # zero is not negative
    shown = [z3.BitVec(f"rest{size}", size - 1) for size in range(2, DIGIT_BITS * length + 1)]
    return Statement(goals, [], [minus, *shown])


def _nearest(
    number: z3.BitVecRef, negative: z3.BoolRef, bits: z3.BitVecRef, exponent: int, dtype: str, towards: str
) -> list[z3.BoolRef]:
    """That bits are those of the float that a number times ``2**exponent`` is to be rounded to."""
    mantissa, top = MANTISSA_BITS[BITS[dtype]], BITS[dtype] - 1
    unit = max(LEAST[dtype], exponent - mantissa - 2)  # of floats; that of numbers may be lower
    finest = min(unit, exponent)
    width = number.size() + mantissa + 8 + unit - finest
    exact = z3.ZeroExt(width - number.size(), number) << (exponent - finest)
    size = bits & ((1 << top) - 1)
    at, above, below = (_value(b, dtype, finest, width) for b in (size, size + 1, size - 1))
    infinity = ((1 << (top - mantissa)) - 1) << mantissa
    even = z3.Extract(0, 0, bits) == 0
    if towards == "nearest":
        twice = exact << 1
        over = z3.Or(z3.UGT(twice, at + below), z3.And(twice == at + below, even))
        under = z3.Or(z3.ULT(twice, at + above), z3.And(twice == at + above, even), size == infinity)
    else:
        away = negative if towards == "below" else z3.Not(negative)
        over = z3.If(away, z3.UGT(exact, below), z3.UGE(exact, at))
        highest = z3.If(away, size == infinity, size == infinity - 1)
        under = z3.Or(highest, z3.If(away, z3.ULE(exact, at), z3.ULT(exact, above)))
    return [
        z3.ULE(size, infinity),
        (z3.Extract(top, top, bits) == 1) == negative,
        z3.Or(size == 0, over),
        under,
        z3.Implies(number == 0, size == 0),
    ]


def _magnitudes(length: int) -> Claim:
    @claim(f"round_digits: sign and magnitude of {length} digits", code)
    def magnitudes(code: ModuleType) -> Statement:
        x = variables("digit", (length,), "uint32")
        _, held = locals_at_return(code.round_digits, x, 0)
        number = z3.Concat(*reversed(list(x.elements)))
        magnitude = z3.Concat(*reversed(list(held["magnitude"].elements)))
        sign = held["negative"].item() == (number < 0)
        return Statement([sign, magnitude == z3.If(number < 0, -number, number)], [], [number])

    return magnitudes


def _rounding(length: int, exponent: int, dtype: str, towards: str) -> Claim:
    @claim(f"round_digits: {length} digits times 2^{exponent} to {dtype}, {towards}", code)
    def rounding(code: ModuleType) -> Statement:
        return _rounded(code, length, exponent, dtype, towards)

    return rounding


def _theory(length: int, dtype: str) -> Claim:
    @claim(f"round_digits: {length} digits to {dtype} as z3's theory of floats rounds", code)
    def theory(code: ModuleType) -> Statement:
        x = variables("digit", (length,), "uint32")
        number = z3.Concat(*reversed(list(x.elements)))
        bits = code.round_digits(x, 0, dtype).item()
        expected = z3.fpToFP(z3.RNE(), number, as_float(bits).sort())
        return Statement([bits == z3.fpToIEEEBV(expected)], [], [number])

    return theory


@claim("round_mantissa: 64 bits and what is below them, at 79 exponents, subnormals all", reals)
def mantissas(reals: ModuleType) -> Statement:
    minus, sticky = variables("negative", (), "bool"), variables("sticky", (), "bool")
    exponent, mantissa = variables("exponent", (), "int64"), variables("mantissa", (), "uint64")
    bits = reals.round_mantissa(minus, exponent, mantissa, sticky).item()
    bit = z3.If(sticky.item(), z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))
    number = z3.Concat(mantissa.item(), bit)
    goals = []
    for power in [*range(-1092, -1018), 0, 1022, 1023, 1024, 5000]:
        right = z3.And(_nearest(number, minus.item(), bits, power - 64, "float64", "nearest"))
        goals.append(z3.simplify(z3.substitute(right, (exponent.item(), z3.BitVecVal(power, 64)))))
    return Statement(goals, [z3.UGE(mantissa.item(), 1 << 63)], [mantissa.item(), sticky.item()])


MAGNITUDES = [_magnitudes(n) for n in (2, 4)]
NEAREST = [
    _rounding(3, 0, "float64", "nearest"),
    _rounding(2, -1120, "float64", "nearest"),
    _rounding(2, 970, "float64", "nearest"),
    _rounding(2, -190, "float32", "nearest"),
    _rounding(2, 80, "float32", "nearest"),
]
DIRECTED = [_rounding(2, -1120, "float64", "below"), _rounding(2, 80, "float32", "above")]
CLAIMS = [_theory(2, "float32"), *MAGNITUDES, *NEAREST[1:], *DIRECTED, mantissas]
DEEP = [
    NEAREST[0],
    _theory(2, "float64"),
    _rounding(4, 0, "float64", "nearest"),
    _rounding(4, 0, "float32", "nearest"),
    _rounding(4, -1150, "float64", "nearest"),
    _rounding(4, 900, "float64", "nearest"),
    _rounding(4, 16, "float32", "nearest"),
    _rounding(4, -1150, "float64", "below"),
    _rounding(4, 16, "float32", "above"),
]

MUTANTS = [
    Mutant(NEAREST[0], "(sticky | odd)", "odd", "what lies below the last digits read breaks no tie"),
    Mutant(
        NEAREST[1],
        "xp.clip(np.int64(least) - power, 0, 64)",
        "xp.clip(np.int64(least) - power, 0, 52)",
        "far below the subnormals something is left",
    ),
    Mutant(NEAREST[2], "largest - 1)\n", "largest)\n", "the first binade beyond the range is not infinite"),
    Mutant(DIRECTED[0], "negative if towards", "~negative if towards", "below is above"),
    Mutant(mantissas, "(sticky | (kept & 1 != 0))", "(kept & 1 != 0)", "what was cut breaks no tie"),
]
