"""The live page as a test looks at it: what its figures show, in the units of their own axes."""

import re
import time
from dataclasses import dataclass

from chromium_pipe import Chromium
from recorded_run import Player, Status


@dataclass(frozen=True)
class Chart:
    """What a figure shows, with the heights read off its own axis."""

    heights: list[tuple[float, float]]  # (value on the label, height in pixels) of each tick
    paths: dict[str, list[tuple[float, float]]]  # points of each named path, in pixels
    said: list[str]

    def values(self, name: str) -> list[float]:
        """Heights of a path in the unit of the axis."""
        (low, at_low), (high, at_high) = self.heights[0], self.heights[-1]
        return [low + (y - at_low) * (high - low) / (at_high - at_low) for _, y in self.paths[name]]


READ = """((svg) => ({
  ticks: [...svg.querySelectorAll(".grid")].map((e) => [e.nextSibling.textContent, +e.getAttribute("y1")]),
  paths: [...svg.querySelectorAll("path")].map((e) => [Object.values(e.dataset)[0], e.getAttribute("d")]),
  said: [...svg.querySelectorAll("text")].map((e) => e.textContent),
}))(%s)"""


def chart(browser: Chromium, svg: str) -> Chart:
    read = browser.ask(READ % svg)
    heights = [(float(re.sub(r"[^\d.−]", "", label).replace("−", "-")), y) for label, y in read["ticks"]]
    paths = {
        name: [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", d)]
        for name, d in read["paths"]
    }
    return Chart(heights, paths, read["said"])


def ages(browser: Chromium) -> Chart:
    return chart(browser, "document.querySelector('#ages')")


def drawn(browser: Chromium, number: int) -> Chart:
    return chart(browser, f"document.querySelectorAll('#plots svg')[{number}]")


def show(browser: Chromium, player: Player, run: list[Status], query: str = "") -> None:
    """Open the page and play a run to it until it has drawn the last second."""
    player.latest = run[0]
    browser.open(f"{player.origin}/{query}")
    browser.wait("document.querySelector('#origins tr') !== null")
    ends = time.monotonic() + 20
    while player.listeners == 0 and time.monotonic() < ends:
        time.sleep(0.01)
    player.say(*run[1:])
    settled(browser, run[-1])


def settled(browser: Chromium, last: Status) -> None:
    browser.wait("document.querySelector('#digest').textContent", lambda text: text == last["digest"])
    browser.wait("due === null")


def words(browser: Chromium) -> str:
    text: str = browser.ask("document.body.innerText")
    return text
