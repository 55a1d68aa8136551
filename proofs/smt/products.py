"""Products of numbers by those of their digits."""

import z3

from proofs.smt.symbolic import current


def halves_of(word: z3.BitVecRef) -> list[z3.BitVecRef]:
    """The two halves of a word of 64 bits, low half first, as words."""
    return [z3.ZeroExt(32, z3.Extract(31, 0, word)), z3.ZeroExt(32, z3.Extract(63, 32, word))]


def product_of_digits(
    a: list[z3.BitVecRef], b: list[z3.BitVecRef], width: int, *given: z3.BoolRef
) -> z3.BitVecRef:
    """``sum(a[i] * 2**(32 * i)) * sum(b[j] * 2**(32 * j))`` by the distributive law, modulo ``2**width``.

    The products of two digits are those of the recording, found by factors that are equal given what is
    given: the sum is linear in them, so that z3 need not know how to multiply.
    """
    total = z3.BitVecVal(0, width)
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            if 32 * (i + j) < width:
                word = current().product(p, q, (z3.BoolVal(True), *given))
                wide = z3.ZeroExt(width - 64, word) if width >= 64 else z3.Extract(width - 1, 0, word)
                total = total + (wide << (32 * (i + j)))
    return total
