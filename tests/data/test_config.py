"""Configs: what is written is what is read, and what is unknown is refused by its path."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.data.config import (
    RUNS,
    ConsensusConfig,
    DetectConfig,
    experiment_config,
    load,
    run_config,
    to_toml,
)
from convergence_jax.errors import InputError

texts = st.text(max_size=8, alphabet=st.characters(exclude_categories=["Cs"]))
detections = st.builds(
    DetectConfig,
    input=texts,
    format=st.sampled_from([None, "csv"]),
    synthetic=st.none() | st.integers(1, 2**40),
    seed=st.just(0),
    agent=texts,
    features=st.lists(texts, max_size=3),
    levels=st.lists(texts, max_size=3),
    time=st.none() | texts,
    baseline_until=st.none() | texts,
    alpha=st.floats(1e-300, 1),
    lift=st.dictionaries(texts, texts, max_size=2),
    backend=st.sampled_from([None, "gpu"]),
    devices=st.integers(1, 8),
)
consensuses = st.builds(
    ConsensusConfig,
    input=st.none() | texts,
    format=st.sampled_from([None, "jsonl"]),
    truth=st.none() | texts,
    gold=st.none() | texts,
    observers_lying=st.none() | st.integers(-1, 2**40),
    prior=st.none() | texts,
    alpha=st.floats(),
    reliability=st.sampled_from([None, "temper", "contaminate", "clip"]),
    dependent=st.booleans(),
    range_bits=st.integers(-1, 2000),
    retract=st.lists(texts, max_size=3),
    backend=st.sampled_from([None, "cpu"]),
)


@given(config=detections | consensuses)
def test_a_config_that_is_written_is_read_back(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert repr(run_config(load(path), "here")) == repr(config)  # NaN, too, is itself


@pytest.mark.parametrize(
    "full",
    [
        DetectConfig(
            input="a.csv",
            format="csv",
            synthetic=3,
            agent="a",
            time="t",
            baseline_until="3",
            lift={"x": "1:2"},
            backend="cpu",
        ),
        ConsensusConfig(
            input="a.csv",
            format="csv",
            truth="t.csv",
            gold="g.csv",
            observers_lying=0,
            prior="1:1",
            reliability="clip",
            backend="cpu",
        ),
    ],
    ids=lambda config: RUNS[type(config)],
)
def test_every_key_has_its_comment(full):
    written = to_toml(full)
    for field in msgspec.structs.fields(type(full)):
        assert f"{field.name} = " in written or f".{field.name}]" in written
    assert written.count("  # ") == len(msgspec.structs.fields(type(full)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[detect]\nagnet = 'a'", r"c: \$\.detect\.agnet: unknown key; did you mean 'agent'\?"),
        ("[detect]\nagent = 3", r"c: \$\.detect\.agent: expected `str \| null`, got `int`\."),
        ("[detect]\nfeatures = ['a', 1]", r"c: \$\.detect\.features\[1\]: expected `str`, got `int`\."),
        ("[detect]\nformat = 'xml'", r"c: \$\.detect\.format: invalid enum value 'xml'\."),
        ("[detect]\n[other]", r"c: \$\.other: unknown table; there are: detect\."),
        ("detect = 3", r"c: \$\.detect: expected `object`, got `int`\."),
        ("[consensus]\nretrackt = 'a'", r"c: \$\.consensus\.retrackt: unknown key; did you mean 'retract'\?"),
        ("[consensus]\nretract = 'a'", r"c: \$\.consensus\.retract: expected `array`, got `str`\."),
        ("[consensus]\nreliability = 'some'", r"c: \$\.consensus\.reliability: invalid enum value 'some'\."),
        ("[consensus]\n[consenus]", r"c: \$\.consenus: unknown table; did you mean 'consensus'\?"),
        ("[detect]\n[consensus]", r"c: \$\.consensus: unknown table; there are: detect\."),
    ],
)
def test_what_is_wrong_is_named_by_its_path(tmp_path, text, line):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InputError, match="^" + line + "$"):
        run_config(load(path), "c")


def test_a_config_of_something_else_is_no_run():
    assert run_config({"experiment": {"name": "a"}}, "c") is None
    assert run_config({}, "c") is None


def test_an_experiment_needs_a_name_and_keeps_its_own_tables():
    assert experiment_config({"experiment": {"name": "a", "seed": 3}, "fleet": {"any": 1}}, "c").seed == 3
    with pytest.raises(InputError, match=r"c: \$\.experiment\.name: missing; add it\."):
        experiment_config({"experiment": {}}, "c")
    with pytest.raises(InputError, match=r"c: \$\.experiment\.sed: unknown key; did you mean 'seed'\?"):
        experiment_config({"experiment": {"name": "a", "sed": 1}}, "c")


def test_files_that_are_no_toml_are_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(InputError, match="Is a directory; give one TOML file"):
        load(tmp_path)
    path = tmp_path / "c.toml"
    path.write_text("[detect\n")
    with pytest.raises(InputError, match=r"is not TOML: .*line 1"):
        load(path)
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match="is not UTF-8"):
        load(path)
