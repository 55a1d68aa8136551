"""A small site and raw connections to it, for the tests of the HTTP server."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

from convergence_jax.errors import InputError
from convergence_jax.transport.http_messages import EVENTS, Response, event
from convergence_jax.transport.http_server import HttpServer

LOCAL = "127.0.0.1:0"
TOKEN = "a-token"


class Site:
    """Routes that note what they were asked."""

    def __init__(self):
        self.requests = []
        self.open_streams = 0
        self.closed_streams = 0

    async def hello(self, request):
        self.requests.append(request)
        return Response.json({"hello": request.query.get("name", "you")})

    async def echo(self, request):
        self.requests.append(request)
        return Response(request.body, content_type="text/plain; charset=utf-8")

    async def who(self, request):
        return Response.json({"identity": request.identity})

    async def wrong(self, request):
        raise InputError("rate: must be positive, got -1.")

    async def crash(self, request):
        raise KeyError("a secret\nin two lines")

    async def events(self, request):
        return Response(self._events(int(request.query.get("until", "1000000"))), content_type=EVENTS)

    async def _events(self, until):
        self.open_streams += 1
        try:
            for number in range(until):
                yield event({"number": number})
                await asyncio.sleep(0.01)
        finally:
            self.open_streams -= 1
            self.closed_streams += 1

    async def broken(self, request):
        async def parts():
            yield b"one"
            raise KeyError("half way")

        return Response(parts())

    async def flood(self, request):
        async def parts():
            while True:
                yield bytes(1 << 16)

        return Response(parts())

    def routes(self):
        return {
            ("GET", "/hello"): self.hello,
            ("POST", "/echo"): self.echo,
            ("GET", "/a b"): self.hello,
            ("GET", "/who"): self.who,
            ("GET", "/wrong"): self.wrong,
            ("POST", "/crash"): self.crash,
            ("GET", "/events"): self.events,
            ("GET", "/broken"): self.broken,
            ("GET", "/flood"): self.flood,
        }


@asynccontextmanager
async def serving(**options):
    """A started site: gives the site, its server and its address."""
    site = Site()
    if "credentials" not in options:
        options.setdefault("token", TOKEN)
    async with HttpServer(site.routes(), **options) as server:
        yield site, server, await server.start(LOCAL)


class Raw:
    """A connection that sends whatever it is told."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def to(cls, address, buffer=None):
        sock = socket.create_connection(("127.0.0.1", address.port))
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock, limit=buffer or 1 << 16)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)

    def send(self, text):
        """Bytes, or text with single newlines in place of those of the protocol."""
        self.writer.write(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode())

    def get(self, path, *headers, method="GET", host="127.0.0.1", token=TOKEN):
        own = [f"Host: {host}"] + ([f"Authorization: Bearer {token}"] if token else [])
        self.send("\n".join([f"{method} {path} HTTP/1.1", *own, *headers, "", ""]))

    async def answer(self, body=True):
        """Status, headers and body of one answer of known length."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = int(headers.get("content-length", 0)) if body else 0
            data = await self.reader.readexactly(length)
        value = json.loads(data) if data and headers["content-type"] == "application/json" else data
        return int(first.split()[1]), headers, value

    async def end(self):
        """Everything that still comes; an end by force counts as one."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(-1)
            except ConnectionError:
                return b""


def ask(exchange, **options):
    """Run ``exchange(raw, site, server)`` over one raw connection."""

    async def main():
        async with serving(**options) as (site, server, address), Raw.to(address) as raw:
            return await exchange(raw, site, server)

    return asyncio.run(main())
