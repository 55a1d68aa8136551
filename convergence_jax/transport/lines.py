"""What a peer or an exception says, as one line for people."""

import sys

_LONGEST = 300


def one_line(message: object) -> str:
    """A message as one line of at most 300 characters; what would not print is escaped."""
    text = " ".join(str(message)[: 4 * _LONGEST].split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)[:_LONGEST]


def to_standard_error(line: str) -> None:
    """Write a line to standard error at once."""
    print(line, file=sys.stderr, flush=True)
