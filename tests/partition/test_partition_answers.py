"""Answers say what the statistics say, hold the truth in their intervals, and keep to their mode."""

import math
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from cluster_of_participants import Cluster
from cluster_of_replicas import LATENCY, TRUST, contradiction, member, members_with, roster, successor
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.errors import InputError, StaleError
from convergence_jax.partition.answers.answer import Answer, Query, answer
from convergence_jax.partition.rows.roster import Feature, MomentsSchema
from convergence_jax.partition.rows.row import Incarnation
from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.writer import Request

PLANE = MomentsSchema(
    name="plane",
    features=[
        Feature(name="width", low=-4.0, high=4.0, scale_bits=4),
        Feature(name="height", low=0.0, high=100.0, scale_bits=2),
    ],
)
STATISTICS = [LATENCY, PLANE, TRUST]
CAPS = {"rate": 10.0, "burst": 20.0, "remove_rate": 5.0, "remove_burst": 10.0}
NAMES = ("n1", "n2", "n3")
CAPPED = roster([member(name, **CAPS) for name in NAMES], statistics=STATISTICS)


def ask(cluster: Cluster, node: str = "n1", **query) -> Answer:
    """An answer of one node."""
    return answer(cluster.nodes[node], Query(**{"statistic": "latency", **query}))


def plane(cluster: Cluster, node: str, sequence: int, rows: list[tuple[float, float]]) -> None:
    """Write pairs."""
    payload = observations(cluster.roster.roster, "plane", rows)
    cluster.step(node, Request("ann", sequence, "plane", payload))


def settled(**other) -> Cluster:
    """Three nodes that share five observations of each kind, with ample caps."""
    cluster = Cluster(roster(3, statistics=STATISTICS), **other)
    cluster.wait(10)
    for place, node in enumerate(NAMES):
        cluster.write(node, "ann", 0, *(float(i * i) for i in range(place, place + 5)))
        plane(cluster, node, 1, [(0.25 * i, 10.0 * i + place) for i in range(4)])
        cluster.step(node, cluster.request(f"eye {place}", 0, [1.5, -0.25 * place], agents=["a", "b"]))
    cluster.settle()
    return cluster


LATENCIES = [float(i * i) for place in range(3) for i in range(place, place + 5)]
PAIRS = [(0.25 * i, 10.0 * i + place) for place in range(3) for i in range(4)]


# Values


def test_values_are_those_that_the_statistics_present():
    cluster = settled()
    one = LATENCY.statistic.present(
        LATENCY.statistic.total(LATENCY.statistic.lift(np.array(LATENCIES)[:, None]))
    )
    two = PLANE.statistic.present(PLANE.statistic.total(PLANE.statistic.lift(np.array(PAIRS))))
    for node in NAMES:
        assert ask(cluster, node, what="count").value == 15.0
        assert ask(cluster, node).value == one.mean[0]
        assert ask(cluster, node, what="covariance").value == one.covariance[0, 0]
        for i, first in enumerate(("width", "height")):
            assert ask(cluster, node, statistic="plane", feature=first).value == two.mean[i]
            for j, second in enumerate(("width", "height")):
                found = ask(cluster, node, statistic="plane", what="covariance", feature=first, other=second)
                assert found.value == two.covariance[i, j]
                assert found.count == 12


def test_values_are_right_by_fractions_too():
    cluster = settled()
    mean = Fraction(sum(map(Fraction, LATENCIES)), 15)
    assert ask(cluster).value == float(mean)
    spread = sum((Fraction(value) - mean) ** 2 for value in LATENCIES) / 14
    assert ask(cluster, what="covariance").value == float(spread)
    means = [sum(Fraction(pair[i]) for pair in PAIRS) / 12 for i in (0, 1)]
    together = sum((Fraction(x) - means[0]) * (Fraction(y) - means[1]) for x, y in PAIRS) / 11
    found = ask(cluster, statistic="plane", what="covariance", feature="height", other="width")
    assert found.value == float(together)


