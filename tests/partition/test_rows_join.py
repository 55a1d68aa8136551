"""Joining rows is idempotent, commutative, associative and monotone, in bits, and no relay can forge one."""

from dataclasses import dataclass, field
from functools import cache

from cluster_of_replicas import (
    Sent,
    everything,
    exchange,
    latency,
    replica,
    roster,
    sent,
    table,
    trust,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_jax.partition.rows.content import evidence_key
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.row import Head, Incarnation

ROSTER = roster(3)
NAMES = ("latency", evidence_key("trust", "ann", "eye"), evidence_key("trust", "bob", "eye"))


@dataclass
class Told:
    """What was published by some nodes: every version, whole, and as changes since earlier ones."""

    heads: dict[tuple[Incarnation, int], bytes] = field(default_factory=dict)
    newest: dict[Incarnation, tuple[Head, dict[str, bytes]]] = field(default_factory=dict)
    whole: list[Sent] = field(default_factory=list)
    deltas: list[Sent] = field(default_factory=list)

    def publish(
        self, writer: Replica, changes, now: int, counted: int, frontier: int | None, back: int
    ) -> None:
        """Let a writer seal a version, and keep it in every form."""
        head = writer.publish(changes, now=now, added=counted, removed=0, frontier=frontier)
        self.heads[head.key, head.version] = head.body("tests")
        self.newest[head.key] = head, {name: writer.own.cells.get(name) for name in writer.own.cells}
        self.whole.append(sent(writer))
        if head.version > back > 0:
            self.deltas.append(sent(writer, base=head.version - back))

    def expected(self) -> dict[Incarnation, tuple[bytes, dict[str, bytes]]]:
        """The table of whoever has heard everything: the newest of each row that no later one took in."""
        return {
            key: (head.body("tests"), cells)
            for key, (head, cells) in self.newest.items()
            if not any(
                other.node == key.node and key.counter < later.frontier
                for other, (later, _) in self.newest.items()
            )
        }


CELLS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([b"", b"1", b"2", b"3"]), max_size=2)
VERSIONS = st.lists(st.tuples(CELLS, st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=4)
RUNS = st.lists(st.tuples(VERSIONS, st.booleans()), min_size=1, max_size=3)
STORIES = st.fixed_dictionaries(dict.fromkeys(("n1", "n2"), RUNS))


@cache
def cell(name: str, kind: bytes) -> bytes:
    """A state for a drawn kind; nothing for no kind."""
    values = [float(digit) for digit in kind.decode()]
    if not values:
        return b""
    return latency(*values) if name == "latency" else trust(*values)


def tell(story) -> Told:
    """Nodes that run, restart, read their rows back or not, and publish."""
    told = Told()
    for node, runs in story.items():
        content: dict[str, bytes] = {}
        counted = 0
        for counter, (versions, restored) in enumerate(runs, 1):
            writer = replica(node, ROSTER, counter, nonce=counter * 7)
            started = dict(content)
            for step, (kinds, added, back) in enumerate(versions):
                counted += added
                changes = {name: cell(name, kind) for name, kind in kinds.items()}
                content = {name: data for name, data in {**content, **changes}.items() if data}
                if step == 0 and not restored:
                    changes = content
                if restored and step < len(versions) - 1:  # nothing is said while rows are read back
                    told.publish(writer, {}, step, 0, 0, back)
                    continue
                told.publish(writer, changes if step else started | changes, step, counted, None, back)
                if restored:
                    content = {name: writer.own.cells.get(name) for name in writer.own.cells}
    return told


def reader(*rows: Sent, counter: int = 1) -> Replica:
    """A replica of the third node that took rows in this order."""
    held = replica("n3", ROSTER, counter)
    for row in rows:
        held.join(*row)
    return held


@settings(max_examples=30)
@given(STORIES, st.randoms(use_true_random=False))
def test_whole_rows_in_any_order_and_number_give_one_table(story, draw):
    told = tell(story)
    arrivals = [*told.whole, *draw.choices(told.whole, k=len(told.whole))]
    draw.shuffle(arrivals)
    held = reader(*arrivals)
    assert table(held) == told.expected()
    assert held.digest() == reader(*told.whole).digest()
    assert not held.refused
    assert not held.conflicts


@settings(max_examples=15)
@given(STORIES, st.randoms(use_true_random=False))
def test_a_row_that_is_known_changes_nothing(story, draw):
    told = tell(story)
    held = reader(*told.whole, *told.deltas)
    before = everything(held)
    for row in draw.sample(told.whole, len(told.whole)):
        assert not held.join(*row)
    assert everything(held) == before


@settings(max_examples=20)
@given(STORIES, st.randoms(use_true_random=False))
def test_replicas_join_in_any_grouping(story, draw):
    told = tell(story)
    parts = [[], [], []]
    for row in told.whole:
        parts[draw.randrange(3)].append(row)

    def joined(first: Replica, second: Replica) -> Replica:
        exchange(first, second)
        exchange(first, second)  # whole, where changes did not fit
        return first

    a, b, c = (lambda part=part: reader(*part) for part in parts)
    left, right = joined(joined(a(), b()), c()), joined(a(), joined(b(), c()))
    swapped = joined(c(), joined(b(), a()))
    assert table(left) == table(right) == table(swapped) == told.expected()
    assert left.digest() == right.digest() == swapped.digest()


@settings(max_examples=20)
@given(STORIES, st.randoms(use_true_random=False))
def test_what_a_replica_knows_only_grows(story, draw):
    told = tell(story)
    arrivals = told.whole + told.deltas
    draw.shuffle(arrivals)
    held = reader()
    for row in arrivals:
        before = {key: known.head for key, known in held.table.items()}
        news = held.join(*row)
        after = {key: known.head for key, known in held.table.items()}
        assert news == (before != after)
        for key, head in before.items():
            followed = [other for other in after.values() if other.key.node == key.node]
            assert any(
                other.version >= head.version if other.key == key else other.frontier > key.counter
                for other in followed
            )


@settings(max_examples=40)
@given(STORIES, st.randoms(use_true_random=False))
def test_changes_in_any_order_lead_to_nothing_that_was_not_signed_and_then_to_everything(story, draw):
    told = tell(story)
    arrivals = told.whole + told.deltas * 2
    draw.shuffle(arrivals)
    held = replica("n3", ROSTER)
    for row in draw.sample(arrivals, len(arrivals) * 2 // 3):
        held.join(*row)
        for key, known in held.table.items():
            assert known.head.body("tests") == told.heads[key, known.head.version]
            assert known.cells.digest == known.head.digest
    assert not held.conflicts
    assert not held.refused
    full = reader(*told.whole)
    exchange(held, full)
    exchange(held, full)
    assert table(held) == table(full) == told.expected()
    assert held.digest() == full.digest()
    assert not held.wanted_whole


@settings(max_examples=20)
@given(STORIES, st.randoms(use_true_random=False))
def test_totals_follow_every_row_that_comes_or_goes(story, draw):
    told = tell(story)
    values = {cell("latency", kind): float(kind.decode() or 0) for kind in (b"", b"1", b"2", b"3")}
    arrivals = told.whole + told.deltas
    draw.shuffle(arrivals)
    held = reader()
    for row in arrivals:
        held.join(*row)
        said = [values[known.cells.get("latency")] for known in held.table.values()]
        seen = held.total("latency")
        assert int(seen.count) == sum(value > 0 for value in said)
        assert int(seen.sums[0, 0]) == sum(said) * 2**10


def test_the_digest_is_of_what_was_said_in_whatever_versions_and_incarnations():
    first = replica("n1", ROSTER, 1)
    first.publish({"latency": latency(1.0)}, now=1, added=1, removed=0)
    second = replica("n1", ROSTER, 2)
    second.publish({"latency": latency(2.0)}, now=1, added=1, removed=0, frontier=0)
    apart = reader(sent(first), sent(second))
    assert len(apart.table) == 2
    third = replica("n1", ROSTER, 3)
    third.publish({"latency": latency(2.0)}, now=5, added=1, removed=0)
    third.publish({"latency": latency(1.0, 2.0)}, now=9, added=2, removed=0)
    together = reader(sent(third))
    assert len(together.table) == 1
    assert apart.digest() == together.digest() != reader(sent(first)).digest()
    silent = replica("n2", ROSTER)
    silent.publish({}, now=1, added=0, removed=0)
    assert reader(sent(third), sent(silent)).digest() == together.digest()
