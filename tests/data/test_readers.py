"""Files of observations: one table, the same batches from every format; what is wrong is said in one line."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.data.readers import open_source
from convergence_jax.data.source import numeric_features
from convergence_jax.errors import InputError

ROWS = 300
SELECTION = {"agent": "who", "levels": ["where", "what"], "features": ["x", "an y"]}


@pytest.fixture(scope="module")
def table():
    """Ids as integers, groups as text, features with everything that can go wrong."""
    random = np.random.default_rng(3)
    x = random.normal(size=ROWS) * 10.0 ** random.integers(-300, 300, ROWS)
    x[5], x[6], x[7] = np.nan, np.inf, -np.inf
    y = pa.array(random.integers(-(2**62), 2**62, ROWS)).to_pylist()
    y[5], y[8] = None, None
    where = [f"ort {i % 5}" for i in range(ROWS)]
    where[8], where[9], where[10] = None, "", "NA"
    return pa.table(
        {
            "who": pa.array([None if i == 11 else i % 40 for i in range(ROWS)], pa.int64()),
            "where": pa.array(where).dictionary_encode(),
            "what": pa.array([f'a,{i % 3}\n"b"' for i in range(ROWS)]),
            "x": pa.array(x),
            "an y": pa.array(y, pa.int64()),
            "unused": pa.array(["text"] * ROWS),
        }
    )


@pytest.fixture(scope="module")
def files(table, tmp_path_factory):
    """The table in every format."""
    folder = tmp_path_factory.mktemp("files")
    pq.write_table(table, folder / "t.parquet", row_group_size=64)
    # Arrow writes nulls as empty fields and NaN as nan.
    csv.write_csv(table, folder / "t.csv")
    (folder / "t.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes()))
    with (folder / "t.tsv").open("wb") as file:
        csv.write_csv(table, file, csv.WriteOptions(delimiter="\t"))
    (folder / "t.jsonl").write_text(json_lines(table))
    (folder / "t.ndjson.gz").write_bytes(gzip.compress((folder / "t.jsonl").read_bytes()))
    return {path.name: path for path in folder.iterdir()}


def json_lines(table):
    """JSON has no NaN, so what is not finite is left out there."""
    lines = []
    for row in table.to_pylist():
        finite = {key: v for key, v in row.items() if not isinstance(v, float) or np.isfinite(v)}
        lines.append(json.dumps(finite, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def read(path, **options):
    """Everything of a source, in one piece."""
    batches = list(open_source(path).batches(**(SELECTION | options)))
    rejected: dict[str, int] = {}
    for batch in batches:
        for reason, count in batch.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
    return (
        sum(batch.read for batch in batches),
        [name for batch in batches for name in batch.agent.to_pylist()],
        [[name for batch in batches for name in batch.levels[i].to_pylist()] for i in range(2)],
        np.concatenate([batch.values for batch in batches], axis=1).tobytes(),
        rejected,
    )


def test_every_format_gives_the_same_batches(files):
    wanted = read(files["t.parquet"])
    assert wanted[4] == {
        "missing:who": 1,
        "missing:where": 2,
        "not_finite:x": 3,
    }
    for name in ("t.csv", "t.csv.gz", "t.tsv"):
        assert read(files[name]) == wanted
    for name in ("t.jsonl", "t.ndjson.gz"):
        got = read(files[name])
        assert got[:4] == wanted[:4]
        assert got[4] == {"missing:who": 1, "missing:where": 2, "missing:x": 3}


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
@given(rows=st.integers(1, ROWS + 1))
def test_the_size_of_batches_leaves_no_trace(files, name, rows):
    whole = list(open_source(files[name]).batches(**SELECTION))
    pieces = list(open_source(files[name]).batches(**SELECTION, batch_rows=rows))
    assert [batch.read for batch in pieces[:-1]] == [rows] * (len(pieces) - 1)
    assert read(files[name], batch_rows=rows) == read(files[name])
    assert pieces[-1].done == whole[-1].done == 1.0


def test_a_source_can_be_read_twice(files):
    source = open_source(files["t.csv"])
    first, second = (b"".join(b.values.tobytes() for b in source.batches(**SELECTION)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_columns_say_what_they_hold(files, name):
    kinds = {column.name: column.kind for column in open_source(files[name]).columns()}
    assert kinds == {
        "who": "number",
        "where": "text",
        "what": "text",
        "x": "number",
        "an y": "number",
        "unused": "text",
    }


def test_features_default_to_the_numeric_columns_without_another_part(files):
    source = open_source(files["t.csv"])
    assert numeric_features(source, "who", ["where"], None) == ("x", "an y")
    assert numeric_features(source, "unused", [], "x") == ("who", "an y")
    with pytest.raises(InputError, match="no numeric column is left"):
        numeric_features(open_source(files["t.csv"]), "who", ["x"], "an y")


def test_columns_that_number_the_rows_are_no_features_unless_they_are_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",id,x\n0,a,1\n1,b,2\n")
    source = open_source(path)
    assert numeric_features(source, "id", [], None) == ("x",)
    (batch,) = source.batches(agent="id", levels=[], features=["", "x"])
    assert batch.values.tolist() == [[0.0, 1.0], [1.0, 2.0]]


def test_ids_are_text_as_it_is_written_in_csv(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('id,x\n007,1\n7,1\nNA,1\nnull,1\n1.0,1\ntrue,1\n 7,1\n,1\n"",1\n2026-01-01,1\n')
    (batch,) = open_source(path).batches(agent="id", levels=[], features=["x"])
    assert batch.agent.to_pylist() == ["007", "7", "NA", "null", "1.0", "true", " 7", "2026-01-01"]
    assert batch.rejected == {"missing:id": 2}


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array([1, 2**63], pa.uint64()), ["1", "9223372036854775808"]),
        (pa.array([1.0, None, 2.0]), ["1", "2"]),
        (pa.array([1.0, 0.1, -2.5e300, np.nan, 2.0**53]), ["1", "0.1", "-2.5e+300", "9007199254740992"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([b"a", "ä".encode()], pa.binary()), ["a", "ä"]),
        (pa.array(["a", None, ""]).dictionary_encode(), ["a"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([datetime(2026, 1, 2, tzinfo=UTC).date()]), ["2026-01-02"]),
    ],
)
def test_ids_of_any_type_read_as_text(tmp_path, array, texts):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": array, "x": np.ones(len(array))}), path)
    (batch,) = open_source(path).batches(agent="id", levels=[], features=["x"])
    assert batch.agent.to_pylist() == texts


def test_ids_of_mixed_types_in_json_read_as_each_one_alone(tmp_path):
    path = tmp_path / "t.jsonl"
    ids = ["a", 7, 7.0, 0.1, True, None, "", 2**70]
    path.write_text("".join(json.dumps({"id": i, "x": 1}) + "\n" for i in ids))
    (batch,) = open_source(path).batches(agent="id", levels=[], features=["x"])
    assert batch.agent.to_pylist() == ["a", "7", "7", "0.1", "true", str(2**70)]
    assert batch.rejected == {"missing:id": 2}


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, 2], pa.int8()),
        pa.array([1, 2], pa.uint64()),
        pa.array([1, 2], pa.float16()),
        pa.array([Decimal(1), Decimal(2)]),
        pa.array([True, True]).cast(pa.int32()).dictionary_encode(),
    ],
)
def test_features_of_any_numeric_type_read_as_float64(tmp_path, array):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "x": array}), path)
    (batch,) = open_source(path).batches(agent="id", levels=[], features=["x"])
    assert batch.values.tolist() == [[float(value) for value in array.to_pylist()]]


def test_truth_values_are_features_of_zero_and_one(tmp_path):
    pq.write_table(pa.table({"id": ["a", "b"], "x": [True, False]}), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text('{"id": "a", "x": true}\n{"id": "b", "x": false}\n')
    for name in ("t.parquet", "t.jsonl"):
        (batch,) = open_source(tmp_path / name).batches(agent="id", levels=[], features=["x"])
        assert batch.values.tolist() == [[1.0, 0.0]]


def test_missing_fields_of_a_feature_in_csv_are_those_that_are_documented(tmp_path):
    path = tmp_path / "t.csv"
    fields = [
        "",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "null",
        "NULL",
        "None",
        '""',
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        " 1 ",
    ]
    path.write_text("id,x\n" + "".join(f"a,{field}\n" for field in fields))
    (batch,) = open_source(path).batches(agent="id", levels=[], features=["x"])
    assert batch.rejected == {"missing:x": 9, "not_finite:x": 4}
    assert batch.values.tolist() == [[1.0]]


def test_a_row_is_rejected_once_under_its_first_reason(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,id,y,g\n,,nan,\nnan,a,,g\n1,a,inf,\n1,a,2,g\n")
    (batch,) = open_source(path).batches(agent="id", levels=["g"], features=["y", "x"])
    assert batch.rejected == {"missing:id": 1, "missing:g": 1, "missing:y": 1}
    assert batch.read == 4
    assert batch.values.tolist() == [[2.0], [1.0]]


@pytest.mark.parametrize(
    ("times", "until", "before"),
    [
        (pa.array([1, 2, None, 3]), "2.5", [True, True, False]),
        (pa.array([1, 2**62, 2**62 + 1]), str(2**62 + 1), [True, True, False]),
        (pa.array([1, 2], pa.uint64()), "1e30", [True, True]),
        (pa.array([1.0, np.nan, 2.0]), "2", [True, False]),
        (pa.array(["1", "2.5"]), "2", [True, False]),
        (pa.array([0, 86400], pa.timestamp("s")), "1970-01-02", [True, False]),
        (
            pa.array([0, 86400 * 10**9], pa.timestamp("ns", "Europe/Berlin")),
            "1970-01-02T00:00Z",
            [True, False],
        ),
        (pa.array([0, 1], pa.date32()), "1970-01-02", [True, False]),
        (pa.array([0, 1], pa.date32()), "19700102", [True, False]),
        (pa.array(["1970-01-01 23:59:59.999999999", "1970-01-02T00:00"]), "1970-01-02", [True, False]),
        (pa.array(["1970-01-01T23:59:59+00:00", "1970-01-01T23:59:59-01:00"]), "1970-01-02", [True, False]),
    ],
)
def test_rows_before_the_end_of_the_baseline_are_marked(tmp_path, times, until, before):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["a"] * len(times), "x": np.ones(len(times)), "t": times}), path)
    source = open_source(path)
    if until == "19700102":
        with pytest.raises(InputError, match="give an ISO time"):
            list(source.batches(agent="id", levels=[], features=["x"], time="t", until="1.5"))
    (batch,) = source.batches(agent="id", levels=[], features=["x"], time="t", until=until)
    assert batch.before.tolist() == before
    assert batch.rejected == ({} if len(before) == len(times) else {"missing:t": 1})
    (batch,) = source.batches(agent="id", levels=[], features=["x"], time="t")
    assert batch.before is None
    assert batch.rejected == {}


def test_a_file_that_changes_meanwhile_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,x\na,1\n")
    source = open_source(path)
    path.write_text("id,x\na,1\nb,2\n")
    with pytest.raises(InputError, match="changed while it was read"):
        list(source.batches(agent="id", levels=[], features=["x"]))


def test_the_row_of_a_bad_value_is_counted_over_the_whole_file(tmp_path):
    lines = [f"a{i},{i}" for i in range(500_000)]
    lines[400_000] = "b,oops"
    path = tmp_path / "t.csv"
    path.write_text("id,x\n" + "\n".join(lines))
    with pytest.raises(InputError, match=r"t\.csv, row 400,001: column 'x' holds text \('oops'\)"):
        list(open_source(path).batches(agent="id", levels=[], features=["x"]))
    lines[400_000] = "b,1,2"
    path.write_text("id,x\n" + "\n".join(lines))
    with pytest.raises(InputError, match=r"t\.csv, row 400,001: has 3 fields where the first line has 2"):
        list(open_source(path).batches(agent="id", levels=[], features=["x"]))
    path = tmp_path / "t.jsonl"
    rows = [f'{{"id": "a{i}", "x": {i}}}' for i in range(300_000)]
    rows[250_000] = '{"id": 1, "x": "oops"}'
    path.write_text("\n".join(rows))
    with pytest.raises(InputError, match=r"t\.jsonl, line 250,001: column 'x' holds text \('oops'\)"):
        list(open_source(path).batches(agent="id", levels=[], features=["x"]))


def test_a_byte_order_mark_and_windows_line_ends_leave_no_trace(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfid,x\r\na,1\r\n")
    (tmp_path / "t.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "a", "x": 1}\r\n\r\n')
    for name in ("t.csv", "t.jsonl"):
        (batch,) = open_source(tmp_path / name).batches(agent="id", levels=[], features=["x"])
        assert (batch.agent.to_pylist(), batch.values.tolist()) == (["a"], [[1.0]])
