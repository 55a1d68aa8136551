"""The ``convergence`` command.

Exit status: 0 done, 1 an experiment missed a headline number or a cluster broke its promises, 2 what was
given cannot be used, 3 someone is flagged and ``--fail-on-flag`` is given, 130 interrupted.
"""

import io
import os
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import tyro

from convergence_jax.commands.terminal import Interruption
from convergence_jax.errors import InputError

INTERRUPTED = 130
"""Exit status after Ctrl-C or a request to terminate."""

_TRACEBACK = "CONVERGENCE_TRACEBACK"


def _value(metavar: str, hint: str = "") -> Any:
    """How an optional value is shown by ``--help``."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=hint)


@dataclass(frozen=True)
class Detect:
    """Say which agents behave unlike their group, at a stated error rate.

    INPUT is a Parquet, CSV or JSON lines file, one row an observation.
    """

    input: Annotated[tyro.conf.Positional[str | None], _value("INPUT")] = None
    """File of observations; or use --synthetic."""

    agent: Annotated[str | None, _value("COL")] = None
    """Column of agents' ids, read as text."""

    features: Annotated[str | None, _value("A,B", "(default: every other numeric column)")] = None
    """Numeric columns, what was observed."""

    levels: Annotated[str | None, _value("COARSE,FINE", "(default: one population)")] = None
    """Columns of groups, from coarse to fine."""

    time: Annotated[str | None, _value("COL")] = None
    """Column of times: numbers, or ISO 8601."""

    baseline_until: Annotated[str | None, _value("T")] = None
    """Compare rows from this time on with those before it."""

    alpha: Annotated[float, _value("RATE", "(default: 0.05)")] = 0.05
    """Error rate over agents."""

    lift: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], _value("COL=SCALE:RANGE", "(repeatable)")
    ] = ()
    """Declare how a feature becomes an integer, in bits; chosen from the data unless given."""

    format: Annotated[Literal["parquet", "csv", "jsonl"] | None, _value("parquet|csv|jsonl")] = None
    """What the file is, where its suffix does not say."""

    synthetic: Annotated[int | None, _value("N")] = None
    """Instead of a file: a built-in fleet of N agents with planted anomalies."""

    seed: Annotated[int, _value("S", "(default: 0)")] = 0
    """Of the built-in fleet."""

    backend: Annotated[
        Literal["cpu", "gpu", "fpga"] | None, _value("cpu|gpu|fpga", "(default: what JAX finds)")
    ] = None
    """Where to compute; the digest is the same."""

    devices: Annotated[int, _value("N", "(default: 1)")] = 1
    """Over how many devices to spread the agents; the digest is the same."""

    out: Annotated[str | None, _value("DIR", "(default: results/detect-DIGEST)")] = None
    """Directory of the result."""

    fail_on_flag: bool = False
    """Exit with status 3 if anyone is flagged."""


