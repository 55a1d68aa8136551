"""Tables of rows joined on an OpenCL device: the later version of each, conflicts for good."""

from dataclasses import dataclass

import numpy as np

from convergence_jax.fpga.host import Host

DIGEST_WORDS = 4
"""Words of a digest: SHA-256."""

_HEAD_WORDS = 2 + DIGEST_WORDS


@dataclass(frozen=True, eq=False)
class Rows:
    """One row for each slot of a table; a slot belongs to one writer, whoever holds the table.

    Attributes
    ----------
    version : UInt64[ndarray, "n"]
        From 1; 0 where a slot holds nothing.
    digest : UInt64[ndarray, "n 4"]
        Of whatever the writer says in this version, its payload included.
    payload : UInt64[ndarray, "n words"]
        The same for the same digest: nobody compares it.
    conflict : Bool[ndarray, "n"]
        True where the writer has contradicted itself.

    Raises
    ------
    TypeError
        If an array is of another type.
    ValueError
        If an array has another shape, or a slot that holds nothing or a conflict is not zero in all else. So
        there is one pattern of bits for nothing and one for a conflict.
    """

    version: np.ndarray
    digest: np.ndarray
    payload: np.ndarray
    conflict: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in (
            ("version", "uint64"),
            ("digest", "uint64"),
            ("payload", "uint64"),
            ("conflict", "bool"),
        ):
            if getattr(self, name).dtype != dtype:
                raise TypeError(f"Rows: {name} must be {dtype}, got {getattr(self, name).dtype}.")
        n, words = self.version.size, self.payload.shape[-1] if self.payload.ndim == 2 else "words"
        wanted = {"version": (n,), "digest": (n, DIGEST_WORDS), "payload": (n, words), "conflict": (n,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Rows: {name} must have the shape {shape}, got {getattr(self, name).shape}."
                )
        said = self.digest.any(axis=1) | self.payload.any(axis=1)
        if (said & (self.version == 0)).any() or (self.conflict & (self.version != 0)).any():
            raise ValueError("Rows: a slot that holds nothing, or a conflict, must be zero in all else.")

    def __len__(self) -> int:
        return len(self.version)

    @property
    def words(self) -> int:
        """Words of a payload."""
        return int(self.payload.shape[1])


def no_rows(n: int, words: int) -> Rows:
    """A table whose slots hold nothing: the identity of :func:`join`."""
    digest, payload = np.zeros((n, DIGEST_WORDS), np.uint64), np.zeros((n, words), np.uint64)
    return Rows(np.zeros(n, np.uint64), digest, payload, np.zeros(n, np.bool_))


def join(host: Host, a: Rows, b: Rows) -> Rows:
    """What two tables together say of each slot.

    Parameters
    ----------
    host : Host
    a, b : Rows
        Of as many slots and words.

    Returns
    -------
    Rows
        Of each slot the row of the higher version, or either where versions and digests are equal. A conflict
        where one version has two digests, or where either is a conflict.

    Raises
    ------
    ValueError
        If the tables differ in slots or words.
    InputError
        If the device has not enough memory.

    Notes
    -----
    Idempotent, commutative and never below what went into it, in bits: ``join(x, join(x, y)) == join(x, y)``.
    Nothing is the identity, and a conflict absorbs everything. Among rows of writers that never contradict
    themselves it is the join of a lattice, in each slot a chain of versions: associative and monotone. So it
    is for other writers too, unless a third row is later than two that contradict each other: then those two
    may each meet the third first, and nobody sees them side by side. That comes with keeping nothing but the
    later of two rows.

    It mirrors how :class:`~convergence_jax.partition.rows.replica.Replica` joins a whole row with the one
    that it holds under the same key: `digest` is that of the head, :attr:`Row.mark
    <convergence_jax.partition.rows.replica.Row.mark>`, and a conflict says that the replica holds a proof.
    Not mirrored are signatures, rosters and proofs themselves, rows sent as changes since a version,
    incarnations that a later one of their node takes in, a conflict's reach over its node's other
    incarnations, and that a replica takes its own row from nobody.
    """
    if (len(a), a.words) != (len(b), b.words):
        raise ValueError(
            f"join: tables of {len(a)} rows of {a.words} words and {len(b)} of {b.words} differ."
        )
    n, width = len(a), _HEAD_WORDS + a.words
    joined = host.empty(8 * n * width)
    if n:
        tables = host.put(_pack(a)), host.put(_pack(b))
        host.run("join_rows", host.workers, *tables, np.uint64(n), np.uint32(a.words), joined)
    table = host.get(joined, (n, width), np.uint64)
    digest, payload = table[:, 2:_HEAD_WORDS].copy(), table[:, _HEAD_WORDS:].copy()
    return Rows(table[:, 1].copy(), digest, payload, table[:, 0] != 0)


def _pack(rows: Rows) -> np.ndarray:
    """One row of words for each slot, as ``join.cl`` reads them."""
    head = np.stack([rows.conflict.astype(np.uint64), rows.version], axis=1)
    return np.concatenate([head, rows.digest, rows.payload], axis=1)
