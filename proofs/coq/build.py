"""Check every Coq file, what its theorems say and rest on, and that wrong versions fail.

Everything happens in a temporary folder, from the sources and from the constants of the code.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
import textwrap
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path

from proofs.coq import constants
from proofs.outcome import Outcome, timed

HERE = Path(__file__).resolve().parent
STATEMENTS = HERE / "statements.txt"
JOBS = 2
LIMIT_SECONDS = 240
"""For one file; the slowest takes a tenth of it."""

_ERROR = re.compile(
    r"line (\d+), characters \d+-\d+:\s*(?:Warning.*?)?\n?Error:\s*(.*?)(?:\n\n|\Z)", re.DOTALL
)
_SECTION_OR_PROOF = re.compile(
    r"^ *(?:(?P<section>Section|End) \w+\.|(?P<proof>Proof\b[^.]*\.)(?:(?!Qed\.|Defined\.).)*Qed\.)",
    re.DOTALL | re.MULTILINE,
)


def sources(folder: Path = HERE) -> list[Path]:
    """The files of proofs, without what is generated."""
    return sorted(path for path in folder.glob("*.v") if path.stem not in ("Constants", "Statements"))


def _compile(folder: Path, file: Path, *switches: str) -> subprocess.CompletedProcess[str]:
    command = ["coqc", "-q", "-w", "-all", *switches, "-Q", str(folder), "Convergence", str(file)]
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer in {LIMIT_SECONDS} seconds")


def needs(paths: Sequence[Path]) -> dict[str, set[str]]:
    """For each file, by name, the files of this project that it imports."""
    names = {path.stem for path in paths}
    pattern = re.compile(r"From Convergence Require (?:Import |Export )?([^.]*)\.")
    return {
        path.stem: {word for line in pattern.findall(path.read_text()) for word in line.split()} & names
        for path in paths
    }


def reach(needs: dict[str, set[str]], name: str) -> set[str]:
    """A file and all that it needs."""
    return {name}.union(*(reach(needs, before) for before in needs[name]))


def _in_order(needs: dict[str, set[str]], work: Callable[[str], Outcome]) -> list[Outcome]:
    """Work on each name as soon as what it needs is done."""
    order, outcomes = TopologicalSorter(needs), list[Outcome]()
    order.prepare()
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(JOBS) as pool:
        while order.is_active():
            running |= {pool.submit(work, name): name for name in order.get_ready()}
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                order.done(running.pop(future))
                outcomes.append(future.result())
    return outcomes


def check_alone(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Check the proofs of one file of a folder; of what it needs only the definitions are read."""
    wanted = needs(sorted(folder.glob("*.v")))
    for before in TopologicalSorter({n: wanted[n] for n in reach(wanted, name)}).static_order():
        done = _compile(folder, folder / f"{before}.v", "-vok" if before == name else "-vos")
        if done.returncode:
            break
    return done


def copy(folder: Path, constants_text: str) -> list[Path]:
    """Put the files of proofs and the constants into an empty folder."""
    paths = sources()
    for path in paths:
        shutil.copy(path, folder)
    (folder / "Constants.v").write_text(constants_text)
    return paths


def build(folder: Path, constants_text: str) -> list[Outcome]:
    """Compile everything in `folder`, which is empty."""
    paths = copy(folder, constants_text)

    def check(name: str) -> Outcome:
        with timed("coq", f"{name}.v") as outcome:
            done = _compile(folder, folder / f"{name}.v")
            if done.returncode:
                outcome.fail(_first_error(done.stdout + done.stderr))
        return outcome

    return _in_order(needs([folder / "Constants.v", *paths]), check)


def _first_error(output: str) -> str:
    found = _ERROR.search(output)
    return f"line {found[1]}, {' '.join(found[2].split())[:160]}" if found else output.strip()[-200:]


