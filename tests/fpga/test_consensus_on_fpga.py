"""``convergence consensus --backend fpga``: digest and files of the processor, and where they were made."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convergence_jax import cli

TABLES = ("posteriors.parquet", "observers.parquet")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)


def write(columns: int) -> None:
    """Five observers about forty agents: ordinary values, tiny ones outside the window, some refused."""
    rng, rows = np.random.default_rng(1), 900
    x = rng.normal(0.0, 2.0, (columns, rows))
    x[:, :20] *= 2.0**-100
    x[0, 20:24] = [np.nan, np.inf, 2.0**40, -0.0]
    names = ["ratio"] if columns == 1 else ["likelihood_ok", "likelihood_slow", "likelihood_lost"]
    table = {
        "agent": [f"a{i:02d}" for i in rng.integers(0, 40, rows)],
        "observer": [f"o{i}" for i in rng.integers(0, 5, rows)],
        **{
            f"log_likelihood_{name}" if columns == 1 else f"log_{name}": row
            for name, row in zip(names, x, strict=True)
        },
        "reliability": rng.uniform(0.0, 1.0, rows),
    }
    pq.write_table(pa.table(table), "t.parquet")


def run(*words: object, capsys) -> tuple[int, list[str]]:
    """Exit status and the lines of the errors."""
    status = cli.main([str(word) for word in words])
    return status, capsys.readouterr().err.splitlines()


def result(out: str) -> dict:
    """What a command said of its result."""
    return json.loads(Path(out, "result.json").read_text())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (1, []),
        (1, ["--observers-lying", 1, "--prior", "100:1"]),
        (1, ["--reliability", "contaminate", "--retract", "o2", "--dependent"]),
        (3, ["--range-bits", 12, "--prior", "5:1:1"]),
        (3, ["--reliability", "temper", "--observers-lying", 2]),
    ],
)
def test_digest_and_files_are_those_of_the_processor(columns, words, host, capsys):
    write(columns)
    for backend in ("cpu", "fpga"):
        said = run("consensus", "t.parquet", *words, "--backend", backend, "--out", backend, capsys=capsys)
        assert said == (0, [])
    cpu, fpga = result("cpu"), result("fpga")
    assert fpga["digest"] == cpu["digest"]
    varying = ("execution", "seconds", "command")
    assert {k: v for k, v in fpga.items() if k not in varying} == {
        k: v for k, v in cpu.items() if k not in varying
    }
    for name in TABLES:
        assert Path("cpu", name).read_bytes() == Path("fpga", name).read_bytes()


def test_a_result_says_where_it_was_made(host, capsys):
    write(1)
    assert run("consensus", "t.parquet", "--backend", "fpga", "--out", "out", capsys=capsys) == (0, [])
    found = result("out")
    where = found["execution"]
    assert (where["backend"], where["device"]) == ("fpga", host.device.name)
    assert (where["emulated"], where["devices"]) == (host.device.emulated, 1)
    assert where["kernel_launches"] == 1
    assert where["bytes_to_device"] > 900 * (8 + 4)  # a value and its place in the order, each
    assert found["command"] == "convergence consensus t.parquet --alpha 0.05 --backend fpga"
    assert host.device.name in Path("out", "report.html").read_text()


def test_the_config_of_a_result_makes_it_again(host, capsys):
    write(1)
    assert run("consensus", "t.parquet", "--backend", "fpga", "--out", "first", capsys=capsys) == (0, [])
    assert 'backend = "fpga"' in Path("first", "config.toml").read_text()
    assert run("run", "first/config.toml", "--out", "second", capsys=capsys) == (0, [])
    assert result("second")["digest"] == result("first")["digest"]
    assert result("second")["execution"]["backend"] == "fpga"


def test_without_opencl_one_line_says_what_to_install(monkeypatch, capsys):
    write(1)
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    status, err = run("consensus", "t.parquet", "--backend", "fpga", "--out", "out", capsys=capsys)
    assert status == 2
    assert len(err) == 1
    assert "OpenCL: pyopencl is not installed" in err[0]
    assert "pip install 'convergence-jax[fpga]'" in err[0]
    assert not Path("out").exists()


def test_labels_are_refused_before_any_device_is_asked_for(monkeypatch, capsys):
    asked = "convergence_jax.commands.consensus.start_fpga"
    monkeypatch.setattr(asked, lambda: pytest.fail("a device was asked for"))
    status, err = run("consensus", "--backend", "fpga", "--out", "out", capsys=capsys)
    assert (status, len(err)) == (2, 1)
    assert "--backend fpga: sums evidence, and these are labels" in err[0]
    assert not Path("out").exists()
