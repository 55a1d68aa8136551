"""`reduce` hands observations to a backend that a caller brings, as they are."""

import numpy as np
import pytest

import convergence_jax as cj


class Recorder:
    """A backend that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []

    def reduce(self, stat, xs, where):
        self.asked.append((stat, xs, where))
        return "a state"


def test_a_backend_gets_the_observations_and_its_state_is_returned():
    backend, xs, where = Recorder(), np.arange(3.0), np.array([True, False, True])
    assert cj.reduce(cj.Sum(), xs, where=where, backend=backend) == "a state"
    assert cj.reduce(cj.Count(), xs, arity=2, backend=backend) == "a state"
    (first, second) = backend.asked
    assert first[0] == cj.Sum()
    assert first[1] is xs
    assert first[2] is where
    assert second[0] == cj.Count()
    assert second[2] is None


@pytest.mark.parametrize(
    ("other", "said"), [({"arity": 1}, "arity must be"), ({"where": np.ones(2, bool)}, "common leading axis")]
)
def test_arguments_are_checked_before_a_backend_is_asked(other, said):
    backend = Recorder()
    with pytest.raises(ValueError, match=said):
        cj.reduce(cj.Sum(), np.zeros(3), backend=backend, **other)
    assert not backend.asked
