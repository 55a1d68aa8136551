"""`reduce`: many observations to one state, through a tree whose shape leaves no trace."""

from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from convergence_jax.exact import superaccumulator
from convergence_jax.statistics.check import check
from convergence_jax.statistics.law import Collecting, Statistic
from convergence_jax.statistics.state import register

__all__ = ["Reducer", "check", "reduce"]

Array = Any

register()
superaccumulator.register()


class Reducer(Protocol):
    """What merges observations in the place of XLA; every one gives the same bits."""

    def reduce(self, stat: Statistic[Any, Any], xs: Any, where: Any) -> Any:
        """One state of many observations.

        Parameters
        ----------
        stat : Statistic
        xs : PyTree[Array]
            Observations, ``(n, ...)`` in every leaf; `n` may be zero.
        where : Bool[Array, "n"] or None
            True where an observation counts; None where all do.

        Returns
        -------
        State
            In NumPy or in JAX, of the types, shapes and bytes of :func:`reduce`.

        Raises
        ------
        TypeError
            If it does not take the statistic.
        """
        ...


def reduce(
    stat: Statistic[Any, Any],
    xs: Any,
    *,
    arity: int = 8,
    where: Array | None = None,
    backend: Reducer | None = None,
) -> Any:
    """Merge many observations into one state through a fixed tree.

    The shape of the tree changes speed, never the state.

    Parameters
    ----------
    stat : Statistic
        The statistic to accumulate. Static: a new one compiles again, equal ones do not.
    xs : PyTree[Array]
        Observations, ``(n, ...)`` in every leaf, in the unit of `stat`; `n` may be zero.
    arity : int, default 8
        Children per inner node, at least 2.
    where : Bool[Array, "n"], optional
        True where an observation counts; the rest merge as ``stat.empty()``.
    backend : Reducer, optional
        Merges in the place of XLA, by a tree of its own: an
        :class:`~convergence_jax.fpga.backend.FpgaBackend`. Observations then are values, none of which is
        being traced.

    Returns
    -------
    State
        One state without the leading axis, the same for every `arity`, `backend` and order. Bad values are
        counted in its ``faults``.

    Raises
    ------
    ValueError
        While tracing, if `arity` is below 2, the leaves or the mask differ in length, or JAX is not in 64-bit
        mode, which no other backend needs.
    TypeError
        If the backend does not take the statistic.

    Notes
    -----
    ``ceil(log(n) / log(arity))`` levels, ``n - 1`` merges of observations, and at each level fewer than
    `arity` with the identity. A statistic that has ``collect`` folds all observations at once, to the same
    bits.

    See Also
    --------
    check : raise where the state counts faults.

    Examples
    --------
    >>> import jax, numpy as np
    >>> from convergence_jax.statistics.sums import Sum
    >>> jax.config.update("jax_enable_x64", True)
    >>> state = reduce(Sum(scale_bits=20), np.array([0.5, 0.25, 1e9]), where=np.array([True, True, False]))
    >>> float(Sum(scale_bits=20).present(check(state)).total)
    0.75
    """
    if not isinstance(arity, int) or arity < 2:
        raise ValueError(f"reduce: arity must be at least 2, got {arity}.")
    if backend is None and not jax.config.read("jax_enable_x64"):
        raise ValueError('reduce: needs 64-bit mode: jax.config.update("jax_enable_x64", True).')
    size = _common_length(xs, where)
    if backend is not None:
        return backend.reduce(stat, xs, where)
    if isinstance(stat, Collecting):
        return _collect(stat, xs, where)
    return _tree(stat, xs, where, size, arity)


@partial(jax.jit, static_argnames=("stat",))
def _collect(stat: Collecting, xs: Any, where: Array | None) -> Any:
    return stat.collect(xs, where)


@partial(jax.jit, static_argnames=("stat", "size", "arity"))
def _tree(stat: Statistic[Any, Any], xs: Any, where: Array | None, size: int, arity: int) -> Any:
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    shapes = jax.eval_shape(stat.lift, one)
    none = jax.tree.map(lambda e, s: jnp.broadcast_to(jnp.asarray(e, s.dtype), s.shape), stat.empty(), shapes)
    if size == 0:
        return none
    states = jax.vmap(stat.lift)(xs)
    if where is not None:
        states = jax.vmap(lambda seen, made: _select(seen, made, none))(where, states)
    merge = jax.vmap(stat.merge)
    while size > 1:
        parents = -(-size // arity)
        states = _fold_children(merge, _group(states, none, parents, arity))
        size = parents
    return jax.tree.map(lambda leaf: leaf[0], states)


def _common_length(xs: Any, where: Array | None) -> int:
    """Length of the leading axis that all leaves and the mask share."""
    leaves = jax.tree.leaves(xs) + ([] if where is None else [where])
    lengths = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else None for leaf in leaves}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(f"reduce: xs and where must have one common leading axis, got lengths {lengths}.")
    return int(lengths.pop() or 0)


def _select(seen: Array, made: Any, none: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(seen, a, b), made, none)


def _group(states: Any, none: Any, parents: int, arity: int) -> Any:
    """States as ``(arity, parents, ...)``, filled up with the identity."""

    def group(leaf: Array, identity: Array) -> Array:
        missing = parents * arity - leaf.shape[0]
        fill = jnp.broadcast_to(identity, (missing, *leaf.shape[1:]))
        filled = jnp.concatenate([leaf, fill])
        return filled.reshape(parents, arity, *leaf.shape[1:]).swapaxes(0, 1)

    return jax.tree.map(group, states, none)


def _fold_children(merge: Any, children: Any) -> Any:
    """Merge over the leading axis of every leaf; a loop, so that a level compiles one merge at any arity."""
    first = jax.tree.map(lambda leaf: leaf[0], children)
    rest = jax.tree.map(lambda leaf: leaf[1:], children)
    return jax.lax.scan(lambda acc, child: (merge(acc, child), None), first, rest)[0]
