"""Claims, mutants of the code that refute them, and how z3 is asked."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import z3

from proofs.smt.symbolic import Recording, recording

TIMEOUT_SECONDS = 60
SHOWN = 8


@dataclass
class Statement:
    """What is to be shown, given what; `show` are the unknowns that a counterexample names.

    A goal in several parts is proved part by part.
    """

    goals: list[z3.BoolRef]
    given: list[z3.BoolRef] = field(default_factory=list)
    show: list[Any] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A sentence and the function that runs the code of `module` on symbols and states what must hold."""

    sentence: str
    module: ModuleType | None
    state: Callable[..., Statement]
    options: dict[str, bool]


@dataclass(frozen=True)
class Mutant:
    """One textual change of the module's source, with which z3 must find the claim false."""

    claim: Claim
    old: str
    new: str
    why: str

    def module(self) -> ModuleType:
        original = self.claim.module
        source = Path(original.__file__).read_text(encoding="utf-8")
        if source.count(self.old) != 1:
            raise ValueError(
                f"{original.__name__} has {self.old!r} {source.count(self.old)} times, not once."
            )
        module = ModuleType(f"{original.__name__}_mutant")
        module.__file__ = original.__file__
        sys.modules[module.__name__] = module  # dataclasses look their module up
        try:
            exec(
                compile(source.replace(self.old, self.new), f"<mutant: {self.why}>", "exec"), module.__dict__
            )
        finally:
            del sys.modules[module.__name__]
        return module


@dataclass(frozen=True)
class Result:
    """How a claim or a mutant came out; `right` if it is as it must be."""

    sentence: str
    verdict: str
    right: bool
    seconds: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:8s} {self.seconds:6.1f} s  {self.sentence}" + (
            f"\n{'':19s}{self.detail}" if self.detail else ""
        )


def tasks(name: str, deep: bool) -> list[tuple[str, str, int]]:
    """What there is to do for a file, for :func:`attempt`."""
    module = importlib.import_module(f"proofs.smt.{name}")
    kinds = ["CLAIMS", *(["DEEP"] if deep and hasattr(module, "DEEP") else []), "MUTANTS"]
    return [(name, kind, n) for kind in kinds for n in range(len(getattr(module, kind)))]


def attempt(task: tuple[str, str, int]) -> Result:
    """Prove one claim, or refute one mutant."""
    name, kind, n = task
    item = getattr(importlib.import_module(f"proofs.smt.{name}"), kind)[n]
    return refute(item) if kind == "MUTANTS" else prove(item)


def claim(sentence: str, module: ModuleType | None = None, **options: bool) -> Callable[..., Claim]:
    """Make a claim of a function, which takes the module whose code it runs, if there is one."""

    def decorate(state: Callable[..., Statement]) -> Claim:
        return Claim(sentence, module, state, options)

    return decorate


def prove(one: Claim) -> Result:
    """Ask for a proof of the claim and of every obligation that the run of its code recorded."""
    start = time.monotonic()
    statement, recorded = _run(one, one.module)
    given = [*statement.given, *recorded.facts]
    verdict, detail = "PROVED", ""
    for part, goal in [("", g) for g in statement.goals] + [("obligation: ", z3.And(recorded.obligations))]:
        answer, model = _check(given, goal, statement.options)
        if answer != z3.unsat:
            verdict = "UNKNOWN" if answer == z3.unknown else "REFUTED"
            detail = part + _shown(model, statement.show)
            break
    return Result(one.sentence, verdict, verdict == "PROVED", time.monotonic() - start, detail)


def refute(mutant: Mutant) -> Result:
    """Ask for a counterexample to the claim under the mutant."""
    start = time.monotonic()
    statement, recorded = _run(mutant.claim, mutant.module())
    products = [word == a * b for word, (a, b) in recorded.products()]  # a real counterexample
    given = [*statement.given, *products]
    verdict, detail = "SURVIVED", ""
    for goal in [*statement.goals, z3.And(recorded.obligations)]:
        answer, model = _check(given, goal, statement.options)
        if answer != z3.unsat:
            verdict = "UNKNOWN" if answer == z3.unknown else "REFUTED"
            detail = _shown(model, statement.show)
            break
    sentence = f"mutant: {mutant.why} [{mutant.claim.sentence}]"
    return Result(sentence, verdict, verdict == "REFUTED", time.monotonic() - start, detail)


def _run(one: Claim, module: ModuleType | None) -> tuple[Statement, Recording]:
    with recording(**one.options) as recorded:
        statement = one.state(module) if module else one.state()
    return statement, recorded


def _check(given: list[Any], goal: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    solver = z3.Solver()  # SolverFor("QF_BV") has answered wrongly where floats occur
    solver.set("timeout", TIMEOUT_SECONDS * 1000)
    solver.set(**options)
    solver.add(*given, z3.Not(goal))
    answer = solver.check()
    return answer, solver.model() if answer == z3.sat else None


def _shown(model: Any, show: list[Any]) -> str:
    if model is None:
        return ""
    values = []
    for expression in show:
        value = model.eval(expression, model_completion=True)
        few = len(show) <= SHOWN
        if few or not (z3.is_false(value) or (z3.is_bv_value(value) and value.as_long() == 0)):
            values.append(f"{expression} = {hex(value.as_long()) if z3.is_bv_value(value) else value}")
    return ", ".join(values[:SHOWN]) + (", ..." if len(values) > SHOWN else "")
