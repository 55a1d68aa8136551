"""How good posteriors were, once truth is known: accuracy, log-loss, calibration error and curve."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from numpy.typing import NDArray

from convergence_jax.consensus.labels import Float, Int

BINS = 10
CLIP = 1e-12


@dataclass(frozen=True)
class Curve:
    """Items by how sure the posterior was, in bins of equal width.

    Parameters
    ----------
    count : int64[bins]
        Items in each bin.
    confidence, accuracy : float64[bins]
        Mean largest probability, and share whose likeliest class is true; NaN in an empty bin.
    """

    count: Int
    confidence: Float
    accuracy: Float


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error with a bootstrap interval over items."""

    value: float
    lower: float
    upper: float


def accuracy(log_posterior: Float, truth: Int) -> float:
    """Share of known items whose likeliest class is true; a tie counts as the chance of a fair draw.

    Parameters
    ----------
    log_posterior : float64[items, classes]
        Natural logarithms.
    truth : int64[items]
        Class, or -1 where it is not known.

    Raises
    ------
    ValueError
        If no truth is known or it does not fit.
    """
    logs, true = _known("accuracy", log_posterior, truth)
    top = logs >= logs.max(1, keepdims=True) - 1e-12
    return float(np.mean(top[np.arange(len(true)), true] / top.sum(1)))


def log_loss(log_posterior: Float, truth: Int, *, clip: float = CLIP) -> float:
    """Mean of minus the logarithm of the truth's probability, in nats; probabilities are at least `clip`."""
    logs, true = _known("log_loss", log_posterior, truth)
    return float(-np.mean(np.maximum(logs[np.arange(len(true)), true], np.log(clip))))


def reliability_curve(log_posterior: Float, truth: Int, *, bins: int = BINS) -> Curve:
    """The data of a reliability diagram; the last bin includes one."""
    cell, sure, right = _binned(log_posterior, truth, bins)
    count = np.bincount(cell, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Curve(
            count, np.bincount(cell, sure, bins) / count, np.bincount(cell, right.astype(float), bins) / count
        )


def calibration_error(
    key: jax.Array,
    log_posterior: Float,
    truth: Int,
    *,
    bins: int = BINS,
    resamples: int = 1000,
    coverage: float = 0.95,
) -> CalibrationError:
    """Mean distance of accuracy from confidence over the bins, weighted by their items.

    It is never negative, so a perfectly calibrated posterior has a positive one in a finite sample, and the
    interval, of percentiles over resampled items, is not one for a distance of zero.

    Parameters
    ----------
    key : PRNG key
        Typed; draws the resamples.
    log_posterior, truth
        As for :func:`accuracy`.
    bins : int, default 10
        Bins of equal width of the largest probability.
    resamples : int, default 1000
        Bootstrap samples.
    coverage : float, default 0.95
        Of the interval.
    """
    cell, sure, right = _binned(log_posterior, truth, bins)
    value = _error(cell, right - sure, bins)
    drawn = np.asarray(jax.random.randint(key, (resamples, len(cell)), 0, len(cell)))
    sampled = [_error(cell[rows], (right - sure)[rows], bins) for rows in drawn]
    lower, upper = (
        np.quantile(sampled, [(1 - coverage) / 2, (1 + coverage) / 2]) if resamples else (value, value)
    )
    return CalibrationError(value, float(lower), float(upper))


def _error(cell: Int, excess: Float, bins: int) -> float:
    return float(np.abs(np.bincount(cell, excess, bins)).sum() / len(cell))


def _binned(log_posterior: Float, truth: Int, bins: int) -> tuple[Int, Float, NDArray[np.bool_]]:
    logs, true = _known("calibration", log_posterior, truth)
    sure = np.exp(logs.max(1))
    return np.minimum((sure * bins).astype(np.int64), bins - 1), sure, logs.argmax(1) == true


def _known(name: str, log_posterior: Float, truth: Int) -> tuple[Float, Int]:
    truth = np.asarray(truth)
    if log_posterior.ndim != 2 or truth.shape != log_posterior.shape[:1]:
        raise ValueError(f"{name}: truth must have shape {log_posterior.shape[:1]}, got {truth.shape}.")
    if not (truth >= 0).any():
        raise ValueError(f"{name}: no truth is known.")
    if truth.max() >= log_posterior.shape[1]:
        raise ValueError(f"{name}: truth must be below {log_posterior.shape[1]}, got {truth.max()}.")
    return np.asarray(log_posterior)[truth >= 0], truth[truth >= 0]
