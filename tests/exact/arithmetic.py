"""Truths in 400 bits for the tests of logarithms, and inputs that lie where something could go wrong."""

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from hypothesis import strategies as st

from convergence_jax.exact.reals import Fixed

UNIT = Fraction(1, 1 << 64)
CONTEXT = mpmath.mp.clone()
CONTEXT.prec = 400
MARGIN = Fraction(1, 1 << 300)
"""More than the error of any truth that a test asks for, relative and absolute."""
FAR = 4096
"""Powers of e beyond this are compared by their logarithms."""


def fixed(numbers: Any) -> Fixed:
    """Reals from multiples of ``2**-64``, given as Python integers."""
    numbers = list(numbers)
    whole = np.array([int(n) >> 64 for n in numbers], dtype=np.int64)
    return Fixed(whole, np.array([int(n) % (1 << 64) for n in numbers], dtype=np.uint64))


def values(x: Fixed) -> list[Fraction]:
    """Reals as fractions, in the order of memory."""
    pairs = zip(np.ravel(x.whole).tolist(), np.ravel(x.fraction).tolist(), strict=True)
    return [whole + fraction * UNIT for whole, fraction in pairs]


def exp(x: Fraction) -> Fraction:
    """``e**x``; zero where the power is below anything that a test can see."""
    return Fraction(0) if x < -FAR else _fraction(CONTEXT.exp(_real(x)))


def ln(x: Fraction) -> Fraction:
    """``ln x``."""
    return _fraction(CONTEXT.log(_real(x)))


def softplus(x: Fraction) -> Fraction:
    """``ln(1 + e**x)``, to a relative precision."""
    if x > 0:
        return x + softplus(-x)
    return Fraction(0) if x < -FAR else _fraction(CONTEXT.log1p(CONTEXT.exp(_real(x))))


def number(exponent: int, mantissa: int) -> Fraction:
    """What a pair stands for."""
    return int(mantissa) * Fraction(2) ** (int(exponent) - 63)


def near(got: float, truth: Fraction, *, relative: Any = 0, absolute: Any = 0) -> bool:
    """Whether a float is the nearest to some number within a bound of the truth; by exact comparisons."""
    bound = abs(truth) * (Fraction(relative) + MARGIN) + Fraction(absolute)
    return float(truth - bound) <= got <= float(truth + bound)


def _real(x: Fraction) -> Any:
    return CONTEXT.mpf(x.numerator) / x.denominator


def _fraction(x: Any) -> Fraction:
    sign, mantissa, exponent, _ = x._mpf_
    return (-1 if sign else 1) * Fraction(int(mantissa)) * Fraction(2) ** exponent


def _edges() -> list[int]:
    """Multiples of ``2**-64``, each with its neighbours."""
    ln2 = int(CONTEXT.log(2) * 2**64)
    # where the exponent of e**x and the entry of the table change, far and near
    steps = [k * ln2 for k in (-1100, -64, -63, *range(-9, 10), 64)]
    steps += [k * ln2 // 256 for k in range(-300, 300, 13)]
    # ln(1 + u) goes from its tail to the table at u = 2**-8, and from one shift to the next
    knots = [int(CONTEXT.log(CONTEXT.mpf(i) / 256) * 2**64) for i in (1, 2, 3, 4, 8, 16, 32, 64, 128, 255)]
    sizes = [0, 1, 1 << 20, 1 << 55, 1 << 63, 37 << 64, 44 << 64, 708 << 64, 745 << 64, 746 << 64]
    sizes += [int(745.1332191019411 * 2**64), 1_000_000 << 64, (1 << 31 << 64) - 1]
    return [n + d for n in (*steps, *knots, *sizes) for d in (-1, 0, 1)]


EDGES = [n for edge in _edges() for n in (edge, -edge) if -(1 << 95) <= n < 1 << 95]
"""Inputs of ``exp`` at every boundary that the code has."""

RANDOM = np.random.default_rng(20)
SPREAD = [
    int(CONTEXT.mpf(float(sign)) * CONTEXT.mpf(2) ** float(power) * 2**64)
    for sign, power in zip(RANDOM.choice([-1, 1], 400), RANDOM.uniform(-64, 12, 400), strict=True)
]
"""Numbers of every size and both signs."""


def reals(bits: int = 95) -> st.SearchStrategy[list[int]]:
    """Sixteen multiples of ``2**-64`` below ``2**(bits - 64)``: one length, of all sizes."""
    one = st.one_of(
        st.integers(-(1 << bits), (1 << bits) - 1),
        st.integers(-(750 << 64), 750 << 64),
        st.builds(lambda n, by: n >> by, st.integers(-(1 << 72), 1 << 72), st.integers(0, 72)),
        st.sampled_from(EDGES),
    )
    return st.lists(one, min_size=16, max_size=16)
