"""While a roster changes, bounds hold, keys rotate, and whoever is revoked is gone with all that it said."""

import msgspec
import pytest
from cluster_of_participants import Cluster
from cluster_of_replicas import (
    LATENCY,
    TRUST,
    converge,
    everything,
    exchange,
    head_of,
    latency,
    member,
    members_with,
    public,
    replica,
    roster,
    sealed,
    sent,
    successor,
    table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import SignedRoster
from convergence_jax.partition.rows.row import Incarnation
from convergence_jax.partition.writes import caps

NODES = ("n1", "n2", "n3")
FIRST = roster(3)


def publishing(node: str, known: SignedRoster, *, key: str = "", counter: int = 1) -> Replica:
    """A replica with one observation of its own."""
    made = replica(node, known, counter, key=key)
    made.publish({"latency": latency(1.0)}, now=1, added=1, removed=0)
    return made


# Which roster holds


def test_the_newest_roster_reaches_everybody_by_gossip():
    nodes = [publishing(node, FIRST) for node in NODES]
    second = successor(FIRST)
    nodes[1].join_roster(second)
    exchange(nodes[0], nodes[1])
    exchange(nodes[2], nodes[0])
    assert [node.roster.version for node in nodes] == [2, 2, 2]
    assert exchange(nodes[2], nodes[0]) < 400  # and is sent no more


@pytest.mark.parametrize(
    "other",
    [
        successor(FIRST, signer="n1"),
        successor(FIRST, cluster="others"),
        SignedRoster(successor(FIRST).roster, FIRST.signature),
        successor(FIRST, version=1, drift_ppm=1.0),
        FIRST,
    ],
    ids=["wrong authority", "wrong cluster", "wrong signature", "same version", "itself"],
)
def test_no_other_roster_is_taken(other):
    held = publishing("n1", FIRST)
    before = everything(held)
    assert not held.join_roster(other)
    assert everything(held) == before
    assert held.roster == FIRST.roster
    assert (held.refused["roster"] == 0) == (other.roster.version == 1)


def test_a_lower_version_never_comes_back():
    held = publishing("n1", FIRST)
    held.join_roster(successor(FIRST, version=5))
    assert not held.join_roster(successor(FIRST, version=4))
    assert not held.join_roster(FIRST)
    behind = publishing("n2", FIRST)
    exchange(held, behind)
    assert (held.roster.version, behind.roster.version) == (5, 1)
    exchange(behind, held)
    assert behind.roster.version == 5


def test_whoever_missed_rosters_follows_each_change_of_authority():
    chain = [FIRST]
    for heir, former in (("b", "authority"), ("c", "b"), ("d", "c")):
        chain.append(successor(chain[-1], former, authority=public(heir)))
    ahead, behind = publishing("n1", FIRST), publishing("n2", FIRST)
    for known in chain[1:]:
        assert ahead.join_roster(known)
    for _ in chain:
        exchange(behind, ahead)
    assert behind.roster == ahead.roster == chain[-1].roster
    assert [known.roster.version for known in behind.rosters] == [1, 2, 3, 4]
    assert not behind.refused


# Members


def test_all_that_a_revoked_member_said_is_gone_everywhere():
    nodes = [publishing(node, FIRST) for node in NODES]
    converge(*nodes)
    assert int(nodes[0].total("latency").count) == 3
    rows = sent(nodes[2])
    nodes[0].join_roster(successor(FIRST, members=members_with(FIRST, "n3", revoked=True)))
    converge(*nodes[:2])
    for node in nodes[:2]:
        assert int(node.total("latency").count) == 2
        assert {key.node for key in node.table} == {"n1", "n2"}
        assert not node.join(*rows)
    assert nodes[0].digest() == nodes[1].digest()
    assert nodes[0].roster.live == ("n1", "n2")
    exchange(nodes[2], nodes[0])  # it hears of it too
    assert nodes[2].roster.version == 2


def test_a_revoked_members_rows_do_not_come_back_from_those_who_know_no_better():
    nodes = [publishing(node, FIRST) for node in NODES]
    converge(*nodes)
    nodes[0].join_roster(successor(FIRST, members=members_with(FIRST, "n3", revoked=True)))
    before = nodes[0].digest()
    gossip.receive(nodes[0], gossip.answer(nodes[1], gossip.digest(nodes[0], 1, bytes(8))))
    assert nodes[0].digest() == before


def test_keys_rotate_without_a_gap():
    key = members_with(FIRST, "n1", keys=[public("n1"), public("n1 later")])
    both = successor(FIRST, members=key)
    only = successor(both, members=members_with(both, "n1", keys=[public("n1 later")]))
    reader = replica("n3", FIRST)
    assert reader.join(*sent(publishing("n1", FIRST)))
    later = publishing("n1", both, key="n1 later", counter=2)
    assert not reader.join(*sent(later))
    assert reader.refused == {"signature": 1}
    reader.join_roster(both)
    assert reader.join(*sent(publishing("n1", both, counter=2, key="n1")))
    assert not reader.conflicts
    third = publishing("n1", both, key="n1 later", counter=3)
    assert reader.join(*sent(third))
    reader.join_roster(only)
    assert int(reader.total("latency").count) == 1
    assert not reader.join(*sent(publishing("n1", both, counter=4, key="n1")))
    assert reader.join(*sent(publishing("n1", only, counter=5, key="n1 later")))


def test_a_member_that_comes_later_counts_from_then_on():
    held = publishing("n1", FIRST)
    newcomer = roster([*FIRST.roster.members, member("n4")], version=2)
    row = sent(publishing("n4", newcomer))
    assert not held.join(*row)
    assert held.refused == {"unknown": 1}
    held.join_roster(newcomer)
    assert held.join(*row)
    assert int(held.total("latency").count) == 2


def test_a_member_that_is_no_longer_named_releases_nothing_and_breaks_nothing():
    cluster = Cluster(roster(3))
    cluster.wait(1)
    cluster.write("n3", "ann", 0, 1.0)
    cluster.settle()
    shorter = successor(cluster.roster, members=cluster.roster.roster.members[:2])
    for participant in cluster.nodes.values():
        participant.replica.join_roster(shorter)
    cluster.settle()
    cluster.wait(10)
    assert cluster.write("n3", "ann", 1, 2.0).events == 1
    cluster.wait(10)
    cluster.step("n3")
    assert cluster.nodes["n3"].writer.backlog == (1, 0)
    assert cluster.count("n1") == 0
    assert [origin.node for origin in cluster.nodes["n1"].origins()] == ["n1", "n2"]


def test_nodes_with_other_rosters_still_exchange_rows():
    ahead, behind = publishing("n1", FIRST), publishing("n2", FIRST)
    ahead.join_roster(successor(FIRST))
    ahead.publish({"latency": latency(1.0, 2.0)}, now=2, added=2, removed=0)
    exchange(ahead, behind)
    assert table(ahead).keys() == table(behind).keys()
    assert behind.latest("n1").head.roster == 2
    assert ahead.digest() == behind.digest()


# Caps while a roster changes

CAP = st.sampled_from([1.0, 10.0, 100.0, 1000.0])
EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("roster"), st.sampled_from(NODES), st.tuples(CAP, CAP, st.sampled_from([0, 0, 1, 2]))
        ),
        st.tuples(st.just("publish"), st.sampled_from(NODES), st.none()),
        st.tuples(st.just("exchange"), st.permutations(NODES), st.integers(1, 3)),
        st.tuples(st.just("restart"), st.sampled_from(NODES), st.none()),
    ),
    max_size=40,
)


