"""What a reader of the project never meets, and what every public name has."""

import ast
import importlib
import inspect
import re
import subprocess
from pathlib import Path

import pytest

import convergence_jax

ROOT = Path(__file__).resolve().parent.parent
_IGNORED = {
    ".git",
    ".venv",
    "results",
    "build",
    "dist",
    "_build",
    "generated",
    "jupyter_execute",
    "__pycache__",
}
_TEXT = {".py", ".md", ".toml", ".txt", ".html", ".cff", ".bib", ".rst", ".json", ".cl", ".v", ".sh", ""}


def _files() -> list[Path]:
    """Files of the project: what git knows or would take, or all of them where there is no git."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    inside = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and Path(inside.stdout.strip() or "/").resolve() == ROOT:
        found = {ROOT / name.decode() for name in listed.stdout.split(b"\0") if name}
        return sorted(path for path in found if path.is_file())
    hidden = re.compile(r"^\.(?!ci$|gitignore$)")
    return sorted(
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(
            part in _IGNORED or hidden.match(part) or part.endswith(".egg-info")
            for part in path.relative_to(ROOT).parts
        )
    )


FILES = _files()
TEXTS = [path for path in FILES if path.suffix in _TEXT]
MODULES = [path for path in FILES if path.suffix == ".py"]
PACKAGE = [path for path in MODULES if path.is_relative_to(ROOT / "convergence_jax")]


def _matches(pattern: str, paths: list[Path]) -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if wanted.search(line)
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _matches(r"(?<![\w.])/(work|root|home|Users|opt|mnt)/\w|(?<![\w.])/tmp/\w", TEXTS) == []


def test_no_file_names_a_package_registry() -> None:
    hosts = "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.org", "deb" + r"\.debian"])
    assert _matches(hosts + "|" + "index-" + "url", TEXTS) == []


def test_nothing_is_put_off() -> None:
    words = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3])
    assert _matches(rf"\b({words})\b", TEXTS) == []


def test_no_file_is_large() -> None:
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in FILES if p.stat().st_size > 300_000}
    assert large == {}


def test_no_python_file_is_longer_than_400_lines() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in MODULES}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_every_module_says_what_it_is_for() -> None:
    lacking = [str(p.relative_to(ROOT)) for p in MODULES if not _docstring(p)]
    assert lacking == []


def _docstring(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    return bool(ast.get_docstring(tree)) or not tree.body


def test_every_public_name_of_every_module_is_documented() -> None:
    lacking = []
    for path in PACKAGE:
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            where = f"{path.relative_to(ROOT)}:{node.name}"
            if not ast.get_docstring(node):
                lacking.append(where)
            if isinstance(node, ast.ClassDef):
                lacking += [
                    f"{where}.{part.name}"
                    for part in node.body
                    if isinstance(part, ast.FunctionDef)
                    and not part.name.startswith("_")
                    and not ast.get_docstring(part)
                ]
    assert lacking == []


@pytest.mark.parametrize("name", convergence_jax.__all__)
def test_every_public_name_loads_and_says_what_it_does(name: str) -> None:
    value = getattr(convergence_jax, name)
    assert inspect.getdoc(value)
    assert name in dir(convergence_jax)


def test_every_module_of_the_package_imports() -> None:
    for path in PACKAGE:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__main__":
            importlib.import_module(".".join(parts).removesuffix(".__init__"))


def test_each_change_note_is_short() -> None:
    notes = [path for path in FILES if path.parent == ROOT / "changes"]
    assert notes
    assert {p.name: len(p.read_text()) for p in notes if not 0 < len(p.read_text()) < 1200} == {}
