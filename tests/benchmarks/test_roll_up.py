"""Roll-up and change in place; run once, untimed, in the ordinary suite."""

import jax
import numpy as np

from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.hierarchy.reduce import roll_up
from convergence_jax.hierarchy.tree import from_codes
from convergence_jax.hierarchy.update import LiveTree
from convergence_jax.statistics.moments import Moments

ROWS, FEATURES = 20_000, 4
STATISTIC = Moments((FixedPoint(27, 4),) * FEATURES)


def population() -> tuple[object, np.ndarray]:
    rng = np.random.default_rng(0)
    group = np.sort(rng.integers(0, 1000, ROWS))
    tree, _ = from_codes([group // 100, group // 10, group])
    return tree, rng.standard_normal((FEATURES, ROWS))


def test_roll_up_of_uneven_groups(benchmark):
    tree, xs = population()
    levels = benchmark(lambda: jax.block_until_ready(roll_up(STATISTIC, tree, xs)))
    assert int(levels[0].count[0]) == ROWS


def test_presenting_every_group(benchmark):
    tree, xs = population()
    finest = roll_up(STATISTIC, tree, xs)[-1]
    value = benchmark(lambda: STATISTIC.present(finest))
    assert int(value.count.sum()) == ROWS


def test_changing_one_agent(benchmark):
    tree, xs = population()
    live = LiveTree(STATISTIC, tree)
    live.join(np.arange(ROWS), xs.T)

    def change() -> None:
        live.update(7, xs[:, 8])
        live.block_until_ready()

    benchmark(change)
    assert int(live.state(0).count[0]) == ROWS
