"""The live page at every width, in light and in dark; and what its file may hold."""

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from chromium_pipe import Chromium
from live_view import show
from recorded_run import Player, Status, cut_and_heal

from convergence_jax.partition.nodes.live import page

HTML = page().decode()


@pytest.fixture(scope="module")
def browser(require: Callable[[str, bool, str], None]) -> Iterator[Chromium]:
    """One browser for all tests; each opens its own page."""
    program = shutil.which("chromium")
    require("chromium", program is not None, "chromium is not installed")
    with Chromium(str(program)) as running:
        yield running


def test_the_page_is_one_small_file_without_an_address_of_anyone() -> None:
    assert len(page()) < 60_000
    assert len(HTML.splitlines()) < 400
    assert set(re.findall(r"(?:https?:)?//[\w.]+[^\s\"'`]*", re.sub(r"(?<!:)// .*", "", HTML))) == {
        "http://www.w3.org/2000/svg"
    }
    assert set(re.findall(r"(?:src|href)=\"([^\"]*)", HTML)) == {"data:,"}


def test_data_can_only_become_text() -> None:
    gates = "innerHTML|outerHTML|insertAdjacentHTML|document\\.write|eval\\(|new Function|srcdoc|DOMParser"
    assert re.findall(gates, HTML) == []
    policy = re.search(r'Content-Security-Policy" content="([^"]*)', HTML)
    assert policy is not None
    allowed = dict(part.split(" ", 1) for part in policy[1].split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["connect-src"] == "'self'"


def many_names(status: Status) -> Status:
    """The same status of nodes with long names, so that labels are short of room."""
    origins = [
        {**origin, "node": f"rack-{n}.hall-of-many-machines.example"}
        for n, origin in enumerate(status["origins"])
    ]
    return {**status, "origins": origins}


RUNS = {
    "cut": cut_and_heal()[:58],
    "healed": cut_and_heal(),
    "start": cut_and_heal(range(1, 20), range(0)),
    "island": cut_and_heal(away=[f"n{n}" for n in range(2, 31)], nodes=30)[:45],
    "names": [many_names(status) for status in cut_and_heal()[:58]],
}

# Boxes of all labels of the figures, and those of the figures themselves.
BOXES = """[...document.querySelectorAll("main svg")].map((svg) => {
  const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
  const labels = [...svg.querySelectorAll("text")].map((e) => [e.textContent, ...box(e)]);
  return { frame: box(svg), labels };
})"""
NAMES = "[...document.querySelectorAll('main svg')].map((e) => e.getAttribute('aria-label'))"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("run", RUNS)
def test_every_label_has_its_place(browser: Chromium, run: str, width: int, scheme: str) -> None:
    with Player(page()) as player:
        browser.show(width, 900, scheme)
        show(browser, player, RUNS[run])
        assert browser.ask("document.documentElement.scrollWidth - innerWidth") <= 0
        for figure in browser.ask(BOXES):
            left, top, right, bottom = figure["frame"]
            assert right - left > 300
            for n, (text, *box) in enumerate(figure["labels"]):
                assert left - 1 <= box[0] < box[2] <= right + 1, text
                assert top - 1 <= box[1] < box[3] <= bottom + 3, text
                for other, *beside in figure["labels"][:n]:
                    apart_x = box[2] <= beside[0] + 1 or beside[2] <= box[0] + 1
                    apart_y = box[3] <= beside[1] + 3 or beside[3] <= box[1] + 3
                    assert apart_x or apart_y, (text, other)
        assert browser.console == []


@pytest.mark.parametrize("width", [400, 1400])
def test_figures_and_states_have_names_for_those_who_do_not_see_them(browser: Chromium, width: int) -> None:
    with Player(page()) as player:
        browser.show(width)
        show(browser, player, RUNS["cut"])
        names = browser.ask(NAMES)
        assert names[0] == "Age of each origin over time. Now: n4 0.4 s, n5 0.6 s, n2 32 s, n3 33 s"
        assert names[2] == "latency: mean of delay over time. Now: 99.82, certified 97.51 to 102.14"
        tree = browser.call("Accessibility.getFullAXTree")["nodes"]
        images = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "image"]
        assert images == names
        headings = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "heading"]
        assert headings[0] == "Cut from n2, n3"
        assert browser.ask("document.querySelector('#broken').getAttribute('role')") == "alert"


Colour = tuple[float, float, float]


def palettes() -> dict[str, dict[str, Colour]]:
    """The colours that the style sheet declares for light and dark."""
    roots = re.findall(r":root \{(.*?)\}", HTML, re.DOTALL)
    found = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", root)) for root in roots]
    return {
        scheme: {name: colour(text) for name, text in named.items()}
        for scheme, named in zip(("light", "dark"), found, strict=True)
    }


def colour(text: str) -> Colour:
    """Red, green and blue of ``#rrggbb``, each from 0 to 1."""
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def contrast(a: Colour, b: Colour) -> float:
    """Contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: Colour) -> float:
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in colour]
        return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "ground", "enough"),
    [
        *[(text, "paper", 4.5) for text in ("ink", "soft", "alarm", "warn", "calm", "good")],
        *[("ink", "panel", 4.5), ("ink", "alarm-soft", 4.5), ("warn", "alarm-soft", 4.5)],
        *[(line, ground, 3.0) for line in ("alarm", "calm", "ink") for ground in ("paper", "during")],
        *[("calm", "outer", 3.0), ("ink", "outer", 3.0), ("ink", "inner", 3.0)],
    ],
)
def test_what_the_page_says_stands_out(scheme: str, front: str, ground: str, enough: float) -> None:
    palette = palettes()[scheme]
    assert contrast(palette[front], palette[ground]) >= enough
