"""What the report found, section by section: short texts, rows and figures for the template."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from convergence_jax.report import figures
from convergence_jax.report.correlation_map import MOST_FEATURES, correlation_map, correlations, two_decimals
from convergence_jax.report.outline import Branch, outline
from convergence_jax.report.page import Deviation, DistanceChart, Page, TreeNode, UnusualAgent
from convergence_jax.report.provenance import get, total
from convergence_jax.report.wording import (
    MISSING,
    count,
    deviation,
    duration,
    name,
    number,
    path,
    percent,
    plural,
    probability,
    small,
)

MOST_CARDS = 25  # agents with their features
MOST_ROWS = 200  # agents after those, one line each
MOST_DEVIATIONS = 8  # features of one agent
MOST_PAIRS = 8  # strongest correlations
OPEN_ROWS = 40  # groups of the second level that are unfolded from the start

Section = dict[str, Any]


def verdict(page: Page) -> Section:
    """The answer in one sentence, what it rests on, and the most unusual agent."""
    agents, flagged = get(page.result, "input", "agents", default=0), flagged_of(page)
    if not agents:
        sentence = "No agent was read, so nothing was decided."
    elif agents == 1:
        sentence = (
            "The only agent is unusual." if flagged else "There is only one agent, and it is not flagged."
        )
    elif not flagged:
        sentence = f"None of {count(agents)} agents is unusual."
    else:
        sentence = f"{count(flagged)} of {count(agents)} agents {'is' if flagged == 1 else 'are'} unusual."
    decision = get(page.result, "decision", default={})
    least = decision.get("least_rejections")
    return {
        "sentence": sentence,
        "some": flagged > 0,
        "alpha": number(decision.get("alpha")),
        "least": count(least) if least is not None and least > 1 else None,
        "first": _first(page.unusual[0]) if page.unusual and agents > 1 else None,
    }


def flagged_of(page: Page) -> int:
    """How many agents the decision flags."""
    return int(get(page.result, "decision", "flagged", default=0))


def _first(agent: UnusualAgent) -> Section:
    ranked = _ranked(agent.features)
    return {"agent": name(agent.agent), "where": path(agent.path), "why": _why(ranked)}


def _ranked(features: Sequence[Deviation]) -> list[Deviation]:
    rows = [Deviation(*row) for row in features]

    def weight(row: Deviation) -> tuple[float, float]:
        share = row.share if row.share is not None and math.isfinite(row.share) else -math.inf
        size_of = abs(row.deviation) if math.isfinite(row.deviation) else -1.0
        return (-share, -size_of)

    return sorted(rows, key=weight)


def _why(ranked: Sequence[Deviation]) -> str:
    """The feature that accounts for most of the score, and the second where that is not enough of it."""
    if not ranked:
        return ""
    first, *others = ranked
    joint = bool(others) and first.share < 0.6 and others[0].share >= 0.15
    text = ", ".join(_aside(row) for row in ([first, others[0]] if joint else [first]))
    inside = all(abs(row.deviation) < 2 for row in ranked)
    return f"unusual together: {text}" if joint and inside else text


def _aside(row: Deviation) -> str:
    if not math.isfinite(row.deviation):
        return name(row.name, 40)
    side = "above" if row.deviation >= 0 else "below"
    return f"{name(row.name, 40)} {deviation(abs(row.deviation))} sd {side}"


def key_figures(page: Page) -> list[tuple[str, str]]:
    """The handful of figures under the verdict."""
    result = page.result
    rows, rejected = get(result, "input", "rows"), get(result, "input", "rejected", default={})
    accepted = rows - sum(rejected.values()) if rows is not None else None
    groups = [level.get("groups") for level in get(result, "levels", default=[])]
    agents = get(result, "input", "agents", default=0)
    seconds = get(result, "seconds", default={})
    return [
        ("flagged", percent(flagged_of(page) / agents) if agents else MISSING),
        ("agents", count(agents)),
        ("rows accepted", count(accepted)),
        ("features", count(len(get(result, "population", "features", default=[])))),
        ("finest groups", count(groups[-1]) if groups else "none"),
        ("took", duration(total(seconds)) if seconds else MISSING),
    ]


def unusual(page: Page) -> Section:
    """The most unusual agents: cards with their features, then plain rows, then a number."""
    cards = []
    for rank, agent in enumerate(page.unusual[:MOST_CARDS], 1):
        ranked = _ranked(agent.features)
        largest = max((abs(row.deviation) for row in ranked if math.isfinite(row.deviation)), default=3.0)
        cards.append(
            _line(rank, agent, ranked)
            | {
                "features": [
                    {
                        "name": name(row.name, 40),
                        "value": number(row.value),
                        "expected": number(row.expected),
                        "deviation": deviation(row.deviation, sign=True),
                        "share": percent(row.share),
                        "bar": figures.deviation_bar(row.deviation, largest),
                    }
                    for row in ranked[:MOST_DEVIATIONS]
                ],
                "more": max(0, len(ranked) - MOST_DEVIATIONS),
            }
        )
    rows = [
        _line(rank, agent, _ranked(agent.features))
        for rank, agent in enumerate(page.unusual[MOST_CARDS : MOST_CARDS + MOST_ROWS], MOST_CARDS + 1)
    ]
    elsewhere = flagged_of(page) - sum(agent.flagged for agent in page.unusual[: MOST_CARDS + MOST_ROWS])
    return {
        "cards": cards,
        "rows": rows,
        "flagged_elsewhere": plural(elsewhere, "more flagged agent is", "more flagged agents are")
        if elsewhere > 0
        else None,
    }


def _line(rank: int, agent: UnusualAgent, ranked: Sequence[Deviation]) -> Section:
    return {
        "rank": count(rank),
        "agent": name(agent.agent),
        "where": path(agent.path),
        "level": name(agent.level, 40),
        "observations": plural(agent.observations, "observation", "observations"),
        "score": number(agent.score, 3),
        "p": probability(agent.p_value),
        "q": probability(agent.q_value),
        "flagged": agent.flagged,
        "why": _why(ranked),
    }


def tree(page: Page) -> Section:
    """The groups with their flagged shares, the worst first."""
    everyone = TreeNode((), get(page.result, "input", "agents", default=0), flagged_of(page))
    top = outline(page.tree, everyone)
    largest: list[float] = []  # share of each level among the groups shown, so that a bar compares equals
    level, shown = [top], -1
    while level:
        largest.append(max(branch.share for branch in level))
        shown += len(level)
        level = [child for branch in level for child in branch.children]
    second = sum(len(child.children) for child in top.children)
    groups = len({node.path for node in page.tree} - {()})
    return {
        "groups": groups,
        "some_hidden": shown < groups,
        "shown": count(shown),
        "of": count(groups),
        "levels": [name(level, 40) for level in level_names(page)],
        "top": _branch(top, largest, 2 if top.flagged and second <= OPEN_ROWS else 1),
    }


def level_names(page: Page) -> list[str]:
    """The named levels from coarse to fine, without the whole population."""
    names = [str(level.get("name", "")) for level in get(page.result, "levels", default=[])]
    depth = max((len(node.path) for node in page.tree), default=0)
    return names[len(names) - depth :] if len(names) == depth + 1 else names


def _branch(branch: Branch, largest: Sequence[float], unfolded: int) -> Section:
    return {
        "label": path(branch.labels),
        "agents": count(branch.agents),
        "flagged": count(branch.flagged),
        "some": branch.flagged > 0,
        "share": percent(branch.share),
        "width": f"{100 * branch.share / largest[0]:.1f}" if branch.flagged and largest[0] else None,
        "children": [_branch(child, largest[1:], unfolded - 1) for child in branch.children],
        "below": branch.below,
        "hidden": count(branch.hidden) if branch.hidden else None,
        "one_hidden": branch.hidden == 1,
        "hidden_with_flagged": count(branch.hidden_with_flagged) if branch.hidden_with_flagged else None,
        "open": unfolded > 0,
    }


def charts(page: Page) -> list[Section]:
    """Each level's scores against what they would be if nobody were unusual."""
    told = get(page.result, "decision", "transforms")
    return [
        _chart(replace(chart, transforms={}) if chart.transforms == told else chart, index)
        for index, chart in enumerate(page.charts)
    ]


