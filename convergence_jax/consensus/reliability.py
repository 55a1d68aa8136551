"""Classes of items and reliability of observers without truth, and whether the labels can tell at all."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from convergence_jax.consensus import ebcc, one_coin
from convergence_jax.consensus.calibration import cooled, temperatures
from convergence_jax.consensus.estimate import Estimate, best_of, default_prior, run, starts, summary
from convergence_jax.consensus.ibcc import PSEUDO_WORKERS
from convergence_jax.consensus.labels import Float, Labels
from convergence_jax.consensus.observer_model import Shape, rows_of
from convergence_jax.consensus.observers import Observers, label_shares, observers

MOST_BELOW = 0.25
"""Share of observers below chance beyond which it is open which side is right; a third lies beyond it."""

LEAST_SKILL = 0.05
"""Agreement beyond chance, over what is possible, below which labels say nothing about the items."""

GOLD_SURE = 0.05
"""Probability with which guesses would agree with the gold items as often, for gold to settle the sides."""

GROUPS_KEY = 0
"""Of the groups that EBCC begins with: a constant, so that the answer is a function of the labels."""

ENOUGH_GOLD = 20
"""Gold items from which their largest class is the share that guesses get right, and from which a crowd that
does not do better than guesses is not to be trusted."""


@dataclass(frozen=True)
class Reliability:
    """What :func:`estimate` finds.

    Parameters
    ----------
    log_posterior : float64[items, classes]
        Natural logarithms of calibrated probabilities; even where the crowd is not identifiable.
    model : Estimate
        The model behind them, that of the largest evidence bound; not calibrated.
    tables : Estimate
        The learned tables of all observers and the shares of classes, whichever model it is.
    temperature : float64[items]
        By which the model's log-odds were divided.
    identifiable : bool
        False if the labels fit opposite readings, or none.
    reason : str
        Why, in words.
    observers : Observers
        Each observer, with suspicion and reason.
    """

    log_posterior: Float
    model: Estimate
    tables: Estimate
    temperature: Float
    identifiable: bool
    reason: str
    observers: Observers

    @property
    def posterior(self) -> Float:
        """Calibrated probabilities, ``float64[items, classes]``."""
        return np.exp(self.log_posterior)


def estimate(labels: Labels, *, tolerance: float = 1e-3, rounds: int = 50) -> Reliability:
    """The model of the largest evidence bound, cooled, and checked for opposite readings.

    The models are tables under a prior learned from the crowd, one coin a worker, and items in groups that
    workers see differently (EBCC): averaging them by their evidence comes to choosing, since bounds differ by
    many nats. Nothing but `labels` enters, truth only as ``labels.gold``; the draw that EBCC begins with is
    always the same.

    Parameters
    ----------
    labels : Labels
        Ratings, and the truth of some items if it is known.
    tolerance : float, default 1e-3
        Stop the learned tables when nothing moves by more.
    rounds : int, default 50
        Most rounds of theirs. The learned prior creeps on for hundreds more that change few labels.

    Returns
    -------
    Reliability

    Raises
    ------
    ValueError
        If JAX is not in 64-bit mode.
    """
    tables = _learned_tables(labels, tolerance, rounds)
    others = [one_coin.estimate(labels), ebcc.estimate(labels, key=jax.random.key(GROUPS_KEY))]
    model = best_of([tables, *others])
    # Who is on which side is read off the learned tables, which every observer has for itself.
    found = observers(labels, tables.log_posterior, tables.confusion)
    identifiable, reason = sides(labels, tables, found)
    temperature = temperatures(labels, model.log_posterior, model.confusion)
    log_posterior = cooled(model.log_posterior, temperature)
    if not identifiable:  # any class may be meant by any name: say so, rather than one reading with certainty
        log_posterior[~labels.known] = -np.log(labels.classes)
    return Reliability(log_posterior, model, tables, temperature, identifiable, reason, found)


def _learned_tables(labels: Labels, tolerance: float, rounds: int) -> Estimate:
    """Dirichlet tables under a prior learned from the crowd, from the best of several starts."""
    shape, prior = Shape(labels.items, labels.workers, labels.classes), default_prior(labels.classes)
    rows, begin = rows_of(labels), [*starts(labels, prior), surprise_start(labels)]
    fixed = [
        run(labels, shape, prior, start, rows=rows, tolerance=tolerance, rounds=rounds) for start in begin
    ]
    bounds = [summary(shape, end).bound or -np.inf for end in fixed]
    start = begin[int(np.argmax(bounds))]
    end = run(
        labels, shape, prior, start, rows=rows, learning=PSEUDO_WORKERS, tolerance=tolerance, rounds=rounds
    )
    return summary(shape, end, tolerance=tolerance)


def verdicts(found: Reliability, labels: Labels, *, alpha: float = 0.05) -> NDArray[np.str_]:
    """``clear`` where a class is sure enough, else ``undetermined``; one an item.

    Parameters
    ----------
    found : Reliability
        From :func:`estimate`.
    labels : Labels
        The same labels. Items of known truth are clear.
    alpha : float, default 0.05
        A class is clear from probability ``1 - alpha``, in a crowd that is identifiable.

    Raises
    ------
    ValueError
        If alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"verdicts: alpha must be between 0 and 1, got {alpha}.")
    sure = (found.log_posterior.max(1) >= np.log1p(-alpha)) & found.identifiable
    return np.where(sure | labels.known, "clear", "undetermined")


