"""`Page`, what the report shows, as plain values that `detector.py` fills; `render` makes the file of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Deviation(NamedTuple):
    """How far one feature of an agent is from what its group leads one to expect. A plain tuple does as well.

    Parameters
    ----------
    name : str
        The feature.
    value, expected : float
        The agent's mean, and the expectation for it, in the unit of the feature.
    deviation : float
        Their difference in standard deviations, with its sign.
    share : float
        The share of the agent's score that this feature accounts for; NaN where there is none.
    """

    name: str
    value: float
    expected: float
    deviation: float
    share: float


@dataclass(frozen=True)
class TreeNode:
    """One group of the tree.

    Parameters
    ----------
    path : tuple of str
        Labels from coarse to fine; ``()`` is the whole population.
    agents, flagged : int
        Agents seen in the group, and how many of them are flagged.
    """

    path: tuple[str, ...]
    agents: int
    flagged: int


@dataclass(frozen=True)
class DistanceChart:
    """The scores of one level against their reference distribution.

    Parameters
    ----------
    name : str
        The level.
    edges : sequence of float
        Edges of the bins, ascending, one more than there are bins. Uneven bins get a logarithmic axis. An
        infinite last edge means that the last bin holds all that is beyond.
    counts, expected : sequence of float
        Units observed in each bin, and the number expected if nobody were unusual.
    threshold : float, optional
        The lowest score that is flagged; None (or infinite) where none is.
    transforms : mapping of str to str
        How each feature was transformed before its distance was taken; empty if none was.
    """

    name: str
    edges: Sequence[float]
    counts: Sequence[float]
    expected: Sequence[float]
    threshold: float | None = None
    transforms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UnusualAgent:
    """One agent, at the level at which it is most unusual.

    Parameters
    ----------
    agent : str
        Its id, as read.
    path : tuple of str
        Its group there, from coarse to fine; ``()`` is the whole population.
    observations : int
        Observations of the agent in that group.
    level : str
        The level.
    score : float
        Its distance there.
    p_value, q_value : float, optional
        None or NaN where the method gives none.
    flagged : bool
        Whether the decision flags it.
    features : sequence of Deviation
        All features; the report orders them by share and shows the largest.
    """

    agent: str
    path: tuple[str, ...]
    observations: int
    level: str
    score: float
    p_value: float | None
    q_value: float | None
    flagged: bool
    features: Sequence[Deviation] = ()


@dataclass(frozen=True)
class Page:
    """Everything that the report shows. The same page is rendered to the same bytes.

    Parameters
    ----------
    result : mapping
        What ``result.json`` holds.
    tree : sequence of TreeNode
        All groups, in any order; the report shows the worst and counts the rest.
    charts : sequence of DistanceChart
        One a level, from coarse to fine.
    unusual : sequence of UnusualAgent
        The most unusual agents, worst first, flagged or not.
    command : str
        The command line that does it again.
    subject : str
        What was looked at, for the title: the file's name, say.
    """

    result: Mapping[str, Any]
    tree: Sequence[TreeNode] = ()
    charts: Sequence[DistanceChart] = ()
    unusual: Sequence[UnusualAgent] = ()
    command: str = ""
    subject: str = ""


def render(page: Page) -> str:
    """Write the report as one HTML text that needs nothing else: no network, no JavaScript, no fonts.

    Parameters
    ----------
    page : Page
        What to show. Every text in it may hold anything; it is escaped.

    Returns
    -------
    str
        The same for the same page, under 2 MB for any number of groups and agents. It encodes to UTF-8.

    Raises
    ------
    ValueError
        If a chart's edges, counts and expected counts do not fit together.
    """
    from convergence_jax.report import provenance, sections
    from convergence_jax.report.layout import write
    from convergence_jax.report.wording import name

    return write(
        "detect.html",
        subject=name(page.subject, 120) if page.subject else "",
        verdict=sections.verdict(page),
        key_figures=sections.key_figures(page),
        unusual=sections.unusual(page),
        tree=sections.tree(page),
        charts=sections.charts(page),
        population=sections.population(page),
        reading=provenance.reading(page),
        method=provenance.method(page),
        again=provenance.again(page),
    )
