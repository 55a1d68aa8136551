"""A roster is one signed file: read as it was written, checked by path, and only ever newer."""

import msgspec
import numpy as np
import pytest
from cluster_of_replicas import (
    LATENCY,
    TRUST,
    members_with,
    public,
    replica,
    roster,
    signed,
    signing_key,
    successor,
)
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.errors import InputError
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.roster import Feature, SignedRoster, body, check, decode, encode, newer

FIRST = roster(3)


def as_json(**changes) -> bytes:
    """The first roster as JSON with parts of it replaced, by path."""
    made = msgspec.json.decode(encode(FIRST))
    for path, value in changes.items():
        place = made["roster"]
        *way, last = path.split("__")
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value
    return msgspec.json.encode(made)


def test_a_roster_survives_its_file_and_its_signature_with_it():
    again = decode(encode(FIRST))
    assert again == FIRST
    assert again.signed_by(public("authority"))
    assert encode(FIRST).endswith(b"}\n")
    assert encode(FIRST).count(b"\n") > 10


@given(st.data())
def test_no_roster_but_the_one_that_was_signed_bears_the_signature(data):
    text = bytearray(body(FIRST.roster))
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    try:
        other = msgspec.json.decode(bytes(text[len(b"convergence roster 1\n") :]), type=type(FIRST.roster))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert other == FIRST.roster or not SignedRoster(other, FIRST.signature).signed_by(public("authority"))


@pytest.mark.parametrize("signature", ["", "00", "zz", FIRST.signature[:-2], FIRST.signature + "00"])
def test_a_signature_of_another_form_is_no_signature(signature):
    assert not SignedRoster(FIRST.roster, signature).signed_by(public("authority"))


@pytest.mark.parametrize("authority", ["", "00", "zz", public("n1"), public("authority")[:-2]])
def test_nobody_but_the_authority_signed_it(authority):
    assert not FIRST.signed_by(authority)


