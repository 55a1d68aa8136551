"""No relay can forge a row or keep one from spreading, and changes that do not fit are asked for whole."""

import msgspec
import pytest
from cluster_of_replicas import (
    Sent,
    carried,
    converge,
    everything,
    exchange,
    head_of,
    latency,
    replica,
    roster,
    sealed,
    sent,
    table,
    trust,
)

from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.content import evidence_key
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.row import Incarnation

ROSTER = roster(3)
NAMES = ("latency", evidence_key("trust", "ann", "eye"), evidence_key("trust", "bob", "eye"))


def reader(*rows: Sent) -> Replica:
    """A replica of the third node that took rows in this order."""
    held = replica("n3", ROSTER)
    for row in rows:
        held.join(*row)
    return held


@pytest.fixture
def written() -> tuple[Replica, Replica, Sent, Sent]:
    """A writer at its second version, a replica with the first, the row whole and what changed in it."""
    writer = replica("n1", ROSTER)
    writer.see((Incarnation("n2", 4, 9), 77))
    writer.publish({NAMES[1]: trust(1.0), "latency": latency(1.0)}, now=3, added=2, removed=0)
    held = reader(sent(writer))
    writer.see((Incarnation("n2", 4, 9), 78))
    writer.publish({"latency": latency(1.0, 2.0)}, now=5, added=3, removed=0)
    return writer, held, sent(writer), sent(writer, base=1)


@pytest.mark.parametrize("kind", ["whole", "changes"])
def test_a_message_with_any_bit_changed_brings_nothing_that_was_not_written(written, kind):
    writer, held, whole, changes = written
    data = messages.encode(carried(whole if kind == "whole" else changes))
    first = [] if kind == "whole" else [sent(held, writer.key)]
    known = {held.table[writer.key].head, writer.own.head}
    taken = 0
    fresh = reader(*first)
    before = everything(fresh)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            news = messages.decode(bytes(damaged))
        except ValueError:
            continue
        if isinstance(news, messages.News):
            gossip.receive(fresh, news)
        fresh.wanted_whole.clear()
        if everything(fresh) != before:
            taken += 1
            assert {row.head for row in fresh.table.values()} <= known
            assert not fresh.conflicts
            assert set(fresh.tokens) <= {"n1"}
            fresh = reader(*first)
    assert taken < 100  # the flag for more rows, and tokens that no row of the message counts from


