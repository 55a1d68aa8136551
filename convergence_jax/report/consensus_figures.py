"""Figures of the consensus report, as SVG text: bounds, chances, histograms and calibration."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from convergence_jax.report.consensus_page import Histogram
from convergence_jax.report.figures import Axis, bars, count_axis, count_grid
from convergence_jax.report.wording import count, number, pixel


def interval_bar(
    lower: float | None,
    upper: float | None,
    point: float | None,
    estimates: Sequence[float],
    reach: float,
    *,
    width: int = 140,
    height: int = 18,
) -> str:
    """Draw bounds as a bar, the log-odds as a stroke across it, point estimates as hollow dots.

    Parameters
    ----------
    lower, upper : float, optional
        The bounds; an infinite one runs to the edge.
    point : float, optional
        The log-odds.
    estimates : sequence of float
        Point estimates.
    reach : float
        The log-odds at the right edge, and their opposite at the left, above 0. Even odds are in the middle,
        and lengths from there are as the square roots, so that weak evidence is seen beside strong.

    Returns
    -------
    str
        An ``svg`` element; its numbers have to stand beside it.
    """

    def at(x: float) -> float:
        part = math.copysign(math.sqrt(min(abs(x) / reach, 1.0)), x)
        return width / 2 + part * (width / 2 - 6)

    middle = height / 2
    out = [
        f'<svg class="spark" width="{width}" height="{height}" aria-hidden="true">',
        f'<path class="scale" d="M6 {pixel(middle)}H{width - 6}"/>',
    ]
    if lower is not None and upper is not None and lower <= upper:
        kind = "over" if lower > 0 else "under-zero" if upper < 0 else "both"
        start, end = at(lower), at(upper)
        wide = max(end - start, 2.0)
        out.append(
            f'<rect class="{kind}" x="{pixel((start + end - wide) / 2)}" y="{pixel(middle - 4)}" '
            f'width="{pixel(wide)}" height="8" rx="1.5"/>'
        )
    out.append(f'<path class="axis" d="M{pixel(width / 2)} 0v{height}"/>')
    for estimate in estimates:
        if not math.isnan(estimate):
            out.append(f'<circle class="estimate" cx="{pixel(at(estimate))}" cy="{pixel(middle)}" r="3"/>')
    if point is not None and not math.isnan(point):
        out.append(f'<path class="point" d="M{pixel(at(point))} {pixel(middle - 6)}v12"/>')
    return "".join(out) + "</svg>"


def chance_bar(chances: Sequence[float], *, width: int = 140, height: int = 10) -> str:
    """Draw probabilities side by side, the first as the darkest; what they leave to one stays empty."""
    out = [
        f'<svg class="spark" width="{width}" height="{height}" aria-hidden="true">',
        f'<rect class="band" width="{width}" height="{height}"/>',
    ]
    start = 0.0
    for index, chance in enumerate(chances):
        wide = min(max(chance, 0.0) * width, width - start)
        if wide > 0:
            out.append(
                f'<rect class="chance{min(index, 2)}" x="{pixel(start)}" width="{pixel(max(wide - 1, 0.4))}" '
                f'height="{height}"/>'
            )
        start += wide
    return "".join(out) + "</svg>"


def histogram_chart(
    drawn: Histogram, key: str, title: str, *, label: str, width: int = 640, height: int = 270
) -> str:
    """Draw counts as bars on a logarithmic axis, those of the flagged in front of them.

    Parameters
    ----------
    drawn : Histogram
        At least one bin between two finite edges.
    key : str
        Distinguishes the ids of this figure from those of others on the page.
    title, label : str
        What is distributed, for those who cannot see the figure and below its axis.
    width, height : int
        In pixels of the drawing; the page scales it.

    Raises
    ------
    ValueError
        If edges and counts do not fit together, or no bin is finite.
    """
    edges, counts, flagged = checked(drawn)
    less, more = math.isinf(edges[0]), math.isinf(edges[-1])
    if less:
        edges[0] = edges[1] - 2 * (edges[2] - edges[1])
    if more:
        edges[-1] = edges[-2] + 2 * (edges[-2] - edges[-3])
    top, foot = 26, height - 42
    up = count_axis(max(counts), foot, top)
    left, right = 14 + 8 * max(len(number(mark)) for mark in up.marks()), width - 14
    across = Axis(edges[0], edges[-1], left, right, False)
    out = [
        f'<svg class="chart long" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{key}t {key}d">',
        f'<title id="{key}t">{escape(title)}</title>',
        f'<desc id="{key}d">Bars: {count(sum(counts))} in all',
        f", of which {count(sum(flagged))} are flagged" if flagged else "",
        ". The table below has the numbers.</desc>",
        *count_grid(up, left, right),
    ]
    for wanted, (a, b), text in ((less, edges[:2], "less"), (more, edges[-2:], "more")):
        if wanted:
            at = pixel(across((a + b) / 2))
            out.append(f'<text class="tick last mid" x="{at}" y="{foot + 18}">{text}</text>')
    for mark in across.marks():
        x = across(mark)
        crowded = (less and x < across(edges[1]) + 16) or (more and x > across(edges[-2]) - 16)
        if not crowded:
            out.append(f'<path class="axis" d="M{pixel(x)} {foot}v4"/>')
            out.append(f'<text class="tick mid" x="{pixel(x)}" y="{foot + 18}">{number(mark)}</text>')
    out += bars(edges, counts, None, across, up)
    if flagged:
        out += bars(edges, flagged, edges[0], across, up)
    out.append(f'<path class="axis" d="M{left} {foot}H{right}"/>')
    if edges[0] < 0 < edges[-1]:
        out.append(f'<path class="even" d="M{pixel(across(0.0))} {top - 6}V{foot}"/>')
    out.append(f'<text class="label mid" x="{(left + right) // 2}" y="{height - 5}">{escape(label)}</text>')
    out.append('<text class="label" x="0" y="12">count</text>')
    return "".join(out) + "</svg>"


def checked(drawn: Histogram) -> tuple[list[float], list[float], list[float]]:
    """Edges, counts and flagged counts as lists of numbers, if they fit together."""
    edges, counts, flagged = ([float(x) for x in xs] for xs in (drawn.edges, drawn.counts, drawn.flagged))
    if len(edges) - 1 != len(counts) or (flagged and len(flagged) != len(counts)):
        raise ValueError(
            "Histogram: want one edge more than counts, and as many flagged counts or none, got "
            f"{len(edges)}, {len(counts)}, {len(flagged)}."
        )
    if not any(math.isfinite(a) and math.isfinite(b) for a, b in pairwise(edges)):
        raise ValueError("Histogram: want a bin between two finite edges, got none.")
    return edges, counts, flagged


def wilson(observed: float, n: float) -> tuple[float, float]:
    """Where a share lies that was observed in `n` independent trials, with 95% confidence, after Wilson."""
    z = 1.959964
    middle = (observed + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(observed * (1 - observed), 0.0) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def reliability_diagram(bins: Sequence[Mapping[str, Any]], key: str, *, side: int = 420) -> str:
    """Draw how often predictions of each probability came true, and below it how many there were.

    Parameters
    ----------
    bins : sequence of mappings
        Those with a ``count`` above 0 and finite ``predicted`` and ``observed`` shares, and perhaps others.
    key : str
        Distinguishes the ids of this figure from those of others on the page.
    side : int
        Width in pixels of the drawing; the page scales it.

    Returns
    -------
    str
        An ``svg`` element: a dot a bin on a square, the diagonal where dots of calibrated predictions lie,
        a whisker for the share's 95% interval after Wilson.
    """
    left, right, top = 54, side - 12, 26
    foot = top + right - left
    across, up = Axis(0.0, 1.0, left, right, False), Axis(0.0, 1.0, foot, top, False)
    low, deep = foot + 82, foot + 22
    shown = [b for b in bins if b["count"] > 0]
    down = count_axis(max((b["count"] for b in shown), default=1.0), low, deep)
    height = low + 40
    out = [
        f'<svg class="chart square" viewBox="0 0 {side} {height}" role="img" ',
        f'aria-labelledby="{key}t {key}d"><title id="{key}t">Calibration</title>',
        f'<desc id="{key}d">A dot a bin of predictions: how probable they were, and the share that came ',
        "true. The table beside it has the numbers.</desc>",
    ]
    for mark in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x, y = pixel(across(mark)), pixel(up(mark))
        out.append(f'<path class="grid" d="M{left} {y}H{right}M{x} {top}V{foot}"/>')
        out.append(f'<text class="tick end" x="{left - 7}" y="{y}" dy=".33em">{number(mark)}</text>')
        out.append(f'<text class="tick mid" x="{x}" y="{low + 18}">{number(mark)}</text>')
    out.append(f'<path class="ideal" d="M{left} {foot}L{right} {top}"/>')
    trail = []
    for b in shown:
        x, y = pixel(across(b["predicted"])), pixel(up(b["observed"]))
        bottom, ceiling = (pixel(up(limit)) for limit in wilson(b["observed"], b["count"]))
        out.append(f'<path class="whisker" d="M{x} {bottom}V{ceiling}"/>')
        trail.append(f"{x} {y}")
    out.append(f'<path class="trail" d="M{"L".join(trail)}"/>' if trail else "")
    out += [f'<circle class="dot" cx="{place.split()[0]}" cy="{place.split()[1]}" r="4"/>' for place in trail]
    for b in shown:
        start, end = across(b["from"]), across(b["to"])
        out.append(
            f'<path class="within" d="M{pixel(start)} {low}V{pixel(down(b["count"]))}'
            f'H{pixel(max(end - 0.8, start + 0.6))}V{low}z"/>'
        )
    marks = [mark for mark in down.marks() if mark >= 1]
    for mark in marks[:1] + marks[1:][-1:]:
        y = pixel(down(mark))
        out.append(f'<text class="tick end" x="{left - 7}" y="{y}" dy=".33em">{number(mark)}</text>')
    out.append(f'<path class="axis" d="M{left} {foot}H{right}M{left} {low}H{right}"/>')
    out.append(f'<text class="label mid" x="{(left + right) // 2}" y="{height - 4}">predicted</text>')
    out.append('<text class="label" x="0" y="12">came true</text>')
    return "".join(out) + "</svg>"
