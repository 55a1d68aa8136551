"""Rows of numbers merged on an OpenCL device, part by part, and lanes made canonical there."""

from typing import Any

import numpy as np

from convergence_jax.fpga.host import Host
from convergence_jax.fpga.parts import Parts


def dealt(host: Host, parts: Parts) -> tuple[Any, Any, Any]:
    """Buffers of the order, the first rows and the shares of parts, as kernels take them."""
    return host.put(parts.order), host.put(parts.first), host.put(parts.shares(host.workers))


def merge(host: Host, rows: Any, dtype: Any, parts: Parts, width: int) -> Any:
    """The rows of each part added up, in a buffer of lanes ``Int64[parts, width]``.

    Parameters
    ----------
    host : Host
    rows : pyopencl.Buffer
        Of `width` numbers each.
    dtype : dtype
        Of them: uint32 for digits, int64 for lanes and counts.
    parts : Parts
    width : int
    """
    out = host.empty(len(parts) * width * 8)
    kernel = "merge_digit_rows" if dtype == np.uint32 else "merge_lanes"
    host.run(kernel, host.workers, rows, np.uint32(width), *dealt(host, parts), out)
    return out


def canonical(host: Host, lanes: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Lanes in a buffer as digits on the host, ``UInt32`` of a shape whose last axis is the digits."""
    numbers = int(np.prod(shape[:-1], dtype=np.int64))
    digits = host.empty(numbers * shape[-1] * 4)
    host.run("canonicalise", numbers, lanes, np.uint32(shape[-1]), digits)
    return host.get(digits, shape, np.uint32)
