"""Who may import whom: the rooms, and what a node process never loads."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import convergence_jax as cj

PACKAGE = Path(cj.__file__).parent

ORDER = [
    {"errors"},
    {"exact"},
    {"statistics"},
    {"hierarchy"},
    {"data", "testing"},
    {"baseline"},
    {"consensus"},
    {"transport"},
    {"partition"},
    {"detector"},
    {"report", "remote", "fpga"},
    {"commands"},  # what each subcommand of cli does
    {"cli"},
    {"__main__"},
]
"""Rooms and single modules, upper ones first. Rooms of one line do not know each other."""

RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}

PARTITION = [
    {"unseen"},
    {"rows"},
    {"writes"},
    {"participant"},
    {"answers"},
    {"nodes"},
    {"clusters", "simulation"},
]
"""The same of what is inside `partition`."""

PARTITION_RANK = {room: rank for rank, rooms in enumerate(PARTITION) for room in rooms}

HEAVY = {"jax", "jaxlib", "tyro", "rich", "matplotlib", "jinja2", "pyarrow", "msgspec", "hypothesis", "flax"}
NETWORK = {"socket", "ssl", "http", "urllib", "grpc", "asyncio", "requests", "multiprocessing"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(module):
    """The room of a dotted name below the package, or None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports(path):
    """Dotted names that a module imports, wherever in it, and whether at its top."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            if node.module == "convergence_jax":
                yield from (f"convergence_jax.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up_the_list_of_rooms(path):
    relative = path.relative_to(PACKAGE)
    if relative == Path("__init__.py"):
        return  # names its modules to load them late
    here = relative.parts[0].removesuffix(".py")
    assert here in RANK, f"{relative}: no such room in DESIGN.md"
    for name in imports(path):
        if name.split(".")[0] != "convergence_jax":
            continue
        there = room(name)
        if there is None:
            continue
        assert there in RANK, f"{relative} imports {name}: upper rooms import modules, not the public names"
        assert there == here or RANK[there] < RANK[here], f"{relative} imports {name}, which is below it"
        if (here, there) == ("partition", "partition"):
            inner, other = relative.parts[1].removesuffix(".py"), name.split(".")[2]
            good = other == inner or PARTITION_RANK[other] < PARTITION_RANK[inner]
            assert good, f"{relative} imports {name}, which is below it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_imports_neither_command_line_nor_plotting_nor_networking(path):
    here = path.relative_to(PACKAGE).parts[0]
    if here in {"exact", "statistics", "hierarchy", "baseline", "errors.py", "__init__.py"}:
        found = {name.split(".")[0] for name in imports(path)}
        assert not found & (NETWORK | (HEAVY - {"jax", "jaxlib"})), path


def loaded_by(statement):
    """Modules that a fresh process has after a statement, and the seconds it took."""
    code = f"{statement}\nimport sys\nprint(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split()), time.perf_counter() - started


def dotted(path):
    return ".".join(("convergence_jax", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )


def test_importing_the_package_loads_neither_jax_nor_numpy():
    loaded, _ = loaded_by("import convergence_jax")
    assert not loaded & (HEAVY | NETWORK | {"numpy"})


def test_a_node_process_merges_and_presents_without_jax():
    names = [dotted(path) for path in sorted((PACKAGE / "statistics").glob("*.py"))]
    names += [f"convergence_jax.exact.{name}" for name in ("constants", "digits", "fixed_point", "multiply")]
    names += [dotted(path) for path in (PACKAGE / "exact").glob("superaccumulator.py")]
    use = (
        "import numpy as np, convergence_jax as cj\n"
        "for stat in (cj.Count(), cj.Sum(), cj.Extrema(), cj.Histogram((0., 1.)), cj.Quantiles(2, -2, 2)):\n"
        "    state = cj.check(stat.merge(stat.lift(np.float64(0.5)), stat.collect(np.ones(3))))\n"
        "    stat.present(state)\n"
        "stat = cj.Distinct(4); stat.present(stat.collect(cj.hash_text(['a', 'b'])))"
    )
    loaded, seconds = loaded_by(f"import {', '.join(names)}\n{use}")
    assert not loaded & HEAVY
    print(f"imports and first use of every statistic: {seconds:.2f} s")  # reported, not a promise


def test_a_node_process_weighs_evidence_without_jax():
    use = (
        "import numpy as np\n"
        "from convergence_jax.consensus.bounds import bounds\n"
        "from convergence_jax.consensus.decision import decide\n"
        "from convergence_jax.consensus.events import once\n"
        "from convergence_jax.consensus.evidence import collect\n"
        "from convergence_jax.consensus.posterior import log_prior, posterior\n"
        "from convergence_jax.statistics.log_evidence import LogEvidence\n"
        "agent, observer = np.arange(6) % 2, np.arange(6) % 3\n"
        "kept = once([observer, np.arange(6)], [agent, np.ones(6)]).kept\n"
        "stat = LogEvidence(20)\n"
        "for x in (np.ones(6), np.full((6, 3), -1e-300)):\n"
        "    held = collect(agent[kept], observer[kept], x[kept], agents=2, observers=3, statistic=stat)\n"
        "    held = held.merge(held).remove(held).retract([2])\n"
        "    posterior(held.by_agent(), log_prior([1] * max(2, held.columns)))\n"
        "    for dependent in (False, True):\n"
        "        decide(held, 1, 0.05, dependent=dependent)\n"
        "    ratios = held if held.columns == 1 else held.difference(1, 0)\n"
        "    bounds(ratios, 1)\n"
        "stat.present(stat.collect(np.ones(3)))"
    )
    loaded, _ = loaded_by(use)
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", cj.__all__)
def test_every_public_name_resolves_and_is_documented(name):
    value = getattr(cj, name)
    assert (value.__doc__ or "").strip()
    assert name in dir(cj)


def test_type_checkers_see_the_names_that_users_see():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {alias.asname: node.module for node in block.body for alias in node.names}
    assert typed == {name: f"convergence_jax.{module}" for name, module in cj._MODULES.items()}


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        cj.Nonsense  # noqa: B018
