"""Whatever a file holds: it is read, or refused in one line; nothing else comes out."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.data.readers import open_source
from convergence_jax.errors import InputError

CSV = 'id,g,x\na,"b, c",1\nd,e,2.5\n"f\ng",h,\ni,j,nan\n'
SOUND = {
    "t.csv": CSV.encode(),
    "t.csv.gz": gzip.compress(CSV.encode(), mtime=0),
    "t.tsv": CSV.replace(",", "\t").encode(),
    "t.jsonl": b"".join(json.dumps({"id": f"a{i}", "g": i, "x": i / 3}).encode() + b"\n" for i in range(9)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the files lie, a Parquet file among them."""
    folder = tmp_path_factory.mktemp("damaged")
    table = pa.table({"id": [f"a{i}" for i in range(50)], "g": ["b", "c"] * 25, "x": np.arange(50.0)})
    pq.write_table(table, folder / "t.parquet", row_group_size=10)
    SOUND["t.parquet"] = (folder / "t.parquet").read_bytes()
    return folder


def read(path):
    """Rows read twice, as `detect` does, or the line that says why not."""
    try:
        source = open_source(path)
        passes = [
            sum(batch.read for batch in source.batches(agent="id", levels=["g"], features=["x"]))
            for _ in range(2)
        ]
    except InputError as error:
        line = str(error)
        assert line.startswith(str(path))
        assert line.endswith((".", "?"))
        assert "\n" not in line
        return line
    assert passes[0] == passes[1] > 0
    return passes[0]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.jsonl", "t.parquet"])
@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(folder, name, data):
    content = SOUND[name]
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 12))
    junk = data.draw(
        st.binary(max_size=12) | st.sampled_from([b'"', b",", b"\n", b"\0", b"{", b"[1]", b"nan", b"NaN"])
    )
    cut = data.draw(st.booleans())
    path = folder / name
    path.write_bytes(content[:start] + junk + (b"" if cut else content[start + length :]))
    read(path)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.tsv"])
@settings(max_examples=100)
@given(text=st.text(alphabet='ab1.,;\t"{}[]:\n\r\\ ', max_size=60), names=st.booleans())
def test_any_text_is_read_or_refused_in_one_line(folder, name, text, names):
    path = folder / name
    path.write_text(("id,g,x\n" if names else "") + text)
    read(path)
