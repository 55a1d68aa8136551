"""Write the constants of the code as definitions for Coq.

``python3 proofs/coq/constants.py > proofs/coq/Constants.v``; nothing is installed for it. The theorems are
about these numbers, so a constant that is changed in the code is changed in every proof.
"""

import dataclasses
import runpy
import tempfile
from collections.abc import Sequence
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


def text(changes: Sequence[tuple[str, str]] = ()) -> str:
    """The whole file, with changes of the source: what each replaces must occur in it once.

    Raises
    ------
    ValueError
        If it does not.
    """
    source = SOURCE.read_text()
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} occurs {source.count(old)} times in {SOURCE.name}, not once")
        source = source.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / SOURCE.name
        file.write_text(source)
        found = runpy.run_path(str(file))
    lines = [
        f"(** Written by {Path(__file__).name} from {SOURCE.name} of the code. *)",
        "From Coq Require Import ZArith List.",
        "Import ListNotations.",
        "Open Scope Z_scope.",
    ]
    for name, value in found.items():
        if name.lstrip("_").isupper() and not name.startswith("_"):
            lines += definitions(name, value)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(text(), end="")
