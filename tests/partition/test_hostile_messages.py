"""Whatever a peer or a member sends, a node refuses it, counts it, goes on, and holds what it held."""

import dataclasses
import random
from collections import Counter

import msgspec
import numpy as np
import pytest
from cluster_of_participants import Cluster
from cluster_of_replicas import (
    LATENCY,
    Sent,
    carried,
    contradiction,
    converge,
    everything,
    exchange,
    head_of,
    latency,
    replica,
    roster,
    sealed,
    sent,
    signing_key,
    trust,
)
from hostile_peer import FUZZ, ROSTER, genuine, pack, victim

from convergence_jax.exact import digits
from convergence_jax.partition.answers.answer import Query, answer
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.messages import Dictionary, Digest, Key
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import Feature, MomentsSchema
from convergence_jax.partition.rows.row import Conflict, Head, Incarnation
from convergence_jax.statistics.state import map_arrays

REASONS = {"malformed", "format", "oversized", "signature", "unknown", "roster", "cell", "decode"}


def take(held: Replica, data: bytes, refused: Counter[str]) -> None:
    """What a node does with bytes of the member n2; nothing but a ValueError of `decode` is caught."""
    try:
        message = messages.decode(data)
    except ValueError as error:
        refused[str(error).split(":")[0]] += 1
        return
    if isinstance(message, Digest):
        if message.keys[0].node == "n2":
            messages.encode(gossip.answer(held, message))
    else:
        gossip.receive(held, message)
        wanted = gossip.fulfil(held, message)
        if wanted is not None:
            messages.encode(wanted)
    messages.encode(gossip.digest(held, 9, bytes(8)))


@pytest.mark.parametrize("kind", FUZZ)
def test_no_message_harms_a_node(kind):
    make, number = FUZZ[kind]
    draw = random.Random(kind)
    seeds = genuine()
    held = victim()
    before = everything(held)
    heads = {key: row.head for key, row in held.table.items()}
    refused: Counter[str] = Counter()
    for _ in range(number):
        take(held, make(draw, seeds), refused)
        assert not held.conflicts
        assert held.table.keys() == heads.keys()
        assert all(row.head is heads[key] for key, row in held.table.items())
    held.tokens = before[3]  # the member's own clock, which a digest of its own may set
    assert everything(held) == before
    assert len(held.wanted_whole) <= 2
    refused += held.refused
    assert set(refused) <= REASONS
    assert refused.total() > (0 if kind == "replayed" else number // 20) - 1
    exchange(held, replica("n2", ROSTER, counter=9))


def test_no_damaged_proof_is_another_proof():
    right = contradiction(Incarnation("n2", 9, 9))
    data = bytearray(msgspec.msgpack.encode(right))
    held = victim()
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        try:
            proof = msgspec.msgpack.decode(bytes(data), type=Conflict)
        except msgspec.DecodeError:
            pass
        else:
            assert not held.join_conflict(proof)
        data[bit // 8] ^= 1 << bit % 8
    assert not held.excluded
    assert held.join_conflict(right)


# Messages


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed"),
        (b"\xc1", "malformed"),
        (bytes(messages.MAX_BYTES + 1), "oversized"),
        (pack([1, 2, 1, bytes(8), 1, [["n2", 1, 1]], [1], b"ab", []]), "format"),
        (pack([2, 0, b"", [], [], [], [], False]), "format"),
        (pack([3, 1]), "malformed"),
        (pack([1, 1, 1, bytes(8), 1, [], [], b"", []]), "malformed"),
        (pack([1, 1, 1, bytes(7), 1, [["n2", 1, 1]], [1], b"ab", []]), "malformed"),
        (pack([1, 1, 1, bytes(8), 1, [["n2", 1, 1]], [1, 2], b"ab", []]), "malformed"),
        (pack([1, 1, 1, bytes(8), 1, [["n2", 1, 1]], [1], b"abc", []]), "malformed"),
        (pack([1, 1, 1, bytes(8), -1, [["n2", 1, 1]], [1], b"ab", []]), "malformed"),
        (pack([1, 1, 1, bytes(8), 1, [["n2", 2**63, 1]], [1], b"ab", []]), "malformed"),
        (pack([1, 1, 1, bytes(8), 1, [["n2", 1, -1]], [1], b"ab", []]), "malformed"),
        (pack([1, 1, 1, bytes(8), 1, [["n2", 1, 1]], [-1], b"ab", []]), "malformed"),
        (pack([1, 1, -1, bytes(8), 1, [["n2", 1, 1]], [1], b"ab", []]), "malformed"),
        (pack([2, 1, b"", [], [], [], [[-1, 0]], False]), "malformed"),
        (b"\x91" * 10**6, "malformed"),
        (b"\x98\x02\x01\xc4\x00\xdd\xff\xff\xff\xff", "malformed"),
    ],
)
def test_a_message_is_refused_for_a_reason_in_one_word(data, reason):
    with pytest.raises(ValueError, match=f"^{reason}: "):
        messages.decode(data)


