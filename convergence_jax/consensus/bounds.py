"""What may be said of the honest observers' total when at most `f` observers lie, whoever they are.

Let ``x_o`` be the exact sum of what observer `o` said about an agent, zero if nothing. If at most `f`
observers lie, the honest total is what remains when some set of at most `f` of them is left out. The smallest
and the largest such remainder are

- ``L``: the sum of all, less the `f` largest of ``max(x_o, 0)``,
- ``U``: the sum of all, less the `f` smallest of ``min(x_o, 0)``.

So ``[L, U]`` holds the honest total for every choice of liars and everything that they may say, and no
narrower interval does. The sums, and the comparisons that choose the largest, are those of exact integers; as
floats, ``L`` is rounded down and ``U`` up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_jax.consensus.evidence import Evidence, Sums
from convergence_jax.exact import digits as group
from convergence_jax.exact.constants import FLOAT64, WINDOW
from convergence_jax.exact.rounding import round_digits
from convergence_jax.exact.terms import within_window
from convergence_jax.statistics.arrays import namespace

Array = Any

_BLOCK = 1 << 20
"""Cells in flight at a time."""


@dataclass(frozen=True)
class Bounds:
    """Certain bounds on the honest total of every agent, in natural logarithms.

    Attributes
    ----------
    lower, upper : Float64[ndarray, "agents"]
        Rounded down, and up.
    """

    lower: np.ndarray
    upper: np.ndarray


def check_liars(liars: int, observers: int) -> None:
    """Refuse a number of liars that is negative, or that leaves no majority of honest observers.

    Raises
    ------
    ValueError
        If `liars` is not at least 0 and less than half of `observers`.
    """
    if liars < 0:
        raise ValueError(f"observers lying: give 0 or more, got {liars}.")
    if liars and 2 * liars >= observers:
        most = max(0, (observers - 1) // 2)
        raise ValueError(
            f"observers lying: {liars} of {observers} is not a minority, and then nothing is certain; "
            f"give at most {most}."
        )


def bounds(evidence: Evidence, liars: int, prior: float = 0.0) -> Bounds:
    """Bounds on every agent's honest total.

    Parameters
    ----------
    evidence : Evidence
        Of log-likelihood ratios, one column.
    liars : int
        At most so many observers lie; less than half of them.
    prior : float
        Log-odds before any evidence, added to both bounds.

    Returns
    -------
    Bounds
        ``lower == upper`` up to one rounding each where `liars` is 0.

    Raises
    ------
    ValueError
        If `liars` is out of bounds, or the evidence has several columns.
    """
    check_liars(liars, evidence.observers)
    if evidence.columns != 1:
        raise ValueError(f"bounds: want log-likelihood ratios, got {evidence.columns} hypotheses.")
    lower, upper = np.empty(evidence.agents), np.empty(evidence.agents)
    for agents, table in blocks(evidence, _BLOCK):
        low, high = honest_range(table, liars)
        lower[agents] = round_digits(_plus(low, prior), WINDOW.lsb, towards="below")
        upper[agents] = round_digits(_plus(high, prior), WINDOW.lsb, towards="above")
    exact = None if within_window(np.array(prior)) else range(evidence.agents)
    for agent in np.unique(evidence.agent[evidence.sums.far]) if exact is None else exact:
        lower[agent], upper[agent] = _by_integers(evidence, int(agent), liars, prior)
    return Bounds(lower, upper)


def blocks(evidence: Evidence, cells: int) -> Any:
    """The windows of an evidence table as dense pieces.

    Yields
    ------
    agents : slice
    table : UInt32[ndarray, "agents places 4"]
        What each observer said about each agent, in any order, and zeros up to the most that any agent has.
    """
    starts = np.searchsorted(evidence.agent, np.arange(evidence.agents + 1))
    most = int(np.diff(starts).max(initial=1))
    step = max(1, cells // max(1, most))
    for first in range(0, evidence.agents, step):
        last = min(first + step, evidence.agents)
        part = slice(starts[first], starts[last])
        owner = evidence.agent[part]
        place = np.arange(starts[first], starts[last]) - starts[owner]
        table = np.zeros((last - first, most, WINDOW.digits), dtype=np.uint32)
        table[owner - first, place] = evidence.sums.window[part, 0]
        yield slice(first, last), table


def honest_range(table: Array, liars: int) -> tuple[Array, Array]:
    """Smallest and largest honest total, exactly, in NumPy or JAX.

    Parameters
    ----------
    table : UInt32[Array, "agents observers 4"]
        What each observer said, in window digits; zeros for one that said nothing.
    liars : int
        Static; more than there are observers leave nothing.

    Returns
    -------
    lower, upper : UInt32[Array, "agents 4"]
        Window digits.
    """
    negative = table[..., -1] >= np.uint32(1 << 31)
    size = group.lanes(table)
    everyone = group.lanes(table).sum(axis=-2)
    above = largest_sum(namespace(table).where(negative[..., None], np.uint32(0), table), liars)
    minus = group.normalize(namespace(table).where(negative[..., None], -size, np.int64(0)))
    below = largest_sum(minus, liars)
    return group.normalize(everyone - above), group.normalize(everyone + below)


def largest_sum(table: Array, number: int) -> Array:
    """Lanes of the sum of the `number` largest of each row.

    Parameters
    ----------
    table : UInt32[Array, "agents observers 4"]
        None negative.
    number : int
        Static.

    Returns
    -------
    Int64[Array, "agents 4"]
        Not normalised.

    Notes
    -----
    The upper word decides, and among those whose upper word equals the last one taken, the lower word.
    """
    xp = namespace(table)
    lanes = group.lanes(table)
    observers = table.shape[-2]
    if number <= 0 or observers == 0:
        return xp.zeros_like(lanes[..., 0, :])
    if number >= observers:
        return lanes.sum(axis=-2)
    upper = lanes[..., 2] | (lanes[..., 3] << np.int64(32))
    last = xp.sort(upper, axis=-1)[..., observers - number, None]
    taken, tied = upper > last, upper == last
    total = xp.where(taken[..., None], lanes, np.int64(0)).sum(axis=-2)
    wanted = np.int64(number) - taken.astype(xp.int64).sum(axis=-1)
    lower = table[..., 0].astype(xp.uint64) | (table[..., 1].astype(xp.uint64) << np.uint64(32))
    # In ascending order, those that are not tied first.
    ranked = xp.sort(xp.where(tied, lower, np.uint64(0)), axis=-1)
    chosen = np.arange(observers, dtype=np.int64) >= np.int64(observers) - wanted[..., None]
    kept = xp.where(chosen, ranked, np.uint64(0))
    last = last[..., 0]
    parts = (
        (kept & np.uint64(0xFFFFFFFF)).astype(xp.int64).sum(axis=-1),
        (kept >> np.uint64(32)).astype(xp.int64).sum(axis=-1),
        (last & np.int64(0xFFFFFFFF)) * wanted,
        (last >> np.int64(32)) * wanted,
    )
    return total + xp.stack(parts, axis=-1)


def _plus(digits: np.ndarray, prior: float) -> np.ndarray:
    if prior == 0.0 or not within_window(np.array(prior)):
        return digits
    return group.add(digits, group.from_ints(int(prior * 2.0**-WINDOW.lsb), WINDOW.digits))


def _by_integers(evidence: Evidence, agent: int, liars: int, prior: float) -> tuple[float, float]:
    """The same for one agent, of whom something was said that lies outside the window."""
    cells = np.flatnonzero(evidence.agent == agent)
    part: Sums = evidence.sums.take(cells)
    shift = WINDOW.lsb - FLOAT64.lsb
    said = [int(v) << shift for v in group.to_ints(part.window[:, 0])]
    for row, digits in zip(part.far, part.outside[:, 0], strict=True):
        said[row] += int(group.to_ints(digits))
    scale = int(prior.as_integer_ratio()[0]) * (2**1074 // prior.as_integer_ratio()[1])
    total = sum(said) + scale
    lower = total - sum(sorted((max(v, 0) for v in said), reverse=True)[:liars])
    upper = total - sum(sorted(min(v, 0) for v in said)[:liars])
    ends = group.from_ints([lower, upper], FLOAT64.digits)
    return (
        float(round_digits(ends[0], FLOAT64.lsb, towards="below")),
        float(round_digits(ends[1], FLOAT64.lsb, towards="above")),
    )
