"""Numbers and names as a reader wants them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.report import wording


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (12.5, "12.5"),
        (1048.4, "1,048"),
        (336776, "336,776"),
        (9.9999, "10"),
        (99999.6, "100,000"),
        (0.0012345, "0.001234"),
        (-7.25, "−7.25"),
        (1.234e-9, "1.234 × 10⁻⁹"),
        (1e-12, "10⁻¹²"),
        (-1e12, "−10¹²"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_a_number_has_few_digits_and_separators(x: float | None, text: str) -> None:
    assert wording.number(x) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (1e-9, "<0.01%"),
        (0.0074, "0.74%"),
        (0.0356, "3.6%"),
        (0.99996, ">99.9%"),
        (None, "–"),
    ],
)
def test_a_share_is_none_or_all_only_where_it_is(share: float | None, text: str) -> None:
    assert wording.percent(share) == text


@given(share=st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_no_share_between_is_written_as_none_or_all(share: float) -> None:
    assert wording.percent(share) not in {"0%", "0.00%", "100%", "100.0%"}


@given(x=st.floats(-1e300, 1e300))
def test_a_number_reads_back_within_its_digits(x: float) -> None:
    digits = "⁰¹²³⁴⁵⁶⁷⁸⁹"
    text = wording.number(x).replace(",", "").replace("−", "-").replace("⁻", "-").replace(" × 10", "e")
    text = "".join(str(digits.index(c)) if c in digits else c for c in text)
    if "e" not in text and any(c in digits for c in wording.number(x)):
        text = text.replace("10", "1e", 1)  # a power of ten without mantissa
    assert math.isclose(float(text), x, rel_tol=0.5e-3)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0, "<10⁻³⁰⁰"), (1e-9, "10⁻⁹"), (0.0314, "0.031"), (1, "1"), (math.nan, "–"), (None, "–")],
)
def test_a_probability_that_underflows_is_no_zero(p: float | None, text: str) -> None:
    assert wording.probability(p) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0002, "<1 ms"),
        (0.41, "410 ms"),
        (4.36, "4.36 s"),
        (0.9997, "1 s"),
        (99.6, "1 min 40 s"),
        (3725, "1 h 2 min"),
        (None, "–"),
    ],
)
def test_a_time_has_the_unit_a_person_would_choose(seconds: float | None, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("n", "text"), [(999, "999 bytes"), (41234567, "41.2 MB"), (3e13, "30 TB"), (None, "–")]
)
def test_bytes_have_decimal_units(n: float | None, text: str) -> None:
    assert wording.size(n) == text


@pytest.mark.parametrize(
    ("x", "text"), [(13.46, "+13.5"), (-0.39, "−0.4"), (0.01, "0.0"), (-0.01, "0.0"), (1e7, "+10,000,000")]
)
def test_a_deviation_has_one_decimal_and_its_sign(x: float, text: str) -> None:
    assert wording.deviation(x, sign=True) == text


@given(text=st.text())
def test_a_name_is_one_visible_line(text: str) -> None:
    shown = wording.name(text, 20)
    assert shown
    assert len(shown) <= 21 or shown == "(empty)"
    assert all(c == "�" or c == " " or c.isprintable() or c.isspace() for c in shown)
    assert "\n" not in shown
    shown.encode("utf-8")


def test_a_name_that_is_plain_is_left_as_it_is() -> None:
    assert wording.name("N328AA / ünï-код 日本") == "N328AA / ünï-код 日本"


def test_a_sentence_begins_with_a_capital_and_ends() -> None:
    assert wording.sentence("units vary ") == "Units vary."
    assert wording.sentence("Done.") == "Done."
    assert wording.sentence("") == ""
