"""A node that answers calls, for the tests of the channel."""

import asyncio

from convergence_jax.errors import RemoteError
from convergence_jax.transport.channel import Server

LOCAL = "127.0.0.1:0"


class Calls:
    """Handlers that note who called."""

    def __init__(self):
        self.seen = []
        self.cancelled = []

    async def echo(self, peer, request):
        self.seen.append(peer)
        return request

    async def long(self, peer, request):
        return bytes(int(request))

    async def slow(self, peer, request):
        self.seen.append(peer)
        try:
            await asyncio.sleep(float(request))
        except asyncio.CancelledError:
            self.cancelled.append(peer)
            raise
        return b"late"

    async def refuse(self, peer, request):
        raise RemoteError("n1 is not\nready\x07")

    async def fail(self, peer, request):
        raise KeyError("secret")

    def handlers(self):
        return {name: getattr(self, name) for name in ("echo", "long", "slow", "refuse", "fail")}


def talk(issue, body, *, server=None, address=LOCAL, **options):
    """Run ``body(server, calls)`` with node n1 listening."""

    async def main():
        calls = Calls()
        async with Server(server or issue("n1"), address, calls.handlers(), **options) as running:
            return await body(running, calls)

    return asyncio.run(main())
