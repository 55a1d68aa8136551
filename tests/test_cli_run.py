"""``convergence run``: experiments against what is expected, and what is left when they are stopped."""

import json
import signal
import subprocess
import sys
import time

import pytest

from convergence_jax import cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    """Everything in a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


def run(*words, capsys):
    """Exit status, and the lines of both streams."""
    status = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


EXPERIMENT = """\
def main(config):
    return {"sum": {"of": config["numbers"]["x"] + config["experiment"]["seed"]}, "name": "abc"}
"""


def experiment(folder, expected):
    """A small experiment."""
    here = folder / "experiments" / "tiny"
    here.mkdir(parents=True, exist_ok=True)
    (here / "config.toml").write_text('[experiment]\nname = "tiny"\nseed = 3\n[numbers]\nx = 4.5\n')
    (here / "run.py").write_text(EXPERIMENT)
    if expected is not None:
        (here / "expected.json").write_text(json.dumps(expected))
    return here / "config.toml"


def test_an_experiment_is_compared_with_what_is_expected(folder, capsys):
    right = {
        "sum.of": {"value": 7.4, "tolerance": 0.2, "at_least": 7, "at_most": 8},
        "name": {"equals": "abc"},
    }
    status, out, _ = run("run", experiment(folder, {"headline": right}), capsys=capsys)
    assert status == 0
    assert out[1:] == [
        "  ok    sum.of = 7.5  (7.4 ± 0.2, ≥ 7, ≤ 8)",
        "  ok    name = abc  (= abc)",
    ]
    result = json.loads((folder / "results" / "experiment-tiny" / "result.json").read_text())
    assert result["result"] == {"sum": {"of": 7.5}, "name": "abc"}
    digest = result["config_digest"]
    path = experiment(
        folder, {"config_digest": digest, "headline": {"sum.of": {"value": 7.0}, "no": {"at_most": 1}}}
    )
    status, out, _ = run("run", path, "--out", "here", capsys=capsys)
    assert status == 1
    assert out[1:] == ["  MISS  sum.of = 7.5  (7.0 ± 0)", "  MISS  no = None  (≤ 1)"]
    assert names(folder / "here") == ["config.toml", "result.json"]
    path = experiment(folder, {"config_digest": "old", "headline": {}})
    status, out, _ = run("run", path, capsys=capsys)
    assert status == 1
    assert out[1] == f"  MISS  config.toml is not the one of expected.json; its digest is {digest}"


def test_wrong_configs_and_experiments_are_one_line(folder, capsys):
    (folder / "c.toml").write_text("[detect]\nagnt = 'a'\n")
    (folder / "d.toml").write_text("[other]\n")
    (folder / "e.toml").write_text("[experiment]\nname = 'x'\n")
    path = experiment(folder, {"headline": {"sum.of": {"near": 3}}})
    for name, line in (
        ("c.toml", "c.toml: $.detect.agnt: unknown key; did you mean 'agent'?"),
        ("d.toml", "d.toml: has no [detect], [consensus] or [experiment] table; add one."),
        ("e.toml", "run.py: no such file; an experiment has a run.py next to its config."),
        ("f.toml", "f.toml: no such file; check the path."),
        (
            path,
            f"{path.parent}/expected.json: sum.of: give value and tolerance, at_least, at_most or equals.",
        ),
    ):
        assert run("run", name, capsys=capsys) == (2, [], [f"convergence: {line}"])
    assert "results" not in names(folder)


def test_ctrl_c_and_termination_leave_nothing_half_written(folder):
    slow = "import sys\nfrom convergence_jax import cli\n"
    slow += "sys.exit(cli.main(['run', 'experiments/tiny/config.toml', '--out', 'deep/out']))"
    experiment(folder, None)
    (folder / "experiments" / "tiny" / "run.py").write_text(
        "import pathlib, time\ndef main(config):\n    pathlib.Path('started').touch()\n    time.sleep(60)\n"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            [sys.executable, "-c", slow], stderr=subprocess.PIPE, text=True, cwd=folder
        )
        while not (folder / "started").exists() and process.poll() is None:
            time.sleep(0.02)
        assert (folder / "deep").exists()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert err == "convergence: interrupted; nothing half-written is left.\n"
        (folder / "started").unlink()
        assert names(folder) == ["experiments"]
