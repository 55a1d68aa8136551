"""Random cases for the oracle, as lines of its protocol: hard ones more often than chance would have them."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

Random = np.random.Generator

FEW, MANY = 15, 63
"""Terms of a case: at most so many, and in one case of twenty-five at most so many."""

LIFTS = [((20,), (11,)), ((20, 3, -5), (11, 20, 36)), ((0, 10), (31, 20)), ((40, 20), (22, 30))]
LIFTS += [((1000,), (-990,)), ((-900, 300), (940, -270)), ((50, 0, 61), (12, 62, 1))]
"""Scales and ranges of the features of moments: narrow, wide, and results at either end of float64."""

FIXED = [(20, 11), (0, 62), (62, 0), (61, 1), (-30, 31), (126, -100), (149, -118), (170, -108), (52, 1)]
FIXED += [(1000, -950), (-1000, 1001), (-960, 1022), (30, 1), (1, 0), (-5, 25), (1000, -999)]
"""Scales and ranges of single lifts."""


def draw(kind: str, number: int, seed: int) -> list[str]:
    """Cases of one kind: the same ones for the same numbers."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    return [" ".join([kind, *KINDS[kind](rng)]) for _ in range(number)]


# Floats


def patterns(rng: Random, number: int, mantissa: int, width: int) -> np.ndarray:
    """Bits of floats that have something to do with one another."""
    top, sign = (1 << width) - 1, np.uint64(mantissa + width)

    def bits(exponent: np.ndarray, fraction: np.ndarray, minus: np.ndarray) -> np.ndarray:
        exponent = np.clip(exponent, 0, top).astype(np.uint64)
        return minus.astype(np.uint64) << sign | exponent << np.uint64(mantissa) | fraction.astype(np.uint64)

    fraction = rng.integers(0, 1 << mantissa, number, dtype=np.uint64)
    minus, order = rng.integers(0, 2, number), int(rng.integers(0, top))
    if rng.integers(0, 2):  # where float32 can tell
        order = top // 2 + int(rng.integers(-160, 130))
    near = np.clip(order + rng.integers(-3, 4, number), 0, top - 1)
    style = rng.choice([0, 1, 2, 3, 4, 5, 6, 6])
    if style == 1:  # subnormal
        return bits(np.zeros(number), fraction >> np.uint64(rng.integers(0, mantissa)), minus)
    if style == 2:  # of one size
        return bits(near, fraction, minus)
    if style == 3:  # what cancels, but for a little
        some = bits(near, fraction, minus)
        some[number // 2 : number // 2 * 2] = some[: number // 2] ^ (np.uint64(1) << sign)
        return rng.permutation(some)
    if style == 4:  # overflow, or just not
        fraction = np.where(rng.integers(0, 2, number) > 0, np.uint64((1 << mantissa) - 1), fraction)
        return bits(top - 1 - rng.integers(0, 3, number), fraction, minus * rng.integers(0, 2))
    if style == 5:  # ties: few bits, a precision apart
        apart = rng.choice([0, 1, 23, 24, 25, mantissa, mantissa + 1, mantissa + 2, 2 * mantissa], number)
        few = np.where(rng.integers(0, 2, number) > 0, np.uint64(0), np.uint64(1))
        if rng.integers(0, 2):  # a tie of float32, broken by what float64 has no room for
            apart, few, minus = np.full(number, 70), 0 * few, np.full(number, rng.integers(0, 2))
            apart[:2] = [0, 24][:number]
        return bits(np.minimum(order + mantissa // 2, top - 1) - apart, few, minus)
    if style == 6:  # not numbers, infinities and zeros among the rest
        ends = bits(np.full(number, top), fraction * np.uint64(rng.integers(0, 2)), minus)
        kinds = rng.integers(0, 3, number)
        return np.where(kinds == 0, ends, np.where(kinds == 1, bits(0 * near, 0 * fraction, minus), fraction))
    return bits(rng.integers(0, top + 1, number), fraction, minus)


def _merged_and_removed(rng: Random, merged: list[str], others: list[str]) -> list[str]:
    """Some of what was merged is removed, and at times what was never merged."""
    if rng.integers(0, 2):
        return merged
    removed = [merged[i] for i in rng.permutation(len(merged))[: rng.integers(0, len(merged) + 1)]]
    return [*merged, "-", *removed, *others[: rng.integers(0, len(others) + 1)]]


def _terms(rng: Random, long: bool) -> int:
    return int(rng.integers(0, MANY if long and rng.integers(0, 25) == 0 else FEW))


def _floats(mantissa: int, width: int) -> Callable[[Random], list[str]]:
    def case(rng: Random) -> list[str]:
        number = _terms(rng, long=True)
        words = [hex(x) for x in patterns(rng, number + 2, mantissa, width).tolist()]
        return _merged_and_removed(rng, words[:number], words[number:])

    return case


def _products(mantissa: int, width: int) -> Callable[[Random], list[str]]:
    def case(rng: Random) -> list[str]:
        number = _terms(rng, long=False)
        both = [patterns(rng, number + 2, mantissa, width).tolist() for _ in range(2)]
        words = [f"{x:#x},{y:#x}" for x, y in zip(*both, strict=True)]
        return _merged_and_removed(rng, words[:number], words[number:])

    return case


# Moments, lifts, bounds


def _integers(rng: Random, number: int, bits: int) -> list[int]:
    """Signed integers below a power of two, small ones and both ends included."""
    size = rng.integers(1, bits + 1, number) if rng.integers(0, 2) else np.full(number, bits)
    values = [int(rng.integers(0, 1 << 62)) << 62 | int(rng.integers(0, 1 << 62)) for _ in range(number)]
    sizes = [int(s) for s in size]
    values = [v % (1 << s) for v, s in zip(values, sizes, strict=True)]
    if rng.integers(0, 4) == 0:
        values = [(1 << s) - 1 for s in sizes]
    return [-v if rng.integers(0, 2) else v for v in values]


def _moments(rng: Random) -> list[str]:
    scales, ranges = LIFTS[rng.integers(0, len(LIFTS))]
    number = int(rng.integers(3, FEW))
    columns = [_integers(rng, number, s + r) for s, r in zip(scales, ranges, strict=True)]
    if len(scales) > 1 and rng.integers(0, 4) == 0:
        columns[1] = [min(max(x, -1 << (scales[1] + ranges[1] - 1)), 1) for x in columns[0]]
    words = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    removed = words[: rng.integers(0, number - 2)] if rng.integers(0, 2) else []
    order = [words[i] for i in rng.permutation(number)]
    return [
        ",".join(map(str, scales)),
        ",".join(map(str, ranges)),
        *order,
        *(["-", *removed] if removed else []),
    ]


def _lift(rng: Random) -> list[str]:
    scale, limit = FIXED[rng.integers(0, len(FIXED))]
    if rng.integers(0, 2):  # a float32, exactly
        narrow = patterns(rng, 1, 23, 8).astype(np.uint32).view(np.float32)
        with np.errstate(invalid="ignore"):  # NaN that signal
            bits = narrow.astype(np.float64).view(np.uint64)
    elif rng.integers(0, 2):  # about as large as the ticks are, ties included
        ticks = _integers(rng, 1, min(scale + limit + 1, 62))[0] + rng.choice([0.0, 0.25, 0.5, 0.75])
        bits = np.ldexp(np.array([float(ticks)]), -scale).view(np.uint64)
    else:
        bits = patterns(rng, 1, 52, 11)
    return [str(scale), str(limit), hex(int(bits[0]))]


def _liars(rng: Random) -> list[str]:
    observers = int(rng.integers(1, 8))
    said = _integers(rng, observers, int(rng.choice([3, 64, 66, 100])))
    if rng.integers(0, 2):  # some whose upper words are tied
        said = [(said[0] >> 64 << 64) + abs(x) % (1 << 64) if rng.integers(0, 2) else x for x in said]
    return [str(rng.integers(0, (observers + 1) // 2)), *map(str, said)]


# Exponentials and logarithms


def _exp(rng: Random) -> list[str]:
    size = int(rng.choice([1, 4, 12, 31, 33, 62]))
    fraction = int(rng.integers(0, 1 << 64, dtype=np.uint64)) >> int(rng.choice([0, 0, 0, 20, 60, 64]))
    if rng.integers(0, 20) == 0:
        fraction = (1 << 64) - 1 - fraction
    return [str(_integers(rng, 1, size)[0]), str(fraction)]


def _ln(rng: Random) -> list[str]:
    size, one = int(rng.choice([1, 4, 12, 31, 33, 62])), 1 << 63
    mantissa = one + (int(rng.integers(0, one, dtype=np.uint64)) >> int(rng.choice([0, 0, 0, 20, 50, 63])))
    if rng.integers(0, 10) == 0:  # where the entry of the table changes
        mantissa = min(max((mantissa >> 55 << 55) + int(rng.integers(-2, 3)), one), 2 * one - 1)
    return [str(_integers(rng, 1, size)[0]), str(mantissa)]


KINDS: dict[str, Callable[[Random], list[str]]] = {
    "float64": _floats(52, 11),
    "float32": _floats(23, 8),
    "float64_product": _products(52, 11),
    "float32_product": _products(23, 8),
    "moments": _moments,
    "lift": _lift,
    "liars": _liars,
    "exp": _exp,
    "ln": _ln,
}
"""What a case of each kind consists of."""

SHARES = {"float64": 4, "float32": 4, "float64_product": 2, "float32_product": 2, "moments": 2, "lift": 2}
SHARES |= {"liars": 1, "exp": 2, "ln": 1}
"""In twentieths of all cases."""


def numbers(cases: int) -> dict[str, int]:
    """How many cases of each kind; together they are `cases`."""
    ends = np.cumsum([0, *SHARES.values()]) * cases // sum(SHARES.values())
    return {kind: int(b - a) for kind, (a, b) in zip(SHARES, pairwise(ends), strict=True)}
