"""Figures as SVG text; colours and type come from the page's styles, so that they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from convergence_jax.report.page import DistanceChart
from convergence_jax.report.wording import count, name, number, pixel

MOST_BINS = 96
_FLOOR = 0.5  # the count at the foot of a logarithmic axis, so that a single agent has a bar


@dataclass(frozen=True)
class Axis:
    """A map from values to pixels, linear or logarithmic; values outside are drawn at its ends.

    Parameters
    ----------
    low, high : float
        The values at its ends, `low` below `high`, and positive where it is logarithmic.
    start, end : float
        Their pixels.
    logarithmic : bool
        Whether equal ratios, rather than equal differences, are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def __call__(self, x: float) -> float:
        """Place a value."""
        x = min(max(x, self.low), self.high)
        if self.logarithmic:
            part = math.log(x / self.low) / math.log(self.high / self.low)
        else:
            part = (x - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def marks(self) -> list[float]:
        """Round values between the ends, a handful."""
        if not self.logarithmic:
            unit = 10.0 ** math.floor(math.log10((self.high - self.low) / 6))
            step = next(unit * m for m in (1, 2, 5, 10) if unit * m * 6 >= self.high - self.low)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [k * step for k in range(first, last + 1)]
        first = math.ceil(math.log10(self.low) - 1e-9)
        last = math.floor(math.log10(self.high) + 1e-9)
        if last - first < 2:
            fine = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
            return [mark for mark in fine if self.low <= mark <= self.high]
        return [10.0**k for k in range(first, last + 1, math.ceil((last - first) / 6))]


def merge_bins(chart: DistanceChart, most: int = MOST_BINS) -> tuple[list[float], list[float], list[float]]:
    """Add up neighbouring bins until there are at most `most`.

    Returns
    -------
    edges, counts, expected : list of float
        Like the chart's.

    Raises
    ------
    ValueError
        If the chart's edges, counts and expected counts do not fit together.
    """
    edges, counts, expected = ([float(x) for x in xs] for xs in (chart.edges, chart.counts, chart.expected))
    if not len(edges) - 1 == len(counts) == len(expected):
        raise ValueError(
            f"DistanceChart {chart.name!r}: want one edge more than counts and expected counts, got "
            f"{len(edges)}, {len(counts)}, {len(expected)}."
        )
    by = math.ceil(len(counts) / most) or 1
    starts = range(0, len(counts), by)
    return (
        [*edges[:-1:by], edges[-1]],
        [math.fsum(counts[i : i + by]) for i in starts],
        [math.fsum(expected[i : i + by]) for i in starts],
    )


def threshold_of(chart: DistanceChart) -> float | None:
    """The threshold, if there is one that a score can reach."""
    limit = chart.threshold
    return None if limit is None or not math.isfinite(limit) else float(limit)


def _score_axis(edges: Sequence[float], threshold: float | None, start: float, end: float) -> Axis:
    low, high = edges[0], edges[-1]
    widths = [b - a for a, b in pairwise(edges)]
    logarithmic = len(edges) > 3 and low >= 0 < edges[1] and max(widths) > 3 * min(widths)
    if logarithmic and low == 0:
        low = edges[1] ** 2 / edges[2]
    if threshold is not None:
        high = max(high, threshold + 0.03 * abs(threshold))
        low = low if logarithmic else min(low, threshold)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return Axis(low, high, start, end, logarithmic)


def distance_chart(chart: DistanceChart, key: str, *, width: int = 560, height: int = 270) -> str:
    """Draw observed scores as bars, the expected counts as a curve, the threshold as a line.

    Parameters
    ----------
    chart : DistanceChart
        At least one bin.
    key : str
        Distinguishes the ids of this figure from those of others on the page.
    width, height : int
        In pixels of the drawing; the page scales it.

    Returns
    -------
    str
        An ``svg`` element. Counts have a logarithmic axis, and scores too if their bins are uneven.
    """
    edges, counts, expected = merge_bins(chart)
    threshold = threshold_of(chart)
    limit = "none" if threshold is None else number(threshold, 3)
    beyond = len(edges) > 2 and math.isinf(edges[-1])
    if beyond:  # drawn as wide as two bins, and a threshold within it in its middle
        edges[-1] = edges[-2] + 2 * (edges[-2] - edges[-3])
        threshold = None if threshold is None else min(threshold, (edges[-2] + edges[-1]) / 2)
    left, right, top, foot = 50, width - 12, 34, height - 42
    across = _score_axis(edges, threshold, left, right)
    up = count_axis(max([*counts, *expected]), foot, top)
    out = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{key}t {key}d">',
        f'<title id="{key}t">Scores at level {escape(name(chart.name))}</title>',
        f'<desc id="{key}d">Bars: {count(sum(counts))} observed scores. Curve: the counts expected if ',
        f"nobody were unusual. Threshold: {limit}.</desc>",
    ]
    out += count_grid(up, left, right)
    if beyond:
        at = pixel(across((edges[-2] + edges[-1]) / 2))
        out.append(f'<text class="tick last mid" x="{at}" y="{foot + 18}">more</text>')
    for x in across.marks():
        if beyond and x > edges[-2] - (edges[-1] - edges[-2]):
            continue
        at = pixel(across(x))
        out.append(f'<path class="axis" d="M{at} {foot}v4"/>')
        out.append(f'<text class="tick mid" x="{at}" y="{foot + 18}">{number(x)}</text>')
    out += bars(edges, counts, threshold, across, up)
    drawn = len(expected) - beyond  # an open bin has no place for a curve
    line = _curve(edges[: drawn + 1], expected[:drawn], across, up)
    if line:
        out.append(f'<path class="expected" d="{line}"/>')
    out.append(f'<path class="axis" d="M{left} {foot}H{right}"/>')
    out.append(f'<text class="label mid" x="{(left + right) // 2}" y="{height - 5}">score</text>')
    out.append('<text class="label" x="0" y="12">count</text>')
    if threshold is not None:
        limit_at = across(threshold)
        anchor, shift = ("end", -7) if limit_at > width * 0.6 else ("start", 7)
        out.append(f'<path class="threshold" d="M{pixel(limit_at)} {top - 16}V{foot}"/>')
        out.append(f'<text class="mark {anchor}" x="{pixel(limit_at + shift)}" y="{top - 8}">')
        out.append(f"threshold {limit}</text>")
    return "".join(out) + "</svg>"


