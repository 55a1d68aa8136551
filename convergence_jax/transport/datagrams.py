"""`Datagrams`: small signed messages over UDP, for links that carry one way only.

TCP needs both ways, so a link that lost one of them carries no call; a datagram still passes. Nothing may
rely on one: any may be lost, and everything that matters travels in calls too.

A datagram is, in this order and big-endian: ``CJD`` and the format's version, 1; a byte that is 0 for a
request and 1 for an answer; the sender's epoch and number, four bytes each; the lengths of the sender's and
the receiver's name, a byte each; both names; the payload; and an Ed25519 signature of all before it with a
prefix that nothing else signs. The receiver's name keeps a third node from being shown it as its own mail.
"""

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from convergence_jax.errors import InputError
from convergence_jax.transport.address import Address
from convergence_jax.transport.lines import one_line, to_standard_error
from convergence_jax.transport.signing import SIGNATURE_BYTES, SigningKey, verify

MAX_BYTES = 1200
"""Longest datagram: it fits every path that carries IPv6, headers and tunnels included."""

VERSION = 1
"""Of the format."""

_MAGIC = b"CJD"
_HEADER = struct.Struct(">3sBBIIBB")
_DOMAIN = b"convergence_jax datagram\0"
_REQUEST, _ANSWER = 0, 1
_WINDOW = 1024

Keys = Callable[[str], Sequence[bytes]]
"""The public keys that a node may sign with now, by its name; none for a name that is no member's."""


@dataclass(frozen=True)
class Datagram:
    """A datagram whose signature is right, meant for this node and not seen before.

    Attributes
    ----------
    sender : str
        The node that signed it.
    payload : bytes
        What it says.
    room : int
        Most bytes that a handler may answer with: 0 to an answer, which gets none.
    """

    sender: str
    payload: bytes
    room: int


Handler = Callable[[Datagram], bytes | None]
"""Takes a datagram at once, and may answer it."""


