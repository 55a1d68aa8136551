"""Which rows count in ``convergence consensus``: what is left out and counted, and files that are damaged."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from consensus_runs import LABELS, THREE, consensus, names, run


def verdicts():
    """Each agent's or item's verdict, of the last result."""
    table = pq.read_table("out/posteriors.parquet")
    return dict(zip(table.column(0).to_pylist(), table["verdict"].to_pylist(), strict=True))


def test_truth_that_cannot_be_used_is_counted_and_a_class_that_nobody_said_is_wrong(folder, capsys):
    (folder / "e.csv").write_text(
        "agent,observer,log_likelihood_ratio\n" + "".join(f"a{i},o,{6 * (-1) ** i}\n" for i in range(6))
    )
    (folder / "r.csv").write_text(
        "agent,truth\na0,alternative\na0,alternative\na1,null\na2,broken\na3,null\na3,alternative\na5,\nzz,null\n"
    )
    found = consensus("e.csv", "--truth", "r.csv", capsys=capsys)
    assert found["truth"] == {
        "rows": 8,
        "items": 3,
        "rejected": {"contradictory": 2, "missing:truth": 1, "unknown_item": 1, "unknown_label": 1},
        "decided": 3,
        "decided_wrong": 1,
    }
    assert found["accuracy"] == pytest.approx(2 / 3)


def test_rows_that_cannot_be_used_are_counted_by_reason(folder, capsys):
    rows = ["a,o,1,1", "b,o,-1,1", ",o,1,1", "a,,1,1", "a,o,,1", "a,o,NA,1", "a,o,nan,1", "a,o,-inf,1"]
    rows += ["a,o,64,1", "a,p,-64,1", "a,o,63,1", "a,o,1,", "a,o,1,1.5", "a,o,1,-0.1", "a,o,1,nan"]
    (folder / "t.csv").write_text("agent,observer,log_likelihood_ratio,reliability\n" + "\n".join(rows))
    words = ["t.csv", "--range-bits", 6, "--reliability", "temper"]
    found = consensus(*words, capsys=capsys)
    assert found["rejected"] == {
        "missing:agent": 1,
        "missing:log_likelihood_ratio": 2,
        "missing:observer": 1,
        "missing:reliability": 1,
        "not_finite:log_likelihood_ratio": 2,
        "not_finite:reliability": 1,
        "out_of_range": 2,
        "out_of_range:reliability": 2,
    }
    assert (found["input"]["rows"], found["input"]["events"]) == (15, 3)
    observers = pq.read_table("out/observers.parquet")
    assert observers["observer"].to_pylist() == ["o", "p"]
    assert observers["refused_items"].to_pylist() == [1, 1]
    assert observers["reason"].to_pylist()[1] == "1 item out of range"


@pytest.mark.parametrize("contents", ["other value", "other agent", "other reliability"])
def test_an_event_told_in_two_ways_counts_in_neither_and_names_its_observer(contents, folder, capsys):
    other = {"other value": "a,o,8,1,2", "other agent": "b,o,7,1,2", "other reliability": "a,o,7,1,1"}
    rows = ["a,o,7,1,2", "a,o,7,1,2", other[contents], "b,p,3,1,2", "b,p,3,1,2", "b,p,3,2,2", "b,o,1,3,2"]
    rows = [row.rsplit(",", 1)[0] + ("," + str(int(row[-1]) / 2)) for row in rows]
    (folder / "t.csv").write_text(
        "agent,observer,log_likelihood_ratio,event_id,reliability\n" + "\n".join(rows)
    )
    found = consensus("t.csv", "--reliability", "temper", "--prior", "3:1", capsys=capsys)
    assert found["rejected"] == {"duplicate": 1, "equivocation": 3}
    assert found["input"]["agents_without_evidence"] == 1
    posteriors = pq.read_table("out/posteriors.parquet").to_pylist()
    assert [row["agent"] for row in posteriors] == ["a", "b"]
    assert (posteriors[0]["items"], posteriors[0]["verdict"]) == (0, "undetermined")
    assert posteriors[0]["probability_null"] == 0.75
    assert (posteriors[1]["items"], posteriors[1]["observers"]) == (3, 2)
    observers = pq.read_table("out/observers.parquet").to_pylist()
    assert [row["equivocal_rows"] for row in observers] == [3, 0]
    assert observers[0]["suspicion_rank"] == 1
    assert observers[0]["reason"].startswith("3 rows that contradict each other")
    status, out, _ = run("consensus", "t.csv", "--reliability", "temper", "--out", "again", capsys=capsys)
    assert status == 0
    assert any("o: 3 rows that contradict each other" in line for line in out)


def test_nothing_but_contradictions_leaves_the_prior(folder, capsys):
    (folder / "t.csv").write_text(
        "agent,observer,log_likelihood_ratio,event_id\na,o,7,1\na,o,8,1\nb,p,1,1\nb,p,2,1\n"
    )
    for words in ([], ["--observers-lying", 0], ["--dependent"]):
        found = consensus("t.csv", *words, capsys=capsys)
        assert found["rejected"] == {"equivocation": 4}
        assert verdicts() == {"a": "undetermined", "b": "undetermined"}
        assert pq.read_table("out/posteriors.parquet")["log_odds"].to_pylist() == [0.0, 0.0]


def test_an_event_is_named_by_its_observer_and_its_type_too(folder, capsys):
    rows = "a,o,7,1,x\na,o,8,1,y\na,p,9,1,x\na,o,7,1,x\n"
    (folder / "t.csv").write_text("agent,observer,log_likelihood_ratio,event_id,type\n" + rows)
    assert consensus("t.csv", capsys=capsys)["rejected"] == {"duplicate": 1}
    assert pq.read_table("out/posteriors.parquet")["log_odds"].to_pylist() == [24.0]


def test_without_event_ids_every_row_counts(folder, capsys):
    (folder / "t.csv").write_text("agent,observer,log_likelihood_ratio,type\na,o,7,x\na,o,7,x\na,o,8,x\n")
    found = consensus("t.csv", capsys=capsys)
    assert (found["rejected"], found["input"]["events"]) == ({}, 3)
    assert pq.read_table("out/posteriors.parquet")["log_odds"].to_pylist() == [22.0]


def test_gold_that_cannot_be_used_is_counted(folder, capsys):
    (folder / "l.csv").write_text(LABELS)
    (folder / "g.csv").write_text("item,label\ni0,yes\ni1,perhaps\ni3,yes\ni3,no\nzz,no\n")
    found = consensus("l.csv", "--gold", "g.csv", capsys=capsys)
    assert found["input"]["gold"] == {
        "rows": 5,
        "items": 1,
        "rejected": {"contradictory": 2, "unknown_item": 1, "unknown_label": 1},
    }


@pytest.mark.parametrize("value", ["1.7e308", "-1.7e308", "5e-324"])
def test_sums_beyond_all_floats_have_a_result(value, folder, capsys):
    (folder / "t.csv").write_text(
        "agent,observer,log_likelihood_ratio\n" + f"a,o,{value}\na,p,{value}\nb,o,1\n"
    )
    found = consensus("t.csv", "--range-bits", 1024, "--observers-lying", 0, capsys=capsys)
    assert found["rejected"] == {}
    wanted = {"1.7e308": "flag", "-1.7e308": "clear", "5e-324": "undetermined"}
    assert verdicts()["a"] == wanted[value]


def damaged(content, chance):
    """A small file with one thing wrong with it: bytes, an end, a line, a field."""
    lines = content.splitlines(keepends=True)
    at = chance.randrange(len(content))
    line = chance.randrange(len(lines))
    kind = chance.randrange(6)
    if kind == 0:  # some bytes are others
        junk = chance.choice([b'"', b",", b"\n", b"\0", b"\xff", b"nan", b"-", b"1e400", b"e", b"9"])
        return content[:at] + junk + content[at + chance.randrange(3) :]
    if kind == 1:  # the end lacks
        return content[:at]
    if kind == 2:  # a line twice, or the names again
        return b"".join([*lines[:line], lines[line], *lines[line:]])
    if kind == 3:  # a field lacks
        fields = lines[line].rstrip(b"\n").split(b",")
        del fields[chance.randrange(len(fields))]
        lines[line] = b",".join(fields) + b"\n"
        return b"".join(lines)
    if kind == 4:  # a column lacks
        column = chance.randrange(lines[0].count(b",") + 1)
        rows = [row.rstrip(b"\n").split(b",") for row in lines]
        return b"".join(b",".join(row[:column] + row[column + 1 :]) + b"\n" for row in rows)
    chosen = bytearray(content)  # bits flip
    chosen[at] ^= 1 << chance.randrange(8)
    return bytes(chosen)


def answered(words, folder, capsys):
    """Whether a command gave a result; if not, it said why in one line."""
    status, _, err = run("consensus", *words, "--out", "out", capsys=capsys)
    if status == 0:
        assert err == []
        assert (folder / "out" / "report.html").exists()
        return True
    assert (status, len(err)) == (2, 1), err
    assert err[0].startswith("convergence: ")
    assert err[0].endswith((".", "?")), err
    assert "internal error" not in err[0], err
    assert not any(name.startswith(".") for name in names(folder))
    return False


EVENTS = b"agent,observer,log_likelihood_ratio,event_id,type,reliability\n" + b"".join(
    b"a%d,o%d,%d.5,%d,x,0.%d\n" % (i % 3, i % 4, i - 4, i // 2, i) for i in range(8)
)
TRUTH = b"agent,truth\na0,null\na1,alternative\na2,null\n"


def test_damaged_evidence_gives_a_result_or_one_line(folder, capsys):
    chance = random.Random(5)
    done = 0
    for index in range(160):
        content = THREE.encode() if index % 5 == 0 else EVENTS
        (folder / "e.csv").write_bytes(damaged(content, chance))
        words = [[], ["--observers-lying", 1], ["--reliability", "temper"], ["--dependent"]][index % 4]
        done += answered(["e.csv", *words], folder, capsys)
    assert 30 < done < 150


def test_damaged_truth_gives_a_result_or_one_line(folder, capsys):
    chance = random.Random(6)
    (folder / "e.csv").write_bytes(EVENTS)
    done = 0
    for _ in range(20):
        (folder / "r.csv").write_bytes(damaged(TRUTH, chance))
        done += answered(["e.csv", "--truth", "r.csv"], folder, capsys)
    assert 2 < done < 20


def test_damaged_labels_and_gold_give_a_result_or_one_line(folder, capsys):
    chance = random.Random(7)
    (folder / "l.csv").write_text(LABELS)
    for index in range(12):
        (folder / "d.csv").write_bytes(damaged(LABELS.encode(), chance))
        (folder / "g.csv").write_bytes(damaged(b"item,label\ni0,yes\ni5,no\n", chance))
        answered(["d.csv"] if index % 2 else ["l.csv", "--gold", "g.csv"], folder, capsys)


def test_damaged_parquet_gives_a_result_or_one_line(folder, capsys):
    table = pa.table({"agent": ["a", "b"] * 50, "observer": ["o"] * 100, "log_likelihood_ratio": [0.5] * 100})
    pq.write_table(table, "t.parquet", compression="none")
    whole = (folder / "t.parquet").read_bytes()
    chance = random.Random(8)
    for _ in range(60):
        at = chance.randrange(4, len(whole))
        damage = [whole[:at], whole[:at] + chance.randbytes(4) + whole[at + 4 :]][chance.randrange(2)]
        (folder / "t.parquet").write_bytes(damage)
        answered(["t.parquet"], folder, capsys)
