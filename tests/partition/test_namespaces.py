"""Network namespaces: who reaches whom under real cuts, and that nothing of them is left."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from probes import Probes

from convergence_jax.errors import InputError
from convergence_jax.partition.clusters.namespaces import Namespaces, missing

NODES = 5
NAMES = Path("/var/run/netns")


def prefix(letter: str) -> str:
    """A prefix that no other run of these tests has."""
    return f"{letter}{os.getpid()}"


def left(start: str) -> list[str]:
    """Namespaces that there are."""
    return sorted(entry.name for entry in NAMES.iterdir() if entry.name.startswith(f"{start}-"))


def here() -> str:
    """Which network this thread is in."""
    return os.readlink("/proc/thread-self/ns/net")


def devices() -> str:
    """The network devices of where this thread is."""
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def able(require: Callable[[str, bool, str], None]) -> None:
    """Skip what this machine cannot do."""
    reason = missing()
    require("namespaces", reason is None, f"no network namespaces: {reason}")


@pytest.fixture(scope="module")
def network(able: None) -> Iterator[Namespaces]:
    """Five nodes for all tests."""
    with Namespaces(NODES, prefix("n")) as built:
        yield built


@pytest.fixture
def probes(network: Namespaces) -> Iterator[Probes]:
    """Sockets in them, and no cuts before or after."""
    network.heal()
    with Probes(network) as opened:
        yield opened
    network.heal()


def test_every_node_reaches_every_other(probes: Probes) -> None:
    assert probes.reached(probes.links()) == probes.links()


def test_a_cut_parts_groups_and_leaves_each_whole(network: Namespaces, probes: Probes) -> None:
    network.cut([[0, 1], [2]])  # and nodes 3 and 4, which are in neither
    side = {0: "a", 1: "a", 2: "b", 3: "c", 4: "c"}
    within = {(a, b) for a, b in probes.links() if side[a] == side[b]}
    assert probes.reached(within) == within
    network.cut([[4]])
    within = {(a, b) for a, b in probes.links() if 4 not in (a, b)}
    assert probes.reached(within) == within
    network.heal()
    assert probes.reached(probes.links()) == probes.links()


def test_a_cut_in_one_direction_leaves_the_other(network: Namespaces, probes: Probes) -> None:
    network.cut_one_way([(0, 1), (3, 2)])
    kept = probes.links() - {(0, 1), (3, 2)}
    assert probes.reached(kept) == kept
    network.cut_one_way([(1, 0)])
    kept = probes.links() - {(1, 0)}
    assert probes.reached(kept) == kept


def test_a_cut_holds_from_the_moment_the_call_returns(network: Namespaces, probes: Probes) -> None:
    assert probes.series((0, 1), range(3)) == [0, 1, 2]
    for first in range(0, 1000, 100):
        probes.send((0, 1), b"%d" % first)
        network.cut([[0]])
        assert set(probes.series((0, 1), range(first + 1, first + 20))) <= {first}
        network.heal()
        assert probes.series((0, 1), range(first + 50, first + 53)) == [first + 50, first + 51, first + 52]


def test_a_cut_takes_hold_within_50_milliseconds(network: Namespaces) -> None:
    def seconds(action: Callable[[], object]) -> float:
        started = time.perf_counter()
        action()
        return time.perf_counter() - started

    # On a machine that others keep busy, starting any program takes long: the best of many tries, and a bound
    # that moves with what it costs to start one that does nothing.
    nothing = network.command(0, ["true"])
    idle = min(seconds(lambda: subprocess.run(nothing, check=True)) for _ in range(10))
    cut = min(seconds(lambda: network.cut([[0, 1]])) for _ in range(20))
    network.heal()
    assert cut <= max(0.050, 5 * idle)


def test_loss_is_the_share_that_was_asked_for(network: Namespaces, probes: Probes) -> None:
    network.lossy([(0, 1)], 30)
    sent = 4000
    arrived = len(probes.series((0, 1), range(sent)))
    deviation = (0.3 * 0.7 / sent) ** 0.5
    assert abs(1 - arrived / sent - 0.3) < 6 * deviation  # one run in 500 million is further off
    assert len(probes.series((1, 0), range(500))) == 500
    network.lossy([(1, 0)], 100)
    assert len(probes.series((0, 1), range(500))) == 500
    assert probes.series((1, 0), range(50)) == []
    network.lossy([(1, 0)], 0)
    assert len(probes.series((1, 0), range(500))) == 500
    network.lossy([(1, 0)], 100)
    network.heal()
    assert len(probes.series((1, 0), range(500))) == 500


SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], 80)) as server:
    print(flush=True)
    connection, _ = server.accept()
    with connection:
        connection.sendall(connection.recv(9))
"""


