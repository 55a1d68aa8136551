"""Signed datagrams arrive once, at the node they are for, and a forged one costs nothing but a count."""

import asyncio
import random
import socket
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convergence_jax.errors import InputError
from convergence_jax.transport.datagrams import MAX_BYTES, Datagrams
from convergence_jax.transport.signing import SigningKey

LOCAL = "127.0.0.1:0"
SECRETS = {"n1": bytes([1]) * 32, "n2": bytes([2]) * 32, "n3": bytes([3]) * 32}
PUBLIC = {name: [SigningKey(secret).public] for name, secret in SECRETS.items()}


def written(
    sender, receiver, payload=b"", *, kind=0, epoch=1, number=1, secret=None, version=1, magic=b"CJD"
):
    """A datagram as the format's description says, by other means than the library."""
    names = sender.encode(), receiver.encode()
    signed = magic + bytes([version, kind]) + struct.pack(">II", epoch, number)
    signed += bytes([len(names[0]), len(names[1])]) + names[0] + names[1] + payload
    key = Ed25519PrivateKey.from_private_bytes(secret or SECRETS[sender])
    return signed + key.sign(b"convergence_jax datagram\0" + signed)


class Peer:
    """A bare socket that speaks to node n1."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.to = address.host, address.port

    def send(self, data):
        self.socket.sendto(data, self.to)

    def receive(self):
        """What has come, or None."""
        try:
            return self.socket.recv(2000)
        except BlockingIOError:
            return None


def listen(body, handler=None, **options):
    """Run ``body(node, peer, seen)`` with node n1 listening."""

    async def main():
        seen = []

        def note(datagram):
            seen.append(datagram)
            return handler(datagram) if handler else None

        node = endpoint("n1", note, **options)
        peer = Peer(await node.open(LOCAL))
        try:
            return await body(node, peer, seen)
        finally:
            peer.socket.close()
            await node.close()

    return asyncio.run(main())


def endpoint(name, handler, epoch=1, **options):
    key = SigningKey(SECRETS[name])
    return Datagrams(name, key, lambda sender: PUBLIC.get(sender, []), handler, epoch=epoch, **options)


async def settle(node, count):
    """Wait until a node has dealt with as many bytes."""
    async with asyncio.timeout(10):
        while node.received < count:
            await asyncio.sleep(0.001)


def shown(datagrams, **options):
    """What node n1 makes of datagrams: the payloads it took, and the counts of those it refused."""

    async def body(node, peer, seen):
        total = 0
        for data in datagrams:
            peer.send(data)
            total += len(data)
            await settle(node, total)
        return [datagram.payload for datagram in seen], dict(node.refused)

    return listen(body, **options)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_request_arrives_and_is_answered(host):
    async def main():
        requests, answers = [], []

        def answer(datagram):
            requests.append(datagram)
            return datagram.payload[::-1]

        one, two = endpoint("n1", answer), endpoint("n2", answers.append)
        ports = [(await node.open(f"{host}:0")).port for node in (one, two)]
        await two.send("n1", f"{host}:{ports[0]}", b"abc")
        async with asyncio.timeout(5):
            while not answers:
                await asyncio.sleep(0.001)
        assert [(d.sender, d.payload, d.room) for d in requests] == [("n2", b"abc", 3)]
        assert [(d.sender, d.payload, d.room) for d in answers] == [("n1", b"cba", 0)]
        assert one.sent == two.sent == one.received == two.received == 15 + 4 + 3 + 64
        assert not one.refused
        assert not two.refused
        await one.close()
        await two.close()

    asyncio.run(main())


def test_what_is_written_by_the_description_is_read_and_the_reverse():
    assert shown([written("n2", "n1", b"hello")]) == ([b"hello"], {})

    async def body(node, peer, seen):
        await node.send("n2", f"127.0.0.1:{peer.socket.getsockname()[1]}", b"hello")
        await asyncio.sleep(0.05)
        return peer.receive()

    assert listen(body) == written("n1", "n2", b"hello")


GOOD = written("n2", "n1", b"payload")


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("size", b""),
        ("size", GOOD[:78]),
        ("size", written("n2", "n1", bytes(MAX_BYTES - len(GOOD) + 8))),
        ("format", b"XYZ" + GOOD[3:]),
        ("format", written("n2", "n1", magic=b"cjd")),
        ("format", written("n2", "n1", kind=2)),
        ("format", GOOD[:13] + b"\xff\xff" + GOOD[15:]),
        ("version", written("n2", "n1", version=2)),
        ("version", written("n2", "n1", version=0)),
        ("receiver", written("n2", "n3", b"payload")),
        ("receiver", written("n2", "")),
        ("receiver", written("n2", "n11")),
        ("sender", written("n4", "n1", secret=SECRETS["n2"])),
        ("sender", written("", "n1", secret=SECRETS["n2"])),
        ("signature", written("n2", "n1", secret=SECRETS["n3"])),
        ("signature", GOOD[:-1] + bytes([GOOD[-1] ^ 1])),
        ("signature", GOOD[:-64] + bytes(64)),
        ("signature", GOOD[:-1]),
        ("signature", GOOD + b"\0"),
    ],
)
def test_a_bad_datagram_is_counted_by_its_reason_and_dropped(reason, data):
    assert shown([data, written("n2", "n1", b"next")]) == ([b"next"], {reason: 1})


def test_the_signature_covers_every_byte_and_nothing_else_signs_alike():
    flips = []
    for position in range(len(GOOD)):
        changed = bytearray(GOOD)
        changed[position] ^= 1 + position % 255
        flips.append(bytes(changed))
    key = SigningKey(SECRETS["n2"])
    signed = GOOD[:-64]
    flips += [signed + key.sign(signed), signed + key.sign(b"convergence_jax row\0" + signed)]
    taken, refused = shown(flips)
    assert taken == []
    assert sum(refused.values()) == len(flips)


def test_a_node_may_have_several_keys_and_lose_one():
    keys = {"n2": [SigningKey(SECRETS["n3"]).public, SigningKey(SECRETS["n2"]).public]}

    async def body(node, peer, seen):
        node._keys = lambda name: keys.get(name, [])
        for number, secret in ((1, SECRETS["n2"]), (2, SECRETS["n3"])):
            peer.send(written("n2", "n1", b"k", number=number, secret=secret))
        await settle(node, 2 * (15 + 4 + 1 + 64))
        assert len(seen) == 2
        keys["n2"] = keys["n2"][1:]
        peer.send(written("n2", "n1", b"k", number=3, secret=SECRETS["n3"]))
        await settle(node, 3 * (15 + 4 + 1 + 64))
        assert node.refused == {"signature": 1}

    listen(body)


def test_a_repeated_datagram_is_taken_once_in_any_order_within_the_window():
    def numbered(number, epoch=5):
        return written("n2", "n1", b"%d.%d" % (epoch, number), number=number, epoch=epoch)

    order = [2000, 1999, 2000, 1999, 977, 976, 3025, 2002, 2001, 1, 3025, 3024]
    taken, refused = shown([numbered(n) for n in order])
    # 1024 numbers up to the highest are remembered: 977 to 2000, then 2002 to 3025.
    assert taken == [b"5.%d" % n for n in (2000, 1999, 977, 3025, 2002, 3024)]
    assert refused == {"replayed": 6}

    # A new start begins again from 1, and ends what came before. What n3 says is counted apart.
    later = [
        numbered(7, 6),
        numbered(9, 5),
        numbered(8, 6),
        numbered(7, 6),
        written("n3", "n1", b"3", epoch=1),
    ]
    taken, refused = shown([numbered(4), *later])
    assert taken == [b"5.4", b"6.7", b"6.8", b"3"]
    assert refused == {"replayed": 2}


@pytest.mark.parametrize("jump", [1, 63, 64, 1023, 1024, 1025, 2**31])
def test_the_window_remembers_exactly_what_it_has_seen(jump):
    rng = random.Random(jump)
    first, oracle, top, expected, data = 5000, set(), 0, [], []
    for number in [first, first + jump] + [first + jump - rng.randrange(1100) for _ in range(60)]:
        fresh = number not in oracle and number > top - 1024
        top = max(top, number)
        oracle.add(number)
        if fresh:
            expected.append(number)
        data.append(written("n2", "n1", str(number).encode(), number=number))
    taken, refused = shown(data)
    assert [int(payload) for payload in taken] == expected
    assert refused.get("replayed", 0) == len(data) - len(expected)


@pytest.mark.parametrize("length", [0, 1, 10, 1117])
def test_an_answer_is_never_longer_than_its_request(length):
    for extra in (-1, 0, 1):
        if length + extra < 0:
            continue
        rooms = []

        def answer(datagram, extra=extra, rooms=rooms):
            rooms.append(datagram.room)
            return bytes(datagram.room + extra)

        async def body(node, peer, seen):
            data = written("n2", "n1", bytes(length))
            peer.send(data)
            await settle(node, len(data))
            await asyncio.sleep(0.02)
            return peer.receive(), len(data), dict(node.refused)

        reply, asked, refused = listen(body, answer)
        assert rooms == [length]
        if length + extra <= 0:
            assert (reply, refused) == (None, {})  # an empty answer is none
        elif extra > 0:
            assert (reply, refused) == (None, {"answer": 1})
        else:
            assert len(reply) == asked + extra


def test_an_answer_gets_no_answer():
    async def body(node, peer, seen):
        data = written("n2", "n1", bytes(100), kind=1)
        peer.send(data)
        await settle(node, len(data))
        await asyncio.sleep(0.02)
        assert [datagram.room for datagram in seen] == [0]
        assert peer.receive() is None
        assert node.refused == {"answer": 1}

    listen(body, lambda datagram: b"x")


def test_a_longer_name_leaves_less_room_than_the_request_had():
    async def main():
        long = "a-node-with-a-much-longer-name"
        seen = []
        key = SigningKey(SECRETS["n1"])
        node = Datagrams(long, key, PUBLIC.get, lambda d: seen.append(d) or b"x" * d.room, epoch=1)
        peer = Peer(await node.open(LOCAL))
        peer.send(written("n2", long, bytes(50)))
        await settle(node, 1)
        await asyncio.sleep(0.02)
        assert seen[0].room == 50
        assert len(peer.receive()) == len(written("n2", long, bytes(50)))
        assert node.room("n2") == MAX_BYTES - 15 - len(long) - 2 - 64
        peer.socket.close()
        await node.close()

    asyncio.run(main())


def test_a_failing_handler_is_logged_in_one_line_and_the_next_datagram_is_taken(capfd):
    def fail(datagram):
        if datagram.payload == b"bad":
            raise ValueError("several\nlines")

    async def body(node, peer, seen):
        for number, payload in enumerate((b"bad", b"good"), 1):
            peer.send(written("n2", "n1", payload, number=number))
        await settle(node, 2 * 83 + 7)
        assert node.refused == {"handler": 1}
        assert seen[-1].payload == b"good"

    listen(body, fail)
    assert capfd.readouterr().err == "datagram of n2: failed: ValueError('several\\nlines')\n"


def test_a_flood_of_forgeries_is_checked_only_so_often():
    forged = [written("n2", "n1", secret=SECRETS["n3"])] * 50
    _, refused = shown(forged, checks_per_second=10)
    assert 10 <= refused["signature"] <= 15  # a second's worth, and what came since
    assert refused["rate"] == 50 - refused["signature"]


def test_what_cannot_be_sent_is_lost_and_what_is_too_long_is_an_error():
    async def body(node, peer, seen):
        for address in ("no-such-host.invalid:1", "127.0.0.1:1", "255.255.255.255:1", "[::1]:1"):
            await node.send("n2", address, b"x")
        await node.send("n2", LOCAL, bytes(node.room("n2")))
        with pytest.raises(ValueError, match="do not fit"):
            await node.send("n2", LOCAL, bytes(node.room("n2") + 1))
        with pytest.raises(InputError, match="is no address"):
            await node.send("n2", "nonsense", b"x")
        with pytest.raises(InputError, match="cannot listen there"):
            await endpoint("n3", print).open(f"127.0.0.1:{peer.to[1]}")
        peer.send(written("n2", "n1", b"still there"))
        await settle(node, 1)
        assert seen[0].payload == b"still there"
        await node.close()
        await node.send("n2", LOCAL, b"x")  # closed: lost like any other

    listen(body)
    with pytest.raises(ValueError, match="epoch"):
        endpoint("n1", print, epoch=1 << 32)


def test_ten_thousand_random_cut_and_changed_datagrams_change_nothing():
    rng = random.Random(20240501)
    good = [
        written("n2", "n1", rng.randbytes(rng.randrange(200)), number=n, kind=n % 2) for n in range(1, 200)
    ]

    def bad():
        data = bytearray(rng.choice(good))
        how = rng.randrange(5)
        if how == 0:
            return rng.randbytes(rng.randrange(1400))
        if how == 1:
            return bytes(data[: rng.randrange(len(data))])
        if how == 2:
            return b"CJD\x01" + rng.randbytes(rng.randrange(75, 300))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        return bytes(data) if how == 3 else bytes(data) + rng.randbytes(rng.randrange(1, 40))

    async def body(node, peer, seen):
        known = set(good)
        for _ in range(10_000):
            data = bad()
            if data not in known:
                node.datagram_received(data, peer.to)  # no queue in between that could overflow
        assert seen == []
        assert sum(node.refused.values()) >= 9_990
        assert set(node.refused) == {"size", "format", "version", "receiver", "sender", "signature"}
        peer.send(written("n2", "n1", b"fine", number=500))
        await settle(node, node.received + 1)
        assert [datagram.payload for datagram in seen] == [b"fine"]

    listen(body, checks_per_second=1_000_000)
