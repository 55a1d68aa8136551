"""The pipeline from rows to verdict: states that no order of rows changes, a result that says what it is."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convergence_jax.data.readers import open_source
from convergence_jax.data.survey import Survey
from convergence_jax.detector import detect
from convergence_jax.errors import InputError
from convergence_jax.exact.fixed_point import FixedPoint

COLUMNS = {"agent": "who", "levels": ("region", "site"), "features": ("x", "y")}


def fleet(rows=3000, agents=150, seed=5):
    """A table of two features, agents in one to three groups, a few planted far out."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, agents, rows)
    x = rng.normal(size=rows) * 3 + who % 7 + np.where(who == 13, 60.0, 0.0)
    return pa.table(
        {
            "who": [f"agent {i}" for i in who],
            "region": [f"r{i % 3}" for i in who],
            "site": [f"s{(i // 3 + (j % 40 == 0)) % 4}" for j, i in enumerate(who)],
            "x": x,
            "y": x * 0.3 + rng.normal(size=rows),
            "day": np.arange(rows) % 10,
        }
    )


class Chunked:
    """A source read in batches of another size."""

    def __init__(self, path, rows):
        self.inner, self.batch_rows = open_source(path), rows
        self.name, self.rows = self.inner.name, self.inner.rows

    def batches(self, **selection):
        return self.inner.batches(**selection, batch_rows=self.batch_rows)


def run(tmp_path, table, *, batch_rows=2**18, **options):
    path = tmp_path / "fleet.parquet"
    pq.write_table(table, path)
    return detect(Chunked(path, batch_rows), **(COLUMNS | options))


def test_row_order_chunks_and_devices_leave_no_trace(tmp_path):
    table = fleet()
    first = run(tmp_path, table)
    order = np.random.default_rng(1).permutation(table.num_rows)
    for again in (
        run(tmp_path, table.take(pa.array(order))),
        run(tmp_path, table, batch_rows=97),
        run(tmp_path, table, devices=2),
        run(tmp_path, table.take(pa.array(order)), batch_rows=1000, devices=8),
    ):
        assert again.result["digest"] == first.result["digest"]
        assert again.agents.equals(first.agents)
        assert again.result["population"] == first.result["population"]


def test_a_changed_value_changes_the_digest(tmp_path):
    table = fleet()
    x = table["x"].to_numpy().copy()
    x[17] += 1e-6
    changed = table.set_column(3, "x", pa.array(x))
    assert run(tmp_path, table).result["digest"] != run(tmp_path, changed).result["digest"]


def test_mean_and_covariance_are_rational_arithmetic_rounded_once(tmp_path):
    table = fleet()
    result = run(tmp_path, table).result
    columns = []
    for name in ("x", "y"):
        scale = Fraction(2) ** result["lift"][name]["scale_bits"]
        columns.append([round(Fraction(v) * scale) / scale for v in table[name].to_pylist()])
    n = table.num_rows
    sums = [sum(c) for c in columns]
    assert result["population"]["count"] == n
    assert result["population"]["mean"] == [float(s / n) for s in sums]
    assert result["population"]["covariance"] == [
        [
            float((n * sum(a * b for a, b in zip(u, v, strict=True)) - s * t) / (n * (n - 1)))
            for v, t in zip(columns, sums, strict=True)
        ]
        for u, s in zip(columns, sums, strict=True)
    ]


def test_the_planted_agent_is_flagged_and_explained(tmp_path):
    found = run(tmp_path, fleet())
    rows = found.agents.to_pydict()
    flagged = [a for a, f in zip(rows["agent"], rows["flagged"], strict=True) if f]
    assert "agent 13" in flagged
    assert found.result["decision"]["flagged"] == len(flagged)
    assert found.decision.explain(rows["agent"].index("agent 13"))[0].feature == "x"


