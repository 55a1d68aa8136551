"""What ``convergence consensus`` refuses: in one line that says what to do, with nothing left behind."""

from pathlib import Path

import pytest
from consensus_runs import LABELS, THREE, names, run

EVIDENCE = "agent,observer,log_likelihood_ratio\n" + "".join(
    f"a{i % 4},o{i % 5},{(-1) ** i * i / 8}\n" for i in range(20)
)


def refused(*words, capsys):
    """The only line of a command that refuses its input and leaves the folder as it was."""
    before = names(Path())
    status, out, err = run("consensus", *words, capsys=capsys)
    assert (status, out, len(err)) == (2, [], 1)
    assert names(Path()) == before
    assert err[0].startswith("convergence: ")
    return err[0].removeprefix("convergence: ")


WRONG_FILES = {
    "empty": ("", "t.csv: is empty; give a file with observations."),
    "only names": (
        "agent,observer,log_likelihood_ratio\n",
        "t.csv: has no rows, only column names; give a file with observations.",
    ),
    "neither evidence nor labels": (
        "who,what\na,1\n",
        "t.csv: is neither evidence (agent, observer, log_likelihood_ratio) nor labels (item, worker, "
        "label); rename its columns. There are: what, who.",
    ),
    "labels without workers": (
        "item,label\na,1\n",
        "t.csv: is neither evidence (agent, observer, log_likelihood_ratio) nor labels (item, worker, "
        "label); rename its columns. There are: item, label.",
    ),
    "no likelihood": (
        "agent,observer,llr\na,o,1\n",
        "t.csv: no column 'log_likelihood_ratio', nor one log_likelihood_NAME for each hypothesis; there "
        "are: agent, llr, observer.",
    ),
    "a likelihood nearly so named": (
        "agent,observer,log_likelihod_ratio\na,o,1\n",
        "t.csv: no column 'log_likelihood_ratio', nor one log_likelihood_NAME for each hypothesis; did you "
        "mean 'log_likelihod_ratio'?",
    ),
    "both kinds of likelihood": (
        "agent,observer,log_likelihood_ratio,log_likelihood_bad\na,o,1,1\n",
        "t.csv: has 'log_likelihood_ratio' and 'log_likelihood_bad'; leave one kind of them out.",
    ),
    "one hypothesis": (
        "agent,observer,log_likelihood_bad\na,o,1\n",
        "t.csv: 'log_likelihood_bad' is the only hypothesis; give two or more, or 'log_likelihood_ratio'.",
    ),
    "one hypothesis twice": (
        "agent,observer,log_likelihood_bad,log_likelihood_bad\na,o,1,1\n",
        "t.csv: 2 columns are named 'log_likelihood_bad'; rename all but one.",
    ),
    "a hypothesis without a name": (
        "agent,observer,log_likelihood_,log_likelihood_bad\na,o,1,1\n",
        "t.csv: hypotheses need names of their own, got ['', 'bad'].",
    ),
    "nothing usable": (
        "agent,observer,log_likelihood_ratio\n,o,1\na,,1\na,o,\na,o,nan\na,o,inf\n",
        "t.csv: none of the 5 rows can be used (missing:agent 1, missing:observer 1, "
        "missing:log_likelihood_ratio 1, not_finite:log_likelihood_ratio 2); choose other columns.",
    ),
    "a short row": (
        "agent,observer,log_likelihood_ratio\na,o,1\na,o\n",
        "t.csv, row 2: has 2 fields where the first line has 3; correct that row.",
    ),
    "all labels the same": (
        "item,worker,label\na,w,yes\nb,w,yes\n",
        "t.csv: all labels are 'yes'; give a file with two or more.",
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_one_line(case, folder, capsys):
    content, line = WRONG_FILES[case]
    (folder / "t.csv").write_text(content)
    assert refused("t.csv", capsys=capsys) == line


def test_evidence_that_is_text_is_one_line_with_its_row(folder, capsys):
    (folder / "t.csv").write_text("agent,observer,log_likelihood_ratio\na,o,1\na,o,high\n")
    line = "column 'log_likelihood_ratio' holds text ('high'), where a number is needed"
    assert refused("t.csv", capsys=capsys) == f"t.csv, row 2: {line}; correct it or leave the column out."


def test_what_is_no_file_is_one_line(folder, capsys):
    (folder / "data").mkdir()
    (folder / "e.csv").write_text(EVIDENCE)
    (folder / "l.csv").write_text(LABELS)
    for words, line in (
        (["none.csv"], "none.csv: no such file; check the path."),
        (["data"], "data: is a directory; give one file."),
        (["e.csv", "--truth", "none.csv"], "none.csv: no such file; check the path."),
        (["l.csv", "--gold", "data"], "data: is a directory; give one file."),
        (
            ["e.csv", "--format", "parquet"],
            "e.csv: is no Parquet file; say what it is with --format csv or --format jsonl.",
        ),
    ):
        assert refused(*words, capsys=capsys) == line


def test_a_directory_that_holds_something_else_is_one_line(folder, capsys):
    (folder / "e.csv").write_text(EVIDENCE)
    (folder / "taken").mkdir()
    (folder / "taken" / "notes").write_text("")
    assert refused("e.csv", "--out", "taken", capsys=capsys) == (
        "taken: is not empty and no former result (it holds notes); choose another --out."
    )
    assert names(folder / "taken") == ["notes"]


WRONG_FLAGS = {
    "half of them lie": (
        ["e.csv", "--observers-lying", 3],
        "--observers-lying 3: 3 of 5 is not a minority, and then nothing is certain; give at most 2.",
    ),
    "a negative number of them": (
        ["e.csv", "--observers-lying", -1],
        "--observers-lying -1: give 0 or more.",
    ),
    "the only one lies": (
        ["one.csv", "--observers-lying", 1],
        "--observers-lying 1: 1 of 1 is not a minority, and then nothing is certain; give at most 0.",
    ),
    "one of the two that are left lies": (
        ["e.csv", "--observers-lying", 1, "--retract", "o0,o1,o2,o2"],
        "--observers-lying 1: 1 of 2 is not a minority, and then nothing is certain; give at most 0.",
    ),
    "an observer that is not there": (
        ["e.csv", "--retract", "o1,o11"],
        "e.csv: no observer 'o11' to retract; did you mean 'o1'?",
    ),
    "a prior without colon": (
        ["e.csv", "--prior", "1000"],
        "--prior 1000: write positive weights, the null first, such as 1000:1.",
    ),
    "a prior that is no number": (
        ["e.csv", "--prior", "a:b"],
        "--prior a:b: write positive weights, the null first, such as 1000:1.",
    ),
    "a prior of zero": (
        ["e.csv", "--prior", "0:1"],
        "--prior 0:1: write positive weights, the null first, such as 1000:1.",
    ),
    "a prior below zero": (
        ["e.csv", "--prior=-1:1"],
        "--prior -1:1: write positive weights, the null first, such as 1000:1.",
    ),
    "a prior over zero": (
        ["e.csv", "--prior", "1/0:1"],
        "--prior 1/0:1: write positive weights, the null first, such as 1000:1.",
    ),
    "a prior that fills the memory": (
        ["e.csv", "--prior", "1e1000000000:1"],
        "--prior 1e1000000000:1: write positive weights, the null first, such as 1000:1.",
    ),
    "a prior of three": (
        ["e.csv", "--prior", "1:1:1"],
        "--prior: 3 weights for 2 hypotheses (null, alternative); give one each, such as 1000:1.",
    ),
    "a prior of two for three": (
        ["three.csv", "--prior", "1:1"],
        "--prior: 2 weights for 3 hypotheses (ok, slow, lost); give one each, such as 1000:1.",
    ),
    "alpha zero": (["e.csv", "--alpha", 0], "--alpha 0.0: give an error rate between 0 and 1."),
    "alpha one": (["l.csv", "--alpha", 1], "--alpha 1.0: give an error rate between 0 and 1."),
    "alpha NaN": (["e.csv", "--alpha", "nan"], "--alpha nan: give an error rate between 0 and 1."),
    "no range": (["e.csv", "--range-bits", 0], "--range-bits 0: give from 1 to 1024."),
    "too much range": (["e.csv", "--range-bits", 1025], "--range-bits 1025: give from 1 to 1024."),
    "gold for evidence": (
        ["e.csv", "--gold", "e.csv"],
        "--gold: is for labels, and this is evidence; leave it out.",
    ),
    "reliability without its column": (
        ["e.csv", "--reliability", "temper"],
        "e.csv: --reliability needs a column 'reliability'; there are: agent, log_likelihood_ratio, "
        "observer.",
    ),
    "a reliability that does not exist": (
        ["e.csv", "--reliability", "trust"],
        "Error parsing --reliability {temper,contaminate,clip}: invalid choice 'trust'",
    ),
    "contaminating three": (
        ["three.csv", "--reliability", "contaminate"],
        "three.csv: --reliability contaminate is for a column 'log_likelihood_ratio'; "
        "temper is for several hypotheses, too.",
    ),
    "clipping three": (
        ["three.csv", "--reliability", "clip"],
        "three.csv: --reliability clip is for a column 'log_likelihood_ratio'; "
        "temper is for several hypotheses, too.",
    ),
    "an unknown flag": (
        ["e.csv", "--observer-lying", 1],
        "Unrecognized options: --observer-lying, 1; did you mean --observers-lying?",
    ),
}
WRONG_FLAGS |= {
    f"{words[0]} for labels": (
        ["l.csv", *words],
        f"{words[0]}: is for evidence, and these are labels; leave it out.",
    )
    for words in (
        ("--observers-lying", 1),
        ("--observers-lying", 0),
        ("--prior", "1:1"),
        ("--reliability", "clip"),
        ("--dependent",),
        ("--range-bits", 20),
        ("--retract", "w1"),
    )
}


@pytest.mark.parametrize("case", WRONG_FLAGS)
def test_wrong_flags_are_one_line(case, folder, capsys):
    words, line = WRONG_FLAGS[case]
    (folder / "e.csv").write_text(EVIDENCE)
    (folder / "one.csv").write_text("agent,observer,log_likelihood_ratio\na,o,1\nb,o,2\n")
    (folder / "three.csv").write_text(THREE)
    (folder / "l.csv").write_text(LABELS)
    said = refused(*words, capsys=capsys)
    assert said == line or (line.startswith("Error parsing") and "trust" in said)


def test_a_wrong_config_is_one_line(folder, capsys):
    for text, line in (
        (
            "[consensus]\nobserver = 3\n",
            "c.toml: $.consensus.observer: unknown key; did you mean 'observers_lying'?",
        ),
        ("[consensus]\nalfa = 3\n", "c.toml: $.consensus.alfa: unknown key; did you mean 'alpha'?"),
        ("[consensus]\n[consenus]\n", "c.toml: $.consenus: unknown table; did you mean 'consensus'?"),
        ("[consensus]\nretract = 'a'\n", "c.toml: $.consensus.retract: expected `array`, got `str`."),
    ):
        (folder / "c.toml").write_text(text)
        status, out, err = run("run", "c.toml", capsys=capsys)
        assert (status, out, err) == (2, [], [f"convergence: {line}"])
        assert names(folder) == ["c.toml"]


WRONG_TRUTH = {
    "no such column": ("thing,truth\na0,null\n", "r.csv: no column 'item'; there are: thing, truth."),
    "no truth": ("agent,turth\na0,null\n", "r.csv: no column 'truth'; did you mean 'turth'?"),
    "no known agent": (
        "agent,truth\nb0,null\n",
        "r.csv: names none of the 4 items; check that the ids are the same.",
    ),
    "no known class": (
        "agent,truth\na0,good\na1,bad\n",
        "r.csv: gives no item one of the classes 'null', 'alternative' (unknown_label 2); "
        "use the same names.",
    ),
    "nothing but contradictions": (
        "agent,truth\na0,null\na0,alternative\n",
        "r.csv: gives no item one of the classes 'null', 'alternative' (contradictory 2); "
        "use the same names.",
    ),
    "only names": ("agent,truth\n", "r.csv: has no rows, only column names; give a file with observations."),
}


@pytest.mark.parametrize("case", WRONG_TRUTH)
def test_a_wrong_truth_is_one_line_and_leaves_nothing(case, folder, capsys):
    content, line = WRONG_TRUTH[case]
    (folder / "e.csv").write_text(EVIDENCE)
    (folder / "r.csv").write_text(content)
    assert refused("e.csv", "--truth", "r.csv", capsys=capsys) == line
    (folder / "l.csv").write_text(LABELS.replace("i", "a").replace("atem", "item"))
    gold = content.replace("agent", "item").replace("null", "yes").replace("alternative", "no")
    (folder / "r.csv").write_text(gold)
    assert refused("l.csv", "--gold", "r.csv", capsys=capsys).startswith("r.csv: ")
