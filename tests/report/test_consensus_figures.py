"""Figures of the consensus report: bounds, bars and dots are where the numbers say."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hand_made_consensus import confusion as made
from hand_made_consensus import truth
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.report.confusion import confusion
from convergence_jax.report.consensus_figures import (
    chance_bar,
    histogram_chart,
    interval_bar,
    reliability_diagram,
    wilson,
)
from convergence_jax.report.consensus_page import Histogram, Observer, histogram
from convergence_jax.report.wording import chance

LOG_ODDS = st.floats(-1e300, 1e300) | st.sampled_from([math.inf, -math.inf])


def number_of(attribute: str, svg: str) -> list[float]:
    return [float(x) for x in re.findall(rf'{attribute}="([-\d.]+)"', svg)]


def test_bounds_are_told_apart_by_the_side_of_even_odds_they_are_on() -> None:
    assert 'class="over"' in interval_bar(1.0, 5.0, 3.0, [], 10.0)
    assert 'class="under-zero"' in interval_bar(-5.0, -1.0, -3.0, [], 10.0)
    assert 'class="both"' in interval_bar(-1.0, 5.0, 3.0, [], 10.0)
    assert 'class="both"' in interval_bar(0.0, 5.0, 3.0, [], 10.0)
    assert "<rect" not in interval_bar(None, None, 3.0, [], 10.0)


def test_a_bar_runs_from_the_lower_to_the_upper_bound_on_a_square_root_scale() -> None:
    svg = interval_bar(-2.5, 10.0, 0.0, [2.5, math.nan], 10.0, width=212)
    (start,), wide = number_of(" x", svg), number_of("width", svg)[1]
    assert (start, start + wide) == (56.0, 206.0)
    assert number_of("cx", svg) == [156.0]
    assert 'class="point" d="M106 ' in svg


@given(
    lower=LOG_ODDS,
    upper=LOG_ODDS,
    point=LOG_ODDS | st.just(math.nan),
    estimates=st.lists(LOG_ODDS | st.just(math.nan), max_size=3),
    reach=st.floats(1.0, 1e300),
)
def test_every_bar_is_within_its_frame(
    lower: float, upper: float, point: float, estimates: list[float], reach: float
) -> None:
    svg = interval_bar(lower, upper, point, estimates, reach)
    starts = number_of(" x", svg)
    assert all(0 <= x <= 140 for x in starts + number_of("cx", svg))
    assert all(x + wide <= 140 for x, wide in zip(starts, number_of("width", svg)[1:], strict=True))
    assert "nan" not in svg
    assert "inf" not in svg


@given(chances=st.lists(st.floats(0, 1), max_size=4))
def test_chances_never_fill_more_than_the_whole(chances: list[float]) -> None:
    svg = chance_bar(chances)
    assert all(
        x + wide <= 140.5 for x, wide in zip(number_of(" x", svg), number_of("width", svg)[2:], strict=True)
    )


@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=200),
    far=st.floats(-1e12, 1e12),
)
def test_a_histogram_counts_every_value_once_between_round_edges(values: list[float], far: float) -> None:
    values = [*values, far]
    flagged = [x > 0 for x in values]
    drawn = histogram(values, flagged)
    assert drawn is not None
    assert len(drawn.counts) == len(drawn.edges) - 1 <= 62
    assert sum(drawn.counts) == sum(not math.isnan(x) for x in values)
    assert sum(drawn.flagged) == sum(x > 0 for x in values)
    assert all(f <= n for f, n in zip(drawn.flagged, drawn.counts, strict=True))
    assert all(a < b for a, b in pairwise(drawn.edges))
    svg = histogram_chart(drawn, "k", "t", label="log-odds")
    assert "nan" not in svg
    assert not re.search(r"\binf\b", svg)
    for path in re.findall(r'class="(?:within|beyond)" d="([^"]*)"', svg):
        assert all(0 <= float(x) <= 640 for x in re.findall(r"M([-\d.]+)", path))


def test_a_histogram_puts_each_value_where_numpy_does() -> None:
    values = np.random.default_rng(7).normal(3.0, 2.0, 5000)
    drawn = histogram(values)
    assert drawn is not None
    assert 0.0 in drawn.edges
    assert all(math.isfinite(edge) for edge in drawn.edges)
    assert list(np.histogram(values, drawn.edges)[0]) == drawn.counts
    assert drawn.flagged == []


def test_values_far_out_are_counted_in_open_bins_and_drawn_as_less_and_more() -> None:
    values = [*np.linspace(-5, 5, 5000), 1e9, math.inf, -math.inf]
    drawn = histogram(values)
    assert drawn is not None
    assert (drawn.edges[0], drawn.edges[-1]) == (-math.inf, math.inf)
    assert (drawn.counts[0], drawn.counts[-1]) == (1, 2)
    svg = histogram_chart(drawn, "k", "t", label="log-odds")
    assert ">less<" in svg
    assert ">more<" in svg


def test_probabilities_of_one_belong_to_the_last_bin() -> None:
    drawn = histogram([0.0, 1.0, 1.0], within=(0, 1))
    assert drawn is not None
    assert (drawn.edges[0], drawn.edges[-1]) == (0.0, 1.0)
    assert (drawn.counts[0], drawn.counts[-1]) == (1, 2)


def test_there_is_no_histogram_of_nothing() -> None:
    assert histogram([]) is None
    assert histogram([math.nan]) is None


def test_the_flagged_are_drawn_in_front_of_all() -> None:
    svg = histogram_chart(Histogram([-1, 0, 1], [100, 10], [0, 10]), "k", "t", label="log-odds")
    assert svg.index('class="within"') < svg.index('class="beyond"')
    shapes = dict(re.findall(r'class="(within|beyond)" d="([^"]*)"', svg))
    assert shapes["within"].endswith(shapes["beyond"])


@pytest.mark.parametrize("edges", [[-math.inf, math.inf], [-math.inf, 0, math.inf]])
def test_a_histogram_without_a_finite_bin_is_refused(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="two finite edges"):
        histogram_chart(Histogram(edges, [1.0] * (len(edges) - 1)), "k", "t", label="log-odds")


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_intervals_of_shares_are_those_of_wilson_as_published(
    successes: int, n: int, lower: float, upper: float
) -> None:
    assert wilson(successes / n, n) == pytest.approx((lower, upper), abs=1e-4)


def test_predictions_that_come_true_as_often_as_they_say_lie_on_the_diagonal() -> None:
    bins = [
        {"from": i / 10, "to": (i + 1) / 10, "count": 10 * i, "predicted": i / 10, "observed": i / 10}
        for i in range(10)
    ]
    svg = reliability_diagram(bins, "k")
    left, foot = map(float, re.search(r'class="ideal" d="M([\d.]+) ([\d.]+)', svg).groups())  # type: ignore[union-attr]
    dots = list(zip(number_of("cx", svg), number_of("cy", svg), strict=True))
    assert len(dots) == 9  # an empty bin has none
    assert all(x - left == pytest.approx(foot - y, abs=0.11) for x, y in dots)


def test_a_prediction_too_sure_of_itself_lies_below_the_diagonal_within_its_whisker() -> None:
    svg = reliability_diagram(truth()["calibration_bins"], "k")
    left, foot = map(float, re.search(r'class="ideal" d="M([\d.]+) ([\d.]+)', svg).groups())  # type: ignore[union-attr]
    for x, y in zip(number_of("cx", svg), number_of("cy", svg), strict=True):
        assert foot - y < x - left
        bottom, top = map(float, re.search(rf'class="whisker" d="M{x:g} ([\d.]+)V([\d.]+)', svg).groups())  # type: ignore[union-attr]
        assert top <= y <= bottom


@pytest.mark.parametrize("k", [1, 2, 5, 12, 16])
def test_a_matrix_has_the_truth_in_rows_and_what_was_said_in_columns(k: int) -> None:
    matrix = made(k, 0.7) if k > 1 else [[1.0]]
    laid = confusion(Observer("w", 3, confusion=matrix), [f"l{i}" for i in range(k)], [1 / k] * k)
    shown = min(k, 12)
    assert laid["labels"] == [f"l{i}" for i in range(shown)] == [label for label, _ in laid["rows"]]
    assert laid["left_out"] == k - shown
    for i, (_, cells) in enumerate(laid["rows"]):
        assert [right for _, _, right in cells] == [i == j for j in range(shown)]
        assert [shade for _, shade, _ in cells] == [round(100 * matrix[i][j]) for j in range(shown)]


def test_the_most_frequent_of_many_labels_are_laid_out() -> None:
    prior = [0.01] * 13 + [0.5]
    laid = confusion(Observer("w", 3, confusion=made(14, 0.7)), [f"l{i}" for i in range(14)], prior)
    assert laid["labels"] == [f"l{i}" for i in range(11)] + ["l13"]


def test_a_cell_is_none_or_all_only_where_it_is() -> None:
    matrix = [[0.9999, 0.0001], [math.nan, 1.0]]
    laid = confusion(Observer("w", 3, confusion=matrix), ["a"], [])
    assert [[text for text, _, _ in cells] for _, cells in laid["rows"]] == [[">99", "<1"], ["–", "100"]]
    assert laid["labels"] == ["1", "2"]


@pytest.mark.parametrize(
    ("log_p", "log_complement", "text"),
    [
        (math.log(0.931), None, "0.931"),
        (math.log(0.5), math.log(0.5), "0.500"),
        (-1e-30, math.log(3e-12), "1 − 3 × 10⁻¹²"),
        (math.log(3e-12), None, "3 × 10⁻¹²"),
        (math.log(9.7e-12), None, "10⁻¹¹"),
        (-1e6, -0.0, "3 × 10⁻⁴³⁴²⁹⁵"),
        (-0.0, -1e6, "1 − 3 × 10⁻⁴³⁴²⁹⁵"),
        (-0.0, None, "over 1 − 10⁻¹⁵"),
        (-0.0, -math.inf, "1"),
        (-math.inf, -0.0, "0"),
        (None, None, "–"),
        (math.nan, None, "–"),
        (-1.0, math.nan, "–"),
    ],
)
def test_a_chance_is_certain_only_where_its_logarithm_is_infinite(
    log_p: float | None, log_complement: float | None, text: str
) -> None:
    assert chance(log_p, log_complement) == text


@given(log_odds=st.floats(-1e6, 1e6))
def test_no_finite_log_odds_are_written_as_certain(log_odds: float) -> None:
    log_p, log_complement = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    assert chance(log_p, log_complement) not in {"0", "1", "0.000", "1.000"}
