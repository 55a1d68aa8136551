"""`reduce` on an OpenCL device: many observations to one state, with the bits of `convergence_jax.reduce`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from convergence_jax.exact.constants import DIGIT_MASK
from convergence_jax.exact.log_sum_exp import LogSumExp, LogSumExpState
from convergence_jax.exact.superaccumulator import AccumulatorState, Superaccumulator
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.log_sum_exp import FpgaLogSumExp
from convergence_jax.fpga.moments import FpgaLeafTable, FpgaMoments
from convergence_jax.fpga.superaccumulator import FpgaSuperaccumulator
from convergence_jax.statistics.faults import count_faults, no_faults, total_faults
from convergence_jax.statistics.law import Statistic
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import map_arrays
from convergence_jax.statistics.sums import Sum, SumState

BLOCK = 1 << 22
"""Numbers that are lifted to ticks on the host and summed on the device at once."""


def reduce(host: Host, stat: Statistic[Any, Any], xs: Any, where: Any = None) -> Any:
    """Merge many observations into one state.

    Parameters
    ----------
    host : Host
    stat : Superaccumulator, LogSumExp, Moments or Sum
        Of the superaccumulators those of float32 and float64.
    xs : Array
        Observations on the host, of a type that `stat` takes: ``(n,)`` for a superaccumulator,
        ``(n, features)`` for moments, ``(n, ...)`` for the others. `n` may be zero.
    where : Bool[Array, "n"], optional
        True where an observation counts.

    Returns
    -------
    AccumulatorState, LogSumExpState, MomentsState or SumState
        In NumPy; types, shapes and bytes are those of :func:`convergence_jax.hierarchy.fold.reduce`.

    Raises
    ------
    TypeError
        If the statistic is another one, or cannot hold the type of `xs`.
    ValueError
        If `xs` or `where` has another shape.
    InputError
        If the device has not enough memory.

    Notes
    -----
    What `where` leaves out never reaches the device. The host lifts floats to ticks for moments and sums and
    counts their faults; all other sums, and all products, are made by kernels.
    """
    fold = _fold_of(stat)
    xs = np.asarray(xs)
    if where is not None:
        seen = np.asarray(where, np.bool_)
        if seen.shape != xs.shape[:1]:
            raise ValueError(f"reduce: where must have the shape {xs.shape[:1]}, got {seen.shape}.")
        xs = xs[seen]
    return fold(host, stat, xs)


def _fold_of(stat: Any) -> Callable[[Host, Any, np.ndarray], Any]:
    """What folds the observations of a statistic."""
    if isinstance(stat, Superaccumulator) and not stat.product:
        return _accumulated
    for kind, fold in ((LogSumExp, _exponentials), (Moments, _moments), (Sum, _sum)):
        if isinstance(stat, kind):
            return fold
    raise TypeError(
        "reduce: OpenCL takes Superaccumulator of float32 and float64, LogSumExp, Moments and Sum, "
        f"got {stat}: leave the backend out."
    )


def _accumulated(host: Host, stat: Superaccumulator, xs: np.ndarray) -> AccumulatorState:
    return FpgaSuperaccumulator(host, stat.format).collect(xs)


def _exponentials(host: Host, stat: LogSumExp, xs: np.ndarray) -> LogSumExpState:
    return FpgaLogSumExp(host).collect(xs)


def _moments(host: Host, stat: Moments, xs: np.ndarray) -> MomentsState:
    if xs.ndim != 2:
        raise ValueError(f"reduce: moments are of observations (n, {stat.features}), got shape {xs.shape}.")
    kernels, state = FpgaMoments(host), stat.empty()
    step = max(1, BLOCK // stat.features)
    for start in range(0, max(1, len(xs)), step):  # once for no rows too, which checks the features
        ticks, held, faults = stat.ticks(xs[start : start + step])
        made = kernels.group_moments(stat, ticks.T, np.where(held, 0, -1), 1)
        made = map_arrays(lambda x: x[0, ...], made)
        state = stat.merge(state, replace(made, faults=total_faults(faults)))
    return state


def _sum(host: Host, stat: Sum, xs: np.ndarray) -> SumState:
    """Each position behind the leading axis is a leaf of a table."""
    trailing = xs.shape[1:]
    columns = int(np.prod(trailing, dtype=np.int64))
    table = FpgaLeafTable(host, Moments((stat.fixed_point,)), max(1, columns))
    leaf, faults = np.arange(columns).reshape(trailing), no_faults(np, trailing)
    step = max(1, BLOCK // max(1, columns))
    for start in range(0, len(xs), step):
        block = xs[start : start + step]
        ticks, held = stat.fixed_point.lift(block)
        faults = faults + total_faults(count_faults(block, held))
        table.add(ticks.reshape(1, -1), np.where(held, leaf, -1).reshape(-1))
    count, sums = table.state(columns)
    length = stat.empty().ticks.shape[-1]
    sums = sums.reshape(*trailing, sums.shape[-1])
    sign = np.where(sums[..., -1:] >> 31, np.uint32(DIGIT_MASK), np.uint32(0))
    missing = np.repeat(sign, length - sums.shape[-1], axis=-1)
    return SumState(np.concatenate([sums, missing], axis=-1), count.reshape(trailing), faults, stat)
