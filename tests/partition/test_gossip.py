"""Anti-entropy ends with the same rows everywhere, whatever is lost, and costs what changed."""

import itertools
import random

import pytest
from cluster_of_replicas import (
    contradiction,
    converge,
    everything,
    exchange,
    latency,
    member,
    replica,
    roster,
    sent,
    table,
    trust,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.content import evidence_key
from convergence_jax.partition.rows.messages import News
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.row import Incarnation

ROSTER = roster(5)
NODES = [f"n{i}" for i in range(1, 6)]


def write(held: Replica, *values: float, now: int = 1) -> None:
    """Let a node add observations to its own row."""
    former = held.table.get(held.key)
    said = list(getattr(held, "said", ()))
    said += values
    held.said = said  # type: ignore[attr-defined]
    added = (former.head.added if former else 0) + len(values)
    held.publish({"latency": latency(*said)}, now=now, added=added, removed=0)


def bytes_of(message: News | None) -> bytes:
    """A message as it is sent, nothing for none."""
    return b"" if message is None else messages.encode(message)


# Whatever is lost


@settings(max_examples=25)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 4), st.integers(1, 9)),
            st.tuples(st.sampled_from(["exchange", "push"]), st.permutations(range(5)), st.integers(0, 3)),
        ),
        max_size=25,
    ),
)
def test_nodes_converge_whichever_legs_are_lost_late_or_repeated(events):
    nodes = [replica(node, ROSTER) for node in NODES]
    late: list[tuple[Replica, bytes]] = []
    for now, (what, who, how) in enumerate(events):
        if what == "write":
            write(nodes[who], float(how), now=now)
        elif what == "exchange":
            exchange(nodes[who[0]], nodes[who[1]], now=now, legs=how)
        else:
            data = bytes_of(gossip.push(nodes[who[0]], {}, 10_000))
            late += [(nodes[who[1]], data)] * how
    for receiver, data in late:
        if data:
            gossip.receive(receiver, messages.decode(data))
    converge(*nodes, rounds=2)
    assert len({node.digest() for node in nodes}) == 1
    assert all(table(node) == table(nodes[0]) for node in nodes)
    assert all(not node.refused for node in nodes)
    assert int(nodes[0].total("latency").count) == sum(len(getattr(node, "said", ())) for node in nodes)


def test_one_exchange_of_three_legs_makes_two_nodes_equal():
    first, second = (replica(node, ROSTER) for node in NODES[:2])
    write(first, 1.0)
    write(second, 2.0)
    exchange(first, second)
    assert table(first) == table(second)
    assert len(first.table) == 2


@pytest.mark.parametrize(("legs", "moved"), [(0, (1, 1)), (1, (1, 1)), (2, (2, 1)), (3, (2, 2))])
def test_every_leg_that_arrives_helps_whoever_gets_it(legs, moved):
    first, second = (replica(node, ROSTER) for node in NODES[:2])
    write(first, 1.0)
    write(second, 2.0)
    exchange(first, second, legs=legs)
    assert (len(first.table), len(second.table)) == moved


def test_rows_travel_over_others():
    nodes = [replica(node, ROSTER) for node in NODES]
    write(nodes[0], 1.0)
    for near, far in itertools.pairwise(nodes):
        exchange(far, near)
    assert int(nodes[-1].total("latency").count) == 1


def test_news_says_which_rows_were_news():
    first, second = (replica(node, ROSTER) for node in NODES[:2])
    write(first, 1.0)
    news = gossip.answer(first, gossip.digest(second, 1, bytes(8)))
    assert gossip.receive(second, news) == [first.key]
    assert gossip.receive(second, news) == []


def test_an_exchange_carries_the_newest_token_of_the_asker_and_of_each_writer():
    first, second = (replica(node, ROSTER) for node in NODES[:2])
    exchange(first, second, now=500, legs=1)
    exchange(first, second, now=40, legs=2)
    assert second.tokens == {"n1": (first.key, 500)}
    second.publish({}, now=7, added=0, removed=0)
    exchange(first, second, now=600)
    assert first.tokens == {"n2": (second.key, 7)}
    assert first.age("n2", 700) == pytest.approx(0.201)
    assert second.age("n1", 700) == float("inf")


def test_an_echo_is_as_old_as_the_token_and_no_younger():
    first, second = (replica(node, ROSTER) for node in NODES[:2])
    exchange(first, second, now=1000, legs=2)
    second.publish({}, now=5, added=0, removed=0)
    exchange(first, second, now=9000)
    assert first.age("n2", 9000) == pytest.approx(8.001)
    assert first.age("n2", 999) == float("inf")
    reborn = replica("n1", ROSTER, counter=2)
    exchange(reborn, first)
    assert reborn.age("n2", 9000) == float("inf")
    second.publish({}, now=6, added=0, removed=0, final=True)
    exchange(first, second, now=9100)
    assert first.age("n2", 10**9) == 0.0
    assert first.age("n3", 1) == float("inf")


