"""Pages of the consensus report made by hand, for its tests."""

import math
from typing import Any

from hand_made_pages import HOSTILE

from convergence_jax.report.consensus_page import (
    ConsensusPage,
    JudgedItem,
    LabelChance,
    Observer,
    histogram,
)

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
BIRDS = tuple(
    f"{a} {b}" for a in ("Herring", "Ivory", "Slaty", "Western") for b in ("gull", "tern", "auk", "owl")
)


def result(mode: str = "evidence", items: int = 10_000, **verdicts: int) -> dict[str, Any]:
    """What ``result.json`` holds, without a truth."""
    evidence = mode == "evidence"
    rejected = (
        {"missing:observer": 12, "not_finite:log_likelihood_ratio": 3} if evidence else {"missing:label": 8}
    )
    return {
        "schema": "convergence.consensus/1",
        "mode": mode,
        "items": items,
        "observers": 100 if evidence else 177,
        "hypotheses": ["benign", "compromised"] if evidence else list(BIRDS[:5]),
        "prior": [0.5, 0.5] if evidence else [0.2] * 5,
        "rejected": rejected,
        "input": {"rows": 1_250_412, "events": 1_248_001, "duplicates": 2_390, "equivocations": 6, "gold": 0},
        "decision": {
            "alpha": 0.05,
            "observers_lying": 33 if evidence else None,
            "method": "floor e-values of the n − f least accusing observers"
            if evidence
            else "confusion matrices",
            "assumes": ["honest observers are independent given the hypothesis", "at most f observers lie"],
            "verdicts": verdicts or {"flag": 12, "clear": items - 100, "undetermined": 88},
            "identifiable": True,
            "reason": None,
        },
        "digest": DIGEST,
        "seconds": {"read": 0.61, "sum": 1.32, "bound": 0.4, "write": 0.12},
        "execution": {"backend": "xla", "platform": "cpu", "devices": 1, "processes": [4123]},
        "versions": {"convergence-jax": "0.2.0", "jax": "0.10.2"},
        "tempering": 0.8,
    }


def truth() -> dict[str, Any]:
    """What a truth adds to the result: predictions in ten bins, a little too sure of themselves."""
    bins = []
    for i, n in enumerate((0, 0, 3, 12, 41, 80, 160, 330, 700, 1339)):
        predicted = (i + 0.55) / 10
        share = max(0.0, predicted - 0.03 - 0.01 * (i % 3))
        bins.append(
            {"from": i / 10, "to": (i + 1) / 10, "count": n, "predicted": predicted, "observed": share}
        )
    return {
        "accuracy": 0.8634,
        "log_loss": 0.4127,
        "calibration_error": 0.0412,
        "calibration_interval": [0.0297, 0.0538],
        "calibration_bins": bins,
        "truth": {"items": 2000, "decided": 1500, "decided_wrong": 21},
    }


def agent(index: int, verdict: str = "flag", name: str | None = None) -> JudgedItem:
    """One agent with bounds; the further down the list, the weaker the case."""
    middle = {"flag": 140.0 - index, "clear": -35.0 + index / 10, "undetermined": 3.0 - index / 4}[verdict]
    half = {"flag": 90.0 - index, "clear": 20.0, "undetermined": 6.0 + index}[verdict]
    return JudgedItem(
        name if name is not None else f"agent-{index:05}",
        verdict,
        "compromised" if middle > 0 else "benign",
        97 - index % 7,
        middle,
        middle - half,
        middle + half / 2,
        {"flag": 60.0, "undetermined": 1.5, "clear": 30.0}[verdict] - index / 1000,
        {"trimmed mean": 0.8 * middle, "median": 0.7 * middle},
    )


def item(index: int, verdict: str = "undetermined", labels: tuple[str, ...] = BIRDS[:5]) -> JudgedItem:
    """One item of a crowd; the further down the list, the more certain."""
    first = 0.35 + 0.001 * (index % 400) if verdict == "undetermined" else 1 - 10.0 ** -(1 + index % 14)
    left = (1 - first) / (len(labels) - 1)
    chances = [LabelChance(labels[0], math.log(first), math.log1p(-first))]
    chances += [LabelChance(label, math.log(left), math.log1p(-left)) for label in labels[1:]]
    return JudgedItem(f"image {index}.jpg", verdict, labels[0], 20 + index % 19, top=chances)


def confusion(k: int, right: float) -> list[list[float]]:
    """An observer that is right that often, and errs towards the next label more than to the others."""
    rows = []
    for i in range(k):
        row = [(1 - right) / (2 * max(k - 1, 1))] * k
        row[i] = right
        row[(i + 1) % k] += (1 - right) / 2
        rows.append(row)
    return rows