def test_the_largest_message_is_read():
    text = carried(sealed(head_of(Incarnation("n2", 1, 1), 1, {}), {"latency": bytes(1000)}))
    assert messages.decode(messages.encode(text)) == text


def test_places_beyond_the_keys_are_nobodys():
    held = victim()
    before = everything(held)
    update, keys = sealed(head_of(Incarnation("n2", 1, 1), 1, {}), {})
    for place in (len(keys), 2**62, -1):
        assert not held.join(msgspec.structs.replace(update, key=place), keys)
    assert held.refused == {"malformed": 3}
    news = messages.News(messages.FORMAT, b"", keys, [], [], [(7, 0), (2**62, 1)])
    assert gossip.fulfil(held, news) is None
    assert everything(held) == before


def test_a_digest_of_many_keys_makes_a_node_ask_and_remember_nothing():
    held = victim()
    many = [Key("n2", counter, 1) for counter in range(1, 20_001)]
    digest = Digest(messages.FORMAT, 1, bytes(8), 1, many, [1] * len(many), bytes(2 * len(many)), [])
    before = everything(held)[0]
    assert len(gossip.answer(held, digest).wants) == len(many)
    assert everything(held)[0] == before
    assert not held.wanted_whole


@pytest.mark.parametrize("echoes", [b"\x80", b"\x80" * 40, b"\1\1\1\1", b"\xff" * 9 + b"\1"])
def test_echoes_that_do_not_fit_the_keys_are_refused(echoes):
    held = victim()
    update, keys = sealed(head_of(Incarnation("n2", 1, 1), 1, {}), {})
    assert not held.join(msgspec.structs.replace(update, echoes=echoes), keys)
    assert held.refused in ({"malformed": 1}, {"signature": 1})


# A member that signs what no node would


MALLORY = Incarnation("n3", 50, 7)


def impossible(count: int, total: int, squares: int, faults: int = 0) -> bytes:
    """A cell with any numbers in it."""
    empty = LATENCY.statistic.empty()
    state = map_arrays(lambda array: np.full_like(array, faults) if array.shape == (1,) else array, empty)
    state = type(empty)(
        np.int64(count),
        digits.from_ints([total], empty.sums.shape[-1]).reshape(empty.sums.shape),
        digits.from_ints([squares], empty.products.shape[-1]).reshape(empty.products.shape),
        state.faults,
        LATENCY.statistic,
    )
    return encode(state)


UNREADABLE = {
    "no state": {"latency": b"\xff"},
    "cut short": {"latency": latency(1.0)[:-1]},
    "too long": {"latency": latency(1.0) + b"\0"},
    "no statistic": {"nothing": latency(1.0)},
    "no name": {"": latency(1.0)},
    "an agent where there is none": {"latency\x1fa\x1fb": latency(1.0)},
    "no observer": {"trust\x1fa": trust(1.0)},
    "one good, one bad": {"latency": latency(1.0), "trust\x1fa\x1fb": b"\xff"},
    "negative count": {"latency": impossible(-5, 0, 0)},
    "smallest count too large": {"latency": impossible(2**32, 0, 0)},
    "huge count": {"latency": impossible(2**40, 0, 0)},
    "largest count": {"latency": impossible(2**63 - 1, 0, 0)},
    "sum above the range": {"latency": impossible(3, 3 * 1000 * 2**10 + 1, 2**50)},
    "sum below the range": {"latency": impossible(3, -1, 2**50)},
    "squares below the mean's": {"latency": impossible(3, 3 * 2**10, 3 * 2**20 - 1)},
    "something of nothing": {"latency": impossible(0, 0, 5)},
    "faults": {"latency": impossible(1, 0, 0, faults=1)},
    "evidence beyond its range": {"trust\x1fa\x1fb": trust(6.0, 6.0).replace(b"\4", b"\2", 1)},
}


