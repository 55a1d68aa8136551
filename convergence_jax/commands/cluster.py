"""``convergence cluster``: real processes on this machine, to play with or to be put to the test."""

import json
import os
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convergence_jax.commands.terminal import Interruption
from convergence_jax.errors import InputError

BROKEN = 1
"""Exit status where a run lost, invented or misstated something."""

RATE, RATE_AT_A_PROMPT = 1000.0, 50.0
"""Events a second: what a machine can well do, and what people can follow."""

TIMELINE = "timeline.svg"
"""Widths of intervals and ages at every node, over an unattended run."""

SECONDS = 60.0
"""How long a scenario lasts."""

_MOST_NODES = 200


@dataclass(frozen=True)
class Options:
    """As the command line gives them.

    Attributes
    ----------
    nodes : int
    out : str or None
        Folder of all files; under ``results/`` unless given.
    scenario : str or None
        An unattended run; a cluster with a prompt unless given.
    seconds : float or None
        Of an unattended run.
    rate : float or None
        Events a second that are written to each node; :data:`RATE` or :data:`RATE_AT_A_PROMPT` unless given.
    seed : int
        Of an unattended run.
    round_seconds : float or None
        How often a node exchanges with another; half a second, and from a dozen nodes on longer, unless
        given: they share one machine.
    allow_faults : bool
        Let nodes cut their own links where there are no network namespaces.
    prepare : bool
        Only write the files.
    """

    nodes: int = 5
    out: str | None = None
    scenario: str | None = None
    seconds: float | None = None
    rate: float | None = None
    seed: int = 0
    round_seconds: float | None = None
    allow_faults: bool = False
    prepare: bool = False


def cluster(options: Options) -> int:
    """Prepare a cluster, run it with a prompt, or put it to an unattended test.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    InputError
        With one line that says what to do.
    """
    _check(options)
    folder = Path(options.out or f"results/cluster-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        if options.prepare:
            return _prepare(options, folder)
        if options.scenario is not None:
            return _unattended(options, folder)
        return _attended(options, folder)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}; choose another --out.") from error


def _check(options: Options) -> None:
    if not 1 <= options.nodes <= _MOST_NODES:
        raise InputError(f"--nodes {options.nodes}: give from 1 to {_MOST_NODES}.")
    if options.rate is not None and not 0.0 < options.rate <= 1e5:
        raise InputError(f"--rate {options.rate:g}: give events a second, above 0 and at most 100000.")
    if options.round_seconds is not None and not 0.05 <= options.round_seconds <= 60.0:
        raise InputError(f"--round-seconds {options.round_seconds:g}: give from 0.05 to 60.")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: give an integer from 0.")
    if options.scenario is None:
        if options.seconds is not None:
            raise InputError("--seconds: is for an unattended run; name its --scenario.")
        return
    if options.prepare:
        raise InputError("--prepare and --scenario: give one of them.")
    if options.nodes < 2:
        raise InputError(f"--nodes {options.nodes}: a scenario needs at least 2.")
    if options.seconds is not None and not 1.0 <= options.seconds <= 1e6:
        raise InputError(f"--seconds {options.seconds:g}: give from 1 to a million.")


def _round_seconds(options: Options) -> float:
    usual = max(0.5, options.nodes / 40)
    return usual if options.round_seconds is None else options.round_seconds


def _prepare(options: Options, folder: Path) -> int:
    from convergence_jax.partition.clusters.local import prepare

    rate = RATE_AT_A_PROMPT if options.rate is None else options.rate
    files = prepare(
        folder,
        options.nodes,
        rate=2 * rate,
        burst=max(1.0, rate / 2),
        round_seconds=_round_seconds(options),
        allow_faults=options.allow_faults,
    )
    print(f"{folder}: a cluster of {options.nodes} nodes on this machine")
    print("  roster.json             the members and what they count, signed")
    print("  roster-authority.pem    the key that signs rosters: keep it away from the nodes")
    print("  certificates/           the authority that issues certificates: keep it away as well")
    print("  clients/client/         what a client shows to write and ask")
    for place in files.places:
        home = f"{place.name}/"
        print(f"  {home:<24}node.toml, keys and journal; peers at {place.address}, clients at {place.http}")
    print(f"start each:  convergence node --config {files.config(files.places[0].name)}")
    return 0


