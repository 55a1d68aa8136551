"""``convergence consensus`` on evidence, from the words typed to the files written."""

import itertools
import json
import shlex
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from consensus_runs import PARQUET, consensus, posteriors, run, same_bytes

from convergence_jax.consensus import evidence_run
from convergence_jax.data.config import load, run_config
from convergence_jax.data.readers import FileSource

OBSERVERS = 7
BOUNDS = ["lower_log_odds", "upper_log_odds", "trimmed_mean_estimate", "median_estimate"]


@pytest.fixture(scope="module")
def table():
    """Seven observers about twelve agents: ordinary values, tiny and huge ones, and some that cancel."""
    chance = np.random.default_rng(3)
    rows = 300
    agent, observer = chance.integers(0, 12, rows), chance.integers(0, OBSERVERS, rows)
    ratio = chance.normal(0, 2, rows)
    ratio[::17] *= 2.0**-300
    ratio[5::41] = 1e8
    ratio[6::41] = -1e8
    return pa.table(
        {
            "agent": pa.array([f"ä{i:03}" for i in agent]),
            "observer": pa.array([f"0{i}" for i in observer]),
            "log_likelihood_ratio": pa.array(ratio),
            "event_id": pa.array(np.arange(rows) // 2 * 2 + observer % 2),
            "reliability": pa.array(chance.uniform(0, 1, rows)),
        }
    )


@pytest.fixture
def plain(table):
    """The same without event ids, so that every row counts, as a file."""
    pq.write_table(table.drop(["event_id"]), "t.parquet")
    return table


def said(table):
    """The exact total of each observer about each agent."""
    totals = {}
    for row in table.to_pylist():
        key = row["agent"], row["observer"]
        totals[key] = totals.get(key, Fraction(0)) + Fraction(row["log_likelihood_ratio"])
    return totals


def test_a_run_leaves_one_directory_that_says_everything(plain, folder, capsys):
    status, out, err = run("consensus", "t.parquet", "--observers-lying", 2, capsys=capsys)
    assert (status, err) == (0, [])
    (made,) = (folder / "results").iterdir()
    assert sorted(path.name for path in made.iterdir()) == [
        "config.toml",
        "observers.parquet",
        "posteriors.parquet",
        "report.html",
        "result.json",
    ]
    found = json.loads((made / "result.json").read_text())
    assert made.name == f"consensus-{found['digest'][:12]}"
    assert (found["schema"], found["mode"]) == ("convergence.consensus/1", "evidence")
    assert (found["items"], found["observers"], found["rejected"]) == (12, OBSERVERS, {})
    assert found["hypotheses"] == ["null", "alternative"]
    assert (found["input"]["rows"], found["input"]["events"]) == (300, 300)
    stages = "read events accumulate digest posterior decide observers"
    assert set(found["seconds"]) == set(stages.split())
    assert found["execution"]["backend"] == "xla"
    decision = found["decision"]
    assert (decision["alpha"], decision["observers_lying"]) == (0.05, 2)
    assert sum(decision["verdicts"].values()) == 12
    assert "accuracy" not in found
    assert found["command"] == "convergence consensus t.parquet --observers-lying 2 --alpha 0.05"
    written = pq.read_table(made / "posteriors.parquet")
    assert written.column_names == [
        "agent",
        "items",
        "observers",
        "log_posterior_null",
        "log_posterior_alternative",
        "probability_null",
        "probability_alternative",
        "log_odds",
        "log_complement",
        *BOUNDS,
        "label",
        "verdict",
        "log_e_against_null",
        "log_e_against_alternative",
        "discovery",
    ]
    assert set(written["verdict"].to_pylist()) <= {"flag", "clear", "undetermined"}
    assert written["agent"].to_pylist() == sorted(set(plain["agent"].to_pylist()))
    counts = ", ".join(f"{n:,} {name}" for name, n in decision["verdicts"].items()).replace(
        "flag,", "flagged,"
    )
    assert out[0] == f"12 agents: {counts}, with at most 2 of 7 observers lying"
    assert any(found["digest"] in line for line in out)
    assert out[-1].endswith(f"results/{made.name}/report.html")


def log_odds_of(prior):
    """The float nearest to the logarithm of the odds of the alternative that a text like ``9:1`` says."""
    null, alternative = (Fraction(part) for part in prior.split(":"))
    with mpmath.workdps(60):
        odds = mpmath.mpf((alternative / null).numerator) / (alternative / null).denominator
        return Fraction(float(mpmath.log(odds)))


@pytest.mark.parametrize("prior", [None, "1000:1", "1/3:2.5e1"])
def test_log_odds_are_the_exact_sum_and_the_prior_rounded_once(prior, plain, capsys):
    consensus("t.parquet", *([] if prior is None else ["--prior", prior]), capsys=capsys)
    wanted = {}
    for (agent, _), total in said(plain).items():
        wanted[agent] = wanted.get(agent, log_odds_of(prior or "1:1")) + total
    assert {agent: row["log_odds"] for agent, row in posteriors().items()} == {
        agent: float(total) for agent, total in wanted.items()
    }


@pytest.mark.parametrize("prior", ["1:1", "9:1"])
def test_bounds_hold_whoever_the_liars_are_and_no_tighter_ones_do(prior, plain, capsys):
    consensus("t.parquet", "--observers-lying", 2, "--prior", prior, capsys=capsys)
    totals, added = said(plain), log_odds_of(prior)
    names = {observer for _, observer in totals}
    for agent, row in posteriors().items():
        honest = [
            added + sum(totals.get((agent, name), Fraction(0)) for name in names - set(liars))
            for number in range(3)
            for liars in itertools.combinations(names, number)
        ]
        lower, upper = row["lower_log_odds"], row["upper_log_odds"]
        assert lower <= min(honest) < np.nextafter(lower, np.inf)
        assert np.nextafter(upper, -np.inf) < max(honest) <= upper
        label = "alternative" if lower > 0 else "null" if upper < 0 else "undetermined"
        assert row["label"] == label


def test_two_columns_of_likelihoods_say_what_their_ratio_says(plain, capsys):
    ratio = plain["log_likelihood_ratio"].to_numpy()
    two = plain.select(["agent", "observer"])
    two = two.append_column("log_likelihood_ok", pa.array(-ratio / 2))
    pq.write_table(two.append_column("log_likelihood_bad", pa.array(ratio / 2)), "two.parquet")
    consensus("t.parquet", "--observers-lying", 2, "--prior", "9:1", capsys=capsys)
    consensus("two.parquet", "--observers-lying", 2, "--prior", "9:1", capsys=capsys, out="two")
    one, other = posteriors(), posteriors("two")
    for name in (*BOUNDS, "log_odds", "verdict", "items", "log_e_against_null", "discovery"):
        assert [row[name] for row in one.values()] == [row[name] for row in other.values()], name
    assert {row["label"] for row in other.values()} <= {"ok", "bad", "undetermined"}


@pytest.mark.parametrize("words", [[], ["--observers-lying", 3, "--reliability", "contaminate"]])
def test_format_order_and_batches_leave_no_trace(words, table, monkeypatch, capsys):
    pq.write_table(table, "t.parquet", row_group_size=31)
    consensus("t.parquet", *words, capsys=capsys, out="first")
    order = np.random.default_rng(1).permutation(table.num_rows)
    shuffled = table.take(pa.array(order))
    csv.write_csv(shuffled, "t.csv")
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shuffled.to_pylist()))
    whole = FileSource.batches
    for name, rows in (("t.parquet", 1), ("t.csv", 7), ("t.jsonl", 64), ("t.csv", 1000)):
        monkeypatch.setattr(FileSource, "batches", lambda *a, n=rows, **o: whole(*a, **o, batch_rows=n))
        found = consensus(name, *words, capsys=capsys)
        first = json.loads(Path("first/result.json").read_text())
        assert found["digest"] == first["digest"]
        assert found["rejected"] == first["rejected"]
        assert found["rejected"].keys() == {"equivocation"}
        assert same_bytes(PARQUET, "first", "out")


