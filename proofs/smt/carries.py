"""Carries (convergence_jax.exact.digits): lookahead over all digits at once equals pencil and paper.

Short numbers are proved in one piece. For long ones z3 is asked one digit at a time, about the values that
the variable `x` of the function has while it runs. Each local pass makes ``x[i] + t[i - 1] - B * t[i]`` of
``x[i]``, with ``B = 2**32``, so that the ``t`` cancel in ``sum(x[i] * B**i)`` modulo ``B**L``; what is lent
sums to zero; the digits left are from 0 to B; and for such digits lookahead finds the carries that pencil
and paper find.
"""

import sys
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import z3

from convergence_jax.exact import digits as code
from convergence_jax.exact.constants import (
    DIGIT_BITS,
    DIGIT_MASK,
    FLOAT32,
    FLOAT32_PRODUCT,
    FLOAT64,
    FLOAT64_PRODUCT,
)
from proofs.smt.claims import Claim, Mutant, Statement, claim
from proofs.smt.symbolic import SymbolicArray, variables

WIDE = 80
"""Bits in which lanes and carries are added without loss."""

BASE = 1 << DIGIT_BITS


def _wide(x: z3.BitVecRef) -> z3.BitVecRef:
    return z3.SignExt(WIDE - x.size(), x)


def by_hand(lanes: list[z3.BitVecRef]) -> list[z3.BitVecRef]:
    """Digits of a sum of lanes, one carry after the other; lanes and carries are signed."""
    carry, out = z3.BitVecVal(0, WIDE), []
    for lane in lanes:
        total = _wide(lane) + carry
        out.append(z3.Extract(DIGIT_BITS - 1, 0, total))
        carry = total >> DIGIT_BITS
    return out


def _equal(made: SymbolicArray, expected: list[z3.BitVecRef]) -> list[z3.BoolRef]:
    return [a == b for a, b in zip(made.elements.ravel(), expected, strict=True)]


