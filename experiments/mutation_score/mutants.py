"""Every place where the library could be made wrong by one small change, and a sample of them.

The changes are Cosmic Ray's. Its replacements of one operator at one position are one *place*, so that an
operator with many replacements weighs no more than one with few; a drawn place gets one of them at random.
"""

import ast
import difflib
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

_NEED_NAMES = {"VariableReplacer", "VariableInserter"}
"""Operators that change a variable which somebody has to name."""

_ALIKE = [
    {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"},
    {"RShift", "LShift", "BitOr", "BitAnd", "BitXor"},
]
"""Binary operators are replaced by one of their own kind: arithmetic on bits seldom gets as far as a test."""

_BINARY = {"arith_expr", "term", "shift_expr", "expr", "and_expr", "xor_expr", "power"}
"""Grammar of binary operators. Cosmic Ray takes the stars of parameters and of dicts for operators, too."""

_SPEED_ONLY = ("cache", "lru_cache", "jit", "overload", "final")
"""Decorators without which the library gives the same answers."""

_SAYS = {"print", "warn", "warning", "info", "debug", "error"}
"""Functions whose arguments are words for a reader."""

Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    """One change: the `occurrence`-th of an operator in a file, as Cosmic Ray counts."""

    path: str
    line: int
    operator: str
    occurrence: int

    def apply(self, source: str) -> str:
        """The source with the change."""
        changed: str | None = mutate_code(source, _operators()[self.operator], self.occurrence)
        if changed is None:
            raise LookupError(f"{self.path}: {self.operator} has no occurrence {self.occurrence}")
        return changed

    def diff(self, source: str) -> list[str]:
        """The lines that differ, old ones with a minus."""
        lines = difflib.unified_diff(source.splitlines(), self.apply(source).splitlines(), lineterm="", n=0)
        return [line for line in lines if line[:1] in "-+" and line[:3] not in ("---", "+++")]


@dataclass(frozen=True)
class Stratum:
    """All of one room: how many changes there are at how many places, and the places drawn, in order."""

    mutants: int
    places: int
    drawn: list[Mutant]


def sample(package: Path, given: dict[str, Any], count: int, seed: int) -> dict[str, Stratum]:
    """Rooms with their share of `count` mutants; a smaller sample is the beginning of a larger one."""
    places = {room: list(_places(package, room, set(given["except"]))) for room in given["rooms"]}
    wanted = _shares({room: len(found) for room, found in places.items()}, count, given["at_least"])
    strata = {}
    for room, found in places.items():
        rng = random.Random(f"{seed} {room}")
        rng.shuffle(found)
        drawn: list[Mutant] = []
        for place in found:
            mutant = rng.choice(place)
            if len(drawn) < wanted[room] and _is_python((package / mutant.path).read_text(), mutant):
                drawn.append(mutant)
        strata[room] = Stratum(sum(map(len, found)), len(found), drawn)
    return strata


def _shares(sizes: dict[str, int], count: int, at_least: int) -> dict[str, int]:
    """How many of `count` each room gets: in proportion, some from each; the largest takes the rest."""
    whole, few = sum(sizes.values()), min(at_least, count // len(sizes))
    shares = {room: max(round(count * size / whole), few) for room, size in sizes.items()}
    largest = max(sizes, key=sizes.__getitem__)
    return shares | {largest: shares[largest] + count - sum(shares.values())}


def _places(package: Path, room: str, left_out: set[str]) -> Iterator[list[Mutant]]:
    root = package / room
    for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name not in left_out:
            yield from _places_of(name, path.read_text(encoding="utf-8"))


def _places_of(name: str, source: str) -> list[list[Mutant]]:
    """Mutants of one file by family of operators and position."""
    silent = list(_unmutated(source))
    counts: dict[str, int] = defaultdict(int)
    found: dict[tuple[str, Span], list[Mutant]] = defaultdict(list)
    for node in ast_nodes(get_ast(source)):
        for operator in _candidates(node):
            for begin, end in _operators()[operator].mutation_positions(node):
                occurrence = counts[operator]
                counts[operator] += 1
                inside = any(b <= begin and end <= e for b, e in silent)
                if not inside and _is_wanted(operator, node):
                    family = operator.split("_")[0]
                    found[family, (begin, end)].append(Mutant(name, begin[0], operator, occurrence))
    return list(found.values())


@cache
def _operators() -> dict[str, Any]:
    return {
        name.split("/")[1]: get_operator(name)()
        for name in operator_names()
        if name.split("/")[1] not in _NEED_NAMES
    }


@cache
def _by_family() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in _operators():
        family = name.split("_")[0]
        found[family if family.endswith(("BinaryOperator", "ComparisonOperator")) else "other"].append(name)
    return found


def _candidates(node: Any) -> list[str]:
    """Operators that could apply to a node: asking each of two hundred at every node takes a minute."""
    found = list(_by_family()["other"])
    if node.type == "comparison":
        found += _by_family()["ReplaceComparisonOperator"]
    if node.type == "operator" and node.value not in "()[]{},.:;=->":
        found += _by_family()["ReplaceBinaryOperator"]
    return found


def _is_wanted(operator: str, node: Any) -> bool:
    family, *names = operator.split("_")
    if family == "ReplaceBinaryOperator":
        return node.parent.type in _BINARY and any(set(names) <= kind for kind in _ALIKE)
    if family == "ReplaceComparisonOperator":  # `is` for `==` is as good on small integers
        return len({name.startswith("Is") for name in names}) == 1
    return family != "RemoveDecorator" or not any(word in node.get_code() for word in _SPEED_ONLY)


def _unmutated(source: str) -> Iterator[Span]:
    """What no test should look at: annotations, words of errors, what only a type checker reads."""
    lines = source.splitlines()

    def column(line: int, offset: int) -> tuple[int, int]:
        return line, len(lines[line - 1].encode()[:offset].decode())

    for node in ast.walk(ast.parse(source)):
        for part in _silent_parts(node):
            assert part.end_lineno is not None
            assert part.end_col_offset is not None
            yield column(part.lineno, part.col_offset), column(part.end_lineno, part.end_col_offset)


def _silent_parts(node: ast.AST) -> list[Any]:
    match node:
        case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
            return [annotation]
        case ast.FunctionDef(returns=ast.expr() as returns):
            return [returns]
        case ast.Raise():
            return [node]
        case ast.Assert(msg=ast.expr() as words):
            return [words]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _SAYS:
            return list(node.args)
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return [node]
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Compare(left=ast.Name(id="__name__"))):
            return [node]
    return []


def _is_python(source: str, mutant: Mutant) -> bool:
    """Whether a mutant compiles and is another program."""
    try:
        changed = ast.parse(mutant.apply(source))
    except SyntaxError:
        return False
    return ast.dump(changed) != ast.dump(ast.parse(source))
