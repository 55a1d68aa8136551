"""`Backend`: what sums the rows of a fleet. XLA does it unless a caller brings another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from convergence_jax.data.stages import execution
from convergence_jax.hierarchy import mesh
from convergence_jax.hierarchy.mesh import SpreadLeafSums
from convergence_jax.hierarchy.reduce import merge_upwards
from convergence_jax.hierarchy.segment_moments import moments_by_segment
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import map_arrays

_FEW_ROWS, _ROWS, _FEW_GROUPS = 2**12, 2**18, 2**12


class LeafTable(Protocol):
    """A growing table of counts and sums, exact in any order of rows and batches."""

    def add(self, ticks: np.ndarray, segments: np.ndarray) -> None:
        """Add rows, ``Int[features, n]``; `segments` says to which leaf each goes."""
        ...

    def state(self, leaves: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts ``Int64[leaves]`` and digits of the sums ``UInt32[leaves, features, 2W]``."""
        ...


class Backend(Protocol):
    """Exact sums of ticks; every backend gives the same bits."""

    def leaf_table(self, moments: Moments) -> LeafTable:
        """An empty table."""
        ...

    def group_moments(
        self, moments: Moments, ticks: np.ndarray, group: np.ndarray, groups: int
    ) -> MomentsState:
        """Moments of each group, on the host: ``Int[features, rows]`` and the group of each row."""
        ...

    def merge_upwards(
        self, state: MomentsState, parents: Sequence[np.ndarray], sizes: Sequence[int]
    ) -> tuple[MomentsState, ...]:
        """States of every level, on the host, coarse to fine, from those of the finest."""
        ...

    @property
    def execution(self) -> dict[str, Any]:
        """Where it ran and what it took so far: the ``execution`` of a result."""
        ...


@dataclass(frozen=True)
class Xla:
    """The backend of JAX.

    Attributes
    ----------
    devices : int, default 1
        Over how many devices rows are split.
    """

    devices: int = 1

    def leaf_table(self, moments: Moments) -> LeafTable:
        """A table for each device."""
        return SpreadLeafSums(moments, jax.devices()[: self.devices])

    def group_moments(
        self, moments: Moments, ticks: np.ndarray, group: np.ndarray, groups: int
    ) -> MomentsState:
        """In slices of few sizes, which are compiled in: all batches and levels share one executable."""
        capacity = max(64, 1 << (groups - 1).bit_length())
        rows = _FEW_ROWS if len(group) <= _FEW_ROWS else _ROWS if capacity <= _FEW_GROUPS else 4 * _ROWS
        lanes = map_arrays(lambda x: x.astype(np.int64), moments.empty((groups,)))
        for start in range(0, len(group), rows):
            part, where = ticks[:, start : start + rows], group[start : start + rows]
            missing = rows - len(where)
            part = np.pad(part, ((0, 0), (0, missing)))
            where = np.pad(where, (0, missing), constant_values=-1)
            if self.devices > 1:
                devices = jax.devices()[: self.devices]
                state = mesh.moments_by_segment(moments, part, where, capacity, devices=devices)
            else:
                state = moments_by_segment(moments, part, where, capacity)
            held = map_arrays(lambda x: np.asarray(x)[:groups].astype(np.int64), state)
            lanes = map_arrays(np.add, lanes, held)
        return moments.of_lanes(lanes)

    def merge_upwards(
        self, state: MomentsState, parents: Sequence[np.ndarray], sizes: Sequence[int]
    ) -> tuple[MomentsState, ...]:
        """One level after the other."""
        return tuple(map_arrays(np.asarray, level) for level in merge_upwards(state, parents, sizes))

    @property
    def execution(self) -> dict[str, Any]:
        """XLA tells neither launches nor bytes."""
        return execution(self.devices)