def test_log_odds_are_the_prior_and_what_all_observers_said():
    cluster = settled()
    for agent, total in (("a", 4.5), ("b", -0.75), ("nobody", 0.0)):
        found = ask(cluster, statistic="trust", what="log_odds", agent=agent, prior=-2.0)
        assert (found.value, found.count) == (total - 2.0, 0 if agent == "nobody" else 3)


def test_nothing_has_no_mean_and_one_observation_no_variance():
    cluster = Cluster(roster(1, statistics=STATISTICS))
    assert (ask(cluster).value, ask(cluster).count, ask(cluster).confidence) == (None, 0, 1.0)
    assert ask(cluster, what="count").value == 0.0
    assert ask(cluster).interval.lower == 0.0
    assert ask(cluster).interval.upper == 1000.0
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 5.0)
    assert ask(cluster).value == 5.0
    assert ask(cluster, what="covariance").value is None


def test_an_answer_is_about_all_members_and_names_its_roster():
    found = ask(settled())
    assert found.roster == 1
    assert [origin.node for origin in found.origins] == list(NAMES)
    assert [origin.self for origin in found.origins] == [True, False, False]
    assert [origin.events for origin in found.origins] == [11, 11, 11]
    assert len(found.widens) == 3


def test_where_nothing_is_unseen_the_interval_is_the_value():
    cluster = Cluster(roster(1, statistics=STATISTICS))
    cluster.wait(1)
    cluster.write("n1", "ann", 0, *LATENCIES)
    plane(cluster, "n1", 1, PAIRS)
    queries = [{"what": what} for what in ("count", "mean", "covariance")]
    queries += [
        {"statistic": "plane", "what": "covariance", "feature": first, "other": second}
        for first in ("width", "height")
        for second in ("width", "height")
    ]
    for query in queries:
        found = ask(cluster, **query)
        assert found.confidence == 1.0
        assert found.interval.lower <= found.value <= found.interval.upper
        assert found.interval.upper - found.interval.lower <= 2 * math.ulp(found.value)


# Unseen, confidence, intervals


def aged(seconds: float = 3.0) -> Cluster:
    """Capped nodes that agreed, then heard nothing for some seconds."""
    cluster = Cluster(CAPPED)
    cluster.wait(10)
    for node in NAMES:
        cluster.write(node, "ann", 0, *(100.0 + i for i in range(20)))
    cluster.settle()
    cluster.wait(seconds)
    return cluster


def test_what_is_unseen_is_what_the_caps_allow_in_the_age_of_the_echo():
    cluster = aged(3.0)
    found = ask(cluster)
    drift = (1 + Fraction(200e-6)) / (1 - Fraction(200e-6))
    assert found.origins[0].unseen.additions == 0
    for origin in found.origins[1:]:
        echo = Fraction(origin.age_seconds) / drift
        assert Fraction(3) <= echo <= Fraction(31, 10)
        assert origin.unseen.additions == math.floor(20 + 10 * Fraction(origin.age_seconds))
        assert origin.unseen.removals == math.floor(10 + 5 * Fraction(origin.age_seconds))
    assert found.unseen.additions == 100
    assert found.confidence == 60 / 160


def test_confidence_is_the_share_of_what_could_be_that_was_seen():
    for seconds in (0, 1, 5, 60):
        found = ask(aged(seconds))
        assert found.confidence == 60 / (60 + found.unseen.additions)
    cut = Cluster(CAPPED)
    assert ask(cut).confidence == 0.0
    assert ask(cut).unseen.additions is None