@pytest.mark.parametrize("cells", UNREADABLE.values(), ids=UNREADABLE)
def test_a_member_that_signs_cells_of_no_observations_is_refused_them_and_spoils_no_answer(cells):
    cluster = Cluster(roster(3))
    cluster.wait(1)
    for node in cluster.nodes:
        cluster.write(node, "ann", 0, 1.0, 2.0)
    cluster.settle()
    held = cluster.nodes["n1"].replica
    before = everything(held)
    assert not held.join(*sealed(head_of(MALLORY, 1, cells, added=9), cells))
    assert set(held.refused) <= {"cell", "decode"}
    assert held.refused.total() == 1
    assert everything(held) == before
    for what in ("count", "mean", "covariance"):
        assert answer(cluster.nodes["n1"], Query(statistic="latency", what=what)).count == 6
    good = {"latency": latency(5.0)}
    assert held.join(*sealed(head_of(MALLORY, 2, good), good))


def test_products_beyond_what_the_squares_allow_are_refused():
    plane = MomentsSchema(
        name="plane",
        features=[Feature(name=name, low=0.0, high=8.0, scale_bits=0) for name in ("width", "height")],
    )
    known = roster(3, statistics=[plane])
    genuine = plane.statistic.total(plane.statistic.lift(np.array([[1.0, 1.0], [3.0, 3.0]])))
    for product, right in ((10, True), (11, False), (6, True), (5, False)):
        held = replica("n1", known)
        products = digits.from_ints([10, product, 10], genuine.products.shape[-1])
        cells = {"plane": encode(dataclasses.replace(genuine, products=products))}
        assert held.join(*sealed(head_of(MALLORY, 1, cells), cells)) == right
        assert held.refused == ({} if right else {"cell": 1})


@pytest.mark.parametrize(
    "cells",
    [
        {"latency": latency(0.0)},
        {"latency": latency(1000.0)},
        {"latency": latency(0.0, 1000.0, 333.3)},
        {"trust\x1fa\x1fb": trust(8.0)},
        {"trust\x1fa\x1fb": trust(-8.0, 8.0, 1e-300)},
        {},
    ],
)
def test_cells_at_the_ends_of_the_range_are_taken(cells):
    held = victim()
    assert held.join(*sealed(head_of(MALLORY, 1, cells), cells))
    assert not held.refused


ABSURD = {
    "negative version": (1, -1),
    "huge version": (1, 2**63),
    "negative base": (2, -1),
    "huge base": (2, 2**63),
    "frontier beyond its counter": (3, [-1, 1, 0, False, 1, 0]),
    "negative frontier": (3, [51, 1, 0, False, 1, 0]),
    "negative additions": (3, [0, -1, 0, False, 1, 0]),
    "huge additions": (3, [0, 2**63, 0, False, 1, 0]),
    "negative removals": (3, [0, 1, -1, False, 1, 0]),
    "huge roster": (3, [0, 1, 0, False, 2**64 - 1, 0]),
    "negative roster": (3, [0, 1, 0, False, -5, 0]),
    "negative token": (3, [0, 1, 0, False, 1, 7]),
    "token beyond its key's": (3, [0, 1, 0, False, 1, -(2**63)]),
}


@pytest.mark.parametrize(("place", "value"), ABSURD.values(), ids=ABSURD)
def test_numbers_that_no_node_has_are_refused_whoever_signs_them(place, value):
    held = victim()
    before = everything(held)
    tree = msgspec.msgpack.decode(messages.encode(carried(sealed(head_of(MALLORY, 1, {}), {}))))
    tree[4][0][place] = value
    refused: Counter[str] = Counter()
    take(held, pack(tree), refused)
    assert refused + held.refused == {"malformed": 1}
    assert everything(held) == before


