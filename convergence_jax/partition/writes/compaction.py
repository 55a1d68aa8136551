"""What a journal gives up with age: rows of writes become counts, payloads go."""

import sqlite3

# Each client by one look into the index, however many writes it has there.
_CLIENTS = """
WITH RECURSIVE each(client) AS (
    SELECT min(client) FROM writes
    UNION ALL
    SELECT (SELECT min(client) FROM writes WHERE client > each.client) FROM each WHERE client IS NOT NULL)
SELECT each.client, coalesce(through, 0) FROM each LEFT JOIN clients USING (client)
WHERE each.client IS NOT NULL
"""

_WAITS = "EXISTS (SELECT 1 FROM waiting AS a WHERE a.client = w.client AND a.sequence = w.sequence)"

_SPAN = "client = ? AND sequence >= ? AND sequence < ?"

_FOLD = f"""
INSERT INTO clients
SELECT client, max(sequence) + 1, count(*), sum(events), sum(iif(kind = 'retract', events, 0)) FROM writes
WHERE {_SPAN} GROUP BY client
ON CONFLICT (client) DO UPDATE SET through = excluded.through, writes = writes + excluded.writes,
    events = events + excluded.events, removed = removed + excluded.removed
"""


def fold(db: sqlite3.Connection, before: float, limit: int) -> int:
    """Turn rows of old writes into the counts of their clients, as far as no sequence is missing.

    Parameters
    ----------
    db : sqlite3.Connection
        The journal, in a transaction.
    before : float
        Writes accepted before this instant are old; those with anything waiting are not folded.
    limit : int
        How many writes at most.

    Returns
    -------
    int
        How many were folded.
    """
    folded = 0
    for client, first in db.execute(_CLIENTS).fetchall():
        end = _end(db, client, first, before, first + limit - folded)
        if end > first:
            span = (client, first, end)
            db.execute(_FOLD, span)
            db.execute(f"DELETE FROM payloads WHERE id IN (SELECT id FROM writes WHERE {_SPAN})", span)
            db.execute(f"DELETE FROM writes WHERE {_SPAN}", span)
            folded += end - first
    return folded


def _end(db: sqlite3.Connection, client: str, first: int, before: float, limit: int) -> int:
    """The sequence after the last that can be folded, at most `limit`."""
    rows = db.execute(
        f"SELECT sequence, accepted < ? AND NOT {_WAITS} FROM writes AS w "
        "WHERE client = ? AND sequence >= ? AND sequence < ? ORDER BY sequence",
        (before, client, first, limit),
    )
    end = first
    for sequence, old in rows:
        if sequence != end or not old:
            break
        end += 1
    rows.close()  # the rows change next
    return end


def strip(db: sqlite3.Connection, before: float, limit: int) -> int:
    """Drop the payloads of old writes that could not be folded, so that a missing sequence holds up no bytes.

    Parameters
    ----------
    db, before, limit : sqlite3.Connection, float, int
        As for :func:`fold`.

    Returns
    -------
    int
        How many were dropped.
    """
    old = db.execute(
        f"SELECT id FROM writes AS w WHERE accepted < ? AND kept = 1 AND NOT {_WAITS} LIMIT ?",
        (before, limit),
    ).fetchall()
    db.executemany("DELETE FROM payloads WHERE id = ?", old)
    db.executemany("UPDATE writes SET kept = 0 WHERE id = ?", old)
    return len(old)