def test_a_roster_and_a_row_never_bear_each_others_signatures():
    assert not FIRST.roster.verify("n1", body(FIRST.roster), bytes.fromhex(FIRST.signature))
    keyed = roster(members_with(FIRST, "n1", keys=[public("authority")]))
    assert keyed.roster.verify("n1", body(FIRST.roster), bytes.fromhex(FIRST.signature))
    assert not body(FIRST.roster).startswith(b"convergence row")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"members": []}, "members"),
        ({"statistics": []}, "statistics"),
        ({"drift_ppm": -1.0}, "drift_ppm"),
        ({"drift_ppm": 1e6}, "drift_ppm"),
        ({"version": 0}, "version"),
        ({"version": 2**63}, "version"),
        ({"members__1__name": "n1"}, r"members\[1\]\.name"),
        ({"members__1__name": "N1"}, r"members\[1\]\.name"),
        ({"members__1__name": "a\x1fb"}, r"members\[1\]\.name"),
        ({"members__2__burst": 0.5}, r"members\[2\]\.burst"),
        ({"members__2__rate": -1}, r"members\[2\]\.rate"),
        ({"members__2__rate": 1e300}, r"members\[2\]\.rate"),
        ({"members__2__remove_burst": -1}, r"members\[2\]\.remove_burst"),
        ({"members__0__keys": ["00"]}, r"members\[0\]\.keys"),
        ({"members__0__keys": ["Z" * 64]}, r"members\[0\]\.keys"),
        ({"statistics__0__name": "a\x1fb"}, r"statistics\[0\]\.name"),
        ({"statistics__1__name": "latency"}, r"statistics\[1\]\.name"),
        ({"statistics__0__features": []}, r"statistics\[0\]\.features"),
        ({"statistics__0__features__0__low": 2000.0}, r"statistics\[0\]\.features\[0\]\.low"),
        ({"statistics__0__features__0__scale_bits": 60}, r"statistics\[0\]"),
        ({"statistics__0__features__0__scale_bits": -5000}, r"statistics\[0\]"),
        ({"statistics__0__features__0__scale_bits": 2**70}, r"statistics\[0\]"),
        ({"statistics__0__features__0__high": 1e308}, r"statistics\[0\]"),
        ({"statistics__1__low": -1.7e308}, r"statistics\[1\]"),
        ({"statistics__1__agent_burst": 0.0}, r"statistics\[1\]\.agent_burst"),
        ({"statistics__0__window_seconds": 0.0}, r"statistics\[0\]\.window_seconds"),
        ({"members__0__extra": 1}, r"members\[0\]|members\[\.\.\.\]"),
        ({"members__0__rate": "much"}, r"members\[0\]|members\[\.\.\.\]"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_roster_is_named_by_its_path_in_one_line(changes, path):
    with pytest.raises(InputError, match=path) as caught:
        decode(as_json(**changes), "roster.json")
    assert str(caught.value).startswith("roster.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("drift_ppm", [0.0, 0.5, 99_999.0])
def test_clocks_may_drift_by_any_share_below_a_tenth(drift_ppm):
    check(roster(3, drift_ppm=drift_ppm).roster)
    with pytest.raises(InputError, match="drift_ppm"):
        check(roster(3, drift_ppm=1e5).roster)


def test_a_window_needs_members_who_may_take_back():
    windowed = msgspec.structs.replace(LATENCY, window_seconds=5.0)
    check(roster(3, statistics=[windowed, TRUST]).roster)
    without = members_with(FIRST, "n2", remove_rate=0.0)
    with pytest.raises(InputError, match=r"members\[1\]\.remove_rate.*latency"):
        check(roster(without, statistics=[windowed]).roster)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_that_are_no_roster_raise_nothing_but_an_input_error(data):
    with pytest.raises(InputError):
        decode(data)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "data",
    [
        DEEP,
        b'{"roster":' + DEEP + b"}",
        encode(FIRST).replace(b'"kind": "moments"', b'"x": ' + DEEP + b', "kind": "moments"'),
    ],
    ids=["bare", "as the roster", "before a kind"],
)
def test_deep_nesting_is_refused_like_anything_else(data):
    with pytest.raises(InputError):
        decode(data)


def test_ticks_enclose_every_value_of_the_range():
    for low, high, bits in ((-0.3, 0.7, 3), (0.0, 1000.0, 10), (-2.5, -2.5, 0), (-1e6, 1e6, -4)):
        feature = Feature(name="x", low=low, high=high, scale_bits=bits)
        least, most = feature.ticks
        for value in (low, (low + high) / 2, high):
            ticks, kept = feature.lift.lift(np.float64(value))
            assert kept
            assert least <= int(ticks) <= most


# Which roster takes the place of which


def test_only_a_higher_version_by_the_authority_named_before_is_news():
    assert newer(FIRST, successor(FIRST)) == "news"
    assert newer(FIRST, successor(FIRST, version=5)) == "news"
    assert newer(FIRST, FIRST) == "old"
    assert newer(successor(FIRST), FIRST) == "old"
    assert newer(FIRST, successor(FIRST, signer="n1")) == "refused"
    assert newer(FIRST, successor(FIRST, cluster="others")) == "refused"
    assert newer(FIRST, SignedRoster(successor(FIRST).roster, FIRST.signature)) == "refused"


def test_a_roster_that_names_another_authority_is_signed_by_the_former_one():
    handed = successor(FIRST, authority=public("heir"))
    assert newer(FIRST, handed) == "news"
    assert newer(FIRST, signed(handed.roster, "heir")) == "refused"
    assert newer(handed, successor(handed, "heir")) == "news"
    assert newer(handed, successor(handed, "authority")) == "refused"


def test_any_of_a_members_keys_signs_and_no_other_key_does():
    both = roster(members_with(FIRST, "n1", keys=[public("n1"), public("n1 later")])).roster
    for name, right in (("n1", True), ("n1 later", True), ("n2", False), ("authority", False)):
        assert both.verify("n1", b"text", signing_key(name).sign(b"text")) == right
    assert not both.verify("n9", b"text", signing_key("n1").sign(b"text"))
    assert not both.verify("n1", b"text", b"")


def test_a_roster_that_a_peer_sends_is_checked_before_it_is_believed():
    message = messages.News(messages.FORMAT, b"", [], [], [], [])
    held = replica("n1", FIRST)
    for text in (DEEP, as_json(statistics__0__features__0__scale_bits=-5000), b"", b"{}", as_json(version=2)):
        gossip.receive(held, msgspec.structs.replace(message, roster=text))
    assert held.roster == FIRST.roster
    assert held.refused["roster"] == 4
