"""`ConsensusPage`, what the report of ``convergence consensus`` shows; `render` makes the file of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

MOST_BINS = 60


class LabelChance(NamedTuple):
    """How probable one label of an item is. A plain tuple does as well.

    Parameters
    ----------
    label : str
        The label.
    log_probability : float
        The natural logarithm of its probability.
    log_complement : float, optional
        That of one less its probability, which tells how near to 1 it is where the probability itself rounds
        to 1; taken from `log_probability` where it is None.
    """

    label: str
    log_probability: float
    log_complement: float | None = None


@dataclass(frozen=True)
class JudgedItem:
    """One agent, or one item of a crowd, with what all observers together say of it.

    Parameters
    ----------
    item : str
        Its id, as read.
    verdict : str
        ``flag``, ``clear`` or ``undetermined``.
    label : str
        What it is most probably.
    observers : int, optional
        How many observers said something of it.
    log_odds : float, optional
        Of the second hypothesis against the first, where there are two.
    lower, upper : float, optional
        Bounds on the log-odds that hold whoever lies, where lying observers are allowed for.
    log_e : float, optional
        The natural logarithm of the e-value that the verdict rests on, at its least whoever lies: against the
        alternative where it is clear, against the null where it is not.
    estimates : mapping of str to float
        Point estimates of the log-odds by name, such as ``trimmed mean``; they are shown as such.
    top : sequence of LabelChance
        The most probable labels; the report orders them and shows a few.
    """

    item: str
    verdict: str
    label: str = ""
    observers: int | None = None
    log_odds: float | None = None
    lower: float | None = None
    upper: float | None = None
    log_e: float | None = None
    estimates: Mapping[str, float] = field(default_factory=dict)
    top: Sequence[LabelChance] = ()


@dataclass(frozen=True)
class Observer:
    """One observer and what is known of its reliability; what is None is not shown.

    Parameters
    ----------
    observer : str
        Its id, as read.
    items : int
        Agents or items that it said something of.
    reason : str
        Why it is suspicious; empty if it is not.
    agreement : float, optional
        The share of its items on which it says what all together say.
    accuracy : float, optional
        The estimated share of items that it gets right.
    events : int, optional
        Items of evidence that it gave, where it may give several for one agent.
    retracted : bool, optional
        Whether its every word was taken back.
    equivocating, refused : int, optional
        Rows in which it said two things of one matter, and items that were out of range.
    among_largest : float, optional
        The share of its agents for which it is among the f observers who pull furthest.
    deviation : float, optional
        How far it typically is from the other observers of an agent, in robust standard deviations.
    contributed : float, optional
        The sum of the absolute log-odds that it contributed.
    confusion : sequence of sequences of float
        How often it says each label for each truth: a row a truth, a column a label said, each row adding up
        to 1, in the order of the result's hypotheses. NaN where nothing is known; empty where there is none.
    """

    observer: str
    items: int
    reason: str = ""
    agreement: float | None = None
    accuracy: float | None = None
    events: int | None = None
    retracted: bool | None = None
    equivocating: int | None = None
    refused: int | None = None
    among_largest: float | None = None
    deviation: float | None = None
    contributed: float | None = None
    confusion: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Histogram:
    """How a quantity is distributed over all agents or items.

    Parameters
    ----------
    edges : sequence of float
        Edges of the bins, ascending, one more than there are bins. An infinite first or last edge means that
        the bin holds all that is beyond; at least one bin is between two finite edges.
    counts : sequence of float
        How many fall into each bin.
    flagged : sequence of float
        How many of those are flagged; empty where nothing is.
    """

    edges: Sequence[float]
    counts: Sequence[float]
    flagged: Sequence[float] = ()


@dataclass(frozen=True)
class ConsensusPage:
    """Everything that the report shows. The same page is rendered to the same bytes.

    Parameters
    ----------
    result : mapping
        What ``result.json`` holds. What is missing from it is left out of the page.
    items : sequence of JudgedItem
        All agents or items, or as many as could be of interest, in any order; the report shows the strongest
        of the flagged and the most uncertain of the others, and counts the rest.
    observers : sequence of Observer
        The observers, the most suspicious first.
    distribution : Histogram, optional
        Of log-odds, or of the probability of the most probable label where there are no log-odds.
    command : str
        The command line that does it again.
    subject : str
        What was looked at, for the title: the file's name, say.
    """

    result: Mapping[str, Any]
    items: Sequence[JudgedItem] = ()
    observers: Sequence[Observer] = ()
    distribution: Histogram | None = None
    command: str = ""
    subject: str = ""


def histogram(
    values: Sequence[float] | np.ndarray,
    flagged: Sequence[bool] | np.ndarray | None = None,
    *,
    within: tuple[float, float] | None = None,
    most: int = MOST_BINS,
) -> Histogram | None:
    """Count values into bins between round edges, zero among them where it is in range.

    Parameters
    ----------
    values : sequence of float
        NaN is not counted; what is infinite or far from most values is counted in an open bin at the end.
    flagged : sequence of bool, optional
        Which of them are flagged.
    within : tuple of two floats, optional
        The range to show, lower end first; from the values where it is None. Give ``(0, 1)`` for
        probabilities.
    most : int
        Bins at most, and two open ones.

    Returns
    -------
    Histogram or None
        None if there is no value.
    """
    xs = np.asarray(values, np.float64)
    known = ~np.isnan(xs)
    if not known.any():
        return None
    finite = xs[np.isfinite(xs)]
    low, high = within if within is not None else _range_of(finite)
    unit = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(unit * m for m in (1, 2, 5, 10, 20) if unit * m * (most - 2) >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    edges = np.arange(first, last + 1) * step
    edges = np.concatenate(
        [[-np.inf] * bool((xs < edges[0]).any()), edges, [np.inf] * bool((xs > edges[-1]).any())]
    )
    inner = edges[np.isfinite(edges)]

    def counted(chosen: np.ndarray) -> list[float]:
        bins = np.searchsorted(inner, chosen, side="right") - (chosen == inner[-1])
        counts = np.bincount(bins, minlength=len(inner) + 1)
        begin = 0 if np.isneginf(edges[0]) else 1
        return [float(n) for n in counts[begin : begin + len(edges) - 1]]

    marked = None if flagged is None else np.asarray(flagged, bool)
    return Histogram(
        edges.tolist(), counted(xs[known]), [] if marked is None else counted(xs[known & marked])
    )


def _range_of(finite: np.ndarray) -> tuple[float, float]:
    """From the smallest to the largest value, unless few of them are very far from the others."""
    if not finite.size:
        return -1.0, 1.0
    low, high = (float(q) for q in np.quantile(finite, [0.001, 0.999]))
    span = high - low
    low, high = max(float(finite.min()), low - span), min(float(finite.max()), high + span)
    room = max(abs(low), abs(high)) * 1e-6
    return (low, high) if high - low > room else (low - max(0.5, room), high + max(0.5, room))


def render(page: ConsensusPage) -> str:
    """Write the report as one HTML text that needs nothing else: no network, no JavaScript, no fonts.

    Parameters
    ----------
    page : ConsensusPage
        What to show. Every text in it may hold anything; it is escaped.

    Returns
    -------
    str
        The same for the same page, under 2 MB for any number of items and observers. It encodes to UTF-8.

    Raises
    ------
    ValueError
        If the sizes of the histogram, or of a confusion matrix that is shown, do not fit together.
    """
    from convergence_jax.report import consensus_sections as sections
    from convergence_jax.report import provenance
    from convergence_jax.report.layout import write
    from convergence_jax.report.observers import observers
    from convergence_jax.report.wording import name

    return write(
        "consensus.html",
        subject=name(page.subject, 120) if page.subject else "",
        noun=sections.nouns(page),
        verdict=sections.verdict(page),
        key_figures=sections.key_figures(page),
        judged=sections.judged(page),
        observers=observers(page),
        distribution=sections.distribution(page),
        calibration=sections.calibration(page),
        reading=sections.reading(page),
        method=provenance.method(page, sections.TOLD),
        again=provenance.again(page),
    )