def test_a_node_that_reads_its_rows_back_has_no_age():
    first, second = (replica(node, ROSTER) for node in NODES[:2])
    exchange(first, second, now=1000, legs=2)
    second.publish({}, now=5, added=0, removed=0, frontier=0)
    exchange(first, second, now=1001)
    assert first.age("n2", 1002) == float("inf")
    second.publish({}, now=6, added=0, removed=0)
    exchange(first, second, now=1003)
    assert first.age("n2", 1004) < 1.0


# What it costs


def many(node: str, cells: int) -> Replica:
    """A node with so many cells of evidence, a row of one version."""
    held = replica(node, ROSTER)
    data = trust(1.0)
    held.publish(
        {evidence_key("trust", f"agent {i}", "eye"): data for i in range(cells)},
        now=1,
        added=cells,
        removed=0,
    )
    return held


def cost_of_one_change(cells: int) -> tuple[int, int]:
    """Bytes of the first exchange, and of one after a single cell changed."""
    writer, other = many("n1", cells), replica("n2", ROSTER)
    first = exchange(other, writer)
    writer.publish({evidence_key("trust", "agent 7", "eye"): trust(2.0)}, now=2, added=cells + 1, removed=0)
    second = exchange(other, writer)
    assert table(other) == table(writer)
    return first, second


def test_bytes_follow_what_changed_and_not_what_is_held():
    small, large = cost_of_one_change(10), cost_of_one_change(10_000)
    assert large[0] > 300_000
    assert large[1] < 350
    assert large[1] - small[1] < 8


def test_a_change_costs_the_same_however_many_relays_it_passes():
    writer, relay, last = many("n1", 1000), replica("n2", ROSTER), replica("n3", ROSTER)
    exchange(relay, writer)
    exchange(last, relay)
    writer.publish({evidence_key("trust", "agent 7", "eye"): trust(2.0)}, now=2, added=1001, removed=0)
    assert exchange(relay, writer) < 350
    assert exchange(last, relay) < 350
    assert table(last)[writer.key] == table(writer)[writer.key]


def test_nodes_that_agree_send_no_rows():
    nodes = [replica(node, ROSTER) for node in NODES]
    for node in nodes:
        write(node, 1.0)
    converge(*nodes, rounds=2)
    assert exchange(nodes[0], nodes[1]) < 300
    for asker, other in ((nodes[0], nodes[1]), (nodes[3], nodes[2])):
        news = gossip.answer(other, gossip.digest(asker, 1, bytes(8)))
        assert (news.updates, news.wants, news.conflicts, news.roster) == ([], [], [], b"")
        assert gossip.fulfil(asker, news) is None
        assert gossip.push(asker, {key: row.head.version for key, row in other.table.items()}, 10_000) is None


# What goes first


def busy(nodes: int = 40, seed: int = 0) -> tuple[Replica, Replica, list[int]]:
    """A replica with news of many nodes, one that knows their first versions, and how much each changed."""
    chance = random.Random(seed)
    known = roster(nodes)
    full, behind = replica("n1", known), replica("n2", known)
    changed = []
    for i in range(3, nodes + 1):
        writer = replica(f"n{i}", known)
        writer.publish({"latency": latency(1.0)}, now=1, added=chance.randrange(1000), removed=0)
        behind.join(*sent(writer))
        full.join(*sent(writer))
        more = chance.randrange(1, 1000)
        head = writer.own.head
        writer.publish({"latency": latency(2.0)}, now=2, added=head.added + more, removed=0)
        full.join(*sent(writer, base=1))
        changed.append(more)
    return full, behind, changed


def test_rows_that_changed_most_go_first_where_there_is_room_for_few():
    full, behind, changed = busy()
    news = gossip.answer(full, gossip.digest(behind, 1, bytes(8)), 4000)
    sizes = [
        update.numbers[1] - behind.table[news.keys[update.key].incarnation].head.added
        for update in news.updates
    ]
    assert 5 < len(sizes) < len(changed)
    first = len(sizes) - 2  # the last ones may be smaller rows that still fitted
    assert sizes[:first] == sorted(changed, reverse=True)[:first]
    assert sizes == sorted(sizes, reverse=True)
    assert news.more


