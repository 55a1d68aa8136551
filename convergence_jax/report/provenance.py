"""Where the figures come from: what was read and rejected, the method, and how to get the same again."""

import math
import shlex
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any, Protocol

from convergence_jax.report.wording import (
    MISSING,
    count,
    duration,
    name,
    number,
    percent,
    plural,
    sentence,
    size,
)

MOST_REASONS = 60

_FAULTS = {
    "missing": "{} is missing",
    "not_finite": "{} is not a finite number",
    "out_of_range": "{} is outside its declared range",
}
_OTHERWISE = {
    "duplicate": "came before, and counts once",
    "equivocation": "contradicts another row of the same observer on the same matter",
    "out_of_range": "is outside the declared range",
}
_TOLD = {"alpha", "method", "assumes", "flagged", "least_rejections", "transforms"}
_READ = {"rows", "agents", "agents_in_several_groups", "rejected"}

Section = dict[str, Any]


class Told(Protocol):
    """What every page has: the result it shows, and the command that makes it again."""

    @property
    def result(self) -> Mapping[str, Any]:
        """What ``result.json`` holds."""

    @property
    def command(self) -> str:
        """The command line that does it again."""


def get(result: Mapping[str, Any], *keys: str, default: Any = None) -> Any:
    """Look up a nested key of the result; `default` where it is missing or None."""
    value: Any = result
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return default if value is None else value


def prior_of(page: Told) -> list[float]:
    """Prior probabilities from weights, numbers or texts such as ``1/3``; empty if one of them is neither.

    Of labels, whose prior is learned, the estimated shares of the classes.
    """
    told = get(page.result, "prior", default=get(page.result, "class_shares", default=[]))
    try:
        weights = [Fraction(str(weight)) for weight in told]
    except (ValueError, ZeroDivisionError):
        return []
    whole = sum(weights)
    return [float(weight / whole) for weight in weights] if whole > 0 and min(weights) >= 0 else []


def total(seconds: Mapping[str, float]) -> float:
    """Seconds of the whole run."""
    whole = seconds.get("total")
    return math.fsum(value for value in seconds.values() if value is not None) if whole is None else whole


def reading(page: Told) -> Section:
    """What was read, what was rejected and why, and what the lifts rounded."""
    lifts = []
    for feature, lift in get(page.result, "lift", default={}).items():
        scale, reach = lift.get("scale_bits"), lift.get("range_bits")
        zero, nonzero = lift.get("rounded_to_zero"), lift.get("nonzero")
        lifts.append(
            {
                "name": name(feature, 40),
                "bits": f"{scale}:{reach}",
                "step": _power_of_two(-scale) if scale is not None else MISSING,
                "reach": _power_of_two(reach) if reach is not None else MISSING,
                "zero": count(zero),
                "nonzero": count(nonzero),
                "share": percent(zero / nonzero) if zero and nonzero else None,
            }
        )
    several = get(page.result, "input", "agents_in_several_groups", default=0)
    return rows_read(page.result, get(page.result, "input", "rejected", default={})) | {
        "several": plural(several, "agent was", "agents were") if several else None,
        "lifts": lifts,
    }


def rows_read(result: Mapping[str, Any], rejected: Mapping[str, int]) -> Section:
    """How many rows were read, and how many of them rejected for which reason, the most frequent first."""
    rows = get(result, "input", "rows", default=0)
    total = sum(rejected.values())
    ordered = sorted(
        ((n, reason) for reason, n in rejected.items() if n), key=lambda pair: (-pair[0], pair[1])
    )
    return {
        "rows": plural(rows, "row was", "rows were"),
        "accepted": count(rows - total),
        "rejected": count(total),
        "share": percent(total / rows) if rows else MISSING,
        "reasons": [
            (_reason(reason), count(n), percent(n / rows) if rows else MISSING) for n, reason in ordered
        ][:MOST_REASONS],
        "more_reasons": max(0, len(ordered) - MOST_REASONS),
        "several": None,
        "caption": "Read from",
        "more": facts(
            {key: value for key, value in get(result, "input", default={}).items() if key not in _READ}
        ),
    }


def _reason(reason: str) -> str:
    kind, _, column = reason.partition(":")
    if kind in _FAULTS and column:
        return _FAULTS[kind].format(name(column))
    return _OTHERWISE.get(reason, name(reason))


def _power_of_two(power: int) -> str:
    return number(math.ldexp(1.0, power), 3) if -1070 < power < 1020 else f"2^{power}"


def method(page: Told, told: Collection[str] = _TOLD) -> Section:
    """The decision in words: method, assumptions, and whatever else it recorded beside the keys `told`."""
    decision = get(page.result, "decision", default={})
    transforms = decision.get("transforms") or {}
    return {
        "method": sentence(name(decision.get("method") or "not stated", 2000)),
        "alpha": number(decision.get("alpha")),
        "assumes": [sentence(name(text, 400)) for text in list(decision.get("assumes") or ())[:MOST_REASONS]],
        "transforms": [(name(key, 40), name(how, 200)) for key, how in transforms.items()],
        "untouched": bool(transforms) and set(transforms.values()) == {"none"},
        "more": facts({key: value for key, value in decision.items() if key not in told}),
    }


def facts(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of nested mappings, flat, in the order given."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        label = f"{prefix}{name(key, 60).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += facts(value, f"{label}: ")
        elif isinstance(value, (list, tuple)):
            shown = ", ".join(_value(key, item) for item in value[:8])
            rows.append(
                (label, shown + (f" and {count(len(value) - 8)} more" if len(value) > 8 else "") or "none")
            )
        else:
            rows.append((label, _value(key, value)))
    return rows


def _value(key: str, value: Any) -> str:
    if value is None:
        return "not reported"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        if "bytes" in str(key):
            return size(value)
        return str(value) if key == "processes" else count(value) if isinstance(value, int) else number(value)
    return name(value, 300)


def again(page: Told) -> Section:
    """How to do it again and get the same: command, digest, what ran where, times and versions."""
    seconds = get(page.result, "seconds", default={})
    stages = [(stage, value) for stage, value in seconds.items() if stage != "total" and value is not None]
    longest = max((value for _, value in stages), default=0.0)
    return {
        "digest": name(get(page.result, "digest"), 128) if get(page.result, "digest") else None,
        "command": _folded(page.command),
        "execution": facts(get(page.result, "execution", default={})),
        "seconds": [
            (
                name(stage, 60).replace("_", " "),
                duration(value),
                f"{100 * value / longest:.1f}" if longest else "0",
            )
            for stage, value in stages
        ],
        "total": duration(total(seconds)) if seconds else None,
        "versions": [
            (name(key, 60), name(value, 120))
            for key, value in get(page.result, "versions", default={}).items()
        ],
        "schema": name(get(page.result, "schema", default=MISSING)),
    }


def _folded(command: str) -> str:
    """One option a line, continued with backslashes, where the command is long; shells read it the same."""
    shown = name(command, 8000) if command else ""
    if len(command) <= 88 or shown != command:
        return shown
    try:
        words = shlex.split(command)
    except ValueError:
        return shown
    lines: list[str] = []
    for word in words:
        quoted = shlex.quote(word)
        if word.startswith("--") or not lines:
            lines.append(quoted)
        else:
            lines[-1] += " " + quoted
    return " \\\n  ".join(lines)
