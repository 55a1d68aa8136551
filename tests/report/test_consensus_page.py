"""The consensus report as a whole: a valid, offline, small page that says what the result holds."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hand_made_consensus import agent, confusion, crowd, evidence, hostile, item, result, truth, undecided
from test_page import ALLOWED_LINK, read, words

from convergence_jax.report.consensus_page import (
    ConsensusPage,
    JudgedItem,
    LabelChance,
    Observer,
    histogram,
    render,
)

PAGES = {
    "evidence": evidence(),
    "evidence with truth": replace(evidence(), result=result() | truth()),
    "two labels": crowd(2),
    "five labels": crowd(5),
    "sixteen labels": crowd(16),
    "no truth": crowd(with_truth=False),
    "undecided": undecided(),
    "hostile": hostile(),
    "nothing": ConsensusPage({}),
    "no items": ConsensusPage(result(items=0, flag=0, clear=0, undetermined=0)),
    "one item": ConsensusPage(result(items=1, flag=1), [agent(0)], [Observer("o", 1)], histogram([140.0])),
    "only counts": ConsensusPage({"items": 3, "observers": 2, "decision": {"verdicts": {"clear": 3}}}),
}
every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


def said(page: ConsensusPage) -> str:
    return words(read(render(page)))


def changed(page: ConsensusPage, **decision: Any) -> ConsensusPage:
    """The page with another decision."""
    told = dict(page.result)
    told["decision"] = told["decision"] | decision
    return replace(page, result=told)


@every_page
def test_every_page_is_closed_in_order_and_declares_itself(page: ConsensusPage) -> None:
    html = render(page)
    reader = read(html)
    assert html.startswith("<!doctype html>")
    assert ("meta", {"charset": "utf-8"}) in reader.elements
    assert [tag for tag, _ in reader.elements].count("h1") == 1
    assert "built-in method" not in html
    assert not re.search(r"\b(nan|inf)\b|\bNone\b(?! was rejected)", words(reader))
    html.encode("utf-8")


@every_page
def test_no_page_asks_for_anything_outside_itself(page: ConsensusPage) -> None:
    html = render(page)
    reader = read(html)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "video", "use"}
    for tag, attributes in reader.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (tag, key)
            if key in {"href", "src", "action", "data", "xlink:href"}:
                assert ALLOWED_LINK.match(value or ""), (tag, key, value)
            if key == "style":
                assert re.fullmatch(
                    r"(width|--w):[\d.]+%|[a-z:;.0-9()-]*var\(--[a-z]+\)[a-z:;.0-9-]*", value or ""
                )
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"(https?:)?//[a-z]", html)


@every_page
def test_every_link_and_label_has_its_target_and_ids_are_unique(page: ConsensusPage) -> None:
    reader = read(render(page))
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in reader.elements:
        wanted = (attributes.get("aria-labelledby") or "").split()
        wanted += [(attributes["href"] or "")[1:]] if "href" in attributes else []
        assert set(wanted) <= set(ids)


@every_page
def test_every_table_says_what_its_columns_are_and_has_them_in_every_row(page: ConsensusPage) -> None:
    html = render(page)
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        assert 'scope="col"' in table or 'scope="row"' in table
        rows = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        assert len({len(re.findall(r"<t[hd][ >]", row)) for row in rows}) == 1
    for figure in re.findall(r'<svg class="chart.*?>', html):
        assert 'role="img"' in figure
        assert "aria-label" in figure


@every_page
def test_the_same_page_is_the_same_bytes_in_whatever_order_the_items_come(page: ConsensusPage) -> None:
    assert render(page) == render(replace(page, items=list(page.items)[::-1]))


def test_no_text_of_the_data_becomes_markup() -> None:
    reader = read(render(hostile()))
    plain = [tag for page in (evidence(), crowd()) for tag, _ in read(render(page)).elements]
    assert {tag for tag, _ in reader.elements} <= set(plain)
    text = words(reader)
    for wanted in (
        "<script>alert(1)</script>",
        "&lt;already&gt;",
        "{{ verdict.sentence }}",
        "日本語",
        "(empty)",
    ):
        assert wanted in text
    assert "\u202e" not in text
    assert "\x00" not in text
    assert "x" * 401 not in text


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (
            evidence(),
            "12 of 10,000 agents are flagged, 9,900 clear, 88 undetermined, "
            "with at most 33 of 100 observers lying.",
        ),
        (
            changed(evidence(), observers_lying=0.25),
            "12 of 10,000 agents are flagged, 9,900 clear, 88 undetermined, "
            "with at most 25.0% of 100 observers lying.",
        ),
        (
            changed(evidence(), observers_lying=0),
            "12 of 10,000 agents are flagged, 9,900 clear, 88 undetermined, provided that no observer lies.",
        ),
        (
            changed(evidence(), observers_lying=None, verdicts={"flag": 1, "clear": 9999}),
            "1 of 10,000 agents is flagged, 9,999 clear, 0 undetermined.",
        ),
        (crowd(), "2,318 of 2,665 items are clear, 347 undetermined."),
        (
            changed(crowd(), verdicts={"flag": 5, "clear": 2660}),
            "5 of 2,665 items are flagged, 2,660 clear, 0 undetermined.",
        ),
        (undecided(), "The observers do not identify the truth, so none of 1,305 items is decided."),
        (PAGES["nothing"], "No agent was read, so nothing was decided."),
        (PAGES["one item"], "The only agent is flagged, with at most 33 of 100 observers lying."),
        (ConsensusPage({"items": 3}), "3 agents were judged."),
    ],
)
def test_the_verdict_is_a_sentence_and_comes_first(page: ConsensusPage, sentence: str) -> None:
    html = render(page)
    assert f"<h1>{sentence}</h1>" in html
    assert f"<title>{sentence}" in html
    assert html.index("<h1>") < html.index("<section")


def test_a_crowd_that_does_not_identify_the_truth_says_why_and_names_no_case() -> None:
    text = said(undecided())
    assert "With at most 33 of 100 workers lying, two crowds explain the labels equally well" in text
    assert "The most uncertain is" not in text
    assert "Decided at" not in text


def test_the_page_says_what_the_evidence_holds() -> None:
    text = said(evidence())
    for wanted in (
        "The strongest case is agent-00000 : whoever lies, the e-value against it has a logarithm "
        "of at least 60 , where 3 flags.",
        "Log e is what the verdict rests on: the logarithm of an e-value at its least, whoever "
        "lies; 3 decides.",
        "Log e against the null",
        "The most suspicious observer is observer-00 : pulls 1.8 times as far as the median observer",
        "Decided at error rate α = 0.05. Floor e-values of the n − f least accusing observers.",
        "above 0 they are for compromised , whose probability stands beside",
        "agent-00000 compromised 60 +140 [+50, +185] 1 − 2 × 10⁻⁶¹ trimmed mean +112 median +98 97 flagged",
        "9,880 more agents of this verdict are not listed here.",
        "8,969 yes 5 72.8% 24,000",
        "1,250,412 rows were read, 1,250,397 accepted. 15 (<0.01%) rejected",
        "observer is missing",
        "duplicates 2,390",
        "equivocations 6",
        "benign 0.500 compromised 0.500",
        "tempering 0.8",
        "At most f observers lie.",
        "No verdict rests on them.",
        "Time by stage, 2.45 s in all",
        "--observers-lying 33",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Result format convergence.consensus/1.",
    ):
        assert wanted in text, wanted
    for absent in ("Agrees with the consensus", "Against the truth", "Most probable labels", "said →"):
        assert absent not in text, absent


def test_the_page_says_what_the_labels_and_the_truth_hold() -> None:
    text = said(crowd())
    for wanted in (
        "The most uncertain is image 0.jpg : Herring gull with probability 0.350, Herring auk with",
        "image 0.jpg Herring gull 0.350, Herring auk 0.163, Herring owl 0.163 20 undetermined",
        "227 more items of this verdict are not listed here.",
        "Agrees with the consensus Estimated accuracy",
        "Suspicious; 400 items",
        "Among the most active; 2,600 items",
        "Accuracy 86.3%",
        "Log-loss 0.4127",
        "Calibration error (ECE) 0.0412",
        "Its bootstrap interval 0.0297 to 0.0538",
        "Predictions of 2,665 items",
        "gold 40",
        "7 more observers are not listed here.",
    ):
        assert wanted in text, wanted
    for absent in ("Log-odds, bounds", "Log e", "Retracted", "Point estimates", "whoever lies"):
        assert absent not in text, absent
    assert "Against the truth" not in said(crowd(with_truth=False))


def test_the_flagged_come_strongest_first_by_what_holds_whoever_lies() -> None:
    first = JudgedItem("first", "flag", log_odds=-1.0, lower=-9.0, upper=8.0, log_e=7.5)
    again = JudgedItem("again", "flag", log_odds=80.0, lower=70.0, upper=90.0, log_e=7.0)
    assert "The strongest case is first" in said(ConsensusPage(result(), [again, first]))
    loud = JudgedItem("loud", "flag", log_odds=900.0, lower=4.0, upper=1800.0)
    sure = JudgedItem("sure", "flag", log_odds=90.0, lower=50.0, upper=120.0)
    text = said(ConsensusPage(result(), [loud, sure]))
    assert "The strongest case is sure" in text
    assert text.index("sure +90") < text.index("loud +900")


def test_the_others_come_most_uncertain_first() -> None:
    narrow = JudgedItem("narrow", "undetermined", log_odds=1.0, lower=-1.0, upper=3.0)
    broad = JudgedItem("broad", "undetermined", log_odds=1.5, lower=-30.0, upper=40.0)
    text = said(ConsensusPage(result(), [narrow, broad]))
    assert text.index("broad +1.5") < text.index("narrow +1 ")
    even = JudgedItem("even", "clear", top=[LabelChance("a", math.log(0.5)), LabelChance("b", math.log(0.5))])
    told = JudgedItem("told", "clear", top=[LabelChance("b", math.log(0.1)), LabelChance("a", math.log(0.9))])
    text = said(ConsensusPage(result("labels"), [told, even]))
    assert text.index("even a 0.500") < text.index("told a 0.900, b 0.100")


def test_a_verdict_nobody_knows_is_undetermined_and_shown_as_it_is() -> None:
    text = said(ConsensusPage(result(), [JudgedItem("a", "perhaps", log_odds=1.0)]))
    assert text.index("Undetermined, the most uncertain first") < text.index("perhaps")


def test_what_is_nearly_certain_is_not_written_as_certain() -> None:
    items = [JudgedItem("a", "flag", log_odds=1e6), JudgedItem("b", "clear", log_odds=-1e6)]
    text = said(ConsensusPage(result(), items))
    assert "1 − 3 × 10⁻⁴³⁴²⁹⁵" in text
    assert "b −1,000,000 3 × 10⁻⁴³⁴²⁹⁵" in text
    chances = [LabelChance("cat", -1e-30, math.log(1e-30)), LabelChance("dog", math.log(1e-30))]
    assert "cat 1 − 10⁻³⁰" in said(ConsensusPage(result("labels"), [JudgedItem("a", "clear", top=chances)]))


def test_matrices_are_of_the_suspicious_and_then_of_the_most_active() -> None:
    html = render(crowd())
    headed = re.findall(r"<figcaption><h3><bdi>(.*?)</bdi></h3>(\w+)", html)
    assert headed == [
        *((f"worker {i}", "Suspicious") for i in range(3)),
        ("worker 50", "Among"),
        ("worker 3", "Among"),
        ("worker 4", "Among"),
    ]


def test_many_observers_are_cut_and_counted() -> None:
    crowded = [Observer(f"o{i}", 5, agreement=0.5) for i in range(1000)]
    page = ConsensusPage(result() | {"observers": 1000}, observers=crowded)
    text = said(page)
    assert "The next 180 observers" in text
    assert "800 more observers are not listed here." in text
    assert "No observer is suspicious." in text


def test_a_hundred_thousand_items_and_observers_stay_under_two_megabytes() -> None:
    items = [agent(i % 90, "flag", f"agent-{i}") for i in range(50_000)]
    items += [agent(i % 90, "undetermined", f"{i}" + "y" * 3000) for i in range(50_000)]
    observers = [
        Observer(f"{i}" + "x" * 1000, i, "why " * 500, 0.5, 0.5, 1, True, 1, 1, 0.5, 1.0, 1.0)
        for i in range(100_000)
    ]
    told = result(items=100_000, flag=50_000, undetermined=50_000)
    html = render(ConsensusPage(told, items, observers, histogram([float(i) for i in range(100_000)])))
    assert len(html.encode()) < 1_000_000
    assert "49,880 more agents of this verdict are not listed here." in words(read(html))


def test_a_hundred_labels_with_long_names_stay_under_two_megabytes() -> None:
    labels = tuple(f"{i}" + "z" * 500 for i in range(100))
    told = result("labels") | truth() | {"hypotheses": list(labels), "prior": [0.01] * 100}
    observers = [Observer(f"w{i}", i, "why", 0.5, 0.5, confusion=confusion(100, 0.7)) for i in range(20)]
    html = render(ConsensusPage(told, [item(i, labels=labels) for i in range(3000)], observers))
    assert len(html.encode()) < 1_000_000
    text = words(read(html))
    assert "88 other labels are left out" in text
    assert "40 more are in result.json ." in text


def test_sizes_that_do_not_fit_are_refused_with_what_was_got() -> None:
    page = crowd()
    assert page.distribution is not None
    broken = replace(page.distribution, counts=[1.0])
    with pytest.raises(ValueError, match=r"Histogram: want one edge more.*got 51, 1, 0"):
        render(replace(page, distribution=broken))
    odd = Observer("odd", 3, "why", confusion=[[1.0, 0.0], [1.0]])
    with pytest.raises(ValueError, match=r"Observer 'odd'.*rows of \[1, 2\] for 2 truths"):
        render(replace(page, observers=[odd]))


def without_each(
    told: dict[str, Any], path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """The result without each of its keys, at any depth."""
    found = []
    for key, value in told.items():
        found.append(((*path, key), {k: v for k, v in told.items() if k != key}))
        found.append(((*path, key, "None"), told | {key: None}))
        if isinstance(value, dict):
            found += [(p, told | {key: less}) for p, less in without_each(value, (*path, key))]
    return found


def test_a_result_may_lack_any_of_its_keys() -> None:
    page = crowd()
    for path, told in without_each(dict(page.result)):
        html = render(replace(page, result=told))
        assert "</html>" in html, path


def test_numbers_of_numpy_are_read_like_others() -> None:
    told = result() | truth()
    told["items"] = np.int64(10_000)
    told["decision"]["verdicts"] = {key: np.int64(n) for key, n in told["decision"]["verdicts"].items()}
    told["prior"] = np.array([0.5, 0.5])
    matrix = np.full((2, 2), 0.5)
    observers = [Observer("o", 7, "why", contributed=float(np.float32(0.5)), confusion=matrix)]  # type: ignore[arg-type]
    shown = ConsensusPage(told, [], observers, histogram(np.arange(5.0)))
    assert said(shown) == said(replace(shown, result=result() | truth()))
