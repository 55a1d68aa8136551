"""All the exceptions that the library defines; everything else is a ``ValueError`` or a ``TypeError``."""

import difflib
from collections.abc import Sequence


class FaultError(ValueError):
    """A state counts observations that it could not hold; raised by :func:`~convergence_jax.check`."""


class StaleError(RuntimeError):
    """An answer would be older than the caller allows."""


class RemoteError(RuntimeError):
    """A peer refused, failed or broke the protocol."""


class InputError(ValueError):
    """What the user gave cannot be used: one line that names the place and says what to do.

    Parameters
    ----------
    line : str
        Names out of files may hold anything: what would not print is escaped.
    """

    def __init__(self, line: str) -> None:
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in line))


def closest(name: str, known: Sequence[str]) -> str:
    """The end of an error line about a name that does not exist: the likeliest one, or all."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return f"; there are: {listed}."


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its full stop, or its type."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
