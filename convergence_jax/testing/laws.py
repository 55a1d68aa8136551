"""The law of a statistic, as functions that raise AssertionError where it is broken.

Every function takes a statistic and a :class:`~convergence_jax.testing.sample.Sample`; all compare bits, none
has a tolerance. :func:`check_laws` applies those that the statistic is subject to.
"""

import copy
import dataclasses
import functools
import itertools
import warnings
from typing import Any

import numpy as np

from convergence_jax.errors import FaultError
from convergence_jax.statistics.check import check
from convergence_jax.statistics.law import Collecting, Removable, Statistic
from convergence_jax.testing.sample import Sample, arrays, bits

Stat = Statistic[Any, Any]

_FEW = 6  # states whose pairs and triples are tried; samples are random, so more would be more of the same


def check_laws(statistic: Stat, sample: Sample, *, order: Any = None, arity: int = 5) -> None:
    """Apply every law that the statistic is subject to.

    Parameters
    ----------
    statistic : Statistic
        The one on trial; removal is asked of it only if it has ``remove``, short cuts only if it has
        ``collect``.
    sample : Sample
        Observations that its ``lift`` takes.
    order : Int64[ndarray, "n"], optional
        A permutation of the sample; reversed if not given.
    arity : int
        Children per node of the other tree, merged in NumPy; compiled code keeps to one arity.

    Raises
    ------
    AssertionError
        With the law that broke, the statistic, and the first array that differs.
    """
    order = np.arange(sample.size)[::-1] if order is None else order
    statistic_is_configuration(statistic)
    states_are_canonical(statistic, sample)
    empty_is_the_identity(statistic, sample)
    merge_commutes(statistic, sample)
    merge_associates(statistic, sample)
    order_and_tree_leave_no_trace(statistic, sample, order, arity)
    faults_are_counted(statistic, sample)
    presenting_is_quiet(statistic, sample)
    if isinstance(statistic, Removable):
        remove_inverts_merge(statistic, sample, order)
    if isinstance(statistic, Collecting):
        collecting_is_merging(statistic, sample)
    backends_agree(statistic, sample)
    unseen_observations_do_not_count(statistic, sample)


def statistic_is_configuration(statistic: Stat) -> None:
    """A statistic is hashable, and equal to its copy: it can be static in compiled code."""
    twin = copy.deepcopy(statistic)
    _require(
        twin == statistic and hash(twin) == hash(statistic),
        statistic,
        "is not equal to its copy, hash included",
    )
    _require(isinstance(statistic, Statistic), statistic, "lacks one of empty, lift, merge, present")


def states_are_canonical(statistic: Stat, sample: Sample) -> None:
    """States are integers, and two ways to the same observations give the same bits."""
    for state in (statistic.empty(), *sample.lifted(statistic)):
        for path, array in arrays(state):
            _require(
                array.dtype.kind in "iu", statistic, f"keeps {array.dtype} in {path}: states are integers"
            )
    again = functools.reduce(statistic.merge, sample.lifted(statistic), statistic.empty())
    _same(again, sample.total(statistic), statistic, "the same merges give other bits")


def empty_is_the_identity(statistic: Stat, sample: Sample) -> None:
    """``merge(empty(), s) == s == merge(s, empty())``."""
    for state in (*sample.lifted(statistic), sample.total(statistic)):
        _same(statistic.merge(state, statistic.empty()), state, statistic, "merge(s, empty()) is not s")
        _same(statistic.merge(statistic.empty(), state), state, statistic, "merge(empty(), s) is not s")


def merge_commutes(statistic: Stat, sample: Sample) -> None:
    """``merge(a, b) == merge(b, a)``."""
    for a, b in itertools.pairwise(_prefixes_and_states(statistic, sample)):
        _same(statistic.merge(a, b), statistic.merge(b, a), statistic, "merge(a, b) is not merge(b, a)")


def merge_associates(statistic: Stat, sample: Sample) -> None:
    """``merge(merge(a, b), c) == merge(a, merge(b, c))``."""
    states = _prefixes_and_states(statistic, sample)
    merge = statistic.merge
    for a, b, c in zip(states, states[1:], states[2:], strict=False):
        _same(merge(merge(a, b), c), merge(a, merge(b, c)), statistic, "merge does not associate")


def order_and_tree_leave_no_trace(statistic: Stat, sample: Sample, order: np.ndarray, arity: int) -> None:
    """A tree of any arity over any order gives the state of the chain."""
    states = sample.ordered(order).lifted(statistic) or [statistic.empty()]
    while len(states) > 1:
        groups = [states[i : i + arity] for i in range(0, len(states), arity)]
        states = [functools.reduce(statistic.merge, group) for group in groups]
    _same(states[0], sample.total(statistic), statistic, f"arity {arity} and order {order} leave a trace")


def remove_inverts_merge(statistic: Removable[Any, Any], sample: Sample, order: np.ndarray) -> None:
    """``remove(merge(a, b), b) == a``, and what left in any order leaves what was never there."""
    states = _prefixes_and_states(statistic, sample)
    for a, b in itertools.pairwise(states):
        both = statistic.merge(a, b)
        _same(statistic.remove(both, b), a, statistic, "remove(merge(a, b), b) is not a")
        _same(statistic.remove(both, a), b, statistic, "remove(merge(a, b), a) is not b")
    total = sample.total(statistic)
    for state in sample.ordered(order).lifted(statistic):
        total = statistic.remove(total, state)
    _same(total, statistic.empty(), statistic, "removing every observation does not leave empty()")