@pytest.mark.parametrize("counter", [2**62 + 1, 2**63, 2**64 - 1])
def test_a_counter_that_no_node_has_is_refused(counter):
    held = victim()
    before = everything(held)
    refused: Counter[str] = Counter()
    take(held, pack_row(head_of(Incarnation("n3", counter, 1), 1, {})), refused)
    assert refused == {"malformed": 1}
    assert everything(held) == before


def pack_row(head: Head) -> bytes:
    """A row in a message."""
    return messages.encode(carried(sealed(head, {})))


def test_the_largest_numbers_that_are_taken_can_be_passed_on():
    largest = Incarnation("n3", 2**62, 2**64 - 1)
    head = head_of(largest, 2**62, {}, added=2**62, removed=2**62, roster=2**62, issued=2**62)
    held = victim()
    take(held, pack_row(head), Counter())
    assert held.table[largest].head == head
    others = [replica("n2", ROSTER, counter=9), replica("n3", ROSTER, counter=60)]
    converge(held, *others, rounds=1)
    assert all(other.table[largest].head == head for other in others)
    assert answerable(held)


def answerable(held: Replica) -> bool:
    """Whether totals, digests and prints can still be made."""
    gossip.push(held, {}, 1200)
    return len(held.digest()) == 64 and int(held.total("latency").count) >= 0


def two_echoes() -> Sent:
    """A row that names two tokens of one incarnation."""
    issuer = Incarnation("n2", 1, 0)
    head = head_of(MALLORY, 1, {}, echoes=((issuer, 5), (issuer, 6)))
    keys = [Key("n3", 50, 7, head.issued), Key("n2", 1, 0, 5), Key("n2", 1, 0, 6)]
    update = Dictionary([(head.key, head.issued)]).update(
        head_of(MALLORY, 1, {}), 0, {}, signing_key("n3").sign(head.body("tests"))
    )
    return msgspec.structs.replace(update, echoes=b"\0\1\1"), keys


def test_two_echoes_of_one_incarnation_are_refused_since_nobody_could_pass_them_on():
    held = victim()
    assert not held.join(*two_echoes())
    assert held.refused == {"malformed": 1}


def test_a_member_can_echo_tokens_that_nobody_issued_and_seems_no_younger_by_them():
    held = victim()
    own = held.key
    strange = Incarnation("n1", 4, 0), Incarnation("n1", 5, 1), Incarnation("n9", 1, 1)
    for issuer in strange:
        held.join(*sealed(head_of(MALLORY, strange.index(issuer) + 1, {}, echoes=((issuer, 100),)), {}))
        assert held.age("n3", 100) == float("inf")
    held.join(*sealed(head_of(MALLORY, 9, {}, echoes=((own, 10**9),)), {}))
    assert held.age("n3", 100) == float("inf")
    held.join(*sealed(head_of(MALLORY, 10, {}, echoes=((own, 60),)), {}))
    assert held.age("n3", 100) == pytest.approx(0.041)


def test_a_member_speaks_for_no_others_clock():
    held = victim()
    held.tokens.clear()
    held.join(*sealed(head_of(MALLORY, 1, {}, issued=3, echoes=((Incarnation("n2", 1, 0), 10**9),)), {}))
    assert held.tokens == {"n3": (MALLORY, 3)}


def test_a_member_takes_in_no_rows_but_its_own():
    held = victim()
    before = {key for key in held.table if key.node != "n3"}
    held.join(*sealed(head_of(Incarnation("n3", 2**40, 1), 1, {}), {}))
    assert {key for key in held.table if key.node != "n3"} == before
    assert [key.counter for key in held.table if key.node == "n3"] == [2**40]


def test_a_hostile_member_is_heard_alike_by_all():
    nodes = [victim(), replica("n2", ROSTER, counter=9), replica("n3", ROSTER, counter=1)]
    for place, node in enumerate(nodes):
        cells = {"latency": latency(float(place))}
        node.join(*sealed(head_of(MALLORY, 4, cells), cells))
        bad = {"latency": b"\xff"}
        node.join(*sealed(head_of(MALLORY, 5 + place, bad), bad))
    converge(*nodes)
    assert all(node.excluded == {"n3"} for node in nodes)
    assert len({node.digest() for node in nodes}) == 1
    assert sent(nodes[0])[0].version == 1