def test_whoever_built_it_reaches_every_node_whatever_is_cut(network: Namespaces) -> None:
    network.cut([[node] for node in range(NODES)])
    for node in range(NODES):
        answering = network.command(node, [sys.executable, "-c", SERVER, network.address(node)])
        with subprocess.Popen(answering, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with socket.create_connection((network.address(node), 80), 5) as connection:
                connection.sendall(b"question")
                assert connection.recv(9) == b"question"
    network.heal()


def test_a_command_runs_where_its_node_is_and_takes_signals(network: Namespaces) -> None:
    shown = network.command(3, ["ip", "-o", "-4", "addr"])
    said = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert f" {network.address(3)}/" in said
    assert len(said.splitlines()) == 2  # and the loopback
    with subprocess.Popen(network.command(3, ["sleep", "60"])) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


def test_nothing_is_left_and_the_thread_is_back(able: None) -> None:
    before = here(), devices()
    start = prefix("c")
    with Namespaces(2, start) as built:
        assert here() != before[0]
        assert left(start) == [f"{start}-0", f"{start}-1", f"{start}-switch"]
        process = subprocess.Popen(built.command(1, ["sleep", "60"]))
        time.sleep(0.1)
    assert process.wait(10) == -signal.SIGKILL
    assert left(start) == []
    assert (here(), devices()) == before
    built.close()  # once more does nothing
    assert (here(), devices()) == before


KILLED = """
import subprocess, sys, time
from convergence_jax.partition.clusters.namespaces import Namespaces
with Namespaces(3, sys.argv[1]) as built:
    sleep = built.command(2, ["sleep", "600"])
    left = subprocess.Popen(sleep, start_new_session=True, stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    print(left.pid, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_left_is_removed_by_the_next(able: None) -> None:
    start = prefix("k")
    with subprocess.Popen([sys.executable, "-c", KILLED, start], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        sleeper = int(run.stdout.readline())
        with pytest.raises(InputError, match=rf"a run with prefix {start} goes on; take another"):
            Namespaces(1, start).__enter__()
        assert len(left(start)) == 4
        run.kill()
    assert len(left(start)) == 4
    with Namespaces(2, start):
        assert left(start) == [f"{start}-0", f"{start}-1", f"{start}-switch"]
        ends = time.monotonic() + 10
        while alive(sleeper) and time.monotonic() < ends:
            time.sleep(0.01)
        assert not alive(sleeper)
    assert left(start) == []


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be asked about does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_runs_side_by_side_do_not_meet(able: None, network: Namespaces, probes: Probes) -> None:
    with Namespaces(NODES, prefix("p")) as other, Probes(other) as beside:
        other.cut([[0, 1, 2, 3, 4], []])
        other.cut([[node] for node in range(NODES)])
        assert probes.reached(probes.links()) == probes.links()
        assert beside.reached(()) == set()
        assert all(beside.take(node) == [] for node in range(NODES))
    assert probes.reached(probes.links()) == probes.links()


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Have only these programs, each a shell script."""
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_what_is_missing_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing() == "they take the superuser"
    programs(tmp_path, monkeypatch)
    assert missing() == "there is no program ip; install iproute2"
    programs(tmp_path, monkeypatch, ip="exit 0")
    assert missing() == "there is no program nft; install nftables"
    refused = "echo 'RTNETLINK answers: Operation not permitted' >&2; exit 2"
    programs(tmp_path, monkeypatch, ip=refused, nft="exit 0")
    assert missing() == "network namespaces: the kernel refuses: RTNETLINK answers: Operation not permitted"


def test_what_fails_half_way_is_undone(able: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, start = here(), prefix("h")
    whole = os.environ["PATH"]
    programs(tmp_path, monkeypatch, nft="echo 'netlink: Error: cache initialization failed' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{whole}")
    with pytest.raises(InputError) as caught:
        Namespaces(3, start).__enter__()
    assert str(caught.value) == (
        "network namespaces: nft refuses: netlink: Error: cache initialization failed."
    )
    assert left(start) == []
    assert here() == before


def test_nodes_and_names_that_cannot_be_are_refused(network: Namespaces) -> None:
    for count in (0, 1001):
        with pytest.raises(ValueError, match="count must be from 1 to 1000"):
            Namespaces(count, "a")
    for name in ("", "a-b", "A", "1a", "a/../b", "a" * 21, "a b", "a\n"):
        with pytest.raises(ValueError, match="prefix must be"):
            Namespaces(1, name)
    with pytest.raises(ValueError, match="nodes are 0 to 4, got 5"):
        network.cut([[5]])
    with pytest.raises(ValueError, match="node 1 is in two groups"):
        network.cut([[0, 1], [1]])
    with pytest.raises(ValueError, match="nodes are 0 to 4, got -1"):
        network.address(-1)
    for percent in (-1, 101, float("nan")):
        with pytest.raises(ValueError, match="percent must be from 0 to 100"):
            network.lossy([(0, 1)], percent)


def test_addresses_differ() -> None:
    many = Namespaces(1000, "a")
    addresses = {many.address(node) for node in range(1000)}
    assert len(addresses) == 1000
    assert all(1 <= int(address.rpartition(".")[2]) <= 250 for address in addresses)
