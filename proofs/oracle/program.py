"""The definitions of the proofs as a program: extracted by Coq, compiled by OCaml, asked by lines of text.

The files of proofs/coq are read for their definitions only; that their proofs hold is checked
beside this, by proofs/coq/build.py, from the same files and constants.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proofs.coq import build

HERE = Path(__file__).resolve().parent
PROCESSES = 2
LIMIT_SECONDS = 240


def missing() -> str:
    """What is not installed, by name; empty if nothing is missing."""
    lacking = [tool for tool in ("coqc", "ocamlfind") if shutil.which(tool) is None]
    if not lacking and _run(["ocamlfind", "query", "zarith"], HERE).returncode:
        lacking = ["zarith"]
    return " and ".join(lacking)


def make(folder: Path, constants_text: str) -> Path:
    """The program, in an empty folder, with the constants of the code.

    Raises
    ------
    RuntimeError
        If Coq or OCaml refuse.
    """
    build.copy(folder, constants_text)
    for name in ("Extract.v", "oracle.ml"):
        shutil.copy(HERE / name, folder)
    (folder / "Literals.v").write_text(literals(constants_text))
    _must("coqc", build.check_alone(folder, "Extract"))
    command = ["ocamlfind", "ocamlopt", "-w", "-a", "-package", "zarith", "-linkpkg"]
    _must(
        "ocamlopt", _run([*command, "definitions.mli", "definitions.ml", "oracle.ml", "-o", "oracle"], folder)
    )
    return folder / "oracle"


def literals(constants_text: str) -> str:
    """Tables as OCaml's own numerals: extracted bit by bit they are too deep for its compiler."""
    lines = ["From Coq Require Import ZArith List Extraction.", "From Convergence Require Import Constants."]
    for name, body in re.findall(r"Definition (\w+) : list Z := \[([^]]*)\]\.", constants_text):
        items = "; ".join(f'""{item.strip()}""' for item in body.split(";"))
        lines.append(f'Extract Constant {name} => "(List.map Big_int_Z.big_int_of_string [{items}])".')
    return "\n".join(lines) + "\n"


def ask(program: Path, cases: Sequence[str]) -> list[str]:
    """The answers to cases, in their order."""
    parts = [cases[start::PROCESSES] for start in range(PROCESSES)]
    answers = [""] * len(cases)
    with ThreadPoolExecutor(PROCESSES) as pool:
        for start, made in enumerate(pool.map(lambda part: _answers(program, part), parts)):
            answers[start::PROCESSES] = made
    return answers


def _answers(program: Path, cases: Sequence[str]) -> list[str]:
    done = subprocess.run(
        [program], input="".join(f"{c}\n" for c in cases), capture_output=True, text=True, check=False
    )
    answers = done.stdout.splitlines()
    if done.returncode or len(answers) != len(cases):
        raise RuntimeError(f"the oracle gave {len(answers)} of {len(cases)} answers: {done.stderr[-300:]}")
    return answers


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )


def _must(program: str, done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise RuntimeError(f"{program}: {(done.stdout + done.stderr).strip()[-400:]}")
