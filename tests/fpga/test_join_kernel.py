"""Rows joined in OpenCL: a lattice in bits, what a pure oracle says, and what replicas end with."""

import itertools
from functools import cache, reduce

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_jax.fpga.host import Host
from convergence_jax.fpga.join import DIGEST_WORDS, Rows, join, no_rows
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.messages import Dictionary
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.roster import Feature, Member, MomentsSchema, Roster, SignedRoster
from convergence_jax.partition.rows.row import Incarnation

WORDS, SLOTS = 3, 8
CONFLICT = "conflict"
VERSIONS = (1, 2, 3, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
DIGESTS = ((0, 0, 0, 0), *(tuple(place * (k == j) for j in range(DIGEST_WORDS))
                           for k in range(DIGEST_WORDS) for place in (1, 1 << 63)))  # fmt: skip

Held = tuple[int, tuple[int, ...]] | str | None
"""What a slot holds: a version and its digest, a conflict, or nothing."""


def oracle(one: Held, other: Held) -> Held:
    """The join of two slots."""
    if CONFLICT in (one, other):
        return CONFLICT
    if one is None or other is None:
        return other if one is None else one
    if one[0] == other[0] and one != other:
        return CONFLICT
    return max(one, other)


def payload(version: int, digest: tuple[int, ...], words: int) -> list[int]:
    """What a writer says under a digest."""
    return [hash((version, digest, k)) % (1 << 64) for k in range(words)]


def rows(slots: list[Held], words: int = WORDS) -> Rows:
    """A table of them."""
    table = no_rows(len(slots), words)
    for i, held in enumerate(slots):
        if isinstance(held, tuple):
            table.version[i], table.digest[i] = held
            table.payload[i] = payload(*held, words)
        table.conflict[i] = held == CONFLICT
    return table


def bits(table: Rows) -> list[tuple[str, tuple[int, ...], bytes]]:
    arrays = (table.version, table.digest, table.payload, table.conflict)
    return [(str(x.dtype), x.shape, x.tobytes()) for x in arrays]


def contradict(one: Held, other: Held) -> bool:
    return isinstance(one, tuple) and isinstance(other, tuple) and one[0] == other[0] and one != other


def fork_below(*slots: Held) -> bool:
    """Whether two of three contradict each other under an earlier version than the third's."""
    return any(
        contradict(a, b) and isinstance(c, tuple) and c[0] > a[0]
        for a, b, c in itertools.permutations(slots, 3)
    )


ROW = st.tuples(st.sampled_from(VERSIONS), st.sampled_from(DIGESTS))
SLOT = st.one_of(ROW, st.tuples(st.just(2), st.sampled_from(DIGESTS[:2])), st.just(CONFLICT), st.none())
TABLE = st.lists(SLOT, min_size=SLOTS, max_size=SLOTS)
TRIPLES = st.lists(st.tuples(SLOT, SLOT, SLOT), min_size=SLOTS, max_size=SLOTS)


# The kernel


@given(TABLE, TABLE, st.sampled_from([0, 1, WORDS, 17]))
def test_a_join_is_what_the_oracle_says(host, a, b, words):
    wanted = rows([oracle(one, other) for one, other in zip(a, b, strict=True)], words)
    assert bits(join(host, rows(a, words), rows(b, words))) == bits(wanted)


def test_every_pair_of_slots_joins_as_the_oracle_says(host):
    every = [None, CONFLICT, *itertools.product(VERSIONS, DIGESTS)]
    left, right = zip(*itertools.product(every, every), strict=True)
    wanted = rows([oracle(*pair) for pair in zip(left, right, strict=True)])
    assert bits(join(host, rows(list(left)), rows(list(right)))) == bits(wanted)


@pytest.mark.parametrize("slots", [0, 1, 5, 1_003])
def test_tables_of_any_length_are_joined(slots, host):
    rng = np.random.default_rng(slots)
    tables = [
        [(int(v), DIGESTS[d]) for v, d in zip(*rng.integers(1, 4, (2, slots)), strict=True)] for _ in range(2)
    ]
    found = join(host, *map(rows, tables))
    assert bits(found) == bits(rows([oracle(*pair) for pair in zip(*tables, strict=True)]))
    assert len(found) == slots


@given(TABLE, TABLE)
def test_a_join_is_idempotent_commutative_and_above_what_went_in(host, a, b):
    one, other = rows(a), rows(b)
    both = join(host, one, other)
    assert bits(join(host, one, one)) == bits(one)
    assert bits(join(host, other, one)) == bits(both)
    assert bits(join(host, one, both)) == bits(join(host, other, both)) == bits(both)


@given(TABLE)
def test_nothing_is_the_identity_and_a_conflict_absorbs(host, a):
    one, conflicts = rows(a), rows([CONFLICT] * SLOTS)
    assert bits(join(host, one, no_rows(SLOTS, WORDS))) == bits(one)
    assert bits(join(host, one, conflicts)) == bits(conflicts)


@given(TRIPLES)
def test_a_join_is_associative_unless_a_fork_lies_under_a_later_version(host, triples):
    triples = [(None, None, None) if fork_below(*slots) else slots for slots in triples]
    a, b, c = (rows(list(slots)) for slots in zip(*triples, strict=True))
    assert bits(join(host, join(host, a, b), c)) == bits(join(host, a, join(host, b, c)))


@given(TRIPLES)
def test_a_join_is_monotone_unless_a_fork_lies_under_a_later_version(host, triples):
    triples = [(None, None, None) if fork_below(*slots) else slots for slots in triples]
    low, more, other = (rows(list(slots)) for slots in zip(*triples, strict=True))
    above = join(host, join(host, low, more), other)
    assert bits(join(host, join(host, low, other), above)) == bits(above)


# Replicas, which join the same rows

LATENCY = MomentsSchema(name="latency", features=[Feature(name="delay", low=0.0, high=1000.0)])
NODES = ("n1", "n2", "n3")
KEYS = [Incarnation(node, 1, 0) for node in NODES]
LAST = 3
ARRIVALS = st.lists(
    st.tuples(st.integers(0, len(KEYS) - 1), st.integers(1, LAST), st.integers(0, 2)), max_size=9
)
"""A writer, a version and which of its copies sealed it; copies 0 and 1 say the same in version 1."""


@cache
def signed_roster() -> SignedRoster:
    caps = {"rate": 1e6, "burst": 1e6, "remove_rate": 1e6, "remove_burst": 1e6}
    members = [Member(name=n, keys=["00" * 32], address="127.0.0.1:1", **caps) for n in (*NODES, "reader")]
    roster = Roster(version=1, members=members, cluster="tests", authority="00" * 32, statistics=[LATENCY])
    return SignedRoster(roster, "")


def replica(key: Incarnation) -> Replica:
    """An empty one that signs nothing and trusts everything."""
    return Replica(signed_roster(), key, sign=lambda body: b"", verify=lambda *signed: True)


def sent(held: Replica, key: Incarnation):
    """A whole row as it would be sent."""
    row = held.table[key]
    dictionary = Dictionary([(key, row.head.issued), *row.head.echoes])
    return dictionary.update(row.head, 0, row.cells.since(0), b""), dictionary.keys


@cache
def history() -> dict:
    """What each copy of each writer seals: the update, and the row as it stands then."""
    made = {}
    for slot, key in enumerate(KEYS):
        for copy in range(3):
            writer = replica(key)
            for version in range(1, LAST + 1):
                said = 10.0 * version + (copy if version > 1 or copy == 2 else 0)
                stat = LATENCY.statistic
                cell = encode(stat.total(stat.lift(np.array([[said], [float(slot)]]))))
                writer.publish({"latency": cell}, now=version, added=2 * version, removed=0)
                made[slot, version, copy] = sent(writer, key), table_of(writer)
    return made


def table_of(held: Replica) -> Rows:
    """Versions, marks and conflicts of a replica; the payload is the digest of the cells."""
    table = no_rows(len(KEYS), 4)
    for i, key in enumerate(KEYS):
        if key in held.conflicts:
            table.conflict[i] = True
        elif key in held.table:
            row = held.table[key]
            table.version[i] = row.head.version
            table.digest[i] = np.frombuffer(row.mark, "<u8")
            table.payload[i] = np.frombuffer(row.head.digest, "<u8")
    return table


def told(arrivals) -> Replica:
    held = replica(Incarnation("reader", 1, 0))
    for arrival in arrivals:
        held.join(*history()[arrival][0])
    assert not held.refused
    return held


def kernel_table(host: Host, arrivals) -> Rows:
    empty = no_rows(len(KEYS), 4)
    return reduce(lambda table, arrival: join(host, table, history()[arrival][1]), arrivals, empty)


@given(ARRIVALS)
@example([(0, 2, 0), (0, 2, 1), (0, 3, 0)])  # a fork that is seen
@example([(0, 2, 0), (0, 3, 0), (0, 2, 1)])  # one that comes too late
@example([(0, 1, 0), (0, 1, 1), (1, 1, 0), (1, 1, 2)])
def test_a_replica_ends_with_what_the_kernel_makes_of_the_same_arrivals(host, arrivals):
    assert bits(table_of(told(arrivals))) == bits(kernel_table(host, arrivals))


@given(ARRIVALS, ARRIVALS)
def test_replicas_that_hear_of_each_other_end_with_the_join_of_their_tables(host, here, there):
    first, second = told(here), told(there)
    wanted = join(host, table_of(first), table_of(second))
    for held, other in ((second, first), (first, second)):
        for key, proof in other.conflicts.items():
            held.join_conflict(proof)
            assert key in held.conflicts
        for key in other.table:
            held.join(*sent(other, key))
    assert bits(table_of(first)) == bits(table_of(second)) == bits(wanted)


def test_neither_kernel_nor_replica_sees_a_fork_whose_sides_each_meet_a_later_version_first(host):
    one, other, later = (0, 2, 0), (0, 2, 1), (0, 3, 0)
    seen = [one, other, later]
    assert table_of(told(seen)).conflict[0]
    assert kernel_table(host, seen).conflict[0]
    for unseen in ([one, later, other], [later, one, other], [later, other, one]):
        assert not table_of(told(unseen)).conflict.any()
        assert bits(table_of(told(unseen))) == bits(kernel_table(host, unseen)) == bits(history()[later][1])


# What is refused


def changed(**fields) -> dict:
    table = rows([(2, DIGESTS[1]), None, CONFLICT])
    kept = {name: getattr(table, name) for name in ("version", "digest", "payload", "conflict")}
    return {**kept, **fields}


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"version": np.zeros(3, np.int64)}, TypeError, "version must be uint64, got int64"),
        ({"conflict": np.zeros(3, np.uint8)}, TypeError, "conflict must be bool"),
        ({"digest": np.zeros((3, 3), np.uint64)}, ValueError, r"digest must have the shape \(3, 4\)"),
        ({"payload": np.zeros(3, np.uint64)}, ValueError, "payload must have the shape"),
        ({"conflict": np.zeros(2, np.bool_)}, ValueError, r"conflict must have the shape \(3,\)"),
        ({"version": np.zeros(3, np.uint64)}, ValueError, "must be zero in all else"),
        ({"version": np.ones(3, np.uint64)}, ValueError, "must be zero in all else"),
        ({"payload": np.ones((3, 1), np.uint64)}, ValueError, "must be zero in all else"),
    ],
)
def test_tables_of_other_types_and_shapes_and_second_patterns_are_refused(fields, error, said):
    with pytest.raises(error, match=said):
        Rows(**changed(**fields))


@pytest.mark.parametrize("other", [no_rows(2, WORDS), no_rows(3, 1)], ids=["slots", "words"])
def test_tables_that_differ_in_slots_or_words_are_refused(other, host):
    with pytest.raises(ValueError, match="differ"):
        join(host, no_rows(3, WORDS), other)
