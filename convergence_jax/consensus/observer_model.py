"""One engine for all models of observers: expected tables, then expected classes, until nothing moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp as log_sum_exp

from convergence_jax.consensus.gamma import digamma
from convergence_jax.consensus.labels import Labels

Array = Any

LEAST_COUNT, MOST_COUNT = 0.02, 1e4  # between these a learned prior count stays, so that it stays a prior


@dataclass(frozen=True)
class Rows:
    """Distinct rows of labels on the device, with their weights."""

    item: Array  # int32[n]
    cell: Array  # int32[n], worker * classes + label
    weight: Array  # float64[n]


def rows_of(labels: Labels) -> Rows:
    """The distinct rows of the labels, weighted by how often each occurs.

    Raises
    ------
    ValueError
        If JAX is not in 64-bit mode.
    """
    if not jax.config.read("jax_enable_x64"):
        raise ValueError('consensus: needs 64-bit mode: jax.config.update("jax_enable_x64", True).')
    item, cell, count = labels.cells()
    return Rows(jnp.asarray(item, jnp.int32), jnp.asarray(cell, jnp.int32), jnp.asarray(count))


@dataclass(frozen=True)
class Fit:
    """What :func:`fit` returns: a pytree of arrays. Components are classes, or groups within classes."""

    responsibility: Array  # float64[items, components], logarithms
    counts: Array  # float64[workers, components, classes], expected labels, without the prior
    prior_counts: Array  # float64[components, classes]
    class_counts: Array  # float64[components]
    norm: Array  # sum of the logarithms of the items' normalisers
    change: Array
    iterations: Array


jax.tree_util.register_dataclass(
    Fit,
    ["responsibility", "counts", "prior_counts", "class_counts", "norm", "change", "iterations"],
    [],
)
jax.tree_util.register_dataclass(Rows, ["item", "cell", "weight"], [])


@dataclass(frozen=True)
class Shape:
    """Static sizes: what a new compilation depends on, with the length of the rows."""

    items: int
    workers: int
    classes: int
    groups: int = 1  # components a class
    likelihood: bool = False  # maximum likelihood (EM) instead of variational Bayes
    one_coin: bool = False  # one probability of being right a worker, errors spread evenly


def _tables(shape: Shape, counts: Array, prior: Array, before: Array, weight: Array) -> tuple[Array, Array]:
    """Logarithms of the tables that the next posteriors use, and the prior counts that the next round uses.

    All digammas are taken in one call: of every worker's counts, of the prior's, and of the `before` of
    `weight` pseudo-workers, each beside its sum. Prior counts move by one fixed-point step (Minka, 2000).
    """
    total = counts + prior
    if shape.likelihood:
        sums = total.sum(-1, keepdims=True)
        return jnp.log(jnp.where(sums > 0, total / sums, 1.0 / shape.classes)), prior
    if shape.one_coin:
        right = jnp.eye(shape.classes)
        sides = jnp.stack([(total * right).sum((1, 2)), (total * (1 - right)).sum((1, 2))], -1)
        logs = expected_logarithms(sides)
        wrong = logs[:, 1, None, None] - jnp.log(shape.classes - 1.0)
        return jnp.where(right > 0, logs[:, 0, None, None], wrong), prior
    stacked = jnp.concatenate([total, prior[None], (before + prior)[None]])
    psi = digamma(jnp.concatenate([stacked, stacked.sum(-1, keepdims=True)], -1))
    own, at_prior, pseudo = psi[:-2], psi[-2], psi[-1]
    grown = (own - at_prior).sum(0) + weight * (pseudo - at_prior)
    learned = jnp.clip(prior * grown[:, :-1] / grown[:, -1:], LEAST_COUNT, MOST_COUNT)
    return own[..., :-1] - own[..., -1:], jnp.where(weight > 0, learned, prior)


def expected_logarithms(counts: Array) -> Array:
    """Expected logarithms of Dirichlet probabilities with these counts, over the last axis."""
    psi = digamma(jnp.concatenate([counts, counts.sum(-1, keepdims=True)], -1))
    return psi[..., :-1] - psi[..., -1:]


def _shares(shape: Shape, component_count: Array, class_count: Array, group_count: Array) -> Array:
    """Expected logarithms of the shares of the components."""
    if shape.likelihood:
        return jnp.log(component_count / component_count.sum())
    groups = component_count.reshape(shape.classes, shape.groups)
    logs = expected_logarithms(groups.sum(1) + class_count)[:, None]
    if shape.groups > 1:
        logs = logs + expected_logarithms(groups + group_count)
    return logs.reshape(-1)


@partial(jax.jit, static_argnames=("shape",))
def fit(
    shape: Shape,
    rows: Rows,
    start: Array,
    allowed: Array,
    prior: Array,
    learning: Array,
    class_count: Array,
    group_count: Array,
    tolerance: Array,
    rounds: Array,
) -> Fit:
    """Alternate between tables and classes from `start` until the classes settle.

    Parameters
    ----------
    shape : Shape
        Static.
    rows : Rows
        Labels. A row of weight zero counts nowhere.
    start : float64[items, components]
        Probabilities to begin with.
    allowed : float64[items, components]
        Added to the log posteriors: minus infinity forbids.
    prior : float64[components, classes]
        Dirichlet counts of every worker's table (counts of a posterior mode, for maximum likelihood).
    learning : float64
        Zero keeps `prior`; above zero it is learned, and `prior` counts as so many workers.
    class_count, group_count : float64
        Dirichlet counts of the shares of classes, and of groups within a class.
    tolerance, rounds : float64, int64
        Stop when no probability moves by more than `tolerance`, or after so many rounds.
    """

    def tabulated(responsibility: Array) -> Array:
        table = jax.ops.segment_sum(
            rows.weight[:, None] * responsibility[rows.item], rows.cell, shape.workers * shape.classes
        )
        return table.reshape(shape.workers, shape.classes, -1).swapaxes(1, 2)

    def settled(state: tuple[Array, ...]) -> Array:
        return (state[5] > tolerance) & (state[6] < rounds)

    def advance(state: tuple[Array, ...]) -> tuple[Array, ...]:
        responsibility, kept = jnp.exp(state[0]), state[2]
        counts = tabulated(responsibility)
        component_count = responsibility.sum(0)
        logs, learned = _tables(shape, counts, kept, prior, learning)
        shares = _shares(shape, component_count, class_count, group_count)
        by_cell = logs.swapaxes(1, 2).reshape(shape.workers * shape.classes, -1)
        weight = rows.weight[:, None]
        said = jnp.where(weight > 0, weight * by_cell[rows.cell], 0.0)
        score = jax.ops.segment_sum(said, rows.item, shape.items) + shares + allowed
        norm = log_sum_exp(score, axis=1, keepdims=True)
        new = score - norm
        change = jnp.maximum(
            jnp.max(jnp.abs(jnp.exp(new) - responsibility)), jnp.max(jnp.abs(learned - kept) / (kept + 1.0))
        )
        return new, counts, learned, kept, component_count, change, state[6] + 1, norm.sum()

    components = shape.classes * shape.groups
    empty = jnp.zeros((shape.workers, components, shape.classes))
    state = (jnp.log(start), empty, prior, prior, jnp.zeros(components), jnp.float64(2), jnp.int64(0))
    end = jax.lax.while_loop(settled, advance, (*state, jnp.float64(0)))
    return Fit(end[0], end[1], end[3], end[4], end[7], end[5], end[6])