def values_of_x(function: Any, *arguments: Any) -> tuple[Any, list[SymbolicArray], dict[str, Any]]:
    """What a function returns, the values that its variable `x` had, and its variables as it returns."""
    values: list[SymbolicArray] = []
    last: dict[str, Any] = {}

    def look(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not function.__code__:
            return None
        x = frame.f_locals.get("x")
        if x is not None and not any(x is value for value in values):
            values.append(x)
        if event == "return":
            last.update(frame.f_locals)
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        made = function(*arguments)
    finally:
        sys.settrace(before)
    return made, values, last


def _whole(length: int) -> Claim:
    @claim(f"normalize: {length} lanes, any int64, in one piece", code)
    def normalize(code: ModuleType) -> Statement:
        lanes = variables("lane", (length,), "int64")
        return Statement(_equal(code.normalize(lanes), by_hand(list(lanes.elements))), [], [*lanes.elements])

    return normalize


def _passes(length: int) -> Claim:
    @claim(f"normalize: {length} lanes, any int64, local passes keep the sum", code)
    def passes(code: ModuleType) -> Statement:
        lanes = variables("lane", (length,), "int64")
        _, values, last = values_of_x(code.normalize, lanes)
        first, lent, second, third = ([lanes, *values][i : i + 2] for i in range(4))
        goals = _pass(*first, -(1 << 63), (1 << 63) - 1, -BASE // 2, 3 * BASE // 2)
        lend = [int(n) + BASE for n in np.asarray(last["unlend"])]
        goals.append(z3.BoolVal(sum(n * BASE**i for i, n in enumerate(lend)) % BASE**length == 0))
        for old, new, n in zip(lent[0].elements, lent[1].elements, lend, strict=True):
            x = z3.BitVec("x", 64)
            goals.append(z3.substitute(new, (old, x)) == x + n)
        goals += [z3.BoolVal(BASE // 2 < n < 2 * BASE) for n in lend]
        goals += _pass(*second, 0, 4 * BASE - 1, 0, BASE + 2)
        goals += _pass(*third, 0, BASE + 2, 0, BASE)
        return Statement(goals, [], [z3.BitVec("x", 64), z3.BitVec("below", 64)])

    return passes


def _pass(old: SymbolicArray, new: SymbolicArray, least: int, most: int, low: int, high: int) -> list[Any]:
    """That digits pass on what they carry and keep the rest, and of digits within a range are in another."""
    goals = []
    x, below = z3.BitVec("x", 64), z3.BitVec("below", 64)
    for i in range(old.shape[-1]):
        olds = [(old.item(i), x)] + ([(old.item(i - 1), below)] if i else [])
        made = z3.substitute(new.item(i), *olds)
        carried = _wide(below) >> DIGIT_BITS if i else z3.BitVecVal(0, WIDE)
        exact = _wide(made) == _wide(x) + carried - ((_wide(x) >> DIGIT_BITS) << DIGIT_BITS)
        given = z3.And(x >= least, x <= most, below >= least, below <= most)
        goals.append(z3.Implies(given, z3.And(exact, made >= low, made <= high)))
    return list(dict.fromkeys(goals))  # most digits say the same


def _lookahead(length: int) -> Claim:
    @claim(f"normalize: {length} digits, each at most 2^32, lookahead finds every carry", code)
    def lookahead(code: ModuleType) -> Statement:
        made, _, held = values_of_x(code.normalize, variables("lane", (length,), "int64"))
        x = list(held["x"].elements)
        fresh = [z3.BitVec(f"x{i}", 64) for i in range(length)]
        # A carry comes out of each digit by itself, or if one comes in, or not at all.
        alone = [z3.Bool(f"generates{i}") for i in range(length)]
        passing = [z3.Bool(f"propagates{i}") for i in range(length)]
        tests = list(zip((held["x"] > DIGIT_MASK).elements, alone, strict=True))
        tests += list(zip((held["x"] == DIGIT_MASK).elements, passing, strict=True))
        generate = [z3.substitute(g, *tests) for g in held["generate"].elements]
        goals, carry = [], z3.BoolVal(False)
        for i in range(length):
            below = held["generate"].elements[i - 1] if i else z3.BoolVal(False)
            digit = z3.substitute(made.item(i), (x[i], fresh[i]), (below, z3.Bool("below")))
            into = z3.If(
                z3.Bool("below") if i else z3.BoolVal(False), z3.BitVecVal(1, 64), z3.BitVecVal(0, 64)
            )
            goals.append(digit == z3.Extract(DIGIT_BITS - 1, 0, fresh[i] + into))
            out = z3.UGE(fresh[i] + into, BASE)
            own, full = fresh[i] > DIGIT_MASK, fresh[i] == DIGIT_MASK
            rule = out == z3.Or(own, z3.And(full, into == 1))
            goals.append(z3.Implies(z3.ULE(fresh[i], BASE), rule))
            carry = z3.Or(alone[i], z3.And(passing[i], carry))
            goals.append(generate[i] == carry)
        return Statement(goals, [], alone + passing)

    return lookahead


@claim("from_int64: 11 digits of a word are its sign, extended", code)
def extension(code: ModuleType) -> Statement:
    word = variables("word", (), "int64")
    width = DIGIT_BITS * FLOAT32.digits
    digits = list(code.from_int64(word, FLOAT32.digits).elements)
    return Statement([z3.Concat(*reversed(digits)) == z3.SignExt(width - 64, word.item())], [], [word.item()])


def _group(length: int) -> Claim:
    @claim(f"add, subtract: {length} digits as z3 adds and subtracts {32 * length} bits", code)
    def group(code: ModuleType) -> Statement:
        a, b = variables("a", (length,), "uint32"), variables("b", (length,), "uint32")
        made = [z3.Concat(*reversed(list(f(a, b).elements))) for f in (code.add, code.subtract)]
        p, q = (z3.Concat(*reversed(list(x.elements))) for x in (a, b))
        return Statement([made[0] == p + q, made[1] == p - q], [], [*a.elements, *b.elements])

    return group


@claim("subtract takes off what add put on: 4 digits", code)
def inverse(code: ModuleType) -> Statement:
    a, b = variables("a", (4,), "uint32"), variables("b", (4,), "uint32")
    made = code.subtract(code.add(a, b), b)
    return Statement(_equal(made, list(a.elements)), [], [*a.elements, *b.elements])


@claim("total: 3 residues of 2 digits as z3 adds 64 bits", code)
def total(code: ModuleType) -> Statement:
    a = variables("a", (3, 2), "uint32")
    made = z3.Concat(*reversed(list(code.total(a).elements)))
    expected = sum(z3.Concat(*reversed(list(row))) for row in a.elements)
    return Statement([made == expected], [], list(a.elements.ravel()))


LENGTHS = [f.digits for f in (FLOAT32, FLOAT32_PRODUCT, FLOAT64, FLOAT64_PRODUCT)]
SHORT = [_whole(n) for n in (2, 3, 4)]
PASSES = [_passes(n) for n in LENGTHS]
LOOKAHEAD = [_lookahead(n) for n in LENGTHS]
CLAIMS = [*SHORT, *PASSES, *LOOKAHEAD, extension, _group(2), inverse, total]
DEEP = [_group(4)]

MUTANTS = [
    Mutant(SHORT[2], "unlend[1:2] = _BASE - 1", "unlend[1:2] = _BASE - 2", "what is lent to digit 0 is kept"),
    Mutant(
        SHORT[1],
        "x = (lanes & DIGIT_MASK) + _shift_up(lanes >> DIGIT_BITS, 1)",
        "x = lanes",
        "signs are not lost first",
    ),
    Mutant(PASSES[0], "np.full(length, _BASE - 2,", "np.full(length, _BASE - 1,", "too much is taken off"),
    Mutant(LOOKAHEAD[2], "step *= 2", "step *= 4", "lookahead skips steps"),
    Mutant(SHORT[0], "(word >> DIGIT_BITS) & DIGIT_MASK", "word & DIGIT_MASK", "a digit is repeated"),
]
