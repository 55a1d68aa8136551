"""The figure of an unattended run: every node a line, gaps where nothing bounds an answer."""

import re
from itertools import pairwise
from xml.etree import ElementTree

from convergence_jax.report.timeline import Moment, moments, timeline


def said(instant, lower, upper, ages, what="mean"):
    origins = [{"age_seconds": age, "excluded": False} for age in ages]
    return {"what": what, "instant": instant, "lower": lower, "upper": upper, "origins": origins}


def test_moments_are_widths_and_oldest_ages_since_the_first_answer():
    told = moments(
        [
            ("b", said(3_000_000_000, 1.0, 4.0, [0.0, 2.5])),
            ("a", said(1_000_000_000, None, 4.0, [None, 0.0])),
            ("a", said(2_000_000_000, 0.0, 9.0, [1.0], what="count")),
        ]
    )
    assert told == [Moment("a", 0.0, None, None), Moment("b", 2.0, 3.0, 2.5)]


def test_an_excluded_origin_has_no_part_in_the_age():
    answer = said(0, 0.0, 1.0, [1.0])
    answer["origins"].append({"age_seconds": None, "excluded": True})
    assert moments([("a", answer)])[0].age_seconds == 1.0


def test_a_line_has_a_gap_where_nothing_bounds_the_answer():
    told = [Moment("a", t, None if t == 2 else 1.0, 1.0) for t in range(5)]
    drawn = timeline(told)
    lines = re.findall(r'points="([^"]+)"', drawn)
    assert sorted(len(line.split()) for line in lines) == [2, 2, 5]


def test_the_figure_is_xml_whatever_the_names_and_numbers():
    for told in ([], [Moment('<n1 & "x">', 0.0, 0.0, None)], [Moment("a", 1.0, 1e300, 3.0)]):
        ElementTree.fromstring(timeline(told, cuts=[(0.0, 0.5)]))


def test_labels_do_not_lie_on_each_other():
    drawn = timeline([Moment(f"n{i}", 1.0, 5.0, 5.0) for i in range(6)])
    places = [float(y) for y in re.findall(r'y="([\d.]+)" style="fill', drawn)]
    for panel in (places[:6], places[6:]):
        assert all(b - a >= 13 for a, b in pairwise(panel))
