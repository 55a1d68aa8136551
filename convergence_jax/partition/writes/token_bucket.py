"""`TokenBucket`: how many events a node may release now, in exact integers, and the same for every agent.

A bucket holds at most `burst` events and gains `rate` a second. It starts empty, so that nobody earns a burst
by starting again.
"""

from fractions import Fraction

from convergence_jax.partition.unseen import Real, check_cap

_NANOSECONDS = 10**9


class _Meter:
    """A cap in whole grains: one event is so many of them, and each nanosecond adds so many.

    A bucket is one integer, its `zero`: it holds ``gain * now - zero`` grains, or `burst` if that is less.
    """

    def __init__(self, rate: Real, burst: Real) -> None:
        check_cap(burst, rate)
        gain, size = Fraction(rate) / _NANOSECONDS, Fraction(burst)
        self.event = gain.denominator * size.denominator
        self.gain, self.burst = int(gain * self.event), int(size * self.event)

    def whole(self, zero: int, now: int) -> int:
        """Whole events that a bucket holds."""
        return max(0, min(self.burst, self.gain * now - zero)) // self.event

    def after(self, zero: int, now: int, events: int) -> int:
        """The bucket when events have been taken out: what overflowed before is lost."""
        return max(zero, self.gain * now - self.burst) + events * self.event


class AgentBuckets:
    """One bucket for each agent, all with one cap, none stored while it is full or was never used.

    Parameters
    ----------
    rate : int, float or Fraction
        Events a second that each agent gains.
    burst : int, float or Fraction
        The most events that an agent's bucket holds.
    started_ns : int
        When all buckets were empty: nanoseconds of a clock that counts while the machine sleeps.

    Raises
    ------
    ValueError
        If `rate` or `burst` is negative or not finite.

    Notes
    -----
    The bucket of an agent that nobody used holds ``min(burst, rate * (now - started))``. No used bucket holds
    more, so one that is full again need not be remembered. They are looked through when twice as many are
    stored as were left the last time: memory follows the agents of the last ``burst / rate`` seconds, and a
    release costs a constant time in the mean.
    """

    _SPARE = 64

    def __init__(self, rate: Real, burst: Real, started_ns: int) -> None:
        self._meter = _Meter(rate, burst)
        self._empty = self._meter.gain * started_ns
        self._now = started_ns
        self._zero: dict[str, int] = {}
        self._sweep_above = self._SPARE

    def __len__(self) -> int:
        """Agents whose bucket is stored."""
        return len(self._zero)

    def available(self, agent: str, now_ns: int) -> int:
        """Whole events that may be released about an agent; none while the clock is behind."""
        if now_ns < self._now:
            return 0
        return self._meter.whole(self._zero.get(agent, self._empty), now_ns)

    def take(self, agent: str, wanted: int, now_ns: int) -> int:
        """Take up to `wanted` whole events out of an agent's bucket, and say how many.

        Raises
        ------
        ValueError
            If `wanted` is negative.
        """
        granted = min(_wanted(wanted), self.available(agent, now_ns))
        if granted:
            zero = self._zero.get(agent, self._empty)
            self._zero[agent] = self._meter.after(zero, now_ns, granted)
        self._now = max(self._now, now_ns)
        if len(self._zero) > self._sweep_above:
            self.forget(now_ns)
        return granted

    def forget(self, now_ns: int) -> None:
        """Drop the buckets that are full again."""
        full = self._meter.gain * now_ns - self._meter.burst
        self._zero = {agent: zero for agent, zero in self._zero.items() if zero > full}
        self._sweep_above = 2 * len(self._zero) + self._SPARE


class TokenBucket:
    """At most ``burst + rate * (t - s)`` events between any two readings `s` and `t` of one clock.

    Parameters
    ----------
    rate : int, float or Fraction
        Events gained a second.
    burst : int, float or Fraction
        The most events that the bucket holds.
    started_ns : int
        When it was empty: nanoseconds of a clock that counts while the machine sleeps.

    Raises
    ------
    ValueError
        If `rate` or `burst` is negative or not finite.

    Notes
    -----
    With grains as in the code, every event taken raises `zero` by one event. When the first one of a window
    is taken `zero` is at least ``gain * s - burst``, and after the last one at most ``gain * t``; so what was
    taken between is at most ``burst + gain * (t - s)`` grains. A second bucket that starts empty at `r`
    grants at most ``rate * (t - r)`` by then, so the bound holds over any number of restarts too.
    """

    def __init__(self, rate: Real, burst: Real, started_ns: int) -> None:
        self._meter = _Meter(rate, burst)
        self._zero = self._meter.gain * started_ns
        self._now = started_ns

    def available(self, now_ns: int) -> int:
        """Whole events that may be released now; none while the clock is behind its last reading."""
        return 0 if now_ns < self._now else self._meter.whole(self._zero, now_ns)

    def take(self, wanted: int, now_ns: int) -> int:
        """Take up to `wanted` whole events, and say how many.

        Raises
        ------
        ValueError
            If `wanted` is negative.
        """
        granted = min(_wanted(wanted), self.available(now_ns))
        if granted:
            self._zero = self._meter.after(self._zero, now_ns, granted)
        self._now = max(self._now, now_ns)
        return granted


def _wanted(wanted: int) -> int:
    if wanted < 0:
        raise ValueError(f"take: the number of events must be 0 or more, got {wanted}.")
    return wanted
