"""`digest`: one line of text that two sites compare instead of their states.

SHA-256 over an encoding that says of every part what it is and how long it is, so that different parts never
encode alike, and that depends on no platform. A value is one tag byte, then:

=======  ===================================  =======================================================
tag      value                                content
=======  ===================================  =======================================================
``N``    None
``B``    truth value                          one byte, 0 or 1
``I``    integer of any size                  length, then two's complement, shortest, little-endian
``F``    float                                IEEE 754 binary64, little-endian; every NaN as one
``S``    text                                 length, then UTF-8
``Y``    bytes                                length, then the bytes
``L``    list or tuple                        number of items, then the items
``M``    dict with text keys                  number of items, then key and value, sorted by UTF-8 key
``A``    array of integers or truth values    type as text, number of axes, the shape, elements in C order
``T``    Arrow array of texts                 number, lengths as 64-bit integers, then all UTF-8
``R``    dataclass                            its name as text, then its fields as a dict
=======  ===================================  =======================================================

Lengths, numbers and shapes are unsigned 64-bit little-endian. A type is ``u`` or ``i`` and the bytes of an
element, or ``b``: an array of float arrays has no digest, since only exact states are compared.
"""

import dataclasses
import hashlib
import struct
import sys
from typing import Any, Protocol

import numpy as np


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


def digest(*parts: Any) -> str:
    """SHA-256 of values, as 64 hexadecimal digits.

    Parameters
    ----------
    *parts : Any
        None, truth values, integers, floats, texts, bytes, integer arrays of NumPy or JAX, Arrow arrays of
        texts, dataclasses such as states and lifts, and lists, tuples and dicts of these.

    Returns
    -------
    str
        The same for the same values on every platform, in every process.

    Raises
    ------
    TypeError
        For anything else, arrays of floats included.

    Examples
    --------
    >>> digest({"a": 1, "b": [2, "c"]}) == digest({"b": (2, "c"), "a": 1})
    True
    """
    sha = hashlib.sha256()
    _encode(list(parts), sha)
    return sha.hexdigest()


def _encode(value: Any, sha: _Hash) -> None:
    if value is None:
        sha.update(b"N")
    elif isinstance(value, bool | np.bool_):
        sha.update(b"B\1" if value else b"B\0")
    elif isinstance(value, int | np.integer):
        number = int(value)
        _bytes(b"I", number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True), sha)
    elif isinstance(value, float):
        sha.update(b"F" + struct.pack("<d", value if value == value else float("nan")))
    elif isinstance(value, str):
        _bytes(b"S", value.encode(), sha)
    elif isinstance(value, bytes):
        _bytes(b"Y", value, sha)
    elif isinstance(value, list | tuple):
        sha.update(b"L" + _number(len(value)))
        for item in value:
            _encode(item, sha)
    elif isinstance(value, dict):
        _dict(value, sha)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        sha.update(b"R")
        _encode(type(value).__name__, sha)
        _dict({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, sha)
    elif _is_arrow(value):
        _texts(value, sha)
    elif hasattr(value, "__array__"):
        _array(np.asarray(value), sha)
    else:
        raise TypeError(f"digest: cannot encode {type(value).__name__}; give integers, texts or states.")


def _number(count: int) -> bytes:
    return struct.pack("<Q", count)


def _bytes(tag: bytes, content: bytes, sha: _Hash) -> None:
    sha.update(tag + _number(len(content)))
    sha.update(content)


def _dict(value: dict[str, Any], sha: _Hash) -> None:
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"digest: keys must be texts, got {type(key).__name__}.")
    sha.update(b"M" + _number(len(value)))
    for key in sorted(value, key=str.encode):
        _encode(key, sha)
        _encode(value[key], sha)


def _array(value: np.ndarray, sha: _Hash) -> None:
    kind = value.dtype.kind
    if kind not in "iub":
        raise TypeError(f"digest: arrays must be of integers or truth values, got {value.dtype}.")
    sha.update(b"A")
    _encode("b" if kind == "b" else f"{kind}{value.dtype.itemsize}", sha)
    sha.update(_number(value.ndim) + b"".join(_number(length) for length in value.shape))
    ordered = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    sha.update(ordered.reshape(-1).view(np.uint8).data)


def _is_arrow(value: Any) -> bool:
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(value, arrow.Array | arrow.ChunkedArray)


def _texts(value: Any, sha: _Hash) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if not (pa.types.is_string(value.type) or pa.types.is_large_string(value.type)) or value.null_count:
        raise TypeError(f"digest: Arrow arrays must be texts without nulls, got {value.type}.")
    value = value.cast(pa.large_string())
    sha.update(b"T" + _number(len(value)))
    lengths = pc.binary_length(value).to_numpy(zero_copy_only=False)
    sha.update(np.ascontiguousarray(lengths, dtype="<i8").data)
    _, ends, content = value.buffers()
    if len(value):
        offsets = np.frombuffer(ends, dtype=np.int64)[value.offset : value.offset + len(value) + 1]
        sha.update(memoryview(content)[offsets[0] : offsets[-1]] if content is not None else b"")
