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
    """Draw the lower triangle: each feature's name ends its row and heads its column.

    Parameters
    ----------
    features : sequence of str
        Between 2 and `MOST_FEATURES` names.
    matrix : sequence of sequences of float
        Their correlations; None where there is none.

    Returns
    -------
    str
        An ``svg`` element: one square a pair, its size and shade the strength, its colour the sign, which a
        minus repeats for those who do not see colours. Up to 12 features the value is written into it.
    """
    d = len(features)
    cell = 60 if d <= 6 else 46 if d <= 12 else max(15, min(46, 720 // d))
    names = [name(feature, 28) for feature in features]
    width = pixel(max(i * cell + 7.6 * len(text) + 16 for i, text in enumerate(names)))
    out = [
        f'<svg class="map{"" if cell >= 24 else " small"}" viewBox="0 0 {width} {d * cell + 4}" ',
        f'width="{width}" height="{d * cell + 4}" ',
        'role="img" aria-label="Correlations of all pairs of features; a table beside it has the strongest">',
    ]
    for i, text in enumerate(names):
        for j, r in enumerate(matrix[i][:i]):
            title = (
                f"{names[j]}, {text}: {'not defined, one of them is constant' if r is None else signed(r)}"
            )
            shape = _value(r, cell) if d <= 12 else _square(r, cell)
            out.append(
                f'<g transform="translate({j * cell} {i * cell})"><title>{escape(title)}</title>{shape}</g>'
            )
        out.append(f'<text class="label" x="{i * cell + 7}" y="{pixel((i + 0.5) * cell)}" dy=".33em">')
        out.append(f"{escape(text)}</text>")
    return "".join(out) + "</svg>"


def _value(r: float | None, cell: int) -> str:
    """A full square, shaded, with the correlation written into it."""
    box = f'x="1" y="1" width="{cell - 2}" height="{cell - 2}"'
    frame = f'<rect class="frame" {box}/>'
    text = f'x="{cell // 2}" y="{cell // 2}" dy=".33em"'
    if r is None:
        return f'{frame}<text class="value" {text}>–</text>'
    colour = f'<rect class="{_sign(r)} soft" {box} fill-opacity="{abs(r):.2f}"/>'
    return f'{frame}{colour}<text class="value" {text}>{two_decimals(r)}</text>'


def _square(r: float | None, cell: int) -> str:
    """A square as large as the correlation is strong, with a minus where it is negative."""
    full, middle = cell - 1, cell / 2
    frame = f'<rect class="frame" width="{full}" height="{full}"/>'
    if r is None:
        return f'{frame}<path class="none" d="M{pixel(middle - 2.5)} {pixel(middle)}h4"/>'
    side = full * max(0.25, math.sqrt(abs(r)))
    corner, opacity = pixel((full - side) / 2), f"{max(abs(r), 0.3):.2f}"
    square = (
        f'<rect class="{_sign(r)}" x="{corner}" y="{corner}" width="{pixel(side)}" height="{pixel(side)}" '
        f'fill-opacity="{opacity}"/>'
    )
    minus = f'<path class="minus" d="M{pixel((full - side / 2) / 2)} {pixel(full / 2)}h{pixel(side / 2)}"/>'
    return frame + square + (minus if r <= -0.05 else "")


def _sign(r: float) -> str:
    return "neg" if r < 0 else "pos"


def two_decimals(r: float) -> str:
    """A correlation with its sign; what is not quite one is not written as one."""
    text = f"{r:+.2f}" if not 0.995 <= abs(r) < 1 else f"{math.copysign(0.99, r):+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")
