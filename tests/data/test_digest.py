"""One value, one digest; two values, two digests."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.data.digest import digest
from convergence_jax.exact.fixed_point import FixedPoint

GOLDEN = "3d5ed6fbaf9aa9a10ca1cf3dee24b5cb84ca1ae2449a94b79908835b03df44b6"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.binary(max_size=4) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class _Other:
    scale_bits: int
    range_bits: int


def canonical(value):
    """What must be told apart, with types, as something Python compares."""
    if isinstance(value, dict):
        return ("dict", tuple(sorted((key.encode(), canonical(item)) for key, item in value.items())))
    if isinstance(value, list):
        return ("list", tuple(canonical(item) for item in value))
    if isinstance(value, float):
        return ("float", "nan" if value != value else value.hex())
    return (type(value).__name__, value)


@given(a=values, b=values)
def test_two_values_have_one_digest_only_if_they_are_one_value(a, b):
    assert (digest(a) == digest(b)) == (canonical(a) == canonical(b))


def test_the_encoding_never_changes():
    parts = {
        "lift": FixedPoint(20, 11),
        "counts": np.arange(6, dtype=np.int64).reshape(2, 3),
        "digits": np.array([1, 2**32 - 1], dtype=np.uint32),
        "held": np.array([True, False]),
        "agents": pa.array(["ä", "b", ""]),
        "many": [None, True, 0, -1, 255, 2**80, 0.05, "text", b"bytes", (1, 2)],
    }
    assert digest("detect", parts) == GOLDEN


def test_byte_order_memory_order_and_library_leave_no_trace():
    x = np.arange(12, dtype=np.int64).reshape(3, 4)
    assert digest(x) == digest(x.astype(">i8")) == digest(np.asfortranarray(x)) == digest(jnp.asarray(x))
    assert digest(x[:, ::2]) == digest(x[:, ::2].copy())


def test_shape_and_type_are_part_of_the_value():
    x = np.arange(12, dtype=np.int64)
    assert (
        len({digest(y) for y in (x, x.reshape(3, 4), x.reshape(4, 3), x.astype(np.int32), x.view(np.uint64))})
        == 5
    )
    assert digest(FixedPoint(20, 11)) != digest(_Other(20, 11))
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest("a", "b") != digest(["a", "b"])


@given(texts=st.lists(st.text(max_size=5), max_size=8), cut=st.integers(0, 8))
def test_texts_are_the_same_in_one_piece_in_two_and_as_a_part(texts, cut):
    whole = pa.array(texts, pa.string())
    pieces = pa.chunked_array([whole[:cut], whole[cut:]], type=pa.string())
    part = pa.array(["x", *texts, "y"], pa.string())[1:-1]
    assert digest(whole) == digest(pieces) == digest(part) == digest(whole.cast(pa.large_string()))


@pytest.mark.parametrize("value", [np.ones(2), object(), {1: 2}, pa.array([1]), pa.array(["a", None]), 1j])
def test_what_is_not_exact_has_no_digest(value):
    with pytest.raises(TypeError, match="digest: "):
        digest(value)
