"""Write the constants of the code as definitions for Coq.

``python3 proofs/coq/constants.py > proofs/coq/Constants.v``; nothing is installed for it. The theorems are
about these numbers, so a constant that is changed in the code is changed in every proof.
"""

import dataclasses
import runpy
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "convergence_jax" / "exact" / "constants.py"


def definitions(name: str, value: Any) -> list[str]:
    """One constant in Coq: an integer, a list of integers, or a format with one definition a field."""
    if isinstance(value, int):
        return [f"Definition {name} : Z := {value}."]
    if isinstance(value, tuple):
        rows = "; ".join(str(item) for item in value)
        return [f"Definition {name} : list Z := [{rows}]."]
    fields = {k: v for k, v in dataclasses.asdict(value).items() if isinstance(v, int)}
    return [f"Definition {name}_{field} : Z := {number}." for field, number in fields.items()]


def text(source: Path = SOURCE) -> str:
    """The whole file."""
    lines = [
        f"(** Written by {Path(__file__).name} from {source.name} of the code. *)",
        "From Coq Require Import ZArith List.",
        "Import ListNotations.",
        "Open Scope Z_scope.",
    ]
    for name, value in runpy.run_path(str(source)).items():
        if name.lstrip("_").isupper() and not name.startswith("_"):
            lines += definitions(name, value)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(text(), end="")
