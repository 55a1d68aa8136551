"""The command line: every error is one line that says what to do, and leaves nothing behind."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convergence_jax import cli

GOOD = "agent,group,x,y,note\n" + "".join(f"a{i % 30},g{i % 2},{i % 7}.5,{i % 11},text\n" for i in range(300))


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


def csv_file(folder, text=GOOD, name="t.csv"):
    """A file of observations."""
    (folder / name).write_text(text)
    return name


WRONG_FILES = {
    "missing file": (None, "t.csv: no such file; check the path."),
    "empty file": ("", "t.csv: is empty; give a file with observations."),
    "no rows": ("agent,x\n", "t.csv: has no rows, only column names; give a file with observations."),
    "names without a line end": (
        "agent,x",
        "t.csv: has no rows, only column names; give a file with observations.",
    ),
    "no agent column": ("agnt,x\na,1\n", "t.csv: no column 'agent'; did you mean 'agnt'?"),
    "unlike columns": ("who,x\na,1\n", "t.csv: no column 'agent'; there are: who, x."),
    "text as a feature": (
        "agent,x\na,1\nb,two\n",
        "t.csv, row 2: column 'x' holds text ('two'), where a number is needed; "
        "correct it or leave the column out.",
    ),
    "truth values as a feature": (
        "agent,x\na,true\n",
        "t.csv, row 1: column 'x' holds text ('true'), where a number is needed; "
        "write true and false as 1 and 0.",
    ),
    "a row that is too short": (
        "agent,x\na,1\nb\n",
        "t.csv, row 2: has 1 field where the first line has 2; correct that row.",
    ),
    "duplicate column names": ("agent,x,x\na,1,2\n", "t.csv: 2 columns are named 'x'; rename all but one."),
    "all values missing": (
        "agent,x\na,\n,1\n",
        "t.csv: none of the 2 rows can be used (missing:agent 1, missing:x 1); choose other columns.",
    ),
    "all values not finite": (
        "agent,x\na,nan\nb,inf\n",
        "t.csv: none of the 2 rows can be used (not_finite:x 2); choose other columns.",
    ),
    "text that is not UTF-8": (
        b"agent,x\n\xff,1\n",
        "t.csv, row 1: text that is not UTF-8; convert the file to UTF-8.",
    ),
    "names that are not UTF-8": (
        b"agent,\xff,x\na,1,1\n",
        "t.csv: its column names are not UTF-8; convert the file to UTF-8.",
    ),
    "Parquet under another name": (b"PAR1....", "t.csv: is a Parquet file; say so with --format parquet."),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_one_line(case, folder, capsys):
    content, line = WRONG_FILES[case]
    if content is not None:
        (folder / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = names(folder)
    status, out, err = run("detect", "t.csv", "--agent", "agent", "--features", "x", capsys=capsys)
    assert (status, out, err) == (2, [], [f"convergence: {line}"])
    assert names(folder) == before


WRONG_JSON = {
    "array": ('[{"agent": "a", "x": 1}]', "t.jsonl, line 1: is a JSON array; write one object a line."),
    "number": ("3\n", "t.jsonl, line 1: is not a JSON object; write one object a line."),
    "cut short": (
        '{"agent": "a", "x": 1}\n{"agent": "a"',
        "t.jsonl, line 2: is not JSON (Input data was truncated); correct or remove that line.",
    ),
    "NaN": ('{"agent": "a", "x": NaN}\n', "t.jsonl, line 1: NaN and Infinity are not JSON; write null."),
    "text as a feature": (
        '{"agent": "a", "x": 1}\n\n{"agent": "a", "x": "b"}\n',
        "t.jsonl, line 3: column 'x' holds text ('b'), where a number is needed; "
        "correct it or leave the column out.",
    ),
    "nested id": (
        '{"agent": {"a": 1}, "x": 1}\n',
        "t.jsonl, line 1: column 'agent' holds a nested value; choose another column.",
    ),
    "nothing but blank lines": ("\n\n", "t.jsonl: has no rows; give a file with observations."),
}


@pytest.mark.parametrize("case", WRONG_JSON)
def test_wrong_json_lines_are_one_line(case, folder, capsys):
    text, line = WRONG_JSON[case]
    (folder / "t.jsonl").write_text(text)
    status, out, err = run("detect", "t.jsonl", "--agent", "agent", "--features", "x", capsys=capsys)
    assert (status, out, err) == (2, [], [f"convergence: {line}"])
    assert names(folder) == ["t.jsonl"]


def test_damaged_parquet_is_one_line(folder, capsys):
    pq.write_table(pa.table({"agent": [str(i) for i in range(9999)], "x": np.arange(9999.0)}), "t.parquet")
    whole = (folder / "t.parquet").read_bytes()
    (folder / "t.parquet").write_bytes(whole[: len(whole) // 2])
    status, _, err = run("detect", "t.parquet", "--agent", "agent", capsys=capsys)
    assert status == 2
    assert len(err) == 1
    assert err[0].startswith("convergence: t.parquet: cannot be read to its end (")
    assert err[0].endswith("); it may be cut short, get it again.")
    middle = len(whole) // 3
    (folder / "t.parquet").write_bytes(whole[:middle] + bytes(2000) + whole[middle + 2000 :])
    status, _, err = run("detect", "t.parquet", "--agent", "agent", capsys=capsys)
    assert (status, len(err)) == (2, 1)
    (folder / "t.parquet").write_text("agent,x\n")
    status, _, err = run("detect", "t.parquet", "--agent", "agent", capsys=capsys)
    assert err == [
        "convergence: t.parquet: is no Parquet file; say what it is with --format csv or --format jsonl."
    ]


def test_compressed_files_that_are_cut_short_are_one_line(folder, capsys):
    import gzip

    for name, text in (("t.csv.gz", GOOD), ("t.jsonl.gz", '{"agent": "a", "x": 1}\n' * 500)):
        (folder / name).write_bytes(gzip.compress(text.encode())[:-40])
        status, _, err = run("detect", name, "--agent", "agent", "--features", "x", capsys=capsys)
        assert (status, len(err)) == (2, 1)
        assert err[0].startswith(f"convergence: {name}: ")


def test_what_is_no_file_is_one_line(folder, capsys):
    (folder / "data").mkdir()
    os.mkfifo(folder / "pipe.csv")
    (folder / "t.xlsx").write_text("x")
    for name, line in (
        ("data", "data: is a directory; give one file."),
        ("pipe.csv", "pipe.csv: is no regular file, and it is read twice; write it to a file first."),
        ("t.xlsx", "t.xlsx: unknown kind of file; say what it is with --format parquet|csv|jsonl."),
    ):
        assert run("detect", name, "--agent", "a", capsys=capsys) == (2, [], [f"convergence: {line}"])


def test_a_file_without_permission_is_one_line(folder, capsys, monkeypatch):
    csv_file(folder)
    from pathlib import Path

    def refuse(path, *rest):
        raise PermissionError(13, "Permission denied")

    # The superuser may read everything, so the refusal is made.
    monkeypatch.setattr(Path, "open", refuse)
    status, _, err = run("detect", "t.csv", "--agent", "agent", capsys=capsys)
    assert (status, err) == (
        2,
        ["convergence: t.csv: cannot be read (Permission denied); check its permissions."],
    )


WRONG_FLAGS = {
    "neither file nor fleet": ([], "detect: give either a file or --synthetic N."),
    "file and fleet": (["t.csv", "--synthetic", 3], "detect: give either a file or --synthetic N."),
    "no agent": (
        ["t.csv"],
        "t.csv: --agent is needed, the column of agents' ids; there are: agent, group, x, y, note.",
    ),
    "unknown feature": (
        ["t.csv", "--agent", "agent", "--features", "x,z"],
        "t.csv: no column 'z'; there are: agent, group, x, y, note.",
    ),
    "unknown level": (
        ["t.csv", "--agent", "agent", "--levels", "groop"],
        "t.csv: no column 'groop'; did you mean 'group'?",
    ),
    "column twice": (
        ["t.csv", "--agent", "agent", "--levels", "agent"],
        "t.csv: column 'agent' is chosen twice; name each column once.",
    ),
    "alpha": (["t.csv", "--alpha", 2], "--alpha 2.0: give an error rate between 0 and 1."),
    "alpha that is no number": (
        ["t.csv", "--alpha", "x"],
        "Error parsing --alpha: could not convert string to float: 'x'; see `convergence --help`.",
    ),
    "baseline without time": (
        ["t.csv", "--agent", "agent", "--baseline-until", "3"],
        "--baseline-until: name the column of times with --time.",
    ),
    "baseline that is no time": (
        ["t.csv", "--agent", "agent", "--time", "y", "--baseline-until", "soon"],
        "--baseline-until 'soon': neither a number nor an ISO time; write 17 or 2026-01-31T12:00.",
    ),
    "time that is no time": (
        ["t.csv", "--agent", "agent", "--time", "note", "--baseline-until", "2026-01-01"],
        "t.csv, row 1: column 'note' 'text' is not an ISO time such as 2026-01-31T12:00; "
        "correct it or leave out --time.",
    ),
    "lift without colon": (
        ["t.csv", "--agent", "agent", "--lift", "x=3"],
        "--lift x=3: a colon is missing. Write COL=SCALE:RANGE, such as delay=12:16.",
    ),
    "lift without column": (
        ["t.csv", "--agent", "agent", "--lift", "3:4"],
        "--lift 3:4: write COL=SCALE:RANGE, such as delay=12:16.",
    ),
    "lift of no feature": (
        ["t.csv", "--agent", "agent", "--lift", "z=3:4"],
        "--lift z: is no chosen feature; there are: x, y.",
    ),
    "unknown flag": (
        ["t.csv", "--agnt", "agent"],
        "Unrecognized options: --agnt, agent; did you mean --agent?",
    ),
    "seed": (["--synthetic", 3, "--seed", -1], "--seed -1: give an integer from 0 to 4,294,967,295."),
    "no agents": (["--synthetic", 0], "--synthetic 0: give at least 1 agent and at most 2,147,483,648."),
    "backend": (
        ["t.csv", "--agent", "agent", "--backend", "gpu"],
        "--backend gpu: JAX runs on cpu here; leave the flag out, or see `convergence doctor`.",
    ),
    "devices": (
        ["t.csv", "--agent", "agent", "--devices", 9],
        "--devices 9: 8 here; ask for fewer, or use --backend cpu.",
    ),
}


@pytest.mark.parametrize("case", WRONG_FLAGS)
def test_wrong_flags_are_one_line(case, folder, capsys):
    words, line = WRONG_FLAGS[case]
    csv_file(folder)
    assert run("detect", *words, capsys=capsys) == (2, [], [f"convergence: {line}"])
    assert names(folder) == ["t.csv"]


def test_a_directory_that_may_not_be_written_is_one_line_before_anything_is_read(folder, capsys):
    csv_file(folder)
    (folder / "taken").mkdir()
    (folder / "taken" / "notes").write_text("")
    for out, line in (
        ("taken", "taken: is not empty and no former result (it holds notes); choose another --out."),
        ("t.csv", "t.csv: is a file; choose another --out."),
        (
            "/proc/out",
            "/proc/out: cannot be written (No such file or directory); choose another --out or make room.",
        ),
    ):
        got = run("detect", "t.csv", "--agent", "agent", "--out", out, capsys=capsys)
        assert got == (2, [], [f"convergence: {line}"])
    assert names(folder) == ["t.csv", "taken"]


def test_help_and_doctor_succeed(capsys):
    assert run("--help", capsys=capsys)[0] == 0
    assert run("detect", "--help", capsys=capsys)[0] == 0
    status, out, err = run("doctor", capsys=capsys)
    assert (status, err) == (0, [])
    assert any(line.startswith("  cpu   works: 8 × cpu") for line in out)
    assert any(line.startswith("  gpu   ") for line in out)
    assert any(line.startswith(("  fpga  works: ", "  fpga  not available: OpenCL: ")) for line in out)


def test_help_imports_no_jax():
    code = (
        "import sys\nfrom convergence_jax.cli import main\nmain(['--help'])\nassert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_an_error_inside_is_one_line_too(folder, capsys, monkeypatch):
    csv_file(folder)

    def fail(*words, **options):
        raise RuntimeError("what\nnow")

    monkeypatch.setattr("convergence_jax.commands.detect.open_source", fail)
    status, _, err = run("detect", "t.csv", "--agent", "agent", capsys=capsys)
    assert status == 2
    assert err == [
        "convergence: internal error: RuntimeError: what now; set CONVERGENCE_TRACEBACK=1 to see where."
    ]
    monkeypatch.setenv("CONVERGENCE_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        run("detect", "t.csv", "--agent", "agent", capsys=capsys)


def test_the_module_is_the_command(folder):
    done = subprocess.run(
        [sys.executable, "-m", "convergence_jax", "detect", "none.csv", "--agent", "a"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "convergence: none.csv: no such file; check the path.\n"
