"""`observers_table`: what a run of evidence has to say of each observer, the most suspicious ones ranked."""

import numpy as np
import pyarrow as pa

from convergence_jax.consensus.evidence import Evidence
from convergence_jax.consensus.point_estimates import cell_values
from convergence_jax.consensus.portrait import portrait
from convergence_jax.data.evidence_file import Coded
from convergence_jax.data.results import or_null

_USUAL = "nothing unusual"


def observers_table(
    evidence: Evidence, liars: int | None, observers: Coded, equivocal: np.ndarray, gone: np.ndarray
) -> pa.Table:
    """One row an observer, with what makes it suspicious.

    Parameters
    ----------
    evidence : Evidence
        Without what is retracted.
    liars : int or None
        At most so many observers lie; a tenth of them unless given.
    observers : Coded
        Their names.
    equivocal : Int64[ndarray, "observers"]
        Rows of each one that contradict another of its own.
    gone : Int64[ndarray, "retracted"]
        Codes of those that are retracted.
    """
    ratios = evidence if evidence.columns == 1 else evidence.difference(1, 0)
    extremes = liars or max(1, len(observers) // 10)
    seen = portrait(ratios, cell_values(ratios), extremes)
    retracted = np.zeros(len(observers), dtype=bool)
    retracted[gone] = True
    deviation = np.nan_to_num(seen.deviation, nan=0.0)
    score = np.lexsort((deviation, seen.extreme_share, equivocal + evidence.refused))[::-1]
    rank = np.empty(len(observers), dtype=np.int64)
    rank[score] = np.arange(1, len(observers) + 1)
    reason = [
        _why(*each)
        for each in zip(
            equivocal, evidence.refused, seen.extreme_share, seen.deviation, retracted, strict=True
        )
    ]
    return pa.table(
        {
            "observer": observers.values,
            "items": seen.items,
            "agents": seen.agents,
            "equivocal_rows": equivocal,
            "refused_items": evidence.refused,
            "retracted": retracted,
            "total_magnitude": seen.total,
            "extreme_share": seen.extreme_share,
            "deviation": or_null(seen.deviation),
            "suspicion_rank": rank,
            "suspicious": pa.array([why != _USUAL for why in reason]),
            "reason": pa.array(reason, pa.string()),
        }
    )


def _why(equivocal: int, refused: int, extreme: float, deviation: float, retracted: bool) -> str:
    said = []
    if retracted:
        said.append("retracted")
    if equivocal:
        said.append(f"{equivocal:,} rows that contradict each other")
    if refused:
        said.append(f"{refused:,} {'item' if refused == 1 else 'items'} out of range")
    if extreme > 0.5:
        said.append(f"among the farthest out about {extreme:.0%} of its agents")
    if deviation > 3.0:
        said.append(f"typically {deviation:.1f} robust sd from the other observers")
    return "; ".join(said) or _USUAL
