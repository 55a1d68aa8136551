"""What a check of one thing says, and how it is printed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Outcome:
    """One line of the checker.

    Attributes
    ----------
    part, name : str
        Which prover, and what it looked at.
    state : str
        "ok", "FAILED", or "SKIPPED" where a tool is not installed: never counted as passed.
    detail : str
        What was seen.
    seconds : float
    """

    part: str
    name: str
    state: str = "ok"
    detail: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.state:8}{self.part:8}{self.seconds:7.1f} s  {self.name}" + (
            f": {self.detail}" if self.detail else ""
        )

    def fail(self, detail: str) -> "Outcome":
        """This, as a failure."""
        self.state, self.detail = "FAILED", detail
        return self


@contextmanager
def timed(part: str, name: str) -> Iterator[Outcome]:
    """An outcome that knows how long it took."""
    outcome, began = Outcome(part, name), time.monotonic()
    try:
        yield outcome
    finally:
        outcome.seconds = time.monotonic() - began
