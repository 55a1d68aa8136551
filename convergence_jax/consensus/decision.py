"""Who is flagged, who is clear and of whom nothing is certain, when some observers lie.

An observer's likelihood ratio ``e_o`` has expectation at most one where the null is true. So has ``(1 +
e_o)/2``, and so has the product over honest observers that are independent given the hypothesis. Whoever the
at most `f` liars are, that product is at least

    ``log E = sum of all t_o - the f largest of max(t_o, 0)``, with ``t_o = log((1 + e_o) / 2)``,

so ``P(log E >= log(1 / alpha)) <= alpha`` for a healthy agent, at any time of looking (Ville, 1939). Mixing
with one keeps a liar who pulls from undoing everybody else: it costs ``log 2`` an observer, no more. Under
dependence the honest e-values are averaged instead of multiplied (Vovk and Wang, 2021).

All of that is decided in integers: a term is rounded down to ``2**-32``, by more than its error, so that the
decision is the same everywhere and errs on the side of not deciding.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.consensus.bounds import blocks, check_liars
from convergence_jax.consensus.evidence import Evidence
from convergence_jax.consensus.running import runner
from convergence_jax.exact import digits as group
from convergence_jax.exact import reals
from convergence_jax.exact.constants import FLOAT64, WINDOW
from convergence_jax.exact.exp_ln import softplus
from convergence_jax.exact.log_sum_exp import HYPOTHESES, log_sum_exp
from convergence_jax.exact.reals import Fixed
from convergence_jax.statistics.arrays import namespace

Array = Any

UNIT_BITS = 32
"""Decisions are made in units of ``2**-32`` of a natural logarithm."""

MOST_BITS = 14
"""What one observer says about one agent counts for at most ``2**14`` in a decision."""

FLAG, CLEAR, UNDETERMINED = "flag", "clear", "undetermined"

_BLOCK = 1 << 18
_LOG_TWO = np.int64(math.floor(math.log(2.0) * 2**UNIT_BITS) + 2)  # above, by more than a float's error
_SLACK = np.int64(1)  # a unit is more than the error of a softplus


@dataclass(frozen=True)
class Decision:
    """E-values for and against every agent, and what they amount to.

    Attributes
    ----------
    log_against : Float64[ndarray, "agents"]
        Logarithm of an e-value against the null (that the agent is healthy); rounded down.
    log_for : Float64[ndarray, "agents"]
        The same against the alternative.
    verdict : str[ndarray, "agents"]
        ``flag``, ``clear``, or ``undetermined``, which is also said where both tests reject.
    discovery : Bool[ndarray, "agents"]
        Flagged at a false discovery rate of alpha over all agents, by :func:`discoveries`.
    """

    log_against: np.ndarray
    log_for: np.ndarray
    verdict: np.ndarray
    discovery: np.ndarray


def decide(
    evidence: Evidence, liars: int, alpha: float, *, dependent: bool = False, compiled: bool = False
) -> Decision:
    """Decide about every agent.

    Parameters
    ----------
    evidence : Evidence
        Log-likelihood ratios of the alternative against the null, or one log-likelihood a hypothesis, the
        null first.
    liars : int
        At most so many observers lie; less than half of them.
    alpha : float
        Bound on the probability that a healthy agent is flagged, and that another one is cleared.
    dependent : bool
        Do not assume that honest observers are independent given the hypothesis.
    compiled : bool
        Let JAX compile the work, on its device: the same bits, sooner where there are many cells.

    Returns
    -------
    Decision
        With several alternatives, the largest of their e-values divided by their number flags, and an agent
        is clear only if every one of them is rejected.

    Raises
    ------
    ValueError
        If alpha or the number of liars is out of bounds.

    Notes
    -----
    With no liars and independent observers likelihood ratios multiply, without the mixture.
    """
    check_liars(liars, evidence.observers)
    threshold = _units_above(-math.log(alpha)) if 0.0 < alpha < 1.0 else None
    if threshold is None:
        raise ValueError(f"decide: alpha must be between 0 and 1, got {alpha}.")
    alternatives = max(1, evidence.columns - 1)
    against = np.full(evidence.agents, np.iinfo(np.int64).min)
    favour = np.full(evidence.agents, np.iinfo(np.int64).max)
    for column in range(alternatives):
        part = ratios(evidence, column)
        a, b = log_e_values(part, liars, dependent=dependent, compiled=compiled)
        against, favour = np.maximum(against, a), np.minimum(favour, b)
    against = against - (_units_above(math.log(alternatives)) if alternatives > 1 else 0)
    flag, clear = against >= threshold, favour >= threshold
    verdict = np.where(flag & ~clear, FLAG, np.where(clear & ~flag, CLEAR, UNDETERMINED))
    scale = 2.0**-UNIT_BITS
    return Decision(against * scale, favour * scale, verdict, discoveries(against * scale, alpha))


def ratios(evidence: Evidence, column: int) -> Evidence:
    """Log-likelihood ratios of one alternative against the null, exactly."""
    if evidence.columns == 1:
        return evidence
    return evidence.difference(column + 1, 0)


def log_e_values(
    evidence: Evidence, liars: int, *, dependent: bool = False, compiled: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of e-values against the null and against the alternative.

    Parameters
    ----------
    evidence : Evidence
        Of log-likelihood ratios, one column.
    liars, dependent, compiled
        As in :func:`decide`.

    Returns
    -------
    against, favour : Int64[ndarray, "agents"]
        In units of ``2**-32``, rounded down.
    """
    if not liars and not dependent:
        evidence = evidence.pooled()
    rule = averaged if dependent else (multiplied if liars else alone)
    run = runner(compiled)
    against, favour = (np.zeros(evidence.agents, dtype=np.int64) for _ in range(2))
    for agents, table in blocks(evidence, _BLOCK):
        units = run(said_units, table)
        _put_far(evidence, agents, units)
        for target, said in zip((against, favour), units, strict=True):
            target[agents] = run(rule, said, liars=liars, observers=evidence.observers)
    return against, favour


