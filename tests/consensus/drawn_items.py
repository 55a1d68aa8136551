"""Items of evidence drawn in one shape, and what they come to by rational arithmetic."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from convergence_jax.consensus.evidence import Evidence, collect
from convergence_jax.data.digest import digest
from convergence_jax.statistics.log_evidence import LogEvidence

ITEMS, AGENTS, OBSERVERS = 24, 3, 7


@dataclass(frozen=True)
class Items:
    """Items of some agents by some observers."""

    agent: np.ndarray
    observer: np.ndarray
    values: np.ndarray

    def table(self, rows: object = slice(None), **options: object) -> Evidence:
        """The evidence of some rows."""
        return collect(
            self.agent[rows],
            self.observer[rows],
            self.values[rows],
            agents=AGENTS,
            observers=OBSERVERS,
            **options,
        )

    def said(self, agent: int, column: int = 0) -> list[Fraction]:
        """What each observer said about an agent, exactly."""
        values = self.values.reshape(len(self.values), -1)[:, column]
        return [
            sum(map(Fraction, values[(self.agent == agent) & (self.observer == o)]), Fraction(0))
            for o in range(OBSERVERS)
        ]


def amounts() -> st.SearchStrategy[float]:
    """Log-likelihood ratios: ordinary ones, ties, and ones that no window holds."""
    ordinary = st.floats(-60.0, 60.0)
    ties = st.integers(-3, 3).map(float)
    close = st.integers(-3, 3).map(lambda k: 1.0 + k * 2.0**-52)
    outside = st.sampled_from(
        [2.0**-82, 2.0**-83, -(2.0**-300), 5e-324, 16384.0, -16383.999, 1e9, -1e8 - 0.1]
    )
    return st.one_of(ordinary, ordinary, ties, close, outside)


def items(columns: int = 1) -> st.SearchStrategy[Items]:
    """Items with `columns` values each; one dimension if one."""
    shape = (ITEMS,) if columns == 1 else (ITEMS, columns)
    codes = [
        st.lists(st.integers(0, number - 1), min_size=ITEMS, max_size=ITEMS).map(
            lambda values: np.array(values, dtype=np.int32)
        )
        for number in (AGENTS, OBSERVERS)
    ]
    size = int(np.prod(shape))
    values = st.lists(amounts(), min_size=size, max_size=size).map(lambda v: np.array(v).reshape(shape))
    return st.builds(Items, codes[0], codes[1], values)


def bits(evidence: Evidence) -> str:
    """A digest of all of a table."""
    sums = evidence.sums
    return digest(
        evidence.statistic,
        evidence.agent,
        evidence.observer,
        sums.window,
        sums.far,
        sums.outside,
        evidence.count,
        evidence.refused,
    )


WIDE = LogEvidence(1024)
