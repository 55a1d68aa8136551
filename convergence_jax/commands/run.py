"""``convergence run``: a config again, of a result or of an experiment."""

import importlib.util
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from convergence_jax.commands.consensus import consensus
from convergence_jax.commands.detect import detect
from convergence_jax.commands.execution import start_jax
from convergence_jax.data.config import ConsensusConfig, DetectConfig, experiment_config, load, run_config
from convergence_jax.data.digest import digest
from convergence_jax.data.results import ResultDirectory, plain
from convergence_jax.data.stages import versions
from convergence_jax.errors import InputError

SCHEMA = "convergence.experiment/1"

MISSED = 1
"""Exit status where a headline number is not what ``expected.json`` says."""

_CHECKS = {"value", "tolerance", "at_least", "at_most", "equals"}


def run(path: Path, out: str | Path | None, fail_on_flag: bool = False) -> int:
    """Run the config at `path`: a result's, or the experiment's whose ``run.py`` lies next to it.

    Returns
    -------
    int
        Exit status: 1 where an experiment's headline number is out of its tolerance.

    Raises
    ------
    InputError
        If the config is not one, or the experiment's files are not what they should be.
    """
    tables = load(path)
    config = run_config(tables, str(path))
    if isinstance(config, DetectConfig):
        return detect(config, out, fail_on_flag)
    if isinstance(config, ConsensusConfig):
        return consensus(config, out, fail_on_flag)
    if "experiment" in tables:
        return _experiment(path, tables, out)
    raise InputError(f"{path}: has no [detect], [consensus] or [experiment] table; add one.")


def _experiment(path: Path, tables: dict[str, Any], out: str | Path | None) -> int:
    experiment = experiment_config(tables, str(path))
    script = path.parent / "run.py"
    expected = read_expected(path.parent / "expected.json")
    with ResultDirectory(out) as results:
        results.place(f"experiment-{experiment.name}")
        start_jax(devices=experiment.devices)
        main = _main_of(script)
        started = time.perf_counter()
        value = plain(main(tables))
        seconds = time.perf_counter() - started
        if not isinstance(value, dict):
            raise InputError(f"{script}: main(config) must return a dict, got {type(value).__name__}.")
        config = config_digest(tables)
        rows = [_compare(name, want, value) for name, want in expected.get("headline", {}).items()]
        results.write_json(
            "result.json",
            {
                "schema": SCHEMA,
                "name": experiment.name,
                "config_digest": config,
                "seconds": seconds,
                "headline": rows,
                "result": value,
                "versions": {"python": platform.python_version(), **versions()},
            },
        )
        results.write_text("config.toml", path.read_text(encoding="utf-8"))
    print(f"{experiment.name}: {seconds:.1f} s, {results.path}/result.json")
    for row in rows:
        print(f"  {'ok  ' if row['ok'] else 'MISS'}  {row['name']} = {row['value']}  ({row['expected']})")
    stale = expected.get("config_digest") not in (None, config)
    if stale:
        print(f"  MISS  {path.name} is not the one of expected.json; its digest is {config}")
    if not rows:
        print(f"  nothing is expected yet; config_digest is {config}")
    return MISSED if stale or not all(row["ok"] for row in rows) else 0


def _main_of(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"experiment_{script.parent.name}", script)
    if spec is None or spec.loader is None or not script.is_file():
        raise InputError(f"{script}: no such file; an experiment has a run.py next to its config.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(script.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(script.parent))
    main = getattr(module, "main", None)
    if not callable(main):
        raise InputError(f"{script}: has no main(config); define it.")
    return main


def read_expected(path: Path) -> dict[str, Any]:
    """What an experiment's result must say: ``config_digest`` and ``headline``, both optional.

    Raises
    ------
    InputError
        If the file is there and does not have that form.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not JSON ({error}); correct it.") from None
    if not isinstance(value, dict) or not value.keys() <= {"config_digest", "headline"}:
        raise InputError(f"{path}: must be an object with config_digest and headline; correct it.")
    for name, want in value.get("headline", {}).items():
        if not isinstance(want, dict) or not want or not want.keys() <= _CHECKS:
            raise InputError(f"{path}: {name}: give value and tolerance, at_least, at_most or equals.")
    return value


def config_digest(tables: dict[str, Any]) -> str:
    """Identity of a config: what it says, not how it is written."""
    return digest(plain(tables))


def _compare(name: str, want: dict[str, Any], value: Any) -> dict[str, Any]:
    """One headline number, at a dotted path into the result, against what it should be."""
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    checks = []
    if "equals" in want:
        checks.append((f"= {want['equals']}", value == want["equals"]))
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if "value" in want:
        near = number is not None and abs(number - want["value"]) <= want.get("tolerance", 0)
        checks.append((f"{want['value']} ± {want.get('tolerance', 0)}", near))
    if "at_least" in want:
        checks.append((f"≥ {want['at_least']}", number is not None and number >= want["at_least"]))
    if "at_most" in want:
        checks.append((f"≤ {want['at_most']}", number is not None and number <= want["at_most"]))
    said = ", ".join(text for text, _ in checks)
    return {"name": name, "value": value, "expected": said, "ok": all(ok for _, ok in checks)}