@pytest.mark.parametrize("limit", [1000, 4000, 1 << 20])
def test_no_message_is_longer_than_its_limit_and_all_of_it_arrives_in_the_end(limit):
    full, behind, changed = busy()
    for turn in range(len(changed)):
        news = gossip.answer(full, gossip.digest(behind, 1, bytes([turn]) * 8), limit)
        wanted = gossip.fulfil(full, gossip.answer(behind, gossip.digest(full, 1, bytes(8))), limit)
        pushed = gossip.push(full, {key: row.head.version for key, row in behind.table.items()}, limit)
        assert all(len(bytes_of(message)) <= limit for message in (news, wanted, pushed))
        if not news.updates:
            break
        gossip.receive(behind, messages.decode(bytes_of(news)))
    assert table(behind) == table(full)
    assert not gossip.answer(full, gossip.digest(behind, 1, bytes(8)), limit).more


def test_names_of_any_length_keep_to_the_limit():
    names = [f"{i:02d}" + "x" * 61 for i in range(30)]
    known = roster([member(name) for name in names])
    full = replica(names[0], known)
    for name in names[1:]:
        writer = replica(name, known, counter=1_700_000_000, nonce=2**64 - 1)
        writer.publish({"latency": latency(1.0)}, now=10**9, added=1, removed=0)
        full.join(*sent(writer))
    for limit in (1200, 3000):
        pushed = gossip.push(full, {}, limit)
        assert pushed is not None
        assert len(bytes_of(pushed)) <= limit
        assert pushed.updates


def test_a_row_that_does_not_fit_holds_up_no_other():
    large, small, behind = many("n1", 500), replica("n2", ROSTER), replica("n3", ROSTER)
    write(small, 1.0)
    exchange(small, large)
    news = gossip.answer(small, gossip.digest(behind, 1, bytes(8)), 2000)
    assert news.more
    assert [news.keys[update.key].node for update in news.updates] == ["n2"]
    pushed = gossip.push(small, {}, 2000)
    assert pushed is not None
    assert [pushed.keys[update.key].node for update in pushed.updates] == ["n2"]


def test_proofs_and_wishes_leave_room_for_rows():
    full, behind, _ = busy()
    for nonce in range(10):
        full.join_conflict(contradiction(Incarnation("n3", 5, nonce)))
    known = {key: row.head.version for key, row in behind.table.items()}
    pushed = gossip.push(full, known, 1200)
    stranger = replica("n40", full.rosters[-1], counter=9)
    behind.tokens.clear()
    behind.publish({"latency": latency(1.0)}, now=1, added=1, removed=0)
    answered = gossip.answer(behind, gossip.digest(full, 1, bytes(8)), 1200)
    told = gossip.answer(full, gossip.digest(stranger, 1, bytes(8)), 1200)
    for news in (pushed, answered, told):
        assert news is not None
        assert len(bytes_of(news)) <= 1200
        assert news.updates
    assert answered.wants
    assert told.conflicts


# One way only


def test_a_link_that_carries_one_way_still_brings_rows():
    speaker, hearer = (replica(node, ROSTER) for node in NODES[:2])
    write(hearer, 5.0)
    for turn in range(1, 4):
        write(speaker, float(turn), now=turn)
        news = gossip.push(speaker, {}, 1200)
        gossip.receive(hearer, messages.decode(bytes_of(news)))
        assert int(hearer.total("latency").count) == turn + 1
    assert hearer.tokens == {"n1": (speaker.key, 3)}
    assert speaker.table.keys() == {speaker.key}


def test_a_push_brings_what_changed_since_the_peer_last_said_what_it_has():
    speaker, hearer = many("n1", 1000), replica("n2", ROSTER)
    exchange(speaker, hearer)
    known = {key: row.head.version for key, row in hearer.table.items()}
    speaker.publish({evidence_key("trust", "agent 7", "eye"): trust(2.0)}, now=2, added=1001, removed=0)
    news = gossip.push(speaker, known, 1200)
    assert news is not None
    assert [update.base for update in news.updates] == [1]
    gossip.receive(hearer, news)
    assert table(hearer) == table(speaker)


def test_asking_changes_nothing_but_the_token_that_came_with_it():
    full, behind, _ = busy(10)
    before = everything(full), everything(behind)
    digest = gossip.digest(behind, 77, bytes(8))
    news = gossip.answer(full, digest)
    gossip.fulfil(behind, news)
    gossip.push(full, {}, 4000)
    assert everything(behind) == before[1]
    assert full.tokens["n2"] == (behind.key, 77)
    full.tokens.pop("n2")
    assert everything(full) == before[0]
