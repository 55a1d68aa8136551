"""Only who shows a good certificate is heard, and only the node that was wanted is spoken to."""

import asyncio
import contextlib
import random

import grpc
import grpc.aio
import pytest
from channel_calls import talk

from convergence_jax.errors import RemoteError
from convergence_jax.transport.authority import Authority
from convergence_jax.transport.channel import Client
from convergence_jax.transport.identity import Identity, server_name


def refused(credentials, node="n1", timeout=1.0):
    """A body: one call with other credentials fails, and no handler hears of it."""

    async def body(server, calls):
        async with Client(credentials, str(server.address), node) as client:
            with pytest.raises(RemoteError) as caught:
                await client.call("echo", b"x", timeout)
        assert calls.seen == []
        return str(caught.value)

    return body


@pytest.mark.parametrize(("name", "kind"), [("n2", "node"), ("alice@site", "client"), ("n1", "client")])
def test_a_handler_sees_the_name_and_role_of_the_callers_certificate(issue, name, kind):
    async def body(server, calls):
        async with Client(issue(name, kind), str(server.address), "n1") as client:
            assert await client.call("echo", b"abc", 5.0) == b"abc"
            assert await client.call("echo", b"", 5.0) == b""
            assert (client.traffic.sent, client.traffic.received) == (3, 3)
            assert (server.traffic.sent, server.traffic.received) == (3, 3)
        assert calls.seen == [Identity(kind, name)] * 2

    talk(issue, body)


@pytest.mark.parametrize("secure", [True, False])
def test_a_caller_without_a_certificate_gets_nothing(issue, secure):
    async def body(server, calls):
        options = [("grpc.ssl_target_name_override", server_name("n1"))]
        if secure:
            tls = grpc.ssl_channel_credentials(issue("n1").authority)
            channel = grpc.aio.secure_channel(str(server.address), tls, options)
        else:
            channel = grpc.aio.insecure_channel(str(server.address))
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/convergence.Node/echo")(b"x", timeout=1)
            assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert calls.seen == []

    talk(issue, body)


def test_a_certificate_of_another_authority_gets_nothing(issue):
    stranger = Authority.create("tests").issue("n2")  # the same names throughout, other keys
    own = issue("n2")
    mixed = type(own)(stranger.certificate, stranger.key, own.authority)
    assert "unavailable" in talk(issue, refused(mixed))
    assert "unavailable" in talk(issue, refused(stranger))  # which does not trust the server either


def test_a_certificate_that_has_expired_or_names_nobody_gets_nothing(issue, craft):
    assert "unavailable" in talk(issue, refused(craft(["convergence://node/n2"], days=-1)))
    for uris in ([], ["https://node/n2"], ["convergence://node/n2", "convergence://client/c"]):
        assert "unauthenticated: the certificate names nobody" in talk(issue, refused(craft(uris)))


def test_a_client_calls_only_the_node_it_wants(issue, craft):
    assert "unavailable" in talk(issue, refused(issue("n2")), server=issue("n3"))
    assert "unavailable" in talk(issue, refused(issue("n2"), node="n2"))
    named = craft(["convergence://node/n3"], dns=["n1", "localhost"])
    assert "unavailable" in talk(issue, refused(issue("n2")), server=named)


def test_no_client_can_pose_as_a_node(issue):
    assert "unavailable" in talk(issue, refused(issue("n2")), server=issue("n1", "client"))


def test_random_bytes_in_place_of_a_handshake_leave_the_server_as_it_was(issue, capfd):
    rng = random.Random(20240501)
    starts = [
        b"",
        b"\x16\x03\x01",
        b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\n",
    ]

    async def body(server, calls):
        async def bother():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
            writer.write(rng.choice(starts) + rng.randbytes(rng.randrange(400)))
            if rng.randrange(2):
                writer.write_eof()
                async with asyncio.timeout(20):
                    with contextlib.suppress(ConnectionError):
                        assert len(await reader.read()) < 100
            writer.transport.abort()

        async with Client(issue("n2"), str(server.address), "n1") as client:
            for _ in range(20):
                await asyncio.gather(*(bother() for _ in range(50)))
                assert await client.call("echo", b"x", 5.0) == b"x"

    talk(issue, body)
    assert capfd.readouterr().err == ""