class Datagrams(asyncio.DatagramProtocol):
    """A UDP socket that sends, checks and answers signed datagrams.

    Parameters
    ----------
    name : str
        Of this node; at most 255 bytes.
    key : SigningKey
        Its key.
    keys : Keys
        Looks up the keys of other nodes.
    handler : Handler
        Is given every datagram that passes.
    epoch : int
        How often this node has started, below ``2**32``. It must grow with every start, or receivers take
        what follows for repetitions.
    checks_per_second : int, default 1000
        How many signatures are checked a second at most, so that a flood cannot take all of the processor's
        time.
    log : callable, optional
        Takes one line about each failed handler; standard error by default.

    Notes
    -----
    An answer is never longer than its request, so a forged source address gains an attacker nothing.
    Repetition is judged by epoch and number within a window of 1024 (as RFC 4303, section 3.4.3), from this
    process's start on: what came before it may be shown to it once more.
    """

    def __init__(
        self,
        name: str,
        key: SigningKey,
        keys: Keys,
        handler: Handler,
        *,
        epoch: int,
        checks_per_second: int = 1000,
        log: Callable[[str], None] | None = None,
    ) -> None:
        if not 0 <= epoch < 1 << 32:
            raise ValueError(f"Datagrams: epoch must be from 0 to 2**32 - 1, got {epoch}.")
        self._name = name
        self._key = key
        self._keys = keys
        self._handler = handler
        self._epoch = epoch
        self._budget = _Budget(checks_per_second)
        self._log = log or to_standard_error
        self._numbers: Counter[str] = Counter()
        self._seen: dict[str, _Window] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()
        self.refused: Counter[str] = Counter()
        """Datagrams that were dropped, by reason: ``size``, ``format``, ``version``, ``receiver``,
        ``sender``, ``rate``, ``signature``, ``replayed``; ``answer`` for own answers that were too long, and
        ``handler`` for handlers that failed."""
        self.sent = 0
        """Bytes of datagrams sent."""
        self.received = 0
        """Bytes of datagrams received, good or bad."""

    async def open(self, address: str) -> Address:
        """Listen; returns the address with its true port.

        Raises
        ------
        InputError
            If the address is taken, or no address of this machine.
        """
        where = Address.parse(address)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=await where.resolve())
        except OSError as error:
            raise InputError(f"{where}: cannot listen there: {error.strerror or error}.") from error
        self._transport = transport
        return Address(where.host, int(transport.get_extra_info("sockname")[1]))

    async def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()
            self._transport = None

    def room(self, receiver: str) -> int:
        """Most bytes of payload in a datagram to a node."""
        return MAX_BYTES - self._overhead(receiver)

    async def send(self, receiver: str, address: str, payload: bytes) -> None:
        """Send a request. Whether it arrives is never known; what the system refuses to send is lost as well.

        Parameters
        ----------
        receiver : str
            The node it is for.
        address : str
            Where that node listens, ``host:port``.
        payload : bytes
            At most :meth:`room` bytes.

        Raises
        ------
        ValueError
            If the payload is too long.
        """
        if len(payload) > self.room(receiver):
            raise ValueError(f"Datagrams.send: {len(payload)} bytes do not fit into {self.room(receiver)}.")
        try:
            where = await Address.parse(address).resolve()
        except OSError:
            return
        self._send(_REQUEST, receiver, payload, where)

    def _overhead(self, receiver: str) -> int:
        names = len(self._name.encode()) + len(receiver.encode())
        return _HEADER.size + names + SIGNATURE_BYTES

    def _send(self, kind: int, receiver: str, payload: bytes, where: tuple[Any, ...]) -> None:
        if self._transport is None:
            return
        self._numbers[receiver] += 1
        sender, target = self._name.encode(), receiver.encode()
        numbers = (self._epoch, self._numbers[receiver])
        header = _HEADER.pack(_MAGIC, VERSION, kind, *numbers, len(sender), len(target))
        signed = header + sender + target + payload
        data = signed + self._key.sign(_DOMAIN + signed)
        self.sent += len(data)
        self._transport.sendto(data, where)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self._closed.set()

    def error_received(self, error: Exception) -> None:
        """Called by the event loop where the system would not send; such datagrams are lost like others."""

    def datagram_received(self, data: bytes, where: tuple[Any, ...]) -> None:
        """Called by the event loop with whatever arrives."""
        self.received += len(data)
        reason = self._receive(data, where)
        if reason is not None:
            self.refused[reason] += 1

    def _receive(self, data: bytes, where: tuple[Any, ...]) -> str | None:
        """Check and handle; returns why it was dropped. The cheap checks come first, the signature after."""
        if not _HEADER.size + SIGNATURE_BYTES <= len(data) <= MAX_BYTES:
            return "size"
        magic, version, kind, epoch, number, sender_bytes, receiver_bytes = _HEADER.unpack_from(data)
        names_end = _HEADER.size + sender_bytes + receiver_bytes
        if magic != _MAGIC:
            return "format"
        if version != VERSION:
            return "version"
        if kind not in (_REQUEST, _ANSWER) or names_end + SIGNATURE_BYTES > len(data):
            return "format"
        sender_end = _HEADER.size + sender_bytes
        if data[sender_end:names_end] != self._name.encode():
            return "receiver"
        sender = data[_HEADER.size : sender_end].decode("utf-8", "replace")
        keys = self._keys(sender)
        if not keys:
            return "sender"
        if not self._budget.take():
            return "rate"
        signed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        if not any(verify(key, signature, _DOMAIN + signed) for key in keys):
            return "signature"
        if not self._seen.setdefault(sender, _Window()).take(epoch, number):
            return "replayed"
        return self._handle(sender, kind, signed[names_end:], len(data), where)

    def _handle(
        self, sender: str, kind: int, payload: bytes, length: int, where: tuple[Any, ...]
    ) -> str | None:
        room = max(0, length - self._overhead(sender)) if kind == _REQUEST else 0
        try:
            answer = self._handler(Datagram(sender, payload, room))
        except Exception as error:
            self._log(f"datagram of {sender}: failed: {one_line(repr(error))}")
            return "handler"
        if not answer:
            return None
        if len(answer) > room:
            return "answer"
        self._send(_ANSWER, sender, answer, where)
        return None


class _Window:
    """Which numbers of a sender have been seen: those below the window count as seen."""

    def __init__(self) -> None:
        self._epoch = -1
        self._top = 0
        self._bits = 0  # bit k is the number top - k

    def take(self, epoch: int, number: int) -> bool:
        """Mark a number; False if it was seen before or cannot be told."""
        if epoch > self._epoch:
            self._epoch, self._top, self._bits = epoch, number, 0
        elif epoch < self._epoch:
            return False
        if number > self._top:
            self._bits = 0 if number - self._top >= _WINDOW else self._bits << (number - self._top)
            self._bits &= (1 << _WINDOW) - 1
            self._top = number
        bit = self._top - number
        if bit >= _WINDOW or self._bits >> bit & 1:
            return False
        self._bits |= 1 << bit
        return True


class _Budget:
    """A token bucket of one second's worth."""

    def __init__(self, per_second: int) -> None:
        self._rate = per_second
        self._tokens = float(per_second)
        self._at = time.monotonic()

    def take(self) -> bool:
        """Spend a token if there is one."""
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
