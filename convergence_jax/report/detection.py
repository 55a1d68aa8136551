"""From a `Detection` to the `Page` that shows it."""

import numpy as np

from convergence_jax.detector import Detection
from convergence_jax.report.page import Deviation, DistanceChart, Page, TreeNode, UnusualAgent

SHOWN = 225
"""Agents that the page names, flagged or not."""


def page_of(detection: Detection, *, command: str = "", subject: str = "") -> Page:
    """What the report of a detection shows.

    Parameters
    ----------
    detection : Detection
        What `detect` found.
    command : str
        The command line that does it again.
    subject : str
        What was looked at, for the title.
    """
    return Page(
        detection.result,
        _tree(detection),
        [
            DistanceChart(
                drawn.name,
                [*drawn.edges[:-1].tolist(), np.inf],
                drawn.counts.tolist(),
                drawn.expected.tolist(),
                float(drawn.threshold) if np.isfinite(drawn.threshold) else None,
                detection.decision.transforms,
            )
            for drawn in detection.decision.reference
        ],
        _unusual(detection),
        command,
        subject,
    )


def _tree(detection: Detection) -> list[TreeNode]:
    """Agents and flagged agents of every group; an agent counts in each group it was seen in."""
    nodes = []
    for level in detection.fleet.levels:
        agents = np.bincount(level.units.group, minlength=len(level.labels))
        flagged = np.bincount(
            level.units.group, detection.decision.flagged[level.units.agent], len(level.labels)
        )
        nodes += [
            TreeNode(label, int(n), int(f)) for label, n, f in zip(level.labels, agents, flagged, strict=True)
        ]
    return nodes


def _unusual(detection: Detection) -> list[UnusualAgent]:
    """The agents with the smallest p-values, worst first."""
    decision, fleet = detection.decision, detection.fleet
    best_p = np.min([np.nan_to_num(p, nan=2.0) for p in decision.p_values.values()], axis=0)
    best_score = np.max([np.nan_to_num(s, nan=-1.0) for s in decision.scores.values()], axis=0)
    order = np.lexsort((-best_score, best_p, np.nan_to_num(decision.q_value, nan=2.0)))[:SHOWN]
    shown = []
    for agent in order:
        where = decision.most_unusual_unit(int(agent))
        if where is None:
            continue
        level, unit = fleet.levels[where[0]], where[1]
        shown.append(
            UnusualAgent(
                fleet.agents[agent],
                level.labels[level.units.group[unit]],
                int(level.units.count[unit]),
                level.name,
                float(decision.scores[level.name][agent]),
                float(decision.p_values[level.name][agent]),
                float(decision.q_value[agent]),
                bool(decision.flagged[agent]),
                [
                    Deviation(part.feature, part.value, part.expected, part.deviation, part.share)
                    for part in decision.explain(int(agent))
                ],
            )
        )
    return shown