def theorems(folder: Path) -> list[tuple[str, str]]:
    """File and name of every theorem; lemmas are steps on the way."""
    pattern = re.compile(r"^\s*(?:Theorem|Corollary) (\w+)", re.MULTILINE)
    return [(path.stem, name) for path in sources(folder) for name in pattern.findall(path.read_text())]


def statements(folder: Path, constants_text: str) -> str:
    """What is assumed and what is proved, as text: the constants, all axioms, then every theorem."""
    listed = theorems(folder)
    files = sorted({file for file, _ in listed})
    lines = ["From Coq Require Import ZArith QArith Reals List Bool.", "Import ListNotations."]
    lines += ["Open Scope R_scope.", "Open Scope Q_scope.", "Open Scope Z_scope."]
    lines += [f"From Convergence Require {' '.join(files)}."]
    lines += ["Set Printing Width 100000.", "Set Printing Depth 100000."]
    for i, (file, name) in enumerate(listed):
        lines.append(f'Goal True. idtac "==== {file}.v::{name}". Abort.')
        lines.append(f"Check {file}.{name}. Definition use{i} := let _ := @{file}.{name} in I.")
    # One search for all of them: each alone would go through the libraries again.
    uses = ", ".join(f"use{i}" for i in range(len(listed)))
    lines.append(
        f'Definition uses := ({uses}). Goal True. idtac "==== axioms". Abort. Print Assumptions uses.'
    )
    script = folder / "Statements.v"
    script.write_text("\n".join(lines) + "\n")
    done = _compile(folder, script)
    if done.returncode:
        raise ValueError(_first_error(done.stdout + done.stderr))
    *blocks, (_, axioms) = (block.split("\n", 1) for block in done.stdout.split("==== ")[1:])
    names = sorted(re.findall(r"^([\w.]+) :", axioms, re.MULTILINE))
    parts = ["Constants of the code\n\n" + _constants(constants_text)]
    parts.append("Axioms, all of the standard library\n\n" + "\n".join(f"  {name}" for name in names))
    for title, body in blocks:
        statement = " ".join(body.split(" : ", 1)[-1].split())
        parts.append(
            title + "\n" + textwrap.fill(statement, 110, initial_indent="  ", subsequent_indent="  ")
        )
    return "\n\n".join(parts) + "\n"


def _constants(text: str) -> str:
    """One line a constant; a table is its digest."""
    lines = []
    for name, value in re.findall(r"Definition (\w+) : [^=]*:= ([^.]*)\.", text):
        if value.startswith("["):
            value = f"{value.count(';') + 1} integers, SHA-256 {hashlib.sha256(value.encode()).hexdigest()}"
        lines.append(f"  {name} = {value}")
    return "\n".join(lines)


def _admitted_before(source: str, place: int) -> str:
    """The source, with proofs that end before a place left out: they hold whatever comes after them.

    In a section a lemma takes along the hypotheses that its proof uses: there a proof is left out if it, or
    the file for all, names them.
    """
    sections, named = 0, "Set Default Proof Using" in source

    def shorter(found: re.Match[str]) -> str:
        nonlocal sections
        sections += {"Section": 1, "End": -1}.get(found["section"], 0)
        left_out = found["proof"] and (named or not sections or "using" in found["proof"])
        return f"{found['proof']} Admitted." + "\n" * found[0].count("\n") if left_out else found[0]

    return _SECTION_OR_PROOF.sub(shorter, source[:place]) + source[place:]


def _inside_a_proof(source: str, line: int) -> bool:
    """Whether the line of an error belongs to a proof: a definition that no longer parses proves nothing."""
    lines = source.splitlines(keepends=True)
    before, upto = "".join(lines[: line - 1]), "".join(lines[:line])
    ended = max(before.rfind(word) for word in ("Qed.", "Defined.", "Admitted."))
    return upto.rfind("Proof") > ended


