"""`Unseen`: the most that others may have released, or taken back, without its being here yet."""

import math
from dataclasses import dataclass
from fractions import Fraction

Real = int | float | Fraction
"""What is exact as a fraction; floats are dyadic."""


@dataclass(frozen=True)
class Unseen:
    """Bounds on what is missing.

    Attributes
    ----------
    additions : int or None
        At most so many observations were added that are not here; None if nothing bounds them.
    removals : int or None
        At most so many of those here were taken back.
    """

    additions: int | None = 0
    removals: int | None = 0

    def __add__(self, other: "Unseen") -> "Unseen":
        """Of two origins together."""
        return Unseen(_sum(self.additions, other.additions), _sum(self.removals, other.removals))

    def among(self, visible: int) -> "Unseen":
        """Knowing that an origin has so many observations here: no more of those can be taken back."""
        removals = visible if self.removals is None else min(self.removals, visible)
        return Unseen(self.additions, removals)


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def check_cap(burst: Real, rate: Real) -> None:
    """Refuse a cap that is no cap.

    Raises
    ------
    ValueError
        If `burst` or `rate` is negative or not finite.
    """
    if not (0 <= burst < math.inf and 0 <= rate < math.inf):
        raise ValueError(f"cap: burst and rate must be finite and 0 or more, got {burst} and {rate}.")


_READING = Fraction(1, 10**9)
"""Clocks are read in whole nanoseconds: the difference of two readings may be so much more than the time."""


def age_bound(echo_age_seconds: Real, drift: Real) -> float:
    """Seconds by an origin's clock since the last moment that its row is known to hold in full.

    Parameters
    ----------
    echo_age_seconds : int, float or Fraction
        Time, by the own clock, since the newest own token in the origin's row was issued; infinite without
        any token.
    drift : float or Fraction
        No clock runs faster than ``1 + drift`` or slower than ``1 - drift`` of true time; from 0 to below 1.

    Returns
    -------
    float
        ``D * (1 + drift) / (1 - drift)`` and a nanosecond, rounded up.

    Raises
    ------
    ValueError
        If the age is negative or NaN, or `drift` out of bounds.

    Notes
    -----
    The token was issued before the row that holds it was published. Since it was issued at most
    ``D / (1 - drift)`` true seconds have passed, and the origin's clock advanced at most ``1 + drift`` of
    them. Two readings of it, rounded down to nanoseconds, may lie one further apart.
    """
    if not echo_age_seconds >= 0.0:
        raise ValueError(f"age_bound: the age must be 0 or more, got {echo_age_seconds}.")
    if not 0 <= drift < 1:
        raise ValueError(f"age_bound: drift must be from 0 to below 1, got {drift}.")
    if math.isinf(echo_age_seconds):
        return math.inf
    exact = Fraction(echo_age_seconds) * (1 + Fraction(drift)) / (1 - Fraction(drift)) + _READING
    try:
        nearest = float(exact)
    except OverflowError:
        return math.inf
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)


def unseen(burst: Real, rate: Real, age_seconds: float) -> int | None:
    """The most events that an origin released within an age of now.

    Parameters
    ----------
    burst, rate : int, float or Fraction
        Its token bucket: events, and events a second.
    age_seconds : float
        As :func:`age_bound` gives it.

    Returns
    -------
    int or None
        ``floor(burst + rate * age)``, exactly; None where the age is infinite, unless the rate is 0.

    Raises
    ------
    ValueError
        If the cap is no cap, or the age is negative or NaN.

    Notes
    -----
    An origin works in steps, one after the other: it reads its clock, fills its bucket up to that reading,
    takes events, makes them durable and publishes them with the tokens it has. A row that holds a token was
    published after the token was issued, and holds every step up to its own. All later steps read the clock
    after that row was published. So their readings lie in a window no longer than the age, and the bucket
    grants at most ``burst + rate * age`` in it, over restarts too
    (:class:`~convergence_jax.partition.writes.token_bucket.TokenBucket`).
    """
    check_cap(burst, rate)
    if not age_seconds >= 0.0:
        raise ValueError(f"unseen: the age must be 0 or more, got {age_seconds}.")
    if math.isinf(age_seconds):
        return None if rate else math.floor(burst)
    return math.floor(Fraction(burst) + Fraction(rate) * Fraction(age_seconds))
