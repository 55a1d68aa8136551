"""Arrays that go to a device in pieces, each of them while the one before is worked on."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from convergence_jax.fpga.host import Host

PIECE_BYTES = 16 << 20
"""Large enough that starting kernels costs nothing beside the work, small enough for any device twice."""


def stream(host: Host, array: np.ndarray, length: int) -> Iterator[tuple[Any, int]]:
    """Put an array on the device piece by piece, in two buffers that take turns.

    While the kernels that the caller starts work on one piece, the next is copied on a queue of its own.

    Parameters
    ----------
    host : Host
    array : ndarray
        ``(n, ...)``. It must not change before the caller has a result back.
    length : int
        Elements along the leading axis in a piece, the last piece excepted.

    Yields
    ------
    buffer : pyopencl.Buffer
        Of the piece, valid for all kernels that the caller starts before it asks for the next piece.
    count : int
        Elements along the leading axis in the piece.

    Raises
    ------
    ValueError
        If `length` is below 1.
    InputError
        If the device has no memory for two pieces.
    """
    import pyopencl as cl

    if length < 1:
        raise ValueError(f"stream: length must be at least 1, got {length}.")
    transfers = cl.CommandQueue(host.context)
    starts = range(0, len(array), length)
    size = array[:length].nbytes
    buffers = [host.empty(size) for _ in starts[:2]]
    idle: list[Any] = []  # once this is done, nothing uses the buffer whose turn is next

    def copy(number: int) -> Any:
        if number == len(starts):
            return None
        piece = np.ascontiguousarray(array[starts[number] : starts[number] + length])
        event = cl.enqueue_copy(transfers, buffers[number % 2], piece, is_blocking=False, wait_for=idle)
        transfers.flush()
        host.bytes_to_device += piece.nbytes
        return event

    copied = copy(0)
    for number, start in enumerate(starts):
        following = copy(number + 1)
        cl.enqueue_barrier(host.queue, wait_for=[copied])
        yield buffers[number % 2], min(length, len(array) - start)
        idle = [cl.enqueue_marker(host.queue)]
        host.queue.flush()
        # An event holds its piece, and waits for the copy when it goes: two pieces are in memory at most.
        copied = following