def _refute(mutant: dict[str, str], folder: Path) -> Outcome:
    """Compile a wrong version of a file; it must fail, within a proof."""
    if mutant["file"] == constants.SOURCE.name:
        return _refute_constants(mutant)
    with timed("coq", f"mutant of {mutant['file']}: {mutant['why']}") as outcome:
        source = (folder / mutant["file"]).read_text()
        if source.count(mutant["old"]) != 1:
            return outcome.fail(f"{mutant['old']!r} occurs {source.count(mutant['old'])} times, not once")
        wrong = _admitted_before(source, source.index(mutant["old"])).replace(mutant["old"], mutant["new"])
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / mutant["file"]
            file.write_text(wrong)
            _must_be_refused(outcome, wrong, _compile(folder, file))
    return outcome


def _must_be_refused(outcome: Outcome, source: str, done: subprocess.CompletedProcess[str]) -> None:
    """Whether Coq found something wrong inside a proof."""
    found = _ERROR.search(done.stdout + done.stderr)
    if done.returncode == 0:
        outcome.fail("the wrong version passes")
    elif found is None or not _inside_a_proof(source, int(found[1])):
        outcome.fail(f"it fails outside a proof: {_first_error(done.stdout + done.stderr)}")
    else:
        outcome.detail = f"refused at {_first_error(done.stdout + done.stderr)[:90]}"


def _refute_constants(mutant: dict[str, str]) -> Outcome:
    """Check one file with a constant of the code altered; a proof of it must fail."""
    with timed("coq", f"mutant of {mutant['file']}: {mutant['why']}") as outcome:
        try:
            text = constants.text([(mutant["old"], mutant["new"])])
        except ValueError as error:
            return outcome.fail(str(error))
        with tempfile.TemporaryDirectory() as place:
            copy(Path(place), text)
            done = check_alone(Path(place), mutant["by"].removesuffix(".v"))
        if done.returncode and f'{mutant["by"]}"' not in done.stdout + done.stderr:
            return outcome.fail(f"{mutant['by']} needs what fails: {_first_error(done.stdout + done.stderr)}")
        _must_be_refused(outcome, (HERE / mutant["by"]).read_text(), done)
    return outcome


def run(write: bool = False) -> list[Outcome]:
    """Everything; with `write`, the list of statements is written instead of compared."""
    if shutil.which("coqc") is None:
        return [Outcome("coq", "all proofs", "SKIPPED", "coqc is not installed")]
    text = constants.text()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        outcomes = build(folder, text)
        if any(o.state == "FAILED" for o in outcomes):
            return outcomes
        wrong = tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]
        # Those of constants first: each checks several files.
        wrong.sort(key=lambda mutant: mutant["file"] != constants.SOURCE.name)
        with ThreadPoolExecutor(JOBS) as pool:
            listed = pool.submit(_list_statements, folder, text, write)
            refuted = pool.map(lambda mutant: _refute(mutant, folder), wrong)
            outcomes += [listed.result(), *refuted]
        without = {path.name for path in sources(folder)} - {m.get("by", m["file"]) for m in wrong}
        outcomes += [
            Outcome("coq", f"mutant of {name}", "FAILED", "there is none") for name in sorted(without)
        ]
    return outcomes


def _list_statements(folder: Path, constants_text: str, write: bool) -> Outcome:
    with timed("coq", "statements and axioms") as outcome:
        made = statements(folder, constants_text)
        if write:
            STATEMENTS.write_text(made)
        committed = STATEMENTS.read_text() if STATEMENTS.exists() else ""
        outcome.detail = f"{len(theorems(folder))} theorems as listed"
        if made != committed:
            outcome.fail(f"not those of {STATEMENTS.name}: {_first_difference(committed, made)}")
    return outcome


def _first_difference(before: str, after: str) -> str:
    pairs = zip([*before.splitlines(), ""], [*after.splitlines(), ""], strict=False)
    return next((f"{b.strip()!r} is now {a.strip()!r}" for b, a in pairs if a != b), "one is longer")