@dataclass(frozen=True)
class Consensus:
    """Say what all observers together say about each agent or item, some of them lying.

    INPUT is a Parquet, CSV or JSON lines file of evidence (agent, observer, log_likelihood_ratio) or of
    labels (item, worker, label). Without it, the built-in table of labels is used.
    """

    input: Annotated[tyro.conf.Positional[str | None], _value("INPUT")] = None
    """File of evidence or of labels."""

    truth: Annotated[str | None, _value("FILE")] = None
    """File of item and truth, to compare with afterwards; changes no posterior."""

    observers_lying: Annotated[int | None, _value("F")] = None
    """At most so many observers lie: give bounds that hold whoever they are."""

    gold: Annotated[str | None, _value("FILE")] = None
    """File of items whose label is known, to learn from."""

    prior: Annotated[str | None, _value("A:B", "(default: 1:1)")] = None
    """Prior weights of the hypotheses, the null first."""

    alpha: Annotated[float, _value("RATE", "(default: 0.05)")] = 0.05
    """Error rate of the verdict on each item."""

    reliability: Annotated[
        Literal["temper", "contaminate", "clip"] | None, _value("temper|contaminate|clip")
    ] = None
    """What the column `reliability` does to an item of evidence; nothing unless given."""

    dependent: bool = False
    """Do not assume that honest observers are independent."""

    range_bits: Annotated[int, _value("BITS", "(default: 30)")] = 30
    """Evidence of 2**BITS and more is out of range."""

    retract: Annotated[str | None, _value("A,B")] = None
    """Observers whose every word is taken back."""

    format: Annotated[Literal["parquet", "csv", "jsonl"] | None, _value("parquet|csv|jsonl")] = None
    """What the files are, where their suffixes do not say."""

    backend: Annotated[
        Literal["cpu", "gpu", "fpga"] | None, _value("cpu|gpu|fpga", "(default: what JAX finds)")
    ] = None
    """Where to compute; the digest is the same."""

    out: Annotated[str | None, _value("DIR", "(default: results/consensus-DIGEST)")] = None
    """Directory of the result."""

    fail_on_flag: bool = False
    """Exit with status 3 if anyone is flagged."""


@dataclass(frozen=True)
class Run:
    """Run a config: an experiment's, or the one that a result holds."""

    config: Annotated[tyro.conf.Positional[Path], _value("CONFIG")]
    """TOML file with a [detect], [consensus] or [experiment] table."""

    out: Annotated[str | None, _value("DIR", "(default: under results/)")] = None
    """Directory of the result."""

    fail_on_flag: bool = False
    """Exit with status 3 if anyone is flagged."""


@dataclass(frozen=True)
class Node:
    """Run one node of a cluster, or copy its journal out or in."""

    config: Annotated[str, _value("FILE")]
    """TOML file with a [node] table, as `convergence cluster --prepare` writes it."""

    backup: Annotated[str | None, _value("FILE")] = None
    """Copy the journal to this file and end; the node may be running."""

    restore: Annotated[str | None, _value("FILE")] = None
    """Make the journal from a backup and end; the node has none and is not running."""


@dataclass(frozen=True)
class Cluster:
    """Run a cluster of real processes on this machine, to play with or to be put to the test."""

    nodes: Annotated[int, _value("N", "(default: 5)")] = 5
    """How many."""

    out: Annotated[str | None, _value("DIR", "(default: under results/)")] = None
    """Folder of keys, logs, journals and of the result."""

    scenario: Annotated[
        Literal["cut-heal", "one-way", "crash", "flap"] | None, _value("cut-heal|one-way|crash|flap")
    ] = None
    """Run unattended: load and faults, then everything that was acknowledged is counted again."""

    seconds: Annotated[float | None, _value("S", "(default: 60)")] = None
    """How long faults and load of a scenario last."""

    rate: Annotated[float | None, _value("R", "(default: 1000, at a prompt 50)")] = None
    """Events a second that the load writes to each node; half of what a node may release."""

    seed: Annotated[int, _value("S", "(default: 0)")] = 0
    """Of the faults and the load of a scenario."""

    round_seconds: Annotated[float | None, _value("S", "(default: 0.5, or N/25 if that is more)")] = None
    """How often each node exchanges with another."""

    allow_faults: bool = False
    """Let nodes cut their own links, where a scenario has no network namespaces."""

    prepare: bool = False
    """Only write the files, and say what is where."""


@dataclass(frozen=True)
class Doctor:
    """Say which backends work here, and why the others do not."""


