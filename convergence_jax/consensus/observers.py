"""What each observer is like: above or below chance, why to be suspicious, and how many may be lying."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from convergence_jax.consensus.labels import Float, Int, Labels

SURE = 0.95
"""Posterior probability from which an observer is said to be above or below chance."""

CONSTANT = 0.95
"""An observer with this share of one label, where the others do not agree on one, answers one label."""


@dataclass(frozen=True)
class Observers:
    """What the labels say about each observer.

    Parameters
    ----------
    ratings : int64[workers]
        How many each gave.
    agreement, chance : float64[workers]
        Share of labels that agree with what all others say, and the share that would by chance.
    below : float64[workers]
        Probability that the observer agrees less often than chance.
    below_share : float
        Estimated share of such observers: over all labels, or as the mean over the classes of those who are
        below chance on items of the class, whichever is larger.
    below_labels : float
        Share of the labels that they gave, likewise.
    suspicion : float64[workers]
        From 0 to 1; :func:`ranked` says how it is made.
    reason : tuple of str
        Why, one a worker.
    """

    ratings: Int
    agreement: Float
    chance: Float
    below: Float
    below_share: float
    below_labels: float
    suspicion: Float
    reason: tuple[str, ...]

    @property
    def order(self) -> Int:
        """Workers from the most to the least suspicious; ties by code."""
        return np.argsort(-self.suspicion, kind="stable")


def observers(labels: Labels, log_posterior: Float, confusion: Float) -> Observers:
    """Compare each observer with what all the others say.

    Each label is held against the item's posterior without it. Chance is what labels spread as the
    observer's own would agree with what the others say of the same items.

    Parameters
    ----------
    labels : Labels
        Ratings.
    log_posterior : float64[items, classes]
        Of the model, not cooled.
    confusion : float64[workers, classes, classes]
        Tables of the model.
    """
    others = others_say(labels, log_posterior, confusion)
    ratings = np.bincount(labels.worker, minlength=labels.workers)
    rows = np.arange(len(labels.item))
    agreed = sums(labels.worker, others[rows, labels.label], labels.workers)
    own, seen = label_shares(labels), np.zeros((labels.workers, labels.classes))
    np.add.at(seen, labels.worker, others)
    seen = seen / np.maximum(ratings, 1)[:, None]
    chance = np.clip((own * seen).sum(1), 1e-6, 1 - 1e-6)
    below, share = kinds(agreed, ratings - agreed, chance)
    given = float((below * ratings).sum() / max(ratings.sum(), 1))
    by_class = [_below_in_class(labels, others, own, k) for k in range(labels.classes)]
    weight = others.sum(0) / max(len(labels.item), 1)
    share_by_class, given_by_class = (float(weight @ column) for column in np.array(by_class).T)
    agreement = np.where(ratings > 0, agreed / np.maximum(ratings, 1), chance)
    suspicion, reason = ranked(labels, agreement, chance, below, own, seen)
    return Observers(
        ratings=ratings,
        agreement=agreement,
        chance=chance,
        below=below,
        below_share=max(share, share_by_class),
        below_labels=max(given, given_by_class),
        suspicion=suspicion,
        reason=reason,
    )


def kinds(agreed: Float, missed: Float, chance: Float) -> tuple[Float, float]:
    """Probability of each observer to be below chance, and the share of such observers.

    The number that agree is taken as binomial. Its probability is even over ``[chance, 1]`` for one kind of
    observer, even over ``[0, chance]`` for another, and chance for the third; the shares of the kinds are
    those of the largest likelihood over all observers.

    Parameters
    ----------
    agreed, missed : float64[workers]
        Labels that agree and that do not; expected numbers, not whole ones.
    chance : float64[workers]
        Between 0 and 1.
    """
    missed = np.maximum(missed, 0.0)
    inside = np.clip(chance, 1e-6, 1 - 1e-6)
    a, m = agreed + 1, missed + 1
    at_chance = agreed * np.log(inside) + missed * np.log1p(-inside) - special.betaln(a, m)
    weights = np.stack(
        [
            special.betainc(a, m, inside) / inside,
            np.exp(np.minimum(at_chance, 700.0)),
            special.betaincc(a, m, inside) / (1 - inside),
        ]
    )
    shares, of_kind = np.full(3, 1 / 3), np.full(weights.shape, 1 / 3)
    for _ in range(500):
        of_kind = weights * shares[:, None]
        of_kind = of_kind / np.maximum(of_kind.sum(0), 1e-300)
        new = of_kind.mean(1) if len(agreed) else shares
        if np.abs(new - shares).max() < 1e-9:
            break
        shares = new
    return of_kind[0], float(shares[0])


def sums(code: Int, values: Float, length: int) -> Float:
    """``float64[length]``: the values added up by code, in the order of the rows."""
    return np.bincount(code, values, length).astype(np.float64)


def _below_in_class(labels: Labels, others: Float, own: Float, k: int) -> tuple[float, float]:
    """Share of observers who name class `k` less often where it is than they do anywhere, with labels."""
    of_class = sums(labels.worker, others[:, k], labels.workers)
    named = sums(labels.worker, others[:, k] * (labels.label == k), labels.workers)
    below, share = kinds(named, of_class - named, own[:, k])
    return share, float((below * of_class).sum() / max(of_class.sum(), 1e-300))


def others_say(labels: Labels, log_posterior: Float, confusion: Float) -> Float:
    """``float64[n, classes]``: the item's posterior without the row's own label; the truth where known."""
    own = confusion[labels.worker, :, labels.label]
    logs = log_posterior[labels.item] - np.log(np.maximum(own, 1e-300))
    known = labels.known[labels.item]
    logs[known] = log_posterior[labels.item[known]]
    logs = logs - logs.max(1, keepdims=True)
    share = np.exp(logs)
    return share / share.sum(1, keepdims=True)


def label_shares(labels: Labels) -> Float:
    """``float64[workers, classes]``: how each worker's labels are spread; zero for one without any."""
    code = labels.worker * labels.classes + labels.label
    table = np.bincount(code, minlength=labels.workers * labels.classes).reshape(labels.workers, -1)
    return table / np.maximum(table.sum(1, keepdims=True), 1)


