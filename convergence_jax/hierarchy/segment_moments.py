"""Moments of every segment of a table: exact second moments at the speed of floating-point ones.

A product of two ticks has 62 bits and a sum of products more than one word. Its low word is a plain wrapping
``int64`` sum, and a ``float32`` sum of the same products, however it rounds, is good enough to tell which
multiple of ``2**64`` the low word lacks. That is two multiplications and two additions a product, none of
which waits for a carry, all of which vectorise.

Wide ticks (62 bits) are cut into two halves of 31, ``t = h * 2**31 + l``; the moments of the `2d` halves are
narrow ones, and hold every product that the wide ones are made of.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convergence_jax.exact import digits
from convergence_jax.exact.constants import NARROW_BITS
from convergence_jax.hierarchy.segments import LANES, STEP, SegmentLayout, lay_out, round_up
from convergence_jax.statistics.faults import Faults, no_faults
from convergence_jax.statistics.moments import Moments, MomentsState
from convergence_jax.statistics.state import register

Array = Any

register()

PADDED_BELOW = 1 << 18
"""Smaller inputs are padded to a size class, so that the last batch of a stream compiles nothing new; copying
larger ones would cost more than it saves."""

_HALF = NARROW_BITS
_LOW = (1 << _HALF) - 1


def moments_by_segment(
    statistic: Moments, xs: Array, segments: np.ndarray | SegmentLayout, num_segments: int | None = None
) -> MomentsState:
    """Merge the observations of every segment.

    Parameters
    ----------
    statistic : Moments
        Which lifts. Static.
    xs : Float64[Array, "features n"] or Int[Array, "features n"]
        Observations, feature-major. Floats are lifted here; integers are ticks already, below
        ``2**31`` in magnitude (``2**62`` if the statistic is wide).
    segments : Int[ndarray, "n"] or SegmentLayout
        Segment of each row, in any order, negative for rows to leave out; or their layout
        (:func:`~convergence_jax.hierarchy.segments.lay_out`), to use it again.
    num_segments : int, optional
        Number of segments; needed unless `segments` is a layout.

    Returns
    -------
    MomentsState
        Leading axis ``[segments]``, JAX arrays; the same bits for any order of rows.

    Raises
    ------
    ValueError
        If shapes do not fit, or a segment is out of range.

    Notes
    -----
    Compiled once per statistic and per size class of the input; see
    :func:`~convergence_jax.hierarchy.segments.round_up`.
    """
    if xs.ndim != 2 or xs.shape[0] != statistic.features:
        raise ValueError(f"moments_by_segment: xs must be ({statistic.features}, n), got shape {xs.shape}.")
    n = xs.shape[1]
    if not isinstance(segments, SegmentLayout):
        if num_segments is None or len(segments) != n:
            raise ValueError(
                f"moments_by_segment: {n} segments and num_segments are needed, got {len(segments)}."
            )
        segments = lay_out(segments, num_segments)
    missing = round_up(max(n, 1)) - n if n < PADDED_BELOW else 0
    if missing:
        xs = (np if isinstance(xs, np.ndarray) else jnp).pad(xs, ((0, 0), (0, missing)))
    return _moments(statistic, xs, segments)


@partial(jax.jit, static_argnums=0)
def _moments(statistic: Moments, xs: Array, layout: SegmentLayout) -> MomentsState:
    return segment_moments(statistic, xs, layout)


def segment_moments(statistic: Moments, xs: Array, layout: SegmentLayout) -> MomentsState:
    """:func:`moments_by_segment` inside traced code, for rows that all exist and a layout made before."""
    if not statistic.wide:
        sums, products, count, unheld = _narrow(statistic, xs, layout)
    else:
        sums, products, count, unheld = _narrow(statistic, xs, layout)
        sums, products = _join_halves(statistic, sums, products)
    faults = _faults(statistic, xs, layout, unheld)
    return MomentsState(count, sums, products, faults, statistic)


def _lifted(statistic: Moments, block: Array) -> tuple[Array, Array | None]:
    """Narrow ticks ``Int32[features or halves, ...]`` of a block of rows, and which of them are held."""
    column = (-1,) + (1,) * (block.ndim - 1)
    held = None
    if jnp.issubdtype(block.dtype, jnp.floating):
        scale = np.array([2.0**lift.scale_bits for lift in statistic.lifts]).reshape(column)
        limit = [np.float64(2.0**lift.bits) for lift in statistic.lifts]
        block = jnp.round(block.astype(jnp.float64) * scale)
        held = jnp.abs(block[0]) < limit[0]
        for i in range(
            1, statistic.features
        ):  # unrolled: a reduction over the outermost axis would not vectorise
            held = held & (jnp.abs(block[i]) < limit[i])
        block = jnp.where(held, block, 0.0)
    if not statistic.wide:
        return block.astype(jnp.int32), held
    ticks = block.astype(jnp.int64)
    return jnp.concatenate([ticks >> _HALF, ticks & _LOW]).astype(jnp.int32), held


def _narrow(statistic: Moments, xs: Array, layout: SegmentLayout) -> tuple[Array, Array, Array, Array]:
    """Sums ``UInt32[segments, D, 2]``, products ``UInt32[segments, P, 4]``, counts, and the rows not held."""
    D = statistic.features * (2 if statistic.wide else 1)
    P = D * (D + 1) // 2
    n = xs.shape[1]
    flat = xs.reshape(-1)
    column = jnp.arange(xs.shape[0], dtype=jnp.int64)[:, None] * n

    def fetch(slot: Array, step: Array, length: Array) -> tuple[Array, Array]:
        rows = lax.dynamic_slice(layout.rows, (slot, jnp.zeros_like(slot)), (STEP, LANES)).reshape(-1)
        cells = (column + rows.astype(jnp.int64)).reshape(
            -1
        )  # one axis to gather from: four times as fast as two
        block = flat.at[cells].get(mode="promise_in_bounds").reshape(xs.shape[0], STEP, LANES)
        exists = jnp.arange(STEP, dtype=jnp.int32)[:, None] + step * STEP < length[None, :]
        ticks, held = _lifted(statistic, block)
        held = exists if held is None else exists & held
        return jnp.where(held, ticks, 0), held

    def chunk(k: Array, tables: tuple[Array, ...]) -> tuple[Array, ...]:
        start, length = layout.start[k], layout.length[k]

        def add_rows(step: Array, carry: Any) -> Any:
            # The block comes from the loop's state, so that it is in memory: a slice computed in place would
            # put a scalar load into the innermost loop, which then would not vectorise.
            low, estimate, sums, count, block, held = carry
            low, estimate = list(low), list(estimate)
            for w in range(STEP):
                sums = sums + block[:, w].astype(jnp.int64)
                count = count + held[w].astype(jnp.int64)
                for i in range(D):
                    a, b = block[i : i + 1, w], block[i:, w]
                    low[i] = low[i] + a.astype(jnp.int64) * b.astype(jnp.int64)
                    estimate[i] = estimate[i] + a.astype(jnp.float32) * b.astype(jnp.float32)
            step = step + 1
            return low, estimate, sums, count, *fetch(start + step * STEP, step, length)

        empty = (
            [jnp.zeros((D - i, LANES), jnp.int64) for i in range(D)],
            [jnp.zeros((D - i, LANES), jnp.float32) for i in range(D)],
            jnp.zeros((D, LANES), jnp.int64),
            jnp.zeros(LANES, jnp.int64),
        )
        first = jnp.zeros((), jnp.int32)
        low, estimate, sums, count, _, _ = lax.fori_loop(
            first, layout.steps[k], add_rows, (*empty, *fetch(start, first, length))
        )
        words = jnp.concatenate([_digits(a, b) for a, b in zip(low, estimate, strict=True)]).T
        products, parts, all_sums, counts = tables
        products = products.at[layout.alone[k]].set(words)
        if parts.shape[0]:
            parts = parts.at[layout.part[k]].set(words)
        return (
            products,
            parts,
            all_sums.at[layout.segment[k]].add(sums.T),
            counts.at[layout.segment[k]].add(count),
        )

    tables = (
        jnp.zeros((layout.segments, 4 * P), jnp.uint32),
        jnp.zeros((layout.part_owner.shape[0], 4 * P), jnp.uint32),
        jnp.zeros((layout.segments, D), jnp.int64),
        jnp.zeros(layout.segments, jnp.int64),
    )
    products, parts, sums, count = lax.fori_loop(0, layout.chunks, chunk, tables)
    if parts.shape[0]:
        owners = layout.owner_segment.shape[0]
        lanes = jnp.zeros((owners, 4 * P), jnp.int64).at[layout.part_owner].add(parts.astype(jnp.int64))
        whole = digits.normalize(lanes.reshape(owners, P, 4)).reshape(owners, 4 * P)
        products = products.at[layout.owner_segment].set(whole)
    unheld = jnp.sum(layout.length, dtype=jnp.int64) - jnp.sum(count)
    two = lax.bitcast_convert_type(sums, jnp.uint32)
    return two, products.reshape(layout.segments, P, 4), count, unheld


def _digits(low: Array, estimate: Array) -> Array:
    """Four digits ``UInt32[4 * pairs, LANES]`` of sums, from their low word and an estimate.

    With ``S`` the sum, ``low = S - 2**64 * k``. The estimate adds at most 512 products, each at most
    ``2**62`` and of three roundings, in float32 in any order: it is off by at most
    ``516 * 2**-24 * 512 * 2**62 < 2**57``. The high half of `low` stands for it, off by ``2**32`` and by one
    more rounding, below ``2**40``. So ``k`` is the nearest integer to ``(estimate - low) / 2**64``, which is
    off by less than ``2**-6``.
    """
    top = (low >> 32).astype(jnp.int32)
    scale = np.float32(2.0**-32)
    lacking = jnp.round((estimate * scale - top.astype(jnp.float32)) * scale).astype(jnp.int32)
    high = lacking + (top >> 31)
    four = [
        low.astype(jnp.uint32),
        top.astype(jnp.uint32),
        high.astype(jnp.uint32),
        (high >> 31).astype(jnp.uint32),
    ]
    return jnp.stack(four, axis=1).reshape(-1, low.shape[-1])


def _join_halves(statistic: Moments, sums: Array, products: Array) -> tuple[Array, Array]:
    """Wide sums and products from those of the halves, ``t = h * 2**31 + l``."""
    d = statistic.features
    D = 2 * d
    place = np.zeros((D, D), dtype=np.int64)  # where the pair of halves is
    place[np.triu_indices(D)] = np.arange(D * (D + 1) // 2)
    i, j = statistic.pairs
    hh, ll = products[:, place[i, j]], products[:, place[i + d, j + d]]
    cross = digits.add(_extend(products[:, place[i, j + d]], 8), _extend(products[:, place[j, i + d]], 8))
    once = digits.add(_shift_half(_extend(hh, 8)), cross)
    wide_products = digits.add(_shift_half(once), _extend(ll, 8))
    wide_sums = digits.add(_shift_half(_extend(sums[:, :d], 4)), _extend(sums[:, d:], 4))
    return wide_sums, wide_products


def _extend(x: Array, length: int) -> Array:
    """The same signed integer in more digits."""
    sign = (x[..., -1:] >> 31) * np.uint32(0xFFFFFFFF)
    return jnp.concatenate([x] + [sign] * (length - x.shape[-1]), axis=-1)


def _shift_half(x: Array) -> Array:
    """Times ``2**31``."""
    return digits.normalize(digits.lanes(x) << _HALF)


def _faults(statistic: Moments, xs: Array, layout: SegmentLayout, unheld: Array) -> Faults:
    """Faults of every segment; looks at the rows again only if some were not held."""
    shape = (layout.segments, statistic.features)
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        return no_faults(jnp, shape)

    def count() -> Faults:
        segment = _segment_of_rows(xs.shape[1], layout)
        kinds = []
        nan, infinite = jnp.isnan(xs), jnp.isinf(xs)
        held = jnp.stack([lift.lift(x)[1] for lift, x in zip(statistic.lifts, xs, strict=True)])
        for kind in (nan, infinite, ~(held | nan | infinite)):
            kinds.append(jnp.zeros(shape, jnp.int64).at[segment].add(kind.T.astype(jnp.int64)))
        return Faults(*kinds)

    return lax.cond(unheld > 0, count, lambda: no_faults(jnp, shape))


def _segment_of_rows(n: int, layout: SegmentLayout) -> Array:
    """Segment of each row, from the layout; the number of segments, which is none, for rows in no block."""

    def chunk(k: Array, segment: Array) -> Array:
        def step(w: Array, segment: Array) -> Array:
            rows = layout.rows[layout.start[k] + w]
            return segment.at[jnp.where(w < layout.length[k], rows, n)].set(layout.segment[k])

        return lax.fori_loop(0, layout.steps[k] * STEP, step, segment)

    return lax.fori_loop(0, layout.chunks, chunk, jnp.full(n, layout.segments, jnp.int32))