def surprise_start(labels: Labels) -> Float:
    """Shares of votes that weigh what they surprise by, ``float64[items, classes]``.

    A label weighs minus the logarithm of the share that it has among the worker's own: who always says the
    same says nothing.
    """
    weight = -np.log(np.maximum(label_shares(labels), 1e-300))[labels.worker, labels.label]
    votes = np.zeros((labels.items, labels.classes)) + 1e-9
    np.add.at(votes, (labels.item, labels.label), weight)
    start = votes / votes.sum(1, keepdims=True)
    if labels.gold is not None:
        start[labels.known] = np.eye(labels.classes)[labels.gold[labels.known]]
    return start


def sides(labels: Labels, model: Estimate, found: Observers) -> tuple[bool, str]:
    """Whether one reading of the labels stands out, and why.

    Any relabelling of the classes fits labels as well if every observer is relabelled too; only "most
    observers are better than chance", or truth, tells them apart. So where more than a quarter of the
    observers, or of the labels, is on the side below chance, the sides are open, unless gold items settle
    them.
    """
    if not len(labels.item):
        return False, "there are no labels"
    weight = found.ratings / found.ratings.sum()
    possible = float((weight * (1 - found.chance)).sum())
    skill = float((weight * (found.agreement - found.chance)).sum()) / possible
    if possible < 2e-6:  # the least that chance is kept from one
        return False, "all observers answer one label whatever the item"
    gold = _gold(labels, model)
    if gold is not None:
        right, total, guess, probability = gold
        if probability <= GOLD_SURE:
            return True, f"the observers' tables name {right} of {total} gold items right"
        if total >= ENOUGH_GOLD or right < guess * total:
            return False, f"the observers' tables name only {right} of {total} gold items right"
    if skill < LEAST_SKILL:
        return False, f"observers agree no more than by chance ({skill:.0%} of what is possible)"
    below = max(found.below_share, found.below_labels)
    if below > MOST_BELOW:
        share, given = found.below_share, found.below_labels
        return False, f"{share:.0%} of observers, with {given:.0%} of labels, are below chance"
    return True, f"{found.below_share:.0%} of observers are below chance, of {MOST_BELOW:.0%} allowed"


def _gold(labels: Labels, model: Estimate) -> tuple[int, int, float, float] | None:
    """How many gold items tables without the item's own labels name right, of how many; a guess's share of
    right ones, and the probability that guesses do as well."""
    if labels.gold is None or model.prior_counts is None:
        return None
    rows = np.flatnonzero(labels.known[labels.item])
    if not len(rows):
        return None
    item, worker, label = labels.item[rows], labels.worker[rows], labels.label[rows]
    truth = labels.gold[item]
    posterior = np.exp(model.log_posterior)
    counts = np.zeros((labels.workers, labels.classes, labels.classes)) + model.prior_counts
    np.add.at(counts.transpose(0, 2, 1), (labels.worker, labels.label), posterior[labels.item])
    pair, code = np.unique(np.stack([item, worker]), axis=1, return_inverse=True)
    own = np.zeros((pair.shape[1], labels.classes))
    np.add.at(own, (code.ravel(), label), 1.0)
    cells = counts[worker, :, label]
    total = counts[worker].sum(2)
    at = np.arange(len(rows))
    cells[at, truth] = np.maximum(cells[at, truth] - own[code.ravel(), label], 1e-9)
    total[at, truth] = np.maximum(total[at, truth] - own[code.ravel()].sum(1), 1e-9)
    score = np.zeros((labels.items, labels.classes)) + np.log(model.class_prior)
    np.add.at(score, item, np.log(cells) - np.log(total))
    asked = np.unique(item)
    right = int((score[asked].argmax(1) == labels.gold[asked]).sum())
    guess = float(np.bincount(labels.gold[asked]).max() / len(asked)) if len(asked) >= ENOUGH_GOLD else 0.5
    guess = min(guess, 0.999)
    return right, len(asked), guess, float(stats.binom.sf(right - 1, len(asked), guess))