def _unattended(options: Options, folder: Path) -> int:
    from convergence_jax.partition.clusters.scenario import ANSWERS, RESULT, Plan, faults_of, run
    from convergence_jax.report.timeline import moments, timeline

    assert options.scenario is not None
    plan = Plan(
        nodes=options.nodes,
        scenario=options.scenario,
        seconds=SECONDS if options.seconds is None else options.seconds,
        rate=RATE if options.rate is None else options.rate,
        seed=options.seed,
        round_seconds=_round_seconds(options),
    )

    def say(line: str) -> None:
        Interruption.heed()
        print(line, flush=True)

    with ExitStack() as held:
        result = run(plan, folder, _network(options, held), say)
    answers = [json.loads(line) for line in (folder / ANSWERS).read_text(encoding="utf-8").splitlines()]
    first = min((said["instant"] for said in answers if said["what"] == "mean"), default=0)
    cuts = [((begun - first) / 1e9, (ended - first) / 1e9) for begun, ended in result["cuts"]]
    drawn = timeline(moments((said["node"], said) for said in answers), cuts)
    (folder / TIMELINE).write_text(drawn, encoding="utf-8")
    _summarise(result, folder / RESULT)
    print(f"  figure    {folder / TIMELINE}")
    faults = faults_of(result)
    if faults:
        print(f"convergence: {folder}: {'; '.join(faults)}", file=sys.stderr)
        return BROKEN
    return 0


def _network(options: Options, held: ExitStack) -> Any:
    """Network namespaces where this machine has them; None for the nodes' own switch, if that is allowed."""
    from convergence_jax.partition.clusters.namespaces import Namespaces, missing

    lacking = missing()
    if lacking is None:
        return held.enter_context(Namespaces(options.nodes, f"cluster{os.getpid()}"))
    if not options.allow_faults:
        raise InputError(
            f"--scenario: no network namespaces ({lacking}); let nodes cut their links with --allow-faults."
        )
    print(f"no network namespaces ({lacking}): the nodes cut their own links", flush=True)
    return None


def _summarise(result: dict[str, Any], path: Path) -> None:
    """What was counted, then what else was measured."""
    converged, p99 = result["seconds_to_converge"], result["p99_ms"]
    print(
        f"{result['nodes']} nodes, {result['scenario']} for {result['seconds']:g} s: "
        f"{result['acknowledged']:,} events acknowledged, {result['recovered']:,} recovered, "
        f"{result['recounted']:,} in the journals"
    )
    print(f"  digests   {len(set(result['digests']))} on {result['nodes']} nodes", end="")
    print("" if converged is None else f", {converged:.1f} s after healing")
    print(
        f"  queries   {result['answered']:,} of {result['queries']:,} answered; strong and bounded ones: "
        f"{result['refused']:,} refused"
    )
    print(f"  intervals {result['interval_misses']:,} of {result['interval_checks']:,} missed the truth")
    print("  p99       " + ("nothing answered" if p99 is None else f"{p99:.1f} ms, local writes and queries"))
    print(f"  memory    {result['memory_mb']['idle']['max']} MB a node when idle, at most")
    print(f"  result    {path}")


def _attended(options: Options, folder: Path) -> int:
    from convergence_jax.commands.cluster_session import Session
    from convergence_jax.partition.clusters.cluster import Cluster
    from convergence_jax.partition.clusters.local import prepare

    rate = RATE_AT_A_PROMPT if options.rate is None else options.rate
    files = prepare(
        folder,
        options.nodes,
        rate=2 * rate,
        burst=max(1.0, rate / 2),
        round_seconds=_round_seconds(options),
        allow_faults=True,
        http_token=True,
    )
    try:
        with Cluster(files) as running, Session(running, rate) as session:
            print(f"starting {options.nodes} nodes", flush=True)
            running.start()
            for name in running.names:
                print(f"{name}: {session.url(name)}", flush=True)
            if sys.stdin.isatty() and sys.stdout.isatty():
                from convergence_jax.commands.cluster_view import watch

                watch(session)
            else:
                _follow(session)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    print(f"{folder}: keys, logs and journals of the nodes")
    return 0


def _follow(session: Any) -> None:
    """Do what standard input says, a command a line, until it ends."""
    for line in sys.stdin:
        Interruption.heed()
        words = line.partition("#")[0].strip()
        if not words:
            continue
        print(f"> {words}", flush=True)
        said = session.execute(words)
        if said:
            print(said, flush=True)
        if session.ended:
            return
