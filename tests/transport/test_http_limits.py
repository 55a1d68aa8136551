"""The HTTP server outlives every client: too long, too slow, too many, gone, or mad."""

import asyncio
import random

import pytest
from http_sites import LOCAL, TOKEN, Raw, ask, serving

from convergence_jax.transport.http_messages import Response
from convergence_jax.transport.http_server import HttpServer, Limits


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_long_is_refused_before_it_is_read(chunked):
    async def exchange(raw, site, server):
        kind = "Transfer-Encoding: chunked" if chunked else "Content-Length: 101"
        raw.get("/echo", kind, method="POST")
        raw.send(b"65\r\n" + bytes(101) if chunked else bytes(50))
        code, headers, value = await raw.answer()
        assert (code, value) == (413, {"error": "the body is longer than 100 bytes"})
        assert headers["connection"] == "close"
        raw.send(bytes(100_000))  # what is still sent finds no closed door
        await asyncio.sleep(0.05)
        raw.writer.write_eof()
        assert await raw.end() == b""
        assert site.requests == []

    ask(exchange, limits=Limits(body_bytes=100))

    async def fits(raw, site, server):
        raw.get("/echo", "Content-Length: 100", method="POST")
        raw.send(bytes(100))
        assert (await raw.answer())[2] == bytes(100)

    ask(fits, limits=Limits(body_bytes=100))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET /hello HTTP/1.1\nHos",
        f"POST /echo HTTP/1.1\nHost: localhost\nAuthorization: Bearer {TOKEN}\nContent-Length: 9\n\nabc",
    ],
)
def test_a_request_that_does_not_come_is_not_waited_for(text):
    async def exchange(raw, site, server):
        raw.send(text)
        assert await raw.end() == b""

    ask(exchange, limits=Limits(request_seconds=0.1))


def test_events_arrive_as_they_come_up_and_stop_when_the_client_leaves(capfd):
    async def main():
        async with serving() as (site, server, address):
            async with Raw.to(address) as raw:
                raw.get("/events")
                code, headers, _ = await raw.answer()
                assert (code, headers["content-type"]) == (200, "text/event-stream")
                async with asyncio.timeout(5):
                    assert b"data: " in await raw.reader.readuntil(b'{"number":3}\n\n')
                assert (site.open_streams, server.streams) == (1, 1)
            async with asyncio.timeout(5):
                while site.open_streams or server.streams:
                    await asyncio.sleep(0.005)
            assert site.closed_streams == 1

    asyncio.run(main())
    assert capfd.readouterr().err == ""  # a client may leave


@pytest.mark.parametrize("streams", [0, 1])
def test_what_a_stream_holds_is_released_whether_it_was_begun_or_refused(streams):
    closed = []

    class Parts:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return bytes(1 << 16)

        async def aclose(self):
            closed.append(self)

    async def give(request):
        return Response(Parts())

    async def main():
        limits = Limits(streams=streams, write_seconds=0.1)
        server = HttpServer({("GET", "/parts"): give}, token=TOKEN, limits=limits)
        async with server, Raw.to(await server.start(LOCAL), buffer=4096) as raw:
            raw.get("/parts")
            code, _, _ = await raw.answer()
            assert code == (200 if streams else 503)
            async with asyncio.timeout(5):
                while not closed:
                    await asyncio.sleep(0.01)

    asyncio.run(main())
    assert len(closed) == 1


def test_a_stream_has_an_end_and_a_broken_one_has_none(capfd):
    async def exchange(raw, site, server):
        raw.get("/events?until=2")
        await raw.answer()
        assert (await raw.end()).endswith(b"0\r\n\r\n")
        async with Raw.to(server.address) as other:
            other.get("/broken")
            await other.answer()
            assert await other.end() == b"3\r\none\r\n"

    ask(exchange)
    assert capfd.readouterr().err == "stream: failed: KeyError('half way')\n"


