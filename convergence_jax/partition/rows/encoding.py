"""States as bytes: the integers of a state, shortest first, and one encoding for each state.

A state is read field by field in the order of its class, dictionaries by key, and its identity is left out:
who decodes names the statistic. An array of ``uint32`` holds digits along its last axis and gives one integer
in two's complement for each row; any other array gives its elements. An integer is zigzag LEB128: the sign in
the lowest bit, then seven bits a byte, lowest first. A run of zeros is one byte 0 and how many more.
Whatever is not the shortest form is refused, so equal states have equal bytes and equal bytes equal states.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from convergence_jax.exact import digits
from convergence_jax.statistics.law import Statistic
from convergence_jax.statistics.state import is_static, map_arrays


def encode(state: Any) -> bytes:
    """Bytes of a state of integer arrays."""
    out = bytearray()
    zeros = 0
    for array in _arrays(state):
        for number in _integers(np.asarray(array)):
            if number == 0:
                zeros += 1
                continue
            if zeros:
                _zeros(zeros, out)
                zeros = 0
            _unsigned(2 * number if number > 0 else -2 * number - 1, out)
    if zeros:
        _zeros(zeros, out)
    return bytes(out)


def decode(statistic: Statistic[Any, Any], data: bytes) -> Any:
    """The state of a statistic that has these bytes.

    Raises
    ------
    ValueError
        If no state of the statistic encodes to them.
    """
    numbers = _Reader(data)
    state = map_arrays(lambda array: _filled(np.asarray(array), numbers), statistic.empty())
    numbers.finish()
    return state


def _arrays(state: Any) -> Iterator[Any]:
    if isinstance(state, dict):
        for key in state:
            yield from _arrays(state[key])
    elif dataclasses.is_dataclass(state):
        for field in dataclasses.fields(state):
            if not is_static(field):
                yield from _arrays(getattr(state, field.name))
    else:
        yield state


def _in_digits(array: np.ndarray) -> bool:
    return array.dtype == np.uint32 and array.ndim > 0


def _integers(array: np.ndarray) -> list[int]:
    if _in_digits(array):
        raw = array.astype("<u4").tobytes()
        step = 4 * array.shape[-1]
        return [
            int.from_bytes(raw[start : start + step], "little", signed=True)
            for start in range(0, len(raw), step)
        ]
    return array.reshape(-1).tolist()


def _filled(template: np.ndarray, numbers: "_Reader") -> np.ndarray:
    if _in_digits(template):
        length = template.shape[-1]
        rows = [numbers.signed(32 * length) for _ in range(template.size // length)]
        return digits.from_ints(rows, length).reshape(template.shape)
    if template.dtype.kind not in "iu":
        raise TypeError(f"decode: states hold integers, got {template.dtype}.")
    limits = np.iinfo(template.dtype)
    values = [numbers.signed(limits.bits + 1) for _ in range(template.size)]
    if values and not (limits.min <= min(values) and max(values) <= limits.max):
        raise ValueError(f"decode: a number does not fit {template.dtype}.")
    return np.array(values, dtype=template.dtype).reshape(template.shape)


def _unsigned(number: int, out: bytearray) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _zeros(run: int, out: bytearray) -> None:
    out.append(0)
    _unsigned(run - 1, out)


class _Reader:
    """Integers out of bytes, one by one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._zeros = 0
        self._ran = False  # the last thing read was a run of zeros

    def signed(self, bits: int) -> int:
        """The next integer; one that takes more than `bits` in two's complement is refused."""
        if self._zeros:
            self._zeros -= 1
            return 0
        number = self._unsigned()
        if number == 0:
            if self._ran:
                raise ValueError("decode: two runs of zeros where one would do.")
            self._zeros, self._ran = self._unsigned(), True
            return 0
        self._ran = False
        if (number >> 1).bit_length() >= bits:
            raise ValueError(f"decode: a number takes more than {bits} bits.")
        return number >> 1 if number & 1 == 0 else -(number >> 1) - 1

    def finish(self) -> None:
        """Refuse what is left over."""
        if self._at != len(self._data) or self._zeros:
            raise ValueError("decode: bytes or zeros are left over.")

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            if self._at >= len(self._data):
                raise ValueError("decode: the bytes end too early.")
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if byte == 0 and shift > 7:
                    raise ValueError("decode: a number is longer than it needs to be.")
                return number
            if shift > 1 << 14:
                raise ValueError("decode: a number has no end.")
