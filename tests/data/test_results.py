"""A result is there as a whole, or not at all."""

import errno
import json
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from convergence_jax.data import results as module
from convergence_jax.data.results import ResultDirectory
from convergence_jax.errors import InputError


def write(out, value, **options):
    """A whole small result."""
    with ResultDirectory(out, **options) as results:
        results.place("detect-0123")
        results.write_json("result.json", {"schema": "convergence.detect/1", "value": value})
        results.write_table("agents.parquet", pa.table({"agent": ["a", "b"]}))
    return results.path


def names(folder):
    """Everything in a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


def test_a_result_is_written_and_a_former_one_replaced(tmp_path):
    out = tmp_path / "deep" / "out"
    for value in (1, 2):
        assert write(out, value) == out
        assert names(out) == ["agents.parquet", "result.json"]
        assert json.loads((out / "result.json").read_text())["value"] == value
        assert names(out.parent) == ["out"]


def test_an_empty_directory_is_filled_and_the_default_one_is_named_by_the_run(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", 1)
    monkeypatch.chdir(tmp_path)
    assert write(None, 1) == Path("results/detect-0123")
    assert names(tmp_path / "results") == ["detect-0123"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
@pytest.mark.parametrize("former", [False, True])
def test_an_interruption_in_the_middle_leaves_everything_as_it_was(tmp_path, error, former):
    out = tmp_path / "out"
    if former:
        write(out, 1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def interrupted():
        with ResultDirectory(out) as results:
            results.write_json("result.json", {"schema": "convergence.detect/1", "value": 2})
            raise error

    with pytest.raises(error):
        interrupted()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert names(tmp_path) == (["out"] if former else [])


def test_folders_that_were_made_for_a_result_go_with_it(tmp_path):
    def interrupted():
        with ResultDirectory(tmp_path / "a" / "b" / "out"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", [1, 2])
def test_an_interruption_while_files_are_renamed_waits_or_is_undone(tmp_path, monkeypatch, step):
    out = tmp_path / "out"
    write(out, 1)
    rename, calls = os.rename, []

    def failing(source, target):
        calls.append(source)
        if len(calls) == step:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", failing)
    with pytest.raises(InputError, match="cannot be written \\(Input/output error\\)"):
        write(out, 2)
    assert json.loads((out / "result.json").read_text())["value"] == 1
    assert names(tmp_path) == ["out"]


def test_ctrl_c_during_the_last_step_comes_after_it(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out, 1)
    rename = os.rename

    def interrupting(source, target):
        os.kill(os.getpid(), signal.SIGINT)
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", interrupting)
    with pytest.raises(KeyboardInterrupt):
        write(out, 2)
    assert json.loads((out / "result.json").read_text())["value"] == 2
    assert names(tmp_path) == ["out"]


def test_what_is_no_former_result_is_not_touched(tmp_path):
    out = tmp_path / "out"
    write(out, 1)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(
        InputError, match=r"is not empty and no former result \(it holds notes.txt\); choose another"
    ):
        write(out, 2)
    (out / "notes.txt").unlink()
    (out / "result.json").write_text('{"schema": "something else"}')
    with pytest.raises(InputError, match=r"it holds agents.parquet"):
        write(out, 2)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; choose another --out"):
        write(tmp_path / "file", 2)
    with pytest.raises(InputError, match="file: is a file; choose another --out"):
        write(tmp_path / "file" / "out", 2)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a link to nothing"):
        write(tmp_path / "link", 2)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "_sync", full)
    with pytest.raises(
        InputError, match=r"out: cannot be written \(No space left on device\); choose another --out"
    ):
        write(tmp_path / "out", 1)
    assert names(tmp_path) == []


def test_a_table_has_the_same_bytes_however_it_is_chunked(tmp_path):
    values = np.arange(1000)
    whole = pa.table({"agent": [str(v) for v in values], "score": values / 7})
    pieces = pa.concat_tables([whole[:10], whole[10:11], whole[11:]])
    stored = []
    for name, table in (("a", whole), ("b", pieces), ("c", whole)):
        with ResultDirectory(tmp_path / name) as results:
            results.write_table("agents.parquet", table)
        stored.append((tmp_path / name / "agents.parquet").read_bytes())
    assert stored[0] == stored[1] == stored[2]


def test_json_round_trips_numbers_and_has_no_nan(tmp_path):
    value = {
        "schema": "convergence.detect/1",
        "third": np.float64(1 / 3),
        "counts": np.arange(3),
        "nan": [float("nan"), np.inf],
        "text": "ä",
        1: (True, None),
    }
    with ResultDirectory(tmp_path / "out") as results:
        results.write_json("result.json", value)
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == {
        "schema": "convergence.detect/1",
        "third": 1 / 3,
        "counts": [0, 1, 2],
        "nan": [None, None],
        "text": "ä",
        "1": [True, None],
    }
    with (
        pytest.raises(TypeError, match="JSON cannot hold object"),
        ResultDirectory(tmp_path / "b") as results,
    ):
        results.write_json("result.json", {"x": object()})
    assert names(tmp_path) == ["out"]


def test_misuse_is_said_at_once(tmp_path):
    with (
        pytest.raises(ValueError, match="is no file of a result"),
        ResultDirectory(tmp_path / "a") as results,
    ):
        results.write_text("other.txt", "")
    with pytest.raises(RuntimeError, match="call place"), ResultDirectory(root=tmp_path / "b"):
        pass
    with pytest.raises(RuntimeError, match="inside its with block"):
        results.write_text("result.json", "")
