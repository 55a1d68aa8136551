"""The answers of the code to cases of the oracle, in the oracle's own words: NumPy, compiled JAX, OpenCL.

Cases go in batches of one shape, so that little is compiled: what pads a batch adds nothing to any state.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convergence_jax.consensus.bounds import honest_range
from convergence_jax.exact import digits as group
from convergence_jax.exact import exp_ln
from convergence_jax.exact.constants import (
    FLOAT32,
    FLOAT32_PRODUCT,
    FLOAT64,
    FLOAT64_PRODUCT,
    WINDOW,
    Format,
)
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.reals import Fixed
from convergence_jax.exact.superaccumulator import AccumulatorState, Superaccumulator
from convergence_jax.statistics.faults import no_faults
from convergence_jax.statistics.moments import Moments, MomentsState
from proofs.oracle.draws import FEW, MANY

Words = list[str]
Batch = list[int]
"""Numbers of the cases that go together."""

FORMATS = {f.name: f for f in (FLOAT32, FLOAT64, FLOAT32_PRODUCT, FLOAT64_PRODUCT)}
WIDTH = 128
"""Cases of a batch."""
OBSERVERS = 8
ELEMENTS = 2048


class Code:
    """The library on NumPy; on JAX with ``compiled``."""

    def __init__(self, compiled: bool = False) -> None:
        self.xp: Any = jnp if compiled else np
        self._compiled: dict[Any, Callable[..., Any]] | None = {} if compiled else None

    def answers(self, cases: Sequence[str]) -> list[str]:
        """The answers to cases of one kind, in their order."""
        if not cases:
            return []
        words = [case.split() for case in cases]
        kind = words[0][0]
        answer = self.sums if kind in FORMATS else getattr(self, kind)
        found: list[str] = [""] * len(cases)
        for places, made in answer(kind, [row[1:] for row in words]):
            for place, text in zip(places, made, strict=False):  # what pads a batch comes last
                found[place] = text
        return found

    def call(self, name: Any, function: Callable[..., Any], *arrays: Any) -> Any:
        """A function of arrays, compiled once for each name, as NumPy arrays."""
        if self._compiled is None:
            with np.errstate(invalid="ignore"):  # NaN that signal
                return function(*arrays)
        run = self._compiled.setdefault(name, jax.jit(function))
        return jax.tree.map(np.asarray, run(*jax.tree.map(jnp.asarray, arrays)))

    # Each gives batches: the places of its cases, and their answers.

    def sums(self, kind: str, words: list[Words]) -> Iterator[tuple[Batch, list[str]]]:
        format = FORMATS[kind]
        for places, merged, removed in term_batches(kind, words):
            state = self.state_of_sums(format, merged, removed)
            yield places, self.texts_of_sums(format, state)

    def state_of_sums(self, format: Format, merged: Any, removed: Any) -> AccumulatorState:
        """States of columns."""
        stat = Superaccumulator(format)

        def collected(columns: Any) -> AccumulatorState:
            return stat.collect(tuple(columns) if stat.product else columns)

        def lifted(columns: Any) -> AccumulatorState:
            return stat.total(stat.lift(tuple(columns) if stat.product else columns))

        # One by one too; not where that takes XLA as long again to compile.
        taken = lifted if self.xp is np or format == FLOAT32 else collected
        plus = self.call((format.name, "collected"), collected, merged)
        minus = self.call((format.name, taken.__name__), taken, removed)
        return self.call((format.name, "remove"), stat.remove, plus, minus)

    def texts_of_sums(self, format: Format, state: AccumulatorState) -> list[str]:
        def present(digits: Any, *counts: Any) -> Any:
            stat, state = Superaccumulator(format), AccumulatorState(digits, *counts)
            return stat.present(state, np.float64), stat.present(state, np.float32)

        given = state.digits, state.nan, state.pos_inf, state.neg_inf
        values = self.call((format.name, "present"), present, *given)
        return texts_of_sums(state, *values)

    def moments(self, kind: str, words: list[Words]) -> Iterator[tuple[Batch, list[str]]]:
        for places, moments, both in observation_batches(words):

            def total(ticks: Any, count: Any, moments: Moments = moments) -> MomentsState:
                faults = no_faults(self.xp, ticks.shape)
                return moments.total(moments.from_ticks(ticks, count, faults))

            # A state depends on the form of its lifts alone: so little is compiled.
            form = moments.features, moments.wide
            sides = [self.call(("total", form), total, *side) for side in both]
            made = self.call(("remove", form), sides[0].statistic.remove, *sides)
            yield places, texts_of_moments(dataclasses.replace(made, statistic=moments))

    def lift(self, kind: str, words: list[Words]) -> Iterator[tuple[Batch, list[str]]]:
        for (scale, limit), places in by_key(words, lambda row: (int(row[0]), int(row[1]))):
            lift = FixedPoint(scale, limit).lift
            for some in slices(places, ELEMENTS):
                xs = padded([int(words[p][2], 16) for p in some], ELEMENTS, np.uint64).view(np.float64)
                ticks, held = self.call((scale, limit, 64), lift, xs)
                made = [f"{t} {h:d}" for t, h in zip(ticks.tolist(), held.tolist(), strict=True)]
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    narrow = xs.astype(np.float32)
                ticks, held = self.call((scale, limit, 32), lift, narrow)
                same = (narrow.astype(np.float64) == xs).tolist()
                again = [f"{t} {h:d}" for t, h in zip(ticks.tolist(), held.tolist(), strict=True)]
                pairs = zip(made, again, same, strict=True)
                yield some, [a if a == b or not s else f"{a}, as float32 {b}" for a, b, s in pairs]

    def liars(self, kind: str, words: list[Words]) -> Iterator[tuple[Batch, list[str]]]:
        for liars, places in by_key(words, lambda row: int(row[0])):
            for some in slices(places, WIDTH):
                said = [[*map(int, words[p][1:]), *[0] * (OBSERVERS + 1 - len(words[p]))] for p in some]
                said += [[0] * OBSERVERS] * (WIDTH - len(said))
                table = group.from_ints(said, WINDOW.digits)
                ends = self.call(liars, lambda table, liars=liars: honest_range(table, liars), table)
                yield some, [f"{a} {b}" for a, b in zip(*map(group.to_ints, ends), strict=True)]

    def exp(self, kind: str, words: list[Words]) -> Iterator[tuple[Batch, list[str]]]:
        for places, first, second in word_batches(words, np.uint64(0)):
            yield places, self.pairs(exp_words, first, second)

    def ln(self, kind: str, words: list[Words]) -> Iterator[tuple[Batch, list[str]]]:
        for places, first, second in word_batches(words, np.uint64(1 << 63)):
            yield places, self.pairs(ln_words, first, second)

    def pairs(self, function: Callable[..., Any], first: np.ndarray, second: np.ndarray) -> list[str]:
        made = self.call(function, function, first, second)
        return [f"{a} {b}" for a, b in zip(*(part.tolist() for part in made), strict=True)]


class OpenCl(Code):
    """The library's kernels, for the kinds that they have; sums are collected one case at a time."""

    KINDS = ("float64", "float32", "moments", "exp", "ln")

    def __init__(self, host: Any) -> None:
        super().__init__()
        self.host = host

    def state_of_sums(self, format: Format, merged: Any, removed: Any) -> AccumulatorState:
        from convergence_jax.fpga.superaccumulator import FpgaSuperaccumulator

        def collect(columns: np.ndarray) -> AccumulatorState:
            """Both forms of the kernels in turn."""
            forms = [FpgaSuperaccumulator(self.host, format, task) for task in (True, False)]
            states = [forms[i % 2].collect(np.trim_zeros(x, "b")) for i, x in enumerate(columns.T)]
            return jax.tree.map(lambda *leaves: np.stack(leaves), *states)

        return FpgaSuperaccumulator(self.host, format).remove(collect(merged), collect(removed))

    def texts_of_sums(self, format: Format, state: AccumulatorState) -> list[str]:
        from convergence_jax.fpga.superaccumulator import FpgaSuperaccumulator

        stat = FpgaSuperaccumulator(self.host, format)
        return texts_of_sums(state, stat.present(state, np.float64), stat.present(state, np.float32))

    def moments(self, kind: str, words: list[Words]) -> Iterator[tuple[Batch, list[str]]]:
        from convergence_jax.fpga.moments import FpgaMoments

        kernels = FpgaMoments(self.host)
        for places, moments, both in observation_batches(words):
            states = []
            for ticks, count in both:
                cell = np.where(count > 0, np.arange(count.shape[1]), -1).ravel()
                rows = ticks.reshape(-1, moments.features).T
                states.append(kernels.group_moments(moments, rows, cell, count.shape[1]))
            yield places, texts_of_moments(moments.remove(*states))

    def pairs(self, function: Callable[..., Any], first: np.ndarray, second: np.ndarray) -> list[str]:
        from convergence_jax.fpga import exp_ln as kernels

        made = (
            kernels.exp(self.host, Fixed(first, second))
            if function is exp_words
            else kernels.ln(self.host, first, second)
        )
        return [f"{a} {b}" for a, b in zip(*(part.tolist() for part in made), strict=True)]


