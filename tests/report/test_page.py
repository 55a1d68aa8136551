"""The report as a whole: a valid, offline, small page that no text can break."""

import re
import shlex
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from hand_made_pages import HOSTILE, agent, chart, flights, hostile, result

from convergence_jax.report.page import Page, TreeNode, render

ALLOWED_LINK = re.compile(r"#[a-z]+$")


class Reader(HTMLParser):
    """Reads a page strictly: every element closed in order, every attribute and every text noted."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.declaration = ""

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({key for key, _ in attrs}) == len(attrs), f"an attribute twice in <{tag}>"
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def words(reader: Reader) -> str:
    return re.sub(r"\s+", " ", " ".join(reader.text))


def alone() -> Page:
    told = result(agents=1, flagged=0)
    told["population"] |= {"count": 1, "covariance": [[None, None], [None, None]]}
    return Page(told, [TreeNode((), 1, 0)])


def many_features() -> Page:
    names = tuple(f"gen_ai.client.feature.{i}" for i in range(60))
    return replace(flights(), result=result(features=names), unusual=[agent(features=60)])


PAGES = {
    "flights": flights(),
    "hostile": hostile(),
    "nothing": Page({}),
    "alone": alone(),
    "nobody flagged": replace(flights(), result=result(flagged=0), unusual=[agent(flagged=False)]),
    "no agents": Page(result(agents=0, flagged=0) | {"lift": {}, "levels": []}),
    "sixty features": many_features(),
    "no levels": replace(flights(), tree=[TreeNode((), 4043, 30)], charts=[chart()]),
}
every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


@every_page
def test_every_page_is_closed_in_order_and_declares_itself(page: Page) -> None:
    html = render(page)
    reader = read(html)
    assert html.lstrip().startswith("<!doctype html>")
    assert reader.declaration == "doctype html"
    assert ("meta", {"charset": "utf-8"}) in reader.elements
    assert [tag for tag, _ in reader.elements].count("h1") == 1
    html.encode("utf-8")


@every_page
def test_no_page_asks_for_anything_outside_itself(page: Page) -> None:
    html = render(page)
    reader = read(html)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "video",
        "audio",
        "use",
    }
    for tag, attributes in reader.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (tag, key)
            if key in {"href", "src", "action", "data", "xlink:href"}:
                assert ALLOWED_LINK.match(value or ""), (tag, key, value)
            if key == "style":
                assert "url" not in (value or "")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"(https?:)?//[a-z]", html)


@every_page
def test_every_link_and_label_has_its_target_and_ids_are_unique(page: Page) -> None:
    reader = read(render(page))
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in reader.elements:
        wanted = (attributes.get("aria-labelledby") or "").split()
        wanted += [attributes["href"][1:]] if "href" in attributes else []
        assert set(wanted) <= set(ids)


@every_page
def test_every_table_says_what_its_columns_or_rows_are(page: Page) -> None:
    html = render(page)
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        assert 'scope="col"' in table or 'scope="row"' in table
    for figure in re.findall(r'<svg class="(?:chart|map).*?>', html):
        assert 'role="img"' in figure
        assert "aria-label" in figure


@every_page
def test_the_same_page_is_the_same_bytes(page: Page) -> None:
    assert render(page) == render(replace(page))


def test_the_order_of_the_groups_leaves_no_trace() -> None:
    page = flights()
    assert render(replace(page, tree=page.tree[::-1])) == render(page)


def test_no_text_of_the_data_becomes_markup() -> None:
    reader = read(render(hostile()))
    plain = read(render(flights()))
    assert {tag for tag, _ in reader.elements} <= {tag for tag, _ in plain.elements}
    said = words(reader)
    assert "<script>alert(1)</script>" in said
    assert "&lt;already&gt;" in said
    assert "{{ verdict.sentence }}" in said
    assert "\u202e" not in said
    assert "\x00" not in said
    assert "日本語" in said
    assert "(empty)" in said


def test_long_names_are_cut() -> None:
    assert "x" * 401 not in render(hostile())
    assert "…" in render(hostile())


@pytest.mark.parametrize(
    ("agents", "flagged", "sentence"),
    [
        (4043, 30, "30 of 4,043 agents are unusual."),
        (1_000_000, 1, "1 of 1,000,000 agents is unusual."),
        (4043, 0, "None of 4,043 agents is unusual."),
        (1, 0, "There is only one agent, and it is not flagged."),
        (0, 0, "No agent was read, so nothing was decided."),
    ],
)
def test_the_verdict_is_a_sentence_and_comes_first(agents: int, flagged: int, sentence: str) -> None:
    html = render(Page(result(agents=agents, flagged=flagged)))
    assert f"<h1>{sentence}</h1>" in html
    assert f"<title>{sentence}</title>" in html
    assert html.index("<h1>") < html.index("<section")


def test_what_the_page_says_is_what_the_result_holds() -> None:
    said = words(read(render(flights())))
    for wanted in (
        "flights.parquet",
        "N300AA in EWR › UA : delay 13.5 sd above what is expected there",
        "Decided at error rate α = 0.05 over agents. Distance from a robust baseline.",
        "336,776 rows were read, 328,060 accepted. 8,716 (2.6%) rejected",
        "delay is missing",
        "distance is not a finite number",
        "Agents are independent given their groups.",
        "convergence detect flights.parquet --agent tailnum",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Time by stage, 1.73 s in all",
        "9.54 × 10⁻⁷",
        "20:11",
        "No feature was transformed before distances were taken.",
        "delay , distance −0.25",
        "12 (0.30%)",
        "no score is flagged at this level",
        "7 reach it, where fewer than 0.01 would by chance",
        "2,391 agents were seen in several groups",
    ):
        assert wanted in said, wanted
    assert "is outside its declared range" not in said  # counted zero times


def test_a_method_that_cannot_flag_one_agent_says_so() -> None:
    told = result()
    told["decision"]["least_rejections"] = 12
    assert "No fewer than 12 agents can be flagged at once." in words(read(render(Page(told))))


def test_fifty_thousand_groups_and_a_million_agents_stay_under_two_megabytes() -> None:
    tree = [TreeNode((), 1_000_000, 3000)]
    for a in range(10):
        tree.append(TreeNode((f"region-{a}",), 100_000, 300))
        for b in range(50):
            tree.append(TreeNode((f"region-{a}", f"site-{b}"), 2000, b % 13))
            tree += [TreeNode((f"region-{a}", f"site-{b}", f"rack-{c}"), 20, c % 40 == 0) for c in range(100)]
    names = tuple(f"gen_ai.client.feature.{i}" for i in range(40))
    charts = [chart(f"level {i}", agents=1_000_000) for i in range(6)]
    unusual = [agent(i, features=40) for i in range(3000)]
    html = render(Page(result(1_000_000, 3000, names), tree, charts, unusual, "convergence detect", "fleet"))
    assert len(html.encode()) < 1_000_000
    said = words(read(html))
    assert "3,000 of 1,000,000 agents are unusual." in said
    assert "600 of 50,510 groups are shown" in said
    assert "2,775 more flagged agents are not listed here." in said


def test_a_hundred_levels_of_hostile_length_stay_under_two_megabytes() -> None:
    deep = [TreeNode(tuple("x" * 300 for _ in range(depth)), 10, 1) for depth in range(100)]
    wide = [TreeNode((f"{i}" * 100,), 10, 1) for i in range(5000)]
    html = render(Page(result(), deep + wide, [], [agent(name="y" * 100_000)] * 1000))
    read(html)
    assert len(html.encode()) < 2_000_000


def test_a_command_is_folded_without_changing_what_the_shell_reads() -> None:
    command = (
        "convergence detect 'my file.csv' --agent id --features a,b,c,d --levels region,site --alpha 0.05 "
        "--out 'a b'"
    )
    html = render(Page(result(), command=command))
    shown = re.search(r"<pre><code>(.*?)</code></pre>", html, re.DOTALL)
    assert shown
    text = unescape(shown.group(1))
    assert max(map(len, text.splitlines())) < 60
    assert shlex.split(text.replace("\\\n", " ")) == shlex.split(command)


def test_a_chart_that_does_not_fit_together_is_refused_with_its_sizes() -> None:
    broken = replace(chart("origin"), counts=[1.0])
    with pytest.raises(ValueError, match=r"DistanceChart 'origin'.*got 49, 1, 48"):
        render(replace(flights(), charts=[broken]))


def test_hostile_texts_cover_every_kind_of_escape() -> None:
    assert {"<", '"', "'", "&", "{"} <= set("".join(HOSTILE))