@pytest.mark.parametrize("rule", [None, "temper", "contaminate", "clip"])
def test_compiled_code_gives_the_same_bytes(rule, plain, monkeypatch, capsys):
    words = ["t.parquet", "--observers-lying", 2, *([] if rule is None else ["--reliability", rule])]
    found = consensus(*words, capsys=capsys)
    monkeypatch.setattr(evidence_run, "_MANY", 0)
    assert consensus(*words, capsys=capsys, out="compiled")["digest"] == found["digest"]
    assert same_bytes(PARQUET, "compiled", "out")


def test_the_config_of_a_result_makes_it_again(table, capsys):
    pq.write_table(table, "t.parquet")
    csv.write_csv(pa.table({"agent": ["ä001", "ä002"], "truth": ["null", "alternative"]}), "r.csv")
    words = ["--truth", "r.csv", "--observers-lying", 1, "--prior", "3:1", "--alpha", 0.01, "--dependent"]
    words += ["--reliability", "clip", "--range-bits", 20, "--retract", "01,03", "--backend", "cpu"]
    first = consensus("t.parquet", *words, capsys=capsys, out="first")
    config = run_config(load("first/config.toml"), "first")
    assert (config.retract, config.range_bits, config.dependent) == (["01", "03"], 20, True)
    assert run("run", "first/config.toml", "--out", "second", capsys=capsys)[0] == 0
    again = shlex.split(first["command"])[1:]
    assert run(*again, "--out", "third", capsys=capsys)[0] == 0
    for out in ("second", "third"):
        other = json.loads(Path(out, "result.json").read_text())
        assert {**other, "seconds": 0} == {**first, "seconds": 0}
        assert same_bytes((*PARQUET, "config.toml"), "first", out)


