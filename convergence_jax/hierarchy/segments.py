"""How rows are laid out so that a sum over each of many uneven segments is a sum over contiguous lanes.

Rows are sorted by segment and every segment is cut into *blocks* of bounded length. Blocks, longest first,
are dealt to chunks of :data:`LANES`; row `w` of every block of a chunk lies side by side, so that one vector
instruction adds a row to each of several blocks. Neighbours in that order have nearly equal lengths: little
is padded however uneven the segments are. (Sparse matrices know the order as sliced ELLPACK, sorted.)

Only positions are computed here, on the host, with NumPy; no value is read.
"""

from dataclasses import dataclass, fields

import jax
import numpy as np

LANES = 1008
"""Blocks side by side. Not a multiple of 512: such columns would share cache sets in a transposition."""

STEP = 4
"""Rows of each block that are added in one step."""

NOWHERE = (1 << 31) - 1
"""An index past the end of every array: what is written there is dropped."""

SHORTEST_BLOCK, LONGEST_BLOCK = 64, 512


@dataclass(frozen=True, eq=False)
class SegmentLayout:
    """Positions of rows in lanes; build it with :func:`lay_out`.

    The sizes of the arrays follow from the numbers of rows and segments, and from whether any segment has
    several blocks, so that inputs of one size share one executable; `chunks` says how much is used.

    Attributes
    ----------
    rows : Int32[Array, "slots LANES"]
        Row of each cell; any row where the lane's block has ended.
    start, steps : Int32[Array, "chunks"]
        First slot of a chunk, and its number of steps.
    length : Int32[Array, "chunks LANES"]
        Rows of each block.
    chunks : Int32[Array, ""]
        Chunks in use.
    segment : Int32[Array, "chunks LANES"]
        Segment of each block; nowhere beyond the last block.
    alone : Int32[Array, "chunks LANES"]
        The same, but only where the block is its segment's only one.
    part : Int32[Array, "chunks LANES"]
        Position among the `parts`, the blocks of segments with several; nowhere for others.
    part_owner : Int32[Array, "parts"]
        Which of the segments with several blocks a part belongs to.
    owner_segment : Int32[Array, "owners"]
        Those segments.
    segments : int
        Number of segments.
    """

    rows: np.ndarray
    start: np.ndarray
    steps: np.ndarray
    length: np.ndarray
    chunks: np.ndarray
    segment: np.ndarray
    alone: np.ndarray
    part: np.ndarray
    part_owner: np.ndarray
    owner_segment: np.ndarray
    segments: int

    @property
    def padding(self) -> float:
        """Share of cells in use that hold no row."""
        cells = int(np.sum(self.steps)) * STEP * LANES
        return 1.0 - int(np.sum(self.length)) / cells if cells else 0.0


jax.tree_util.register_dataclass(
    SegmentLayout, [f.name for f in fields(SegmentLayout) if f.name != "segments"], ["segments"]
)


