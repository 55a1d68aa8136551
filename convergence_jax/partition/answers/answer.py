"""Answers of a participant: a value from the rows that are here, and an interval certain to hold the truth.

The truth is the answer of a system that is fully connected: all that the members of the named roster have
released by the instant of the answer, those left out that contradicted themselves. The interval holds it as
long as every member keeps to its caps, values are in their declared ranges, and no clock drifts beyond the
roster's bound.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import msgspec
import numpy as np

from convergence_jax.consensus.bounds import check_liars
from convergence_jax.errors import InputError, StaleError, closest
from convergence_jax.exact import digits
from convergence_jax.partition.answers.covariance_interval import covariance_interval, variance_interval
from convergence_jax.partition.answers.interval import (
    Interval,
    Span,
    count_interval,
    liars_interval,
    log_odds_interval,
    mean_interval,
)
from convergence_jax.partition.answers.origin_means import OriginMeans
from convergence_jax.partition.participant import Origin, Participant
from convergence_jax.partition.rows.content import evidence_total
from convergence_jax.partition.rows.roster import EvidenceSchema, MomentsSchema
from convergence_jax.partition.unseen import Unseen

Mode = Literal["strong", "bounded_staleness", "eventual", "statistical"]

What = Literal["count", "mean", "covariance", "log_odds"]


class Query(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is asked.

    Attributes
    ----------
    statistic : str
    what : {"count", "mean", "covariance", "log_odds"}
    feature, other : str or None
        Of a mean; of a covariance two, the same one twice for a variance. Not needed where there is one.
    agent : str or None
        Of log-odds.
    observers_lying : int or None
        At most so many observers lie: bounds on what the honest ones say.
    prior : float
        Log-odds before any evidence.
    mode : {"strong", "bounded_staleness", "eventual", "statistical"}
        ``strong`` asks every member now or fails; ``bounded_staleness`` answers only within `max_age`;
        ``eventual`` always answers, with a value; ``statistical`` always, with intervals.
    max_age : float or None
        Seconds, for ``bounded_staleness``.
    """

    statistic: str
    what: What = "mean"
    feature: str | None = None
    other: str | None = None
    agent: str | None = None
    observers_lying: int | None = None
    prior: float = 0.0
    mode: Mode = "statistical"
    max_age: float | None = None


@dataclass(frozen=True)
class Answer:
    """What is said, and how sure it is.

    Attributes
    ----------
    query : Query
    roster : int
        Version of the roster whose members the answer is about.
    instant : int
        When it was true, in nanoseconds of the node's own clock.
    value : float or None
        Of the rows here; None where they hold too little.
    count : int
        Observations here.
    interval : Interval or None
        Certain to hold the truth at that instant; None in modes that give none.
    anytime : Interval or None
        A narrower one for a mean, if each origin's conditional mean is constant: then the probability that
        any of a run misses is at most :data:`~convergence_jax.partition.answers.origin_means.ALPHA`.
    unseen : Unseen
        What may be missing.
    confidence : float
        Share of the possible observations that the answer has seen, ``n / (n + M)``.
    origins : tuple of Origin
        Every member.
    widens : tuple of float
        By how much the interval would be narrower if nothing of each origin were unseen.
    """

    query: Query
    roster: int
    instant: int
    value: float | None
    count: int
    interval: Interval | None
    anytime: Interval | None
    unseen: Unseen
    confidence: float
    origins: tuple[Origin, ...]
    widens: tuple[float, ...]


def answer(participant: Participant, query: Query, means: OriginMeans | None = None) -> Answer:
    """Answer from the rows that are here. For ``strong``, the caller has asked every member first.

    Parameters
    ----------
    participant : Participant
    query : Query
    means : OriginMeans, optional
        What is remembered of each origin's mean; no anytime-valid intervals without.

    Raises
    ------
    InputError
        If the query names what the roster does not have.
    StaleError
        If an origin is older than ``bounded_staleness`` allows.
    """
    question = _question(participant, query)
    instant = participant.clock.boottime()
    origins = participant.origins()
    if query.mode == "bounded_staleness":
        _require_fresh(query, origins)
    value, count, interval_of = question
    parts = _unseen(participant, query, origins)
    everything = sum(parts, Unseen())
    possible = everything.among(count)
    interval, anytime, widens = None, None, (0.0,) * len(origins)
    if query.mode != "eventual":
        interval = interval_of(possible)
        widens = tuple(
            _narrower(interval, interval_of(_without(parts, everything, place).among(count)))
            for place in range(len(origins))
        )
        schema = participant.replica.roster.schemas[query.statistic]
        if means is not None and query.what == "mean" and isinstance(schema, MomentsSchema):
            at = _feature(schema, query.feature)
            anytime = means.interval(participant.replica, schema, at, origins)
    additions = possible.additions
    confidence = 0.0 if additions is None else count / (count + additions) if count + additions else 1.0
    return Answer(
        query,
        participant.replica.roster.version,
        instant,
        value,
        count,
        interval,
        anytime,
        possible,
        confidence,
        tuple(origins),
        widens,
    )


