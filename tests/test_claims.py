"""The register of claims is complete, alive, and what the README and the documentation show."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from proofs import claims as REGISTER

ROOT = Path(__file__).resolve().parent.parent
KEYS = {"id", "statement", "assumes", "theorem", "property", "experiment"}

CLAIMS = REGISTER.claims()
README = REGISTER.README.read_text()


def _tests_of(path: Path) -> set[str]:
    """Test functions, and state machines, which are assigned to a name."""
    tree = ast.parse(path.read_text())
    functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    assigned = {
        t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
    }
    return {name for name in functions | assigned if name.lower().startswith("test")}


def _is_stated(theorem: str) -> bool:
    """Whether the checker lists a theorem: by Coq, by z3, or as an invariant of a specification."""
    path, _, name = theorem.partition("::")
    if path.endswith(".v"):
        listed = (ROOT / "proofs" / "coq" / "statements.txt").read_text()
        return f"{Path(path).name}::{name}\n" in listed
    text = (ROOT / path).read_text()
    if path.endswith(".tla"):
        checked = "".join(cfg.read_text() for cfg in sorted((ROOT / path).parent.glob("*.cfg")))
        return bool(re.search(rf"^{name} ==", text, re.MULTILINE)) and name in checked
    return name in text


def test_every_claim_has_its_own_id() -> None:
    assert len({claim["id"] for claim in CLAIMS}) == len(CLAIMS) > 0


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["id"])
def test_a_claim_says_everything_and_what_it_names_exists(claim: dict[str, Any]) -> None:
    assert claim.keys() == KEYS
    assert all(claim.values())
    for name in claim["property"]:
        path, _, function = name.partition("::")
        assert function in _tests_of(ROOT / path), name
    assert REGISTER.theorems(claim) or _is_reason(claim["theorem"])
    assert [theorem for theorem in REGISTER.theorems(claim) if not _is_stated(theorem)] == []
    if not _is_reason(claim["experiment"]):
        folder = ROOT / claim["experiment"]
        assert {"config.toml", "run.py", "expected.json"} <= {path.name for path in folder.iterdir()}


def _is_reason(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"none, because \w.{10,}", text) is not None


def test_the_pages_written_from_the_register_are_current() -> None:
    assert REGISTER.stale() == []


PROSE = [
    REGISTER.README,
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
]
PROSE += sorted(path for path in (ROOT / "docs" / "explanation").glob("*.md") if path != REGISTER.PAGE)


def _prose(path: Path) -> str:
    """A page without its code, the table of claims, and addresses."""
    text = path.read_text()
    if path == REGISTER.README:
        before, rest = text.split(REGISTER.BEGIN)
        text = before + rest.split(REGISTER.END)[1]
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.sub(r"`[^`]*`|\([^)\s]*\)", "", text)


MEASURED = re.compile(r"\d[\d.,]*\s?(?:×(?! 10)|x\b|%|ms\b|s\b|seconds?\b|minutes?\b|[kMG]B\b|times\b|of \d)")
"""What looks like a figure that somebody measured: a number with a unit, a ratio or a share."""


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)
def test_a_measured_figure_in_the_documentation_is_a_claim(path: Path) -> None:
    stated = " ".join(claim["statement"] + claim["assumes"] for claim in CLAIMS)
    assert [figure for figure in MEASURED.findall(_prose(path)) if figure not in stated] == []


def test_the_readme_says_nothing_that_cannot_be_tested() -> None:
    words = (
        r"\b(fastest|first ever|state of the art|revolutionary|blazing|always right|perfect|bulletproof)\b"
    )
    assert re.findall(words, README, re.IGNORECASE) == []