@pytest.mark.parametrize("words", [["--observers-lying", 2], ["--dependent", "--prior", "5:1"]])
def test_retracting_an_observer_leaves_what_a_file_without_it_says(words, plain, capsys):
    # An agent that the observer alone knew keeps its row, with the prior; all others have the same bits.
    alone = {"agent": ["only"], "observer": ["04"], "log_likelihood_ratio": [9.0], "reliability": [1.0]}
    whole = pa.concat_tables([plain.drop(["event_id"]), pa.table(alone)])
    pq.write_table(whole, "whole.parquet")
    kept = whole.filter(pa.compute.not_equal(whole["observer"], "04"))
    pq.write_table(kept, "kept.parquet")
    found = consensus("whole.parquet", *words, "--retract", "04", capsys=capsys, out="retracted")
    consensus("kept.parquet", *words, capsys=capsys, out="kept")
    table = pq.read_table("retracted/posteriors.parquet")
    (lonely,) = table.filter(pa.compute.equal(table["agent"], "only")).to_pylist()
    assert (lonely["items"], lonely["observers"], lonely["verdict"]) == (0, 0, "undetermined")
    assert lonely["probability_null"] == pytest.approx(5 / 6 if "--prior" in words else 1 / 2, rel=1e-15)
    others = table.filter(pa.compute.not_equal(table["agent"], "only"))
    kept = pq.read_table("kept/posteriors.parquet")
    apart = ["discovery"]  # depends on how many agents there are
    assert others.drop(apart).equals(kept.drop(apart))
    assert found["input"]["retracted"] == ["04"]
    observers = pq.read_table("retracted/observers.parquet").to_pylist()
    assert [row["observer"] for row in observers if row["retracted"]] == ["04"]
    assert next(row for row in observers if row["retracted"])["items"] == 0
    pq.write_table(whole.filter(pa.compute.not_equal(whole["agent"], "only")), "known.parquet")
    consensus("known.parquet", *words, "--retract", "04", capsys=capsys, out="known")
    assert same_bytes(["posteriors.parquet"], "known", "kept")


@pytest.mark.parametrize("rule", ["temper", "contaminate", "clip"])
def test_full_reliability_changes_no_bit(rule, plain, capsys):
    ones = plain.drop(["event_id", "reliability"]).append_column("reliability", pa.array(np.ones(300)))
    pq.write_table(ones, "ones.parquet")
    plainly = consensus("ones.parquet", capsys=capsys, out="plain")
    found = consensus("ones.parquet", "--reliability", rule, capsys=capsys)
    assert found["digest"] == plainly["digest"]
    assert same_bytes(PARQUET, "plain", "out")


@pytest.mark.parametrize("rule", ["temper", "contaminate", "clip"])
def test_no_reliability_leaves_the_prior(rule, plain, capsys):
    column = pa.array(np.zeros(300))
    none = plain.drop(["event_id", "reliability"]).append_column("reliability", column)
    pq.write_table(none, "none.parquet")
    consensus("none.parquet", "--reliability", rule, "--prior", "3:1", capsys=capsys)
    for row in posteriors().values():
        assert row["log_odds"] == pytest.approx(-np.log(3), rel=1e-15)
        assert row["verdict"] == "undetermined"


