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

NARROW_BITS = 31
"""Ticks below ``2**31`` in magnitude: a product fits one 64-bit word."""

WIDE_BITS = 62
"""Ticks below ``2**62`` in magnitude, for features of large dynamic range."""

SCALE_LIMIT = 1000
"""Largest magnitude of ``scale_bits``: the scaling by ``2**scale_bits`` is then one exact float64 product."""
