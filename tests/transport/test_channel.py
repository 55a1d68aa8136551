"""Calls between nodes: what fails and how, and how soon a lost connection is back."""

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time

import grpc
import grpc.aio
import pytest
from channel_calls import LOCAL, Calls, talk

from convergence_jax.errors import InputError, RemoteError
from convergence_jax.transport.authority import Authority
from convergence_jax.transport.channel import Client, Server
from convergence_jax.transport.identity import Identity, server_name


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_an_address_may_be_a_name_or_a_number(issue, name):
    async def body(server, calls):
        async with Client(issue("n2"), f"{name}:{server.address.port}", "n1") as client:
            assert await client.call("echo", b"x", 5.0) == b"x"

    talk(issue, body, address="localhost:0")


@pytest.mark.parametrize(("method", "request_bytes"), [("echo", bytes(1001)), ("long", b"1001")])
def test_a_message_that_is_too_long_is_refused_either_way(issue, method, request_bytes, caplog):
    async def body(server, calls):
        async with Client(issue("n2"), str(server.address), "n1") as client:
            with pytest.raises(RemoteError, match=f"n1 at 127.0.0.1:.*: {method}: resource exhausted"):
                await client.call(method, request_bytes, 5.0)
            assert len(await client.call("long", b"1000", 5.0)) == 1000  # and the connection goes on
            assert len(await client.call("echo", bytes(1000), 5.0)) == 1000
        async with Client(issue("n2"), str(server.address), "n1", max_bytes=100) as client:
            with pytest.raises(RemoteError, match="resource exhausted"):
                await client.call("long", b"101", 5.0)
            heard = len(calls.seen)
            with pytest.raises(RemoteError, match="resource exhausted"):
                await client.call("echo", bytes(101), 5.0)
            assert len(calls.seen) == heard  # it was not even sent

    talk(issue, body, max_bytes=1000)
    assert not caplog.records


def test_a_short_message_does_not_become_a_long_one(issue):
    async def body(server, calls):
        own = issue("n2")
        tls = grpc.ssl_channel_credentials(own.authority, own.key, own.certificate)
        options = [("grpc.ssl_target_name_override", server_name("n1")), ("grpc.max_send_message_length", -1)]
        async with grpc.aio.secure_channel(str(server.address), tls, options) as channel:
            call = channel.unary_unary("/convergence.Node/echo")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(bytes(100_000_000), timeout=20, compression=grpc.Compression.Gzip)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert calls.seen == []

    talk(issue, body)


def test_a_call_ends_at_its_deadline_and_so_does_the_handler(issue):
    async def body(server, calls):
        async with Client(issue("n2"), str(server.address), "n1") as client:
            await client.call("echo", b"", 5.0)
            started = time.monotonic()
            with pytest.raises(RemoteError, match="slow: deadline exceeded"):
                await client.call("slow", b"30", 0.2)
            assert 0.15 < time.monotonic() - started < 2.0
            deadline = time.monotonic() + 5
            while not calls.cancelled and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert calls.cancelled == [Identity("node", "n2")]

    talk(issue, body)


def test_what_a_handler_refuses_is_said_in_one_line_and_what_fails_is_not_said(issue, capfd):
    async def body(server, calls):
        async with Client(issue("n2"), str(server.address), "n1") as client:
            with pytest.raises(RemoteError) as caught:
                await client.call("refuse", b"", 5.0)
            assert str(caught.value).endswith(r"refuse: failed precondition: n1 is not ready\x07")
            with pytest.raises(RemoteError) as caught:
                await client.call("fail", b"", 5.0)
            assert str(caught.value).endswith("fail: internal: failed there")
            with pytest.raises(RemoteError, match="unimplemented"):
                await client.call("nonsense", b"", 5.0)

    talk(issue, body)
    assert capfd.readouterr().err == "fail: call of node n2 failed: KeyError('secret')\n"


def test_more_calls_at_a_time_than_allowed_are_refused(issue):
    async def body(server, calls):
        async with Client(issue("n2"), str(server.address), "n1") as client:
            answers = await asyncio.gather(
                *(client.call("slow", b"0.3", 5.0) for _ in range(8)), return_exceptions=True
            )
            assert answers.count(b"late") == 3
            assert all("resource exhausted" in str(a) for a in answers if a != b"late")

    talk(issue, body, max_calls=3)


def test_an_address_that_is_taken_or_elsewhere_is_an_input_error(issue):
    async def body(server, calls):
        for address in (str(server.address), "192.0.2.1:0"):
            with pytest.raises(InputError, match="cannot listen there"):
                await Server(issue("n2"), address, {}).start()

    talk(issue, body)


def test_a_client_that_is_closed_says_so_and_a_cancelled_caller_is_cancelled(issue):
    async def body(server, calls):
        client = Client(issue("n2"), str(server.address), "n1")
        waiting = [asyncio.create_task(client.call("slow", b"30", 60.0)) for _ in range(3)]
        while len(calls.seen) < 3:
            await asyncio.sleep(0.01)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        waiting[2].cancel()
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting[2]
        with pytest.raises(RemoteError, match="slow: the client is closed"):
            await waiting[1]
        with pytest.raises(RemoteError, match="echo: the client is closed"):
            await client.call("echo", b"", 1.0)

    talk(issue, body)


