"""``convergence cluster`` and ``convergence node``: what they refuse, and a session at the prompt."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

from convergence_jax import cli
from convergence_jax.partition.nodes.config import read_config

COMMAND = [sys.executable, "-m", "convergence_jax", "cluster"]


def run(*words, capsys):
    """Exit status, and the lines of both streams."""
    status = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


WRONG = {
    "no nodes": (["--nodes", 0], "--nodes 0: give from 1 to 200."),
    "too many nodes": (["--nodes", 201], "--nodes 201: give from 1 to 200."),
    "rate": (["--rate", 0], "--rate 0: give events a second, above 0 and at most 100000."),
    "rate that is no number": (
        ["--rate", "nan"],
        "--rate nan: give events a second, above 0 and at most 100000.",
    ),
    "round": (["--round-seconds", 0], "--round-seconds 0: give from 0.05 to 60."),
    "seed": (["--seed", -1], "--seed -1: give an integer from 0."),
    "seconds of nothing": (["--seconds", 5], "--seconds: is for an unattended run; name its --scenario."),
    "too few seconds": (
        ["--scenario", "flap", "--seconds", 0.5],
        "--seconds 0.5: give from 1 to a million.",
    ),
    "one node": (["--scenario", "flap", "--nodes", 1], "--nodes 1: a scenario needs at least 2."),
    "two things": (["--scenario", "flap", "--prepare"], "--prepare and --scenario: give one of them."),
    "folder": (["--prepare", "--out", "taken"], "taken: is not empty; give a new folder."),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_flags_are_one_line(case, folder, capsys):
    words, line = WRONG[case]
    (folder / "taken").mkdir()
    (folder / "taken" / "notes").write_text("")
    assert run("cluster", *words, capsys=capsys) == (2, [], [f"convergence: {line}"])
    assert [entry.name for entry in folder.iterdir()] == ["taken"]


def test_a_folder_under_a_file_is_one_line(folder, capsys):
    (folder / "file").write_text("")
    got = run("cluster", "--prepare", "--out", "file/below", capsys=capsys)
    assert got == (2, [], ["convergence: file/below: Not a directory; choose another --out."])


def test_an_unknown_scenario_is_one_line(capsys):
    status, out, err = run("cluster", "--scenario", "storm", capsys=capsys)
    assert (status, out, len(err)) == (2, [], 1)
    assert "storm" in err[0]


def test_without_namespaces_a_scenario_needs_leave_to_let_nodes_cut_their_links(folder, capsys, monkeypatch):
    monkeypatch.setattr(
        "convergence_jax.partition.clusters.namespaces.missing", lambda: "they take the superuser"
    )
    line = (
        "--scenario: no network namespaces (they take the superuser); "
        "let nodes cut their links with --allow-faults."
    )
    assert run("cluster", "--scenario", "flap", capsys=capsys) == (2, [], [f"convergence: {line}"])
    assert list(folder.iterdir()) == []


def test_a_run_that_broke_a_promise_ends_with_status_1_and_one_line(capsys, monkeypatch):
    result = {
        "nodes": 3,
        "scenario": "crash",
        "seconds": 5.0,
        "acknowledged": 10,
        "recovered": 9,
        "recounted": 10,
        "cuts": [],
        "sequences_missing": 0,
        "sequences_unknown": 0,
        "finished": True,
        "digests": ["a", "a", "a"],
        "seconds_to_converge": 1.0,
        "queries": 4,
        "answered": 4,
        "refused": 1,
        "interval_checks": 5,
        "interval_misses": 1,
        "p99_ms": 3.0,
        "memory_mb": {"idle": {"max": 56.0}},
        "wrong": [],
    }
    plans = []

    def pretend(plan, folder, network, say):
        plans.append((plan, network))
        folder.mkdir()
        (folder / "answers.jsonl").write_text("")
        return result

    monkeypatch.setattr("convergence_jax.partition.clusters.namespaces.missing", lambda: "none here")
    monkeypatch.setattr("convergence_jax.partition.clusters.scenario.run", pretend)
    words = ["cluster", "--nodes", "3", "--scenario", "crash", "--seconds", "5", "--seed", "4"]
    status, out, err = run(*words, "--allow-faults", "--out", "broken", capsys=capsys)
    assert status == 1
    assert err == [
        "convergence: broken: 1 of 10 events lost in the nodes' states; 1 of 5 intervals missed the truth"
    ]
    assert out[:2] == [
        "no network namespaces (none here): the nodes cut their own links",
        "3 nodes, crash for 5 s: 10 events acknowledged, 9 recovered, 10 in the journals",
    ]
    (plan, network), *more = plans
    assert (plan.nodes, plan.scenario, plan.seconds, plan.seed) == (3, "crash", 5.0, 4)
    assert network is None
    assert more == []


def test_a_prepared_cluster_has_a_config_for_each_node_and_says_where(folder, capsys):
    status, out, err = run("cluster", "--nodes", 2, "--prepare", "--out", "made", capsys=capsys)
    assert (status, err) == (0, [])
    assert out[0] == "made: a cluster of 2 nodes on this machine"
    assert out[-1] == "start each:  convergence node --config made/n1/node.toml"
    for name in ("n1", "n2"):
        config = read_config(folder / "made" / name / "node.toml")
        assert (config.name, config.allow_faults, config.http_token) == (name, False, None)
        assert any(line.startswith(f"  {name}/ ") and f"clients at {config.http}" in line for line in out)


def test_a_node_without_a_config_or_with_two_tasks_is_one_line(folder, capsys):
    run("cluster", "--nodes", 1, "--prepare", "--out", "made", capsys=capsys)
    assert run("node", "--config", "none.toml", capsys=capsys) == (
        2,
        [],
        ["convergence: none.toml: no such file; check the path."],
    )
    words = ["node", "--config", "made/n1/node.toml", "--backup", "a", "--restore", "b"]
    assert run(*words, capsys=capsys) == (2, [], ["convergence: --backup and --restore: give one of them."])


SESSION = """\
write 1 20   # what follows a # is a remark
write 3 30
sleep 3
show