def test_tempering_multiplies_each_item_by_its_reliability(plain, capsys):
    consensus("t.parquet", "--reliability", "temper", capsys=capsys)
    totals = {}
    for row in plain.to_pylist():
        item = Fraction(row["log_likelihood_ratio"] * row["reliability"])
        totals[row["agent"]] = totals.get(row["agent"], 0) + item
    assert {agent: row["log_odds"] for agent, row in posteriors().items()} == {
        agent: float(total) for agent, total in totals.items()
    }


def test_three_hypotheses_have_a_posterior_each(capsys):
    logs = {
        "ok": [-1.0, -4.0, -3.0, -1.0],
        "slow": [-2.0, -1.0, -3.0, -9.0],
        "lost": [-3.0, -9.0, -3.0, -9.0],
    }
    columns = {f"log_likelihood_{name}": values for name, values in logs.items()}
    pq.write_table(pa.table({"agent": list("abca"), "observer": list("opoo")} | columns), "t.parquet")
    csv.write_csv(pa.table({"agent": ["a", "b"], "truth": ["ok", "lost"]}), "r.csv")
    found = consensus("t.parquet", "--prior", "2:1:1", "--truth", "r.csv", capsys=capsys)
    assert found["hypotheses"] == ["ok", "slow", "lost"]
    rows = posteriors()
    assert "log_odds" not in rows["a"]
    with mpmath.workdps(40):
        for agent, row in rows.items():
            weights = [
                weight * mpmath.exp(sum(x for x, a in zip(values, "abca", strict=True) if a == agent))
                for weight, values in zip((2, 1, 1), logs.values(), strict=True)
            ]
            for name, weight in zip(logs, weights, strict=True):
                wanted = weight / sum(weights)
                assert abs(row[f"probability_{name}"] - wanted) <= 2.0**-52 * wanted
                bound = 2.0**-53 * (1 + abs(mpmath.log(wanted)))  # of the prior, and of the result
                assert abs(row[f"log_posterior_{name}"] - mpmath.log(wanted)) <= bound
    assert [row["label"] for row in rows.values()] == ["ok", "slow", "ok"]
    assert rows["a"]["verdict"] == "clear"
    assert found["accuracy"] == 0.5


def test_truth_is_compared_with_and_changes_no_posterior(plain, capsys):
    consensus("t.parquet", capsys=capsys, out="without")
    odds = {agent: row["log_odds"] for agent, row in posteriors("without").items()}
    truth = ["alternative" if x > 0 else "null" for x in odds.values()]
    truth[0] = "null" if truth[0] == "alternative" else "alternative"
    csv.write_csv(pa.table({"agent": list(odds), "truth": truth}), "r.csv")
    status, out, _ = run("consensus", "t.parquet", "--truth", "r.csv", "--out", "out", capsys=capsys)
    assert status == 0
    found, without = (json.loads(Path(name, "result.json").read_text()) for name in ("out", "without"))
    assert same_bytes(PARQUET, "without", "out")
    assert found["digest"] == without["digest"]
    assert found["accuracy"] == pytest.approx(11 / 12)
    low, high = found["calibration_interval"]
    assert 0 <= low <= high <= 1
    assert 0 <= found["calibration_error"] <= 1
    assert found["log_loss"] > 0
    assert len(found["calibration_bins"]) == 10
    assert sum(each["count"] for each in found["calibration_bins"]) == 12
    assert found["truth"]["items"] == 12
    assert any(line.startswith("  truth     accuracy 0.9167, log-loss ") for line in out)


def test_the_status_tells_an_alarm_from_an_error(capsys):
    rows = {"agent": list("abc"), "observer": list("ooo"), "log_likelihood_ratio": [9.0, -9.0, 0.5]}
    pq.write_table(pa.table(rows), "t.parquet")
    status, out, err = run("consensus", "t.parquet", "--fail-on-flag", "--out", "out", capsys=capsys)
    assert (status, err) == (3, [])
    assert out[0] == "3 agents: 1 flagged, 1 clear, 1 undetermined"
    assert [row["verdict"] for row in posteriors().values()] == ["flag", "clear", "undetermined"]
    words = ["consensus", "t.parquet", "--alpha", 1e-5, "--fail-on-flag", "--out", "out"]
    assert run(*words, capsys=capsys)[0] == 0


def test_help_lists_every_flag(capsys):
    status, out, err = run("consensus", "--help", capsys=capsys)
    assert (status, err) == (0, [])
    flags = (
        "truth observers-lying gold prior alpha reliability dependent range-bits retract format backend out"
    )
    for flag in [*flags.split(), "fail-on-flag"]:
        assert any(f"--{flag}" in line for line in out), flag
