"""Apply mutants to copies of a checkout and let its tests look at them, a few at once."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from mutants import Mutant
from reach import PACKAGE, Reach

from convergence_jax.data.digest import digest

_NOT_COPIED = (
    ".git",
    ".venv",
    "results",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "_build",
    "*.vo",
    "*.glob",
    "*.aux",
)

_ISOLATED = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'

_GOOD = (0, 5)
"""Exit statuses of pytest: all passed, nothing was to be run."""

_IMPORTED_EARLY = "ignore::pytest.PytestAssertRewriteWarning"
"""Hypothesis is imported before pytest starts."""

UNKNOWN_SECONDS = 20.0
"""What a test takes that did not run before, because a mutant changed its name."""


class Worker:
    """One copy of a checkout and a process that runs tests in it; the checkout itself is read-only for them.

    Without the right to make namespaces the tests run all the same, with no such guard.
    """

    def __init__(self, root: Path, folder: Path, cache: Path, tests: dict[str, Any]) -> None:
        self._tests, self._folder, self._copy = tests, folder, folder / "copy"
        shutil.copytree(root, self._copy, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        subprocess.run(  # bytecode that is checked against the source itself, not against its time
            [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", PACKAGE],
            cwd=self._copy,
            check=True,
        )
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        command = [sys.executable, str(self._copy / "experiments" / "mutation_score" / "forks.py")]
        self.isolated = (
            subprocess.run([*_ISOLATED, _READ_ONLY, str(root), "true"], capture_output=True).returncode == 0
        )
        if self.isolated:
            command = [*_ISOLATED, _READ_ONLY, str(root), *command]
        self._process = subprocess.Popen(
            command,
            cwd=self._copy,
            env=_environment(root, self._copy, folder, cache, tests["hypothesis_profile"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def source(self, path: str) -> str:
        """What a file of the package says in the copy."""
        return (self._copy / PACKAGE / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """Change a file of the package in the copy."""
        (self._copy / PACKAGE / path).write_text(text, encoding="utf-8")

    def pytest(self, words: list[str], seconds: dict[str, float], cache: bool = False) -> dict[str, Any]:
        """Run pytest in a fork: how it ended, and the outcome and seconds of every test."""
        args = ["-q", "-p", "no:cacheprovider", "-W", _IMPORTED_EARLY, "-m", self._tests["marked"], *words]
        job = {"args": args, "cache": cache, "log": str(self._folder / "log"), "seconds": seconds}
        job |= {
            "base": self._tests["seconds_base"],
            "times": self._tests["seconds_times"],
            "unknown": UNKNOWN_SECONDS,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that runs tests ended with {self._process.wait()}")
        done: dict[str, Any] = json.loads(line)
        if done.get("package") not in (None, "", str(self._copy / PACKAGE)):
            raise RuntimeError(f"the tests imported {done['package']}, not the copy")
        return done

    def log(self) -> str:
        """The end of what the last run printed."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]


