"""`Links`: a node's own link switch, for tests where the network itself cannot be cut."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Links:
    """Peers that nothing is sent to, and peers that nothing is taken from.

    Attributes
    ----------
    outgoing, incoming : frozenset of str
        Names of members.
    """

    outgoing: frozenset[str] = field(default_factory=frozenset)
    incoming: frozenset[str] = field(default_factory=frozenset)

    def block(self, outgoing: Iterable[str], incoming: Iterable[str]) -> None:
        """Cut these links and no others."""
        self.outgoing, self.incoming = frozenset(outgoing), frozenset(incoming)

    @property
    def blocked(self) -> list[str]:
        """Peers with a cut link, sorted."""
        return sorted(self.outgoing | self.incoming)
