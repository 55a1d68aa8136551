"""Two versions under one number count nowhere, are proof for ever, and are found wherever they lie."""

import hashlib
import itertools

import msgspec
import pytest
from cluster_of_replicas import (
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
    signed,
    signing_key,
    successor,
    table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import Lifted
from convergence_jax.partition.rows.row import Conflict, Incarnation, conflict

ROSTER = roster(4)
KEY = Incarnation("n1", 1, 0)
ONE, OTHER = {"latency": latency(1.0)}, {"latency": latency(2.0)}


def fork(version: int, cells, **other):
    """A version of the first node's row, as a copy of the node would seal it too."""
    return sealed(head_of(KEY, version, cells, added=version, **other), cells)


def held_by(node: str, *rows) -> Replica:
    """A replica that took rows."""
    made = replica(node, ROSTER)
    for row in rows:
        made.join(*row)
    return made


def quiet(node: str) -> Replica:
    """A replica that counts one observation of its own."""
    made = replica(node, ROSTER)
    made.publish(ONE, now=1, added=1, removed=0)
    return made


def test_two_versions_under_one_number_exclude_their_node():
    honest = quiet("n2")
    held = held_by("n3", fork(4, ONE), sent(honest))
    assert int(held.total("latency").count) == 2
    assert held.join(*fork(4, OTHER))
    assert held.excluded == {"n1"}
    assert int(held.total("latency").count) == 1
    assert [row.head.key.node for row in held.rows()] == ["n2"]
    proof = held.conflicts[KEY]
    assert {proof.first, proof.second} == {head_of(KEY, 4, c, added=4).body("tests") for c in (ONE, OTHER)}
    assert held.digest() != held_by("n3", sent(honest)).digest()


@pytest.mark.parametrize("other", [{"final": True}, {"issued": 99}, {"roster": 3}, {"frontier": 0}])
def test_a_contradiction_in_anything_that_was_signed_is_one(other):
    held = held_by("n3", fork(4, ONE))
    assert held.join(*fork(4, ONE, **other))
    assert held.excluded == {"n1"}


def test_a_conflict_is_the_same_in_either_order():
    rows = [fork(4, ONE), fork(4, OTHER)]
    first, second = held_by("n3", *rows), held_by("n3", *rows[::-1])
    assert first.conflicts == second.conflicts
    assert first.digest() == second.digest()


def test_a_conflict_stays_whatever_the_node_says_afterwards():
    held = held_by("n3", fork(4, ONE), fork(4, OTHER))
    before = everything(held)
    later = replica("n1", ROSTER, 2)
    for row in (fork(4, ONE), fork(4, OTHER), fork(5, ONE), fork(9, OTHER)):
        assert not held.join(*row)
    assert everything(held) == before
    later.publish(ONE, now=1, added=1, removed=0)
    held.join(*sent(later))
    assert held.excluded == {"n1"}
    assert int(held.total("latency").count) == 0
    assert held.digest() == before[2]


def test_a_forged_second_version_is_no_contradiction():
    held = held_by("n3", fork(4, ONE))
    update, keys = fork(4, OTHER)
    assert not held.join(msgspec.structs.replace(update, signature=bytes(64)), keys)
    assert not held.join(*sealed(head_of(KEY, 4, OTHER), OTHER, key="n2"))
    assert held.refused == {"signature": 2}
    assert not held.excluded


# Proofs


def test_a_proof_convinces_whoever_never_saw_the_rows():
    held = quiet("n3")
    assert held.join_conflict(contradiction(KEY))
    assert not held.join_conflict(contradiction(KEY))
    assert held.excluded == {"n1"}
    assert not held.refused


def bodies(key=KEY, versions=(1, 1), contents=(ONE, OTHER), cluster="tests"):
    """Two signed versions."""
    made = [
        head_of(key, version, cells).body(cluster) for version, cells in zip(versions, contents, strict=True)
    ]
    return [(text, signing_key(key.node).sign(text)) for text in sorted(made)]


NO_PROOFS = {
    "one version twice": conflict(*bodies(contents=(ONE, ONE))[0], *bodies(contents=(ONE, ONE))[1]),
    "two numbers": conflict(*bodies(versions=(1, 2))[0], *bodies(versions=(1, 2))[1]),
    "another cluster": conflict(*bodies(cluster="x")[0], *bodies(cluster="x")[1]),
    "two incarnations": conflict(*bodies()[0], *bodies(Incarnation("n1", 2, 0))[1]),
    "no bodies": Conflict(b"", b"x", b"", b""),
    "wrong order": Conflict(bodies()[1][0], bodies()[0][0], bodies()[1][1], bodies()[0][1]),
    "huge numbers": contradiction(Incarnation("n1", 2**63, 0)),
}


@pytest.mark.parametrize("proof", NO_PROOFS.values(), ids=NO_PROOFS)
def test_what_proves_nothing_is_refused(proof):
    held = quiet("n3")
    before = everything(held)
    assert not held.join_conflict(proof)
    assert held.refused == {"malformed": 1}
    assert everything(held) == before


def test_a_proof_that_the_node_did_not_sign_is_refused():
    held = quiet("n3")
    right = contradiction(KEY)
    for change in (
        {"first_signature": bytes(64)},
        {"second_signature": right.first_signature},
        {"first_signature": b""},
    ):
        assert not held.join_conflict(msgspec.structs.replace(right, **change))
    assert not held.join_conflict(contradiction(KEY, signer="n2"))
    assert held.refused == {"signature": 4}
    assert not held.excluded


def test_a_proof_about_a_stranger_is_not_kept():
    held = quiet("n3")
    assert not held.join_conflict(contradiction(Incarnation("n9", 1, 0)))
    assert not held.conflicts


# How they are found and spread


def test_gossip_finds_versions_that_differ_and_tells_everybody():
    nodes = [held_by("n2", fork(4, ONE)), held_by("n3", fork(4, OTHER)), quiet("n4")]
    converge(*nodes, rounds=2)
    assert all(node.excluded == {"n1"} for node in nodes)
    assert len({node.digest() for node in nodes}) == 1


def test_a_node_hears_of_its_own_contradiction():
    itself, teller = quiet("n1"), replica("n2", ROSTER)
    teller.join_conflict(contradiction(KEY))
    exchange(itself, teller)
    assert itself.excluded == {"n1"}
    assert int(itself.total("latency").count) == 0
    itself.publish(OTHER, now=2, added=1, removed=0)
    assert gossip.digest(itself, 3, bytes(8)).conflicts == [0]


@pytest.mark.parametrize("legs", [2, 3])
def test_a_proof_travels_in_the_answer_and_in_what_is_pushed_back(legs):
    knows, other = held_by("n2"), quiet("n3")
    knows.join_conflict(contradiction(KEY))
    exchange(*((other, knows) if legs == 2 else (knows, other)), legs=legs)
    assert other.conflicts == knows.conflicts


def test_a_proof_travels_one_way_too():
    knows, other = quiet("n2"), quiet("n3")
    knows.join_conflict(contradiction(KEY))
    news = gossip.push(knows, {}, 10_000)
    assert news is not None
    gossip.receive(other, messages.decode(messages.encode(news)))
    assert other.excluded == {"n1"}


def clashing_salt(first: Replica, second: Replica) -> bytes:
    """A salt under which the two bytes of both rows' prints are one."""
    marks = [held.table[KEY].mark for held in (first, second)]
    for number in itertools.count():
        salt = number.to_bytes(8, "big")
        prints = {hashlib.blake2b(mark, key=salt, digest_size=2).digest() for mark in marks}
        if len(prints) == 1:
            return salt
    raise AssertionError


def test_prints_that_clash_under_one_salt_differ_under_the_next():
    first, second = held_by("n2", fork(4, ONE)), held_by("n3", fork(4, OTHER))
    salt = clashing_salt(first, second)
    exchange(first, second, salt=salt)
    assert not first.excluded | second.excluded
    exchange(first, second, salt=b"another.")
    assert first.excluded == second.excluded == {"n1"}


def test_equal_rows_have_equal_prints_whoever_holds_them():
    first, second = held_by("n2", fork(4, ONE)), held_by("n3", fork(4, ONE))
    assert gossip.answer(second, gossip.digest(first, 1, b"12345678")).updates == []


FORKS = st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.booleans(), st.booleans()), min_size=1, max_size=6)
HISTORY = {
    (version, side): fork(version, {"latency": latency(*range(1, version + 1), 500.0 * side)})
    for version in (2, 3)
    for side in (False, True)
} | {(1, side): fork(1, ONE) for side in (False, True)}


