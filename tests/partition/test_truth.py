"""What nodes together had released at an instant is read from their logs exactly."""

import json
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.partition.clusters.truth import Truth
from convergence_jax.partition.nodes.release_log import Release, read_releases

TICKS = 10

steps = st.lists(st.tuples(st.integers(1, 5), st.integers(-3, 9), st.integers(-(10**9), 10**9)), max_size=8)


def log_of(changes):
    """A node's log: totals after each step, at instants that grow."""
    instant = count = total = 0
    log = []
    for wait, more, ticks in changes:
        instant, count, total = instant + wait, count + more, total + ticks
        log.append(Release(instant, "x", count, [total]))
        log.append(Release(instant, "another", 99, [99]))
    return log


def plainly(logs, instant):
    """Count and sum at an instant, by looking at each log's last entry up to it."""
    count = total = 0
    for log in logs:
        last = [release for release in log if release.statistic == "x" and release.instant <= instant][-1:]
        count += sum(release.count for release in last)
        total += sum(release.sums[0] for release in last)
    return count, total


@given(st.lists(steps, max_size=4), st.integers(0, 45))
def test_count_and_mean_are_those_of_every_nodes_last_entry(changes, instant):
    logs = [log_of(one) for one in changes]
    count, total = plainly(logs, instant)
    truth = Truth(logs, "x", TICKS)
    assert truth.count(instant) == count
    assert truth.mean(instant) == (Fraction(total, count << TICKS) if count else None)


LOGS = [
    [Release(10, "x", 2, [2 << TICKS]), Release(30, "x", 3, [5 << TICKS])],
    [Release(20, "x", 1, [7 << TICKS])],
]


def answer(what, instant, lower, upper):
    """What of an answer matters here."""
    return {"what": what, "instant": instant, "lower": lower, "upper": upper}


def test_an_interval_holds_the_truth_at_its_own_instant_ends_included():
    truth = Truth(LOGS, "x", TICKS)
    assert truth.holds(answer("count", 20, 3.0, 3.0))
    assert not truth.holds(answer("count", 19, 3.0, 3.0))
    assert not truth.holds(answer("count", 30, 3.0, 3.0))
    assert truth.holds(answer("count", 30, 3.0, 4.0))
    assert truth.holds(answer("mean", 30, 3.0, 3.0))


def test_an_end_that_is_missed_by_the_last_bit_is_missed():
    truth = Truth([[Release(1, "x", 3, [1 << TICKS])]], "x", TICKS)
    below, above = 1 / 3, 0.33333333333333337  # neighbours in float64, a third between them
    assert truth.holds(answer("mean", 1, below, above))
    assert not truth.holds(answer("mean", 1, above, 1.0))
    assert not truth.holds(answer("mean", 1, 0.0, below))


def test_an_end_that_is_null_bounds_nothing_and_no_observations_have_no_mean():
    truth = Truth(LOGS, "x", TICKS)
    assert truth.holds(answer("count", 30, None, None))
    assert not truth.holds(answer("count", 30, 5.0, None))
    assert truth.holds(answer("mean", 5, 0.0, 1.0)) is None
    assert truth.holds(answer("count", 5, 0.0, 0.0))


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path):
    path = tmp_path / "releases.jsonl"
    path.write_text(json.dumps([5, "x", 2, [9]]) + "\n" + '[6, "x", 3')
    assert read_releases(path) == [Release(5, "x", 2, [9])]
    assert read_releases(tmp_path / "none") == []
