"""What two tools say of the kernels: clang of their text, Oclgrind of every access they make."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convergence_jax.fpga.host import source

CHILD = Path(__file__).with_name("oclgrind_child.py")
LANGUAGE = ["-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-fsyntax-only"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def lint(text: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What clang says of OpenCL source."""
    file = folder / "kernels.cl"
    file.write_text(text)
    command = ["clang", *LANGUAGE, *WARNINGS, *options, str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def clang(require) -> None:
    require("clang", shutil.which("clang") is not None, "clang is not installed")


# Clang knows no vendor's attributes; it may say nothing else.
@pytest.mark.parametrize(
    "options",
    [
        ("-DTARGET_CPU",),
        ("-DTARGET_GPU",),
        ("-DTARGET_FPGA", "-Wno-unknown-attributes"),
        ("-D__xilinx__", "-Wno-unknown-attributes"),
    ],
    ids=["cpu", "gpu", "fpga", "xilinx"],
)
def test_clang_has_nothing_to_say_of_the_kernels(clang, options, tmp_path):
    said = lint(source(), tmp_path, *options)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_clang_would_say_it(clang, tmp_path):
    said = lint(source() + "\nint twice(int x) { int y; return 2 * x; }\n", tmp_path, "-DTARGET_CPU")
    assert said.returncode != 0
    assert "unused variable 'y'" in said.stderr


def oclgrind(what: str, folder: Path) -> tuple[str, list[list[str]]]:
    """What the child printed, and the reports of Oclgrind: the lines of each."""
    log = folder / "log"
    checks = ["--data-races", "--uninitialized", "--max-errors", "20", "--log", str(log)]
    # Optimised, kernels hold `llvm.abs`, which Oclgrind does not know.
    command = ["oclgrind", *checks, "--build-options", "-cl-opt-disable", sys.executable, str(CHILD), what]
    environment = {**os.environ, "PYOPENCL_NO_CACHE": "1", "CONVERGENCE_OPENCL_DEVICE": "Oclgrind"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    reports = [line for line in log.read_text().split("\n\n") if line.strip()] if log.exists() else []
    return done.stdout, [[line.strip() for line in report.strip().splitlines()] for report in reports]


@pytest.fixture
def simulator(host, require) -> None:
    require("oclgrind", shutil.which("oclgrind") is not None, "oclgrind is not installed")


def test_oclgrind_finds_no_race_no_stray_access_and_no_use_of_what_was_never_written(
    simulator, host, tmp_path
):
    said, reports = oclgrind("kernels", tmp_path)
    assert reports == []
    assert said == f"Oclgrind: {len(host.program.all_kernels())} kernels\n"


def test_oclgrind_finds_every_planted_fault_and_nothing_else(simulator, tmp_path):
    said, reports = oclgrind("planted", tmp_path)
    assert said == "Oclgrind: 4 kernels\n"
    found = {report[1]: report[0].split(" at ")[0].split(" to ")[0] for report in reports}
    assert found == {
        "Kernel: planted_race": "Write-write data race",
        "Kernel: planted_write": "Invalid write of size 4",
        "Kernel: planted_read": "Uninitialized value written",
    }
