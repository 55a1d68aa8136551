"""Benjamini and Hochberg's procedure and Bonferroni's, against their definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convergence_jax.baseline.multiplicity import q_values, smallest_times_number

P_VALUES = arrays(np.float64, 40, elements=st.floats(0, 1).map(lambda p: p**4))


@given(p=P_VALUES, alpha=st.sampled_from([0.01, 0.05, 0.2]))
def test_the_rejected_are_those_of_the_step_up_procedure(p: np.ndarray, alpha: float) -> None:
    ordered = np.sort(p)
    passing = [k for k in range(1, 41) if ordered[k - 1] * (40 / k) <= alpha]
    want = p <= ordered[max(passing) - 1] if passing else np.zeros(40, bool)
    assert (q_values(p) <= alpha).tolist() == want.tolist()


@given(p=P_VALUES)
def test_q_values_are_at_least_the_p_values_and_in_their_order(p: np.ndarray) -> None:
    q = q_values(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(q[order]) >= 0).all()
    assert (q >= p).all()


@given(p=P_VALUES)
def test_an_agent_pays_for_each_of_its_units(p: np.ndarray) -> None:
    agent = np.arange(40) % 7
    got = smallest_times_number(p, agent, 8)
    assert got[:7].tolist() == [min(1.0, p[agent == a].min() * (agent == a).sum()) for a in range(7)]
    assert got[7] == 1.0
