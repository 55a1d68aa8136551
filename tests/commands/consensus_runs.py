"""``convergence consensus`` as the tests run it, and what it leaves behind."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from convergence_jax import cli

PARQUET = ("posteriors.parquet", "observers.parquet")

THREE = (
    "agent,observer,log_likelihood_ok,log_likelihood_slow,log_likelihood_lost,reliability\n"
    "a,o,-1,-2,-3,1\nb,p,-3,-2,-1,1\n"
)
"""Three hypotheses of two agents."""

LABELS = "item,worker,label\n" + "".join(
    f"i{i % 6},w{i % 4},{'yes' if i % 6 < 3 else 'no'}\n" for i in range(24)
)
"""Four workers who agree about six items."""


def names(folder):
    """Everything in a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


def run(*words, capsys):
    """Exit status, and the lines of both streams."""
    status = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def consensus(*words, capsys, out="out"):
    """What a command that succeeds writes as JSON."""
    status, _, err = run("consensus", *words, "--out", out, capsys=capsys)
    assert (status, err) == (0, [])
    return json.loads(Path(out, "result.json").read_text())


def posteriors(out="out"):
    """The rows of a result by agent."""
    rows = pq.read_table(Path(out, "posteriors.parquet")).to_pylist()
    return {row["agent"]: row for row in rows}


def same_bytes(names, first, second):
    """Whether files of two results have the same bytes."""
    return all(Path(first, name).read_bytes() == Path(second, name).read_bytes() for name in names)
