"""The register of claims, and the pages that are written from it."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "explanation" / "claims.md"
BEGIN = "<!-- claims: written by proofs/check --write from proofs/claims.toml -->\n"
END = "<!-- end of claims -->\n"

HEAD = """<!-- written by proofs/check --write from proofs/claims.toml -->
# Claims

Every guarantee and every figure that the project states, with what it rests on and with three answers to
"how do you know?": the theorem that a machine has checked, the property that the test suite tries to break,
and the experiment that measures it. Where one of the three cannot be, the reason stands in its place.
{counts}

A theorem is about a model of the code. What ties the two together: constants are read from the code; the
definitions of the theorems run as a program whose answers are compared with those of NumPy, JAX and OpenCL;
the branch-free functions themselves are run on symbolic bits. `proofs/check` repeats all of it, and says
for each prover that is not installed that it was skipped.
"""


def claims() -> list[dict[str, Any]]:
    """The register."""
    return tomllib.loads((ROOT / "proofs" / "claims.toml").read_text())["claim"]


def theorems(claim: dict[str, Any]) -> list[str]:
    """Theorems of a claim, ``path::name``; none where the key says why."""
    return claim["theorem"] if isinstance(claim["theorem"], list) else []


def _links(paths: list[str], root: str) -> str:
    return ", ".join(f"[{i}]({root}{path.split('::')[0]})" for i, path in enumerate(paths, 1))


def _reason(text: str) -> str:
    """What follows "none, because"."""
    return re.sub(r"^none, because ", "", text)


def table(register: list[dict[str, Any]]) -> str:
    """The register as a table in Markdown."""
    lines = ["| claim | where it holds | proved | tested | measured |", "|---|---|---|---|---|"]
    for claim in register:
        experiment = claim["experiment"]
        measured = "" if experiment.startswith("none") else f"[{experiment.split('/')[-1]}]({experiment})"
        lines.append(
            f"| {claim['statement']} | {claim['assumes']} | {_links(theorems(claim), '')} "
            f"| {_links(claim['property'], '')} | {measured} |"
        )
    return "\n".join(lines) + "\n"


def _sentence(name: str) -> str:
    """A test's or a theorem's name is a sentence."""
    return name.removeprefix("test_").replace("_", " ")


def _figures(experiment: str) -> str:
    """What an experiment expects, in words."""
    headline = json.loads((ROOT / experiment / "expected.json").read_text())["headline"]
    words = {"equals": "=", "at_most": "≤", "at_least": "≥", "value": "=", "tolerance": "±"}
    return "; ".join(
        f"{name.replace('_', ' ').replace('.', ', ')} "
        + " ".join(f"{words[kind]} {json.dumps(bound)}" for kind, bound in wanted.items())
        for name, wanted in headline.items()
    )


def page(register: list[dict[str, Any]]) -> str:
    """The register at length."""
    proved = sum(bool(theorems(claim)) for claim in register)
    measured = sum(not claim["experiment"].startswith("none") for claim in register)
    counts = (
        f"Of {len(register)} claims {proved} have a theorem, all have a property, {measured} an experiment."
    )
    parts = [HEAD.format(counts=counts)]
    for claim in register:
        lines = [f"## {claim['id']}\n", f"{claim['statement']}\n", f"**Assumes.** {claim['assumes']}\n"]
        if theorems(claim):
            lines.append("**Proved.**\n")
            lines += [f"- {_sentence(n)} (`{f}`)" for f, _, n in (t.partition("::") for t in theorems(claim))]
        else:
            lines.append(f"**Proved.** No: {_reason(claim['theorem'])}.")
        lines.append("\n**Tested.**\n")
        lines += [f"- {_sentence(n)} (`{f}`)" for f, _, n in (t.partition("::") for t in claim["property"])]
        experiment = claim["experiment"]
        if experiment.startswith("none"):
            lines.append(f"\n**Measured.** No: {_reason(experiment)}.\n")
        else:
            lines.append(f"\n**Measured.** `{experiment}`, which fails unless {_figures(experiment)}.\n")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def readme(text: str) -> str:
    """A README with the table as it should be."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table(claims()) + END + rest.split(END)[1]


def write() -> None:
    """Write both pages."""
    README.write_text(readme(README.read_text()))
    PAGE.write_text(page(claims()))


def stale() -> list[str]:
    """Pages that are not what the register says."""
    found = []
    if readme(README.read_text()) != README.read_text():
        found.append(README.name)
    if not PAGE.exists() or PAGE.read_text() != page(claims()):
        found.append(str(PAGE.relative_to(ROOT)))
    return found
