"""How a run and its terminal speak: a bar a stage one way, Ctrl-C the other."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interruption:
    """While it lasts, Ctrl-C and a request to terminate unwind alike, so that nothing half-written stays.

    An exception that is raised while compiled code calls back into Python is lost there. So the request is
    kept as well, and :meth:`heed` raises it again; a run calls it at every step.
    """

    _requested = False

    def __enter__(self) -> None:
        Interruption._requested = False
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._keep_quiet
        try:
            self._former = {
                number: signal.signal(number, self._request)
                for number in (signal.SIGINT, signal.SIGTERM)
                if signal.getsignal(number) is not signal.SIG_IGN
            }
        except ValueError:  # not the main thread
            self._former = {}

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._unraisable
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _keep_quiet(self, lost: "sys.UnraisableHookArgs") -> None:
        """Say nothing of an interruption that got lost: it is heeded at the next step."""
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            self._unraisable(lost)

    @staticmethod
    def _request(number: int, frame: object) -> None:
        Interruption._requested = True
        raise KeyboardInterrupt

    @staticmethod
    def heed() -> None:
        """Raise KeyboardInterrupt if one was asked for since this began."""
        if Interruption._requested:
            raise KeyboardInterrupt


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """A function of stage and fraction done, and its bars on standard error."""
    if not sys.stderr.isatty():
        yield lambda stage, done: Interruption.heed()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def show(stage: str, done: float) -> None:
            Interruption.heed()
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=done)  # type: ignore[arg-type]

        yield show
