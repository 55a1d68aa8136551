"""What a model makes of labels: from a start, through the engine, to posteriors, tables and a bound."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from scipy import special

from convergence_jax.consensus.labels import Float, Labels
from convergence_jax.consensus.observer_model import Fit, Rows, Shape, fit, rows_of


@dataclass(frozen=True)
class Estimate:
    """What a model makes of the labels.

    Parameters
    ----------
    log_posterior : float64[items, classes]
        Logarithms (natural) of the probability of each class.
    confusion : float64[workers, classes, classes]
        Probability that a worker gives each label (last axis) to an item of each class.
    class_prior : float64[classes]
        Share of each class.
    bound : float or None
        Lower bound of the log evidence (the log-likelihood for models fitted by maximum likelihood), in nats;
        None where the model has no likelihood.
    iterations : int
        Rounds that were made.
    converged : bool
        True if no posterior moved by more than the tolerance in the last round.
    prior_counts : float64[classes, classes] or None
        The Dirichlet counts of the tables, given or learned.
    """

    log_posterior: Float
    confusion: Float
    class_prior: Float
    bound: float | None
    iterations: int
    converged: bool
    prior_counts: Float | None = None

    @property
    def posterior(self) -> Float:
        """Probabilities, ``float64[items, classes]``."""
        return np.exp(self.log_posterior)


def votes_start(labels: Labels) -> Float:
    """``float64[items, classes]``: shares of the votes; even where there is none; the truth where known."""
    votes = labels.votes()
    total = votes.sum(1, keepdims=True)
    start = np.where(total > 0, votes / np.maximum(total, 1.0), 1.0 / labels.classes)
    if labels.gold is not None:
        start[labels.known] = np.eye(labels.classes)[labels.gold[labels.known]]
    return start


def gold_start(labels: Labels, prior: Float) -> Float:
    """Probabilities of the classes under tables that only items of known truth have shaped.

    The prior enters with the weight of two labels a class: a handful of gold items must be able to turn it.
    """
    known, size = labels.known[labels.item], labels.classes
    truth = np.zeros(labels.items, np.int64) if labels.gold is None else labels.gold
    counts = np.zeros((labels.workers, size, size)) + 2.0 * prior / prior.sum(1, keepdims=True)
    np.add.at(counts, (labels.worker[known], truth[labels.item[known]], labels.label[known]), 1.0)
    logs = np.log(counts / counts.sum(2, keepdims=True))
    score = labels.allowed()
    np.add.at(score, labels.item, logs[labels.worker, :, labels.label])
    score -= score.max(1, keepdims=True)
    return np.exp(score) / np.exp(score).sum(1, keepdims=True)


def default_prior(classes: int) -> Float:
    """Dirichlet counts of a table: four of being right, one of each error (as Li et al., 2019)."""
    return np.ones((classes, classes)) + 3.0 * np.eye(classes)


def starts(labels: Labels, prior: Float) -> list[Float]:
    """Where to begin: at the votes, and where truth is known, at what it says about the workers."""
    return [votes_start(labels)] + ([gold_start(labels, prior)] if labels.known.any() else [])


def best_of(estimates: list[Estimate]) -> Estimate:
    """The estimate of the largest bound; the first of equals."""
    return max(estimates, key=lambda estimate: -np.inf if estimate.bound is None else estimate.bound)


def best_run(
    labels: Labels,
    shape: Shape,
    prior: Float,
    *,
    learning: float = 0.0,
    tolerance: float = 1e-4,
    rounds: int = 200,
) -> Estimate:
    """:func:`run` from every start, and the summary of the largest bound."""
    rows = rows_of(labels)
    ends = [
        run(labels, shape, prior, start, rows=rows, learning=learning, tolerance=tolerance, rounds=rounds)
        for start in starts(labels, prior)
    ]
    return best_of([summary(shape, end, tolerance=tolerance) for end in ends])


def run(
    labels: Labels,
    shape: Shape,
    prior: Float,
    start: Float,
    *,
    rows: Rows | None = None,
    learning: float = 0.0,
    class_count: float = 1.0,
    group_count: float = 1.0,
    tolerance: float = 1e-4,
    rounds: int = 200,
) -> Fit:
    """:func:`fit` with the types it needs, ``start`` per class or per component."""
    if start.shape[1] != shape.classes * shape.groups:
        raise ValueError(f"consensus: start must have {shape.classes * shape.groups} columns.")
    return fit(
        shape,
        rows_of(labels) if rows is None else rows,
        jnp.asarray(start),
        jnp.asarray(np.repeat(labels.allowed(), shape.groups, axis=1)),
        jnp.asarray(np.repeat(prior, shape.groups, axis=0)),
        jnp.float64(learning),
        jnp.float64(class_count),
        jnp.float64(group_count),
        jnp.float64(tolerance),
        jnp.int64(rounds),
    )


def summary(
    shape: Shape, end: Fit, class_count: float = 1.0, group_count: float = 1.0, tolerance: float = 1e-4
) -> Estimate:
    """The estimate that a fit amounts to: groups summed out, tables as posterior means, and the bound."""
    log_r = np.asarray(end.responsibility)
    counts, prior = np.asarray(end.counts), np.asarray(end.prior_counts)
    classes, groups = shape.classes, shape.groups
    by_group = log_r.reshape(shape.items, classes, groups)
    log_posterior = by_group[:, :, 0] if groups == 1 else special.logsumexp(by_group, axis=2)
    total = counts + prior
    sums = total.sum(2, keepdims=True)
    tables = np.where(sums > 0, total / np.where(sums > 0, sums, 1.0), 1.0 / classes)
    if shape.one_coin:
        eye = np.eye(classes)
        right = (total * eye).sum((1, 2)) / total.sum((1, 2))
        tables = np.where(eye > 0, right[:, None, None], (1 - right[:, None, None]) / (classes - 1))
    component = np.asarray(end.class_counts)
    share = component + (0.0 if shape.likelihood else class_count / groups)
    if groups > 1:  # a class's table is that of its groups together
        within = np.exp(by_group).sum(0) + group_count
        within = (within / within.sum(1, keepdims=True))[None, :, :, None]
        tables = (tables.reshape(-1, classes, groups, classes) * within).sum(2)
    return Estimate(
        log_posterior=log_posterior,
        confusion=tables,
        class_prior=share.reshape(classes, groups).sum(1) / share.sum(),
        bound=_bound(shape, end, class_count, group_count),
        iterations=int(end.iterations),
        converged=bool(end.change <= tolerance),
        prior_counts=None if shape.likelihood or groups > 1 else prior,
    )


def _bound(shape: Shape, end: Fit, class_count: float, group_count: float) -> float:
    """Normalisers of the items, less the divergence of tables and shares from their priors."""
    counts, prior = np.asarray(end.counts), np.asarray(end.prior_counts)
    norm = float(end.norm)
    if shape.likelihood:
        return norm
    if shape.one_coin:
        eye = np.eye(shape.classes)
        sides = np.stack([(counts * eye).sum((1, 2)), (counts * (1 - eye)).sum((1, 2))], -1)
        norm -= _excess(sides, np.array([(prior * eye).sum(), (prior * (1 - eye)).sum()]))
    else:
        norm -= _excess(counts, prior)
    groups = np.asarray(end.class_counts).reshape(shape.classes, shape.groups)
    norm -= _excess(groups.sum(1), np.full(shape.classes, class_count))
    return norm - _excess(groups, np.full((shape.classes, shape.groups), group_count))


def _excess(counts: Float, prior: Float) -> float:
    """Divergence of Dirichlet laws from their priors, over the last axis, added up over all others."""
    total = counts + prior
    logs = special.digamma(total) - special.digamma(total.sum(-1, keepdims=True))

    def log_beta(alpha: Float) -> Float:
        return special.gammaln(alpha).sum(-1) - special.gammaln(alpha.sum(-1))

    return float(
        np.sum(log_beta(np.broadcast_to(prior, total.shape)) - log_beta(total) + (counts * logs).sum(-1))
    )