FORGERIES = {
    "version": lambda u: msgspec.structs.replace(u, version=u.version + 1),
    "frontier": lambda u: msgspec.structs.replace(u, numbers=(1, *u.numbers[1:])),
    "added": lambda u: msgspec.structs.replace(u, numbers=(u.numbers[0], 9, *u.numbers[2:])),
    "removed": lambda u: msgspec.structs.replace(u, numbers=(*u.numbers[:2], 9, *u.numbers[3:])),
    "final": lambda u: msgspec.structs.replace(u, numbers=(*u.numbers[:3], True, *u.numbers[4:])),
    "roster": lambda u: msgspec.structs.replace(u, numbers=(*u.numbers[:4], 9, u.numbers[5])),
    "token": lambda u: msgspec.structs.replace(u, numbers=(*u.numbers[:5], 1)),
    "echoes": lambda u: msgspec.structs.replace(u, echoes=b""),
    "older echo": lambda u: msgspec.structs.replace(u, echoes=b"\0\2"),
    "cell": lambda u: msgspec.structs.replace(u, cells={**u.cells, "latency": latency(9.0)}),
    "more cells": lambda u: msgspec.structs.replace(u, cells={**u.cells, NAMES[2]: trust(1.0)}),
    "fewer cells": lambda u: msgspec.structs.replace(u, cells={}),
    "signature": lambda u: msgspec.structs.replace(u, signature=bytes(64)),
    "no signature": lambda u: msgspec.structs.replace(u, signature=b""),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_relay_can_change_nothing_in_a_row(written, forge):
    writer, held, (whole, keys), (changes, own) = written
    before = table(held)
    assert not held.join(forge(whole), keys)
    assert held.refused == {"signature": 1}
    assert not held.join(forge(changes), own)
    assert held.refused == {"signature": 1}
    assert table(held) == before
    assert held.join(whole, keys)
    assert held.table[writer.key].head == writer.own.head
    assert not held.wanted_whole


def test_a_row_under_another_name_or_key_is_refused():
    key = Incarnation("n1", 1, 0)
    head = head_of(key, 1, {"latency": latency(1.0)})
    held = reader()
    assert not held.join(*sealed(head, {"latency": latency(1.0)}, key="n2"))
    assert held.refused == {"signature": 1}
    update, keys = sealed(head, {"latency": latency(1.0)})
    assert not held.join(update, [msgspec.structs.replace(keys[0], node="n2")])
    assert not held.join(update, [msgspec.structs.replace(keys[0], counter=2)])
    assert not held.join(update, [msgspec.structs.replace(keys[0], nonce=2)])
    assert held.refused == {"signature": 4}
    assert not held.join(update, [msgspec.structs.replace(keys[0], node="n9")])
    assert held.refused == {"signature": 4, "unknown": 1}
    assert held.join(update, keys)


def test_a_row_of_another_cluster_is_refused():
    held = reader()
    other = replica("n1", roster(3, cluster="others"))
    other.publish({"latency": latency(1.0)}, now=1, added=1, removed=0)
    assert not held.join(*sent(other))
    assert held.refused == {"signature": 1}


def test_nobody_tells_a_node_what_it_said_itself():
    held = replica("n3", ROSTER)
    held.publish({}, now=1, added=0, removed=0)
    before = everything(held)
    assert not held.join(*sealed(head_of(held.key, 7, {"latency": latency(1.0)}), {"latency": latency(1.0)}))
    assert everything(held) == before


# Changes that do not fit


def test_changes_that_do_not_lead_to_what_was_signed_make_a_node_ask_for_the_whole_row(written):
    writer, held, _, (changes, keys) = written
    assert not held.join(FORGERIES["cell"](changes), keys)
    assert held.wanted_whole == {writer.key}
    asked = gossip.digest(held, 1, bytes(8))
    assert asked.versions[[key.incarnation for key in asked.keys].index(writer.key)] == 0
    news = gossip.answer(writer, asked)
    assert [update.base for update in news.updates] == [0]
    gossip.receive(held, news)
    assert table(held)[writer.key] == table(writer)[writer.key]
    assert not held.wanted_whole


def test_a_node_that_asks_for_a_whole_row_asks_in_its_answers_too(written):
    writer, held, _, (changes, keys) = written
    held.join(FORGERIES["cell"](changes), keys)
    exchange(writer, held)
    assert table(held)[writer.key] == table(writer)[writer.key]


def test_changes_of_a_row_that_is_not_there_are_not_kept_and_nothing_is_remembered(written):
    _, _, _, (changes, keys) = written
    held = reader()
    for nonce in range(100):
        assert not held.join(changes, [msgspec.structs.replace(keys[0], nonce=nonce), *keys[1:]])
    assert everything(held) == everything(reader())
    assert not held.wanted_whole


def test_a_forged_change_keeps_no_row_from_spreading():
    writer = replica("n1", ROSTER)
    writer.publish({"latency": latency(1.0)}, now=1, added=1, removed=0)
    behind = reader(sent(writer))
    writer.publish({"latency": latency(1.0, 2.0)}, now=2, added=2, removed=0)
    only = replica("n2", ROSTER)
    only.join(*sent(writer))  # then the writer is gone
    update, keys = sent(writer, base=1)
    forged = msgspec.structs.replace(update, version=9, base=2)
    for turn in range(4):
        only.join(forged, keys)
        exchange(*((behind, only) if turn % 2 else (only, behind)))
    assert table(behind)[writer.key] == table(writer)[writer.key] == table(only)[writer.key]


def test_cells_deleted_before_a_whole_row_came_do_not_stay_with_those_further_behind():
    writer = replica("n1", ROSTER)
    writer.publish({"latency": latency(1.0), NAMES[1]: trust(1.0)}, now=1, added=2, removed=0)
    behind = reader(sent(writer))
    writer.publish({NAMES[1]: b""}, now=2, added=2, removed=1)
    relay = replica("n2", ROSTER)
    relay.join(*sent(writer))  # whole: it never saw the cell that is gone
    exchange(behind, relay)
    exchange(behind, relay)
    assert table(behind)[writer.key] == table(writer)[writer.key]
    converge(behind, relay, rounds=1)
    assert behind.digest() == relay.digest() == writer.digest()
