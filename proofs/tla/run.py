"""Check every specification and refute every mutant: ``python -m proofs.tla.run`` in the root of a checkout.

Fresh behaviours are replayed on the real classes as well. Without TLC all is SKIPPED, never passed.
Configs named ``_large`` take minutes and are searched by hand.
"""

import argparse
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from proofs.outcome import Outcome, timed
from proofs.tla import tlc

COMMITTED = tlc.HERE / "traces"
_SEED = 20261127
_MODULES = ("Gossip", "Equivocation")


def configs(*, large: bool = False) -> list[str]:
    """Configs that are searched in full: those for by hand only if asked for."""
    found = sorted(path.name for path in tlc.HERE.glob("*.cfg"))
    return [name for name in found if "Trace" not in name and (large or "_large" not in name)]


def mutants(*, large: bool = False) -> list[dict[str, str]]:
    """As in mutants.toml: those of configs for by hand only if asked for."""
    found: list[dict[str, str]] = tomllib.loads((tlc.HERE / "mutants.toml").read_text())["mutant"]
    return [mutant for mutant in found if large or "_large" not in mutant["config"]]


def _checked(config: str) -> tuple[bool, str]:
    outcome = tlc.check(config, seconds=1800.0)
    if outcome.violated:
        return False, f"{outcome.violated} is violated:\n{outcome.output}"
    if not outcome.finished:
        return False, outcome.output
    return True, f"{outcome.states:,} states"


def _refuted(mutant: dict[str, str]) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for path in [*tlc.HERE.glob("*.tla"), *tlc.HERE.glob("*.cfg")]:
            shutil.copy(path, copy)
        target = copy / mutant["file"]
        text = target.read_text()
        if text.count(mutant["old"]) != 1:
            return False, f"{mutant['old']!r} is not once in {mutant['file']}"
        target.write_text(text.replace(mutant["old"], mutant["new"]))
        outcome = tlc.check(mutant["config"], folder=copy)
    if outcome.violated != mutant["must_violate"]:
        return (
            False,
            f"violated: {outcome.violated or 'nothing'}, not {mutant['must_violate']}\n{outcome.output}",
        )
    return True, f"{outcome.violated} is violated after {max(len(outcome.trace) - 1, 0)} steps"


def _replayed(module: str, seed: int) -> tuple[bool, str]:
    from proofs.tla import replay  # takes JAX along, which a check of specifications does not need

    traces = replay.fresh(module, number=12, seed=seed)
    for number, trace in enumerate(traces):
        with tempfile.TemporaryDirectory() as folder:
            wrong = replay.replay(trace, Path(folder))
        if wrong:
            return False, f"seed {seed}, trace {number}: {wrong}"
    return True, f"{len(traces)} traces, {sum(len(trace['steps']) for trace in traces)} steps, seed {seed}"


def run(
    *,
    large: bool = False,
    seed: int | None = None,
    only: str = "",
    hear: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Do all of it, two at a time.

    Parameters
    ----------
    large : bool
        The configs that take minutes, too.
    seed : int, optional
        Of the fresh behaviours; of the time unless given.
    only : str
        Words that a name must contain.
    hear : callable of Outcome
        Is told each result when it is there.
    """
    seed = int(time.time()) if seed is None else seed
    work: list[tuple[str, Callable[[], tuple[bool, str]]]] = []
    work += [(config, partial(_checked, config)) for config in configs(large=large)]
    work += [(f"mutant: {mutant['why']}", partial(_refuted, mutant)) for mutant in mutants(large=large)]
    work += [(f"traces of {module} replayed", partial(_replayed, module, seed)) for module in _MODULES]
    work = [(name, task) for name, task in work if only in name]
    lacking = tlc.missing()
    if lacking:
        skipped = [Outcome("tla", name, "SKIPPED", lacking) for name, _ in work]
        for result in skipped:
            hear(result)
        return skipped

    def do(item: tuple[str, Callable[[], tuple[bool, str]]]) -> Outcome:
        with timed("tla", item[0]) as outcome:
            passed, outcome.detail = item[1]()
            if not passed:
                outcome.fail(outcome.detail)
        hear(outcome)
        return outcome

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(do, work))


def commit_traces() -> None:
    """Make anew the traces that are committed."""
    from proofs.tla import replay

    for module in _MODULES:
        replay.write(replay.fresh(module, number=24, seed=_SEED), COMMITTED / f"{module}.jsonl")


def main() -> int:
    """For the command line; 0 if all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="the configs that take minutes, too")
    parser.add_argument("--seed", type=int, help="of the behaviours that are replayed")
    parser.add_argument("--only", default="", help="words that a name must contain")
    parser.add_argument("--commit-traces", action="store_true", help="make anew the traces in traces/")
    options = parser.parse_args()
    if options.commit_traces:
        commit_traces()
        return 0
    outcomes = run(large=options.large, seed=options.seed, only=options.only, hear=print)
    return int(any(outcome.state != "ok" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
