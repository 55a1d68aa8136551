"""The HTTP client and server know each other by their certificates, and a failure is one line."""

import asyncio
import ssl

import pytest
from http_sites import TOKEN, Site, serving

from convergence_jax.errors import InputError, RemoteError
from convergence_jax.transport.authority import Authority
from convergence_jax.transport.http_client import HttpClient, request
from convergence_jax.transport.http_server import HttpServer, Limits


async def call(function, *arguments, **options):
    return await asyncio.to_thread(function, *arguments, **options)


@pytest.mark.parametrize(("name", "kind"), [("n2", "node"), ("alice", "client")])
def test_over_tls_the_certificate_says_who_asks(issue, name, kind):
    async def main():
        async with serving(credentials=issue("n1")) as (_, _, address):
            for host, node in (("127.0.0.1", None), ("localhost", None), ("127.0.0.1", "n1")):
                url = f"https://{host}:{address.port}/who"
                answer = await call(request, "GET", url, credentials=issue(name, kind), node=node)
                assert answer == (200, {"identity": {"role": kind, "name": name}})

    asyncio.run(main())


def test_over_tls_nothing_is_said_to_whoever_shows_no_good_certificate(issue, craft):
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.load_verify_locations(cadata=issue("n1").authority.decode())
    stranger = Authority.create("tests").issue("n2")
    foreign = type(stranger)(stranger.certificate, stranger.key, issue("n1").authority).tls(server=False)
    expired = craft(["convergence://node/n2"], days=-1).tls(server=False)

    async def main():
        async with serving(credentials=issue("n1")) as (site, _, address):
            for context in (plain, foreign, expired, None):
                received = b""
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", address.port, ssl=context)
                    writer.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    async with asyncio.timeout(5):
                        received = await reader.read()
                    writer.transport.abort()
                except (ssl.SSLError, ConnectionError):
                    writer.transport.abort()
                assert b"HTTP" not in received
            assert site.requests == []
            nobody = craft(["https://node/n2"])
            answer = await call(request, "GET", f"https://127.0.0.1:{address.port}/who", credentials=nobody)
            assert answer == (403, {"error": "the certificate names nobody"})

    asyncio.run(main())


def test_a_client_trusts_only_the_server_it_wants(issue):
    async def main():
        client = issue("c", "client")
        async with serving(credentials=issue("n1")) as (site, _, address):
            url = f"https://127.0.0.1:{address.port}/hello"
            stranger = Authority.create("tests").issue("c", kind="client")
            for credentials, node in ((client, "n2"), (stranger, "n1")):
                with pytest.raises(RemoteError, match="CERTIFICATE_VERIFY_FAILED"):
                    await call(request, "GET", url, credentials=credentials, node=node)
        async with serving(credentials=issue("n1", "client")) as (site, _, address):
            with pytest.raises(RemoteError, match="CERTIFICATE_VERIFY_FAILED"):
                await call(
                    request, "GET", f"https://127.0.0.1:{address.port}/hello", credentials=client, node="n1"
                )
            assert site.requests == []

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_server_is_reached_by_every_name_of_this_machine(host):
    async def main():
        async with HttpServer(Site().routes(), token=TOKEN) as server:
            address = await server.start(f"{host}:0")
            answer = await call(request, "GET", f"http://{address}/hello", token=TOKEN)
            assert answer == (200, {"hello": "you"})

    asyncio.run(main())


def test_a_connection_is_kept_and_opened_again_when_the_server_has_closed_it():
    async def main():
        async with serving(limits=Limits(request_seconds=0.2)) as (site, _, address):
            with HttpClient(f"http://{address}", token=TOKEN) as client:
                assert await call(client.request, "GET", "/hello?name=1") == (200, {"hello": "1"})
                port = client._connection.sock.getsockname()[1]
                assert (await call(client.request, "POST", "/echo", json={"a": [1]})) == (200, '{"a": [1]}')
                assert client._connection.sock.getsockname()[1] == port
                await asyncio.sleep(0.4)
                assert (await call(client.request, "POST", "/echo", body=b"\x31")) == (200, "1")
                assert client._connection.sock.getsockname()[1] != port
                assert (await call(client.request, "GET", "/nothing"))[0] == 404
            assert [r.headers.get("content-type") for r in site.requests] == [None, "application/json", None]
            url = f"http://{address}/hello?name=z"
            assert (await call(request, "GET", url, token=TOKEN)) == (200, {"hello": "z"})
        with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:\d+: GET /hello: .*[Rr]efused"):
            await call(request, "GET", f"http://{address}/hello", token=TOKEN)

    asyncio.run(main())


def test_a_server_that_breaks_off_or_speaks_nonsense_is_a_remote_error():
    async def main():
        answers = [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
            b"nonsense\r\n\r\n",
            b"\xff" * 80_000,
        ]
        answers += [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{"]
        answers += [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff"]

        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answers.pop(0))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for _ in range(len(answers)):
            with pytest.raises(RemoteError, match="GET /x: "):
                await call(request, "GET", f"http://127.0.0.1:{port}/x", timeout_seconds=2.0)
        server.close()
        await server.wait_closed()

    asyncio.run(main())


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:1", "ftp://a:1", "http://a", "http://a:b", "http://a:1/x", "http://:1"]
)
def test_what_is_no_nodes_address_is_refused(url):
    with pytest.raises(InputError, match="is no address of a node"):
        HttpClient(url)


def test_https_takes_a_certificate_and_http_none(issue):
    for url, credentials in (("https://a:1", None), ("http://a:1", issue("n1"))):
        with pytest.raises(InputError, match="https takes a certificate"):
            HttpClient(url, credentials=credentials)
