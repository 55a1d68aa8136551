"""Cases with the oracle's answers, kept so that the code can be compared without a prover."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from proofs.oracle import draws

FOLDER = Path(__file__).resolve().parent / "vectors"
SEED = 2_000_000
NUMBERS = {"float64": 60, "float32": 80, "float64_product": 30, "float32_product": 50, "moments": 60}
NUMBERS |= {"lift": 100, "liars": 60, "exp": 80, "ln": 80}


def read(kind: str) -> tuple[list[str], list[str]]:
    """Cases of a kind, and their answers."""
    rows = [json.loads(line) for line in (FOLDER / f"{kind}.jsonl").read_text().splitlines()]
    return [row["case"] for row in rows], [row["answer"] for row in rows]


def write(ask: Callable[[Sequence[str]], list[str]]) -> None:
    """All of them anew."""
    FOLDER.mkdir(exist_ok=True)
    for kind, number in NUMBERS.items():
        cases = draws.draw(kind, number, SEED)
        rows = [{"case": c, "answer": a} for c, a in zip(cases, ask(cases), strict=True)]
        (FOLDER / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
