"""The register of claims is complete, alive, and what the README shows."""

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEYS = {"id", "statement", "assumes", "theorem", "property", "experiment"}


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _load(ROOT / ".ci" / "claims.py")
CLAIMS = SCRIPT.claims()
README = (ROOT / "README.md").read_text()


def _tests_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_claim_has_its_own_id() -> None:
    assert len({claim["id"] for claim in CLAIMS}) == len(CLAIMS) > 0


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["id"])
def test_a_claim_says_everything_and_what_it_names_exists(claim: dict[str, Any]) -> None:
    assert claim.keys() == KEYS
    assert all(claim.values())
    for name in claim["property"]:
        path, _, function = name.partition("::")
        assert function in _tests_of(ROOT / path), name
    for key in ("theorem", "experiment"):
        reason = re.fullmatch(r"none, because \w.{10,}", claim[key])
        assert reason or (ROOT / claim[key]).exists(), f"{key}: {claim[key]}"
        if key == "experiment" and not reason:
            assert {"config.toml", "run.py", "expected.json"} <= {
                p.name for p in (ROOT / claim[key]).iterdir()
            }


def test_the_table_of_the_readme_is_current() -> None:
    assert SCRIPT.current(README) == README


def _prose() -> str:
    """The README without its code, its table of claims, and addresses."""
    before, rest = README.split(SCRIPT.BEGIN)
    text = before + rest.split(SCRIPT.END)[1]
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.sub(r"`[^`]*`|\([^)\s]*\)", "", text)


MEASURED = re.compile(r"\d[\d.,]*\s?(?:×|x\b|%|ms\b|s\b|seconds?\b|minutes?\b|[kMG]B\b|times\b|of \d)")
"""What looks like a figure that somebody measured: a number with a unit, a ratio or a share."""


def test_a_measured_figure_in_the_readme_is_a_claim() -> None:
    stated = " ".join(claim["statement"] + claim["assumes"] for claim in CLAIMS)
    assert [figure for figure in MEASURED.findall(_prose()) if figure not in stated] == []


def test_the_readme_says_nothing_that_cannot_be_tested() -> None:
    words = (
        r"\b(fastest|first ever|state of the art|revolutionary|blazing|always right|perfect|bulletproof)\b"
    )
    assert re.findall(words, README, re.IGNORECASE) == []
