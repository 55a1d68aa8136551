"""The code gives the answers of the definitions that the theorems are about: no prover is needed."""

import importlib.util

import pytest

from convergence_jax.errors import InputError
from convergence_jax.fpga.host import Host
from proofs.coq import constants
from proofs.oracle import draws, program, run, vectors
from proofs.oracle.answers import FORMATS, Code, OpenCl


def differences(code, kind):
    """Cases that a code answers otherwise than the oracle did."""
    cases, wanted = vectors.read(kind)
    answers = zip(cases, wanted, code.answers(cases), strict=True)
    return [(case, right, answer) for case, right, answer in answers if answer != right]


@pytest.mark.parametrize("kind", draws.KINDS)
def test_numpy_gives_the_answers_of_the_proved_definitions(kind):
    assert differences(Code(), kind) == []


@pytest.mark.parametrize("kind", draws.KINDS)
def test_compiled_jax_gives_the_answers_of_the_proved_definitions(kind):
    assert differences(Code(compiled=True), kind) == []


@pytest.fixture(scope="module")
def host(require):
    """An OpenCL device."""
    require("opencl", importlib.util.find_spec("pyopencl") is not None, "pyopencl is not installed")
    try:
        return Host()
    except InputError as error:
        require("opencl", False, str(error))
        raise


@pytest.mark.parametrize("kind", OpenCl.KINDS)
def test_the_kernels_give_the_answers_of_the_proved_definitions(kind, host):
    assert differences(OpenCl(host), kind) == []


def test_the_cases_hold_what_a_sum_could_get_wrong():
    found = {kind: vectors.read(kind) for kind in FORMATS}
    fields = [answer.split() for _, answers in found.values() for answer in answers]
    assert all(any("-" in case.split() for case in cases) for cases, _ in found.values())
    for kind in (1, 2, 3):  # NaN, and infinities of both signs
        assert any(int(row[kind]) > 0 for row in fields)
        assert any(int(row[kind]) < 0 for row in fields)  # more removed than merged
    assert len({row[4] for row in fields}) > len(fields) // 2


def test_code_that_rounds_twice_or_forgets_a_term_is_noticed():
    for kind, wrong in (("float64", run._rounded_twice), ("float32", run._forgetful)):
        cases, wanted = vectors.read(kind)
        assert wrong(cases) != wanted


def test_each_draw_is_the_same_again_and_another_seed_is_another():
    assert draws.draw("float64", 5, 1) == draws.draw("float64", 5, 1) != draws.draw("float64", 5, 2)
    assert sum(draws.numbers(20_001).values()) == 20_001


def test_without_a_prover_all_is_skipped_and_nothing_passed(monkeypatch):
    monkeypatch.setattr(program, "missing", lambda: "coqc")
    assert [(o.state, o.detail) for o in run.run(10)] == [("SKIPPED", "coqc is not installed")]


def test_a_wrong_oracle_differs_from_the_code_in_constants_that_are_there_once():
    assert constants.text(run.ALTERED) != constants.text()
    with pytest.raises(ValueError, match="occurs 0 times"):
        constants.text([("no such line", "")])