def count_axis(most: float, foot: float, top: float) -> Axis:
    """Lay out a logarithmic axis for counts up to `most`, with room above."""
    return Axis(_FLOOR, max(10.0, most) * 1.15, foot, top, True)


def count_grid(up: Axis, left: float, right: float) -> list[str]:
    """Lines across and numbers beside them at the marks of an axis of counts."""
    out = []
    for mark in up.marks():
        if mark >= 1:
            y = pixel(up(mark))
            out.append(f'<path class="grid" d="M{left} {y}H{right}"/>')
            out.append(f'<text class="tick end" x="{left - 7}" y="{y}" dy=".33em">{number(mark)}</text>')
    return out


def bars(
    edges: Sequence[float], counts: Sequence[float], threshold: float | None, across: Axis, up: Axis
) -> list[str]:
    """One path of bars below the threshold and one of those beyond; a bar that it crosses is cut in two."""
    shapes: dict[str, list[str]] = {"within": [], "beyond": []}
    for (a, b), n in zip(pairwise(edges), counts, strict=True):
        cut = b if threshold is None else min(max(threshold, a), b)
        for kind, start, end in (("within", a, cut), ("beyond", cut, b)):
            if n > 0 and end > start:
                x = across(start)
                wide = max(across(end) - x - (0.8 if end == b else 0.0), 0.6)
                shapes[kind].append(
                    f"M{pixel(x)} {pixel(up.start)}V{pixel(up(n))}h{pixel(wide)}V{pixel(up.start)}z"
                )
    return [f'<path class="{kind}" d="{"".join(parts)}"/>' for kind, parts in shapes.items() if parts]


def _curve(edges: Sequence[float], expected: Sequence[float], across: Axis, up: Axis) -> str:
    """The path through the expected counts above the foot of the axis, cut where it meets the foot."""
    path: list[str] = []
    drawing = False
    before = (0.0, 0.0)
    for (a, b), n in zip(pairwise(edges), expected, strict=True):
        x = (across(a) + across(b)) / 2
        above = n > _FLOOR
        if above != drawing and min(n, before[1]) > 0:
            part = math.log(_FLOOR / before[1]) / math.log(n / before[1])
            meets = before[0] + part * (x - before[0])
            path.append(f"{'L' if drawing else 'M'}{pixel(meets)} {pixel(up.start)}")
            drawing = True
        if above:
            path.append(f"{'L' if drawing else 'M'}{pixel(x)} {pixel(up(n))}")
        drawing, before = above, (x, n)
    return "".join(path)


def deviation_bar(deviation: float, largest: float, *, width: int = 168, height: int = 14) -> str:
    """Draw a bar from the expected value to the agent's; the band is two standard deviations to each side."""
    if not math.isfinite(deviation):
        return ""
    scale = (width / 2 - 2) / max(largest, 3.0)
    middle, band, long = width / 2, 2 * scale, max(abs(deviation) * scale, 0.6)
    start = middle if deviation >= 0 else middle - long
    kind = "over" if deviation >= 0 else "under"
    return (
        f'<svg class="spark" width="{width}" height="{height}" aria-hidden="true">'
        f'<rect class="band" x="{pixel(middle - band)}" width="{pixel(2 * band)}" height="{height}"/>'
        f'<rect class="{kind}" x="{pixel(start)}" y="4" width="{pixel(long)}" height="6"/>'
        f'<path class="axis" d="M{pixel(middle)} 0v{height}"/></svg>'
    )