def round_up(size: int) -> int:
    """The next of few sizes: at most an eighth more, eight steps from one power of two to the next."""
    quantum = 1 << max(0, size.bit_length() - 4)
    return -(-size // quantum) * quantum


def sort_by_segment(segments: np.ndarray, num_segments: int) -> np.ndarray:
    """Stable order of rows by segment, ``Int64[n]``; 16 bits at a time, which NumPy sorts by radix."""
    order = np.argsort((segments & 0xFFFF).astype(np.uint16), kind="stable")
    if num_segments > 1 << 16:
        high = (segments >> 16).astype(np.uint16 if num_segments <= 1 << 32 else np.int64)
        order = order[np.argsort(high[order], kind="stable")]
    return order


def lay_out(segments: np.ndarray, num_segments: int) -> SegmentLayout:
    """Lay out rows by segment.

    Parameters
    ----------
    segments : Int[ndarray, "n"]
        Segment of each row, in any order; a row with a negative one is left out.
    num_segments : int
        Number of segments; at least 1.

    Raises
    ------
    ValueError
        If a segment is `num_segments` or more, or if there are ``2**31`` rows or more.
    """
    segments = np.asarray(segments)
    n = len(segments)
    if n >= 1 << 31:
        raise ValueError(f"lay_out: at most 2**31 - 1 rows in one layout, got {n}: use batches.")
    if n and int(segments.max()) >= num_segments:
        raise ValueError(f"lay_out: segments must be below {num_segments}, got {int(segments.max())}.")
    if n and int(segments.min()) < 0:
        kept = np.flatnonzero(segments >= 0)
        order = kept[sort_by_segment(segments[kept], num_segments)]
        sizes = np.bincount(segments[kept], minlength=num_segments)
    else:
        order = sort_by_segment(segments, num_segments)
        sizes = np.bincount(segments, minlength=num_segments)
    return _lay_out_sorted(order.astype(np.int32), sizes, _block_length(n), n)


def _block_length(n: int) -> int:
    """Longer blocks for more rows, as long as some chunks' worth of lanes remain."""
    return int(np.clip(n // (8 * LANES), SHORTEST_BLOCK, LONGEST_BLOCK))


def _lay_out_sorted(order: np.ndarray, sizes: np.ndarray, longest: int, n: int) -> SegmentLayout:
    num_segments = len(sizes)
    # Bounds that hold for any sizes, so that the shapes follow from the numbers of rows and segments alone.
    most_owners = min(num_segments, n // longest)
    most_chunks = -(-min(n, num_segments + n // longest) // LANES)
    # No chunk is longer than the shortest block of the one before, which is at most the mean there.
    most_slots = longest + n // LANES + STEP * (most_chunks + 1)
    blocks = -(-sizes // longest)  # of each segment
    segment = np.repeat(np.arange(num_segments, dtype=np.int32), blocks)
    index = np.arange(len(segment)) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    first = np.repeat(np.cumsum(sizes) - sizes, blocks) + index * longest
    length = np.minimum(longest, np.repeat(sizes, blocks) - index * longest)
    longest_first = np.argsort((longest - length).astype(np.uint16), kind="stable")
    segment, first, length = segment[longest_first], first[longest_first], length[longest_first]

    several = np.flatnonzero(blocks[segment] > 1)
    owners = np.flatnonzero(blocks > 1)
    owner_of = np.zeros(num_segments, dtype=np.int64)
    owner_of[owners] = np.arange(len(owners))
    parts, owner_count = (2 * (n // longest), most_owners) if len(several) else (0, 0)
    part = np.full(len(segment), NOWHERE, dtype=np.int32)
    part[several] = np.arange(len(several))
    alone = segment.copy()
    alone[several] = NOWHERE

    chunks = -(-len(segment) // LANES)
    shape = (max(most_chunks, 1), LANES)

    def in_lanes(x: np.ndarray, fill: int) -> np.ndarray:
        out = np.full(shape[0] * LANES, fill, dtype=np.int32)
        out[: len(x)] = x
        return out.reshape(shape)

    lengths = in_lanes(length, 0)
    steps = -(-lengths.max(axis=1) // STEP)
    start = (np.cumsum(steps) - steps) * STEP
    # One step more: the loop reads a step ahead.
    rows = np.zeros((most_slots, LANES), dtype=np.int32)
    firsts = in_lanes(first, 0)
    if len(order):
        last = np.int64(len(order) - 1)
        for k in range(chunks):
            cells = np.arange(int(steps[k]) * STEP)[:, None] + firsts[k].astype(np.int64)
            np.take(order, np.minimum(cells, last), out=rows[start[k] : start[k] + len(cells)], mode="clip")
    return SegmentLayout(
        rows=rows,
        start=start.astype(np.int32),
        steps=steps.astype(np.int32),
        length=lengths,
        chunks=np.array(chunks, dtype=np.int32),
        segment=in_lanes(segment, NOWHERE),
        alone=in_lanes(alone, NOWHERE),
        part=in_lanes(part, NOWHERE),
        part_owner=_filled(owner_of[segment[several]], parts),
        owner_segment=_filled(owners, owner_count),
        segments=num_segments,
    )


def _filled(x: np.ndarray, size: int) -> np.ndarray:
    out = np.full(size, NOWHERE, dtype=np.int32)
    out[: len(x)] = x
    return out
