"""How certain each node was while links were cut and healed: interval widths and ages over time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from convergence_jax.report.figures import Axis

_COLOURS = ("#1f5fa8", "#b4531f", "#3c7a3c", "#7a4a9e", "#8a6d00", "#a83a5b", "#2a7d86", "#555555")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.axis{stroke:#999}.grid{stroke:#e4e4e4}"
    ".line{fill:none;stroke-width:1.5}.cut{fill:#000;opacity:.06}"
)
_LEFT, _WIDTH, _PANEL, _GAP, _TOP = 58.0, 560.0, 170.0, 46.0, 30.0


@dataclass(frozen=True)
class Moment:
    """What a node said at an instant.

    Attributes
    ----------
    node : str
    seconds : float
        Since the run began.
    width : float or None
        Of its certain interval, in the feature's unit; None if nothing bounds it.
    age_seconds : float or None
        Of its oldest origin; None if infinite.
    """

    node: str
    seconds: float
    width: float | None
    age_seconds: float | None


def moments(answers: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Moment]:
    """The answers of nodes for a mean, as JSON, by time.

    Parameters
    ----------
    answers : iterable of (str, mapping)
        The node, and what it answered.
    """
    means = [(node, said) for node, said in answers if said["what"] == "mean" and "lower" in said]
    first = min((said["instant"] for _, said in means), default=0)
    found = []
    for node, said in means:
        ends = (said["lower"], said["upper"])
        ages = [origin["age_seconds"] for origin in said["origins"] if not origin["excluded"]]
        found.append(
            Moment(
                node,
                (said["instant"] - first) / 1e9,
                None if None in ends else ends[1] - ends[0],
                None if None in ages else max(ages, default=0.0),
            )
        )
    return sorted(found, key=lambda moment: (moment.seconds, moment.node))


def timeline(told: Sequence[Moment], cuts: Sequence[tuple[float, float]] = ()) -> str:
    """Draw widths above ages, a line a node.

    Parameters
    ----------
    told : sequence of Moment
    cuts : sequence of (float, float)
        Seconds from which and until which links were cut; shaded.

    Returns
    -------
    str
        SVG that stands alone.
    """
    nodes = sorted({moment.node for moment in told}, key=lambda node: (len(node), node))
    end = max((moment.seconds for moment in told), default=1.0) or 1.0
    across = Axis(0.0, end, _LEFT, _LEFT + _WIDTH, False)
    height = _TOP + 2 * _PANEL + 2 * _GAP
    box = f"0 0 {_LEFT + _WIDTH + 70:.0f} {height:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img">',
        "<title>Width of the certain interval and age of the oldest origin, for each node</title>",
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>',
    ]
    panels = (
        ("width of the certain interval", "width"),
        ("age of the oldest origin, seconds", "age_seconds"),
    )
    for place, (title, name) in enumerate(panels):
        top = _TOP + place * (_PANEL + _GAP)
        parts += _panel(title, name, told, nodes, across, top, cuts)
    middle = _LEFT + _WIDTH / 2
    parts += [f'<text x="{middle:.0f}" y="{height - 8:.0f}" text-anchor="middle">seconds</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _panel(
    title: str,
    name: str,
    told: Sequence[Moment],
    nodes: Sequence[str],
    across: Axis,
    top: float,
    cuts: Sequence[tuple[float, float]],
) -> list[str]:
    values = [value for moment in told if (value := getattr(moment, name)) is not None]
    most = max(values, default=1.0) or 1.0
    up = Axis(0.0, most, top + _PANEL, top, False)
    right = _LEFT + _WIDTH
    parts = [f'<text x="{_LEFT:.0f}" y="{top - 9:.0f}" font-weight="600">{escape(title)}</text>']
    for start, stop in cuts:
        left, wide = across(start), across(stop) - across(start)
        place = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{_PANEL:.1f}"'
        parts.append(f'<rect class="cut" {place}/>')
    for mark in up.marks():
        y = up(mark)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for mark in across.marks():
        x = across(mark)
        parts.append(f'<text x="{x:.1f}" y="{top + _PANEL + 16:.1f}" text-anchor="middle">{mark:g}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{up(0)}" y2="{up(0)}"/>')
    ends = []
    for number, node in enumerate(nodes):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(m.seconds, getattr(m, name)) for m in told if m.node == node]
        for run in _runs(points):
            drawn = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in run)
            parts.append(f'<polyline class="line" stroke="{colour}" points="{drawn}"/>')
        last = next((y for _, y in reversed(points) if y is not None), None)
        if last is not None:
            ends.append((up(last), node, colour))
    return parts + _labels(ends, right + 6)


def _runs(points: Iterable[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Stretches without a gap: where nothing bounds an answer, there is no line."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def _labels(ends: Sequence[tuple[float, str, str]], x: float) -> list[str]:
    """Names at the ends of the lines, moved apart where they would lie on each other."""
    parts, above = [], float("-inf")
    for y, node, colour in sorted(ends):
        at = max(y, above + 13)
        above = at
        parts.append(f'<text x="{x}" y="{at + 4:.1f}" style="fill:{colour}">{escape(node)}</text>')
    return parts
