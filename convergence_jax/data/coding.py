"""Values of a stream as small integers, in order of first appearance."""

from typing import Any

import numpy as np
import pyarrow as pa


class Coder:
    """Codes for the values of one column.

    Codes depend on the order of arrival; :meth:`order` sorts them by value, which does not.

    Attributes
    ----------
    values : list
        The value of each code.
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._code_of: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, column: pa.Array) -> np.ndarray:
        """Codes ``int64 (n,)`` of a column without nulls; new values take the next codes."""
        encoded = column.dictionary_encode()
        local = encoded.dictionary.to_pylist()
        codes = np.fromiter((self._code(value) for value in local), dtype=np.int64, count=len(local))
        return codes[encoded.indices.to_numpy(zero_copy_only=False)]

    def _code(self, value: Any) -> int:
        code = self._code_of.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        return code

    def order(self) -> np.ndarray:
        """Codes in ascending order of their values, ``int64 (len(self),)``; text as its UTF-8 bytes."""
        # Code points order as their UTF-8 bytes do, so comparing text is comparing bytes.
        return np.array(sorted(range(len(self.values)), key=self.values.__getitem__), dtype=np.int64)


def pair(first: np.ndarray, second: np.ndarray) -> pa.Array:
    """Pairs of codes below ``2**31`` as one column."""
    return pa.array((first << 32) | second)


def unpair(values: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """First and second member of pairs, ``int64`` each."""
    pairs = np.array(values, dtype=np.int64)
    return pairs >> 32, pairs & np.int64(0xFFFFFFFF)


def positions(order: np.ndarray) -> np.ndarray:
    """Inverse of a permutation: where each element went."""
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