def exp_words(whole: Any, fraction: Any) -> Any:
    """``exp``, of two words."""
    return exp_ln.exp(Fixed(whole, fraction))


def ln_words(exponent: Any, mantissa: Any) -> Any:
    """``ln``, as a tuple."""
    return tuple(exp_ln.ln(exponent, mantissa))


# Cases as arrays


def by_key(words: list[Words], key: Callable[[Words], Any]) -> Iterator[tuple[Any, Batch]]:
    """Places of the cases with the same key."""
    places = defaultdict(list)
    for place, row in enumerate(words):
        places[key(row)].append(place)
    yield from places.items()


def slices(places: Batch, width: int) -> Iterator[Batch]:
    """At most `width` at a time."""
    yield from (places[start : start + width] for start in range(0, len(places), width))


def padded(values: list[int], length: int, dtype: Any, fill: int = 0) -> np.ndarray:
    """An array of one length."""
    return np.array(values + [fill] * (length - len(values)), dtype)


def parted(row: Words) -> tuple[Words, Words]:
    """What is merged and what is removed."""
    end = row.index("-") if "-" in row else len(row)
    return row[:end], row[end + 1 :]


def term_batches(kind: str, words: list[Words]) -> Iterator[tuple[Batch, Any, Any]]:
    """Columns of floats, or pairs of them, to merge and to remove."""
    word, float_ = (np.uint32, np.float32) if kind.startswith("float32") else (np.uint64, np.float64)
    factors = 2 if kind.endswith("product") else 1

    def columns(rows: tuple[Words, ...]) -> np.ndarray:
        table = np.zeros((WIDTH, MANY + 1, factors), word)
        for line, row in zip(table, rows, strict=False):
            if row:
                line[: len(row)] = [[int(x, 16) for x in text.split(",")] for text in row]
        made = np.ascontiguousarray(table.view(float_).transpose(2, 1, 0))
        return made if factors == 2 else made[0]

    for some in slices(list(range(len(words))), WIDTH):
        merged, removed = zip(*(parted(words[p]) for p in some), strict=True)
        yield some, columns(merged), columns(removed)


