"""The live page of a node in a real browser, which hears a recorded run: a cut, and its healing."""

import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from chromium_pipe import Chromium
from live_view import ages, drawn, settled, show, words
from recorded_run import Player, Status, answer, cut_and_heal

from convergence_jax.partition.nodes.live import page

RUN = cut_and_heal()
DURING, AFTER = RUN[:58], RUN  # 32 seconds into the cut; and half a minute after it
MEAN = 1  # place of the mean among the answers


@pytest.fixture(scope="module")
def browser(require: Callable[[str, bool, str], None]) -> Iterator[Chromium]:
    """One browser for all tests; each opens its own page."""
    program = shutil.which("chromium")
    require("chromium", program is not None, "chromium is not installed")
    with Chromium(str(program)) as running:
        yield running


def test_during_a_cut_the_age_rises_and_the_interval_is_wide(browser: Chromium) -> None:
    with Player(page()) as player:
        show(browser, player, DURING)
        last, before = DURING[-1], DURING[20]
        assert browser.ask("document.querySelector('h1').textContent") == "Cut from n2, n3"
        assert browser.ask("document.title") == "Cut from n2, n3 – n1"
        told = {origin["node"]: origin["age_seconds"] for origin in last["origins"] if not origin["self"]}
        seen = ages(browser)
        assert seen.paths.keys() == told.keys()
        for name, age in told.items():
            assert seen.values(name)[-1] == pytest.approx(age, abs=0.3)
        # One second of the run is one step to the right; the age climbs a second with each.
        climb = seen.values("n2")[30:]
        assert all(0.5 < b - a < 1.5 for a, b in itertools.pairwise(climb))
        mean = last["answers"][MEAN]
        figure = drawn(browser, MEAN)
        for edge in ("lower", "upper", "value"):
            assert figure.values(edge)[-1] == pytest.approx(mean[edge], abs=0.05)
        anytime = figure.values("anytime")
        middle = len(anytime) // 2  # the band runs along its upper side and back along its lower
        assert anytime[middle - 1] == pytest.approx(mean["anytime_upper"], abs=0.05)
        assert anytime[middle] == pytest.approx(mean["anytime_lower"], abs=0.05)
        then = before["answers"][MEAN]
        width = figure.values("upper")[-1] - figure.values("lower")[-1]
        assert width > 10 * (then["upper"] - then["lower"])
        assert {"cut", "certified", "anytime", "value"} <= set(figure.said)
        text = words(browser)
        assert "certified 97.51 to 102.14" in text
        assert re.search(r"n2\s+cut, no echo\s+32 s\s+1,314\s+0\s+21,500", text)
        assert re.search(r"n4\s+connected\s+0\.\d s", text)
        assert re.search(r"Backlog\s+12\s", text)
        assert "2 replayed" in text
        assert "3.42 MB" in text
        assert browser.console == []


def test_after_healing_the_age_drops_and_the_interval_closes(browser: Chromium) -> None:
    with Player(page()) as player:
        show(browser, player, AFTER)
        assert browser.ask("document.querySelector('h1').textContent") == "Connected"
        seen = ages(browser).values("n3")
        assert max(seen) == pytest.approx(34.5, abs=0.5)
        assert max(seen[-25:]) < 1
        figure = drawn(browser, MEAN)
        widths = [u - low for u, low in zip(figure.values("upper"), figure.values("lower"), strict=True)]
        assert max(widths) > 4
        assert max(widths[-25:]) < 0.5
        assert "cut" in figure.said
        assert ages(browser).said.count("n2, n3, n4, n5") == 1
        assert browser.console == []


