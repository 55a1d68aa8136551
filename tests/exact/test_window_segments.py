"""Windowed sums of groups: exact, the same in NumPy and JAX, and the mask of what the window cannot hold."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.exact import digits
from convergence_jax.exact.constants import FLOAT64, WINDOW, WINDOW_FIRST_DIGIT
from convergence_jax.exact.terms import within_window
from convergence_jax.exact.window_segments import full_segments, window_segments
from convergence_jax.testing import strategies

GROUPS, ROWS = 3, 16
UNIT = Fraction(2) ** WINDOW.lsb
EDGES = [
    2.0**14,
    np.nextafter(2.0**14, 0.0),
    -(2.0**14),
    2.0**-82,
    2.0**-83,
    3 * 2.0**-83,
    2.0**-30 + 2.0**-82,
    2.0**-31 + 2.0**-83,
    0.0,
    -0.0,
]
values = st.one_of(strategies.floats(), st.sampled_from(EDGES), st.floats(-50.0, 50.0))


def in_window(x):
    return np.isfinite(x) and abs(x) < 2.0**14 and (Fraction(float(x)) / UNIT).denominator == 1


def test_the_window_is_a_slice_of_the_full_accumulator():
    assert WINDOW.lsb == FLOAT64.lsb + 32 * WINDOW_FIRST_DIGIT
    assert WINDOW.count_bits == 31


@given(strategies.columns(values))
def test_the_mask_is_true_of_multiples_of_the_unit_within_the_range(x):
    expected = [in_window(v) for v in x]
    assert within_window(x).tolist() == expected
    assert np.asarray(within_window(jnp.asarray(x))).tolist() == expected


@given(strategies.columns(values), st.lists(st.integers(0, GROUPS - 1), min_size=ROWS, max_size=ROWS))
@example(np.array([5e-324] * ROWS), [0] * ROWS)
@example(np.array([2.0**13, 2.0**-82] * (ROWS // 2)), [1] * ROWS)
@example(np.array([2.0**14, 1.0] * (ROWS // 2)), [1] * ROWS)
def test_sums_and_mask_are_exact_and_the_same_in_numpy_and_jax(x, group):
    group = np.array(group, dtype=np.int32)
    expected = [
        sum(
            (Fraction(v) for v, g in zip(x.tolist(), group, strict=True) if g == k and in_window(v)),
            Fraction(0),
        )
        for k in range(GROUPS)
    ]
    outside = np.array([not in_window(v) for v in x])
    for made, mask in (
        window_segments(x, group, GROUPS),
        window_segments(jnp.asarray(x), jnp.asarray(group), GROUPS),
    ):
        assert [int(v) * UNIT for v in digits.to_ints(made)] == expected
        assert outside.any() == (mask is not None)
        assert mask is None or (mask == outside).all()


@pytest.mark.parametrize("scale", [1.0, 1e-8, 3000.0])
@pytest.mark.parametrize("columns", [1, 3])
def test_many_rows_and_several_columns_add_like_one_row_after_the_other(scale, columns):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((70_000, columns)) * scale
    group = rng.integers(0, 50, len(x)).astype(np.int32)
    one, mask = window_segments(x, group, 50)
    two, mask_two = window_segments(jnp.asarray(x), jnp.asarray(group), 50)
    assert (one == np.asarray(two)).all()
    assert (mask is None) == (mask_two is None)
    kept = x if mask is None else np.where(mask, 0.0, x)
    full = full_segments(kept, group, 50)
    assert (full[..., WINDOW_FIRST_DIGIT : WINDOW_FIRST_DIGIT + 4] == one).all()
    exact = sum(map(Fraction, x[group == 7, 0]), Fraction(0))
    rest = full_segments(np.where(np.zeros_like(x, bool) if mask is None else mask, x, 0.0), group, 50)
    total = digits.to_ints(digits.add(full, rest))[7, 0]
    assert int(total) * Fraction(2) ** FLOAT64.lsb == exact


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="float64"):
        window_segments(np.ones(3, np.float32), np.zeros(3, np.int32), 1)
