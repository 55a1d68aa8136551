"""``convergence consensus`` on labels, from the words typed to the files written."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from consensus_runs import PARQUET, consensus, run, same_bytes

from convergence_jax.data.readers import FileSource

ITEMS, WORKERS = 12, 6


@pytest.fixture(scope="module")
def table():
    """Six workers label twelve items yes or no; the last one says the opposite."""
    chance = np.random.default_rng(4)
    item, worker = np.divmod(np.arange(ITEMS * WORKERS), WORKERS)
    yes = (item % 2 == 0) ^ (chance.uniform(size=item.size) < 0.1) ^ (worker == WORKERS - 1)
    return pa.table(
        {
            "item": pa.array([f"i{i:02}" for i in item]),
            "worker": pa.array([f"w{i}" for i in worker]),
            "label": pa.array(np.where(yes, "yes", "no").astype(object), pa.string()),
        }
    )


@pytest.fixture
def truth():
    """What the labels are about, as a file."""
    classes = ["no" if i % 2 else "yes" for i in range(ITEMS)]
    csv.write_csv(pa.table({"item": [f"i{i:02}" for i in range(ITEMS)], "truth": classes}), "r.csv")
    return classes


def test_the_built_in_table_runs_without_a_file_and_again_from_its_config(folder, capsys):
    status, out, err = run("consensus", capsys=capsys)
    assert (status, err) == (0, [])
    (made,) = (folder / "results").iterdir()
    found = json.loads((made / "result.json").read_text())
    assert made.name == f"consensus-{found['digest'][:12]}"
    assert (found["schema"], found["mode"]) == ("convergence.consensus/1", "labels")
    assert (found["items"], found["observers"], found["rejected"]) == (45, 5, {})
    assert found["input"]["name"] == "anaesthetists (Dawid and Skene, 1979)"
    assert found["command"] == "convergence consensus --alpha 0.05"
    assert set(found["seconds"]) == {"read", "digest", "estimate"}
    assert found["execution"]["backend"] == "xla"
    assert out[0].startswith("45 items: ")
    assert run("run", str(made / "config.toml"), "--out", "again", capsys=capsys)[0] == 0
    assert json.loads(Path("again/result.json").read_text())["digest"] == found["digest"]
    assert same_bytes((*PARQUET, "config.toml"), made, "again")


def test_every_item_has_a_posterior_and_every_worker_a_row(table, folder, capsys):
    pq.write_table(table, "t.parquet")
    found = consensus("t.parquet", capsys=capsys)
    posteriors = pq.read_table("out/posteriors.parquet")
    assert posteriors.column_names == [
        "item",
        "labels",
        "observers",
        "log_posterior_no",
        "log_posterior_yes",
        "probability_no",
        "probability_yes",
        "log_odds",
        "label",
        "verdict",
    ]
    assert posteriors["item"].to_pylist() == sorted(set(table["item"].to_pylist()))
    assert posteriors["labels"].to_pylist() == [WORKERS] * ITEMS
    no, yes, odds = (
        posteriors[name].to_numpy() for name in ("probability_no", "probability_yes", "log_odds")
    )
    assert no + yes == pytest.approx(np.ones(ITEMS))
    assert ((odds > 0) == (yes > no)).all()
    assert posteriors["label"].to_pylist() == ["yes" if x > 0 else "no" for x in odds]
    counted = found["decision"]["verdicts"]
    said = posteriors["verdict"].to_pylist()
    assert counted == {name: said.count(name) for name in ("flag", "clear", "undetermined")}
    assert counted["flag"] == 0
    observers = pq.read_table("out/observers.parquet")
    assert observers["observer"].to_pylist() == [f"w{i}" for i in range(WORKERS)]
    assert sorted(observers["suspicion_rank"].to_pylist()) == list(range(1, WORKERS + 1))
    assert observers["suspicion_rank"].to_pylist()[-1] == 1
    assert (folder / "out" / "report.html").exists()


def test_format_order_and_batches_leave_no_trace(table, monkeypatch, capsys):
    pq.write_table(table, "t.parquet")
    first = consensus("t.parquet", capsys=capsys, out="first")
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(table.num_rows)))
    csv.write_csv(shuffled, "t.csv")
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shuffled.to_pylist()))
    whole = FileSource.batches
    for name, rows in (("t.csv", 7), ("t.jsonl", 1), ("t.parquet", 50)):
        monkeypatch.setattr(FileSource, "batches", lambda *a, n=rows, **o: whole(*a, **o, batch_rows=n))
        assert consensus(name, capsys=capsys)["digest"] == first["digest"]
        assert same_bytes(PARQUET, "first", "out")


def test_truth_is_compared_with_and_changes_no_posterior(table, truth, capsys):
    pq.write_table(table, "t.parquet")
    without = consensus("t.parquet", capsys=capsys, out="without")
    found = consensus("t.parquet", "--truth", "r.csv", capsys=capsys)
    assert same_bytes(PARQUET, "without", "out")
    assert found["digest"] == without["digest"]
    said = pq.read_table("out/posteriors.parquet")["label"].to_pylist()
    right = sum(a == b for a, b in zip(said, truth, strict=True)) / ITEMS
    assert found["accuracy"] == pytest.approx(right)
    assert right > 0.9
    low, high = found["calibration_interval"]
    assert 0 <= low <= high <= 1
    assert 0 <= found["calibration_error"] <= 1
    assert found["log_loss"] > 0
    assert "accuracy" not in without


def test_gold_items_are_learnt_from_and_the_config_makes_it_again(table, truth, capsys):
    pq.write_table(table, "t.parquet")
    # Gold that says the opposite of the crowd: which side is right is known only from it.
    opposite = ["yes" if c == "no" else "no" for c in truth[:8]]
    csv.write_csv(pa.table({"item": [f"i{i:02}" for i in range(8)], "label": opposite}), "g.csv")
    plain = consensus("t.parquet", capsys=capsys, out="plain")
    found = consensus("t.parquet", "--gold", "g.csv", "--alpha", 0.1, capsys=capsys, out="first")
    assert found["digest"] != plain["digest"]
    assert found["input"]["gold"] == {"rows": 8, "items": 8, "rejected": {}}
    assert pq.read_table("first/posteriors.parquet")["label"].to_pylist()[:8] == opposite
    assert run("run", "first/config.toml", "--out", "second", capsys=capsys)[0] == 0
    assert same_bytes((*PARQUET, "config.toml"), "first", "second")


def test_nobody_is_flagged_by_labels(table, capsys):
    pq.write_table(table, "t.parquet")
    status, out, err = run("consensus", "t.parquet", "--fail-on-flag", "--out", "out", capsys=capsys)
    assert (status, err) == (0, [])
    assert out[0].startswith(f"{ITEMS} items: ")
