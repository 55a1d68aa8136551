"""The switch in user space: each fault is made as asked, the same whenever the seed is the same."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path as File

import pytest
from probes import Probes
from tun_switch import PERFECT, Path, TunSwitch
from tun_switch import missing as no_tun

from convergence_jax.partition.clusters.namespaces import missing

LINK = (0, 1)
BACK = (1, 0)


def prefix(letter: str) -> str:
    """A prefix that no other run of these tests has."""
    return f"{letter}{os.getpid()}"


@pytest.fixture(scope="module")
def able(require: Callable[[str, bool, str], None]) -> None:
    """Skip what this machine cannot do."""
    reason = missing() or no_tun()
    require("namespaces", reason is None, f"no network namespaces: {reason}")


@pytest.fixture(scope="module")
def switch(able: None) -> Iterator[TunSwitch]:
    """Three nodes for all tests."""
    with TunSwitch(3, prefix("s")) as built:
        yield built


@pytest.fixture
def probes(switch: TunSwitch) -> Iterator[Probes]:
    """Sockets in them, over perfect links."""
    with Probes(switch) as opened:
        switch.heal()
        switch.shape(opened.links(), PERFECT)
        yield opened


def test_every_node_reaches_every_other_and_so_does_the_builder(switch: TunSwitch, probes: Probes) -> None:
    assert probes.reached(probes.links()) == probes.links()
    switch.cut([[node] for node in range(switch.count)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.settimeout(5)
        outside.sendto(b"question", (switch.address(2), 9000))
        ends = time.monotonic() + 5
        while time.monotonic() < ends:
            try:
                content, asker = probes.sockets[2].recvfrom(100)
                break
            except BlockingIOError:
                time.sleep(0.001)
        probes.sockets[2].sendto(content, asker)
        assert outside.recv(100) == b"question"


def test_a_link_is_cut_in_one_direction_or_between_groups(switch: TunSwitch, probes: Probes) -> None:
    switch.cut_one_way([LINK])
    kept = probes.links() - {LINK}
    assert probes.reached(kept) == kept
    switch.cut([[0, 1], [2]])
    assert probes.reached({LINK, BACK}) == {LINK, BACK}
    switch.heal()
    assert probes.reached(probes.links()) == probes.links()


def flights(probes: Probes, link: tuple[int, int], count: int) -> list[float]:
    """Seconds that datagrams take, one after the other."""
    taken = []
    for number in range(count):
        started = time.monotonic()
        probes.send(link, str(number).encode())
        while not probes.take(link[1]):
            assert time.monotonic() < started + 10
            time.sleep(0.0005)
        taken.append(time.monotonic() - started)
    return taken


def test_a_delay_is_never_shorter_than_asked_and_of_one_direction(switch: TunSwitch, probes: Probes) -> None:
    switch.shape([LINK], Path(delay_seconds=0.08))
    there = flights(probes, LINK, 8)
    assert min(there) >= 0.08
    assert min(there) < 0.16
    assert min(flights(probes, BACK, 8)) < 0.08


def test_jitter_reorders_and_loses_nothing(switch: TunSwitch, probes: Probes) -> None:
    assert probes.series(LINK, range(200)) == list(range(200))
    switch.shape([LINK], Path(delay_seconds=0.01, jitter_seconds=0.05))
    arrived = probes.series(LINK, range(200))
    assert sorted(arrived) == list(range(200))
    assert arrived != list(range(200))


def fate(able: None, seed: int, path: Path) -> list[int]:
    """Which of two hundred numbers arrive over a new switch."""
    with TunSwitch(2, prefix("f"), seed) as built, Probes(built) as probes:
        built.shape([LINK], path)
        return sorted(probes.series(LINK, range(200)))


def test_the_seed_decides_which_packets_are_lost_or_come_twice(able: None) -> None:
    path = Path(loss=0.3, duplication=0.2)
    first = fate(able, 1, path)
    assert fate(able, 1, path) == first
    assert fate(able, 2, path) != first
    lost, twice = 200 - len(set(first)), len(first) - len(set(first))
    assert 35 <= lost <= 85  # 60 expected, 4 standard deviations
    assert 8 <= twice <= 48  # 28 expected
    # Another fault does not move the losses.
    assert set(fate(able, 1, Path(loss=0.3, jitter_seconds=0.01))) == set(first)


def test_certain_loss_and_duplication_are_certain(switch: TunSwitch, probes: Probes) -> None:
    switch.shape([LINK], Path(loss=1.0))
    assert probes.series(LINK, range(50)) == []
    switch.shape([LINK], Path(duplication=1.0))
    assert sorted(probes.series(LINK, range(50))) == sorted([*range(50), *range(50)])
    assert probes.series(BACK, range(50)) == list(range(50))


def test_a_slow_link_takes_its_time_and_drops_what_its_queue_cannot_hold(
    switch: TunSwitch, probes: Probes
) -> None:
    size, rate = 1000, 100_000.0
    switch.shape([LINK], Path(bytes_per_second=rate, queue_seconds=0.5))
    started = time.monotonic()
    for _ in range(100):  # a second's worth: half of it finds no room
        probes.send(LINK, b"x" * size)
    spent = time.monotonic() - started
    arrived, last = 0, started
    while time.monotonic() < last + 0.4:
        more = len(probes.take(1))
        if more:
            arrived, last = arrived + more, time.monotonic()
        time.sleep(0.001)
    whole = size + 28  # with the headers of UDP and IP
    room = rate * 0.5 / whole
    assert room - 1 <= arrived <= room + spent * rate / whole + 1
    assert last - started >= arrived * whole / rate - 0.01


def test_tcp_gets_every_byte_through_a_bad_link(switch: TunSwitch, probes: Probes, tmp_path: File) -> None:
    bad = Path(delay_seconds=0.005, jitter_seconds=0.005, loss=0.03, duplication=0.05)
    switch.shape([LINK, BACK], bad)
    serve = (
        "import socket, sys, hashlib\n"
        f"with socket.create_server(({switch.address(1)!r}, 80)) as server:\n"
        "    print(flush=True)\n"
        "    connection, _ = server.accept()\n"
        "    with connection, connection.makefile('rb') as stream:\n"
        "        print(hashlib.sha256(stream.read()).hexdigest())\n"
    )
    send = (
        "import socket, hashlib, random\n"
        "content = random.Random(0).randbytes(200_000)\n"
        f"with socket.create_connection(({switch.address(1)!r}, 80)) as connection:\n"
        "    connection.sendall(content)\n"
        "print(hashlib.sha256(content).hexdigest())\n"
    )
    serving = switch.command(1, [sys.executable, "-c", serve])
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        sending = switch.command(0, [sys.executable, "-c", send])
        sent = subprocess.run(sending, capture_output=True, text=True, check=True, timeout=60).stdout
        assert server.stdout.read() == sent


def test_nothing_is_left_of_a_switch(able: None) -> None:
    def there() -> list[str]:
        names = os.listdir("/var/run/netns")
        return [os.readlink("/proc/thread-self/ns/net"), *(n for n in names if n.startswith(prefix("e")))]

    before = there()
    files = len(os.listdir("/proc/self/fd"))
    with TunSwitch(2, prefix("e")):
        assert len(there()) == 4
    assert there() == before
    assert len(os.listdir("/proc/self/fd")) == files
