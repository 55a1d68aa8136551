"""`detect`: from rows of observations to who is unusual, through exact states."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pyarrow as pa

from convergence_jax.baseline import decision as deciding
from convergence_jax.baseline.decision import Decision
from convergence_jax.baseline.measure import measure
from convergence_jax.data.backend import Backend, Xla
from convergence_jax.data.digest import digest
from convergence_jax.data.fleet import Fleet
from convergence_jax.data.fleet_table import FleetIndex, FleetTable
from convergence_jax.data.results import or_null
from convergence_jax.data.source import Batch, Selection, Source
from convergence_jax.data.stages import Progress, Stages, versions
from convergence_jax.data.survey import Survey
from convergence_jax.errors import InputError
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.statistics.moments import Moments

SCHEMA = "convergence.detect/1"

_COLUMNS = {"all", "agent", "observations", "q_value", "flagged"}
"""Names that the result has for itself: no level may have one."""


@dataclass(frozen=True)
class Detection:
    """What `detect` found.

    Attributes
    ----------
    result : dict
        What ``result.json`` holds.
    agents : pa.Table
        One row an agent: ``agents.parquet``.
    fleet : Fleet
        The exact states; of the watched period where there is a baseline.
    decision : Decision
        Scores, p-values and what explains them.
    """

    result: dict[str, Any]
    agents: pa.Table
    fleet: Fleet
    decision: Decision


def detect(
    source: Source,
    *,
    agent: str,
    features: Sequence[str],
    levels: Sequence[str] = (),
    time: str | None = None,
    until: str | None = None,
    alpha: float = 0.05,
    lifts: Mapping[str, FixedPoint] | None = None,
    devices: int = 1,
    backend: Backend | None = None,
    progress: Progress | None = None,
) -> Detection:
    """Find the agents whose behaviour is unlike that of their groups.

    Parameters
    ----------
    source : Source
        Rows of observations, read twice unless every lift is declared.
    agent, features, levels, time : str and sequences of str
        Columns; levels from coarse to fine.
    until : str, optional
        End of the baseline period, in the terms of `time`: what is later is compared with what is earlier.
        Without it the agents are compared with each other.
    alpha : float, default 0.05
        False discovery rate over agents, between 0 and 1.
    lifts : mapping of str to FixedPoint, optional
        Declared lifts; a feature without one gets the finest that holds all its values.
    devices : int, default 1
        Devices to spread the work over; changes no bit of any state.
    backend : Backend, optional
        What sums the rows; changes no bit either. JAX on `devices` unless given.
    progress : callable, optional
        Told the stage and its fraction.

    Returns
    -------
    Detection
        The result, the table of agents, the states and the decision.

    Raises
    ------
    InputError
        If the source cannot be read or nothing in it can be used.
    ValueError
        If `alpha` is not between 0 and 1, or 64-bit mode is off.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"detect: alpha must be between 0 and 1, got {alpha}.")
    if not jax.config.read("jax_enable_x64"):
        raise ValueError('detect: 64-bit mode is off: call jax.config.update("jax_enable_x64", True) first.')
    if not 1 <= devices <= jax.device_count():
        raise InputError(f"devices: {devices} asked for, there are {jax.device_count()}.")
    if not features:
        raise InputError(f"{source.name}: no feature is chosen; name numeric columns with --features.")
    taken = sorted(_COLUMNS & set(levels))
    if taken:
        raise InputError(f"levels: {taken[0]!r} is a column of the result; rename that level.")
    selection = Selection(agent, tuple(levels), tuple(features), None if until is None else time)
    run = _Run(source, selection, until, backend or Xla(devices), progress)
    chosen = run.choose_lifts(dict(lifts or {}))
    before, after = run.accumulate(chosen)
    with run.stages.stage("decide"):
        after_levels = measure(after)
        if before is None:
            decision = deciding.decide(after_levels, len(after.agents), alpha=alpha, features=features)
        else:
            decision = deciding.decide_against_baseline(
                measure(before), after_levels, len(after.agents), alpha=alpha, features=features
            )
    with run.stages.stage("digest"):
        fingerprint = digest([fleet.parts() for fleet in (before, after) if fleet is not None])
    return Detection(
        run.result(before, after, decision, fingerprint), agents_table(after, decision), after, decision
    )


