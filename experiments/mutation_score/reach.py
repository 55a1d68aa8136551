"""Which files of tests can see a module, the closest first."""

import ast
import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "convergence_jax"

_NAMED = re.compile(rf"\b{PACKAGE}(?:\.\w+)+")


class Reach:
    """The graph of imports of a checkout: every module of the package, and every file of tests."""

    def __init__(self, root: Path, left_out: list[str]) -> None:
        self._root = root
        self._tests = [
            path
            for path in sorted((root / "tests").rglob("test_*.py"))
            if path.relative_to(root / "tests").as_posix() not in left_out
        ]
        self._names = _public_names(root / PACKAGE / "__init__.py")

    def stages(self, path: str) -> list[list[tuple[int, str]]]:
        """Files of tests for one file of the package, none twice, each with how many imports away it is.

        First those of its room that are named like it; then those of its room that import it, perhaps through
        other modules; then those of other rooms that import it themselves.
        """
        parts = Path(path).with_suffix("").parts
        module, room = ".".join((PACKAGE, *parts)).removesuffix(".__init__"), parts[0]
        stages: list[list[tuple[int, str]]] = [[], [], []]
        for test in self._tests:
            distance = self._distances(test).get(module)
            if distance is None:
                continue
            found = (distance, test.relative_to(self._root).as_posix())
            own = test.parent.name == room
            if own and parts[-1] in test.stem:
                stages[0].append(found)
            elif own:
                stages[1].append(found)
            elif distance == 1:
                stages[2].append(found)
        return stages

    @cache  # noqa: B019 one for each run
    def _distances(self, test: Path) -> dict[str, int]:
        """How many imports away each module of the package is."""
        found, queue = {}, deque([(test, 0)])
        seen = {test}
        while queue:
            path, distance = queue.popleft()
            for name, there in self._imports(path):
                helper = not there.is_relative_to(self._root / PACKAGE)
                if there not in seen:
                    seen.add(there)
                    found[name] = distance if helper else distance + 1
                    queue.append((there, found[name]))
        return found

    @cache  # noqa: B019 one for each run
    def _imports(self, path: Path) -> list[tuple[str, Path]]:
        """Modules that a file imports anywhere, or names in a text, as code for another process does."""
        found = []
        for name in sorted(set(self._named(ast.parse(path.read_text(encoding="utf-8"))))):
            parts = name.split(".")
            while len(parts) > 1 or parts[0] != PACKAGE:
                base = self._root if parts[0] == PACKAGE else path.parent
                there = base.joinpath(*parts).with_suffix(".py")
                there = there if there.is_file() else base.joinpath(*parts, "__init__.py")
                if there.is_file():
                    found.append((".".join(parts), there))
                    break
                parts.pop()
                if not parts:
                    break
        return found

    def _named(self, tree: ast.Module) -> Iterator[str]:
        short = {PACKAGE}
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    yield from (alias.name for alias in names)
                    short |= {alias.asname for alias in names if alias.name == PACKAGE and alias.asname}
                case ast.ImportFrom(module=str(module), names=names):
                    yield from (f"{module}.{alias.name}" for alias in names)
                    if module == PACKAGE:
                        yield from (self._names.get(alias.name, module) for alias in names)
                case ast.Constant(value=str(text)):
                    yield from _NAMED.findall(text)
                case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in short:
                    yield self._names.get(attribute, PACKAGE)


def _public_names(init: Path) -> dict[str, str]:
    """Names that the package loads late, and their modules."""
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="_MODULES")], value=value):
                return {name: f"{PACKAGE}.{module}" for name, module in ast.literal_eval(value).items()}
    return {}