def test_nobody_there_is_a_remote_error_at_once(issue):
    async def main():
        async with Client(issue("n2"), "127.0.0.1:1", "n1") as client:
            with pytest.raises(RemoteError, match=r"n1 at 127\.0\.0\.1:1: echo: unavailable"):
                await client.call("echo", b"", 5.0)

    asyncio.run(main())


def test_a_client_finds_a_restarted_server_again(issue):
    async def main():
        calls = Calls()
        server = Server(issue("n1"), LOCAL, calls.handlers())
        await server.start()
        address = str(server.address)
        async with Client(issue("n2"), address, "n1") as client:
            await client.call("echo", b"", 5.0)
            await server.stop(0)
            for _ in range(20):
                with pytest.raises(RemoteError):
                    await client.call("echo", b"", 0.5)
                await asyncio.sleep(0.05)
            async with Server(issue("n1"), address, calls.handlers()):
                started = time.monotonic()
                while True:
                    try:
                        await client.call("echo", b"", 0.5)
                    except RemoteError:
                        assert time.monotonic() - started < 5.0  # 1.2 s at most, on an idle machine
                        await asyncio.sleep(0.02)
                    else:
                        break
                print(f"answered {time.monotonic() - started:.2f} s after the restart")

    asyncio.run(main())


def test_attempts_to_connect_follow_each_other_at_once_and_then_every_second(issue):
    async def main():
        attempts = []

        async def hang_up(reader, writer):
            attempts.append(time.monotonic())
            writer.transport.abort()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with Client(issue("n2"), address, "n1") as client:
                until = time.monotonic() + 8.0
                while time.monotonic() < until:
                    with pytest.raises(RemoteError):
                        await client.call("echo", b"", 0.5)
                    await asyncio.sleep(0.05)
        pauses = [after - before for before, after in itertools.pairwise(attempts)]
        assert pauses[0] < 0.6  # 0.1 s, and what a busy machine adds
        assert max(pauses) < 2.0  # 1 s, and a fifth at random

    asyncio.run(main())


def test_a_peer_that_falls_silent_is_noticed_by_keepalive(issue):
    async def main():
        calls, open_connections, silent = Calls(), [], asyncio.Event()

        async def relay(reader, writer):
            """Passes bytes on until told to fall silent, with the connection left open."""
            onward = await asyncio.open_connection("127.0.0.1", server.address.port)

            async def pump(source, sink):
                while data := await source.read(1 << 16):
                    if not silent.is_set():
                        sink.write(data)

            tasks = [
                asyncio.create_task(pump(reader, onward[1])),
                asyncio.create_task(pump(onward[0], writer)),
            ]
            open_connections.append((writer, onward[1], tasks))

        async with Server(issue("n1"), LOCAL, calls.handlers()) as server:
            relaying = await asyncio.start_server(relay, "127.0.0.1", 0)
            port = relaying.sockets[0].getsockname()[1]
            async with Client(issue("n2"), f"127.0.0.1:{port}", "n1") as client:
                await client.call("echo", b"", 5.0)
                silent.set()
                started = time.monotonic()
                with pytest.raises(RemoteError, match="unavailable"):
                    await client.call("slow", b"30", 30.0)
                assert time.monotonic() - started < 10.0  # a ping a second, and two seconds for its answer
            relaying.close()
            for near, far, tasks in open_connections:
                near.close()
                far.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await relaying.wait_closed()

    asyncio.run(main())


def test_callers_that_give_up_at_random_leave_the_server_as_it_was(issue, capfd):
    rng = random.Random(20240501)

    async def body(server, calls):
        async with Client(issue("n2"), str(server.address), "n1") as client:
            for _ in range(10):
                wanted = [
                    client.call("slow", b"%f" % rng.uniform(0, 0.02), rng.uniform(0.001, 0.02))
                    for _ in range(40)
                ]
                answers = await asyncio.gather(*wanted, return_exceptions=True)
                assert {type(answer) for answer in answers} <= {bytes, RemoteError}
            assert await client.call("echo", b"x", 5.0) == b"x"
        assert {peer.name for peer in calls.seen} == {"n2"}

    talk(issue, body)
    assert capfd.readouterr().err == ""


SILENT = """
import asyncio, sys
from convergence_jax.errors import RemoteError
from convergence_jax.transport.channel import Client, Server
from convergence_jax.transport.identity import Credentials

async def main():
    node, client = Credentials.load(sys.argv[1]), Credentials.load(sys.argv[2])
    async def echo(peer, request): return request
    async with Server(node, "127.0.0.1:0", {"echo": echo}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
        writer.write(b"GET / HTTP/1.1\\r\\n\\r\\n")
        await writer.drain()
        for name in ("n1", "n2"):
            async with Client(client, str(server.address), name) as caller:
                try:
                    await caller.call("echo", b"", 1.0)
                except RemoteError as error:
                    print(error)
        writer.close()
asyncio.run(main())
"""


def test_a_process_ends_without_a_word_of_grpc_on_standard_error(issue, tmp_path):
    issue("n1").save(tmp_path / "n1")
    Authority.create("tests").issue("c", kind="client").save(tmp_path / "c")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", SILENT, tmp_path / "n1", tmp_path / "c"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"},
    )
    assert done.stdout.count("unavailable") == 2
    assert done.stderr == ""
