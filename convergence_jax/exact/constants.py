"""Every layout constant of the exact numbers, in one place.

Python, the OpenCL kernels, the proofs and the synthesised logic read their constants from here, so this
module imports nothing and computes nothing but integers.

An exact number is an integer modulo ``2**(32 * digits)``, counted in units of ``2**lsb``: wide enough that no
finite input of the format and no realistic count of them can wrap around.
"""

from dataclasses import dataclass

DIGIT_BITS = 32
"""Bits in one digit; digits are stored as ``uint32``, least significant first."""

DIGIT_MASK = (1 << DIGIT_BITS) - 1


@dataclass(frozen=True)
class Format:
    """Layout of the accumulator for one kind of term.

    Attributes
    ----------
    name : str
        Identity of the format; part of a state's identity.
    lsb : int
        Exponent of the unit: the value of a state is its integer times ``2**lsb``.
    digits : int
        Number of 32-bit digits.
    term_bits : int
        Every finite term, in units, is below ``2**term_bits`` in magnitude.
    """

    name: str
    lsb: int
    digits: int
    term_bits: int

    @property
    def count_bits(self) -> int:
        """Sums of fewer than ``2**count_bits`` terms cannot wrap around (the sign takes one bit)."""
        return DIGIT_BITS * self.digits - 1 - self.term_bits


FLOAT32 = Format("float32", lsb=-149, digits=11, term_bits=277)
FLOAT64 = Format("float64", lsb=-1074, digits=69, term_bits=2098)
FLOAT32_PRODUCT = Format("float32_product", lsb=-298, digits=20, term_bits=554)
FLOAT64_PRODUCT = Format("float64_product", lsb=-2148, digits=134, term_bits=4196)
EXPONENTIAL = Format("exponential", lsb=-3018, digits=189, term_bits=5973)
"""``exp(x)`` for ``|x| < 2048``, rounded to 64 bits: from ``2**-2955`` to below ``2**2955``."""

WINDOW_FIRST_DIGIT = 31
"""The window is digits 31 to 34 of FLOAT64: what lies in it moves between the two without a shift."""

WINDOW = Format("float64_window", lsb=-1074 + 32 * WINDOW_FIRST_DIGIT, digits=4, term_bits=96)
"""Floats below ``2**14`` in magnitude that are multiples of ``2**-82``: 16 bytes hold sums of ``2**31``."""

NARROW_BITS = 31
"""Ticks below ``2**31`` in magnitude: a product fits one 64-bit word."""

WIDE_BITS = 62
"""Ticks below ``2**62`` in magnitude, for features of large dynamic range."""

SCALE_LIMIT = 1000
"""Largest magnitude of ``scale_bits``: the scaling by ``2**scale_bits`` is then one exact float64 product."""

WORK_BITS = 160
"""Fraction bits in which the tables below are computed before their one rounding."""


def _round(value: int, bits: int) -> int:
    """A number with `WORK_BITS` fraction bits, rounded to `bits` of them."""
    drop = WORK_BITS - bits
    return (value + (1 << (drop - 1))) >> drop


def twice_atanh(numerator: int, denominator: int, bits: int) -> int:
    """``ln((d + n) / (d - n))`` times ``2**bits``, by its series, for ``0 <= n / d <= 1 / 3``.

    Too small, by less than `bits`: each of at most ``bits / 3 + 1`` terms loses less than 17/8 in its two
    quotients, and the terms left out are below one together.
    """
    power, total, k = (numerator << (bits + 1)) // denominator, 0, 1
    while power:
        total += power // k
        power = power * numerator * numerator // (denominator * denominator)
        k += 2
    return total


def _powers_of_two(steps: int) -> tuple[int, ...]:
    """``2**(i / steps) * 2**63`` for every `i` below `steps`, each rounded."""
    root, term, n = 0, 1 << WORK_BITS, 0
    while term:  # exp(ln 2 / steps)
        root, n = root + term, n + 1
        term = (term * _LN2 // (n * steps)) >> WORK_BITS
    powers = [1 << WORK_BITS]
    for _ in range(steps - 1):
        powers.append((powers[-1] * root) >> WORK_BITS)
    return tuple(_round(power, 63) for power in powers)


def _digits_of(value: int) -> tuple[int, int, int]:
    """The fraction of a number as three digits, most significant first, rounded to ``2**-96``."""
    word = _round(value % (1 << WORK_BITS), 3 * DIGIT_BITS)
    return word >> (2 * DIGIT_BITS), (word >> DIGIT_BITS) & DIGIT_MASK, word & DIGIT_MASK


def _exp_coefficients(degree: int) -> tuple[int, ...]:
    """``256 * (ln 2 / 256)**n / n!`` times ``2**64`` for n from 1 to `degree`."""
    made, term = [], 256 << WORK_BITS
    for n in range(1, degree + 1):
        term = (term * _LN2 // (n * TABLE_STEPS)) >> WORK_BITS
        made.append(_round(term, 64))
    return tuple(made)


def _logarithms_of_reciprocals() -> tuple[int, ...]:
    """``-ln(r / 2**16)`` of every reciprocal, in units of ``2**-71 << LN_SHIFTS[i]``, each rounded."""
    total, made = 0, [0]
    for i in range(1, TABLE_STEPS):
        before, here = RECIPROCALS[i - 1], RECIPROCALS[i]
        total += twice_atanh(before - here, before + here, WORK_BITS)
        made.append(_round(total, 71 - LN_SHIFTS[i]))
    return tuple(made)


TABLE_STEPS = 256
"""Entries of the tables of ``exp`` and ``ln``: the leading eight bits choose one."""

_LN2 = twice_atanh(1, 3, WORK_BITS)

LN2_DIGITS = _digits_of(_LN2)
"""``ln 2`` in three digits, most significant first."""

LN2 = _round(_LN2, 64)
"""``ln 2`` times ``2**64``."""

LOG2E_DIGITS = _digits_of((1 << (2 * WORK_BITS)) // _LN2)
"""``1 / ln 2 - 1`` in three digits, most significant first."""

LOG2E = _round((1 << (2 * WORK_BITS)) // _LN2 - (1 << WORK_BITS), 64)
"""``1 / ln 2 - 1`` times ``2**64``."""

EXP_TABLE = _powers_of_two(TABLE_STEPS)
"""``2**(i / 256)`` times ``2**63``."""

EXP_COEFFICIENTS = _exp_coefficients(6)
"""Of ``256 * (2**(t / 256) - 1)`` in powers of `t`, the first power first, times ``2**64``."""

RECIPROCALS = tuple(-(-(TABLE_STEPS << 16) // (TABLE_STEPS + i)) for i in range(TABLE_STEPS))
"""``2**16 / (1 + i / 256)``, rounded up: brings ``[1 + i / 256, 1 + (i + 1) / 256)`` to just above one."""

LN_SHIFTS = tuple(max(i, 1).bit_length() - 1 for i in range(TABLE_STEPS))
"""Entry `i` of the table of logarithms counts units of ``2**(LN_SHIFTS[i] - 71)``."""

LN_TABLE = _logarithms_of_reciprocals()
"""``-ln(RECIPROCALS[i] / 2**16)``, each to 63 or 64 significant bits; the first is zero."""

LN_COEFFICIENTS = tuple(((1 << (72 - 7 * n)) // n + 1) >> 1 for n in range(2, 9))
"""Of ``ln(1 + t / 128)`` in powers of `t`, times 128, from the second on, times ``2**64``, without signs."""