def test_streams_are_counted_and_one_too_many_refused():
    async def main():
        async with serving(limits=Limits(streams=2)) as (site, server, address):
            async with Raw.to(address) as one, Raw.to(address) as two, Raw.to(address) as three:
                for raw in (one, two):
                    raw.get("/events")
                    assert (await raw.answer())[0] == 200
                three.get("/events")
                code, _, value = await three.answer()
                assert (code, value) == (503, {"error": "too many streams are open; close one"})
                three.get("/hello")
                assert (await three.answer())[0] == 200
            async with asyncio.timeout(5):
                while server.streams:
                    await asyncio.sleep(0.005)
            async with Raw.to(address) as raw:
                raw.get("/events", method="HEAD")
                assert (await raw.answer(body=False))[0] == 200
                assert await raw.end() == b""
            assert (server.streams, site.open_streams) == (0, 0)

    asyncio.run(main())


def test_a_client_that_reads_nothing_is_given_up():
    async def main():
        limits = Limits(write_seconds=0.2)
        async with serving(limits=limits) as (_, server, address), Raw.to(address, buffer=4096) as raw:
            raw.get("/flood")
            await raw.answer()
            assert server.streams == 1
            async with asyncio.timeout(5):
                while server.streams:
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_client_that_talks_during_a_stream_is_given_up():
    async def exchange(raw, site, server):
        raw.get("/events")
        await raw.answer()
        raw.get("/hello")
        await raw.end()
        assert site.requests == []
        assert server.streams == 0

    ask(exchange)


def test_connections_beyond_the_limit_are_closed_and_the_others_go_on():
    async def main():
        async with serving(limits=Limits(connections=2)) as (_, _, address):
            async with Raw.to(address) as one, Raw.to(address) as two, Raw.to(address) as three:
                for raw in (one, two):
                    raw.get("/hello")
                    assert (await raw.answer())[0] == 200
                three.get("/hello")
                assert await three.end() == b""
                one.get("/hello")
                assert (await one.answer())[0] == 200
            await asyncio.sleep(0.05)
            async with Raw.to(address) as raw:
                raw.get("/hello")
                assert (await raw.answer())[0] == 200

    asyncio.run(main())


def test_stopping_ends_streams_waiting_clients_and_unfinished_handshakes(issue):
    async def stopped(site, server, idle, streaming):
        async with asyncio.timeout(2):
            await server.stop()
            assert await idle.end() == b""
            await streaming.end()
        assert site.open_streams == 0
        with pytest.raises(ConnectionRefusedError):
            async with Raw.to(server.address):
                pass

    async def main(**options):
        async with (
            serving(**options) as (site, server, address),
            Raw.to(address) as one,
            Raw.to(address) as two,
        ):
            if not options:
                two.get("/events")
                await two.answer()
            else:
                await asyncio.sleep(0.05)
                assert len(server._connections) == 2
            await stopped(site, server, one, two)

    asyncio.run(main())
    asyncio.run(main(credentials=issue("n1")))


@pytest.mark.slow
def test_ten_thousand_random_cut_and_changed_requests_leave_the_server_as_it_was(capfd):
    rng = random.Random(20240501)
    good = [
        f"GET /hello?name=x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode(),
        f"POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".encode(),
        f"POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc".encode(),
        f"HEAD /hello HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode(),
    ]

    def bad():
        data = bytearray(rng.choice(good))
        how = rng.randrange(5)
        if how == 0:
            return rng.randbytes(rng.randrange(300))
        if how == 1:
            return bytes(data[: rng.randrange(len(data))])
        if how == 2:
            return bytes(data) + rng.randbytes(rng.randrange(1, 200))
        if how == 3:
            lines = bytes(data).split(b"\r\n")
            rng.shuffle(lines)
            return b"\r\n".join(lines)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)

    async def one(address, data):
        async with Raw.to(address) as raw:
            raw.send(data)
            if rng.randrange(2):
                raw.writer.write_eof()
                received = await raw.end()
                assert not received or received.startswith(b"HTTP/1.1 ")
            else:
                await raw.writer.drain()

    async def main():
        async with serving(limits=Limits(request_seconds=5.0)) as (_, server, address):
            for _ in range(10_000 // 50):
                await asyncio.gather(*(one(address, bad()) for _ in range(50)))
            async with Raw.to(address) as raw:
                raw.get("/hello")
                assert (await raw.answer())[0] == 200
            async with asyncio.timeout(10):
                while server._connections:
                    await asyncio.sleep(0.01)
            assert server.streams == 0

    asyncio.run(main())
    assert capfd.readouterr().err == ""
