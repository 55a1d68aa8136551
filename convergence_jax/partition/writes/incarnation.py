"""The counter of a node's incarnations: a small file beside its journal that only moves forward.

It is no part of the journal, so that no backup contains it: a restored node counts on, and never speaks
under the name of an incarnation that its peers know.
"""

from pathlib import Path

from convergence_jax.errors import InputError
from convergence_jax.partition.writes.durable_files import put_in_place


def next_incarnation(previous: int, seconds: float) -> int:
    """The counter of a new incarnation: later than the last one, also where the record of that was lost.

    Parameters
    ----------
    previous : int
        Counter of the last incarnation; 0 where it is not known.
    seconds : float
        Seconds since the epoch, now.

    Returns
    -------
    int
        ``max(previous + 1, floor(seconds))``. No node starts once a second for long, so the clock alone
        moves past every earlier counter.
    """
    return max(previous + 1, int(seconds))


def last_incarnation(journal: Path) -> int:
    """The counter that was noted last beside a journal.

    Parameters
    ----------
    journal : Path
        The journal.

    Returns
    -------
    int
        0 if none was.

    Raises
    ------
    InputError
        If the file holds something else.
    """
    place = _place(journal)
    try:
        return int(place.read_text())
    except FileNotFoundError:
        return 0
    except ValueError as error:
        raise InputError(f"{place}: holds no counter: delete it, the next one follows the clock") from error


def note_incarnation(journal: Path, counter: int) -> None:
    """Note a counter beside a journal; on return it is durable.

    Parameters
    ----------
    journal : Path
        The journal.
    counter : int
        Higher than the last one.

    Raises
    ------
    ValueError
        If it is not.
    """
    last = last_incarnation(journal)
    if counter <= last:
        raise ValueError(f"{journal}: incarnation {counter} does not follow {last}")
    place = _place(journal)
    draft = place.with_name(place.name + ".new")
    draft.write_text(f"{counter}\n")
    put_in_place(draft, place)


def _place(journal: Path) -> Path:
    return journal.with_name(journal.name + ".incarnation")