class _Run:
    """One detection as it goes: counters and the clock."""

    def __init__(
        self,
        source: Source,
        selection: Selection,
        until: str | None,
        backend: Backend,
        progress: Progress | None,
    ) -> None:
        self.source, self.selection, self.until, self.backend = source, selection, until, backend
        self.features = selection.features
        self.stages = Stages(progress)
        self.rows = 0
        self.rejected: Counter[str] = Counter()

    def batches(self, stage: str) -> Iterator[Batch]:
        """Read the source from the beginning."""
        chosen = self.selection
        for batch in self.source.batches(
            agent=chosen.agent,
            levels=chosen.levels,
            features=chosen.features,
            time=chosen.time,
            until=self.until,
        ):
            yield batch
            self.stages.progress(stage, batch.done)

    def choose_lifts(self, declared: dict[str, FixedPoint]) -> Moments:
        """The declared lift of each feature, or the finest that holds it."""
        unknown = set(declared) - set(self.features)
        if unknown:
            raise InputError(
                f"lift: {sorted(unknown)[0]!r} is not a chosen feature; name one of {list(self.features)}."
            )
        if set(declared) == set(self.features):
            return Moments(tuple(declared[name] for name in self.features))
        with self.stages.stage("survey"):
            survey = Survey(len(self.features))
            for batch in self.batches("survey"):
                survey.add(batch.values)
        return Moments(tuple(declared.get(name) or survey.lift(i) for i, name in enumerate(self.features)))

    def accumulate(self, moments: Moments) -> tuple[Fleet | None, Fleet]:
        """States of the baseline period, if there is one, and of the rest."""
        index = FleetIndex(self.selection.levels)
        tables = [FleetTable(index, moments, self.backend) for _ in range(2 if self.until else 1)]
        self.nonzero = np.zeros(len(self.features), dtype=np.int64)
        self.rounded_to_zero = np.zeros(len(self.features), dtype=np.int64)
        with self.stages.stage("accumulate"):
            for batch in self.batches("accumulate"):
                self.rows += batch.read
                self.rejected.update(batch.rejected)
                self._add(batch, moments, index, tables)
        if not len(index.leaves):
            raise InputError(
                f"{self.source.name}: none of its {self.rows} rows can be used: {dict(self.rejected)}."
            )
        for table, side in zip(tables, ("before", "from"), strict=False):
            if self.until and not table.rows:
                raise InputError(
                    f"{self.source.name}: no usable row {side} {self.until}; "
                    "give another end of the baseline period."
                )
        with self.stages.stage("roll up"):
            fleets = [table.finish() for table in tables]
        return (fleets[0], fleets[1]) if self.until else (None, fleets[0])

    def _add(self, batch: Batch, moments: Moments, index: FleetIndex, tables: list[FleetTable]) -> None:
        lifted = [lift.lift(column) for lift, column in zip(moments.lifts, batch.values, strict=True)]
        ticks = np.stack([t for t, _ in lifted]).astype(np.int64 if moments.wide else np.int32)
        keep = np.ones(batch.values.shape[1], dtype=bool)
        for name, (_, held) in zip(self.features, lifted, strict=True):
            lost = int(np.count_nonzero(keep & ~held))
            if lost:
                self.rejected[f"out_of_range:{name}"] += lost
                keep &= held
        agent, levels, before = batch.agent, batch.levels, batch.before
        values = batch.values
        if not keep.all():
            mask = pa.array(keep)
            agent, levels = agent.filter(mask), tuple(level.filter(mask) for level in levels)
            ticks, values = ticks[:, keep], values[:, keep]
            before = before if before is None else before[keep]
        self.nonzero += np.count_nonzero(values, axis=1)
        self.rounded_to_zero += np.count_nonzero(values, axis=1) - np.count_nonzero(ticks, axis=1)
        leaf, group = index.encode(agent, levels)
        if before is None:
            tables[0].add(leaf, group, ticks)
        else:
            for table, part in zip(tables, (before, ~before), strict=True):
                table.add(leaf[part], group[part], ticks[:, part])

    def result(
        self, before: Fleet | None, after: Fleet, decision: Decision, fingerprint: str
    ) -> dict[str, Any]:
        """What ``result.json`` holds."""
        moments, whole = after.moments, after.levels[0].observations
        if before is not None:
            whole = moments.merge(whole, before.levels[0].observations)
        population = moments.present(whole)
        leaves = np.bincount(after.levels[-1].units.agent, minlength=len(after.agents))
        return {
            "schema": SCHEMA,
            "execution": self.backend.execution,
            "input": {
                "name": self.source.name,
                "rows": self.rows,
                "agents": len(after.agents),
                "agents_in_several_groups": int(np.count_nonzero(leaves > 1)),
                "rejected": dict(sorted(self.rejected.items())),
                "agent": self.selection.agent,
                "levels": list(self.selection.levels),
                "features": list(self.features),
                "baseline_until": self.until,
            },
            "lift": {
                name: {
                    "scale_bits": lift.scale_bits,
                    "range_bits": lift.range_bits,
                    "nonzero": int(nonzero),
                    "rounded_to_zero": int(lost),
                }
                for name, lift, nonzero, lost in zip(
                    self.features, moments.lifts, self.nonzero, self.rounded_to_zero, strict=True
                )
            },
            "levels": [{"name": level.name, "groups": len(level.labels)} for level in after.levels[1:]],
            "population": {
                "count": int(population.count[0]),
                "features": list(self.features),
                "mean": _numbers(population.mean[0]),
                "covariance": [_numbers(row) for row in population.covariance[0]],
            },
            "decision": {
                "alpha": decision.alpha,
                "method": decision.method,
                "assumes": decision.assumes,
                "flagged": int(np.count_nonzero(decision.flagged)),
                "least_rejections": decision.least_rejections,
                "transforms": decision.transforms,
            },
            "digest": fingerprint,
            "seconds": self.stages.rounded(),
            "versions": versions("scipy", "pyarrow"),
        }