def _require_fresh(query: Query, origins: list[Origin]) -> None:
    if query.max_age is None or not query.max_age >= 0.0:
        raise InputError("max_age: give the seconds that an answer of bounded_staleness may be old.")
    for origin in origins:
        if not origin.excluded and origin.age_seconds > query.max_age:
            raise StaleError(
                f"{origin.node} is {origin.age_seconds:.3f} s old and {query.max_age:g} s are allowed; "
                "ask again, or ask for mode statistical."
            )


def _narrower(interval: Interval, other: Interval) -> float:
    width, less = interval.upper - interval.lower, other.upper - other.lower
    return (
        math.inf
        if math.isinf(width) and not math.isinf(less)
        else max(0.0, width - less)
        if width > less
        else 0.0
    )


def _unseen(participant: Participant, query: Query, origins: list[Origin]) -> list[Unseen]:
    """Of each origin, nothing of those that are excluded."""
    if query.what == "log_odds":
        return participant.unseen_about(query.statistic, origins)
    return [Unseen() if origin.excluded else origin.unseen for origin in origins]


def _without(parts: list[Unseen], total: Unseen, place: int) -> Unseen:
    """What is unseen of all origins but one."""
    part = parts[place]
    if None in (total.additions, total.removals):
        return sum((other for at, other in enumerate(parts) if at != place), Unseen())
    return Unseen(total.additions - part.additions, total.removals - part.removals)  # type: ignore[operator]


def _question(participant: Participant, query: Query) -> tuple[float | None, int, Any]:
    """Value, count, and the interval as a function of what is unseen."""
    schemas = participant.replica.roster.schemas
    schema = schemas.get(query.statistic)
    if schema is None:
        raise InputError(f"statistic: no {query.statistic!r}{closest(query.statistic, sorted(schemas))}")
    if isinstance(schema, EvidenceSchema):
        if query.what != "log_odds" or query.agent is None:
            raise InputError(f"what: {query.statistic} has log_odds of an agent; name the agent.")
        return _log_odds(participant, schema, query)
    if query.what == "log_odds":
        raise InputError(f"what: {query.statistic} has count, mean and covariance, not log_odds.")
    return _moments(participant, schema, query)


def _feature(schema: MomentsSchema, name: str | None) -> int:
    names = [feature.name for feature in schema.features]
    if name is None and len(names) == 1:
        return 0
    if name is None:
        raise InputError(f"feature: name one of {', '.join(names)}.")
    if name not in names:
        raise InputError(f"feature: no {name!r}{closest(name, names)}")
    return names.index(name)


def _moments(participant: Participant, schema: MomentsSchema, query: Query) -> tuple[float | None, int, Any]:
    statistic = schema.statistic
    state = participant.replica.total(schema.name)
    n = int(state.count)
    if query.what == "count":
        return float(n), n, lambda possible: count_interval(n, possible)
    sums = [int(v) for v in digits.to_ints(np.asarray(state.sums))]
    spans = [Span(*feature.ticks, feature.scale_bits) for feature in schema.features]
    value = statistic.present(state)
    i = _feature(schema, query.feature)
    if query.what == "mean":
        mean = float(value.mean[i])
        return _or_none(mean), n, lambda possible: mean_interval(n, sums[i], spans[i], possible)
    j = _feature(schema, query.other or query.feature)
    products = [int(v) for v in digits.to_ints(np.asarray(state.products))]
    first, second = statistic.pairs
    of = {(int(a), int(b)): p for a, b, p in zip(first, second, products, strict=True)}
    covariance = _or_none(float(value.covariance[i, j]))
    if i == j:
        return covariance, n, lambda possible: variance_interval(n, sums[i], of[i, i], spans[i], possible)
    product = of[min(i, j), max(i, j)]
    return (
        covariance,
        n,
        lambda possible: covariance_interval(
            n, (sums[i], sums[j]), product, (spans[i], spans[j]), possible, (of[i, i], of[j, j])
        ),
    )


def _log_odds(
    participant: Participant, schema: EvidenceSchema, query: Query
) -> tuple[float | None, int, Any]:
    replica = participant.replica
    assert query.agent is not None
    if not math.isfinite(query.prior):
        raise InputError("prior: must be finite.")
    said, count = [], 0
    for cell in replica.cells_about(schema.name, query.agent):
        state = replica.total(cell)
        count += int(state.count)
        said.append(evidence_total(state))
    total = sum(said, Fraction(0))
    value = float(total + Fraction(query.prior))
    low, high, prior = schema.low, schema.high, query.prior
    if query.observers_lying is None:
        return value, count, lambda possible: log_odds_interval(total, prior, low, high, possible)
    liars = query.observers_lying
    try:
        check_liars(liars, max(len(said), 2 * liars + 1))
    except ValueError as error:
        raise InputError(str(error)) from None
    return value, count, lambda possible: liars_interval(said, liars, prior, low, high, possible)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