@pytest.mark.parametrize("what", ["count", "mean", "covariance"])
def test_intervals_hold_the_value_and_widen_while_nothing_is_heard(what):
    cluster = aged(0.0)
    widths = []
    for _ in range(6):
        found = ask(cluster, what=what)
        assert found.interval.lower <= found.value <= found.interval.upper
        widths.append(found.interval.upper - found.interval.lower)
        cluster.wait(2)
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 25), st.floats(0, 1000)), max_size=25),
    st.data(),
)
def test_the_interval_holds_what_all_have_released_by_then(events, data):
    cluster = Cluster(CAPPED, seed=data.draw(st.integers(0, 99)))
    cluster.wait(3)
    for sequence, (node, size, value) in enumerate(events):
        requests = [cluster.request("ann", sequence, [value] * size)] if size else []
        if size and data.draw(st.booleans()):
            requests.append(Request("ann", 1000 + sequence, of=sequence))
        cluster.step(node, *requests)
        cluster.cut = {(a, b) for a in NAMES for b in NAMES if a != b and data.draw(st.integers(0, 3)) == 0}
        cluster.gossip()
        cluster.wait(data.draw(st.sampled_from([0.0, 0.1, 2.0])))
        truth = truth_of(cluster)
        for asked in NAMES:
            for what, exact in zip(("count", "mean", "covariance"), truth, strict=True):
                found = ask(cluster, asked, what=what).interval
                assert exact is None or found.lower <= exact <= found.upper


def truth_of(cluster: Cluster) -> tuple:
    """Count, mean and variance of all that is in the nodes' own rows, in fractions."""
    count = total = squares = 0
    for participant in cluster.nodes.values():
        data = participant.replica.own.cells.get("latency")
        if data:
            n, s, p = leading(data)[:3]
            count, total, squares = count + n, total + s, squares + p
    mean = Fraction(total, count * 2**10) if count else None
    variance = Fraction(squares * count - total**2, count * (count - 1) * 2**20) if count > 1 else None
    return Fraction(count), mean, variance


def leading(data: bytes) -> list[int]:
    """The first integers of a cell: count, sum, sum of squares."""
    numbers, at = [], 0
    while len(numbers) < 3:
        number = place = 0
        while True:
            byte = data[at]
            at += 1
            number += (byte & 127) << (7 * place)
            place += 1
            if byte < 128:
                break
        if number == 0:
            numbers += [0] * (data[at] + 1)
            at += 1
        else:
            numbers.append(number // 2 if number % 2 == 0 else -(number + 1) // 2)
    return numbers


def test_each_origin_widens_the_interval_by_what_is_unseen_of_it():
    cluster = aged(1.0)
    cluster.split(["n1", "n2"], ["n3"])
    cluster.gossip(4)
    cluster.wait(2)
    cluster.gossip(4)
    found = ask(cluster)
    assert found.widens[0] == 0.0
    assert 0.0 < found.widens[1] < found.widens[2] <= found.interval.upper - found.interval.lower


def test_an_agent_is_bounded_by_its_own_cap_where_that_is_lower():
    slow = [msgspec.structs.replace(TRUST, agent_rate=1.0, agent_burst=2.0)]
    cluster = Cluster(roster([member(name, **CAPS) for name in NAMES], statistics=slow))
    cluster.wait(5)
    cluster.step("n1", cluster.request("eye", 0, [1.0], agents=["a"]))
    cluster.settle()
    cluster.wait(10)
    found = ask(cluster, statistic="trust", what="log_odds", agent="a")
    assert found.unseen.additions == 2 * (2 + 10)
    assert (found.interval.lower, found.interval.upper) == (1.0 - 25 * 8, 1.0 + 25 * 8)


def test_liars_are_left_out_of_the_bounds():
    cluster = Cluster(roster(1, statistics=STATISTICS))
    cluster.wait(1)
    for place, said in enumerate([2.0, 3.0, -1.0, 5.0, 0.5]):
        cluster.step("n1", cluster.request(f"eye {place}", 0, [said], agents=["a"]))
    for liars, lower, upper in ((0, 9.5, 9.5), (1, 4.5, 10.5), (2, 1.5, 10.5)):
        found = ask(cluster, statistic="trust", what="log_odds", agent="a", observers_lying=liars)
        assert (found.interval.lower, found.interval.upper) == (lower, upper)
        assert found.value == 9.5


# Modes


def test_eventual_always_answers_with_a_value_alone():
    cluster = Cluster(CAPPED)
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 5.0)
    found = ask(cluster, mode="eventual")
    assert (found.value, found.interval, found.widens) == (5.0, None, (0.0, 0.0, 0.0))