def agents_table(fleet: Fleet, decision: Decision) -> pa.Table:
    """One row an agent, sorted: ``agents.parquet``.

    An agent seen in several groups shows the path with most of its observations, the smallest among equals.
    """
    finest = fleet.levels[-1]
    units, agents = finest.units, len(fleet.agents)
    observations = np.bincount(units.agent, units.count, agents).astype(np.int64)
    # Sorted by count within agent, the first unit of each agent is the most frequent, ties by path.
    order = np.lexsort((units.group, -units.count, units.agent))
    present, first = np.unique(units.agent[order], return_index=True)
    main = np.full(agents, -1, dtype=np.int64)
    main[present] = units.group[order][first]
    columns: dict[str, Any] = {"agent": pa.array(fleet.agents, pa.string()), "observations": observations}
    for depth, level in enumerate(fleet.levels[1:]):
        labels = pa.array([label[depth] for label in finest.labels], pa.string())
        columns[level.name] = labels.take(pa.array(main, mask=main < 0))
    for level in fleet.levels:
        columns[f"score_{level.name}"] = or_null(decision.scores[level.name])
        columns[f"p_value_{level.name}"] = or_null(decision.p_values[level.name])
    columns["q_value"] = or_null(decision.q_value)
    columns["flagged"] = pa.array(decision.flagged)
    return pa.table(columns)


def _numbers(x: np.ndarray) -> list[float | None]:
    """Floats for JSON, which has no NaN: null."""
    return [float(v) if np.isfinite(v) else None for v in x]