def test_an_infinite_age_and_an_open_interval_are_called_unbounded(browser: Chromium) -> None:
    first = cut_and_heal(range(1, 30), range(0))
    for status in first[:20]:
        status["origins"][1].update(age_seconds=None, unseen=None, unseen_removals=None)
        status["answers"][0].update(upper=None)
        status["answers"][MEAN].update(lower=None, upper=None, anytime_lower=None, anytime_upper=None)
    with Player(page()) as player:
        show(browser, player, first[:20])
        assert browser.ask("document.querySelector('h1').textContent") == "No valid echo from n2"
        text = words(browser)
        assert re.search(r"n2\s+no valid echo\s+unbounded\s+unbounded\s+unbounded", text)
        assert re.search(r"Oldest origin\s+unbounded\s+Unseen, at most\s+unbounded", text)
        assert f"certified {first[19]['answers'][0]['lower']:,} and above, unbounded" in text
        assert "certified unbounded" in text
        assert "no anytime interval" in text
        assert ages(browser).said.count("unbounded") == 2  # of the strip, and beside the line
        assert drawn(browser, 0).said.count("unbounded") == 1 + 1  # above now, and below in the first second
        assert drawn(browser, MEAN).said.count("unbounded") == 2
        assert drawn(browser, MEAN).paths["unbounded"]
        assert "upper" not in drawn(browser, MEAN).paths or not drawn(browser, MEAN).paths["upper"]
        highest = min(y for _, y in ages(browser).paths["n2"])
        assert highest < min(y for _, y in ages(browser).heights)  # above every number of the axis
        player.say(*first[20:])
        settled(browser, first[-1])
        assert browser.ask("document.querySelector('h1').textContent") == "Connected"
        assert "certified unbounded" not in words(browser)
        assert browser.console == []


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"></text></svg><script>alert(2)</script>',
    "javascript:alert(3)",
    "__proto__",
    "constructor",
    "\u202egnitsrever",
    "a" * 3000,
    "",
]


@pytest.mark.parametrize("width", [400, 1400])
def test_hostile_names_are_shown_and_do_nothing(browser: Chromium, width: int) -> None:
    run = json.loads(json.dumps(AFTER[:40]).replace('"n1"', json.dumps(HOSTILE[0])))
    for status in run:
        for origin, name in zip(status["origins"] * 2, HOSTILE, strict=False):
            status["origins"].append({**origin, "node": name, "self": False})
        for name in HOSTILE:
            status["answers"].append(answer(name, name, name, 1.0, 0.5, None, 0.5))
        status["blocked"] = [HOSTILE[1]]
        status["refused"] = dict.fromkeys(HOSTILE, 3)
        status["digest"] = HOSTILE[1] + str(status["version"])
    with Player(page()) as player:
        browser.show(width)
        show(browser, player, run)
        names = browser.ask("[...document.querySelectorAll('#origins th')].map((e) => e.textContent)")
        assert names[-len(HOSTILE) :] == HOSTILE
        assert browser.ask("document.querySelectorAll('img, svg script, main script').length") == 0
        assert browser.ask("document.documentElement.scrollWidth - innerWidth") <= 0
        assert browser.console == []
        assert {address.partition("?")[0] for address in browser.requests} <= {
            f"{player.origin}/",
            f"{player.origin}/status",
            f"{player.origin}/events",
            "data:,",
        }


def test_the_page_asks_its_own_node_only_and_hands_on_its_token(browser: Chromium) -> None:
    with Player(page(), token="s3&cret=") as player:
        show(browser, player, RUN[:3], "?token=s3%26cret%3D")
        assert player.asked == [
            "/?token=s3%26cret%3D",
            "/status?token=s3%26cret%3D",
            "/events?token=s3%26cret%3D",
        ]
        assert all(address.startswith((player.origin, "data:")) for address in browser.requests)
        assert len([address for address in browser.requests if address.startswith("http")]) == 3


def test_without_its_token_the_page_says_what_is_missing(browser: Chromium) -> None:
    with Player(page(), RUN[0], token="secret") as player:
        browser.open(f"{player.origin}/")
        said = browser.wait("document.querySelector('#broken').textContent")
        assert said == "The node refused this page: its address needs the node's ?token=."


