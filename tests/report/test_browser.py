"""The report in a real browser: laid out, without an error, without a request to anywhere."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import pytest
from hand_made_consensus import crowd, evidence, undecided
from hand_made_consensus import hostile as hostile_consensus
from hand_made_pages import flights, hostile

from convergence_jax.report.consensus_page import ConsensusPage
from convergence_jax.report.consensus_page import render as render_consensus
from convergence_jax.report.page import Page, render

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=2000",
    "--dump-dom",
]

# Measures the page from inside and leaves what it found where the dumped document shows it.
PROBE = """<script>addEventListener("load", () => {
  const seen = (e) => { const box = e.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  const root = document.documentElement;
  const found = {
    sections: [...document.querySelectorAll("main section")].map((e) => [e.id, seen(e)]),
    charts: [...document.querySelectorAll("main svg")].filter(seen).length,
    overflow: root.scrollWidth - root.clientWidth,
    loaded: performance.getEntriesByType("resource").map((e) => e.name),
  };
  const note = document.createElement("pre");
  note.id = "probe";
  note.textContent = JSON.stringify(found);
  document.body.append(note);
});</script>"""


@dataclass(frozen=True)
class Visit:
    """What a browser made of a page."""

    console: list[str]
    requests: list[str]
    sections: dict[str, bool] = field(default_factory=dict)
    charts: int = 0
    overflow: int = 0
    loaded: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def visit(
    require: Callable[[str, bool, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Visit]:
    """Open a page and look at it."""
    browser = shutil.which("chromium")
    require("chromium", browser is not None, "chromium is not installed")

    def look(html: str, width: int = 1200) -> Visit:
        folder = tmp_path_factory.mktemp("browser")
        page, log = folder / "page.html", folder / "net.json"
        head, end, tail = html.rpartition("</body>")
        page.write_text(head + PROBE + end + tail, encoding="utf-8")
        done = subprocess.run(
            [
                str(browser),
                *FLAGS,
                f"--window-size={width},900",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={folder / 'profile'}",
                f"--log-net-log={log}",
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
        return Visit(console, _requests(log), **_probed(done.stdout))

    return look


def _probed(document: str) -> dict[str, object]:
    found = json.loads(unescape(document.split('<pre id="probe">')[1].split("</pre>")[0]))
    return {**found, "sections": dict(found["sections"])}


def _requests(log: Path) -> list[str]:
    """Addresses that the page asked for; the browser's own requests have no origin."""
    read = json.loads(log.read_text(encoding="utf-8"))
    start = read["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event["params"] for event in read["events"] if event["type"] == start and "params" in event]
    return [job["url"] for job in asked if job.get("initiator") not in (None, "not an origin")]


@pytest.mark.parametrize("page", [flights(), hostile()], ids=["flights", "hostile"])
@pytest.mark.parametrize("width", [1200, 600])
def test_a_report_is_laid_out_without_errors_or_requests(
    visit: Callable[..., Visit], page: Page, width: int
) -> None:
    seen = visit(render(page), width)
    assert seen.console == []
    assert seen.requests == []
    assert seen.loaded == []
    assert {"agents", "groups", "distances", "population", "read", "method", "again"} <= seen.sections.keys()
    assert all(seen.sections.values())
    assert seen.charts > 0
    assert seen.overflow <= 0


@pytest.mark.parametrize(
    ("page", "also"),
    [
        (evidence(), {"distribution"}),
        (crowd(16), {"distribution", "calibration"}),
        (hostile_consensus(), {"distribution", "calibration"}),
        (undecided(), set()),
    ],
    ids=["evidence", "crowd", "hostile", "undecided"],
)
@pytest.mark.parametrize("width", [1200, 500])
def test_a_consensus_report_is_laid_out_without_errors_or_requests(
    visit: Callable[..., Visit], page: ConsensusPage, also: set[str], width: int
) -> None:
    seen = visit(render_consensus(page), width)
    assert seen.console == []
    assert seen.requests == []
    assert seen.loaded == []
    assert seen.sections.keys() == {"judged", "observers", "read", "method", "again"} | also
    assert all(seen.sections.values())
    assert seen.charts >= len(also)
    assert seen.overflow <= 0


def test_the_browser_would_notice_an_error_and_a_request(visit: Callable[..., Visit]) -> None:
    bad = '<img src="http://127.0.0.1:9/pixel.png"><script>throw new Error("no")</script>'
    seen = visit(f"<!doctype html><html><body><main>{bad}</main></body></html>")
    assert any("Error: no" in line for line in seen.console)
    assert seen.requests == ["http://127.0.0.1:9/pixel.png"]
