"""`Parts`: rows sorted into parts, and the parts dealt to work items in equal shares."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

LONGEST_PART = 1 << 16
"""Rows of a part, at most: longer segments have several, so that no work item waits for one."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Which rows are summed together.

    Attributes
    ----------
    order : UInt32[ndarray, "rows"]
        Rows, part by part.
    first : UInt32[ndarray, "parts + 1"]
        Where each part begins in `order`, and the end.
    segment : Int64[ndarray, "parts"]
        The segment that each part is of, ascending.
    """

    order: np.ndarray
    first: np.ndarray
    segment: np.ndarray

    def __len__(self) -> int:
        return len(self.segment)

    @cached_property
    def split(self) -> bool:
        """Whether any segment has several parts."""
        return bool((self.segment[1:] == self.segment[:-1]).any())

    def slices(self, most: int) -> Iterator["Parts"]:
        """Parts of fewer segments each, with at most so many parts where a segment has not more by itself."""
        starts = np.flatnonzero(np.diff(self.segment, prepend=-1))
        begin = 0
        while begin < len(self):
            place = int(np.searchsorted(starts, begin + most, side="right")) - 1
            end = len(self) if begin + most >= len(self) else int(starts[place])
            if end <= begin:  # one long segment
                later = starts[starts > begin]
                end = int(later[0]) if len(later) else len(self)
            yield Parts(self.order, self.first[begin : end + 1], self.segment[begin:end])
            begin = end

    def shares(self, workers: int) -> np.ndarray:
        """The first part of each worker, and the end, ``UInt32[workers + 1]``: about as many rows each."""
        goals = np.linspace(self.first[0], self.first[-1], workers + 1)
        found = np.searchsorted(self.first, goals).clip(0, len(self))
        found[0], found[-1] = 0, len(self)
        return found.astype(np.uint32)


def parts_of(segments: np.ndarray, longest: int = LONGEST_PART) -> Parts:
    """Sort rows by segment and cut long segments.

    Parameters
    ----------
    segments : Int[ndarray, "rows"]
        Segment of each row, in any order; negative for rows to leave out. Fewer than ``2**32`` rows.
    longest : int, default 65,536
        Rows of a part, at most.

    Returns
    -------
    Parts
        Of the segments that have rows.
    """
    segments = np.asarray(segments)
    order = _sorted(segments)
    ordered = segments[order].astype(np.int64)
    gone = int(np.searchsorted(ordered, 0))
    order, ordered = order[gone:], ordered[gone:]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(starts, append=len(ordered))
    several = np.maximum(1, -(-counts // longest))
    owner = np.repeat(np.arange(len(starts)), several)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(several) - several, several)
    first = np.append(starts[owner] + within * longest, len(ordered))
    return Parts(order.astype(np.uint32), first.astype(np.uint32), ordered[starts][owner])


def _sorted(segments: np.ndarray) -> np.ndarray:
    """Rows by segment, those of one segment in their order: halves of 16 bits, which NumPy sorts by radix."""
    if not len(segments) or segments.min() < 0 or segments.max() >> 32:
        return np.argsort(segments, kind="stable")
    order = np.argsort(segments.astype(np.uint16), kind="stable")
    if segments.max() < 1 << 16:
        return order
    return order[np.argsort((segments >> 16).astype(np.uint16)[order], kind="stable")]
