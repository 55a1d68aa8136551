"""What the consensus report found, section by section: short texts, rows and figures for the template."""

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

from convergence_jax.report import consensus_figures as figures
from convergence_jax.report.consensus_page import ConsensusPage, JudgedItem, LabelChance, Observer
from convergence_jax.report.provenance import facts, get, prior_of, rows_read, total
from convergence_jax.report.wording import (
    MISSING,
    chance,
    count,
    duration,
    name,
    number,
    percent,
    plural,
    sentence,
    signed,
)

MOST_ITEMS = {"flag": 120, "undetermined": 120, "clear": 20}  # agents or items of each verdict
SEEN = 20  # agents or items of a table that are seen at once; the others are folded
MOST_LABELS = 3  # labels of one item
MOST_HYPOTHESES = 60
TOLD = {"alpha", "method", "assumes", "verdicts", "observers_lying", "identifiable", "reason"}

_MODEL = ("tempering", "contamination", "reliability", "model")
_SAID = {"flag": "flagged", "clear": "clear", "undetermined": "undetermined"}

Section = dict[str, Any]


def nouns(page: ConsensusPage) -> tuple[str, str]:
    """What is judged, one and many: agents where evidence was read, items where labels were."""
    return ("item", "items") if get(page.result, "mode") == "labels" else ("agent", "agents")


def verdict(page: ConsensusPage) -> Section:
    """The answer in one sentence, why nothing is decided where nothing is, and the strongest case."""
    decision = get(page.result, "decision", default={})
    undecided = decision.get("identifiable") is False
    reason = decision.get("reason") if undecided else None
    return {
        "sentence": _sentence(page, undecided),
        "alpha": number(decision.get("alpha")) if decision.get("alpha") is not None else None,
        "undecided": undecided,
        "reason": sentence(name(reason, 1000)) if reason else None,
        "first": None if undecided else _first(page),
        "suspect": _suspect(page.observers),
    }


def _sentence(page: ConsensusPage, undecided: bool) -> str:
    one, many = nouns(page)
    n = int(get(page.result, "items", default=0))
    flagged, clear, undetermined = (counted(page, kind) for kind in ("flag", "clear", "undetermined"))
    if not n:
        return f"No {one} was read, so nothing was decided."
    if undecided:
        return f"The observers do not identify the truth, so none of {plural(n, one, many)} is decided."
    lying = _lying(page)
    if flagged is None or clear is None or undetermined is None:
        return f"{plural(n, one, many)} {'was' if n == 1 else 'were'} judged{lying}."
    if n == 1:
        said = "flagged" if flagged else "clear" if clear else "undetermined"
        return f"The only {one} is {said}{lying}."
    if get(page.result, "mode") == "labels" and not flagged:
        start = f"{count(clear)} of {plural(n, one, many)} {'is' if clear == 1 else 'are'} clear"
        return f"{start}, {count(undetermined)} undetermined{lying}."
    start = f"{count(flagged)} of {plural(n, one, many)} {'is' if flagged == 1 else 'are'} flagged"
    return f"{start}, {count(clear)} clear, {count(undetermined)} undetermined{lying}."


def counted(page: ConsensusPage, kind: str) -> int | None:
    """How many have a verdict; None where the result does not say."""
    verdicts = get(page.result, "decision", "verdicts")
    return int(verdicts.get(kind) or 0) if isinstance(verdicts, Mapping) else None


def _lying(page: ConsensusPage) -> str:
    """The bound on lying observers, to end the sentence with."""
    f = get(page.result, "decision", "observers_lying")
    if f is None:
        return ""
    if f == 0:
        return ", provided that no observer lies"
    n = plural(get(page.result, "observers", default=len(page.observers)), "observer", "observers")
    return f", with at most {percent(f) if 0 < f < 1 else count(f)} of {n} lying"


def _first(page: ConsensusPage) -> Section | None:
    """The strongest flagged case, or else the most uncertain one."""
    for kind in ("flag", "undetermined"):
        for item in _strongest(page, kind, 1):
            bounded = _finite(item.lower, item.upper) and get(page.result, "decision", "observers_lying")
            return {
                "item": name(item.item),
                "flagged": kind == "flag",
                "log_e": number(item.log_e, 3) if item.log_e is not None and kind == "flag" else None,
                "log_odds": signed(item.log_odds) if item.log_odds is not None else None,
                "bounds": (signed(item.lower), signed(item.upper)) if bounded else None,
                "top": _top(item)[:2],
            }
    return None


def _suspect(observers: Sequence[Observer]) -> Section | None:
    if not observers or not observers[0].reason:
        return None
    return {"observer": name(observers[0].observer), "reason": name(observers[0].reason, 300).rstrip(". ")}


