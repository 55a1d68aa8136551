"""A writer counts each write once, refuses nothing for being too much, and forgets nothing."""

import msgspec
from cluster_of_participants import CAPPED, aborted, alone, retraction, ticks
from cluster_of_replicas import LATENCY, TRUST, members_with, roster, successor
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.partition.writes.observations import observations
from convergence_jax.partition.writes.writer import Outcome, Request

# Once


def test_a_write_counts_once_however_often_it_is_sent():
    cluster = alone()
    cluster.wait(1)
    assert cluster.write("n1", "ann", 0, 1.0, 2.0) == Outcome(2)
    assert cluster.write("n1", "ann", 0, 1.0, 2.0) == Outcome(duplicate=True)
    assert cluster.write("n1", "bob", 0, 4.0) == Outcome(1)
    both = [cluster.request("ann", 1, [8.0]), cluster.request("ann", 1, [8.0])]
    assert cluster.step("n1", *both) == [Outcome(1), Outcome(duplicate=True)]
    assert ticks(cluster) == (4, 15 * 2**10)


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.integers(0, 9)), max_size=30), st.data())
def test_sequences_in_any_order_count_once_each_over_restarts_too(sends, data):
    cluster = alone()
    cluster.wait(1)
    acknowledged = set()
    for client, sequence in sends:
        outcome = cluster.write("n1", client, sequence, float(2**sequence))
        assert outcome.duplicate == ((client, sequence) in acknowledged)
        acknowledged.add((client, sequence))
        if data.draw(st.booleans()):
            cluster.start("n1")
            cluster.wait(1)
    assert ticks(cluster) == (len(acknowledged), 2**10 * sum(2**sequence for _, sequence in acknowledged))
    assert set(cluster.journals["n1"].writes) == acknowledged


def test_nothing_is_acknowledged_or_shown_before_it_is_durable():
    cluster = alone()
    cluster.wait(1)
    participant, heard, shown = cluster.nodes["n1"], [], []

    def done(outcome: Outcome) -> None:
        heard.append(outcome)
        shown.append(cluster.count("n1"))

    participant.submit(cluster.request("ann", 0, [1.0]), done)
    before = participant.replica.own.head
    step = participant.begin()
    assert (heard, participant.replica.own.head, cluster.count("n1")) == ([], before, 0)
    cluster.journals["n1"].commit(step.commit)
    assert (heard, participant.replica.own.head) == ([], before)
    participant.finish(step)
    assert heard == [Outcome(1)]
    assert shown == [1]


def test_the_row_says_what_the_journal_holds():
    cluster = alone()
    cluster.wait(1)
    cluster.step(
        "n1",
        cluster.request("ann", 0, [1.0]),
        cluster.request("eye", 0, [0.5, 0.25, -1.0], agents=["a", "b", "a"]),
    )
    own, journal = cluster.nodes["n1"].replica.own, cluster.journals["n1"]
    assert {name: own.cells.get(name) for name in own.cells} == journal.cells
    assert sorted(journal.cells) == ["latency", "trust\x1fa\x1feye", "trust\x1fb\x1feye"]
    assert (own.head.added, own.head.removed) == (journal.added, journal.removed) == (4, 0)
    total = TRUST.statistic.present(cluster.nodes["n1"].replica.total("trust\x1fa\x1feye"))
    assert (int(total.count), float(total.total)) == (2, -0.5)


# Caps


def test_too_much_is_accepted_and_released_as_the_caps_allow():
    cluster = alone(CAPPED)
    assert cluster.write("n1", "ann", 0, *range(100)) == Outcome(100)
    counts = []
    for _ in range(12):
        cluster.wait(1)
        cluster.step("n1")
        counts.append(cluster.count("n1"))
        assert cluster.nodes["n1"].writer.backlog == (100 - counts[-1], 0)
    assert counts == [min(100, 10 * second) for second in range(1, 13)]
    assert ticks(cluster) == (100, sum(range(100)) * 2**10)
    assert not cluster.journals["n1"].waiting


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5000),
            st.integers(0, 40),
            st.sampled_from(["step", "abort", "restart", "roster"]),
        ),
        max_size=30,
    )
)
def test_in_no_time_more_is_released_than_its_cap_allows(events):
    known = CAPPED
    cluster = alone(known)
    released = [(0, 0)]
    accepted = 0
    for sequence, (pause, size, what) in enumerate(events):
        cluster.now += pause * 10**6
        requests = [cluster.request("ann", sequence, range(size))] if size else []
        if what == "abort":
            aborted(cluster, *requests)
        elif what == "restart":
            cluster.start("n1", known)
        elif what == "roster":
            rate, burst = (5.0, 8.0) if known.roster.members[0].rate == 10.0 else (10.0, 20.0)
            known = successor(known, members=members_with(known, "n1", rate=rate, burst=burst))
            cluster.nodes["n1"].replica.join_roster(known)
        else:
            assert all(outcome == Outcome(size) for outcome in cluster.step("n1", *requests))
            accepted += size
        released.append((cluster.now, cluster.count("n1")))
        assert cluster.count("n1") + cluster.nodes["n1"].writer.backlog[0] == accepted
    for at, (start, before) in enumerate(released):
        for end, after in released[at:]:
            assert after - before <= 20 + 10 * (end - start) / 1e9


def test_a_failed_step_earns_nothing():
    cluster = alone(CAPPED)
    cluster.wait(100)
    cluster.write("n1", "ann", 0, *range(50))
    assert cluster.count("n1") == 20
    aborted(cluster)
    cluster.step("n1")
    assert cluster.count("n1") == 20


