"""Hypothesis strategies for observations of every kind; needs Hypothesis, of the extra ``test``.

Samples have one capacity and a mask, so that whatever is drawn, nothing compiles twice.
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from convergence_jax.statistics.hashing import hash_text
from convergence_jax.testing.sample import CAPACITY, Sample

SPECIAL_FLOATS = (
    0.0,
    -0.0,
    float("nan"),
    float(np.copysign(np.nan, -1.0)),  # has the bits of a number below -inf
    float("inf"),
    float("-inf"),
    5e-324,
    -5e-324,
    2.2250738585072009e-308,  # the largest subnormal
    2.2250738585072014e-308,  # the smallest normal number
    1.7976931348623157e308,
    -1.7976931348623157e308,
    1e-300,
    1e300,
    1.0,
    -1.0,
    0.5,
    0.1,
    2.0**11,
    -(2.0**11),
    float(np.nextafter(2.0**11, 0.0)),
    1.5 * 2.0**-20,  # a tie of the default lift
    2.5 * 2.0**-20,
)
"""One of every class, with the edges of the default lift."""


def floats() -> st.SearchStrategy[float]:
    """float64 of every class: any bit pattern, special and moderate values, ties of fixed-point lifts."""
    patterns = st.integers(0, 2**64 - 1).map(lambda b: float(np.uint64(b).view(np.float64)))
    moderate = st.floats(-1000.0, 1000.0, allow_subnormal=False)
    ties = st.integers(-(2**24), 2**24).map(lambda k: (k + 0.5) * 2.0**-20)
    return st.one_of(moderate, ties, st.sampled_from(SPECIAL_FLOATS), st.floats(), patterns)


def floats32() -> st.SearchStrategy[float]:
    """float32 of every class."""
    patterns = st.integers(0, 2**32 - 1).map(lambda b: float(np.uint32(b).view(np.float32)))
    return st.one_of(st.floats(-1000.0, 1000.0, width=32), st.floats(width=32), patterns)


def finite_floats() -> st.SearchStrategy[float]:
    """The finite ones of :func:`floats`."""
    return floats().filter(np.isfinite)


def hashes() -> st.SearchStrategy[int]:
    """64-bit hashes, those of short texts among them."""
    texts = st.text(max_size=3).filter(_is_unicode).map(lambda text: int(hash_text([text])[0]))
    return st.one_of(st.integers(0, 2**64 - 1), texts)


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(c) < 0xE000 for c in text)


def seen(capacity: int = CAPACITY) -> st.SearchStrategy[np.ndarray]:
    """Masks; often all True."""
    mask = st.lists(st.booleans(), min_size=capacity, max_size=capacity).map(np.array)
    return st.one_of(mask, st.just(np.ones(capacity, dtype=bool)))


def columns(
    elements: st.SearchStrategy[Any] | None = None,
    *,
    features: int | None = None,
    dtype: Any = np.float64,
    capacity: int = CAPACITY,
) -> st.SearchStrategy[np.ndarray]:
    """Arrays ``(capacity,)``, or ``(capacity, features)``."""
    shape = (capacity,) if features is None else (capacity, features)
    size = int(np.prod(shape))
    rows = st.lists(floats() if elements is None else elements, min_size=size, max_size=size)
    return rows.map(lambda values: np.array(values, dtype=dtype).reshape(shape))


def samples(
    elements: st.SearchStrategy[Any] | None = None, *, features: int | None = None, dtype: Any = np.float64
) -> st.SearchStrategy[Sample]:
    """Samples of scalars, or of rows of `features`."""
    return samples_of(columns(elements, features=features, dtype=dtype))


def paired_samples(elements: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Sample]:
    """Samples of pairs, as a tuple of two arrays."""
    return samples_of(st.tuples(columns(elements), columns(elements)))


def hash_samples() -> st.SearchStrategy[Sample]:
    """Samples of 64-bit hashes."""
    return samples_of(columns(hashes(), dtype=np.uint64))


def samples_of(xs: st.SearchStrategy[Any]) -> st.SearchStrategy[Sample]:
    """Samples of whatever `xs` draws, ``(CAPACITY, ...)`` in every leaf."""
    return st.builds(Sample, xs=xs, seen=seen())


def orders(capacity: int = CAPACITY) -> st.SearchStrategy[np.ndarray]:
    """Permutations of a sample."""
    return st.permutations(range(capacity)).map(lambda order: np.array(order, dtype=np.int64))


def arities() -> st.SearchStrategy[int]:
    """A few arities, the whole capacity among them."""
    return st.sampled_from([2, 3, 5, 8, CAPACITY])
