"""Events count once; what contradicts itself counts never, in whatever order it arrives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convergence_jax.consensus.events import once
from convergence_jax.testing import strategies

ROWS = 16


def codes(most):
    return st.lists(st.integers(0, most), min_size=ROWS, max_size=ROWS).map(np.array)


CONTENT = st.lists(st.sampled_from([0.0, -0.0, 1.0]), min_size=ROWS, max_size=ROWS).map(np.array)


@given(codes(2), codes(1), codes(3), codes(1), CONTENT, strategies.orders(ROWS))
def test_duplicates_and_equivocations_are_those_of_the_definition(observer, type_, name, agent, value, order):
    events = {}
    for row in range(ROWS):
        events.setdefault((observer[row], type_[row], name[row]), []).append(row)
    honest, lying = {}, []
    for key, rows in events.items():
        if len({(agent[r], value[r] + 0.0) for r in rows}) == 1:
            honest[key] = rows
        else:
            lying += rows
    found = once((observer, type_, name), (agent, value))
    assert found.kept.tolist() == sorted(rows[0] for rows in honest.values())
    assert found.duplicates == sum(len(rows) - 1 for rows in honest.values())
    assert found.equivocal.tolist() == sorted(lying)
    # In another order the same events count, with the same content.
    again = once((observer[order], type_[order], name[order]), (agent[order], value[order]))
    columns = np.stack([observer, type_, name, agent, value + 0.0])
    assert sorted(map(tuple, columns[:, order][:, again.kept].T)) == sorted(
        map(tuple, columns[:, found.kept].T)
    )
    assert sorted(order[again.equivocal]) == sorted(lying)


def test_codes_too_large_to_join_in_a_word_are_told_apart():
    far = np.array([2**40, 0, 2**40, 2**40])
    name = np.array([2**30, 2**30, 2**30, 1])
    found = once((far, name), (np.zeros(4, dtype=np.int64),))
    assert found.kept.tolist() == [0, 1, 3]
    assert found.duplicates == 1
