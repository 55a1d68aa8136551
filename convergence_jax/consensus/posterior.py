"""Posteriors from exact sums: one rounding for the log-odds, a derived bound for probabilities.

``log posterior_k = log prior_k + sum of log p(item | k)``, and one softmax across hypotheses at the end. The
sums are exact, so the log-odds of two hypotheses are correctly rounded. Probabilities go through integer
``exp`` and ``ln`` and are within ``2**-60`` before their one rounding: :doc:`/explanation/logarithms`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from convergence_jax.consensus.evidence import Sums
from convergence_jax.consensus.running import runner
from convergence_jax.exact import digits as group
from convergence_jax.exact import reals
from convergence_jax.exact.constants import FLOAT64, WINDOW, WINDOW_FIRST_DIGIT, Format
from convergence_jax.exact.exp_ln import log_sigmoids, sigmoid, sigmoids
from convergence_jax.exact.likelihoods import log_ratio
from convergence_jax.exact.log_sum_exp import log_odds as odds_against_rest
from convergence_jax.exact.rounding import round_digits
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.exact.terms import within_window

Array = Any

_ACCUMULATOR = Superaccumulator()


@dataclass(frozen=True)
class Posterior:
    """What the evidence says about every agent.

    Attributes
    ----------
    log_odds : Float64[ndarray, "agents"] or None
        Of the second hypothesis against the first, correctly rounded; None for more than two.
    log_probability : Float64[ndarray, "agents hypotheses"]
        Logarithms of the posterior probabilities, never positive.
    log_complement : Float64[ndarray, "agents hypotheses"]
        Logarithms of one minus them: where a probability prints as 1, this still says how sure it is.
    probability : Float64[ndarray, "agents hypotheses"]
        The probabilities.
    """

    log_odds: np.ndarray | None
    log_probability: np.ndarray
    log_complement: np.ndarray
    probability: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """The most probable hypothesis, the first of equals, ``Int64[ndarray, "agents"]``."""
        return np.argmax(self.log_probability, axis=1)


def log_prior(weights: Sequence[Fraction]) -> list[float]:
    """Logarithms of prior weights over the first one's: ``0.0`` first, each the float nearest to its value.

    Raises
    ------
    ValueError
        If a weight is not positive, or there are fewer than two.
    """
    if len(weights) < 2 or any(weight <= 0 for weight in weights):
        raise ValueError("prior: give two or more positive weights, such as 1:1 or 1000:1.")
    return [log_ratio(Fraction(weight), Fraction(weights[0])) for weight in weights]


def posterior(sums: Sums, prior: Sequence[float], *, compiled: bool = False) -> Posterior:
    """Posteriors of all agents.

    Parameters
    ----------
    sums : Sums
        Exact log-evidence, ``(agents, columns)``: one column of log-likelihood ratios of the second
        hypothesis against the first, or one a hypothesis.
    prior : sequence of float
        Logarithm of each hypothesis' prior weight, up to a common constant: as :func:`log_prior` gives them.
    compiled : bool
        Let JAX compile the work, on its device: the same bits, sooner for many agents.

    Returns
    -------
    Posterior

    Raises
    ------
    ValueError
        If the prior does not fit the columns.
    """
    columns = sums.window.shape[1]
    if len(prior) != max(2, columns):
        raise ValueError(f"posterior: {len(prior)} prior weights for {max(2, columns)} hypotheses.")
    added = [prior[1] - prior[0]] if columns == 1 else list(prior)
    run = runner(compiled)
    shifted = plus(sums, added)
    made = run(_present_window, shifted.window)
    if len(shifted.far):
        full = shifted.full()
        for whole, part in zip(made, _present(full, FLOAT64), strict=True):
            whole[shifted.far] = part
    log_odds, log_p, log_q, p = made
    return Posterior(log_odds[:, 0] if log_odds.shape[1] else None, log_p, log_q, p)


def plus(sums: Sums, constants: Sequence[float]) -> Sums:
    """Add one float to each column of all rows, exactly."""
    x = np.asarray(constants, dtype=np.float64)
    if not x.any():
        return sums
    inside = within_window(x)
    near, rest = (_ACCUMULATOR.lift(np.where(mask, x, 0.0)).digits for mask in (inside, ~inside))
    window = group.add(sums.window, near[:, WINDOW_FIRST_DIGIT : WINDOW_FIRST_DIGIT + WINDOW.digits])
    if inside.all():
        return Sums(window, sums.far, sums.outside)
    outside = np.zeros((len(window), len(x), FLOAT64.digits), dtype=np.uint32)
    outside[sums.far] = sums.outside
    return Sums(window, np.arange(len(window)), group.add(outside, rest))


def _present_window(digits: Array) -> tuple[Array, ...]:
    return _present(digits, WINDOW)


def _present(digits: Array, format: Format) -> tuple[Array, ...]:
    """Log-odds, log-probabilities, their complements and probabilities, from digits of a format."""
    xp = digits.__array_namespace__()
    if digits.shape[1] == 2:
        digits = group.subtract(digits[:, 1:], digits[:, :1])
    if digits.shape[1] == 1:
        odds = reals.from_digits(digits, format.lsb)
        yes, no = log_sigmoids(odds)
        chance, other = sigmoids(odds)
        pairs = ((no, yes), (yes, no), (other, chance))
        return round_digits(digits, format.lsb), *(xp.concatenate(pair, axis=1) for pair in pairs)
    lanes = group.lanes(digits)
    off = reals.from_digits(group.normalize(lanes - lanes[:, :1]), format.lsb)
    odds = odds_against_rest(off)
    yes, no = log_sigmoids(odds)
    return xp.zeros((len(digits), 0), dtype=np.float64), yes, no, sigmoid(odds)