def test_a_start_earns_nothing():
    cluster = alone(CAPPED)
    cluster.write("n1", "ann", 0, *range(50))
    cluster.wait(1)
    cluster.step("n1")
    for _ in range(5):
        cluster.start("n1")
        cluster.step("n1")
    assert cluster.count("n1") == 10


def test_an_agent_over_its_cap_waits_alone():
    cluster = alone(roster(1, statistics=[LATENCY, msgspec.structs.replace(TRUST, agent_rate=1.0)]))
    cluster.wait(3)
    cluster.step(
        "n1",
        cluster.request("eye", 0, [1.0] * 20, agents=["busy"] * 20),
        cluster.request("eye", 1, [1.0, 2.0], agents=["calm", "busy"]),
        cluster.request("ann", 0, [1.0] * 30),
    )

    def about(agent: str) -> int:
        return cluster.count("n1", f"trust\x1f{agent}\x1feye")

    assert (about("busy"), about("calm"), cluster.count("n1")) == (3, 1, 30)
    assert cluster.nodes["n1"].writer.backlog == (18, 0)
    cluster.wait(2)
    cluster.step("n1", cluster.request("eye", 2, [1.0], agents=["calm"]))
    assert (about("busy"), about("calm")) == (5, 2)
    for second in range(20):
        cluster.wait(1)
        cluster.step("n1")
        assert about("busy") == min(21, 6 + second)
    assert cluster.nodes["n1"].writer.backlog == (0, 0)
    state = cluster.nodes["n1"].replica.total("trust\x1fbusy\x1feye")
    assert float(TRUST.statistic.present(state).total) == 22.0


def test_an_agents_items_are_released_in_the_order_of_acceptance():
    cluster = alone(roster(1, statistics=[LATENCY, msgspec.structs.replace(TRUST, agent_burst=2.0)]))
    for sequence in range(6):
        cluster.step("n1", cluster.request("eye", sequence, [2.0**sequence / 8], agents=["busy"]))
    totals = []
    for _ in range(3):
        cluster.wait(1)
        cluster.step("n1")
        state = cluster.nodes["n1"].replica.total("trust\x1fbusy\x1feye")
        totals.append(float(TRUST.statistic.present(state).total))
    assert totals == [3 / 8, 15 / 8, 63 / 8]


def test_what_waits_survives_a_restart_and_no_part_of_it_is_released_twice():
    cluster = alone(CAPPED)
    cluster.write("n1", "ann", 0, *range(60))
    for _ in range(8):
        cluster.wait(1)
        cluster.step("n1")
        before = ticks(cluster)
        cluster.start("n1")
        assert ticks(cluster) == before
        assert cluster.nodes["n1"].writer.backlog == (60 - before[0], 0)
    assert ticks(cluster) == (60, sum(range(60)) * 2**10)


# Failure


def test_a_step_that_fails_never_happened():
    cluster = alone(CAPPED)
    cluster.wait(1)
    cluster.write("n1", "ann", 0, *range(5))
    cluster.write("n1", "ann", 1, *range(30))
    participant, before = cluster.nodes["n1"], cluster.journals["n1"].load()
    row, backlog, total = participant.replica.own.head, participant.writer.backlog, ticks(cluster)
    cluster.wait(1)
    requests = [
        cluster.request("ann", 2, [1.0]),
        retraction("ann", 3, 0),
        cluster.request("eye", 0, [1.0], agents=["a"]),
    ]
    assert aborted(cluster, *requests) == [Outcome(refused="no room")] * 3
    assert participant.replica.own.head == row
    assert (participant.writer.backlog, ticks(cluster)) == (backlog, total)
    assert cluster.journals["n1"].load() == before
    cluster.wait(10)
    assert cluster.step("n1", *requests) == [Outcome(1), Outcome(5), Outcome(1)]
    for _ in range(8):
        cluster.wait(2)
        cluster.step("n1")
    assert ticks(cluster) == (31, (sum(range(30)) + 1) * 2**10)


def test_a_repeat_of_a_write_that_fails_is_no_acknowledgement():
    cluster = alone()
    cluster.wait(1)
    cluster.write("n1", "ann", 0, 1.0)
    known, new = cluster.request("ann", 0, [1.0]), cluster.request("ann", 1, [2.0])
    outcomes = aborted(cluster, known, new, new)
    assert outcomes == [Outcome(duplicate=True), *[Outcome(refused="no room")] * 2]
    assert cluster.step("n1", new) == [Outcome(1)]


def test_requests_that_come_while_a_step_is_on_its_way_are_in_the_next():
    cluster = alone()
    cluster.wait(1)
    participant, heard = cluster.nodes["n1"], []
    step = participant.begin()
    participant.submit(cluster.request("ann", 0, [1.0]), heard.append)
    assert not participant.writer.idle
    participant.abort(step, "no room")
    assert heard == []
    cluster.step("n1")
    assert heard == [Outcome(1)]
    assert participant.writer.idle


def test_a_write_of_an_unknown_statistic_is_refused_and_may_come_again():
    cluster = alone()
    cluster.wait(1)
    payload = observations(cluster.roster.roster, "latency", [1.0])
    (outcome,) = cluster.step("n1", Request("ann", 0, "latencies", payload))
    assert "latencies" in outcome.refused
    assert cluster.write("n1", "ann", 0, 1.0) == Outcome(1)
