"""Rows split over devices: each sums its share, the shares are merged exactly, the bits are the same."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from convergence_jax.exact import digits
from convergence_jax.hierarchy.leaf_sums import LeafSums
from convergence_jax.hierarchy.segment_moments import segment_moments
from convergence_jax.hierarchy.segments import NOWHERE, SegmentLayout, lay_out
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import map_arrays

Array = Any

ROWS = "rows"
"""Name of the mesh axis along which rows are split."""


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """A mesh of one axis over the devices."""
    return Mesh(np.array(list(devices)), (ROWS,))


def merge_over(axis: str, state: MomentsState) -> MomentsState:
    """Merge the states of all devices along a mesh axis, inside ``shard_map``; every device gets them."""

    def total(x: Array) -> Array:
        if x.dtype != jnp.uint32:
            return lax.psum(x, axis)
        return digits.normalize(lax.psum(digits.lanes(x), axis))

    return map_arrays(total, state)


def moments_by_segment(
    statistic: Moments, xs: np.ndarray, segments: np.ndarray, num_segments: int, *, devices: Sequence[Any]
) -> MomentsState:
    """``segment_moments.moments_by_segment`` with the rows split over devices.

    Parameters
    ----------
    statistic, xs, segments, num_segments
        As there; `xs` on the host.
    devices : sequence of jax.Device
        Each takes an equal share of the rows.

    Returns
    -------
    MomentsState
        The same bits for any number of devices.
    """
    count = len(devices)
    share = max(1, -(-xs.shape[1] // count))
    missing = share * count - xs.shape[1]
    xs = np.pad(xs, ((0, 0), (0, missing)))
    segments = np.pad(segments, (0, missing), constant_values=-1)
    layouts = [lay_out(segments[k * share : (k + 1) * share], num_segments) for k in range(count)]
    return _moments_over(mesh_of(devices), statistic)(xs, stack_layouts(layouts))


def stack_layouts(layouts: Sequence[SegmentLayout]) -> SegmentLayout:
    """Layouts of equally many rows and segments, with a leading axis, one a device."""

    def stack(*arrays: np.ndarray) -> np.ndarray:
        size = max(a.shape[0] for a in arrays) if arrays[0].ndim else 0
        out = np.full(
            (len(arrays), size, *arrays[0].shape[1:])[: arrays[0].ndim + 1], NOWHERE, dtype=np.int32
        )
        for row, a in zip(out, arrays, strict=True):
            row[: len(a)] = a  # only parts and owners differ in number, and those beyond are nowhere
        return out

    scalars = np.array([layout.chunks for layout in layouts])
    lists = [replace(layout, chunks=np.zeros(1, dtype=np.int32)) for layout in layouts]
    return replace(jax.tree.map(stack, *lists), chunks=scalars)


@lru_cache(maxsize=16)
def _moments_over(mesh: Mesh, statistic: Moments) -> Callable[[Array, SegmentLayout], MomentsState]:
    def local(xs: Array, layout: SegmentLayout) -> MomentsState:
        own = jax.tree.map(lambda a: a[0], layout)
        return merge_over(ROWS, segment_moments(statistic, xs, own))

    rows = PartitionSpec(ROWS)
    specs = (PartitionSpec(None, ROWS), rows)
    return jax.jit(
        jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False)
    )


class SpreadLeafSums:
    """:class:`~convergence_jax.hierarchy.leaf_sums.LeafSums` with every batch split over devices, same bits.

    Parameters
    ----------
    statistic : Moments
        Its lifts decide narrow or wide.
    devices : sequence of jax.Device
        Each holds a table of its own share; they are merged when the state is read.
    capacity : int, default 1024
        Leaves to make room for at first.
    """

    def __init__(self, statistic: Moments, devices: Sequence[Any], capacity: int = 1024) -> None:
        self.statistic = statistic
        self._tables = [LeafSums(statistic, capacity, device=device) for device in devices]

    def add(self, ticks: np.ndarray, segments: np.ndarray) -> None:
        """Add a batch, as in ``LeafSums.add``."""
        share = -(-len(segments) // len(self._tables))
        for k, table in enumerate(self._tables):
            part = slice(k * share, (k + 1) * share)
            table.add(ticks[:, part], segments[part])

    def state(self, leaves: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Counts and digits of the sums, as in ``LeafSums.state``."""
        leaves = max(table.leaves for table in self._tables) if leaves is None else leaves
        states = [table.state(leaves) for table in self._tables]
        count = np.sum([count for count, _ in states], axis=0)
        return count, digits.total(np.stack([sums for _, sums in states]))


def sums_by_segment(
    statistic: Moments, ticks: np.ndarray, segments: np.ndarray, num_segments: int, *, devices: Sequence[Any]
) -> tuple[np.ndarray, np.ndarray]:
    """``leaf_sums.sums_by_segment`` with the rows split over devices."""
    spread = SpreadLeafSums(statistic, devices, num_segments)
    spread.add(ticks, segments)
    return spread.state(num_segments)