def faults_are_counted(statistic: Stat, sample: Sample) -> None:
    """``check`` refuses a total exactly where it refuses an observation, until that one is removed."""
    states = sample.lifted(statistic)
    clean = [state for state in states if _passes(state)]
    faulty = [state for state in states if not _passes(state)]
    total = functools.reduce(statistic.merge, states, statistic.empty())
    _require(_passes(total) == (not faulty), statistic, f"total of {len(faulty)} faulty states passes check")
    if isinstance(statistic, Removable):
        for state in faulty:
            total = statistic.remove(total, state)
        wanted = functools.reduce(statistic.merge, clean, statistic.empty())
        _same(total, wanted, statistic, "removed faults leave a trace")


def presenting_is_quiet(statistic: Stat, sample: Sample) -> None:
    """``present`` neither raises nor warns, whatever was observed, and nothing at all included."""
    for state in (statistic.empty(), *sample.lifted(statistic)[:2], sample.total(statistic)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            statistic.present(state)


def collecting_is_merging(statistic: Any, sample: Sample) -> None:
    """``collect`` has the bits of merging every lift, in NumPy."""
    collected = statistic.collect(sample.xs, where=sample.seen)
    _same(collected, sample.total(statistic), statistic, "collect is not the merge of all lifts")
    every = Sample(sample.xs, np.ones_like(sample.seen))
    _same(statistic.collect(every.xs), every.total(statistic), statistic, "collect without a mask differs")


def backends_agree(statistic: Stat, sample: Sample, arity: int = 5) -> None:
    """JAX, compiled, gives the bits of NumPy: by merging, and by ``collect`` where there is one."""
    from convergence_jax.hierarchy.fold import reduce

    wanted = sample.total(statistic)
    for fold in (statistic, MergingOnly(statistic)):
        made = reduce(fold, sample.xs, arity=arity, where=sample.seen)
        _same(made, wanted, statistic, f"JAX and NumPy differ at arity {arity}")


def unseen_observations_do_not_count(statistic: Stat, sample: Sample, arity: int = 5) -> None:
    """A mask that hides everything gives ``empty()``; two complementary masks merge to all."""
    import jax

    from convergence_jax.hierarchy.fold import reduce

    def fold(where: np.ndarray) -> Any:  # on the host: merging there compiles nothing
        return jax.device_get(reduce(MergingOnly(statistic), sample.xs, arity=arity, where=where))

    nothing = fold(np.zeros_like(sample.seen))
    _same(nothing, statistic.empty(), statistic, "hiding every observation does not give empty()")
    parts = statistic.merge(fold(sample.seen), fold(~sample.seen))
    _same(parts, Sample(sample.xs, np.ones_like(sample.seen)).total(statistic), statistic, "masks lose rows")


def strangers_do_not_merge(statistic: Stat, other: Stat, x: Any) -> None:
    """States of statistics that are configured differently are refused, eagerly and in compiled code."""
    for verb in [statistic.merge] + ([statistic.remove] if isinstance(statistic, Removable) else []):
        for a, b in itertools.permutations((statistic.lift(x), other.lift(x))):
            try:
                verb(a, b)
            except (ValueError, TypeError):
                continue
            _require(False, statistic, f"{verb.__name__} takes a state of {other}")


@dataclasses.dataclass(frozen=True)
class MergingOnly:
    """A statistic without its short cut ``collect`` and without ``remove``."""

    inner: Stat

    def empty(self) -> Any:
        """That of the statistic."""
        return self.inner.empty()

    def lift(self, x: Any) -> Any:
        """That of the statistic."""
        return self.inner.lift(x)

    def merge(self, a: Any, b: Any) -> Any:
        """That of the statistic."""
        return self.inner.merge(a, b)

    def present(self, state: Any) -> Any:
        """That of the statistic."""
        return self.inner.present(state)


def _prefixes_and_states(statistic: Stat, sample: Sample) -> list[Any]:
    """States of none, one and several of the first observations, in turn."""
    states = sample.lifted(statistic)[:_FEW]
    sums = itertools.accumulate(states, statistic.merge)
    return [statistic.empty(), *itertools.chain.from_iterable(zip(states, sums, strict=True))]


def _passes(state: Any) -> bool:
    try:
        check(state)
    except FaultError:
        return False
    return True


def _require(holds: bool, statistic: Stat, message: str) -> None:
    if not holds:
        raise AssertionError(f"{statistic}: {message}")


def _same(got: Any, want: Any, statistic: Stat, message: str) -> None:
    if bits(got) == bits(want):
        return
    pairs = itertools.zip_longest(arrays(got), arrays(want), fillvalue=("nothing", np.zeros(0)))
    for (path, a), (other, b) in pairs:
        if (path, a.dtype, a.shape) != (other, b.dtype, b.shape):
            detail = f"{path} {a.dtype}{a.shape} where {other} {b.dtype}{b.shape} is right"
            _require(False, statistic, f"{message}: {detail}")
        if a.tobytes() != b.tobytes():
            where = np.argwhere(np.atleast_1d(a != b))[0]
            at = tuple(int(i) for i in where)
            a, b = np.atleast_1d(a)[at], np.atleast_1d(b)[at]
            _require(False, statistic, f"{message}: {path}{list(at)} is {a}, want {b}")
