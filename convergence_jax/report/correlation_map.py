"""`correlation_map`: how features move together, as SVG text."""

import math
from collections.abc import Sequence
from html import escape

from convergence_jax.report.wording import name, pixel, signed

MOST_FEATURES = 40


def correlations(covariance: Sequence[Sequence[float | None]]) -> list[list[float | None]]:
    """Correlations from covariances; None where a feature is constant or its variance is not known."""
    deviations = []
    for i, row in enumerate(covariance):
        variance = row[i]
        usable = variance is not None and math.isfinite(variance) and variance > 0
        deviations.append(math.sqrt(variance) if usable and variance is not None else None)
    out: list[list[float | None]] = []
    for i, row in enumerate(covariance):
        line: list[float | None] = []
        for j, shared in enumerate(row):
            a, b = deviations[i], deviations[j]
            if a is None or b is None or shared is None or not math.isfinite(shared):
                line.append(None)
            else:
                line.append(1.0 if i == j else max(-1.0, min(1.0, shared / a / b)))
        out.append(line)
    return out


def correlation_map(features: Sequence[str], matrix: Sequence[Sequence[float | None]]) -> str:
    """The lower triangle of the correlations, each feature's name at the end of its row and the head of its column.

    Parameters
    ----------
    features : sequence of str
        Between 2 and `MOST_FEATURES` names.
    matrix : sequence of sequences of float
        Their correlations; None where there is none.

    Returns
    -------
    str
        An ``svg`` element: one square a pair, its size and its shade the strength, its colour the sign, which a
        minus repeats for those who do not see colours. Up to 12 features the value is written into it.
    """
    d = len(features)
    cell = 52 if d <= 6 else 44 if d <= 12 else max(15, 480 // d)
    names = [name(feature, 28) for feature in features]
    room = max(i * cell + 7.2 * len(text) + 16 for i, text in enumerate(names))
    width, height = max(room, d * cell), d * cell + 4
    written = d <= 12
    small = "" if cell >= 24 else " small"
    out = [
        f'<svg class="map{small}" viewBox="0 0 {pixel(width)} {height}" style="max-width:{pixel(width)}px" role="img" '
        'aria-label="Correlations of all pairs of features; the strongest are in the table beside it.">'
    ]
    for i in range(d):
        y = i * cell
        for j in range(i):
            out.append(_cell(j * cell, y, cell, matrix[i][j], f"{names[j]}, {names[i]}", written))
        out.append(
            f'<text class="who" x="{i * cell + 6}" y="{pixel(y + cell / 2)}" dy=".33em">{escape(names[i])}</text>'
        )
    return "".join(out) + "</svg>"


def _cell(x: int, y: int, cell: int, r: float | None, pair: str, written: bool) -> str:
    gap = 1.5 if cell > 20 else 0.75
    full = cell - 2 * gap
    frame = f'<rect class="frame" x="{pixel(x + gap)}" y="{pixel(y + gap)}" width="{pixel(full)}" height="{pixel(full)}"/>'
    middle_x, middle_y = x + cell / 2, y + cell / 2
    if r is None:
        cross = (
            f'<path class="none" d="M{pixel(middle_x - 3)} {pixel(middle_y)}h6"/>'
            if not written
            else (f'<text class="value" x="{pixel(middle_x)}" y="{pixel(middle_y)}" dy=".33em">–</text>')
        )
        return f"<g><title>{escape(pair)}: not defined, one of them is constant</title>{frame}{cross}</g>"
    strength = abs(r)
    side = full if written else full * max(0.25, math.sqrt(strength))
    kind = ("neg" if r < 0 else "pos") + (" deep" if strength >= 0.8 else " mid" if strength >= 0.62 else "")
    shape = (
        f'<rect class="{kind}" x="{pixel(middle_x - side / 2)}" y="{pixel(middle_y - side / 2)}" width="{pixel(side)}" '
        f'height="{pixel(side)}" fill-opacity="{max(strength, 0.02 if written else 0.3):.2f}"/>'
    )
    if written:
        text = f'<text class="value{kind[3:]}" x="{pixel(middle_x)}" y="{pixel(middle_y)}" dy=".33em">{_two(r)}</text>'
    else:
        reach = side / 4
        text = (
            f'<path class="minus" d="M{pixel(middle_x - reach)} {pixel(middle_y)}h{pixel(2 * reach)}"/>'
            if r <= -0.05
            else ""
        )
    return f"<g><title>{escape(pair)}: {signed(r)}</title>{frame}{shape}{text}</g>"


def _two(r: float) -> str:
    """A correlation with two decimals; what is not quite one is not written as one."""
    text = f"{r:+.2f}" if not 0.995 <= abs(r) < 1 else f"{math.copysign(0.99, r):+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")
