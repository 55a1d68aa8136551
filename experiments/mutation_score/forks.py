"""A process that has JAX imported, not yet started, and forks for every run of pytest that it is asked for.

It reads jobs, one JSON object a line: ``args`` of pytest, the ``log`` to write, whether to fill JAX's
``cache``, and how many ``seconds`` each test takes usually. It answers each with how pytest ``ended``, its
``code``, and the outcome and seconds of every test. Nothing that a test starts outlives the job.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

IMPORTED = (
    "jax",
    "jax.numpy",
    "jax.export",
    "numpy",
    "scipy.stats",
    "mpmath",
    "hypothesis.strategies",
    "pytest",
)
"""What every fork has at once; none of them starts a thread, and the package is not among them."""

COLLECT_SECONDS = 120.0


class Watch:
    """Tell of every test, and stop Hypothesis from looking for simpler examples of a failure."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._began = 0.0

    def tell(self, **what: Any) -> None:
        """One line to the process that waits."""
        os.write(self._pipe, (json.dumps(what) + "\n").encode())

    def pytest_collection(self) -> None:
        """After ``conftest.py`` chose a profile, before tests read it."""
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", settings(), phases=phases, report_multiple_bugs=False)
        settings.load_profile("mutation")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test starts."""
        self._began = time.perf_counter()
        self.tell(start=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A phase of a test is over."""
        if report.when == "teardown" or report.outcome != "passed":
            self.tell(test=report.nodeid, outcome=report.outcome, seconds=time.perf_counter() - self._began)

    def pytest_collectreport(self, report: Any) -> None:
        """A file was read, or could not be."""
        if report.outcome == "failed":
            self.tell(test=report.nodeid, outcome="failed", seconds=0.0)


def serve() -> None:
    """Answer until the input ends."""
    for name in IMPORTED:
        importlib.import_module(name)
    _adopt()
    if len(os.listdir("/proc/self/task")) > 1:
        raise SystemExit("forks: threads run already, so forking is not safe")
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(job: dict[str, Any]) -> dict[str, Any]:
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(there)
        _test(job, here)
    os.close(here)
    try:
        return _listen(job, there)
    finally:
        os.close(there)
        _end(child)


def _test(job: dict[str, Any], pipe: int) -> None:
    """Run pytest in the fork, which ends here."""
    code = 70
    try:
        os.setsid()
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for to in (1, 2):
            os.dup2(log, to)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        import jax
        import pytest

        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0 if job["cache"] else 1e9)
        watch = Watch(pipe)
        code = int(pytest.main(job["args"], plugins=[watch]))
        watch.tell(code=code, package=_package())
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _package() -> str:
    module = sys.modules.get("convergence_jax")
    return str(Path(str(module.__file__)).resolve().parent) if module else ""


def _listen(job: dict[str, Any], pipe: int) -> dict[str, Any]:
    """Gather what the fork tells, as long as it tells in time."""
    tests: dict[str, list[Any]] = {}
    running, rest, deadline = "", b"", time.monotonic() + COLLECT_SECONDS
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return {"code": None, "ended": "timeout", "running": running, "tests": tests}
        data = os.read(pipe, 65536)
        if not data:
            return {"code": None, "ended": "died", "running": running, "tests": tests}
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "code" in told:
                return {"ended": "ran", "running": "", "tests": tests, **told}
            if "start" in told:
                running = told["start"]
            elif tests.get(told["test"], ["passed"])[0] == "passed":
                tests[told["test"]] = [told["outcome"], told["seconds"]]
            usual = job["seconds"].get(running, job["unknown"])
            deadline = time.monotonic() + job["base"] + job["times"] * usual


def _adopt() -> None:
    """Become the parent of what a fork leaves behind, so that it can be found."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _end(child: int) -> None:
    """End a fork and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # it leads a session, unless it had no time to
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for process in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


if __name__ == "__main__":
    serve()
