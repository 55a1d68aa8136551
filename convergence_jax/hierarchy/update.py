"""A population that changes: agents report anew, join and leave, and every level follows exactly, in place.

Each agent has one row of ticks. Its change is the difference of two lifts, in integers, added to every group
on its path; nothing is summed again, and the states are those of a fresh roll-up, to the last bit.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convergence_jax.exact import digits
from convergence_jax.exact.constants import DIGIT_BITS, DIGIT_MASK
from convergence_jax.exact.multiply import multiply_ticks
from convergence_jax.hierarchy.segments import NOWHERE, round_up
from convergence_jax.hierarchy.tree import Tree
from convergence_jax.statistics.faults import Faults
from convergence_jax.statistics.moments import Moments, MomentsState

Array = Any

_PATH_ROWS = 64
"""Batches up to this size add each agent to its whole path; larger ones add each level to the one above."""


class LiveTree:
    """States of every group of a tree, kept up to date as single agents change.

    Parameters
    ----------
    statistic : Moments
        Which lifts.
    tree : Tree
        Where each agent belongs, whether it is present or not.

    Attributes
    ----------
    merges : int
        Merges done since the tree was made: for every agent changed, one removal and one merge at every level
        it reaches (batches merge agents of one group before they go on to the next level).

    Notes
    -----
    The states are held as *lanes*, integers whose carries are outstanding, in one array that is donated to
    each update: it is changed in place. An observation with a feature that is not held is counted as its
    faults only, like everywhere.
    """

    def __init__(self, statistic: Moments, tree: Tree) -> None:
        self.statistic, self.tree = statistic, tree
        self.merges = 0
        self._unsettled = 0
        self._ticks = np.zeros((tree.agents, statistic.features), dtype=np.int64)
        # Per feature: 0 held, 1 NaN, 2 infinite, 3 out of range; 4 in the first marks an absent agent.
        self._kind = np.zeros((tree.agents, statistic.features), dtype=np.int8)
        self._kind[:, 0] = _ABSENT
        self._scale = np.array([2.0**lift.scale_bits for lift in statistic.lifts])
        self._limit = np.array([2.0**lift.bits for lift in statistic.lifts])
        self._lanes = jnp.zeros((sum(tree.sizes), _row_length(statistic)), jnp.int64)
        self._paths = (tree.ancestors + tree.offsets[:-1]).astype(np.int32)
        self._parents = tuple(jnp.asarray(p) for p in tree.parents)

    @property
    def present(self) -> np.ndarray:
        """``Bool[ndarray, "agents"]``: who has joined and not left."""
        return self._kind[:, 0] != _ABSENT

    def update(self, agents: Any, xs: Any) -> int:
        """Replace what agents say: join if absent, change if present.

        Parameters
        ----------
        agents : int or Int[ndarray, "n"]
            Distinct.
        xs : Float64[ndarray, "features"] or Float64[ndarray, "n features"]
            Their new observations.

        Returns
        -------
        int
            Merges and removals done.
        """
        agents = np.atleast_1d(np.asarray(agents))
        ticks, kind = self._lift(np.atleast_2d(np.asarray(xs, dtype=np.float64)))
        return self._change(agents, ticks, kind)

    join = update

    def leave(self, agents: Any) -> int:
        """Take agents out again; returns the removals done."""
        agents = np.atleast_1d(np.asarray(agents))
        shape = (len(agents), self.statistic.features)
        kind = np.zeros(shape, dtype=np.int8)
        kind[:, 0] = _ABSENT
        return self._change(agents, np.zeros(shape, dtype=np.int64), kind)

    def state(self, level: int) -> MomentsState:
        """States of the groups of one level, 0 for the root, canonical: the bits of a fresh roll-up."""
        first, last = int(self.tree.offsets[level]), int(self.tree.offsets[level + 1])
        return _canonical(self.statistic, self._lanes[first:last])

    def block_until_ready(self) -> None:
        """Wait for the updates made so far."""
        self._lanes.block_until_ready()

    def _lift(self, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ticks of rows, zero where one is not held, and each value's kind; all features at once."""
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.round(xs * self._scale)
            each = np.abs(rounded) < self._limit
        if each.all():
            return rounded.astype(np.int64), np.zeros(xs.shape, dtype=np.int8)
        kind = np.where(each, 0, np.where(np.isnan(xs), 1, np.where(np.isinf(xs), 2, 3)))
        held = each.all(axis=1, keepdims=True)
        return np.where(held, rounded, 0.0).astype(np.int64), kind.astype(np.int8)

    def _change(self, agents: np.ndarray, ticks: np.ndarray, kind: np.ndarray) -> int:
        n, d = len(agents), self.statistic.features
        if ticks.shape != (n, d):
            raise ValueError(f"LiveTree: {n} agents need observations of shape {(n, d)}, got {ticks.shape}.")
        if n > 1 and np.bincount(agents, minlength=1).max() > 1:
            raise ValueError("LiveTree: agents must be distinct within a batch.")
        by_path = n <= _PATH_ROWS
        # One array, feature-major: ticks before and after, kinds before and after, where to.
        packed = np.zeros((3 * d + (self.tree.levels if by_path else 1), _batch_size(n)), dtype=np.int64)
        packed[:d, :n], packed[d : 2 * d, :n] = self._ticks[agents].T, ticks.T
        packed[2 * d : 3 * d, :n] = (self._kind[agents] << 4 | kind).T
        self._ticks[agents], self._kind[agents] = ticks, kind
        packed[3 * d :, n:] = NOWHERE
        groups = self.tree.group[agents]
        if by_path:
            packed[3 * d :, :n] = self._paths[groups].T
            self._lanes = _add_paths(self.statistic, self._lanes, packed)
            done = 2 * n * self.tree.levels
        else:
            packed[3 * d, :n] = groups
            self._lanes = _add_levels(self.statistic, self.tree.sizes, self._lanes, packed, self._parents)
            done = _merges_by_level(n, self.tree.sizes)
        self.merges += done
        self._unsettled += n
        if self._unsettled >= _SETTLE_AFTER:
            self._lanes, self._unsettled = _settle(self.statistic, self._lanes), 0
        return done


