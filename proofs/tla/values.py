"""States as TLC prints them, as Python values.

A number is an int, a string a str, a sequence a tuple, a set a frozenset, and a record or function a `Frozen`
dictionary, so that sets can hold it.
"""

import re
from collections.abc import Iterator
from typing import Any

State = dict[str, Any]

_TOKENS = re.compile(r'\s*("[^"]*"|-?\d+|\w+|<<|>>|\|->|:>|@@|[{}\[\](),])')
_STATE = re.compile(r"^(?:State \d+:.*|STATE_\d+ ==.*)$", re.MULTILINE)
_VARIABLE = re.compile(r"^(?:/\\ )?(\w+) = ", re.MULTILINE)


class Frozen(dict[Any, Any]):
    """A dictionary that nobody alters."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKENS.findall(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if wanted and token != wanted:
            raise ValueError(f"{wanted} was expected, not {token!r}")
        self._at += 1
        return token

    def several(self, end: str) -> Iterator[Any]:
        while self.peek() != end:
            yield self.value()
            if self.peek() == ",":
                self.take()
        self.take(end)

    def value(self) -> Any:
        token = self.take()
        if token == "<<":
            return tuple(self.several(">>"))
        if token == "{":
            return frozenset(self.several("}"))
        if token == "[":
            return self._record()
        if token == "(":
            return self._function()
        if token in ("TRUE", "FALSE"):
            return token == "TRUE"
        if token.startswith('"'):
            return token[1:-1]
        return int(token)

    def _record(self) -> Frozen:
        fields = Frozen()
        while self.peek() != "]":
            name = self.take()
            self.take("|->")
            fields[name] = self.value()
            if self.peek() == ",":
                self.take()
        self.take("]")
        return fields

    def _function(self) -> Frozen:
        pairs = Frozen()
        while True:
            place = self.value()
            self.take(":>")
            pairs[place] = self.value()
            if self.take() == ")":
                return pairs


def value(text: str) -> Any:
    """A value of TLA+ as TLC prints it.

    Raises
    ------
    ValueError
        If it is none.
    """
    return _Reader(text).value()


def states(text: str) -> list[State]:
    """All states of a trace, out of the text of a trace file or of what TLC printed."""
    found = []
    for block in _STATE.split(text)[1:]:
        block = block.partition("\n\n")[0].partition("\n====")[0]
        parts = _VARIABLE.split(block)[1:]
        found.append({name: value(written) for name, written in zip(parts[::2], parts[1::2], strict=True)})
    return found
