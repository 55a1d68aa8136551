"""Figures: bars, curves and squares are where the numbers say."""

import math
import re
from itertools import pairwise

import pytest
from hand_made_pages import chart
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.report.correlation_map import correlation_map, correlations
from convergence_jax.report.figures import Axis, deviation_bar, distance_chart, merge_bins
from convergence_jax.report.page import DistanceChart


def bars(svg: str, kind: str) -> list[tuple[float, float]]:
    """Left edge and top of each bar."""
    path = re.search(rf'<path class="{kind}" d="([^"]*)"', svg)
    return (
        [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) [\d.]+V([\d.]+)", path.group(1))]
        if path
        else []
    )


def test_bars_beyond_the_threshold_are_told_apart_and_none_is_lost() -> None:
    drawn = chart(threshold=8.0)
    svg = distance_chart(drawn, "k")
    assert len(bars(svg, "within")) + len(bars(svg, "beyond")) == sum(n > 0 for n in drawn.counts)
    assert len(bars(svg, "beyond")) == 1
    line = re.search(r'class="threshold" d="M([\d.]+)', svg)
    assert line
    at = float(line.group(1))
    assert all(x < at for x, _ in bars(svg, "within"))
    assert all(x >= at for x, _ in bars(svg, "beyond"))


def test_equal_ratios_of_counts_are_equally_high() -> None:
    svg = distance_chart(DistanceChart("all", [0, 1, 2, 3], [10, 100, 1000], [0, 0, 0]), "k")
    (_, a), (_, b), (_, c) = bars(svg, "within")
    assert a - b == pytest.approx(b - c, abs=0.11)  # drawn to a tenth of a pixel
    assert "threshold" not in svg.replace("Threshold: none", "")


def test_uneven_bins_get_a_logarithmic_axis() -> None:
    edges = [0.0, *(2.0**k for k in range(10))]
    svg = distance_chart(DistanceChart("all", edges, [5.0] * 10, [5.0] * 10), "k")
    starts = [x for x, _ in bars(svg, "within")]
    steps = [b - a for a, b in pairwise(starts[1:])]
    assert max(steps) - min(steps) <= 0.21


def test_an_infinite_last_edge_is_drawn_as_more() -> None:
    svg = distance_chart(DistanceChart("all", [0, 1, 2, 3, math.inf], [9, 5, 0, 2], [9, 5, 1, 0], 40.0), "k")
    assert ">more<" in svg
    assert "threshold 40" in svg
    assert "inf" not in svg
    assert "nan" not in svg


@given(
    counts=st.lists(st.integers(0, 10**6), min_size=1, max_size=300),
    threshold=st.one_of(st.none(), st.floats(-10, 1e6), st.just(math.inf)),
    step=st.floats(1e-6, 1e6),
)
def test_every_histogram_can_be_drawn_within_its_frame(
    counts: list[int], threshold: float | None, step: float
) -> None:
    edges = [i * step for i in range(len(counts) + 1)]
    drawn = DistanceChart("all", edges, counts, [c / 2 for c in counts], threshold)
    svg = distance_chart(drawn, "k")
    for x, y in bars(svg, "within") + bars(svg, "beyond"):
        assert 0 <= x <= 560
        assert 0 <= y <= 270
    assert "nan" not in svg
    merged_edges, merged_counts, merged_expected = merge_bins(drawn)
    assert len(merged_counts) <= 96
    assert sum(merged_counts) == sum(counts)
    assert math.isclose(sum(merged_expected), sum(counts) / 2)
    assert (merged_edges[0], merged_edges[-1]) == (edges[0], edges[-1])


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e9))
def test_a_linear_axis_has_a_handful_of_round_marks(low: float, span: float) -> None:
    axis = Axis(low, low + span, 0.0, 100.0, False)
    marks = axis.marks()
    assert 2 <= len(marks) <= 8
    assert all(-1e-3 <= axis(mark) <= 100.001 for mark in marks)


@pytest.mark.parametrize(("low", "high"), [(0.5, 11.5), (0.5, 2e6), (1e-9, 1e9), (0.6, 0.9)])
def test_a_logarithmic_axis_has_marks_within_itself(low: float, high: float) -> None:
    marks = Axis(low, high, 0.0, 100.0, True).marks()
    assert len(marks) <= 9
    assert all(low <= mark <= high * (1 + 1e-8) for mark in marks)


def test_a_deviation_is_drawn_to_its_side_and_none_where_there_is_none() -> None:
    right = re.search(r'class="over" x="([\d.]+)"', deviation_bar(5.0, 5.0))
    left = re.search(r'class="under" x="([\d.]+)"', deviation_bar(-5.0, 5.0))
    assert right
    assert left
    assert float(left.group(1)) < 84 <= float(right.group(1))
    assert deviation_bar(math.nan, 5.0) == ""
    assert deviation_bar(math.inf, 5.0) == ""


def test_correlations_come_from_covariances_and_are_undefined_for_constants() -> None:
    matrix = correlations([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
    assert matrix[0][1] == matrix[1][0] == 0.5
    assert matrix[0][0] == 1.0
    assert matrix[2] == [None, None, None]
    assert correlations([[None]]) == [[None]]


@pytest.mark.parametrize("d", [2, 6, 12, 13, 40])
def test_the_map_has_every_pair_once_with_its_value_on_hover(d: int) -> None:
    features = [f"f{i}" for i in range(d)]
    matrix = [[1.0 if i == j else -0.5 if (i + j) % 2 else 0.25 for j in range(d)] for i in range(d)]
    svg = correlation_map(features, matrix)
    titles = re.findall(r"<title>(.*?)</title>", svg)
    assert len(titles) == len(set(titles)) == d * (d - 1) // 2
    assert "f0, f1: −0.5" in titles
    assert all(f">{feature}</text>" in svg for feature in features)


def test_the_sign_of_a_correlation_is_not_told_by_colour_alone() -> None:
    small = correlation_map(["a", "b"], [[1.0, -0.5], [-0.5, 1.0]])
    assert ">−0.50</text>" in small
    d = 13
    negative = [[1.0 if i == j else -0.5 for j in range(d)] for i in range(d)]
    assert correlation_map([f"f{i}" for i in range(d)], negative).count('class="minus"') == d * (d - 1) // 2


def test_what_is_not_quite_one_is_not_written_as_one() -> None:
    assert "+0.99" in correlation_map(["a", "b"], [[1.0, 0.9999], [0.9999, 1.0]])
    assert "+1.00" in correlation_map(["a", "b"], [[1.0, 1.0], [1.0, 1.0]])


def test_the_curve_passes_the_top_of_every_bar_that_is_as_expected_and_ends_at_the_foot() -> None:
    counts = [0.0, 4.0, 100.0, 40.0, 3.0, 0.05, 0.0]
    svg = distance_chart(DistanceChart("all", list(range(8)), counts, counts), "k")
    path = re.search(r'<path class="expected" d="([^"]*)"', svg)
    assert path
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path.group(1))]
    assert [y for _, y in points[:4]] == [y for _, y in bars(svg, "within")[:4]]
    x_above, x_end = points[-2][0], points[-1][0]
    x_below = x_above + (points[1][0] - points[0][0])
    part = math.log(0.5 / 3.0) / math.log(
        0.05 / 3.0
    )  # where a straight line on the logarithmic axis is at 0.5
    assert x_end == pytest.approx(x_above + part * (x_below - x_above), abs=0.11)
    assert points[-1][1] == 228.0
    assert path.group(1).count("M") == 1
