"""Prove what the files here claim and refute their mutants: ``python -m proofs.smt.run [--deep] [file ...]``.

In the root of a checkout.
"""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from proofs.outcome import Outcome
from proofs.smt.claims import attempt, tasks

FILES = ("rounding", "words", "carries", "decode")
WORKERS = 2


def run(
    names: Iterable[str] = FILES,
    *,
    deep: bool = False,
    hear: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """All claims and mutants of the files; the slowest only if `deep`.

    Each outcome is told to `hear` when it is there.
    """
    todo = [task for name in names for task in tasks(name, deep)]
    outcomes = []
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for (name, _, _), result in zip(todo, pool.map(attempt, todo), strict=True):
            outcome = Outcome("smt", f"{name}.py: {result.sentence}", seconds=result.seconds)
            outcome.detail = f"{result.verdict} {result.detail}".strip()
            if not result.right:
                outcome.fail(outcome.detail)
            outcomes.append(outcome)
            hear(outcome)
    return outcomes


def main() -> int:
    """Exit status 1 when anything is not as it must be."""
    names = [Path(name).stem for name in sys.argv[1:] if name != "--deep"]
    outcomes = run(names or FILES, deep="--deep" in sys.argv, hear=print)
    return int(any(outcome.state == "FAILED" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
