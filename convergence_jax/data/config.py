"""Configs: one commented TOML file says everything that a run depends on, and nothing else."""

import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from convergence_jax.errors import InputError, closest


class DetectConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The ``[detect]`` table: what ``convergence detect`` needs to run again.

    Attributes
    ----------
    input : str or None
        File of observations, one row each; None for the built-in fleet.
    format : {"parquet", "csv", "jsonl"} or None
        By the suffix unless given.
    synthetic : int or None
        Number of agents of the built-in fleet.
    seed : int
        Of the built-in fleet.
    agent : str or None
        Column of agents' ids.
    features : list of str
        Numeric columns; none means all that have no other part.
    levels : list of str
        Columns of groups, from coarse to fine.
    time, baseline_until : str or None
        Column of times, and the end of the earlier period to compare with.
    alpha : float
        Error rate to hold.
    lift : dict of str to str
        ``SCALE:RANGE`` in bits, by column; others follow from the data.
    backend : {"cpu", "gpu", "fpga"} or None
        What JAX finds unless given; fpga is OpenCL.
    devices : int
        Over how many devices to spread the agents.
    """

    input: str | None = None
    format: Literal["parquet", "csv", "jsonl"] | None = None
    synthetic: int | None = None
    seed: int = 0
    agent: str | None = None
    features: list[str] = []
    levels: list[str] = []
    time: str | None = None
    baseline_until: str | None = None
    alpha: float = 0.05
    lift: dict[str, str] = {}
    backend: Literal["cpu", "gpu", "fpga"] | None = None
    devices: int = 1


class ConsensusConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The ``[consensus]`` table: what ``convergence consensus`` needs to run again.

    Attributes
    ----------
    input : str or None
        File of evidence or of labels; None for the built-in table.
    format : {"parquet", "csv", "jsonl"} or None
        By the suffix unless given; of `truth` and `gold` too.
    truth, gold : str or None
        Files that say which class items have: to compare with afterwards, and to learn from.
    observers_lying : int or None
        At most so many observers lie; bounds are given only where this is.
    prior : str or None
        Weights of the hypotheses with colons between them.
    alpha : float
        Error rate to hold for each item.
    reliability : {"temper", "contaminate", "clip"} or None
        What the column of that name does to an item.
    dependent : bool
        Do not assume that honest observers are independent.
    range_bits : int
        Evidence of ``2**range_bits`` and more is out of range.
    retract : list of str
        Observers whose every word is taken back.
    backend : {"cpu", "gpu", "fpga"} or None
        What JAX finds unless given; fpga is OpenCL, for evidence.
    """

    input: str | None = None
    format: Literal["parquet", "csv", "jsonl"] | None = None
    truth: str | None = None
    gold: str | None = None
    observers_lying: int | None = None
    prior: str | None = None
    alpha: float = 0.05
    reliability: Literal["temper", "contaminate", "clip"] | None = None
    dependent: bool = False
    range_bits: int = 30
    retract: list[str] = []
    backend: Literal["cpu", "gpu", "fpga"] | None = None


class ExperimentConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The ``[experiment]`` table; the other tables belong to the experiment's ``run.py``."""

    name: str
    seed: int = 0
    devices: int = 1


RUNS: dict[type, str] = {DetectConfig: "detect", ConsensusConfig: "consensus"}
"""Configs of a run, and the table that each one is."""

_COMMENTS = {
    "input": "the file, one row each",
    "format": "parquet, csv or jsonl; by the suffix unless given",
    "synthetic": "agents of the built-in fleet",
    "seed": "of the built-in fleet",
    "agent": "column of agents' ids",
    "features": "numeric columns",
    "levels": "columns of groups, coarse to fine",
    "time": "column of times",
    "baseline_until": "end of the earlier period to compare with",
    "alpha": "error rate to hold",
    "lift": "SCALE:RANGE in bits, by column; others follow from the data",
    "backend": "cpu, gpu or fpga; what JAX finds unless given",
    "devices": "over how many devices to spread the agents",
    "truth": "file of the true classes, to compare with afterwards",
    "gold": "file of items whose class is known",
    "observers_lying": "at most so many observers lie",
    "prior": "weights of the hypotheses",
    "reliability": "what the column of that name does: temper, contaminate or clip",
    "dependent": "do not assume that honest observers are independent",
    "range_bits": "evidence of 2**range_bits and more is out of range",
    "retract": "observers whose every word is taken back",
}