def test_a_broken_stream_is_said_with_its_age_and_mended(browser: Chromium) -> None:
    with Player(page()) as player:
        show(browser, player, DURING)
        paper = "getComputedStyle(document.querySelector('main h2')).color"
        ink = browser.ask(paper)
        assert browser.ask("document.querySelector('#alert').checkVisibility()") is False
        player.reply = 503
        player.hang_up()
        browser.wait("document.querySelector('#broken').textContent", lambda text: "broke" in text)
        said = browser.wait("document.querySelector('#since').textContent", lambda text: "1." in text)
        assert re.fullmatch(r"Last news 1\.\d s ago: all below is as it was then\. Trying again\.", said)
        assert browser.ask("document.querySelector('#alert').checkVisibility()") is True
        assert browser.ask(paper) != ink
        assert browser.ask("document.title") == "No news – n1"
        assert "last news" in ages(browser).said
        assert "now" not in ages(browser).said
        browser.wait("document.querySelector('#broken').textContent", lambda text: "503" in text)
        player.reply = 200
        player.latest = AFTER[-1]
        settled(browser, AFTER[-1])
        browser.wait("document.querySelector('#alert').checkVisibility()", lambda seen: not seen)
        assert browser.ask(paper) == ink
        # What happened in between is not known, and no line is drawn across it.
        line = browser.ask("document.querySelector('[data-origin=n4]').getAttribute('d')")
        assert line.count("M") == 2


def test_a_silent_stream_counts_as_broken(browser: Chromium) -> None:
    with Player(page()) as player:
        show(browser, player, RUN[:5])
        assert browser.ask("document.querySelector('#broken').textContent") == ""
        said = browser.wait("document.querySelector('#broken').textContent")
        assert said == "The stream is silent."
        player.say(RUN[5])
        browser.wait("document.querySelector('#broken').textContent", lambda text: text == "")


def test_a_node_that_never_answers_is_said_to(browser: Chromium) -> None:
    with Player(page()) as player:
        player.reply = 500
        browser.open(f"{player.origin}/")
        browser.wait("document.querySelector('#broken').textContent", lambda text: "500" in text)
        assert "Nothing heard in" in words(browser)


@pytest.mark.parametrize(
    "nonsense",
    [
        "not JSON",
        "null",
        "[]",
        '{"seconds": "7"}',
        "1e999",
        '{"seconds": 1e999}',
    ],
)
def test_nonsense_from_the_node_is_said_and_outlived(browser: Chromium, nonsense: str) -> None:
    with Player(page()) as player:
        show(browser, player, RUN[:3])
        player.send(nonsense)
        said = browser.wait("document.querySelector('#broken').textContent")
        assert said == "The node sent what this page cannot read."
        player.say(RUN[3])
        browser.wait("document.querySelector('#broken').textContent", lambda text: text == "")
        settled(browser, RUN[3])


def test_a_status_with_parts_missing_or_of_another_kind_is_drawn_as_far_as_it_goes(browser: Chromium) -> None:
    odd: list[Status] = [{"seconds": 700.0}, {**RUN[9], "seconds": 701.0, "digest": "first"}]
    for number, value in enumerate([None, 7, "x", [None, 1, "x", [], {}], {"a": None}]):
        parts = ("origins", "answers", "backlog", "bytes", "refused", "blocked", "node", "incarnation")
        odd.append({"seconds": 702.0 + number, "digest": f"odd {number}", **dict.fromkeys(parts, value)})
    with Player(page()) as player:
        show(browser, player, [*RUN[:3], *odd])
        assert browser.console == []
        assert browser.ask("document.querySelector('#broken').textContent") == ""


def test_ten_minutes_are_kept_and_no_more(browser: Chromium) -> None:
    run = cut_and_heal(range(600, 1400), range(700, 720))
    with Player(page()) as player:
        show(browser, player, run)
        assert browser.ask("samples.length") == 601
        assert "10 min ago" in ages(browser).said
        assert max(ages(browser).values("n2")) < 1  # the cut is longer ago


def test_a_fast_stream_does_not_fill_the_memory(browser: Chromium) -> None:
    run = [{**RUN[0], "seconds": 600 + n / 50, "digest": str(n)} for n in range(1000)]
    with Player(page()) as player:
        show(browser, player, run)
        assert 20 / 0.5 <= browser.ask("samples.length") <= 20 / 0.45 + 2


