"""How sure to be: posteriors cooled for what a model that takes observers to err independently leaves out."""

from __future__ import annotations

import numpy as np
from scipy import special

from convergence_jax.consensus.labels import Float, Labels


def temperatures(labels: Labels, log_posterior: Float, confusion: Float) -> Float:
    """Temperature of each item, at least one, from the labels alone.

    ``sqrt(n + (pi / 8) sum_w v_w**2)``, where `n` observers labelled the item and observer `w` moved the
    log-odds of its two likeliest classes by ``v_w`` (repeats of one observer together).

    Observers who err on the same items carry less evidence than the model counts, and more so the more of
    them there are: evidence that grows like the number of observers is taken to grow like its square root.
    And the observers are a sample: with others, the log-odds would have differed by about the second term,
    and the mean of a logistic function under a Gaussian is the logistic function divided by the root of one
    plus ``pi / 8`` times the variance (MacKay, 1992). No truth enters, and no constant is fitted.

    Parameters
    ----------
    labels : Labels
        What the posteriors were made of.
    log_posterior : float64[items, classes]
        Of the model, natural logarithms.
    confusion : float64[workers, classes, classes]
        Tables of the model.

    Returns
    -------
    float64[items]
    """
    items = np.arange(labels.items)
    first = log_posterior.argmax(1)
    rest = log_posterior.copy()
    rest[items, first] = -np.inf
    second = rest.argmax(1)
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(confusion[labels.worker, :, labels.label], 1e-300))
    rows = np.arange(len(labels.item))
    moved = logs[rows, first[labels.item]] - logs[rows, second[labels.item]]
    pair, code = np.unique(labels.item * labels.workers + labels.worker, return_inverse=True)
    squares = np.bincount(code, moved, len(pair)) ** 2
    item = pair // max(labels.workers, 1)
    voices = np.bincount(item, minlength=labels.items)
    spread = np.bincount(item, squares, labels.items)
    return np.sqrt(np.maximum(voices + np.pi / 8 * spread, 1.0))


def cooled(log_posterior: Float, temperature: Float) -> Float:
    """Log posteriors with the log-odds of the likeliest class against all others divided by the temperature.

    The likeliest class stays the likeliest. Odds against it are left alone where it has less than half of the
    probability; the others share what is left as their own log posteriors over the temperature say. Cooling
    one number instead of each class's (Guo et al., 2017) keeps many hopeless classes from adding up.

    Parameters
    ----------
    log_posterior : float64[items, classes]
        Natural logarithms; minus infinity stays.
    temperature : float64[items]
        At least one.
    """
    items = np.arange(len(log_posterior))
    first = log_posterior.argmax(1)
    top = log_posterior[items, first]
    rest = log_posterior.copy()
    rest[items, first] = -np.inf
    all_rest = special.logsumexp(rest, axis=1)
    odds = top - all_rest
    odds = np.where(odds > 0, odds / temperature, odds)
    with np.errstate(invalid="ignore"):
        scaled = rest / temperature[:, None]
        scaled = scaled - special.logsumexp(scaled, axis=1, keepdims=True) - np.logaddexp(0.0, odds)[:, None]
    result = np.where(np.isfinite(all_rest)[:, None], scaled, -np.inf)
    result[items, first] = np.minimum(-np.logaddexp(0.0, -odds), 0.0)
    # A runner-up that cooling has lifted above the likeliest class: they share the probability of both.
    over = result.max(1) > result[items, first]
    if over.any():
        half = log_posterior[over] / temperature[over, None]
        result[over] = half - special.logsumexp(half, axis=1, keepdims=True)
    return result