def observation_batches(words: list[Words]) -> Iterator[tuple[Batch, Moments, list[tuple]]]:
    """Ticks and counts of observations, to merge and to remove."""
    for (scales, ranges), places in by_key(words, lambda row: (row[0], row[1])):
        lifts = zip(map(int, scales.split(",")), map(int, ranges.split(",")), strict=True)
        moments = Moments(tuple(FixedPoint(scale, limit) for scale, limit in lifts))
        for some in slices(places, WIDTH):
            both = []
            for rows in zip(*(parted(words[p][2:]) for p in some), strict=True):
                ticks = np.zeros((WIDTH, FEW, moments.features), np.int64)
                count = np.zeros((WIDTH, FEW), np.int64)
                for line, held, row in zip(ticks, count, rows, strict=False):
                    if row:
                        line[: len(row)] = [list(map(int, text.split(","))) for text in row]
                    held[: len(row)] = 1
                both.append((ticks.transpose(1, 0, 2), count.T))
            yield some, moments, both


def word_batches(words: list[Words], fill: np.uint64) -> Iterator[tuple[Batch, np.ndarray, np.ndarray]]:
    """A signed and an unsigned word each."""
    for some in slices(list(range(len(words))), ELEMENTS):
        first = padded([int(words[p][0], 0) for p in some], ELEMENTS, np.int64)
        yield some, first, padded([int(words[p][1], 0) for p in some], ELEMENTS, np.uint64, int(fill))


# Answers as words


def hexadecimal(digits: np.ndarray) -> list[str]:
    """Digits, most significant first: ``UInt32[n, L]``."""
    text, size = digits[:, ::-1].astype(">u4").tobytes().hex(), 8 * digits.shape[1]
    return [text[size * i : size * (i + 1)] for i in range(len(digits))]


def texts_of_sums(state: AccumulatorState, as_float64: np.ndarray, as_float32: np.ndarray) -> list[str]:
    """Digits, counts, and both answers in bits."""
    counts = [kind.tolist() for kind in (state.nan, state.pos_inf, state.neg_inf)]
    bits = [as_float64.view(np.uint64).tolist(), as_float32.view(np.uint32).tolist()]
    columns = [hexadecimal(state.digits), *counts, *bits]
    return [" ".join(map(str, row)) for row in zip(*columns, strict=True)]


def texts_of_moments(state: MomentsState) -> list[str]:
    """Count, digits of sums and of products, and means and covariances in bits."""
    moments, made = state.statistic, []
    value = moments.present(state)
    first, second = moments.pairs
    upper = np.ascontiguousarray(value.covariance[:, first, second])
    numbers = [np.ascontiguousarray(x).view(np.uint64).tolist() for x in (value.mean, upper)]
    for i, count in enumerate(state.count.tolist()):
        digits = [",".join(hexadecimal(part[i])) for part in (state.sums, state.products)]
        made.append(" ".join([str(count), *digits, *(",".join(map(str, x[i])) for x in numbers)]))
    return made