def test_many_answers_are_drawn_to_a_limit_and_counted_beyond(browser: Chromium) -> None:
    many = [answer("fraud", "log-odds", f"agent {n}", 1.0, 0.5, 2.0, 0.5) for n in range(1000)]
    with Player(page()) as player:
        show(browser, player, [{**status, "answers": many} for status in RUN[:2]])
        assert browser.ask("document.querySelectorAll('#plots figure').length") == 24
        assert "976 more answers are not drawn" in words(browser)
        player.say({**RUN[2], "answers": many[:1]})
        settled(browser, RUN[2])
        assert browser.ask("document.querySelectorAll('#plots figure').length") == 1
        assert "more answers" not in words(browser)


def test_a_restarted_node_goes_on_to_the_right(browser: Chromium) -> None:
    again = [{**status, "incarnation": 4} for status in cut_and_heal(range(1, 6), range(0))]
    with Player(page()) as player:
        show(browser, player, [*RUN[:10], *again])
        assert "incarnation 4" in words(browser)
        spots = browser.ask("samples.map((s) => s.x)")
        assert spots == sorted(set(spots))
        assert len(spots) == 15
        assert browser.ask("document.querySelector('[data-origin=n4]').getAttribute('d')").count("M") == 3


def test_a_status_that_comes_out_of_turn_changes_nothing(browser: Chromium) -> None:
    with Player(page()) as player:
        show(browser, player, RUN[:10])
        player.say(RUN[7])
        player.send("nonsense, to know that what came before it was read")
        browser.wait("document.querySelector('#broken').textContent")
        assert browser.ask("document.querySelector('#digest').textContent") == RUN[9]["digest"]
        player.say(RUN[10])
        settled(browser, RUN[10])
        assert browser.ask("samples.length") == 11


def test_members_that_left_or_are_excluded_are_listed_and_bound_nothing(browser: Chromium) -> None:
    run = [json.loads(json.dumps(status)) for status in DURING]
    for status in run:
        status["origins"][1].update(final=True)
        status["origins"][2].update(excluded=True)
    with Player(page()) as player:
        show(browser, player, run)
        text = words(browser)
        assert browser.ask("document.querySelector('h1').textContent") == "Connected"
        assert re.search(r"n2\s+left, final\s+–", text)
        assert re.search(r"n3\s+excluded\s+–", text)
        assert ages(browser).paths.keys() == {"n4", "n5"}


def test_a_link_that_the_node_itself_blocks_is_named(browser: Chromium) -> None:
    with Player(page()) as player:
        show(browser, player, [{**status, "blocked": ["n5"]} for status in RUN[:5]])
        assert browser.ask("document.querySelector('h1').textContent") == "Cut from n5"
        assert re.search(r"n5\s+cut, blocked here", words(browser))


def test_answers_of_two_features_or_of_an_agent_are_told_apart(browser: Chromium) -> None:
    covariance = answer("latency", "covariance", "delay", 1.0, 0.5, 2.0, 0.5)
    odds = answer("fraud", "log_odds", None, 1.0, 0.5, 2.0, 0.5)
    answers = [{**covariance, "other": "size"}, {**covariance, "other": "delay"}, {**odds, "agent": "a_7"}]
    with Player(page()) as player:
        show(browser, player, [{**status, "answers": answers, "leaving": True} for status in RUN[:2]])
        titles = browser.ask("[...document.querySelectorAll('#plots .what')].map((e) => e.textContent)")
        assert titles == [
            "latency: covariance of delay and size",
            "latency: covariance of delay and delay",
            "fraud: log odds of a_7",
        ]
        assert words(browser).startswith("Node n1, incarnation 3, roster 1, up 10 min, leaving")


def test_an_interval_is_written_rounded_outwards(browser: Chromium) -> None:
    with Player(page()) as player:
        show(browser, player, RUN[:2])
        for lower, upper in [(0.123461, 0.223439), (-2 / 3, 1 / 3), (1234.5678, 1234.5688), (-1e-7, 1e-7)]:
            first, last = browser.ask(f"interval({lower!r}, {upper!r})").replace("−", "-").split(" to ")
            wide = float(first.replace(",", "")), float(last.replace(",", ""))
            assert wide[0] <= lower <= upper <= wide[1]
            assert wide[1] - wide[0] <= 1.05 * (upper - lower)
