"""The digest of cells depends on what they hold alone, and they know what changed since when."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.partition.rows.cells import Cells

KEYS = st.sampled_from([f"agent {i}" for i in range(12)])
CHANGES = st.dictionaries(KEYS, st.binary(max_size=2), max_size=5)
HISTORIES = st.lists(CHANGES, max_size=8)


def made(*changes) -> Cells:
    """Cells after changes, one version each."""
    cells = Cells()
    for version, change in enumerate(changes, 1):
        cells.apply(cells.patch(change), version)
    return cells


def held(cells: Cells) -> dict[str, bytes]:
    """What cells hold."""
    return {key: cells.get(key) for key in cells}


def expected(changes) -> dict[str, bytes]:
    """What they should hold, by dictionaries alone."""
    whole: dict[str, bytes] = {}
    for change in changes:
        whole.update(change)
    return {key: data for key, data in whole.items() if data}


def digest_of(content: dict[str, bytes]) -> bytes:
    """The digest that the module's text describes, over everything, at once."""
    buckets: dict[int, list[str]] = {}
    for key in sorted(content):
        place = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=2).digest(), "little") & 0xFFF
        buckets.setdefault(place, []).append(key)
    root = b""
    for place in sorted(buckets):
        inner = b""
        for key in buckets[place]:
            name, data = key.encode(), content[key]
            inner += len(name).to_bytes(4, "little") + len(data).to_bytes(4, "little") + name + data
        root += place.to_bytes(2, "little") + hashlib.sha256(inner).digest()
    return hashlib.sha256(root).digest()


@given(HISTORIES)
def test_cells_hold_the_last_of_each_and_their_digest_has_no_history(history):
    cells = made(*history)
    content = expected(history)
    assert held(cells) == content
    assert len(cells) == len(content)
    assert cells.digest == digest_of(content) == made(content).digest
    assert all(cells.get(key) == content.get(key, b"") for change in history for key in change)


@given(HISTORIES, HISTORIES)
def test_digests_differ_where_cells_differ(one, other):
    same = expected(one) == expected(other)
    assert (made(*one).digest == made(*other).digest) == same


def test_keys_and_bytes_do_not_run_into_each_other():
    contents = [{"ab": b"c"}, {"a": b"bc"}, {"abc": b"d"}, {"ab": b"cd"}]
    assert len({made(content).digest for content in contents}) == len(contents)


@given(HISTORIES, st.data())
def test_changes_since_a_version_lead_from_there_to_here(history, data):
    base = data.draw(st.integers(0, len(history)))
    since = made(*history).since(base)
    touched = {key for change in history[base:] for key in change}
    assert since.keys() <= touched
    behind = made(*history[:base])
    behind.apply(behind.patch(since), len(history))
    assert held(behind) == expected(history)
    assert behind.digest == made(*history).digest


@given(HISTORIES)
def test_everything_since_the_start_is_what_is_there(history):
    assert made(*history).since(0) == expected(history)


@given(HISTORIES)
def test_a_cell_that_was_set_to_what_it_was_did_not_change(history):
    cells = made(*history)
    patch = cells.patch(held(cells))
    assert patch.changes == {}
    assert patch.digest == cells.digest
    cells.apply(patch, len(history) + 1)
    assert cells.since(len(history)) == {}


@given(HISTORIES, CHANGES, st.booleans())
def test_a_patch_foretells_what_applying_it_does_and_changes_nothing_itself(history, change, whole):
    cells = made(*history)
    before = held(cells), cells.digest, [cells.since(version) for version in range(len(history) + 1)]
    patch = cells.patch(change, whole=whole)
    assert before == (
        held(cells),
        cells.digest,
        [cells.since(version) for version in range(len(history) + 1)],
    )
    cells.apply(patch, len(history) + 1)
    content = expected([change]) if whole else expected([*history, change])
    assert held(cells) == content
    assert cells.digest == patch.digest == digest_of(content)
    assert cells.since(len(history)) == patch.changes


@given(HISTORIES, CHANGES)
def test_deleted_cells_are_named_in_the_changes(history, change):
    cells = made(*history)
    gone = set(cells) - set(expected([change]))
    cells.apply(cells.patch(change, whole=True), len(history) + 1)
    assert {key for key, data in cells.since(len(history)).items() if not data} == gone


def test_a_change_among_many_cells_touches_one_bucket():
    cells = made({f"agent {i}": b"x" for i in range(10_000)})
    patch = cells.patch({"agent 7": b"y"})
    assert list(patch.changes) == ["agent 7"]
    assert len(patch.hashes) == 1
    cells.apply(patch, 2)
    assert cells.since(1) == {"agent 7": b"y"}
