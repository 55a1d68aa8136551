"""What share of small faults, planted in the library one at a time, makes a test fail."""

import json
import os
import tomllib
from collections import Counter
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from killing import Killing
from mutants import Stratum, sample
from scipy.stats import beta

from convergence_jax.data.digest import digest

MUTANTS = "MUTANTS"
"""In the environment: how many mutants, where that is not what the config says."""

KEPT_AT = "MUTATION_KEPT"
"""In the environment: the file of mutants that were tried, where it is not one in `KEPT`."""

KEPT = Path("results") / "mutation_score"

ROOT = Path(__file__).resolve().parents[2]

EXPLAINED = Path(__file__).with_name("survivors.toml")

EQUIVALENT = {"same", "speed"}
"""Kinds of survivors that no test can notice: they change no answer."""

CONFIDENCE = 0.95


def main(config: dict[str, Any]) -> dict[str, Any]:
    """The share killed with its lower limit, by room and over all, and every survivor."""
    count = int(os.environ.get(MUTANTS, config["mutants"]["count"]))
    package = ROOT / "convergence_jax"
    strata = sample(package, config["mutants"], count, config["experiment"]["seed"])
    turns = zip_longest(*(stratum.drawn for stratum in strata.values()))
    mutants = [mutant for mutant in chain.from_iterable(turns) if mutant]
    results, about = Killing(ROOT, config["tests"], _kept(config)).run(mutants)
    by_mutant = dict(zip(mutants, results, strict=True))
    rooms = {room: _room(stratum, by_mutant) for room, stratum in strata.items()}
    places = sum(room["places"] for room in rooms.values())
    known = tomllib.loads(EXPLAINED.read_text())["survivor"]
    results = [one | _explained(one, known) for one in results]
    survivors = [one for one in results if one["outcome"] == "survived"]
    return {
        **_score(results),
        "share_weighted": sum(room["share"] * room["places"] / places for room in rooms.values()),
        "not_equivalent": _score([one for one in results if one["kind"] not in EQUIVALENT]),
        "kinds": dict(Counter(one["kind"] for one in survivors)),
        "unexplained": sum(one["kind"] == "" for one in survivors),
        "rooms": rooms,
        "seconds_a_mutant": sum(one["seconds"] for one in results) / len(results),
        **about,
        "survivors": survivors,
        "timeouts": [one for one in results if one["outcome"] == "timeout"],
    }


def _explained(result: dict[str, Any], known: list[dict[str, str]]) -> dict[str, str]:
    """What kind of change a survivor is and why no test notices, as a person found; empty if nobody did."""
    now = " ".join(line[1:].strip() for line in result["diff"] if line.startswith("+"))
    for one in known:
        if result["outcome"] == "survived" and (one["path"], one["now"]) == (result["path"], now):
            return {"kind": one["kind"], "why": one["why"]}
    return {"kind": "", "why": ""}


def _kept(config: dict[str, Any]) -> Path:
    """The file of what was tried with this library and this way of running its tests."""
    sources = sorted((ROOT / "convergence_jax").rglob("*.py"))
    texts = [f"{path.relative_to(ROOT)}\n{path.read_text(encoding='utf-8')}" for path in sources]
    kept = Path(os.environ.get(KEPT_AT, KEPT / f"{digest([*texts, json.dumps(config['tests'])])[:16]}.jsonl"))
    kept.parent.mkdir(parents=True, exist_ok=True)
    return kept


def _room(stratum: Stratum, results: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    return {
        "mutants": stratum.mutants,
        "places": stratum.places,
        **_score([results[mutant] for mutant in stratum.drawn]),
    }


def _score(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Killed of tried. A test that never ends counts as one that fails.

    The lower limit is Clopper and Pearson's for one binomial. Strata in proportion make the number killed
    vary less than that (Hoeffding, 1956), so the limit holds for them.
    """
    tried, timeouts = len(results), sum(one["outcome"] == "timeout" for one in results)
    killed = timeouts + sum(one["outcome"] == "killed" for one in results)
    return {
        "tried": tried,
        "killed": killed,
        "timed_out": timeouts,
        "survived": tried - killed,
        "share": killed / tried,
        "share_at_least": float(beta.ppf(1 - CONFIDENCE, killed, tried - killed + 1)) if killed else 0.0,
    }
