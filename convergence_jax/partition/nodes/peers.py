"""`Peers`: exchanges with the other members, over gRPC and, for links that carry one way only, UDP."""

import asyncio
from collections import Counter

from convergence_jax.errors import RemoteError
from convergence_jax.partition.nodes.links import Links
from convergence_jax.partition.participant import Participant
from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.messages import Digest, News
from convergence_jax.partition.rows.row import Incarnation
from convergence_jax.transport.channel import Client, Server
from convergence_jax.transport.datagrams import Datagram, Datagrams
from convergence_jax.transport.identity import NODE, Credentials, Identity
from convergence_jax.transport.signing import SigningKey


class Peers:
    """The network side of a node.

    Parameters
    ----------
    participant : Participant
    credentials : Credentials
    key : SigningKey
        Of rows and datagrams.
    listen : str
        ``host:port`` for gRPC and UDP.
    links : Links
        Which links are cut on purpose.
    """

    def __init__(
        self, participant: Participant, credentials: Credentials, key: SigningKey, listen: str, links: Links
    ) -> None:
        self._participant, self._credentials, self._links = participant, credentials, links
        self._listen = listen
        self.refused: Counter[str] = Counter()
        self._clients: dict[str, tuple[str, Client]] = {}
        self._known: dict[str, dict[Incarnation, int]] = {}
        handlers = {"exchange": self._exchanged, "push": self._pushed}
        self._server = Server(credentials, listen, handlers, max_bytes=messages.MAX_BYTES)
        self._datagrams = Datagrams(
            participant.name,
            key,
            self._keys,
            self._datagram,
            epoch=participant.replica.key.counter % (1 << 32),
        )

    async def start(self) -> None:
        """Listen."""
        await self._server.start()
        await self._datagrams.open(self._listen)

    async def stop(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(client.close() for _, client in self._clients.values()))
        await self._datagrams.close()
        await self._server.stop()

    @property
    def others(self) -> list[str]:
        """Live members but this one."""
        own = self._participant.name
        return [node for node in self._participant.replica.roster.live if node != own]

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes of messages sent and received, without framing, TLS and IP."""
        parts = [self._server.traffic, *(client.traffic for _, client in self._clients.values())]
        sent, received = (sum(getattr(part, way) for part in parts) for way in ("sent", "received"))
        return sent + self._datagrams.sent, received + self._datagrams.received

    @property
    def refusals(self) -> Counter[str]:
        """Messages and rows that were refused, by reason."""
        return self.refused + self._participant.replica.refused + self._datagrams.refused

    async def exchange(self, node: str, timeout_seconds: float) -> None:
        """Push and pull with one member, both ways.

        Raises
        ------
        RemoteError
            If it cannot be reached in time; what arrived before counts.
        """
        if node in self._links.outgoing or node in self._links.incoming:
            raise RemoteError(f"{node}: the link is cut.")
        client = self._client(node)
        reply = await client.call("exchange", messages.encode(self._participant.digest()), timeout_seconds)
        news = self._decode(reply)
        if not isinstance(news, News):
            raise RemoteError(f"{node}: answered with something else.")
        self._participant.heard(news, node)
        wanted = gossip.fulfil(self._participant.replica, news)
        if wanted is not None:
            await client.call("push", messages.encode(wanted), timeout_seconds)

    async def ask_everyone(self, timeout_seconds: float) -> list[str]:
        """Exchange with every other member at once; those that did not answer, sorted."""

        async def ask(node: str) -> str | None:
            try:
                await self.exchange(node, timeout_seconds)
            except RemoteError:
                return node
            return None

        replica = self._participant.replica
        left = {node for node in self.others if (row := replica.latest(node)) and row.head.final}
        asked = [node for node in self.others if node not in left and node not in replica.excluded]
        return sorted(filter(None, await asyncio.gather(*map(ask, asked))))

    async def send_datagrams(self, node: str) -> None:
        """Tell a member what is here and what changed, in two datagrams that need no answer."""
        if node in self._links.outgoing:
            return
        replica = self._participant.replica
        address = replica.roster.by_name[node].address
        room = self._datagrams.room(node)
        digest = messages.encode(self._participant.digest())
        if len(digest) <= room:
            await self._datagrams.send(node, address, digest)
        news = gossip.push(replica, self._known.get(node, {}), room)
        if news is not None and news.updates and len(data := messages.encode(news)) <= room:
            await self._datagrams.send(node, address, data)

    # What others send

    async def _exchanged(self, peer: Identity, request: bytes) -> bytes:
        self._require_member(peer)
        digest = self._decode(request)
        if not isinstance(digest, Digest) or digest.keys[0].node != peer.name:
            self.refused["sender"] += 1
            raise RemoteError("an exchange starts with the caller's own digest")
        return messages.encode(self._answer(digest, messages.MAX_BYTES))

    async def _pushed(self, peer: Identity, request: bytes) -> bytes:
        self._require_member(peer)
        news = self._decode(request)
        if isinstance(news, News):
            gossip.receive(self._participant.replica, news)
        return b""

    def _datagram(self, datagram: Datagram) -> bytes | None:
        if datagram.sender in self._links.incoming:
            return None
        try:
            message = self._decode(datagram.payload)
        except RemoteError:
            return None
        if isinstance(message, News):
            gossip.receive(self._participant.replica, message)
            return None
        if message.keys[0].node != datagram.sender:
            self.refused["sender"] += 1
            return None
        news = self._answer(message, datagram.room)
        data = messages.encode(news)
        answering = datagram.sender not in self._links.outgoing and news.updates
        return data if answering and len(data) <= datagram.room else None

    def _answer(self, digest: Digest, limit: int) -> News:
        have = {key.incarnation: v for key, v in zip(digest.keys, digest.versions, strict=True)}
        self._known[digest.keys[0].node] = have
        return gossip.answer(self._participant.replica, digest, limit)

    def _require_member(self, peer: Identity) -> None:
        if peer.role != NODE or peer.name not in self._participant.replica.roster.live:
            self.refused["stranger"] += 1
            raise RemoteError(f"{peer.role} {peer.name} is no member of the roster")
        if peer.name in self._links.incoming or peer.name in self._links.outgoing:
            raise RemoteError("the link is cut")

    def _decode(self, data: bytes) -> Digest | News:
        try:
            return messages.decode(data)
        except ValueError as error:
            self.refused[str(error).split(":")[0]] += 1
            raise RemoteError(f"message refused: {error}") from None

    def _keys(self, node: str) -> list[bytes]:
        member = self._participant.replica.roster.by_name.get(node)
        return [] if member is None or member.revoked else [bytes.fromhex(key) for key in member.keys]

    def _client(self, node: str) -> Client:
        address = self._participant.replica.roster.by_name[node].address
        known = self._clients.get(node)
        if known is None or known[0] != address:
            client = Client(self._credentials, address, node, max_bytes=messages.MAX_BYTES)
            self._clients[node] = (address, client)
        return self._clients[node][1]
