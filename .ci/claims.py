"""Write the table of claims in README.md from ``proofs/claims.toml``."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- claims: written by .ci/claims.py from proofs/claims.toml -->\n"
END = "<!-- end of claims -->\n"


def claims() -> list[dict[str, Any]]:
    """The register."""
    return tomllib.loads((ROOT / "proofs" / "claims.toml").read_text())["claim"]


def table(register: list[dict[str, Any]]) -> str:
    """The register as a table in Markdown."""
    lines = ["| claim | where it holds | tested by | measured by |", "|---|---|---|---|"]
    for claim in register:
        tests = ", ".join(f"[{i}]({path.split('::')[0]})" for i, path in enumerate(claim["property"], 1))
        experiment = claim["experiment"]
        measured = "" if experiment.startswith("none") else f"[{experiment.split('/')[-1]}]({experiment})"
        lines.append(f"| {claim['statement']} | {claim['assumes']} | {tests} | {measured} |")
    return "\n".join(lines) + "\n"


def current(text: str) -> str:
    """A README with the table as it should be."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table(claims()) + END + rest.split(END)[1]


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(current(readme.read_text()))
