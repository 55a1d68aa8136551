"""Products of integers in digits are those of Python's integers, in NumPy and in compiled JAX alike."""

import jax
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.exact import digits
from convergence_jax.exact.multiply import multiply, multiply_ticks


def signed(bits: int) -> st.SearchStrategy[int]:
    """Integers of two's complement, the ends more often."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return st.one_of(st.sampled_from([low, low + 1, -1, 0, 1, high]), st.integers(low, high))


@pytest.mark.parametrize("length", [1, 3, 5, 7])
@given(a=signed(64), b=signed(96))
@example(a=-(2**63), b=-(2**95))
@example(a=2**63 - 1, b=-1)
def test_a_product_is_that_of_the_integers_modulo_its_length(length, a, b):
    x, y = digits.from_ints(a, 2), digits.from_ints(b, 3)
    want = np.asarray(digits.from_ints(a * b, length))
    for one, other in ((x, y), (y, x)):
        np.testing.assert_array_equal(multiply(one, other, length), want)
    compiled = jax.jit(multiply, static_argnums=2)(x, y, length)
    np.testing.assert_array_equal(compiled, want)


def test_leading_axes_broadcast():
    a, b = [[1, -2, 3]], [[5], [-7]]
    product = multiply(digits.from_ints(a, 2), digits.from_ints(b, 3), 4)
    assert digits.to_ints(product).tolist() == [[5, -10, 15], [-7, 14, -21]]


@pytest.mark.parametrize(("wide", "bits", "length"), [(False, 32, 4), (True, 63, 8)])
@given(data=st.data())
def test_products_of_ticks_are_exact(wide, bits, length, data):
    a, b = (data.draw(st.lists(signed(bits), min_size=4, max_size=4)) for _ in range(2))
    if not wide:  # a narrow tick is a sign and 31 bits
        a, b = ([max(x, 1 - 2**31) for x in xs] for xs in (a, b))
    want = [x * y for x, y in zip(a, b, strict=True)]
    ticks = np.array(a, np.int64), np.array(b, np.int64)
    for product in (multiply_ticks, jax.jit(multiply_ticks, static_argnames="wide")):
        found = np.asarray(product(*ticks, wide=wide))
        assert found.shape == (4, length)
        assert digits.to_ints(found).tolist() == want