def key_figures(page: ConsensusPage) -> list[tuple[str, str]]:
    """The handful of figures under the verdict."""
    result, (_, many) = page.result, nouns(page)
    n = get(result, "items", default=0)
    rows, rejected = get(result, "input", "rows"), _rejected(page)
    first = "clear" if get(result, "mode") == "labels" else "flag"
    seconds = get(result, "seconds", default={})

    def share(kind: str) -> str:
        some = counted(page, kind)
        return percent(some / n) if some is not None and n else MISSING

    accuracy = get(result, "accuracy")
    return [
        (_SAID[first], share(first)),
        ("undetermined", share("undetermined")),
        *([("accuracy", percent(accuracy))] if accuracy is not None else []),
        (many, count(n)),
        ("observers", count(get(result, "observers"))),
        ("rows accepted", count(max(0, rows - sum(rejected.values())) if rows is not None else None)),
        ("took", duration(total(seconds)) if seconds else MISSING),
    ]


def judged(page: ConsensusPage) -> Section:
    """The flagged, the strongest first, then the others, the most uncertain first."""
    groups = []
    shown = {kind: _strongest(page, kind, most) for kind, most in MOST_ITEMS.items()}
    everything = [item for items in shown.values() for item in items]
    for kind, items in shown.items():
        elsewhere = (counted(page, kind) or 0) - len(items)
        if items:
            reach = max([1.0, *(abs(x) for item in items for x in _numbers(item) if math.isfinite(x))])
            groups.append(
                {
                    "kind": kind,
                    "title": {
                        "flag": "Flagged, the strongest first",
                        "undetermined": "Undetermined, the most uncertain first",
                        "clear": "Clear, the least certain first",
                    }[kind],
                    "rows": [_row(item, reach) for item in items[:SEEN]],
                    "more": [_row(item, reach) for item in items[SEEN:]],
                    "reach": number(reach, 2),
                    "elsewhere": count(elsewhere) if elsewhere > 0 else None,
                }
            )
    hypotheses = get(page.result, "hypotheses", default=[])
    alpha = get(page.result, "decision", "alpha")
    return {
        "groups": groups,
        "alternative": name(hypotheses[1], 40) if len(hypotheses) == 2 else None,
        "odds": any(item.log_odds is not None for item in everything),
        "bounds": any(item.lower is not None or item.upper is not None for item in everything),
        "estimates": any(item.estimates for item in everything),
        "top": any(item.top for item in everything),
        "log_e": any(item.log_e is not None for item in everything),
        "needed": number(-math.log(alpha), 3) if alpha is not None and 0 < alpha < 1 else None,
        "observers": any(item.observers is not None for item in everything),
    }


def _numbers(item: JudgedItem) -> list[float]:
    """All log-odds of an item that its drawing shows."""
    return [x for x in (item.lower, item.upper, item.log_odds, *item.estimates.values()) if x is not None]


def _strongest(page: ConsensusPage, kind: str, most: int) -> list[JudgedItem]:
    """The most telling items of one verdict; what is neither flagged nor clear is undetermined."""

    def order(item: JudgedItem) -> tuple[float, float, str, str]:
        if kind == "flag":
            weights = [
                x for x in (item.log_e, item.lower, item.log_odds) if x is not None and not math.isnan(x)
            ]
            weights = weights or [_certainty(item)]
            return (-weights[0], -weights[-1], item.item, item.verdict)
        return (_certainty(item), float(item.observers or 0), item.item, item.verdict)

    chosen = (i for i in page.items if (i.verdict if i.verdict in _SAID else "undetermined") == kind)
    return heapq.nsmallest(most, chosen, key=order)


def _certainty(item: JudgedItem) -> float:
    """How far the evidence is from leaving both answers open; below zero where bounds hold both."""
    if item.lower is not None and item.upper is not None:
        least = max(item.lower, -item.upper)
        return -math.inf if math.isnan(least) else least
    if item.log_odds is not None:
        return -math.inf if math.isnan(item.log_odds) else abs(item.log_odds)
    top = _ordered(item.top)
    return top[0].log_probability if top else -math.inf


def _ordered(top: Sequence[LabelChance]) -> list[LabelChance]:
    known = [c for c in (LabelChance(*c) for c in top) if not math.isnan(c.log_probability)]
    return sorted(known, key=lambda c: (-c.log_probability, c.log_complement or 0.0, c.label))


def _top(item: JudgedItem) -> list[tuple[str, str]]:
    return [
        (name(c.label, 40), chance(c.log_probability, c.log_complement))
        for c in _ordered(item.top)[:MOST_LABELS]
    ]


def _row(item: JudgedItem, reach: float) -> Section:
    odds = item.log_odds
    drawn = ""
    if odds is not None or item.lower is not None:
        drawn = figures.interval_bar(item.lower, item.upper, odds, list(item.estimates.values()), reach)
    elif item.top:
        drawn = figures.chance_bar([math.exp(c.log_probability) for c in _ordered(item.top)[:MOST_LABELS]])
    bounded = item.lower is not None or item.upper is not None
    repeated = bool(item.top) and item.label == _ordered(item.top)[0].label
    return {
        "item": name(item.item),
        "label": name(item.label, 60) if item.label and not repeated else None,
        "log_odds": signed(odds),
        "bounds": (signed(item.lower), signed(item.upper)) if bounded else None,
        "log_e": number(item.log_e, 3),
        "estimates": [(name(key, 24), signed(value)) for key, value in list(item.estimates.items())[:4]],
        "probability": _probability(odds),
        "top": _top(item),
        "drawn": drawn,
        "observers": count(item.observers),
        "verdict": _SAID.get(item.verdict, name(item.verdict, 20)),
    }


