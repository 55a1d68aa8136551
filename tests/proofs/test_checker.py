"""The checker of proofs: what is missing is skipped and never passed, and what is altered is noticed."""

import pytest

from proofs.coq import build, constants


def test_without_coq_all_is_skipped_and_nothing_passed(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    assert [outcome.state for outcome in build.run()] == ["SKIPPED"]


def test_every_file_of_proofs_has_a_wrong_version_of_itself_that_changes_one_place():
    wrong = build.tomllib.loads((build.HERE / "mutants.toml").read_text())["mutant"]
    for mutant in wrong:
        of_code = mutant["file"] == constants.SOURCE.name
        path = constants.SOURCE if of_code else build.HERE / mutant["file"]
        assert path.read_text().count(mutant["old"]) == 1, mutant
    assert {path.name for path in build.sources()} <= {m.get("by", m["file"]) for m in wrong}


def test_the_constants_that_are_listed_are_those_of_the_code():
    listed = build.STATEMENTS.read_text()
    assert build._constants(constants.text()) + "\n" in listed


@pytest.mark.parametrize("line", [3, 4])
def test_an_error_counts_as_a_refutation_within_a_proof_only(line):
    source = "Definition a := 1.\nLemma b : a = 1.\nProof.\n  reflexivity.\nQed.\nDefinition c := a.\n"
    assert build._inside_a_proof(source, line)
    assert not build._inside_a_proof(source, 1)
    assert not build._inside_a_proof(source, 6)


def test_nothing_is_admitted_and_no_axiom_is_our_own():
    for path in build.sources():
        words = path.read_text().replace("\n", " ").split()
        assert not {"Admitted.", "admit.", "Axiom", "Parameter", "Conjecture"} & set(words), path.name