def evidence() -> ConsensusPage:
    """10,000 agents, 12 of them flagged although a third of the observers may lie."""
    items = [agent(i) for i in range(12)] + [agent(100 + i, "undetermined") for i in range(88)]
    items += [agent(200 + i, "clear") for i in range(50)]
    observers = [
        Observer(
            f"observer-{i:02}",
            9_000 - 31 * i,
            "pulls 1.8 times as far as the median observer, and towards flagging on 96% of agents"
            if i < 7
            else "",
            retracted=i == 1,
            equivocating=6 - i if i < 6 else 0,
            among_largest=0.97 / (1 + i / 3),
            contributed=48_000.0 / (1 + i),
        )
        for i in range(100)
    ]
    odds = [-35.0 + 0.002 * i for i in range(9900)] + [3.0 - 0.3 * (i - 40) for i in range(88)]
    odds += [140.0 - i for i in range(12)]
    flagged = [False] * 9988 + [True] * 12
    return ConsensusPage(
        result(),
        items,
        observers,
        histogram(odds, flagged),
        "convergence consensus reports.parquet --observers-lying 33 --alpha 0.05 --out runs/2026-07",
        "reports.parquet",
    )


def crowd(k: int = 5, *, with_truth: bool = True) -> ConsensusPage:
    """2,665 items that a crowd has labelled with `k` labels."""
    labels = BIRDS[:k]
    told = result("labels", 2_665, flag=0, clear=2_318, undetermined=347)
    told |= {"hypotheses": list(labels), "prior": [1 / k] * k}
    told |= truth() if with_truth else {}
    told["input"] |= {"gold": 40} | ({"truth": "bird_truth.csv"} if with_truth else {})
    items = [item(i, labels=labels) for i in range(347)] + [item(i, "clear", labels) for i in range(400)]
    observers = [
        Observer(
            f"worker {i}",
            400 - 2 * i if i != 50 else 2_600,
            "right less often than chance; its labels look permuted" if i < 4 else "",
            agreement=0.2 + 0.005 * i,
            accuracy=0.15 + 0.005 * i,
            confusion=confusion(k, 0.05 + 0.005 * i),
        )
        for i in range(170)
    ]
    top = [math.exp(max(c.log_probability for c in one.top)) for one in items]
    command = "convergence consensus bird.csv --truth bird_truth.csv"
    return ConsensusPage(told, items, observers, histogram(top, within=(0, 1)), command, "bird.csv")


def undecided() -> ConsensusPage:
    """A crowd whose truth cannot be told from its opposite."""
    told = result("labels", 1_305, flag=0, clear=0, undetermined=1_305)
    told["decision"] |= {
        "identifiable": False,
        "reason": "with at most 33 of 100 workers lying, two crowds explain the labels equally well, and "
        "they disagree on the items; name a few items of known truth with --gold",
    }
    return ConsensusPage(told, [item(i) for i in range(30)], [Observer("w1", 40), Observer("w2", 39)])


def hostile() -> ConsensusPage:
    """A page in which every text that comes from data is an attack."""
    first, *others = HOSTILE
    told = result() | truth() | dict.fromkeys(("tempering", "digest", "schema"), HOSTILE[1])
    told |= {"hypotheses": list(HOSTILE), "prior": [1 / len(HOSTILE)] * len(HOSTILE)}
    told["rejected"] = {f"missing:{text}": 3 for text in HOSTILE} | {first: 1}
    told["decision"] |= {"method": first, "assumes": list(HOSTILE), "note": others[1]}
    told["input"]["truth"] = others[0]
    told["execution"] = {text: text for text in HOSTILE}
    told["seconds"] = dict.fromkeys(HOSTILE, 1.0)
    told["versions"] = {text: text for text in HOSTILE}
    items = [
        JudgedItem(
            text,
            verdict,
            text,
            3,
            value,
            -math.inf,
            value,
            value,
            {text: value, first: math.nan},
            [LabelChance(other, -2.0) for other in HOSTILE],
        )
        for text, value in zip(HOSTILE, [0.0, 1e300, -math.inf, math.inf, math.nan, *[2.0] * 6], strict=True)
        for verdict in ("flag", "clear", "undetermined", first)
    ]
    k = len(HOSTILE)
    observers = [
        Observer(text, 3, text, 0.5, math.nan, 1, True, 1, 1, 0.5, math.inf, 1e9, confusion(k, 0.5))
        for text in HOSTILE
    ]
    drawn = histogram([0.0, 1.0, math.nan, math.inf, -math.inf], [True] * 5)
    return ConsensusPage(told, items, observers, drawn, f"convergence consensus '{first}'", others[1])
