"""`detect --backend fpga`: the result of the XLA path, and where it was computed."""

import json

import pytest

from convergence_jax.cli import main
from convergence_jax.errors import InputError
from convergence_jax.fpga import devices as opencl
from convergence_jax.fpga.host import BINARY, DEVICE, Host


def run(folder, *words):
    assert main(["detect", "--synthetic", "3000", "--seed", "5", "--out", str(folder), *words]) == 0
    return json.loads((folder / "result.json").read_text()), (folder / "agents.parquet").read_bytes()


def test_the_digest_is_that_of_xla(host, tmp_path):
    here, agents = run(tmp_path / "fpga", "--backend", "fpga")
    there, theirs = run(tmp_path / "xla")
    assert here["digest"] == there["digest"]
    assert agents == theirs
    assert here["population"] == there["population"]
    told = here["execution"]
    assert told["backend"] == "fpga"
    assert told["device"] == host.device.name
    assert told["emulated"] == host.device.emulated
    assert told["kernel_launches"] > 5
    assert told["bytes_to_device"] > 9000 * 10 * 4  # every tick
    assert "--backend fpga" in here["command"]


def fails(capsys, folder, *words):
    """The one line of a run that cannot start, which leaves nothing behind."""
    out = folder / "never"
    assert main(["detect", "--synthetic", "100", "--backend", "fpga", "--out", str(out), *words]) == 2
    assert not out.exists()
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line


def test_without_opencl_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    def nothing():
        raise InputError(f"OpenCL: no device here; {opencl.INSTALL}.")

    monkeypatch.setattr(opencl, "devices", nothing)
    assert "pip install 'convergence-jax[fpga]'" in fails(capsys, tmp_path)


def test_an_unknown_device_and_several_devices_are_refused(host, tmp_path, capsys, monkeypatch):
    assert "takes one device" in fails(capsys, tmp_path, "--devices", "2")
    monkeypatch.setenv(DEVICE, "Stratix")
    assert "no device is called 'Stratix'" in fails(capsys, tmp_path)


def test_a_device_without_words_is_refused(host, monkeypatch):
    monkeypatch.setattr(opencl, "_has_words", lambda device: False)
    with pytest.raises(InputError, match="has no 64-bit integers"):
        opencl.choose()


def test_a_kernel_that_does_not_build_gives_one_line_and_the_log(host):
    made = Host(host.device, header="#define DIGIT_BITS nonsense\n")
    with pytest.raises(InputError, match=r"cannot build the kernels: .*error: .*; see (.*)\.") as caught:
        _ = made.program
    assert "\n" not in str(caught.value)


def test_a_board_needs_a_binary_and_says_whose_it_is_not(host, tmp_path, monkeypatch):
    board = opencl.Device("card", "maker", "1", "fpga", host.device.handle)
    with pytest.raises(InputError, match=BINARY):
        _ = Host(board).program
    monkeypatch.setenv(BINARY, str(tmp_path / "gone.aocx"))
    with pytest.raises(InputError, match=r"gone\.aocx: cannot be read"):
        _ = Host(board).program
    wrong = tmp_path / "wrong.aocx"
    wrong.write_bytes(b"no binary of this device")
    monkeypatch.setenv(BINARY, str(wrong))
    with pytest.raises(InputError, match=r"wrong\.aocx: is not for maker: card"):
        _ = Host(board).program


def test_more_than_the_device_holds_is_refused(host):
    with pytest.raises(InputError, match="MiB in one piece"):
        host.empty(1 << 60)