def _chart(chart: DistanceChart, index: int) -> Section:
    observed = float(sum(chart.counts))
    threshold = figures.threshold_of(chart)
    edges, counts, expected = figures.merge_bins(chart)
    rows = [
        {"from": number(a), "to": number(b), "count": count(n), "expected": number(m, 3)}
        for a, b, n, m in zip(edges, edges[1:], counts, expected, strict=False)
        if n or m >= 0.05
    ]
    return {
        "name": name(chart.name, 40),
        "scores": plural(int(observed), "score", "scores"),
        "threshold": number(threshold, 3) if threshold is not None else None,
        "beyond": _beyond(chart, threshold),
        "svg": figures.distance_chart(chart, f"c{index}") if observed else None,
        "rows": rows,
        "transforms": [
            (name(feature, 40), name(how, 200))
            for feature, how in sorted(chart.transforms.items())
            if how != "none"
        ],
    }


def _beyond(chart: DistanceChart, threshold: float | None) -> tuple[str, str] | None:
    """Observed and expected counts from the threshold on, where a bin begins at the threshold."""
    if threshold is None:
        return None
    for i, edge in enumerate(chart.edges):
        if math.isclose(edge, threshold, rel_tol=1e-9):
            return count(sum(chart.counts[i:])), small(math.fsum(chart.expected[i:]))
    return None


def population(page: Page) -> Section:
    """Mean and spread of every feature, and how features move together."""
    features = [str(f) for f in get(page.result, "population", "features", default=[])]
    means = list(get(page.result, "population", "mean", default=[]))
    covariance = [list(row) for row in get(page.result, "population", "covariance", default=[])]
    if not len(features) == len(means) == len(covariance):
        means, covariance = [None] * len(features), [[None] * len(features)] * len(features)
    matrix = correlations(covariance)
    pairs = sorted(
        ((i, j, r) for i, line in enumerate(matrix) for j, r in enumerate(line[:i]) if r is not None),
        key=lambda pair: (-abs(pair[2]), pair[:2]),
    )
    kept = list(range(len(features)))
    if len(features) > MOST_FEATURES:
        strongest = dict.fromkeys(index for i, j, _ in pairs for index in (i, j))
        kept = sorted([*strongest, *(i for i in kept if i not in strongest)][:MOST_FEATURES])
    drawn = None
    if pairs:
        chosen = [[matrix[i][j] for j in kept] for i in kept]
        drawn = correlation_map([features[i] for i in kept], chosen)
    return {
        "count": plural(get(page.result, "population", "count", default=0), "observation", "observations"),
        "features": [
            {
                "name": name(feature, 40),
                "mean": number(means[i]),
                "sd": number(_root(covariance[i][i])),
                "constant": covariance[i][i] == 0,
            }
            for i, feature in enumerate(features)
        ],
        "pairs": [
            (name(features[j], 40), name(features[i], 40), two_decimals(r)) for i, j, r in pairs[:MOST_PAIRS]
        ],
        "map": drawn,
        "left_out": len(features) - len(kept),
    }


def _root(variance: float | None) -> float | None:
    return math.sqrt(variance) if variance is not None and variance >= 0 else None
