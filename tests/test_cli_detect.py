"""``convergence detect`` from the words typed to the files written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from convergence_jax import cli
from convergence_jax.data.config import load, run_config

AGENTS, OBSERVATIONS = 1000, 4
COLUMNS = ["--agent", "agent", "--levels", "region,site", "--features", "x,y"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def table():
    """Two regions of two sites each; the first agent is far out."""
    random = np.random.default_rng(11)
    agent = np.repeat(np.arange(AGENTS), OBSERVATIONS)
    x = random.normal(size=AGENTS)[agent] + random.normal(size=agent.size)
    x[agent == 0] += 900.0
    return pa.table(
        {
            "agent": pa.array(agent),
            "region": pa.array([f"r{i % 2}" for i in agent]),
            "site": pa.array([f"s{i % 4}" for i in agent]),
            "x": pa.array(x),
            "y": pa.array(random.normal(size=agent.size) * 10 + 50),
            "when": pa.array(np.tile(np.arange(OBSERVATIONS), AGENTS)),
        }
    )


def run(*words, capsys):
    """Exit status, and the lines of both streams."""
    status = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def result(out):
    """What a run has written as JSON."""
    return json.loads((Path(out) / "result.json").read_text())


def write(rows, name="t.csv"):
    """Rows of ``agent,region,site,x,y`` as a CSV file."""
    Path(name).write_text("agent,region,site,x,y\n" + "".join(f"{row}\n" for row in rows))
    return name


def test_a_run_leaves_one_directory_that_says_everything(table, folder, capsys):
    pq.write_table(table, "t.parquet")
    status, out, err = run("detect", "t.parquet", *COLUMNS, capsys=capsys)
    assert (status, err) == (0, [])
    (made,) = (folder / "results").iterdir()
    assert sorted(path.name for path in made.iterdir()) == [
        "agents.parquet",
        "config.toml",
        "report.html",
        "result.json",
    ]
    found = result(made)
    assert made.name == f"detect-{found['digest'][:12]}"
    assert found["schema"] == "convergence.detect/1"
    assert found["input"]["rows"] == AGENTS * OBSERVATIONS
    assert found["input"]["agents"] == AGENTS
    assert found["input"]["features_chosen"] == "as named"
    assert found["command"].split()[:3] == ["convergence", "detect", "t.parquet"]
    assert out[0] == f"1 of {AGENTS:,} agents flagged at error rate 0.05"
    assert any(found["digest"] in line for line in out)
    assert out[-1].endswith(f"results/{made.name}/report.html")
    agents = pq.read_table(made / "agents.parquet")
    assert agents.column_names[:4] == ["agent", "observations", "region", "site"]
    assert agents.filter(agents["flagged"])["agent"].to_pylist() == ["0"]


def test_format_order_and_chunks_leave_no_trace_in_digest_and_table(table, folder, capsys):
    pq.write_table(table, "t.parquet", row_group_size=100)
    order = np.random.default_rng(1).permutation(table.num_rows)
    shuffled = table.take(pa.array(order))
    csv.write_csv(shuffled, "t.csv")
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shuffled.to_pylist()))
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        assert run("detect", name, *COLUMNS, "--out", f"out-{name}", capsys=capsys)[0] == 0
    runs = [Path(f"out-{name}") for name in ("t.parquet", "t.csv", "t.jsonl")]
    assert len({result(path)["digest"] for path in runs}) == 1
    assert len({(path / "agents.parquet").read_bytes() for path in runs}) == 1


def test_the_config_of_a_result_makes_it_again(table, folder, capsys):
    pq.write_table(table, "t.parquet")
    words = ["detect", "t.parquet", "--agent", "agent", "--levels", "region", "--time", "when"]
    assert run(*words, "--lift", "y=20:11", "--out", "first", capsys=capsys)[0] == 0
    config = run_config(load("first/config.toml"), "first")
    assert config.features == ["x", "y"]
    assert config.lift == {"y": "20:11"}
    assert result("first")["input"]["features_chosen"] == "all numeric columns that have no other part"
    assert run("run", "first/config.toml", "--out", "second", capsys=capsys)[0] == 0
    first, second = result("first"), result("second")
    assert first["digest"] == second["digest"]
    assert first["command"] == second["command"]
    assert (first["lift"]["y"]["scale_bits"], first["lift"]["y"]["range_bits"]) == (20, 11)
    for name in ("agents.parquet", "config.toml"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()


def test_the_status_tells_an_alarm_from_an_error(table, folder, capsys):
    pq.write_table(table, "t.parquet")
    assert run("detect", "t.parquet", *COLUMNS, "--fail-on-flag", "--out", "a", capsys=capsys)[0] == 3
    quiet = table.filter(pa.compute.not_equal(table["agent"], 0))
    pq.write_table(quiet, "quiet.parquet")
    status, out, _ = run("detect", "quiet.parquet", *COLUMNS, "--fail-on-flag", "--out", "b", capsys=capsys)
    assert status == 0
    assert out[0] == f"Nobody of {AGENTS - 1:,} agents flagged at error rate 0.05"


def test_a_baseline_period_is_taken_from_the_time_column(table, folder, capsys):
    pq.write_table(table, "t.parquet")
    words = ["detect", "t.parquet", *COLUMNS, "--time", "when", "--baseline-until", "2", "--out", "out"]
    assert run(*words, capsys=capsys)[0] == 0
    found = result("out")
    assert found["population"]["count"] == AGENTS * OBSERVATIONS
    assert found["decision"]["method"] != ""
    assert "--baseline-until 2" in found["command"]


def test_the_built_in_fleet_is_judged_against_its_truth(folder, capsys):
    words = ["detect", "--synthetic", 3000, "--seed", 5, "--features", "latency,errors", "--out", "out"]
    status, out, err = run(*words, capsys=capsys)
    assert (status, err) == (0, [])
    found = result("out")
    planted = found["planted"]
    assert planted["agents"] == sum(kind["agents"] for kind in planted["kinds"].values())
    assert planted["found"] + planted["flagged_healthy"] == found["decision"]["flagged"]
    assert found["command"].startswith("convergence detect --synthetic 3000 --seed 5")
    assert [level["name"] for level in found["levels"]] == ["region", "sector"]
    assert any(line.startswith(f"  planted   {planted['agents']}: ") for line in out)


@pytest.mark.slow
def test_devices_leave_no_trace(folder, capsys):
    for devices in (1, 8):
        words = [
            "detect",
            "--synthetic",
            300,
            "--features",
            "latency,errors",
            "--devices",
            devices,
            "--out",
            devices,
        ]
        assert run(*words, capsys=capsys)[0] == 0
    assert len({result(str(devices))["digest"] for devices in (1, 8)}) == 1
    assert result("8")["execution"]["devices"] == 8


def test_rows_that_cannot_be_used_are_counted_by_reason(folder, capsys):
    rows = [f"a{i % 40},r{i % 2},s{i % 4},{i % 7}.5,{i % 11}" for i in range(400)]
    rows += [
        ",r0,s0,1,1",
        "b,,s0,1,1",
        "b,r0,,1,1",
        "b,r0,s0,nan,1",
        "b,r0,s0,1,inf",
        "b,r0,s0,NA,1",
        "b,r0,s0,1e9,1",
    ]
    words = ["detect", write(rows), *COLUMNS, "--lift", "x=10:5", "--out", "out"]
    status, out, _ = run(*words, capsys=capsys)
    assert status == 0
    inputs = result("out")["input"]
    assert inputs["rejected"] == {
        "missing:agent": 1,
        "missing:region": 1,
        "missing:site": 1,
        "missing:x": 1,
        "not_finite:x": 1,
        "not_finite:y": 1,
        "out_of_range:x": 1,
    }
    assert (inputs["rows"], inputs["agents"]) == (407, 40)
    assert any("rows      407, rejected 7 (" in line for line in out)


@pytest.mark.parametrize(
    "rows",
    [
        ["a,r,s,1,2"],
        ["a,r,s,1,2", "a,r,s,3,4"],
        [f"a{i},r,s,5,5" for i in range(60)],
        [f"a{i},r{i},s{i},{i},{i * i}" for i in range(60)],
        [f"a{i % 20},r,s{i % 3},7,{i * 0.37 % 1}" for i in range(90)],
    ],
    ids=["one observation", "one agent", "constant features", "groups of one", "one constant feature"],
)
def test_little_data_flags_nobody(rows, folder, capsys):
    status, out, err = run("detect", write(rows), *COLUMNS, "--out", "out", capsys=capsys)
    assert (status, err) == (0, [])
    assert result("out")["decision"]["flagged"] == 0
    assert out[0].startswith("Nobody of ")


def test_ctrl_c_in_a_long_run_leaves_nothing(folder):
    words = [sys.executable, "-m", "convergence_jax", "detect", "--synthetic", "3000000", "--out", "deep/out"]
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        while not Path("deep").exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "convergence: interrupted; nothing half-written is left.\n")
    assert list(folder.iterdir()) == []