def test_statistical_always_answers_with_an_interval():
    cluster = Cluster(CAPPED)
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 5.0)
    found = ask(cluster)
    assert (found.interval.lower, found.interval.upper) == (0.0, 1000.0)
    assert ask(cluster, what="count").interval.upper == math.inf
    cluster.settle()
    assert ask(cluster, what="count").interval.upper == 1.0 + 2 * 20


@pytest.mark.parametrize(("age", "fresh"), [(1.9, False), (2.2, True), (math.inf, True), (0.0, False)])
def test_bounded_staleness_answers_within_its_bound_and_refuses_beyond(age, fresh):
    cluster = aged(2.0)
    if fresh:
        assert ask(cluster, mode="bounded_staleness", max_age=age).value == ask(cluster).value
    else:
        with pytest.raises(StaleError, match=r"n[23] is 2\.\d+ s old") as caught:
            ask(cluster, mode="bounded_staleness", max_age=age)
        assert "\n" not in str(caught.value)


def test_bounded_staleness_refuses_while_any_member_was_never_heard():
    cluster = Cluster(CAPPED)
    cluster.exchange("n1", "n2")
    with pytest.raises(StaleError):
        ask(cluster, mode="bounded_staleness", max_age=1e9)


@pytest.mark.parametrize("age", [None, -1.0, math.nan])
def test_bounded_staleness_needs_a_bound(age):
    with pytest.raises(InputError, match="max_age"):
        ask(aged(), mode="bounded_staleness", max_age=age)


def test_a_reborn_node_has_no_age_until_it_is_echoed_again():
    cluster = aged(0.0)
    cluster.start("n1")
    cluster.exchange("n1", "n2")
    assert ask(cluster).origins[1].age_seconds == math.inf
    cluster.step("n2")
    cluster.exchange("n1", "n2")
    assert ask(cluster).origins[1].age_seconds < 1.0


# Members that count no more


def test_excluded_members_are_in_no_value_and_in_no_bound():
    cluster = aged(1.0)
    cluster.nodes["n1"].replica.join_conflict(contradiction(Incarnation("n3", 77, 0)))
    found = ask(cluster)
    assert found.count == 40
    assert [origin.excluded for origin in found.origins] == [False, False, True]
    assert found.unseen == found.origins[1].unseen
    cluster.split(["n1", "n2"], ["n3"])
    cluster.wait(100)
    cluster.gossip(4)
    assert ask(cluster, mode="bounded_staleness", max_age=5.0).count == 40


def test_revoked_members_are_gone_from_the_answer():
    cluster = aged(1.0)
    cluster.nodes["n1"].replica.join_roster(
        successor(CAPPED, members=members_with(CAPPED, "n3", revoked=True))
    )
    found = ask(cluster)
    assert (found.count, found.roster) == (40, 2)
    assert [origin.node for origin in found.origins] == ["n1", "n2"]


# Names


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"statistic": "latencies"}, "no 'latencies'; did you mean 'latency'"),
        ({"statistic": "xyz"}, "there are: latency, plane, trust"),
        ({"feature": "dealy"}, "no 'dealy'; did you mean 'delay'"),
        ({"statistic": "plane"}, "feature: name one of width, height"),
        ({"statistic": "plane", "what": "covariance", "feature": "width", "other": "hight"}, "mean 'height'"),
        ({"what": "log_odds"}, "what: latency has"),
        ({"statistic": "trust"}, "name the agent"),
        ({"statistic": "trust", "what": "log_odds"}, "name the agent"),
        ({"statistic": "trust", "what": "log_odds", "agent": "a", "prior": math.inf}, "prior"),
        ({"statistic": "trust", "what": "log_odds", "agent": "a", "observers_lying": -1}, "liars|lying"),
    ],
)
def test_unknown_names_get_one_line_with_the_likeliest(query, why):
    with pytest.raises(InputError, match=why) as caught:
        ask(settled(), **query)
    assert "\n" not in str(caught.value)