_Command = (
    Annotated[Detect, tyro.conf.subcommand("detect")]
    | Annotated[Consensus, tyro.conf.subcommand("consensus")]
    | Annotated[Node, tyro.conf.subcommand("node")]
    | Annotated[Cluster, tyro.conf.subcommand("cluster")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every error is one line on standard error.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after ``convergence``; those of the process unless given.

    Returns
    -------
    int
        Exit status.
    """
    try:
        command = _parse(sys.argv[1:] if argv is None else argv)
        if isinstance(command, int):
            return command
        with Interruption():
            return _dispatch(command)
    except InputError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-written is left.", INTERRUPTED)
    except MemoryError:
        return _fail("out of memory; give fewer features or agents, or a larger machine.", 2)
    except BrokenPipeError:
        # Whoever read our output has gone; so has the need to flush it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get(_TRACEBACK):
            raise
        said = " ".join(str(error).split())[:200]
        return _fail(f"internal error: {type(error).__name__}: {said}; set {_TRACEBACK}=1 to see where.", 2)


def program() -> NoReturn:
    """The process: :func:`main`, and an end that waits for nobody after an interruption.

    Threads of compiled code may be at work then; taking Python down under them can crash.
    """
    status = main()
    if status == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _fail(line: str, status: int) -> int:
    print(f"convergence: {line}", file=sys.stderr)
    return status


def _parse(words: Sequence[str]) -> Any:
    """The command as typed, or the exit status of ``--help``."""
    boxes = io.StringIO()
    try:
        with redirect_stderr(boxes):
            return tyro.cli(
                _Command,
                prog="convergence",
                description="Watch the behaviour of a million agents.",
                args=list(words),
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if not end.code:
            return 0
        raise InputError(_usage_error(boxes.getvalue())) from None


def _usage_error(boxes: str) -> str:
    """What a box with a usage error says, as one line."""
    lines = [re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯]", "", line).strip() for line in boxes.splitlines()]
    lines = [line for line in lines if line][1:]  # the first one is a title
    parts: list[list[str]] = [[]]
    for line in lines:
        if set(line) <= {"─", "-"}:
            parts.append([])
        else:
            parts[-1].append(line)
    said, *rest = [" ".join(part) for part in parts if part] or ["wrong usage"]
    near = re.search(r"(--[a-z][a-z-]*)", " ".join(rest)) if "Perhaps" in boxes else None
    return f"{said.rstrip('.')}; " + (f"did you mean {near[1]}?" if near else "see `convergence --help`.")


def _dispatch(command: Any) -> int:
    if isinstance(command, Doctor):
        from convergence_jax.commands.doctor import doctor

        return doctor()
    if isinstance(command, Run):
        from convergence_jax.commands.run import run

        return run(command.config, command.out, command.fail_on_flag)
    if isinstance(command, Node):
        from convergence_jax.commands.node import node

        return node(command.config, command.backup, command.restore)
    if isinstance(command, Cluster):
        from convergence_jax.commands.cluster import Options, cluster

        return cluster(Options(**asdict(command)))
    if isinstance(command, Consensus):
        from convergence_jax.commands.consensus import consensus
        from convergence_jax.data.config import ConsensusConfig

        given = {field: getattr(command, field) for field in ConsensusConfig.__struct_fields__}
        return consensus(
            ConsensusConfig(**given | {"retract": _names(command.retract)}), command.out, command.fail_on_flag
        )
    from convergence_jax.commands.detect import detect
    from convergence_jax.data.config import DetectConfig

    lift = {}
    for text in command.lift:
        name, separator, value = text.rpartition("=")
        if not separator:
            raise InputError(f"--lift {text}: write COL=SCALE:RANGE, such as delay=12:16.")
        lift[name] = value
    config = DetectConfig(
        input=command.input,
        format=command.format,
        synthetic=command.synthetic,
        seed=command.seed,
        agent=command.agent,
        features=_names(command.features),
        levels=_names(command.levels),
        time=command.time,
        baseline_until=command.baseline_until,
        alpha=command.alpha,
        lift=lift,
        backend=command.backend,
        devices=command.devices,
    )
    return detect(config, command.out, command.fail_on_flag)


def _names(text: str | None) -> list[str]:
    """Column names separated by commas; a name that has a comma goes into a config."""
    return [] if not text else text.split(",")
