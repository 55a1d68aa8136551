"""``convergence node``: one member of a cluster, or its backup.

A node replaces the process of the command line by one that has loaded nothing that it does not need: run as
``python -m convergence_jax.commands.node FILE``.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from convergence_jax.errors import InputError
from convergence_jax.partition.nodes.config import NodeConfig, read_config
from convergence_jax.partition.writes.backup import backup, restore


def node(config: str, backup_to: str | None, restore_from: str | None) -> int:
    """Run a node, or copy its journal out, or in.

    Parameters
    ----------
    config : str
        TOML file with a ``[node]`` table.
    backup_to : str or None
        Copy the journal to this file and end; the node may be running.
    restore_from : str or None
        Make the journal from a backup and end; the node has none and is not running.
    """
    if backup_to is not None and restore_from is not None:
        raise InputError("--backup and --restore: give one of them.")
    found = read_config(config)
    if backup_to is not None:
        backup(_journal(found), backup_to)
        print(f"{backup_to}: holds the journal of {found.name}")
        return 0
    if restore_from is not None:
        restore(restore_from, _journal(found), node=found.name)
        print(f"{_journal(found)}: restored; start the node, and it reads its rows back from every peer")
        return 0
    sys.stdout.flush()
    return os.execv(sys.executable, [sys.executable, "-m", "convergence_jax.commands.node", str(config)])


def _journal(config: NodeConfig) -> Path:
    from convergence_jax.partition.nodes.node import JOURNAL

    return Path(config.data) / JOURNAL


ATTENDED = "--attended"
"""Word after the file for a node that another process keeps: it ends when its standard input does."""


async def _serve(config: NodeConfig, attended: bool) -> None:
    from convergence_jax.partition.nodes.http_api import HttpApi
    from convergence_jax.partition.nodes.node import Node
    from convergence_jax.transport.memory import release_startup_memory

    running = Node(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.stop)
    if attended:
        loop.add_reader(sys.stdin.fileno(), running.stop)
    api = HttpApi(running) if config.http else None
    if api is not None and config.http:
        address = await api.server.start(config.http)
        scheme = "http" if config.http_token else "https"
        print(f"{config.name}: {scheme}://{address}/", flush=True)
    release_startup_memory()
    try:
        await running.run()
    finally:
        if attended:
            loop.remove_reader(sys.stdin.fileno())
        if api is not None:
            await api.server.stop()


def main(path: str, *words: str) -> int:
    """The lean process: exit status 2 with one line if it cannot go on."""
    try:
        asyncio.run(_serve(read_config(path), ATTENDED in words))
    except (InputError, OSError) as error:
        print(f"convergence: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
