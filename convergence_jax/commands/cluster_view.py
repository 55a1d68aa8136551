"""The table of ``convergence cluster``: printed once, or live above a prompt."""

import io
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from convergence_jax.errors import InputError
from convergence_jax.partition.clusters.cluster import Cluster

if TYPE_CHECKING:
    from convergence_jax.commands.cluster_session import Session

_BAR = 10
_MATRIX = 12
"""Nodes whose ages are shown one by one; of more, only the oldest."""

_RANGE = 1000.0
_WIDEST = 1000
_MOST_SPARED = 3
_EVERY_SECONDS = 1.0

Statuses = Mapping[str, dict[str, Any] | None]


def table(statuses: Statuses, cluster: Cluster) -> str:
    """The table as plain text, as wide as it needs to be."""
    text = io.StringIO()
    console = Console(file=text, width=_WIDEST, color_system=None, highlight=False)
    console.print(_table(statuses, cluster, 0))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())


def _fitting(statuses: Statuses, cluster: Cluster, console: Console) -> Table:
    """The fullest table that fits the terminal."""
    options = console.options.update(max_width=_WIDEST)
    for spared in range(_MOST_SPARED + 1):
        made = _table(statuses, cluster, spared)
        if Measurement.get(console, options, made).maximum <= console.width:
            break
    return made


def _table(statuses: Statuses, cluster: Cluster, spared: int) -> Table:
    """The table; of what takes room, ages of all nodes are spared first, then bars, then names and bytes."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    matrix = spared < 1 and len(cluster.names) <= _MATRIX
    made.add_column("node", no_wrap=True)
    made.add_column("links", no_wrap=True)
    ages = [f"age {name}" for name in cluster.names] if matrix else ["oldest"]
    for heading in ("acknowledged", "backlog", *(["sent kB"] if spared < 3 else []), *ages, "mean"):
        made.add_column(heading, justify="right", no_wrap=True)
    for heading in ("certainly in", *(["width"] if spared < 2 else []), "digest"):
        made.add_column(heading, no_wrap=True)
    for name, said in statuses.items():
        row = _row(name, said, cluster, matrix, spared)
        made.add_row(*(Text(cell) for cell in row))  # Text: brackets are no markup
    return made


def _row(name: str, said: dict[str, Any] | None, cluster: Cluster, matrix: bool, spared: int) -> list[str]:
    links = _links(name, cluster, names=spared < 3)
    if said is None:
        return [name, "down" if cluster.life(name) is None else "no answer"]
    ages = [origin["age_seconds"] for origin in said["origins"]]
    if not matrix:
        ages = [None if None in ages else max(ages)]
    answer = next(answer for answer in said["answers"] if answer["what"] == "mean")
    lower, upper = answer["lower"], answer["upper"]
    known = lower is not None and upper is not None
    return [
        name,
        links,
        f"{said['acknowledged']:,}",
        f"{sum(said['backlog'].values()):,}",
        *([f"{said['bytes']['sent'] / 1000:.1f}"] if spared < 3 else []),
        *("∞" if age is None else f"{age:.1f}" for age in ages),
        "-" if answer["value"] is None else f"{answer['value']:.1f}",
        f"[{lower:.1f}, {upper:.1f}]" if known else "unbounded",
        *([_bar((upper - lower) / _RANGE if known else 1.0)] if spared < 2 else []),
        said["digest"][: 10 if spared < 3 else 6],
    ]


def _links(name: str, cluster: Cluster, *, names: bool) -> str:
    away = {b for a, b in cluster.cuts if a == name}
    back = {a for a, b in cluster.cuts if b == name}
    if not away and not back:
        return "connected"
    if not names:
        return "cut" if away == back else "one way"
    if away == back:
        others = [other for other in cluster.names if other in away]
        return "cut from " + (" ".join(others) if len(others) <= 4 else f"{len(others)} nodes")
    parts = [f"{word} {' '.join(sorted(nodes))}" for word, nodes in (("not to", away), ("not from", back))]
    return ", ".join(part for part, nodes in zip(parts, (away, back), strict=True) if nodes)


def _bar(share: float) -> str:
    filled = min(_BAR, max(0, round(share * _BAR)))
    return "█" * filled + "·" * (_BAR - filled)


def watch(session: "Session") -> None:
    """Show the table anew each second, and do what is typed below it, until ``quit`` or Ctrl-C."""
    handle = sys.stdin.fileno()
    former = termios.tcgetattr(handle)
    console = Console(highlight=False)
    shown: list[Any] = [_fitting(session.statuses(), session.cluster, console)]
    ended = threading.Event()

    def sweep() -> None:
        while not ended.wait(_EVERY_SECONDS):
            shown[0] = _fitting(session.statuses(), session.cluster, console)

    sweeping = threading.Thread(target=sweep, daemon=True)
    typed, said = "", "help lists the commands; quit ends"
    tty.setcbreak(handle)
    try:
        sweeping.start()
        with Live(console=console, auto_refresh=False) as live:
            while not session.ended:
                live.update(Group(shown[0], Text(said, style="dim"), Text(f"> {typed}▏")), refresh=True)
                if not select.select([handle], [], [], 0.25)[0]:
                    continue
                for character in os.read(handle, 1024).decode(errors="ignore"):
                    if character in "\r\n":
                        said, typed = _do(session, typed), ""
                    elif character in "\x7f\b":
                        typed = typed[:-1]
                    elif character == "\x04" and not typed:
                        session.ended = True
                    elif character == "\x15":
                        typed = ""
                    elif character.isprintable():
                        typed += character
    except KeyboardInterrupt:
        session.ended = True
    finally:
        ended.set()
        termios.tcsetattr(handle, termios.TCSADRAIN, former)
        if sweeping.is_alive():
            sweeping.join()


def _do(session: "Session", line: str) -> str:
    if not line.strip() or line.split()[0] == "show":
        return ""
    try:
        return session.execute(line.strip())
    except InputError as error:
        return str(error)