def load(path: str | Path) -> dict[str, Any]:
    """Read a TOML file as plain tables.

    Raises
    ------
    InputError
        If it is not there or is no TOML, with the line.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path.") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give one TOML file.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; give one TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not TOML: {error}; correct it.") from None


def run_config(tables: dict[str, Any], where: str) -> DetectConfig | ConsensusConfig | None:
    """The ``[detect]`` or ``[consensus]`` table of a config that has no other; None if it has neither.

    Raises
    ------
    InputError
        For a key that does not exist, with its path and the likeliest one, and for a value of another type.
    """
    for kind, table in RUNS.items():
        if table in tables:
            for name in tables:
                if name != table:
                    raise InputError(f"{where}: $.{name}: unknown table{closest(name, [table])}")
            return convert(tables[table], kind, where, f"$.{table}")
    return None


def experiment_config(tables: dict[str, Any], where: str) -> ExperimentConfig:
    """The ``[experiment]`` table of a config.

    Raises
    ------
    InputError
        As :func:`run_config`.
    """
    return convert(tables["experiment"], ExperimentConfig, where, "$.experiment")


def convert(table: Any, type_: Any, where: str, path: str) -> Any:
    """A plain table as a struct.

    Parameters
    ----------
    table : Any
        As :func:`load` gives it.
    type_ : type
        A ``msgspec.Struct``.
    where, path : str
        File and place, for the line of an error.

    Raises
    ------
    InputError
        As :func:`run_config`.
    """
    try:
        return msgspec.convert(table, type_)
    except msgspec.ValidationError as error:
        unknown = re.search(r"unknown field `(.*?)`", str(error))
        if unknown:
            known = [field.name for field in msgspec.structs.fields(type_)]
            raise InputError(
                f"{where}: {path}.{unknown[1]}: unknown key{closest(unknown[1], known)}"
            ) from None
        missing = re.search(r"missing required field `(.*?)`", str(error))
        if missing:
            raise InputError(f"{where}: {path}.{missing[1]}: missing; add it.") from None
        place = re.search(r" - at `\$(.*)`$", str(error))
        problem = str(error)[: place.start()] if place else str(error)
        raise InputError(
            f"{where}: {path}{place[1] if place else ''}: {problem[0].lower()}{problem[1:]}."
        ) from None


def to_toml(config: DetectConfig | ConsensusConfig) -> str:
    """The resolved config as commented TOML, which ``convergence run`` takes; without keys that are not set.

    ``load`` and :func:`run_config` give the same config back.
    """
    table = RUNS[type(config)]
    lines = ["# What this result was made from: `convergence run config.toml` makes it again.", f"[{table}]"]
    for field in msgspec.structs.fields(type(config)):
        value = getattr(config, field.name)
        unseeded = isinstance(config, DetectConfig) and config.synthetic is None
        if value is None or field.name == "lift" or (field.name == "seed" and unseeded):
            continue
        lines.append(f"{field.name} = {_literal(value)}  # {_COMMENTS[field.name]}")
    if isinstance(config, DetectConfig) and config.lift:
        lines += ["", f"[detect.lift]  # {_COMMENTS['lift']}"]
        lines += [f"{_text(name)} = {_text(value)}" for name, value in config.lift.items()]
    return "\n".join(lines) + "\n"


def to_toml_table(config: msgspec.Struct, table: str) -> str:
    """A struct of plain values as one TOML table, without keys that are not set."""
    values = {field.name: getattr(config, field.name) for field in msgspec.structs.fields(config)}
    return "\n".join(
        [f"[{table}]", *(f"{name} = {_literal(v)}" for name, v in values.items() if v is not None), ""]
    )


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return _text(value)


def _text(value: str) -> str:
    # A JSON text is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
