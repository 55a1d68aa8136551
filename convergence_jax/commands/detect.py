"""``convergence detect``: which agents behave unlike their group."""

import dataclasses
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from convergence_jax.commands.execution import start_fpga, start_jax
from convergence_jax.commands.terminal import progress_bars
from convergence_jax.data.columns import Until
from convergence_jax.data.config import DetectConfig, to_toml
from convergence_jax.data.readers import open_source
from convergence_jax.data.results import ResultDirectory
from convergence_jax.data.source import Selection, Source, numeric_features
from convergence_jax.errors import InputError, closest
from convergence_jax.exact.fixed_point import FixedPoint

FLAGGED = 3
"""Exit status where someone is flagged and ``--fail-on-flag`` is given."""


def detect(config: DetectConfig, out: str | Path | None, fail_on_flag: bool) -> int:
    """Run a resolved or unresolved config, write its result, print the verdict.

    Parameters
    ----------
    config : DetectConfig
        Where no features are named, all numeric columns that have no other part.
    out : str or Path, optional
        Directory of the result; ``results/detect-<digest>`` unless given.
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
    lifts = _lifts(config)
    backend = start_fpga(config.devices) if config.backend == "fpga" else None
    if config.input is not None:
        source: Source = open_source(config.input, config.format)
    else:
        # The fleet is made with JAX, so JAX starts first.
        if backend is None:
            start_jax(config.backend, config.devices)
        from convergence_jax.data.synthetic import AGENT, LEVELS, synthetic

        assert config.synthetic is not None
        source = synthetic(config.synthetic, config.seed)
        config = msgspec.structs.replace(
            config, agent=config.agent or AGENT, levels=config.levels or list(LEVELS)
        )
    config, chosen = _resolve(config, source, lifts)
    with ResultDirectory(out) as results:
        if config.input is not None and backend is None:
            start_jax(config.backend, config.devices)
        result, agents = _run(config, source, lifts, chosen, backend, results)
    _summarise(result, agents, results.path)
    return FLAGGED if fail_on_flag and result["decision"]["flagged"] else 0


def _check(config: DetectConfig) -> None:
    if (config.input is None) == (config.synthetic is None):
        raise InputError("detect: give either a file or --synthetic N.")
    if not 0 < config.alpha < 1:
        raise InputError(f"--alpha {config.alpha}: give an error rate between 0 and 1.")
    if config.baseline_until is not None and config.time is None:
        raise InputError("--baseline-until: name the column of times with --time.")
    if config.baseline_until is not None:
        Until.parse(config.baseline_until)


def _resolve(config: DetectConfig, source: Source, lifts: dict[str, FixedPoint]) -> tuple[DetectConfig, str]:
    """Fill in the columns, and say how the features were chosen."""
    agent = config.agent
    if agent is None:
        names = [column.name for column in source.columns()]
        raise InputError(f"{source.name}: --agent is needed, the column of agents' ids{closest('', names)}")
    chosen = "as named"
    if not config.features:
        chosen = "all numeric columns that have no other part"
        found = numeric_features(source, agent, config.levels, config.time)
        config = msgspec.structs.replace(config, features=list(found))
    selection = Selection(agent, tuple(config.levels), tuple(config.features), config.time)
    selection.check(source.columns(), source.name)
    for name in lifts:
        if name not in config.features:
            raise InputError(f"--lift {name}: is no chosen feature{closest(name, config.features)}")
    return config, chosen


def _run(
    config: DetectConfig,
    source: Source,
    lifts: dict[str, FixedPoint],
    chosen: str,
    backend: Any,
    results: ResultDirectory,
) -> tuple[dict[str, Any], Any]:
    """Detect, and put the files of the result in their directory."""
    from convergence_jax.detector import detect as find

    with progress_bars() as progress:
        detection = find(
            source,
            agent=str(config.agent),
            features=config.features,
            levels=config.levels,
            time=config.time,
            until=config.baseline_until,
            alpha=config.alpha,
            lifts=lifts or None,
            devices=config.devices,
            backend=backend,
            progress=progress,
        )
    result = dict(detection.result)
    result["input"] = {**result["input"], "features_chosen": chosen}
    result["command"] = command(config)
    truth = getattr(source, "planted", None)
    if truth is not None:
        result["planted"] = _against_truth(truth(), detection.agents)
    results.place(f"detect-{result['digest'][:12]}")
    results.write_json("result.json", result)
    results.write_table("agents.parquet", detection.agents)
    results.write_text("config.toml", to_toml(config))
    from convergence_jax.report.detection import page_of
    from convergence_jax.report.page import render

    page = page_of(
        dataclasses.replace(detection, result=result), command=result["command"], subject=source.name
    )
    results.write_text("report.html", render(page))
    return result, detection.agents


def command(config: DetectConfig) -> str:
    """The command line that runs a config again."""
    words = ["convergence", "detect"]
    if config.input is not None:
        words.append(config.input)
    else:
        words += ["--synthetic", str(config.synthetic), "--seed", str(config.seed)]
    if config.input is not None or config.agent != "agent":
        words += ["--agent", str(config.agent)]
    for name, values in (("--features", config.features), ("--levels", config.levels)):
        if values:
            words += [name, ",".join(values)]
    for name, value in (
        ("--format", config.format),
        ("--time", config.time),
        ("--baseline-until", config.baseline_until),
        ("--alpha", config.alpha),
        ("--backend", config.backend),
        ("--devices", config.devices if config.devices > 1 else None),
    ):
        if value is not None:
            words += [name, str(value)]
    for name, lift in config.lift.items():
        words += ["--lift", f"{name}={lift}"]
    return shlex.join(words)


def _against_truth(planted: dict[str, str], agents: Any) -> dict[str, Any]:
    """How many planted agents were found, of each kind, and how many flagged ones are healthy."""
    flagged = set(agents.filter(agents["flagged"])["agent"].to_pylist())
    kinds = sorted(set(planted.values()))
    return {
        "agents": len(planted),
        "found": len(flagged & planted.keys()),
        "flagged_healthy": len(flagged - planted.keys()),
        "kinds": {
            kind: {
                "agents": sum(value == kind for value in planted.values()),
                "found": sum(planted.get(name) == kind for name in flagged),
            }
            for kind in kinds
        },
    }


def _lifts(config: DetectConfig) -> dict[str, FixedPoint]:
    lifts = {}
    for name, text in config.lift.items():
        scale, separator, range_ = text.partition(":")
        try:
            if not separator:
                raise ValueError("a colon is missing.")
            lifts[name] = FixedPoint(int(scale), int(range_))
        except ValueError as error:
            raise InputError(
                f"--lift {name}={text}: {error} Write COL=SCALE:RANGE, such as delay=12:16."
            ) from None
    return lifts


def _summarise(result: dict[str, Any], agents: Any, path: Path | None) -> None:
    """The verdict first, then what it rests on and where the rest is."""
    from rich.console import Console

    inputs, decision = result["input"], result["decision"]
    flagged = decision["flagged"]
    console = Console(highlight=False, soft_wrap=True, markup=False)
    say, width = console.print, console.width
    verdict = f"{flagged:,} of {inputs['agents']:,} agents flagged at error rate {decision['alpha']:g}"
    say(
        verdict
        if flagged
        else f"Nobody of {inputs['agents']:,} agents flagged at error rate {decision['alpha']:g}"
    )
    lines = textwrap.wrap(decision["method"], width=min(100, width) - 12)
    say("  method    " + ("\n" + " " * 12).join(lines))
    for index, line in enumerate(_worst(agents, inputs["levels"])):
        say(f"  {'unusual' if not index else '':<10}{line}")
    rejected = inputs["rejected"]
    say(f"  rows      {inputs['rows']:,}, rejected {sum(rejected.values()):,}" + reasons(rejected))
    if "planted" in result:
        planted = result["planted"]
        say(
            f"  planted   {planted['agents']:,}: {planted['found']:,} found; "
            f"{planted['flagged_healthy']:,} healthy agents flagged"
        )
    say(f"  digest    {result['digest']}")
    say(f"  seconds   {sum(result['seconds'].values()):.1f}")
    say(f"  report    {path}/report.html")


def _worst(agents: Any, levels: Sequence[str]) -> list[str]:
    """The flagged agents with the smallest q-values, five at most, each with its group."""
    flagged = agents.filter(agents["flagged"]).sort_by([("q_value", "ascending"), ("agent", "ascending")])
    rows = flagged.slice(0, 5).to_pylist()
    return [
        f"{'/'.join([row['agent'], *(str(row[name]) for name in levels)])}  q {row['q_value']:.2g}"
        for row in rows
    ]


def reasons(rejected: dict[str, int]) -> str:
    """The commonest reasons for which rows were rejected, in brackets."""
    if not rejected:
        return ""
    most = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{reason} {count:,}" for reason, count in most[:4])
    return f" ({listed}{', …' if len(most) > 4 else ''})"
