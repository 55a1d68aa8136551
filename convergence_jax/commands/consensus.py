"""``convergence consensus``: what all observers together say, some of them lying."""

import re
import shlex
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any

from convergence_jax.commands.detect import FLAGGED, reasons
from convergence_jax.commands.execution import start_fpga, start_jax
from convergence_jax.commands.terminal import progress_bars
from convergence_jax.data.config import ConsensusConfig, to_toml
from convergence_jax.data.evidence_file import kind_of
from convergence_jax.data.readers import open_source
from convergence_jax.data.results import ResultDirectory
from convergence_jax.data.source import Source
from convergence_jax.errors import InputError


def consensus(config: ConsensusConfig, out: str | Path | None, fail_on_flag: bool) -> int:
    """Run a config, write its result, print what was found.

    Parameters
    ----------
    config : ConsensusConfig
        Without a file, the built-in table of labels.
    out : str or Path, optional
        Directory of the result; ``results/consensus-<digest>`` unless given.
    fail_on_flag : bool
        Return 3 where someone is flagged.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    InputError
        With one line that says what to do.
    """
    _check(config)
    files: dict[str, Source] = {
        name: open_source(path, config.format)
        for name in ("input", "truth", "gold")
        if (path := getattr(config, name)) is not None
    }
    kind = kind_of(files["input"]) if "input" in files else "labels"
    _check_kind(config, kind)
    with ResultDirectory(out) as results:
        backend = _start(config)
        with progress_bars() as progress:
            if kind == "evidence":
                outcome = _evidence(config, files, backend, progress)
            else:
                outcome = _labels(config, files, progress)
        result = outcome.result
        result["command"] = command(config)
        results.place(f"consensus-{result['digest'][:12]}")
        results.write_json("result.json", result)
        results.write_table("posteriors.parquet", outcome.posteriors)
        results.write_table("observers.parquet", outcome.observers)
        results.write_text("config.toml", to_toml(config))
        from convergence_jax.report.consensus import page_of
        from convergence_jax.report.consensus_page import render

        results.write_text("report.html", render(page_of(outcome, command=result["command"])))
    _summarise(outcome, results.path)
    return FLAGGED if fail_on_flag and result["decision"]["verdicts"]["flag"] else 0


def _check(config: ConsensusConfig) -> None:
    if not 0 < config.alpha < 1:
        raise InputError(f"--alpha {config.alpha}: give an error rate between 0 and 1.")
    if not 1 <= config.range_bits <= 1024:
        raise InputError(f"--range-bits {config.range_bits}: give from 1 to 1024.")
    if config.observers_lying is not None and config.observers_lying < 0:
        raise InputError(f"--observers-lying {config.observers_lying}: give 0 or more.")
    prior_of(config.prior)


_WEIGHT = re.compile(r"[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,3})?|[0-9]+/[0-9]+")
_LONGEST_PRIOR = 1000


def prior_of(text: str | None) -> tuple[Fraction, ...]:
    """Prior weights as they are typed, ``1:1`` or ``1000:1``.

    Raises
    ------
    InputError
        If they are not positive numbers with colons between them.
    """
    if text is None:
        return ()
    parts = text.split(":")
    try:
        sound = len(text) < _LONGEST_PRIOR and all(_WEIGHT.fullmatch(part) for part in parts)
        weights = tuple(Fraction(part) for part in parts) if sound else ()
    except ZeroDivisionError:
        weights = ()
    if len(weights) < 2 or min(weights) <= 0:
        raise InputError(f"--prior {text}: write positive weights, the null first, such as 1000:1.")
    return weights


_ONLY_EVIDENCE = ("observers_lying", "prior", "reliability", "dependent", "range_bits", "retract")


def _check_kind(config: ConsensusConfig, kind: str) -> None:
    if kind == "evidence" and config.gold is not None:
        raise InputError("--gold: is for labels, and this is evidence; leave it out.")
    if kind == "labels":
        if config.backend == "fpga":
            raise InputError(
                "--backend fpga: sums evidence, and these are labels, whose models run on JAX; leave it out."
            )
        usual = ConsensusConfig()
        for name in _ONLY_EVIDENCE:
            if getattr(config, name) != getattr(usual, name):
                flag = name.replace("_", "-")
                raise InputError(f"--{flag}: is for evidence, and these are labels; leave it out.")