cut 2,3
write 1 40
write 2 50
sleep 2
show
ask 2 strong
ask 2
heal
sleep 3
show
quit
"""


def shown(out):
    """Rows of each table that a session printed: the first word, and the last."""
    tables = re.findall(r"^node .*digest\n((?:n\d .*\n?)+)", out, re.MULTILINE)
    return [{line.split()[0]: line.split()[-1] for line in table.splitlines()} for table in tables]


def test_a_session_without_a_terminal_does_what_it_reads(folder):
    words = [*COMMAND, "--nodes", "3", "--out", "made", "--rate", "100", "--round-seconds", "0.2"]
    done = subprocess.run(words, input=SESSION, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "starting 3 nodes"
    token = (folder / "made" / "http-token").read_text().strip()
    for i in (1, 2, 3):
        assert re.fullmatch(rf"n{i}: http://127\.0\.0\.1:\d+/\?token={token}", lines[i])
    assert "> write 1 20" in lines
    assert "n1: acknowledged 20 observations" in lines
    assert "cut: n2 n3 | n1" in lines
    assert any(line.startswith("n2, strong: unavailable: no answer from n1") for line in lines)
    assert any(re.match(r"n2, statistical: mean .* certainly in \[", line) for line in lines)
    assert lines[-1] == "made: keys, logs and journals of the nodes"
    first, cut, healed = shown(done.stdout)
    assert len(set(first.values())) == len(set(healed.values())) == 1
    assert cut["n2"] == cut["n3"] != cut["n1"]


def test_a_wrong_word_ends_a_session_without_a_terminal_with_one_line(folder):
    text = "frobnicate\nwrite 1 1\n"
    words = [*COMMAND, "--nodes", "1", "--out", "made"]
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("convergence: frobnicate: no such command; there are: ask, cut, ")
    assert len(done.stderr.splitlines()) == 1
    assert "acknowledged" not in done.stdout


def read_until(handle, pattern, seconds=40.0):
    """What a terminal shows, up to a pattern."""
    text, end = "", time.monotonic() + seconds
    while not re.search(pattern, text, re.DOTALL):
        assert time.monotonic() < end, text[-2000:]
        if select.select([handle], [], [], 0.2)[0]:
            text += os.read(handle, 65536).decode(errors="replace")
    return text


@pytest.mark.parametrize("columns", [200, 80])
def test_a_session_at_a_terminal_shows_a_table_that_fits_and_takes_what_is_typed(folder, columns):
    main, other = pty.openpty()
    termios.tcsetwinsize(other, (40, columns))
    before = termios.tcgetattr(other)
    words = [*COMMAND, "--nodes", "2", "--out", "made"]
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(words, stdin=other, stdout=other, stderr=other, env=env)
    try:
        read_until(main, "help lists the commands")
        os.write(main, b"cut 3\x7f2\r")  # the wrong digit is rubbed out
        text = read_until(main, r"connected.*n1  +cut .*cut: n2 \| n1")
        assert ("age n1" in text) == (columns == 200)
        assert ("oldest" in text) == (columns == 80)
        assert "…" not in text
        os.write(main, b"write 1 7\r")
        read_until(main, "n1: acknowledged 7 observations")
        os.write(main, b"dance\r")
        read_until(main, "dance: no such command")
        os.write(main, b"quit\r")
        read_until(main, "made: keys, logs and journals of the nodes")
        assert process.wait(30) == 0
        assert termios.tcgetattr(other) == before
    finally:
        os.close(main)  # whoever still writes there is not kept waiting
        os.close(other)
        process.terminate()
        process.wait(30)


def nodes_of(folder):
    """Processes whose command line names this folder's node configs."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    text = file.read()
            except OSError:
                continue
            if b"commands.node" in text and str(folder).encode() in text:
                found.append(int(entry))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_its_nodes_and_leaves_nothing(folder, number):
    out = folder / "made"
    words = [
        *COMMAND,
        "--nodes",
        "2",
        "--scenario",
        "flap",
        "--seconds",
        "60",
        "--allow-faults",
        "--out",
        str(out),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("flap for"):
                break
        assert len(nodes_of(out)) == 2
        process.send_signal(number)
        _, err = process.communicate(timeout=40)
    assert (process.returncode, err) == (130, "convergence: interrupted; nothing half-written is left.\n")
    assert nodes_of(out) == []
    assert list(folder.iterdir()) == []


def test_nodes_end_with_a_cluster_that_was_killed(folder):
    out = folder / "made"
    words = [*COMMAND, "--nodes", "2", "--out", str(out)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("n2: "):
                break
        assert len(nodes_of(out)) == 2
        process.kill()
    end = time.monotonic() + 30.0
    while nodes_of(out):
        assert time.monotonic() < end
        time.sleep(0.1)
