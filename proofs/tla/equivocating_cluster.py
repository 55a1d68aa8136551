"""`EquivocatingCluster`: replicas shown the rows of a node that contradicts itself: Equivocation.tla."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from convergence_jax.partition.rows import gossip, messages
from convergence_jax.partition.rows.cells import Cells
from convergence_jax.partition.rows.encoding import encode
from convergence_jax.partition.rows.messages import Dictionary, News
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.rows.row import Head, Incarnation
from proofs.tla.cast import CLUSTER, STATISTIC, roster, signing_key

LIAR = "n1"


class EquivocatingCluster:
    """Real replicas in the place of those of the specification; parameters as of `GossipingCluster`."""

    def __init__(self, folder: Path, nodes: list[str], constants: dict[str, int]) -> None:
        self._roster = roster([LIAR, *nodes])
        self._texts: dict[bytes, str] = {}
        self._counter = 0
        self._replicas: dict[str, Replica] = {}
        for node in nodes:
            self._forget(node)

    def close(self) -> None:
        """Nothing to let go of."""

    def take(self, event: list[Any]) -> None:
        """One step of the specification."""
        name, *arguments = event
        {
            "Start": lambda: None,
            "Sign": lambda row: None,
            "Show": self._show,
            "Carry": self._carry,
            "Prove": self._prove,
            "Forget": self._forget,
        }[name](*arguments)

    def _forget(self, node: str) -> None:
        self._counter += 1
        key = Incarnation(node, self._counter, 0)
        self._replicas[node] = Replica(self._roster, key, sign=signing_key(node).sign)
        self._replicas[node].publish({}, now=0, added=0, removed=0)

    def _show(self, node: str, row: dict[str, Any]) -> None:
        """The liar's key signs, and its row arrives in a message."""
        statistic = self._roster.roster.schemas[STATISTIC].statistic
        value = float(1 + ord(row["text"]) - ord("a"))
        cells = {STATISTIC: encode(statistic.total(statistic.lift(np.array([[value]]))))}
        content = Cells()
        content.apply(content.patch(cells), 1)
        key = Incarnation(LIAR, row["incarnation"], 0)
        head = Head(key, row["version"], key.counter, 1, 0, False, 1, 0, (), content.digest)
        self._texts[content.digest] = row["text"]
        dictionary = Dictionary([(key, 0)])
        update = dictionary.update(head, 0, cells, signing_key(LIAR).sign(head.body(CLUSTER)))
        self._receive(node, News(messages.FORMAT, b"", dictionary.keys, [update], [], []))

    def _carry(self, sender: str, receiver: str) -> None:
        replica = self._replicas[sender]
        others = {key: row.head.version for key, row in replica.table.items() if key.node != LIAR}
        news = gossip.push(replica, others, messages.MAX_BYTES)
        if news is not None:  # its proofs travel in other steps
            self._receive(receiver, msgspec.structs.replace(news, conflicts=[]))

    def _prove(self, sender: str, receiver: str, incarnation: int) -> None:
        proof = self._replicas[sender].conflicts[Incarnation(LIAR, incarnation, 0)]
        self._receive(receiver, News(messages.FORMAT, b"", [], [], [proof], []))

    def _receive(self, node: str, news: News) -> None:
        sent = messages.decode(messages.encode(news))
        assert isinstance(sent, News)
        gossip.receive(self._replicas[node], sent)
        assert not self._replicas[node].refused, self._replicas[node].refused

    def view(self, node: str) -> dict[str, Any]:
        """What a replica holds of the liar, in the words of the specification."""
        replica = self._replicas[node]
        held = [row for key, row in replica.table.items() if key.node == LIAR]
        proofs = sorted(key.counter for key in replica.conflicts)
        assert replica.excluded == ({LIAR} if proofs else set())
        counted = int(replica.total(STATISTIC).count)
        assert counted == (0 if proofs else len(held)), "what is excluded counts nowhere"
        rows = [[row.head.key.counter, row.head.version, self._texts[row.head.digest]] for row in held]
        return {"rows": rows, "proofs": proofs}

    def settle(self) -> str:
        """Let all exchange: what is then wrong, empty if nothing is."""
        replicas = list(self._replicas.values())
        for turn in range(4):
            salt = hashlib.sha256(b"%d" % turn).digest()[:8]
            for asker in replicas:
                for other in replicas:
                    if asker is not other:
                        news = gossip.answer(other, gossip.digest(asker, 0, salt))
                        gossip.receive(asker, news)
                        rest = gossip.fulfil(asker, news)
                        if rest is not None:
                            gossip.receive(other, rest)
        alike = {(replica.excluded, replica.digest()) for replica in replicas}
        return "" if len(alike) == 1 else "in the end the replicas do not exclude alike"