def _start(config: ConsensusConfig) -> Any:
    """What sums the evidence, if not JAX: it starts either way, for everything after the sums."""
    if config.backend != "fpga":
        start_jax(config.backend)
        return None
    host = start_fpga().host
    from convergence_jax.fpga.evidence import FpgaEvidence

    return FpgaEvidence(host)


def _evidence(config: ConsensusConfig, files: dict[str, Source], backend: Any, progress: Any) -> Any:
    from convergence_jax.consensus.evidence_run import Options, weigh

    options = Options(
        alpha=config.alpha,
        liars=config.observers_lying,
        prior=prior_of(config.prior),
        reliability=config.reliability,
        dependent=config.dependent,
        range_bits=config.range_bits,
        retract=tuple(config.retract),
    )
    return weigh(files["input"], options, truth=files.get("truth"), backend=backend, progress=progress)


def _labels(config: ConsensusConfig, files: dict[str, Source], progress: Any) -> Any:
    from convergence_jax.consensus.labels_run import judge

    return judge(
        files.get("input"),
        truth=files.get("truth"),
        gold=files.get("gold"),
        alpha=config.alpha,
        progress=progress,
    )


def command(config: ConsensusConfig) -> str:
    """The command line that runs a config again."""
    words = ["convergence", "consensus"] + ([] if config.input is None else [config.input])
    for name in ("truth", "gold", "observers_lying", "prior", "alpha", "reliability", "format", "backend"):
        value = getattr(config, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if config.dependent:
        words.append("--dependent")
    if config.range_bits != ConsensusConfig().range_bits:
        words += ["--range-bits", str(config.range_bits)]
    if config.retract:
        words += ["--retract", ",".join(config.retract)]
    return shlex.join(words)


def _summarise(outcome: Any, path: Path | None) -> None:
    """The verdicts first, then what they rest on and where the rest is."""
    from rich.console import Console

    result = outcome.result
    decision = result["decision"]
    console = Console(highlight=False, soft_wrap=True, markup=False)
    say, width = console.print, min(100, console.width) - 12
    verdicts = decision["verdicts"]
    noun = "agents" if result["mode"] == "evidence" else "items"
    flagged = f"{verdicts['flag']:,} flagged, " if result["mode"] == "evidence" else ""
    lying = decision.get("observers_lying")
    whom = f", with at most {lying:,} of {result['observers']:,} observers lying" if lying is not None else ""
    rest = f"{verdicts['clear']:,} clear, {verdicts['undetermined']:,} undetermined{whom}"
    say(f"{result['items']:,} {noun}: {flagged}{rest}")
    if decision.get("reason"):
        say("  undecided " + ("\n" + " " * 12).join(textwrap.wrap(decision["reason"], width=width)))
    say("  method    " + ("\n" + " " * 12).join(textwrap.wrap(decision["method"], width=width)))
    worst = outcome.observers.filter(outcome.observers["suspicious"]).sort_by("suspicion_rank")
    for index, row in enumerate(worst.slice(0, 3).to_pylist()):
        say(f"  {'observers' if not index else '':<10}{row['observer']}: {row['reason']}")
    rejected = result["rejected"]
    say(f"  rows      {result['input']['rows']:,}, rejected {sum(rejected.values()):,}" + reasons(rejected))
    if "accuracy" in result:
        truth = result["truth"]
        say(
            f"  truth     accuracy {result['accuracy']:.4f}, log-loss {result['log_loss']:.4f}, calibration "
            f"error {result['calibration_error']:.4f}; {truth['decided']:,} decided, "
            f"{truth['decided_wrong']:,} of them wrong"
        )
    say(f"  digest    {result['digest']}")
    say(f"  seconds   {sum(result['seconds'].values()):.1f}")
    say(f"  report    {path}/report.html")
