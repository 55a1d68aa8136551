"""What a node says about itself: for people, for the live page, for Prometheus."""

import math
from typing import Any

from convergence_jax.partition.answers.answer import Answer, Query, answer
from convergence_jax.partition.answers.anytime import ASSUMPTION
from convergence_jax.partition.answers.origin_means import ALPHA
from convergence_jax.partition.nodes.node import Node, boottime
from convergence_jax.partition.participant import Origin
from convergence_jax.partition.rows.roster import MomentsSchema


def finite(value: float | None) -> float | None:
    """A number, or None where JSON has none for it."""
    return None if value is None or not math.isfinite(value) else value


def origin_json(origin: Origin) -> dict[str, Any]:
    """An origin as JSON."""
    return {
        "node": origin.node,
        "age_seconds": finite(origin.age_seconds),
        "events": origin.events,
        "version": origin.version,
        "unseen": origin.unseen.additions,
        "unseen_removals": origin.unseen.removals,
        "excluded": origin.excluded,
        "final": origin.final,
        "self": origin.self,
    }


def answer_json(found: Answer, *, origins: bool = True) -> dict[str, Any]:
    """An answer as JSON; what is unbounded is null."""
    query, interval = found.query, found.interval
    made: dict[str, Any] = {
        "statistic": query.statistic,
        "what": query.what,
        "feature": query.feature,
        "mode": query.mode,
        "value": finite(found.value),
        "count": found.count,
        "roster": found.roster,
        "instant": found.instant,
    }
    if query.what == "covariance":
        made["other"] = query.other or query.feature
    if query.what == "log_odds":
        made |= {"agent": query.agent, "observers_lying": query.observers_lying, "prior": query.prior}
    if interval is not None:
        made |= {
            "lower": finite(interval.lower),
            "upper": finite(interval.upper),
            "unseen": found.unseen.additions,
            "unseen_removals": found.unseen.removals,
            "confidence": found.confidence,
        }
    if found.anytime is not None:
        made |= {
            "anytime_lower": finite(found.anytime.lower),
            "anytime_upper": finite(found.anytime.upper),
            "anytime_assumes": ASSUMPTION,
            "anytime_alpha": ALPHA,
        }
    if origins:
        made["origins"] = [
            {**origin_json(origin), "widens": finite(width)}
            for origin, width in zip(found.origins, found.widens, strict=True)
        ]
    return made


def status(node: Node) -> dict[str, Any]:
    """Everything that the live page draws."""
    participant = node.participant
    replica = participant.replica
    additions, removals = participant.writer.backlog
    sent, received = node.peers.traffic
    answers = [
        answer_json(answer(participant, query, node.means), origins=False)
        for schema in replica.roster.statistics
        if isinstance(schema, MomentsSchema)
        for query in (
            Query(statistic=schema.name, what="count"),
            *(Query(statistic=schema.name, feature=feature.name) for feature in schema.features),
        )
    ]
    return {
        "node": participant.name,
        "cluster": replica.roster.cluster,
        "incarnation": replica.key.counter,
        "version": replica.own.head.version,
        "roster": replica.roster.version,
        "seconds": (boottime() - node.started) / 1e9,
        "origins": [origin_json(origin) for origin in participant.origins()],
        "backlog": {"additions": additions, "removals": removals},
        "acknowledged": node.counts["events"],
        "bytes": {"sent": sent, "received": received},
        "refused": dict(node.peers.refusals),
        "restoring": participant.restoring,
        "uncertain": participant.uncertain,
        "leaving": participant.leaving,
        "digest": replica.digest(),
        "blocked": node.links.blocked,
        "answers": answers,
    }


def metrics(node: Node) -> str:
    """The same in the text format of Prometheus."""
    participant = node.participant
    additions, removals = participant.writer.backlog
    sent, received = node.peers.traffic
    lines = [
        *_metric("writes_acknowledged_total", "counter", {"": node.counts["writes"]}),
        *_metric("events_acknowledged_total", "counter", {"": node.counts["events"]}),
        *_metric("writes_refused_total", "counter", {"": node.counts["writes_refused"]}),
        *_metric("answers_total", "counter", {"": node.counts["answers"]}),
        *_metric("answers_refused_total", "counter", {"": node.counts["answers_refused"]}),
        *_metric("commits_total", "counter", {"": node.counts["commits"]}),
        *_metric("disk_full_total", "counter", {"": node.counts["disk_full"]}),
        *_metric("commit_seconds_total", "counter", {"": node.commit_seconds}),
        *_metric("exchanges_total", "counter", {"": node.counts["exchanges"]}),
        *_metric("exchanges_failed_total", "counter", {"": node.counts["exchanges_failed"]}),
        *_metric("bytes_total", "counter", {'direction="sent"': sent, 'direction="received"': received}),
        *_metric("backlog_events", "gauge", {'kind="additions"': additions, 'kind="removals"': removals}),
        *_metric(
            "refused_total", "counter", {f'reason="{reason}"': n for reason, n in node.peers.refusals.items()}
        ),
        *_metric(
            "origin_age_seconds",
            "gauge",
            {f'origin="{origin.node}"': origin.age_seconds for origin in participant.origins()},
        ),
    ]
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, values: dict[str, float]) -> list[str]:
    lines = [f"# TYPE convergence_{name} {kind}"]
    for labels, value in values.items():
        number = "+Inf" if value == math.inf else repr(value)
        lines.append(f"convergence_{name}{{{labels}}} {number}" if labels else f"convergence_{name} {number}")
    return lines
