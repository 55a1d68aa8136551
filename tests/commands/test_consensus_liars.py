"""``convergence consensus`` where a third of the observers lie about everything."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from consensus_runs import consensus, posteriors


@pytest.fixture
def third_of_liars():
    """A hundred observers about forty agents, half of them bad: 33 say about all what the file name says."""
    chance = np.random.default_rng(9)
    agents, observers, liars = 40, 100, 33
    bad = np.arange(agents) % 2 == 1
    ratio = chance.normal(np.where(bad, 4.5, -4.5)[:, None], 3.0, (agents, observers))
    for lie in (50.0, -50.0):
        told = ratio.copy()
        told[:, :liars] = lie
        agent, observer = np.divmod(np.arange(told.size), observers)
        columns = {"agent": [f"a{i:02}" for i in agent], "observer": [f"o{i:02}" for i in observer]}
        pq.write_table(pa.table(columns | {"log_likelihood_ratio": told.ravel()}), f"{lie:+.0f}.parquet")
    return dict(zip([f"a{i:02}" for i in range(agents)], np.where(bad, "flag", "clear"), strict=True))


@pytest.mark.parametrize("file", ["+50.parquet", "-50.parquet"])
def test_a_third_that_lies_flags_and_clears_nobody_wrongly(file, third_of_liars, capsys):
    found = consensus(file, "--observers-lying", 33, capsys=capsys)
    assert {agent: row["verdict"] for agent, row in posteriors().items()} == third_of_liars
    assert found["decision"]["observers_lying"] == 33
    suspicious = pq.read_table("out/observers.parquet").sort_by("suspicion_rank")["observer"].to_pylist()
    assert set(suspicious[:33]) == {f"o{i:02}" for i in range(33)}
    consensus(file, capsys=capsys)  # who is told that nobody lies is told what the liars say
    assert len({row["verdict"] for row in posteriors().values()}) == 1


def test_dependent_observers_are_averaged_and_decide_less(third_of_liars, capsys):
    words = ["+50.parquet", "--observers-lying", 33]
    consensus(*words, capsys=capsys)
    multiplied = posteriors()
    found = consensus(*words, "--dependent", capsys=capsys)
    assert "Honest observers may depend on each other in any way." in found["decision"]["assumes"]
    averaged = posteriors()
    for agent, row in averaged.items():
        assert row["verdict"] in (third_of_liars[agent], "undetermined")
        if third_of_liars[agent] == "flag":
            assert row["log_e_against_null"] <= multiplied[agent]["log_e_against_null"]
    assert {row["verdict"] for row in averaged.values()} > {"undetermined"}
