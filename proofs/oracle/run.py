"""Compare the code with the definitions that the theorems are about: ``python -m proofs.oracle.run 1000000``.

Every answer is compared exactly, as text. Wrong oracles and wrong code are run as well, and must disagree.
"""

import importlib.util
import struct
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import jax
import numpy as np

from proofs.coq import constants
from proofs.oracle import draws, program, vectors
from proofs.outcome import Outcome, timed

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

from convergence_jax.errors import InputError  # noqa: E402
from proofs.oracle.answers import FORMATS, Code, OpenCl  # noqa: E402

AT_ONCE = 20_000
"""Cases in memory."""
WORKERS = 2

Answers = Callable[[Sequence[str]], list[str]]

ALTERED = [
    ("lsb=-1074, digits", "lsb=-1073, digits"),
    (
        "EXP_TABLE = _powers_of_two(TABLE_STEPS)",
        "EXP_TABLE = tuple(x + (i == 77) for i, x in enumerate(_powers_of_two(TABLE_STEPS)))",
    ),
]
"""Constants of a wrong oracle."""


def run(cases: int = 20_000) -> list[Outcome]:
    """So many random cases in all; an outcome for each kind and implementation."""
    if lacking := program.missing():
        return [Outcome("oracle", "everything", "SKIPPED", f"{lacking} is not installed")]
    with tempfile.TemporaryDirectory() as place:
        try:
            with timed("oracle", "definitions extracted and compiled, rightly and wrongly") as made:
                right, wrong = _programs(Path(place))
        except RuntimeError as error:
            return [Outcome("oracle", "definitions extracted and compiled").fail(str(error))]
        codes: dict[str, Code] = {"NumPy": Code(), "compiled JAX": Code(compiled=True)}
        lacking = _add_opencl(codes)
        with ThreadPoolExecutor(WORKERS) as pool:
            numbers = draws.numbers(cases)
            found = pool.map(lambda kind: _compare(kind, numbers[kind], right, codes), numbers)
            outcomes = [made, *(outcome for some in found for outcome in some)]
        if lacking:
            outcomes.append(Outcome("oracle", "OpenCL", "SKIPPED", lacking))
        return [*outcomes, _vectors(right), *_mutants(right, wrong)]


def _programs(folder: Path) -> tuple[Answers, Answers]:
    """The oracle, and one with altered constants."""

    def made(name: str, text: str) -> Answers:
        (folder / name).mkdir()
        file = program.make(folder / name, text)
        return lambda cases: program.ask(file, cases)

    with ThreadPoolExecutor(WORKERS) as pool:
        right, wrong = pool.map(made, ("right", "wrong"), (constants.text(), constants.text(ALTERED)))
    return right, wrong


def _add_opencl(codes: dict[str, Code]) -> str:
    """Why there is no OpenCL, empty if there is."""
    if importlib.util.find_spec("pyopencl") is None:
        return "pyopencl is not installed"
    from convergence_jax.fpga.host import Host

    try:
        codes["OpenCL"] = OpenCl(Host())
    except InputError as error:
        return str(error)
    return ""


_ONE_AT_A_TIME = Lock()


def _compare(kind: str, number: int, oracle: Answers, codes: dict[str, Code]) -> list[Outcome]:
    """Every implementation that has this kind, on the same cases."""
    able = {name: code for name, code in codes.items() if kind in getattr(code, "KINDS", draws.KINDS)}
    outcomes = {name: Outcome("oracle", f"{kind}, {name}") for name in able}
    wrong, compared = dict.fromkeys(able, 0), dict.fromkeys(able, 0)
    for seed, start in enumerate(range(0, number, AT_ONCE)):
        cases = draws.draw(kind, min(AT_ONCE, number - start), seed)
        right = oracle(cases)
        for name, code in able.items():
            if seed and isinstance(code, OpenCl) and kind in FORMATS:
                continue  # its sums are collected one by one
            compared[name] += len(cases)
            with timed("oracle", kind) as spent:
                if isinstance(code, OpenCl):
                    with _ONE_AT_A_TIME:
                        answers = code.answers(cases)
                else:
                    answers = code.answers(cases)
            outcomes[name].seconds += spent.seconds
            for case, wanted, answer in zip(cases, right, answers, strict=True):
                if answer != wanted:
                    if not wrong[name]:
                        outcomes[name].fail(f"{case}\n    the oracle: {wanted}\n    the code:   {answer}\n")
                    wrong[name] += 1
    for name, outcome in outcomes.items():
        outcome.detail = (
            f"{compared[name]} cases, {wrong[name]} disagreements{outcome.detail and ', the first: '}"
            + (outcome.detail)
        )
    return list(outcomes.values())


def _vectors(oracle: Answers) -> Outcome:
    """The kept answers are the oracle's."""
    with timed("oracle", "vectors as kept") as outcome:
        number = 0
        for kind in draws.KINDS:
            cases, answers = vectors.read(kind)
            number += len(cases)
            if not cases or oracle(cases) != answers:
                return outcome.fail(f"{kind}: run python -m proofs.oracle.run --write-vectors")
        outcome.detail = f"{number} cases"
    return outcome


# Wrong oracles and wrong code


def _forgetful(cases: Sequence[str]) -> list[str]:
    """The last term that is merged is left out."""
    rows = [case.split() for case in cases]
    ends = [row.index("-") if "-" in row else len(row) for row in rows]
    dropped = [row[: max(end - 1, 1)] + row[end:] for row, end in zip(rows, ends, strict=True)]
    return Code().answers([" ".join(row) for row in dropped])


def _rounded_twice(cases: Sequence[str]) -> list[str]:
    """float32 by way of float64."""
    made = []
    for answer in Code().answers(cases):
        *front, bits, _ = answer.split()
        with np.errstate(all="ignore"):
            narrow = np.frombuffer(struct.pack("<Q", int(bits)), np.float64).astype(np.float32)
        made.append(" ".join([*front, bits, str(int(narrow.view(np.uint32)[0]))]))
    return made


def _mutants(right: Answers, wrong: Answers) -> list[Outcome]:
    """Each must disagree with what is right, on cases like those that were compared."""
    pairs: list[tuple[str, str, Answers, Answers]] = [
        ("an oracle whose unit of float64 is twice too large", "float64", wrong, Code().answers),
        ("an oracle with one entry of EXP_TABLE off by one", "exp", wrong, Code().answers),
        ("code that forgets the last term", "float32", right, _forgetful),
        ("code that rounds to float64 before float32", "float64", right, _rounded_twice),
    ]
    outcomes = []
    for name, kind, oracle, code in pairs:
        with timed("oracle", f"mutant: {name}") as outcome:
            cases = draws.draw(kind, 3_000 if kind == "exp" else 500, vectors.SEED + 1)
            differ = sum(a != b for a, b in zip(oracle(cases), code(cases), strict=True))
            outcome.detail = f"refused by {differ} of {len(cases)} cases"
            if not differ:
                outcome.fail(f"no case of {len(cases)} tells")
        outcomes.append(outcome)
    return outcomes


def main() -> int:
    """Exit status 1 where anything failed."""
    arguments = sys.argv[1:]
    if arguments == ["--write-vectors"]:
        with tempfile.TemporaryDirectory() as place:
            file = program.make(Path(place), constants.text())
            vectors.write(lambda cases: program.ask(file, cases))
        return 0
    outcomes = run(*map(int, arguments[:1]))
    print(*outcomes, sep="\n")
    return 1 if any(outcome.state == "FAILED" for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