def ranked(
    labels: Labels, agreement: Float, chance: Float, below: Float, own: Float, seen: Float
) -> tuple[Float, tuple[str, ...]]:
    """Suspicion of each worker, and the reason in words.

    Suspicion is one half for an observer whose labels say nothing about the items, falls to zero with
    agreement above chance, and rises to one with the probability of being below it.

    Parameters
    ----------
    labels : Labels
        Ratings.
    agreement, chance, below : float64[workers]
        As in :class:`Observers`.
    own, seen : float64[workers, classes]
        Shares of each worker's labels, and of what the others say about the same items.
    """
    skill = np.clip((agreement - chance) / (1 - chance), 0.0, 1.0)
    suspicion = np.where(below >= 0.5, 0.5 + (below - 0.5), 0.5 * (1 - skill))
    bloc = blocs(labels, below >= SURE)
    count = int(bloc.sum())
    ratings = np.bincount(labels.worker, minlength=labels.workers)
    reasons = []
    for w in range(labels.workers):
        top = int(own[w].argmax())
        if ratings[w] == 0:
            reason = "gave no label"
        elif own[w, top] >= CONSTANT and seen[w, top] < CONSTANT and ratings[w] >= 5:
            reason = f"answers one label ({top}) whatever the item"
            suspicion[w] = max(suspicion[w], 0.5)
        elif bloc[w]:
            reason = f"agrees with a bloc of {count} workers against the rest"
        elif below[w] >= SURE:
            reason = (
                f"inverted: agrees with the others {agreement[w]:.0%} of the time, {chance[w]:.0%} by chance"
            )
        elif skill[w] < 0.1:
            reason = f"near chance: agrees {agreement[w]:.0%} of the time, {chance[w]:.0%} by chance"
        elif ratings[w] < 5:
            reason = "too few labels to tell"
        else:
            reason = f"agrees {agreement[w]:.0%} of the time, {chance[w]:.0%} by chance"
        reasons.append(reason)
    return suspicion, tuple(reasons)


def blocs(labels: Labels, suspects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``bool[workers]``: suspects who agree with one another on nine of ten items that two of them labelled.

    At least three. Where only those who are below chance are asked, agreement among them is not skill.
    """
    among = suspects[labels.worker]
    members = np.unique(labels.worker[among])
    result = np.zeros(labels.workers, bool)
    if len(members) < 3:
        return result
    votes = np.zeros((labels.items, labels.classes))
    np.add.at(votes, (labels.item[among], labels.label[among]), 1.0)
    item, label = labels.item[among], labels.label[among]
    shared = votes[item].sum(1) > 1
    same = np.bincount(labels.worker[among], (votes[item, label] - 1.0) * shared, labels.workers)
    met = np.bincount(labels.worker[among], (votes[item].sum(1) - 1.0) * shared, labels.workers)
    result = suspects & (met > 0) & (same >= 0.9 * met)
    return result if result.sum() >= 3 else np.zeros(labels.workers, bool)