def test_agents_in_several_groups_have_one_row_with_their_most_frequent_path(tmp_path):
    table = pa.table(
        {
            "who": ["a"] * 3 + ["b"] * 4 + ["c"],
            "region": ["n", "n", "s", "s", "n", "n", "s", "n"],
            "site": ["1", "1", "1", "2", "2", "1", "2", "1"],
            "x": np.arange(8.0),
            "y": np.arange(8.0) ** 2,
        }
    )
    found = run(tmp_path, table)
    rows = found.agents.to_pydict()
    assert rows["agent"] == ["a", "b", "c"]
    assert rows["observations"] == [3, 4, 1]
    assert list(zip(rows["region"], rows["site"], strict=True)) == [("n", "1"), ("s", "2"), ("n", "1")]
    assert found.result["input"]["agents_in_several_groups"] == 2
    assert found.result["levels"] == [{"name": "region", "groups": 2}, {"name": "site", "groups": 4}]


def test_rows_out_of_a_declared_range_are_counted_by_feature(tmp_path):
    table = fleet()
    x = table["x"].to_numpy().copy()
    x[[3, 8]] = 5000.0
    found = run(
        tmp_path,
        table.set_column(3, "x", pa.array(x)),
        lifts={"x": FixedPoint(20, 8), "y": FixedPoint(20, 11)},
    )
    assert found.result["input"]["rejected"] == {"out_of_range:x": 2}
    assert found.result["population"]["count"] == table.num_rows - 2
    assert "survey" not in found.result["seconds"]


def test_a_lift_of_no_feature_is_refused(tmp_path):
    with pytest.raises(InputError, match="'z' is not a chosen feature"):
        run(tmp_path, fleet(), lifts={"z": FixedPoint()})


def test_a_level_named_like_a_column_of_the_result_is_refused(tmp_path):
    table = fleet().rename_columns(["who", "flagged", "site", "x", "y", "day"])
    with pytest.raises(InputError, match="'flagged' is a column of the result"):
        run(tmp_path, table, levels=("flagged", "site"))


def test_a_later_period_is_compared_with_an_earlier_one(tmp_path):
    table = fleet(rows=4000)
    late = table["day"].to_numpy() >= 5
    changed = {f"agent {i}" for i in range(20, 50)}
    moved = np.array([w in changed for w in table["who"].to_pylist()]) & late
    table = table.set_column(3, "x", pa.array(table["x"].to_numpy() + 80.0 * moved))
    found = run(tmp_path, table, time="day", until="5", alpha=0.2)
    rows = found.agents.to_pydict()
    flagged = {agent for agent, flag in zip(rows["agent"], rows["flagged"], strict=True) if flag}
    assert changed <= flagged
    assert 1 < found.result["decision"]["least_rejections"] <= len(changed)
    assert found.result["population"]["count"] == table.num_rows


def test_a_period_without_rows_is_refused(tmp_path):
    for until, which in (("0", "before"), ("99", "from")):
        with pytest.raises(InputError, match=f"no usable row {which}"):
            run(tmp_path, fleet(), time="day", until=until)


@pytest.mark.parametrize("rows", [1, 2])
def test_one_agent_is_not_judged(tmp_path, rows):
    found = run(tmp_path, fleet(rows=rows, agents=1))
    assert found.result["decision"]["flagged"] == 0
    assert found.agents.num_rows == 1


def test_the_survey_takes_the_wide_form_for_a_large_dynamic_range():
    survey = Survey(3)
    tiny = np.full(100, 1e-9)
    survey.add(np.stack([np.append(tiny, 1e9), np.append(tiny, 2e-9), np.zeros(101)]))
    lifts = [survey.lift(i) for i in range(3)]
    assert [lift.wide for lift in lifts] == [True, False, False]
    assert all(abs(lift.tick) > 0 for lift in lifts)


@pytest.mark.parametrize("value", [5e-324, 2.0**-1022, 1.0, np.nextafter(2.0, 0), 2.0, 1.7e308])
def test_the_surveyed_lift_holds_the_largest_value(value):
    survey = Survey(1)
    survey.add(np.array([[value, -value / 2, 0.0]]))
    ticks, held = survey.lift(0).lift(np.array([value]))
    assert held.all()
    assert abs(int(ticks[0])) <= 2**30