def with_caps(version: int, rate: float, burst: float) -> SignedRoster:
    """A roster in which the first node, and every agent, have these caps."""
    caps = {"rate": rate, "burst": burst, "remove_rate": rate, "remove_burst": burst}
    people = [member("n1", **caps), member("n2"), member("n3")]
    trust = msgspec.structs.replace(TRUST, agent_rate=rate, agent_burst=burst)
    return roster(people, version, statistics=[LATENCY, trust])


def numbers(found: caps.Caps) -> list:
    """Every number of some caps."""
    every = (found.additions, found.removals, *found.agents.values())
    return [number for cap in every for number in (cap.rate, cap.burst)]


@settings(max_examples=80)
@given(EVENTS)
def test_no_reader_counts_on_less_than_a_writer_keeps_to(events):
    chain = [with_caps(1, 10.0, 10.0)]
    nodes = {node: replica(node, chain[0]) for node in NODES}
    runs = dict.fromkeys(NODES, 1)
    kept: list[tuple[tuple[int, int], list]] = []  # what the first node kept to, since which version
    for what, who, how in events:
        if what == "roster":
            *numbers_of_caps, skipped = how
            place = nodes[who].roster.version + skipped
            while place >= len(chain):
                chain.append(with_caps(len(chain) + 1, *numbers_of_caps))
            nodes[who].join_roster(chain[place])
        elif what == "publish":
            nodes[who].publish({}, now=1, added=0, removed=0)
        elif what == "exchange":
            exchange(nodes[who[0]], nodes[who[1]], legs=how)
        else:
            former = nodes[who]
            runs[who] += 1
            made = Replica(
                former.rosters[-1],
                Incarnation(who, runs[who], 0),
                sign=former._sign,
                earlier=former.rosters[:-1],
            )
            made.publish({}, now=0, added=0, removed=0)
            nodes[who] = made
        own = nodes["n1"].table.get(nodes["n1"].key)
        since = (runs["n1"], own.head.version if own else 0)
        kept.append((since, numbers(caps.to_keep(nodes["n1"]))))
        for reader in ("n2", "n3"):
            row = nodes[reader].latest("n1")
            seen = (row.head.key.counter, row.head.version) if row else (0, 0)
            found = caps.to_count_on(nodes[reader], "n1")
            bound = None if found is None else numbers(found)
            for place, keeps in kept:
                if place >= seen and row is not None and bound is not None:
                    assert all(a <= b for a, b in zip(keeps, bound, strict=True))


