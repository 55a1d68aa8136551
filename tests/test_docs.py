"""The documentation says what the code does: tables, code and flags are checked against it."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import convergence_jax
from convergence_jax.baseline.decision import ASSUMES, ASSUMES_AGAINST
from convergence_jax.statistics.law import Removable
from convergence_jax.testing import catalogue, laws, strategies
from convergence_jax.testing.sample import Sample

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "generated", "jupyter_execute"} & set(p.parts))
GUIDES = sorted((DOCS / "guide").glob("*.md"))


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def _merge_table() -> dict[str, list[str]]:
    """Cells of the first table, by statistic."""
    text = (DOCS / "explanation" / "merge_table.md").read_text().split("## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def _statistics() -> dict[str, list[Any]]:
    """Every public statistic, with its configurations from the catalogue."""
    found: dict[str, list[Any]] = {}
    for case in catalogue.CASES:
        name = type(case.statistic).__name__
        found.setdefault("product" if name.endswith("Product") else name, []).append(case.statistic)
    return found


def test_the_merge_table_has_every_statistic_and_no_other() -> None:
    public = {
        name
        for name in convergence_jax.__all__
        if dataclasses.is_dataclass(value := getattr(convergence_jax, name)) and hasattr(value, "merge")
    }
    assert _merge_table().keys() == public | {"product"} == _statistics().keys()


@pytest.mark.parametrize("name", sorted(_statistics()))
def test_the_merge_table_says_what_can_be_removed_and_what_is_approximate(name: str) -> None:
    merges, answer, removed = _merge_table()[name]
    statistics = _statistics()[name]
    assert merges == "exactly"  # the laws hold every one of them to that, in bits
    can = {isinstance(statistic, Removable) for statistic in statistics}
    wanted = {"yes": {True}, "no": {False}, "yes, if every part can be": {True, False}}
    assert can == wanted[removed.split(":")[0]]
    approximate = any(hasattr(statistic, "relative_error") for statistic in statistics)
    assert answer.startswith("approximate") == approximate


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.stem)
def test_the_python_of_a_guide_runs(page: Path) -> None:
    space: dict[str, Any] = {"__name__": "guide"}
    for block in _blocks(page, "python"):
        exec(compile(block, str(page), "exec"), space)


def test_the_readme_shows_what_its_example_prints(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text()
    found = re.search(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    exec(compile(found[1], "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out == found[2]


def _energy() -> Any:
    space: dict[str, Any] = {"__name__": "guide"}
    exec(_blocks(DOCS / "guide" / "statistic.md", "python")[0], space)
    return space["Energy"]()


ENERGY = _energy()


@given(sample=strategies.samples())
def test_the_statistic_of_the_guide_keeps_the_law(sample: Sample) -> None:
    laws.check_laws(ENERGY, sample)


def test_every_module_has_a_place_in_the_reference() -> None:
    written = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    listed = set(re.findall(r"^   (convergence_jax\.[\w.]+)$", written, re.MULTILINE))
    present = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "convergence_jax").rglob("*.py")
        if not path.stem.startswith("_") and "commands" not in path.parts
    }
    assert listed == present


def test_every_public_name_is_on_the_front_page_of_the_reference() -> None:
    index = (DOCS / "api" / "index.md").read_text()
    assert set(re.findall(r"^   (\w+)$", index, re.MULTILINE)) == set(convergence_jax.__all__)


def _flags() -> set[str]:
    """Flags that the command line declares."""
    tree = ast.parse((ROOT / "convergence_jax" / "cli.py").read_text())
    names = {
        part.target.id
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    return {f"--{name.replace('_', '-')}" for name in names}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda p: p.stem)
def test_every_flag_that_a_page_shows_exists(page: Path) -> None:
    commands = [line for block in _blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    shown = {
        flag
        for line in commands
        if "convergence " in line
        for flag in re.findall(r"(?<!\S)--[a-z-]+", line.split("convergence ", 1)[1])
    }
    assert shown <= _flags()


def test_the_assumptions_of_the_decision_are_those_that_results_state() -> None:
    page = (DOCS / "explanation" / "decision.md").read_text()
    assert [said for said in ASSUMES + ASSUMES_AGAINST if f"| {said} |" not in page] == []


def test_every_reference_is_cited_and_every_citation_is_a_reference() -> None:
    defined = set(re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text(), re.MULTILINE))
    text = "\n".join(page.read_text() for page in PAGES)
    cited = {key for keys in re.findall(r"\{cite:[pt]+\}`([^`]+)`", text) for key in re.split(r",\s*", keys)}
    assert cited == defined
