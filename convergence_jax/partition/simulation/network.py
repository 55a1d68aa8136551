"""`SimulatedNetwork`: what becomes of a message between two nodes, and how many bytes they were."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

SECOND = 10**9
"""In nanoseconds."""


@dataclass(frozen=True)
class Weather:
    """What the network does to messages while nothing is cut.

    Attributes
    ----------
    delay, tail : float
        Seconds that a message takes at least, and the mean of what comes on top: so messages overtake.
    loss, duplication : float
        Shares of messages that never arrive, or twice.
    late, late_seconds : float
        Share of messages that arrive very late, and by how many seconds at most.
    """

    delay: float = 0.0
    tail: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    late: float = 0.0
    late_seconds: float = 0.0

    def arrivals(self, chance: random.Random) -> list[int]:
        """After how many nanoseconds a message arrives, once for each time that it does."""
        copies = 0 if chance.random() < self.loss else 2 if chance.random() < self.duplication else 1
        return [self._delay(chance) for _ in range(copies)]

    def _delay(self, chance: random.Random) -> int:
        seconds = self.delay + (chance.expovariate(1.0 / self.tail) if self.tail else 0.0)
        if chance.random() < self.late:
            seconds += chance.uniform(0.0, self.late_seconds)
        return round(seconds * SECOND)


class SimulatedNetwork:
    """Links between all nodes, each of which can be cut in either direction.

    Parameters
    ----------
    chance : random.Random
    after : callable of (int, callable)
        Does something in so many nanoseconds.
    weather : Weather
    sent : callable of bytes
        Hears of every message.
    """

    def __init__(
        self,
        chance: random.Random,
        after: Callable[[int, Callable[[], None]], None],
        weather: Weather,
        sent: Callable[[bytes], object],
    ) -> None:
        self.weather = weather
        self.cut: set[tuple[str, str]] = set()
        self.bytes: Counter[str] = Counter()
        self.messages = 0
        self._chance, self._after, self._sent = chance, after, sent
        self._gone: Counter[str] = Counter()

    def send(self, source: str, target: str, data: bytes, receive: Callable[[bytes], None]) -> None:
        """Take a message; `receive` gets it as often as it arrives, unless the link is cut now."""
        self.bytes[source] += len(data)
        self.messages += 1
        self._sent(data)
        if (source, target) in self.cut:
            return
        sent = self._gone[source]

        def arrive() -> None:
            if self._gone[source] == sent:
                receive(data)

        for delay in self.weather.arrivals(self._chance):
            self._after(delay, arrive)

    def forget(self, source: str) -> None:
        """Lose what a node has sent that is still on its way."""
        self._gone[source] += 1

    def divide(self, groups: Iterable[Iterable[str]], *, one_way: bool = False) -> None:
        """Cut every link between two groups; with `one_way`, only from an earlier one to a later one."""
        parts = [list(group) for group in groups]
        for i, first in enumerate(parts):
            for second in parts[i + 1 :]:
                self.cut.update((a, b) for a in first for b in second)
                if not one_way:
                    self.cut.update((b, a) for a in first for b in second)

    def heal(self) -> None:
        """Cut nothing."""
        self.cut.clear()