@settings(max_examples=60)
@given(st.lists(FORKS, min_size=3, max_size=3), st.randoms(use_true_random=False))
def test_after_gossip_all_exclude_the_same_nodes_and_hold_the_same(arrivals, draw):
    nodes = [replica(f"n{i + 2}", ROSTER) for i in range(3)]
    for node, rows in zip(nodes, arrivals, strict=True):
        for version, side, meet in rows:
            node.join(*HISTORY[version, side])
            if meet:
                exchange(*draw.sample(nodes, 2), salt=draw.randbytes(8), legs=draw.randrange(4))
    converge(*nodes)
    assert len({node.digest() for node in nodes}) == 1
    assert len({node.excluded for node in nodes}) == 1
    assert len({frozenset(node.conflicts) for node in nodes}) == 1
    if not nodes[0].excluded:
        assert table(nodes[0]) == table(nodes[1]) == table(nodes[2])


# How they are lifted


def test_only_a_signed_roster_lifts_a_conflict_and_only_for_later_incarnations():
    held = held_by("n3", fork(4, ONE), fork(4, OTHER))
    later = replica("n1", ROSTER, 2)
    later.publish({"latency": latency(5.0)}, now=1, added=1, removed=0)
    held.join(*sent(later))
    proof = held.conflicts[KEY]
    lifted = successor(ROSTER, lifted=[Lifted("n1", 1, 0)])
    assert not held.join_roster(signed(lifted.roster, "n1"))
    assert held.excluded == {"n1"}
    assert held.join_roster(lifted)
    assert held.excluded == frozenset()
    assert int(held.total("latency").count) == 1
    assert list(held.table) == [later.key]
    before = everything(held)
    assert not held.join_conflict(proof)
    assert not held.join(*fork(4, ONE))
    assert everything(held) == before


def test_lifting_one_incarnation_lifts_no_other():
    held = quiet("n3")
    held.join_conflict(contradiction(KEY))
    held.join_conflict(contradiction(Incarnation("n1", 1, 5)))
    held.join_roster(successor(ROSTER, lifted=[Lifted("n1", 1, 5)]))
    assert list(held.conflicts) == [KEY]
    assert held.excluded == {"n1"}


def test_a_lifted_conflict_does_not_come_back_from_those_who_know_no_better():
    knows, behind = held_by("n3", fork(4, ONE), fork(4, OTHER)), quiet("n2")
    exchange(behind, knows)
    knows.join_roster(successor(ROSTER, lifted=[Lifted("n1", 1, 0)]))
    exchange(knows, behind, legs=2)
    assert not knows.excluded
    exchange(behind, knows)
    assert not behind.excluded
    assert behind.digest() == held_by("n3", sent(quiet("n2"))).digest()


def test_rows_and_proofs_come_in_one_message():
    held = quiet("n3")
    message = msgspec.structs.replace(carried(sent(quiet("n2"))), conflicts=[contradiction(KEY)])
    assert gossip.receive(held, messages.decode(messages.encode(message))) == [Incarnation("n2", 1, 0)]
    assert held.excluded == {"n1"}
