"""From what `consensus` found to its page: what is named, and what it is called."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hand_made_consensus import confusion, result
from test_page import read, words

from convergence_jax.report.consensus import SHOWN, page_of
from convergence_jax.report.consensus_page import render


@dataclass(frozen=True)
class Found:
    """As `Outcome`."""

    result: dict[str, Any]
    posteriors: pa.Table
    observers: pa.Table
    confusion: np.ndarray | None = None


def weighed(n: int = 1000) -> Found:
    """Evidence on `n` agents: log-odds rise with the number of the agent, and the last ten are flagged."""
    odds = np.linspace(-50.0, 60.0, n)
    verdict = np.where(odds < -5, "clear", "undetermined").astype(object)
    verdict[-10:] = "flag"
    median = [None, *odds[1:].tolist()]
    posteriors = pa.table(
        {
            "agent": [f"a{i:07}" for i in range(n)],
            "items": np.full(n, 9),
            "observers": np.full(n, 3),
            "log_posterior_fine": -np.logaddexp(0, odds),
            "log_posterior_odd": -np.logaddexp(0, -odds),
            "log_odds": odds,
            "log_complement": -np.logaddexp(0, np.abs(odds)),
            "lower_log_odds": odds - 3.0,
            "upper_log_odds": odds + 4.0,
            "trimmed_mean_estimate": 0.5 * odds,
            "median_estimate": pa.array(median, pa.float64()),
            "label": np.where(odds > 0, "odd", "fine"),
            "verdict": verdict,
            "log_e_against_null": 0.25 * odds,
            "log_e_against_alternative": -0.125 * odds,
        }
    )
    observers = pa.table(
        {
            "observer": ["x", "y", "z"],
            "items": [3000, 3001, 2999],
            "agents": [1000, 999, 998],
            "equivocal_rows": [0, 4, 0],
            "refused_items": [0, 0, 0],
            "retracted": [False, False, False],
            "total_magnitude": [1.5, 250.0, 3.5],
            "extreme_share": [0.125, 0.9, 0.0],
            "deviation": pa.array([0.5, 7.25, None], pa.float64()),
            "suspicion_rank": [3, 1, 2],
            "reason": ["nothing unusual", "4 rows that contradict each other", "nothing unusual"],
        }
    )
    told = result(items=n, flag=10, clear=409, undetermined=581)
    told |= {
        "hypotheses": ["fine", "odd"],
        "prior": ["1000000", "1"],
        "rejected": {"duplicate": 4, "equivocation": 8},
    }
    told["input"] = {"name": "seen.parquet", "rows": 9100, "retracted": [], "reliability": None}
    return Found(told, posteriors, observers)


def labelled(n: int = 500, k: int = 3) -> Found:
    """A crowd of 300 workers, the last of whom has said most; item i is more certain than item i - 1."""
    names = [f"kind {j}" for j in range(k)]
    first = np.linspace(0.4, 0.999, n)
    logs = np.log(np.stack([(1 - first) / (k - 1)] * (k - 1) + [first], axis=1))
    columns = {f"log_posterior_{name}": logs[:, j] for j, name in enumerate(names)}
    verdict = np.where(first > 0.9, "clear", "undetermined")
    items = [f"i{i}" for i in range(n)]
    posteriors = pa.table({"item": items, **columns, "label": [names[-1]] * n, "verdict": verdict})
    workers = 300
    observers = pa.table(
        {
            "observer": [f"w{i}" for i in range(workers)],
            "items": np.arange(workers),
            "suspicion_rank": np.arange(1, workers + 1),
            "reason": ["guesses"] * 2 + [""] * (workers - 2),
            "accuracy": np.linspace(0.2, 0.9, workers),
        }
    )
    told = result("labels", n, clear=84, undetermined=416) | {
        "observers": workers,
        "hypotheses": names,
        "prior": [1 / k] * k,
    }
    return Found(
        told, posteriors, observers, np.array([confusion(k, 0.2 + i / 1000) for i in range(workers)])
    )


def test_the_flagged_are_named_with_their_bounds_and_estimates() -> None:
    page = page_of(weighed(), command="convergence consensus seen.parquet")
    assert page.subject == "seen.parquet"
    strongest = page.items[0]
    assert (strongest.item, strongest.verdict, strongest.label) == ("a0000999", "flag", "odd")
    assert (strongest.log_odds, strongest.lower, strongest.upper) == (60.0, 57.0, 64.0)
    assert strongest.estimates == {"trimmed mean": 30.0, "median": 60.0}
    assert strongest.top == []
    assert strongest.log_e == 15.0
    assert next(item for item in page.items if item.verdict == "clear").log_e == pytest.approx(0.625, abs=0.1)
    assert page.distribution is not None
    assert sum(page.distribution.counts) == 1000
    assert sum(page.distribution.flagged) == 10


def test_observers_come_by_suspicion_and_those_with_nothing_unusual_are_not_suspicious() -> None:
    first, second, third = page_of(weighed()).observers
    assert (first.observer, second.observer, third.observer) == ("y", "z", "x")
    assert (first.reason, second.reason) == ("4 rows that contradict each other", "")
    assert (first.items, first.events, first.equivocating) == (999, 3001, 4)
    assert (first.among_largest, first.deviation, first.contributed) == (0.9, 7.25, 250.0)
    assert second.deviation is None


def test_the_page_says_what_was_found() -> None:
    text = words(read(render(page_of(weighed()))))
    for wanted in (
        "the e-value against it has a logarithm of at least 15 , where 3 flags.",
        "The most suspicious observer is y : 4 rows that contradict each other.",
        "came before, and counts once",
        "contradicts another row of the same observer on the same matter",
        "fine 1 − 10⁻⁶",
        "odd 10⁻⁶",
        "999 3,001 4 90.0% 7.25 250",
    ):
        assert wanted in text, wanted
    for absent in ("Retracted", "Out of range", "not reported", "nothing unusual"):
        assert absent not in text, absent


def test_a_crowd_has_its_most_probable_labels_and_the_matrix_of_its_most_active() -> None:
    page = page_of(labelled())
    assert page.items[0].item == "i0"
    assert [chance.label for chance in page.items[0].top] == ["kind 2", "kind 0", "kind 1"]
    assert math.exp(page.items[0].top[0].log_probability) == pytest.approx(0.4)
    assert page.observers[-1].observer == "w297"
    assert {o.observer for o in page.observers} >= {"w0", "w199", "w299", "w298"}
    for observer in page.observers:
        assert observer.confusion[0][0] == 0.2 + int(observer.observer[1:]) / 1000
    text = words(read(render(page)))
    assert "w299 Among the most active; 299 items" in text
    assert "w0 Suspicious; 0 items" in text
    assert "100 more observers are not listed here." in text


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("made", [labelled, weighed])
def test_hardly_anything_is_a_page_too(made: Any, n: int) -> None:
    found = made(max(n, 10))
    cut = Found(found.result | {"items": n}, found.posteriors[:n], found.observers[:n], found.confusion)
    assert "</html>" in render(page_of(cut))
    nothing = Found({}, found.posteriors[:n], found.observers[:0])
    assert "</html>" in render(page_of(nothing))


def test_what_is_named_of_many_is_what_would_be_named_of_all() -> None:
    page = page_of(weighed(100_000))
    assert len(page.items) == 10 + 2 * SHOWN
    nearest = [item for item in page.items if item.verdict == "undetermined"]
    widest = max(nearest, key=lambda item: min(-(item.lower or 0), item.upper or 0))
    assert widest == nearest[0]
    assert all((item.lower or 0) < 0 < (item.upper or 0) for item in nearest)
