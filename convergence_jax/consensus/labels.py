"""Labels that observers gave to items: sparse rows of integer codes, in one canonical order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """Who said what about which item.

    Rows are sorted by item, worker and label when the object is made, so that nothing computed from it can
    depend on the order in which they came.

    Parameters
    ----------
    item, worker, label : int64[n]
        One row a rating, as codes from zero. The same worker may rate an item more than once.
    items, workers, classes : int
        How many there are; at least two classes. An item or a worker may have no row.
    gold : int64[items], optional
        The true class where it is known, -1 elsewhere. None: nowhere.

    Raises
    ------
    ValueError
        If lengths differ, a code is outside its range, or there are fewer than two classes.
    TypeError
        If codes are not integers.
    """

    item: Int
    worker: Int
    label: Int
    items: int
    workers: int
    classes: int
    gold: Int | None = None

    def __post_init__(self) -> None:
        codes = {name: _codes(name, getattr(self, name)) for name in ("item", "worker", "label")}
        if len({len(code) for code in codes.values()}) != 1:
            raise ValueError(f"Labels: columns must have one length, got {[len(c) for c in codes.values()]}.")
        if self.classes < 2:
            raise ValueError(f"Labels: classes must be at least 2, got {self.classes}.")
        for name, count in (("item", self.items), ("worker", self.workers), ("label", self.classes)):
            code = codes[name]
            if len(code) and not (code.min() >= 0 and code.max() < count):
                raise ValueError(f"Labels: {name} must be in 0..{count - 1}, got {code.min()}..{code.max()}.")
        order = np.lexsort((codes["label"], codes["worker"], codes["item"]))
        for name, code in codes.items():
            object.__setattr__(self, name, code[order])
        if self.gold is not None:
            gold = _codes("gold", self.gold)
            if len(gold) != self.items or (
                len(gold) and not (gold.min() >= -1 and gold.max() < self.classes)
            ):
                raise ValueError(f"Labels: gold must be {self.items} codes in -1..{self.classes - 1}.")
            object.__setattr__(self, "gold", gold)

    @property
    def known(self) -> NDArray[np.bool_]:
        """``bool[items]``: where the true class is known."""
        return np.zeros(self.items, bool) if self.gold is None else self.gold >= 0

    def votes(self) -> Float:
        """``float64[items, classes]``: how many rows give each class to each item."""
        table = np.bincount(self.item * self.classes + self.label, minlength=self.items * self.classes)
        return table.reshape(self.items, self.classes).astype(np.float64)

    def allowed(self) -> Float:
        """``float64[items, classes]``: 0 where a class is possible, minus infinity where gold excludes it."""
        table = np.zeros((self.items, self.classes))
        if self.gold is not None:
            table[self.known] = -np.inf
            table[self.known, self.gold[self.known]] = 0.0
        return table

    def without_gold(self) -> Labels:
        """The same rows with no item known."""
        return Labels(self.item, self.worker, self.label, self.items, self.workers, self.classes)

    def cells(self) -> tuple[Int, Int, Float]:
        """Distinct rows and how often each occurs: item, ``worker * classes + label``, count."""
        width = self.workers * self.classes
        code, count = np.unique(
            (self.item * self.workers + self.worker) * self.classes + self.label, return_counts=True
        )
        return code // width, code % width, count.astype(np.float64)


def from_columns(item: Any, worker: Any, label: Any, gold: dict[Any, Any] | None = None) -> Labels:
    """Codes for columns of any sortable values; gold items map to labels.

    Codes follow the sorted order of the values. Gold items or labels that no row names are ignored.

    Raises
    ------
    ValueError
        If fewer than two different labels occur.
    """
    items, item_code = np.unique(np.asarray(item), return_inverse=True)
    workers, worker_code = np.unique(np.asarray(worker), return_inverse=True)
    classes, label_code = np.unique(np.asarray(label), return_inverse=True)
    known = None
    if gold is not None:
        item_at = {value: code for code, value in enumerate(items.tolist())}
        class_at = {value: code for code, value in enumerate(classes.tolist())}
        known = np.full(len(items), -1, np.int64)
        for name, value in gold.items():
            if name in item_at and value in class_at:
                known[item_at[name]] = class_at[value]
    return Labels(item_code, worker_code, label_code, len(items), len(workers), len(classes), known)


def _codes(name: str, values: Any) -> Int:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"Labels: {name} must be one column of integers, got {array.dtype}{array.shape}.")
    return array.astype(np.int64)