def said_units(table: Array) -> tuple[Array, Array]:
    """What each observer said, and its negative, in units of ``2**-32``, rounded down and limited.

    Parameters
    ----------
    table : UInt32[Array, "agents observers 4"]
        Window digits.

    Returns
    -------
    said, opposite : Int64[Array, "agents observers"]
    """
    return _window_units(table), _window_units(group.normalize(-group.lanes(table)))


def _window_units(table: Array) -> Array:
    xp = namespace(table)
    second, third, top = (table[..., k].astype(xp.int64) for k in range(1, WINDOW.digits))
    upper = third | (top << np.int64(32))
    down = np.int64(-UNIT_BITS - WINDOW.lsb - 32)  # within the second digit
    exact = (upper << (np.int64(32) - down)) | (second >> down)
    most = np.int64(1 << (MOST_BITS + UNIT_BITS))
    return xp.clip(xp.where(upper >= most, most, xp.where(upper < -most, -most, exact)), -most, most)


def multiplied(units: Array, liars: int, observers: int) -> Array:
    """The product of honest mixtures at its least, for independent observers.

    Parameters
    ----------
    units : Int64[Array, "agents places"]
        What each observer said; silent ones are zero, or missing.
    liars : int
        Static.
    observers : int
        Not used: silence says one.

    Returns
    -------
    Int64[Array, "agents"]
    """
    xp = namespace(units)
    mixed = _units(softplus(_fixed(units))) - (_LOG_TWO + _SLACK)
    mixed = xp.where(units == np.int64(0), np.int64(0), mixed)  # said nothing: exactly one
    gains = xp.sort(xp.maximum(mixed, np.int64(0)), axis=-1)
    return mixed.sum(axis=-1) - gains[..., max(0, units.shape[-1] - liars) :].sum(axis=-1)


def averaged(units: Array, liars: int, observers: int) -> Array:
    """The mean of honest e-values at its least, for observers that may depend on each other.

    The honest are at least ``observers - liars``, and no more than all: the sum of the smallest, over the
    number of all, is at most their mean.
    """
    xp = namespace(units)
    silent = observers - units.shape[-1]
    padded = xp.concatenate([units, xp.zeros((*units.shape[:-1], silent), dtype=xp.int64)], axis=-1)
    kept = xp.sort(padded, axis=-1)[..., : observers - liars]
    return _log_sum(kept) - _units_above(math.log(observers))


def alone(units: Array, liars: int, observers: int) -> Array:
    """The likelihood ratio itself, where one column holds the total of all observers."""
    return units.sum(axis=-1)


def _log_sum(units: Array) -> Array:
    """Logarithm of the sum of exponentials along the last axis, rounded down."""
    xp = namespace(units)
    while units.shape[-1] > 1:
        pieces = range(0, units.shape[-1], HYPOTHESES)
        parts = [_units(log_sum_exp(_fixed(units[..., i : i + HYPOTHESES]))) - _SLACK for i in pieces]
        units = xp.stack(parts, axis=-1)
    return units[..., 0]


def discoveries(log_e: np.ndarray, alpha: float) -> np.ndarray:
    """Agents flagged by the e-BH procedure: those with the `k` largest e-values, ``e >= n / (alpha k)``.

    The false discovery rate is at most alpha under any dependence between agents (Wang and Ramdas, 2022).

    Parameters
    ----------
    log_e : Float64[ndarray, "n"]
        Logarithms of e-values.
    alpha : float

    Returns
    -------
    Bool[ndarray, "n"]
    """
    candidates = np.flatnonzero(log_e >= -math.log(alpha))  # what the largest possible k asks for
    ordered = np.sort(log_e[candidates])[::-1]
    needed = (
        math.log(len(log_e) / alpha) - np.log(np.arange(1, len(ordered) + 1)) if len(ordered) else ordered
    )
    enough = np.flatnonzero(ordered >= needed)
    if not len(enough):
        return np.zeros(len(log_e), dtype=bool)
    return log_e >= ordered[enough[-1]]


def _fixed(units: Array) -> Fixed:
    return Fixed(units >> np.int64(UNIT_BITS), units.view(np.uint64) << np.uint64(64 - UNIT_BITS))


def _units(x: Fixed) -> Array:
    """Rounded down, and limited to ``2**14`` in magnitude."""
    xp = namespace(x.whole)
    most = np.int64(1 << MOST_BITS)
    whole = xp.clip(x.whole, -most, most)
    low = (x.fraction >> np.uint64(64 - UNIT_BITS)).astype(xp.int64)
    low = xp.where((x.whole >= most) | (x.whole < -most), np.int64(0), low)
    return (whole << np.int64(UNIT_BITS)) + low


def _units_above(x: float) -> np.int64:
    return np.int64(math.ceil(x * 2.0**UNIT_BITS) + 1)


def _put_far(evidence: Evidence, agents: slice, units: tuple[np.ndarray, np.ndarray]) -> None:
    """Correct the cells that hold items outside the window."""
    first, last = np.searchsorted(evidence.agent[evidence.sums.far], [agents.start, agents.stop])
    if first == last:
        return
    cells = evidence.sums.far[first:last]
    owner = evidence.agent[cells]
    place = cells - np.searchsorted(evidence.agent, owner)
    lanes = group.lanes(evidence.sums.take(cells).full()[:, 0])
    for sign, target in zip((1, -1), units, strict=True):
        real = reals.from_digits(group.normalize(sign * lanes), FLOAT64.lsb)
        target[owner - agents.start, place] = _units(real)
