"""Every experiment keeps the convention of ``experiments/README.md``."""

import tomllib
from pathlib import Path

import pytest

from convergence_jax.commands.run import config_digest, read_expected
from convergence_jax.data.config import experiment_config, load

FOLDER = Path(__file__).parents[1] / "experiments"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/config.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_complete_and_listed(name):
    folder = FOLDER / name
    tables = load(folder / "config.toml")
    assert experiment_config(tables, name).name == name
    assert len((folder / "run.py").read_text().splitlines()) < 150
    expected = read_expected(folder / "expected.json")
    assert expected["headline"]
    assert expected.get("config_digest", config_digest(tables)) == config_digest(tables)
    assert f"experiments/{name}/config.toml" in (FOLDER / "README.md").read_text()


def test_what_is_said_of_a_surviving_mutant_names_a_file_and_a_known_kind():
    survivors = tomllib.loads((FOLDER / "mutation_score" / "survivors.toml").read_text())["survivor"]
    assert len({(one["path"], one["now"]) for one in survivors}) == len(survivors) > 0
    for one in survivors:
        assert (FOLDER.parent / "convergence_jax" / one["path"]).is_file()
        assert one["kind"] in {"same", "speed", "drawn", "guard"}
        assert len(one["why"]) > 10
