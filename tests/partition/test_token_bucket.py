"""Token buckets, and what may be unseen by them: never more than the cap in any window, and no less."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.partition.unseen import Unseen, age_bound, unseen
from convergence_jax.partition.writes.token_bucket import AgentBuckets, TokenBucket

RATES = st.one_of(
    st.fractions(0, 50, max_denominator=97),
    st.sampled_from([0.0, 0.1, 1e-9, 1 / 3, 2.5e6, Fraction(1, 3)]),
    st.integers(0, 1000),
)
BURSTS = st.one_of(
    st.integers(0, 60), st.fractions(0, 30, max_denominator=7), st.sampled_from([0.5, 1e6, 3.75])
)
STEPS = st.lists(
    st.tuples(st.integers(0, 3 * 10**9) | st.integers(0, 40), st.integers(0, 100), st.booleans()),
    min_size=1,
    max_size=14,
)


class PlainBucket:
    """A level that is filled up and drained, in fractions."""

    def __init__(self, rate, burst, started):
        self.rate, self.burst, self.level, self.clock = Fraction(rate), Fraction(burst), Fraction(0), started

    def take(self, wanted, now):
        self.level = min(self.burst, self.level + self.rate * Fraction(now - self.clock, 10**9))
        self.clock = now
        granted = min(wanted, int(self.level))
        self.level -= granted
        return granted


@given(RATES, BURSTS, st.integers(0, 10**18), STEPS)
def test_a_bucket_grants_what_a_level_in_fractions_does(rate, burst, now, steps):
    bucket, plain = TokenBucket(rate, burst, now), PlainBucket(rate, burst, now)
    for gap, wanted, _ in steps:
        now += gap
        held = bucket.available(now)
        granted = bucket.take(wanted, now)
        assert granted == plain.take(wanted, now) == min(wanted, held)


@given(RATES, BURSTS, st.integers(0, 10**18), STEPS)
def test_no_window_has_more_than_the_cap_over_any_number_of_restarts(rate, burst, now, steps):
    bucket, taken = TokenBucket(rate, burst, now), []
    for gap, wanted, restart in steps:
        now += gap
        if restart:
            bucket = TokenBucket(rate, burst, now)
        taken.append((now, bucket.take(wanted, now)))
    for i, (s, _) in enumerate(taken):
        for j in range(i, len(taken)):
            seconds = Fraction(taken[j][0] - s, 10**9)
            assert sum(n for _, n in taken[i : j + 1]) <= Fraction(burst) + Fraction(rate) * seconds


def test_a_restart_earns_no_burst():
    bucket = TokenBucket(10, 50, 0)
    assert bucket.take(1000, 60 * 10**9) == 50
    assert [TokenBucket(10, 50, t).take(1000, t) for t in range(60 * 10**9, 60 * 10**9 + 5)] == [0] * 5


def test_a_thousand_tenths_of_an_event_are_a_hundred_events():
    """In floats a tenth of a second at 1 event a second drifts."""
    bucket = TokenBucket(1, 1000, 0)
    assert sum(bucket.take(1000, k * 10**8) for k in range(1, 1001)) == 100


def test_a_clock_that_goes_back_grants_nothing_and_earns_nothing():
    bucket, agents = TokenBucket(1, 10, 0), AgentBuckets(1, 10, 0)
    assert bucket.take(2, 10 * 10**9) == agents.take("a", 2, 10 * 10**9) == 2
    for now in (9 * 10**9, 5 * 10**9, 0):
        assert bucket.available(now) == bucket.take(1, now) == 0
        assert agents.available("a", now) == agents.take("a", 1, now) == 0
    assert bucket.available(10 * 10**9) == agents.available("a", 10 * 10**9) == 8


@given(
    RATES,
    BURSTS,
    st.lists(
        st.tuples(st.integers(0, 2 * 10**9), st.sampled_from("abc"), st.integers(0, 30), st.booleans()),
        max_size=20,
    ),
)
def test_agents_have_buckets_of_their_own_whatever_is_forgotten(rate, burst, steps):
    agents, plain, now = AgentBuckets(rate, burst, 7), {a: PlainBucket(rate, burst, 7) for a in "abc"}, 7
    for gap, agent, wanted, forget in steps:
        now += gap
        if forget:
            agents.forget(now)
        held = agents.available(agent, now)
        assert agents.take(agent, wanted, now) == plain[agent].take(wanted, now) == min(wanted, held)


def test_a_bucket_that_lacks_half_an_event_is_not_forgotten():
    agents = AgentBuckets(1, 5, 0)
    agents.take("a", 1, 10 * 10**9)
    agents.forget(10 * 10**9 + 5 * 10**8)
    assert agents.available("a", 10 * 10**9 + 5 * 10**8) == 4
    agents.forget(11 * 10**9)
    assert (len(agents), agents.available("a", 11 * 10**9)) == (0, 5)


def test_memory_follows_the_agents_of_late_and_not_all_that_ever_were():
    agents, now, most = AgentBuckets(10, 5, 0), 10**9, 0
    for k in range(20000):
        now += 10**6
        assert agents.take(f"agent {k}", 5, now) == 5
        most = max(most, len(agents))
    assert 500 <= most <= 2 * 501 + AgentBuckets._SPARE + 1  # burst / rate is half a second: 500 agents
    agents.forget(now + 10**9)
    assert len(agents) == 0


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (1, -1), (math.inf, 1), (1, math.nan)])
def test_what_is_no_cap_is_refused(rate, burst):
    for refused in (
        lambda: TokenBucket(rate, burst, 0),
        lambda: AgentBuckets(rate, burst, 0),
        lambda: unseen(burst, rate, 1.0),
    ):
        with pytest.raises(ValueError, match="cap"):
            refused()


def test_a_negative_number_of_events_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        TokenBucket(1, 1, 0).take(-1, 0)
    with pytest.raises(ValueError, match="0 or more"):
        AgentBuckets(1, 1, 0).take("a", -1, 0)


@given(st.floats(0.0, 1e12), st.sampled_from([0.0, 200e-6, 0.1, 0.999]))
def test_an_age_is_the_smallest_float_that_is_not_below_its_bound(echo, drift):
    bound = Fraction(echo) * (1 + Fraction(drift)) / (1 - Fraction(drift)) + Fraction(1, 10**9)
    found = age_bound(echo, drift)
    assert Fraction(found) >= bound
    assert Fraction(math.nextafter(found, 0.0)) < bound


@pytest.mark.parametrize(
    ("drift", "rate", "burst", "milliseconds"),
    [(Fraction(0), 1000, 10**4, 9), (Fraction(200, 10**6), 10**9, 10**10, 1)],
)
def test_readings_in_whole_nanoseconds_hide_no_event(drift, rate, burst, milliseconds):
    # The origin's clock is fast and was read just after a nanosecond began; the issuer's is slow and is read
    # just before its next millisecond.
    published, asked = Fraction(0), Fraction(milliseconds, 1000) / (1 - drift) - Fraction(1, 10**15)
    phase = Fraction(999_999, 10**15)
    bucket = TokenBucket(rate, burst, -(10**15))
    released = sum(
        bucket.take(10**18, math.floor((true * (1 + drift) + phase) * 10**9)) for true in (published, asked)
    )
    believed = unseen(burst, rate, age_bound(Fraction(milliseconds, 1000), drift))
    assert released <= believed <= released + 2 * rate * 10**-9 + 2


def test_an_age_without_an_echo_or_beyond_every_float_is_infinite():
    assert age_bound(math.inf, 200e-6) == math.inf
    assert age_bound(1.7e308, 0.5) == math.inf


@pytest.mark.parametrize("age", [-1e-9, math.nan])
def test_an_age_that_is_none_is_refused(age):
    with pytest.raises(ValueError, match="age"):
        age_bound(age, 200e-6)
    with pytest.raises(ValueError, match="age"):
        unseen(1, 1, age)


@pytest.mark.parametrize("drift", [-0.1, 1.0, math.nan])
def test_a_drift_that_no_clock_has_is_refused(drift):
    with pytest.raises(ValueError, match="drift"):
        age_bound(1.0, drift)


@given(BURSTS, RATES, st.floats(0.0, 1e9))
def test_unseen_events_are_whole_and_exact(burst, rate, age):
    found, exact = unseen(burst, rate, age), Fraction(burst) + Fraction(rate) * Fraction(age)
    assert found <= exact < found + 1


def test_an_infinite_age_bounds_nothing_unless_nothing_is_earned():
    assert unseen(5, 0.1, math.inf) is None
    assert unseen(5.5, 0, math.inf) == 5
    assert unseen(0, 0, math.inf) == 0


def test_unseen_of_several_origins_adds_up_and_one_without_bounds_has_them_all():
    assert Unseen(3, 1) + Unseen(4, 0) == Unseen(7, 1)
    assert Unseen(3, None) + Unseen(None, 0) == Unseen(None, None)
    assert Unseen(3, None).among(8) == Unseen(3, 8)
    assert Unseen(3, 5).among(8) == Unseen(3, 5)
    assert Unseen(3, 5).among(2) == Unseen(3, 2)


def run_pipeline(rate, burst, steps, issuer, origin, believed):
    """Events that each row with a token lacks, and what `unseen` says at most, at every step of an origin.

    `steps` are true seconds between a publication and the next reading of the clock, then until publication;
    and the delay after which a token that is issued just after the last reading arrives. Clocks run at the
    rates `issuer` and `origin`, and all drifts are believed to be at most `believed`.
    """
    bucket, now, published, checked = TokenBucket(rate, burst, 0), Fraction(0), [], []
    tokens = []  # when issued, when it arrives
    for wait, work, delay in steps:
        now += wait
        taken = bucket.take(10**9, int(now * origin * 10**9))
        tokens.append((now, now + delay))
        now += work
        seen = [issued for issued, arrives in tokens if arrives <= now]
        published.append((now, taken, max(seen, default=None)))
        for i, (_, _, token) in enumerate(published):
            if token is not None:
                missing = sum(n for _, n, _ in published[i + 1 :])
                age = age_bound(float((now - token) * issuer), believed)
                checked.append((missing, unseen(burst, rate, age)))
    return checked


SECONDS = st.fractions(0, 3, max_denominator=64)
CLOCKS = st.sampled_from([Fraction(9, 10), Fraction(1), Fraction(11, 10)])


@given(
    st.integers(0, 500),
    st.integers(1, 50),
    st.lists(st.tuples(SECONDS, SECONDS, SECONDS), max_size=9),
    CLOCKS,
    CLOCKS,
)
def test_no_row_lacks_more_than_unseen_says_however_steps_tokens_and_clocks_run(
    rate, burst, steps, issuer, origin
):
    assert all(missing <= most for missing, most in run_pipeline(rate, burst, steps, issuer, origin, 0.1))


@pytest.mark.parametrize(("believed", "missed"), [(0.1, False), (0.01, True)])
def test_a_drift_beyond_its_bound_is_what_it_takes_to_miss(believed, missed):
    steps = [(Fraction(1, 100), Fraction(0), Fraction(0))] * 60
    found = run_pipeline(1000, 20, steps, Fraction(9, 10), Fraction(11, 10), believed)
    assert any(missing > most for missing, most in found) == missed
