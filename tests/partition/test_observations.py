"""Observations are checked at the door, and what passes keeps its bits."""

from collections.abc import Callable

import numpy as np
import pytest
from cluster_of_participants import EPOCH, alone, ticks
from cluster_of_replicas import roster

from convergence_jax.errors import InputError
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.records import ADD, RETRACT


def checked(statistic: str, values, agents=None) -> Callable:
    """A check to run."""
    return lambda: observations(roster(1).roster, statistic, values, agents)


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (checked("latencies", [1.0]), "latencies.*latency, trust"),
        (checked("latency", []), "1 to 100000"),
        (checked("latency", [0.0] * 100_001), "1 to 100000"),
        (checked("latency", [1.0, float("nan")]), "observation 1 is nan"),
        (checked("latency", [float("inf")]), "observation 0 is inf"),
        (checked("latency", [-0.001]), "-0.001, not from 0"),
        (checked("latency", [1000.5]), "1000.5"),
        (checked("latency", [[1.0, 2.0]]), "1 number"),
        (checked("latency", [[1.0], [2.0, 3.0]]), "numbers, one row"),
        (checked("latency", ["a"]), "numbers"),
        (checked("latency", [1.0], ["a"]), "no agents"),
        (checked("trust", [1.0]), "got 0 for 1"),
        (checked("trust", [1.0, 2.0], ["a"]), "got 1 for 2"),
        (checked("trust", [9.0], ["a"]), "9.0"),
        (checked("trust", [1.0], [""]), "1 to 200"),
        (checked("trust", [1.0], ["a" * 201]), "1 to 200"),
        (checked("trust", [1.0], ["a\x1fb"]), "printable"),
    ],
)
def test_observations_that_cannot_be_counted_are_refused_in_a_line(check, why):
    with pytest.raises(InputError, match=why) as caught:
        check()
    assert "\n" not in str(caught.value)


def test_the_ends_of_a_range_are_in_it_and_keep_their_bits():
    cluster = alone()
    cluster.wait(1)
    values = [0.0, 1000.0, 0.1, 999.9999]
    cluster.write("n1", "ann", 0, *values)
    stored = cluster.journals["n1"].writes["ann", 0]
    payload = observations(cluster.roster.roster, "latency", values)
    assert (stored.kind, stored.events, stored.accepted) == (ADD, 4, EPOCH + 1)
    assert np.frombuffer(payload.values, "<f8").tolist() == values
    assert RETRACT not in stored.kind
    assert ticks(cluster)[1] == sum(round(value * 2**10) for value in values)