def _environment(root: Path, copy: Path, folder: Path, cache: Path, profile: str) -> dict[str, str]:
    """Of the caller's environment, only what finds programs, so that nothing changes a result."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_PROFILE": profile,
        "CONVERGENCE_SHARED": os.environ.get("CONVERGENCE_SHARED", str(root.parent / "shared")),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9",  # read only, but where a run says otherwise
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


class Killing:
    """A run: every mutant that was not tried before, shown to one file of tests after the other.

    A file runs once without a mutant before it first runs with one.
    """

    def __init__(self, root: Path, tests: dict[str, Any], kept: Path) -> None:
        self._root, self._tests, self._kept = root, tests, kept
        self._reach = Reach(root, tests["except"])
        self._stages: dict[str, list[list[tuple[int, str]]]] = {}
        self._seconds: dict[str, float] = {}  # of each test
        self._file_seconds: dict[str, float] = {}
        self._not_passing: dict[str, list[str]] = {}  # of each file
        self._reading = defaultdict[str, threading.Lock](threading.Lock)
        self._lock = threading.Lock()
        self._done = 0

    def run(self, mutants: list[Mutant]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What became of each mutant, and what there is to say of the whole."""
        began, known = time.perf_counter(), self._tried()
        new = [mutant for mutant in mutants if _key(mutant) not in known]
        self._done = len(mutants) - len(new)
        about: dict[str, Any] = {"tried_before": self._done}
        if new:
            with ExitStack() as held:
                folder = Path(held.enter_context(TemporaryDirectory(prefix="mutation")))
                (cache := folder / "cache").mkdir()
                workers = []
                for number in range(self._tests["workers"]):
                    (own := folder / f"worker{number}").mkdir()
                    workers.append(held.enter_context(Worker(self._root, own, cache, self._tests)))
                # In one thread: Python 3.11 cannot build trees of syntax in two.
                self._stages = {mutant.path: self._reach.stages(mutant.path) for mutant in new}
                about["isolated"] = all(worker.isolated for worker in workers)
                self._share(new, workers, lambda worker, mutant: self._try(worker, mutant, len(mutants)))
            about["unmutated_seconds"] = self._file_seconds
            about["not_passing_unmutated"] = sorted(chain.from_iterable(self._not_passing.values()))
            known = self._tried()
        about["seconds"] = time.perf_counter() - began
        return [known[_key(mutant)] for mutant in mutants], about

    def _share(self, things: list[Any], workers: list[Worker], work: Callable[[Worker, Any], None]) -> None:
        """Let every worker take the next thing until none is left."""
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        errors: list[Exception] = []
        for thing in things:
            waiting.put(thing)

        def take(worker: Worker) -> None:
            try:
                while not errors:
                    work(worker, waiting.get_nowait())
            except queue.Empty:
                return
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=take, args=(worker,), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _unmutated(self, worker: Worker, name: str) -> list[str]:
        """Tests of a file that fail twice without a mutant; it is run when first asked for."""
        with self._lock:
            reading = self._reading[name]
        with reading:
            if name not in self._file_seconds:
                for _ in range(2):
                    began = time.perf_counter()
                    done = worker.pytest([name], {name: 900.0}, cache=True)
                    bad = [test for test, (outcome, _) in done["tests"].items() if outcome == "failed"]
                    if done["code"] in _GOOD:
                        break
                if done["code"] not in _GOOD and (not bad or name in bad):
                    raise RuntimeError(
                        f"{name} {done['ended']} without a mutant, {done['running']}:\n{worker.log()}"
                    )
                self._seconds |= {test: seconds for test, (_, seconds) in done["tests"].items()}
                self._not_passing[name] = bad
                self._file_seconds[name] = time.perf_counter() - began
                print(f"unmutated: {name} {self._file_seconds[name]:.1f} s, left out: {bad}", flush=True)
        return self._not_passing[name]

    def _try(self, worker: Worker, mutant: Mutant, whole: int) -> None:
        """Show one mutant to the files of tests, the closest first, until one fails."""
        source, spent = worker.source(mutant.path), 0.0
        changed = mutant.apply(source)
        passed: dict[str, int] = {}
        result = vars(mutant) | {"diff": mutant.diff(source), "outcome": "survived", "by": None}
        left = [(stage, *one) for stage, found in enumerate(self._stages[mutant.path]) for one in found]
        while left and spent < self._tests["seconds_at_most"] and result["outcome"] == "survived":
            nearest = min(left, key=lambda one: (one[:2], self._file_seconds.get(one[2], 1e9), one[2]))
            left.remove(nearest)
            name = nearest[2]
            left_out = [f"--deselect={test}" for test in self._unmutated(worker, name)]
            began = time.perf_counter()
            worker.write(mutant.path, changed)
            try:
                done = worker.pytest(["-x", *left_out, name], self._seconds)
            finally:
                worker.write(mutant.path, source)
            spent += time.perf_counter() - began
            outcomes = [outcome for outcome, _ in done["tests"].values()]
            passed[name] = outcomes.count("passed")
            if done["code"] not in _GOOD:
                failed = [test for test, (outcome, _) in done["tests"].items() if outcome == "failed"]
                result["outcome"] = "timeout" if done["ended"] == "timeout" else "killed"
                result["by"] = failed[0] if failed else done["running"] or name
        result |= {"passed": passed, "not_shown": [one[2] for one in left], "seconds": spent}
        result["settled_by"] = self._texts(result["by"])
        with self._lock:
            with open(self._kept, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            said = f"{result['outcome']:8s} {mutant.path}:{mutant.line} {mutant.operator}"
            self._done += 1
            print(f"{self._done:4d} of {whole}: {said}, {spent:.1f} s", flush=True)

    @cache  # noqa: B019 one for each run
    def _texts(self, by: str | None) -> str:
        """Digest of what settled a mutant: the file of the test that failed, or all tests if none did."""
        paths = sorted((self._root / "tests").rglob("*.py"))
        if by is not None:  # what a file of tests imports counts as part of it
            own = self._root / by.partition("::")[0]
            paths = [path for path in paths if path == own or not path.name.startswith("test_")]
        return str(digest([f"{path.relative_to(self._root)}\n{path.read_text('utf-8')}" for path in paths]))

    def _tried(self) -> dict[str, dict[str, Any]]:
        """What runs before this one, perhaps broken off, found, where the tests that settled it are the same.

        So new tests are shown to the survivors alone.
        """
        try:
            lines = self._kept.read_text(encoding="utf-8").split("\n")[:-1]  # the last one may be a part
        except FileNotFoundError:
            return {}
        return {
            _key(Mutant(**{name: one[name] for name in _KEY})): one
            for one in map(json.loads, lines)
            if one["settled_by"] == self._texts(one["by"])
        }


_KEY = ("path", "line", "operator", "occurrence")


def _key(mutant: Mutant) -> str:
    return json.dumps([getattr(mutant, name) for name in _KEY])
