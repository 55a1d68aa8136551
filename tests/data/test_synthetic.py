"""The built-in fleet: a function of seed and agent, nothing else."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.data import synthetic as module
from convergence_jax.data.digest import digest
from convergence_jax.data.synthetic import AGENT, KINDS, LEVELS, synthetic
from convergence_jax.errors import InputError

GOLDEN = "0910bb1f9da94ca6b7922945793de7d5a0205eb2dad26b549de44830c2add5ed"


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Blocks of a size that suits small fleets; that they leave no trace is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", 512)
        yield


def read(fleet, **options):
    """Every column, in one piece."""
    features = [column.name for column in fleet.columns() if column.kind == "number"]
    batches = list(fleet.batches(agent=AGENT, levels=LEVELS, features=features, **options))
    return (
        [name for batch in batches for name in batch.agent.to_pylist()],
        [[name for batch in batches for name in batch.levels[i].to_pylist()] for i in range(2)],
        np.concatenate([batch.values for batch in batches], axis=1),
    )


@given(rows=st.integers(1, 700))
def test_batches_leave_no_trace(rows):
    fleet = synthetic(200, 5)
    whole, pieces = read(fleet), read(fleet, batch_rows=rows)
    assert whole[:2] == pieces[:2]
    assert whole[2].tobytes() == pieces[2].tobytes()


def test_an_agent_is_the_same_in_a_fleet_of_any_size():
    small, large = synthetic(7, 5), synthetic(module._BLOCK + 50, 5)
    ours, theirs = read(small), read(large)
    assert theirs[0][: 3 * 7] == ours[0]
    assert theirs[2][:, : 3 * 7].tobytes() == ours[2].tobytes()
    assert len(theirs[0]) == large.rows


def test_the_device_and_the_block_leave_no_trace(monkeypatch):
    wanted = read(synthetic(300, 5))[2].tobytes()
    with jax.default_device(jax.devices()[3]):
        assert read(synthetic(300, 5))[2].tobytes() == wanted
    monkeypatch.setattr(module, "_BLOCK", 128)
    assert read(synthetic(300, 5))[2].tobytes() == wanted


def test_the_fleet_of_a_seed_never_changes():
    names, levels, values = read(synthetic(500, 7))
    assert digest(names, levels, values.view(np.int64), synthetic(500, 7, share=0.1).planted()) == GOLDEN
    assert read(synthetic(500, 8))[2].tobytes() != values.tobytes()


def test_healthy_agents_are_gaussian_with_the_stated_spread():
    names, _, values = read(synthetic(20_000, 1, share=0.0, observations=2))
    spreads = np.array([spread for _, _, spread in module._FEATURES])[:, None]
    pairs = (values / spreads).reshape(10, -1, 2)
    noise = (pairs[:, :, 0] - pairs[:, :, 1]) / np.sqrt(2)
    # 20,000 draws: a variance is within 5 standard errors of 1, each sqrt(2 / 20,000); kurtosis likewise.
    assert np.abs(noise.var(axis=1) - 1).max() < 5 * np.sqrt(2 / 20_000)
    kurtosis = (noise**4).mean(axis=1) / noise.var(axis=1) ** 2
    assert np.abs(kurtosis - 3).max() < 5 * np.sqrt(24 / 20_000)
    assert np.abs(noise).max() > 3.5
    assert len(set(names)) == 20_000


def test_planted_agents_are_what_they_are_said_to_be():
    share = 0.1
    healthy, fleet = synthetic(5_000, 3, share=0.0), synthetic(5_000, 3, share=share)
    truth = fleet.planted()
    assert abs(len(truth) - 500) < 5 * np.sqrt(5_000 * share * (1 - share))
    assert set(truth.values()) == set(KINDS)
    names, _, values = read(fleet)
    shift = values - read(healthy)[2]
    spreads = np.array([spread for _, _, spread in module._FEATURES])[:, None]
    out = {name: tuple(column) for name, column in zip(names, (shift / spreads).T, strict=True)}
    for name, shifted in out.items():
        sizes = sorted(abs(value) for value in shifted if value)
        wanted = {None: [], "loud": [6.0], "broad": [2.25] * 10, "hidden": [2.5] * 8}[truth.get(name)]
        assert sizes == wanted
        if truth.get(name) == "hidden":
            assert sum(shifted) == 0.0


def test_fewer_than_four_features_hide_nothing():
    assert set(synthetic(5_000, 3, features=3, share=0.1).planted().values()) == {"loud", "broad"}
    assert len(synthetic(3, features=12).columns()) == 15


@pytest.mark.parametrize(
    "wrong",
    [{"agents": 0}, {"agents": 2**40}, {"seed": -1}, {"seed": 2**32}, {"share": 2.0}, {"features": 0}],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        synthetic(**({"agents": 10} | wrong))


def test_columns_that_the_fleet_lacks_are_refused():
    with pytest.raises(InputError, match="no column 'latencies'; did you mean 'latency'"):
        list(synthetic(5).batches(agent=AGENT, levels=[], features=["latencies"]))
    with pytest.raises(InputError, match="has no times"):
        list(synthetic(5).batches(agent=AGENT, levels=[], features=["latency"], time="latency", until="3"))