_ABSENT = 4

_SETTLE_AFTER = 1 << 29
"""Changes after which lanes are carried: each adds less than ``2**32`` to a lane of 64 bits."""


def _merges_by_level(n: int, sizes: tuple[int, ...]) -> int:
    """Merges of a batch: each agent at every level with as many groups, then one for each group below."""
    done = n  # the removals of what the agents said before
    for size in reversed(sizes):
        done += n
        n = min(n, size)
    return done


def _widths(statistic: Moments) -> tuple[int, int, int]:
    """Lanes of a count, of the sums, and of the products."""
    d, p = statistic.features, len(statistic.pairs[0])
    return 1, d * (2 if statistic.wide else 1), p * (4 if statistic.wide else 2)


def _row_length(statistic: Moments) -> int:
    return sum(_widths(statistic)) + 3 * statistic.features


def _batch_size(n: int) -> int:
    """Batches of few sizes share executables; large ones avoid multiples of 512, as lanes do."""
    return 1 << (n - 1).bit_length() if n <= _PATH_ROWS else round_up(n) + 16


def _lanes_of(statistic: Moments, ticks: Array, kind: Array) -> list[Array]:
    """One observation's state as lanes, feature-major: count, sums, products, faults."""
    d = statistic.features
    held = kind[0] == 0
    for i in range(1, d):
        held = held & (kind[i] == 0)
    faults = [(kind == k).astype(jnp.int64) for k in (1, 2, 3)]
    count = held.astype(jnp.int64)[None]
    if statistic.wide:
        first, second = statistic.pairs
        product = multiply_ticks(ticks[first], ticks[second], wide=True)
        top = product[..., 3].astype(jnp.int32).astype(jnp.int64)  # below 2**124: four digits hold the sign
        parts = [product[..., k].astype(jnp.int64) for k in range(3)] + [top]
        return [count, ticks & DIGIT_MASK, ticks >> DIGIT_BITS, *parts, *faults]
    product = jnp.concatenate([ticks[i : i + 1] * ticks[i:] for i in range(d)])
    return [count, ticks, product & DIGIT_MASK, product >> DIGIT_BITS, *faults]