def test_a_higher_cap_is_kept_to_once_everybody_may_know_of_it():
    low, high = with_caps(1, 10.0, 10.0), with_caps(2, 100.0, 100.0)
    nodes = [replica(node, low) for node in NODES]
    for node in nodes:
        node.publish({}, now=1, added=0, removed=0)
    converge(*nodes)
    nodes[0].join_roster(high)
    nodes[0].publish({}, now=2, added=0, removed=0)
    assert caps.to_keep(nodes[0]).additions.rate == 10
    assert caps.to_count_on(nodes[1], "n1").additions.rate == 10
    exchange(nodes[1], nodes[0])
    assert caps.to_count_on(nodes[1], "n1").additions.rate == 100
    assert caps.to_keep(nodes[0]).additions.rate == 10
    for _ in range(2):
        converge(*nodes)
        for node in nodes:
            node.publish({}, now=3, added=0, removed=0)
    converge(*nodes)
    assert caps.to_keep(nodes[0]).additions.rate == 100


def test_a_lower_cap_is_kept_to_at_once_and_counted_on_once_the_writer_said_so():
    high, low = with_caps(1, 100.0, 100.0), with_caps(2, 10.0, 10.0)
    nodes = [replica(node, high) for node in NODES]
    for node in nodes:
        node.publish({}, now=1, added=0, removed=0)
    converge(*nodes)
    nodes[1].join_roster(low)
    assert caps.to_count_on(nodes[1], "n1").additions.rate == 100
    exchange(nodes[0], nodes[1])
    assert caps.to_keep(nodes[0]).additions.rate == 10
    assert caps.to_count_on(nodes[1], "n1").additions.rate == 100
    nodes[0].publish({}, now=2, added=0, removed=0)
    exchange(nodes[1], nodes[0])
    assert caps.to_count_on(nodes[1], "n1").additions.rate == 10


