"""Every level of a tree in one pass, and merging the states of groups into those of their parents."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convergence_jax.exact import digits
from convergence_jax.hierarchy.segment_moments import moments_by_segment, segment_moments
from convergence_jax.hierarchy.segments import SegmentLayout
from convergence_jax.hierarchy.tree import Tree
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import map_arrays, register

Array = Any

register()

_SLICE = 4096  # children converted to lanes at a time: their lanes stay in the cache


@partial(jax.jit, static_argnums=2)
def merge_children(state: MomentsState, parents: Array, num_parents: int) -> MomentsState:
    """Merge the states of children into their parents'.

    Parameters
    ----------
    state : MomentsState
        Leading axis ``[children]``, at most ``2**31``.
    parents : Int32[Array, "children"]
        Parent of each child, in any order; negative, or past the last, for a child to leave out.
    num_parents : int
        Number of parents. Static.

    Returns
    -------
    MomentsState
        Leading axis ``[parents]``: the same bits as merging one by one in any order.
    """
    parents = jnp.where(parents < 0, num_parents, parents)
    return map_arrays(lambda x: _sum_rows(x, parents, num_parents), state)


def _sum_rows(x: Array, parents: Array, num_parents: int) -> Array:
    children = x.shape[0]
    rows = x.reshape(children, -1)
    total = jnp.zeros((num_parents, rows.shape[1]), jnp.int64)
    if children <= _SLICE:
        total = total.at[parents].add(rows.astype(jnp.int64))
    else:

        def add_slice(k: Array, total: Array) -> Array:
            wanted = k * _SLICE
            start = jnp.minimum(wanted, children - _SLICE)  # the last slice overlaps the one before
            part = lax.dynamic_slice(rows, (start, jnp.zeros_like(start)), (_SLICE, rows.shape[1]))
            to = lax.dynamic_slice(parents, (start,), (_SLICE,))
            to = jnp.where(jnp.arange(_SLICE) + start < wanted, num_parents, to)
            return total.at[to].add(part.astype(jnp.int64))

        total = lax.fori_loop(np.int64(0), np.int64(-(-children // _SLICE)), add_slice, total)
    total = total.reshape(num_parents, *x.shape[1:])
    return digits.normalize(total) if x.dtype == jnp.uint32 else total


def merge_upwards(
    state: MomentsState, parents: Sequence[Array], sizes: Sequence[int]
) -> tuple[MomentsState, ...]:
    """States of every level from those of the finest.

    Parameters
    ----------
    state : MomentsState
        Of the finest level, leading axis ``[sizes[-1]]``.
    parents : sequence of Int32[Array, "groups"]
        Coarse to fine: ``parents[k]`` leads from the groups of level ``k + 1`` to those of level ``k``.
    sizes : sequence of int
        Groups of every level, coarse to fine; one more than `parents`.

    Returns
    -------
    tuple of MomentsState
        Coarse to fine; the last is `state`.
    """
    if len(sizes) != len(parents) + 1:
        raise ValueError(
            f"merge_upwards: {len(parents)} parents need {len(parents) + 1} sizes, got {len(sizes)}."
        )
    states = [state]
    for level in range(len(parents) - 1, -1, -1):
        states.append(merge_children(states[-1], jnp.asarray(parents[level]), sizes[level]))
    return tuple(reversed(states))


def roll_up(statistic: Moments, tree: Tree, xs: Array) -> tuple[MomentsState, ...]:
    """States of every group of every level, in one pass over the observations.

    Parameters
    ----------
    statistic : Moments
        Which lifts. Static.
    tree : Tree
        Where each row belongs.
    xs : Float64[Array, "features rows"] or Int[Array, "features rows"]
        One column a row of the tree; floats are lifted, integers are ticks.

    Returns
    -------
    tuple of MomentsState
        Coarse to fine, the root first.

    Notes
    -----
    ``tree.merges`` merges: one for each row and one for each group below the root.
    """
    if xs.shape[-1] != tree.agents:
        raise ValueError(
            f"roll_up: xs must have {tree.agents} columns, one a row of the tree, got {xs.shape}."
        )
    return merge_upwards(moments_by_segment(statistic, xs, tree.layout), tree.parents, tree.sizes)


def roll_up_layout(
    statistic: Moments, xs: Array, layout: SegmentLayout, parents: Sequence[Array], sizes: Sequence[int]
) -> tuple[MomentsState, ...]:
    """:func:`roll_up` inside traced code: to be jitted, sharded, exported; `statistic`, `sizes` static."""
    return merge_upwards(segment_moments(statistic, xs, layout), parents, sizes)