def _unpack(statistic: Moments, packed: Array) -> tuple[Array, Array]:
    """Change of lanes ``Int64[n, row]`` of each agent, and where to."""
    d = statistic.features
    old_ticks, ticks, kinds = packed[:d], packed[d : 2 * d], packed[2 * d : 3 * d]
    before = _lanes_of(statistic, old_ticks, kinds >> 4)
    after = _lanes_of(statistic, ticks, kinds & 15)
    change = jnp.concatenate([b - a for a, b in zip(before, after, strict=True)])
    return change.T, packed[3 * d :].astype(jnp.int32)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _add_paths(statistic: Moments, lanes: Array, packed: Array) -> Array:
    change, paths = _unpack(statistic, packed)
    return lanes.at[paths.reshape(-1)].add(jnp.tile(change, (len(paths), 1)))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _add_levels(
    statistic: Moments, sizes: tuple[int, ...], lanes: Array, packed: Array, parents: tuple[Array, ...]
) -> Array:
    rows, (groups,) = _unpack(statistic, packed)
    first = sum(sizes)
    for level in range(len(sizes) - 1, -1, -1):
        first -= sizes[level]
        if len(rows) <= sizes[level]:
            lanes = lanes.at[jnp.where(groups == NOWHERE, NOWHERE, groups + first)].add(rows)
            above = parents[level - 1].at[groups].get(mode="clip") if level else groups
            groups = jnp.where(groups == NOWHERE, NOWHERE, above)
        else:
            rows = jnp.zeros((sizes[level], rows.shape[1]), jnp.int64).at[groups].add(rows)
            lanes = lanes.at[first : first + sizes[level]].add(rows)
            groups = parents[level - 1] if level else groups
    return lanes


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _settle(statistic: Moments, lanes: Array) -> Array:
    """Carry, so that lanes have room again for ``2**30`` changes."""
    one, sums, products = _widths(statistic)
    items = (one, statistic.features, len(statistic.pairs[0]))
    fields = jnp.split(lanes, np.cumsum((one, sums, products)), axis=1)
    out = []
    for field, count in zip(fields, (*items, fields[3].shape[1]), strict=True):
        parts = [field[:, k : k + count] for k in range(0, field.shape[1], count)]
        for k in range(len(parts) - 1):
            parts[k], parts[k + 1] = parts[k] & DIGIT_MASK, parts[k + 1] + (parts[k] >> DIGIT_BITS)
        out += parts
    return jnp.concatenate(out, axis=1)


@partial(jax.jit, static_argnums=0)
def _canonical(statistic: Moments, lanes: Array) -> MomentsState:
    d, p = statistic.features, len(statistic.pairs[0])
    count, sums, products, faults = jnp.split(lanes, np.cumsum(_widths(statistic)), axis=1)

    def to_digits(parts: Array, items: int, length: int) -> Array:
        each = parts.reshape(len(parts), -1, items).transpose(0, 2, 1)
        return digits.normalize(jnp.pad(each, ((0, 0), (0, 0), (0, length - each.shape[2]))))

    kinds = faults.reshape(len(lanes), 3, d)
    return MomentsState(
        count[:, 0],
        to_digits(sums, d, statistic.sum_digits),
        to_digits(products, p, statistic.product_digits),
        Faults(kinds[:, 0], kinds[:, 1], kinds[:, 2]),
        statistic,
    )