def test_a_writer_that_does_not_know_all_readers_keeps_to_the_lowest_cap_there_was():
    nodes = [replica("n1", with_caps(1, 10.0, 10.0))]
    nodes[0].publish({}, now=1, added=0, removed=0)
    nodes[0].join_roster(with_caps(2, 100.0, 100.0))
    nodes[0].publish({}, now=2, added=0, removed=0)
    assert caps.to_keep(nodes[0]).additions.rate == 10


def test_whoever_missed_a_roster_counts_on_nothing_until_the_writer_goes_by_the_newest():
    chain = [with_caps(1, 10.0, 10.0), with_caps(2, 100.0, 100.0), with_caps(3, 1.0, 1.0)]
    writer, reader = replica("n1", chain[0]), replica("n2", chain[0])
    writer.join_roster(chain[1])
    writer.publish({}, now=1, added=0, removed=0)
    assert reader.join(*sent(writer))
    assert caps.to_count_on(reader, "n1") is None  # it may keep to what it alone knows
    reader.join_roster(chain[2])
    assert caps.to_count_on(reader, "n1") is None
    writer.join_roster(chain[2])
    writer.publish({}, now=2, added=0, removed=0)
    reader.join(*sent(writer))
    assert caps.to_count_on(reader, "n1").additions.rate == 1


def test_rows_sealed_under_a_roster_that_is_not_here_bound_nothing():
    held = replica("n3", FIRST)
    head = head_of(Incarnation("n1", 1, 0), 1, {"latency": latency(1.0)}, roster=9)
    assert held.join(*sealed(head, {"latency": latency(1.0)}))
    assert caps.to_count_on(held, "n1") is None
    message = gossip.digest(held, 1, bytes(8))
    assert messages.decode(messages.encode(message)) == message


# Whoever was left out for a while


def without(known: SignedRoster, name: str) -> SignedRoster:
    return successor(known, members=[one for one in known.roster.members if one.name != name])


def test_a_node_that_is_let_in_again_goes_on_from_its_last_version():
    writer, other = publishing("n3", FIRST), publishing("n1", FIRST)
    other.join(*sent(writer))
    second = without(FIRST, "n3")
    third = successor(second, members=FIRST.roster.members)
    writer.join_roster(second)
    assert writer.total("latency").count == 0  # it counts nowhere, not even here
    assert writer.digest() == replica("n3", second).digest()
    writer.join_roster(third)
    assert writer.total("latency").count == 1
    head = writer.publish({"latency": latency(1.0, 2.0)}, now=2, added=2, removed=0)
    assert head.version == 2
    # Somebody who never heard of those rosters sees no contradiction.
    assert other.join(*sent(writer))
    assert not other.excluded


def test_a_roster_that_leaves_a_node_out_allows_it_nothing():
    slow = successor(FIRST, members=members_with(FIRST, "n3", rate=5.0))
    absent = without(slow, "n3")
    fast = successor(absent, members=members_with(FIRST, "n3", rate=100.0))
    writer = publishing("n3", slow)
    for known in (absent, fast):
        writer.join_roster(known)
    # Others may still go by any of the three: nothing is released until they are known to have the last.
    assert caps.to_keep(writer).additions.rate == 0
    assert caps.to_keep(publishing("n3", absent)).additions.rate == 0


def test_a_roster_without_a_statistic_allows_nothing_about_its_agents():
    slow = successor(FIRST, statistics=[LATENCY, msgspec.structs.replace(TRUST, agent_rate=1.0)])
    gone = successor(slow, statistics=[LATENCY])
    fast = successor(gone, statistics=[LATENCY, msgspec.structs.replace(TRUST, agent_rate=100.0)])
    writer = publishing("n3", slow)
    for known in (gone, fast):
        writer.join_roster(known)
    assert caps.to_keep(writer).agents["trust"].rate == 0