def _probability(log_odds: float | None) -> str:
    """The probability of the second hypothesis, which is never nearer to 1 than the log-odds say."""
    if log_odds is None or math.isnan(log_odds):
        return MISSING
    return chance(-_log1p_exp(-log_odds), -_log1p_exp(log_odds))


def _log1p_exp(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def distribution(page: ConsensusPage) -> Section | None:
    """How log-odds, or the probabilities of the chosen labels, are distributed."""
    drawn = page.distribution
    if drawn is None or not sum(drawn.counts):
        return None
    odds = any(item.log_odds is not None for item in page.items) or get(page.result, "mode") != "labels"
    label = "log-odds" if odds else "probability of the most probable label"
    edges, counts, flagged = figures.checked(drawn)
    return {
        "odds": odds,
        "of": plural(int(sum(counts)), *nouns(page)),
        "flagged": bool(sum(flagged)),
        "svg": figures.histogram_chart(
            drawn, "distribution", f"Distribution of {label}", label="log-odds" if odds else label
        ),
        "rows": [
            (number(a), number(b), count(n), count(flagged[i]) if flagged else None)
            for i, (a, b, n) in enumerate(zip(edges, edges[1:], counts, strict=False))
            if n
        ][:200],
    }


def calibration(page: ConsensusPage) -> Section | None:
    """How the probabilities fared against the truth; None where no truth was given."""
    result = page.result
    ends = list(get(result, "calibration_interval", default=[]))
    truth = get(result, "truth", default={})
    decided, wrong = truth.get("decided"), truth.get("decided_wrong")
    accuracy, loss, error = (get(result, key) for key in ("accuracy", "log_loss", "calibration_error"))
    measured = [
        ("Accuracy", percent(accuracy)) if _finite(accuracy) else None,
        ("Log-loss", number(loss)) if _finite(loss) else None,
        ("Calibration error (ECE)", number(error, 3)) if _finite(error) else None,
    ]
    if len(ends) == 2 and _finite(*ends):
        measured.append(("Its bootstrap interval", f"{number(ends[0], 3)} to {number(ends[1], 3)}"))
    if decided is not None and wrong is not None:
        measured.append(("Decided", f"{plural(decided, *nouns(page))}, {count(wrong)} of them wrongly"))
    bins = [
        b
        for b in get(result, "calibration_bins", default=[])
        if b.get("count") and _finite(b.get("predicted"), b.get("observed"), b.get("from"), b.get("to"))
    ][:100]
    kept = [row for row in measured if row is not None]
    if not kept and not bins:
        return None
    return {
        "measured": kept,
        "svg": figures.reliability_diagram(bins, "calibration") if bins else None,
        "rows": [
            {
                "from": number(b["from"], 3),
                "to": number(b["to"], 3),
                "count": count(b["count"]),
                "predicted": f"{b['predicted']:.3f}",
                "observed": f"{b['observed']:.3f}",
                "wilson": " to ".join(f"{x:.3f}" for x in figures.wilson(b["observed"], b["count"])),
            }
            for b in bins
        ],
        "of": plural(int(sum(b["count"] for b in bins)), *nouns(page)),
    }


def reading(page: ConsensusPage) -> Section:
    """What was read and rejected, the hypotheses with their priors, and how evidence was weakened."""
    result = page.result
    hypotheses = [str(label) for label in get(result, "hypotheses", default=[])]
    shares = prior_of(page)
    pairs = [
        (name(label, 60), _share(shares[i]) if len(shares) == len(hypotheses) else MISSING)
        for i, label in enumerate(hypotheses)
    ]
    model = {key: get(result, key, default=get(result, "input", key)) for key in _MODEL}
    told = {
        key: value
        for key, value in get(result, "input", default={}).items()
        if value is not None and key not in _MODEL
    }
    return rows_read({"input": told}, _rejected(page)) | {
        "caption": "Also recorded",
        "hypotheses": pairs[:MOST_HYPOTHESES],
        "more_hypotheses": max(0, len(pairs) - MOST_HYPOTHESES),
        "model": facts({key: value for key, value in model.items() if value is not None}),
    }


def _share(share: float) -> str:
    """A prior probability, which is hardly ever nothing or all."""
    return chance(math.log(share), math.log1p(-share) if share < 1 else -math.inf) if share > 0 else "0"


def _rejected(page: ConsensusPage) -> dict[str, int]:
    return {str(reason): int(n) for reason, n in get(page.result, "rejected", default={}).items() if n}


def _finite(*xs: float | None) -> bool:
    return all(x is not None and math.isfinite(x) for x in xs)
