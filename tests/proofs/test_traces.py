"""Behaviours of the specifications in proofs/tla, taken step by step on the real classes."""

import pytest

from convergence_jax.partition.participant import Participant
from convergence_jax.partition.rows.replica import Replica
from convergence_jax.partition.writes.journal import SqliteJournal
from proofs.tla import replay, run, tlc
from proofs.tla.values import states, value

TRACES = {module: replay.read(run.COMMITTED / f"{module}.jsonl") for module in ("Gossip", "Equivocation")}
PLACES = [(module, number) for module, traces in TRACES.items() for number in range(len(traces))]


@pytest.mark.parametrize(("module", "number"), PLACES)
def test_the_code_does_what_the_specification_does(module, number, tmp_path):
    assert replay.replay(TRACES[module][number], tmp_path) == ""


def events(module):
    """Names of all steps of a module's traces."""
    return {event[0] for trace in TRACES[module] for event, _ in trace["steps"]}


def test_the_traces_hold_every_kind_of_step():
    named = {"Start", "Tick", "Begin", "Commit", "Publish", "Crash", "Restart", "Ask", "Carry"}
    assert events("Gossip") == named
    assert events("Equivocation") == {"Start", "Sign", "Show", "Carry", "Prove", "Forget"}
    views = [view for trace in TRACES["Gossip"] for _, changed in trace["steps"] for view in changed.values()]
    assert any(max((view.get("missing") or {"": 0}).values()) > 0 for view in views)
    assert any(len(view.get("acknowledged", ())) > 1 for view in views)


def first_difference(module, folder):
    """What the first trace that differs says, empty if none does."""
    for number, trace in enumerate(TRACES[module]):
        wrong = replay.replay(trace, folder / str(number))
        if wrong:
            return wrong
    return ""


def test_an_age_that_is_one_tick_too_tight_is_noticed(monkeypatch, tmp_path):
    right = Replica.age
    monkeypatch.setattr(Replica, "age", lambda *given: max(right(*given) - 0.001, 0.0))
    assert "'ages'" in first_difference("Gossip", tmp_path)


def test_an_acknowledgement_before_its_step_is_durable_is_noticed(monkeypatch, tmp_path):
    right = Participant.begin

    def begin(self):
        step = right(self)
        self.writer.answer(step)
        return step

    monkeypatch.setattr(Participant, "begin", begin)
    assert "'acknowledged'" in first_difference("Gossip", tmp_path)


def test_a_journal_that_forgets_its_last_step_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setattr(SqliteJournal, "commit", lambda self, commit: None)
    assert first_difference("Gossip", tmp_path)


def test_a_replica_that_takes_older_rows_is_noticed(monkeypatch, tmp_path):
    right = Replica._join

    def forgetful(self, update, keys):
        key = keys[update.key].incarnation
        if key in self.table and update.version < self.table[key].head.version and not update.base:
            del self.table[key]
        return right(self, update, keys)

    monkeypatch.setattr(Replica, "_join", forgetful)
    assert "'rows'" in first_difference("Gossip", tmp_path)


def test_a_replica_that_takes_no_notice_of_contradictions_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setattr(Replica, "join_conflict", lambda self, proof: False)
    assert "'proofs'" in first_difference("Equivocation", tmp_path)


# What TLC prints


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("-1", -1),
        ("TRUE", True),
        ('"n1"', "n1"),
        ('<<1, "a", {}>>', (1, "a", frozenset())),
        ("[a |-> {2, 1}, b |-> <<>>]", {"a": frozenset({1, 2}), "b": ()}),
        ('("a" :> 1 @@ "b" :> [c |-> 2])', {"a": 1, "b": {"c": 2}}),
    ],
)
def test_values_are_read_as_they_are_printed(text, wanted):
    assert value(text) == wanted


def test_what_is_no_value_is_refused():
    with pytest.raises(ValueError, match="expected"):
        value("[a -> 1]")


ERROR = r"""Error: Invariant X is violated.
State 1: <Initial predicate>
/\ x = 1
/\ y = {}

State 2: <Tick line 3, col 1 to line 3, col 9 of module M>
/\ x = 2
/\ y = {}

5 states generated"""

FILE = r"""---- MODULE t ----
STATE_1 ==
/\ x = 1
/\ y = [a |->
   1]

STATE_2 ==
/\ x = 2
/\ y = <<>>

===="""


def test_states_are_read_from_an_error_and_from_a_file():
    assert [state["x"] for state in states(ERROR)] == [1, 2]
    assert [state["y"] for state in states(FILE)] == [{"a": 1}, ()]


# With TLC, where it is installed


def test_without_tlc_all_is_skipped_and_nothing_passed(monkeypatch):
    monkeypatch.setattr(tlc, "missing", lambda: "no java")
    assert {outcome.state for outcome in run.run()} == {"SKIPPED"}


def test_every_mutant_changes_one_place():
    for mutant in run.mutants(large=True):
        assert (tlc.HERE / mutant["file"]).read_text().count(mutant["old"]) == 1, mutant
        assert mutant["config"] in run.configs(large=True)
