"""Moments of groups and sums of leaves on an OpenCL device."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from convergence_jax.fpga.host import Host
from convergence_jax.fpga.merge import canonical, dealt, merge
from convergence_jax.fpga.parts import Parts, parts_of
from convergence_jax.hierarchy.leaf_sums import sum_digits
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import map_arrays

MOST_FEATURES = 8192
"""Of a row, at most: the kernel keeps so many ticks near."""

LANE_BYTES = 1 << 28
"""Memory for the lanes of groups, on the device: more groups go in several turns."""


class FpgaMoments:
    """The same states as XLA's, from the kernels of ``moments.cl`` and ``merge.cl``.

    Parameters
    ----------
    host : Host

    Notes
    -----
    Rows are sorted by group on the host, which adds none of them; kernels make the sums, the products and the
    merges.
    """

    def __init__(self, host: Host) -> None:
        self.host = host

    def group_moments(
        self, moments: Moments, ticks: np.ndarray, group: np.ndarray, groups: int
    ) -> MomentsState:
        """Moments of each group, on the host.

        Parameters
        ----------
        moments : Moments
        ticks : Int[ndarray, "features rows"]
            Below ``2**31`` in magnitude, or ``2**62`` if the statistic is wide.
        group : Int[ndarray, "rows"]
            Group of each row; negative for rows to leave out.
        groups : int

        Returns
        -------
        MomentsState
            Leading axis ``[groups]``.
        """
        state = moments.empty((groups,))
        held = _rows(self.host, moments, ticks)
        width = (state.sums.nbytes + state.products.nbytes) * 2 // max(1, groups)
        for parts in parts_of(group).slices(max(1, LANE_BYTES // width)):
            self._add_moments(state, held, parts)
        return state

    def _add_moments(self, state: MomentsState, ticks: Any, parts: Parts) -> None:
        """Fill in the groups that some parts are of."""
        host, moments = self.host, state.statistic
        np.add.at(state.count, parts.segment, np.diff(parts.first.astype(np.int64)))
        made = [host.empty(len(parts) * x[0].size * 8) for x in (state.sums, state.products)]
        kernel = "moments_wide" if moments.wide else "moments_narrow"
        features = np.uint32(moments.features)
        host.run(kernel, host.workers, ticks, features, *dealt(host, parts), *made)
        here, position = np.unique(parts.segment, return_inverse=True)
        whole = parts_of(position) if parts.split else None
        for x, lanes in zip((state.sums, state.products), made, strict=True):
            if whole is not None:
                lanes = merge(host, lanes, np.int64, whole, x[0].size)
            x[here] = canonical(host, lanes, (len(here), *x.shape[1:]))

    def merge_upwards(
        self, state: MomentsState, parents: Sequence[np.ndarray], sizes: Sequence[int]
    ) -> tuple[MomentsState, ...]:
        """States of every level, coarse to fine, from those of the finest.

        Parameters
        ----------
        state : MomentsState
            Leading axis ``[sizes[-1]]``.
        parents : sequence of Int[ndarray, "groups"]
            ``parents[k]`` leads from the groups of level ``k + 1`` to those of level ``k``.
        sizes : sequence of int
            Groups of every level, coarse to fine.
        """
        states = [state]
        for parent, size in zip(reversed(parents), list(reversed(sizes))[1:], strict=True):
            parts = parts_of(parent, longest=1 << 30)
            states.append(map_arrays(partial(self._merge_array, parts, size), states[-1]))
        return tuple(reversed(states))

    def _merge_array(self, parts: Parts, size: int, x: np.ndarray) -> np.ndarray:
        """Merge children into the rows that their parts name."""
        width = int(np.prod(x.shape[1:], dtype=np.int64))
        host = self.host
        merged = merge(host, host.put(x), x.dtype, parts, width)
        found = np.zeros((size, *x.shape[1:]), x.dtype)
        shape = (len(parts), *x.shape[1:])
        whole = x.dtype == np.uint32
        found[parts.segment] = canonical(host, merged, shape) if whole else host.get(merged, shape, x.dtype)
        return found


class FpgaLeafTable:
    """A growing table of counts and sums, on the device; the bits of
    :class:`~convergence_jax.hierarchy.leaf_sums.LeafSums`.

    Parameters
    ----------
    host : Host
    moments : Moments
        Its lifts decide narrow or wide.
    capacity : int, default 1024
        Leaves to make room for at first.
    """

    def __init__(self, host: Host, moments: Moments, capacity: int = 1024) -> None:
        self._host, self._moments = host, moments
        self._width = 1 + moments.features * (2 if moments.wide else 1)
        self._capacity = capacity
        self._table = host.zeros(capacity * self._width * 8)

    def add(self, ticks: np.ndarray, segments: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        ticks : Int[ndarray, "features n"]
        segments : Int[ndarray, "n"]
            Leaf of each row; the table grows to hold the largest. A negative one leaves its row out.
        """
        host, wide = self._host, self._moments.wide
        parts = parts_of(segments, longest=1 << 30)
        if not len(parts):
            return
        self._grow(int(parts.segment[-1]) + 1)
        host.run(
            "add_wide_rows" if wide else "add_narrow_rows",
            host.workers,
            _rows(host, self._moments, ticks),
            np.uint32(self._moments.features),
            *dealt(host, parts),
            host.put(parts.segment.astype(np.uint32)),
            self._table,
        )
        host.finish()

    def state(self, leaves: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts ``Int64[leaves]`` and digits of the sums ``UInt32[leaves, features, 2W]``."""
        self._grow(leaves)
        table = self._host.get(self._table, (leaves, self._width), np.int64)
        return table[:, 0].copy(), sum_digits(table[:, 1:], self._moments)

    def _grow(self, leaves: int) -> None:
        if leaves > self._capacity:
            capacity = max(leaves, 2 * self._capacity)
            row = self._width * 8
            self._table = self._host.longer(self._table, self._capacity * row, capacity * row)
            self._capacity = capacity


def _rows(host: Host, moments: Moments, ticks: np.ndarray) -> Any:
    """A buffer of ticks row by row, from ``Int[features, rows]``."""
    if moments.features > MOST_FEATURES:
        raise ValueError(f"moments on OpenCL: at most {MOST_FEATURES} features, got {moments.features}.")
    ticks = ticks.astype(np.int64 if moments.wide else np.int32, copy=False)
    turned = host.empty(ticks.nbytes)
    kernel = "wide_to_rows" if moments.wide else "narrow_to_rows"
    counts = np.uint64(ticks.shape[1]), np.uint32(moments.features)
    host.run(kernel, host.workers, host.put(ticks), *counts, turned)
    return turned
