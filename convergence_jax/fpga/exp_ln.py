"""``exp`` and ``ln`` on an OpenCL device: the bits of :mod:`convergence_jax.exact.exp_ln`."""

import numpy as np

from convergence_jax.exact.reals import Fixed
from convergence_jax.fpga.host import Host


def exp(host: Host, x: Fixed) -> tuple[np.ndarray, np.ndarray]:
    """``e**x``, as :func:`convergence_jax.exact.exp_ln.exp`.

    Parameters
    ----------
    host : Host
    x : Fixed
        In NumPy, both words of one shape.

    Returns
    -------
    exponent : Int64[ndarray, "..."]
    mantissa : UInt64[ndarray, "..."]
    """
    return _words(host, "exp_of_reals", (x.whole, x.fraction), (np.int64, np.uint64))


def exp_of_float(host: Host, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``e**x`` of ``Float64[ndarray, "..."]``, which is rounded to a real first; results as :func:`exp`."""
    return _words(host, "exp_of_floats", (x,), (np.float64,))


def ln(host: Host, exponent: np.ndarray, mantissa: np.ndarray) -> Fixed:
    """``ln(mantissa * 2**(exponent - 63))``, as :func:`convergence_jax.exact.exp_ln.ln`.

    Parameters
    ----------
    host : Host
    exponent : Int64[ndarray, "..."]
    mantissa : UInt64[ndarray, "..."]
        At least ``2**63``; of the shape of `exponent`.
    """
    return Fixed(*_words(host, "ln_of_scaled", (exponent, mantissa), (np.int64, np.uint64)))


def _words(
    host: Host, kernel: str, given: tuple[np.ndarray, ...], types: tuple[type, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Run a kernel of one element in, two words out: ``int64`` and ``uint64``, in the shape of what is given.

    Raises
    ------
    TypeError
        If an array has another type.
    ValueError
        If the shapes differ.
    """
    shape = given[0].shape
    for array, dtype in zip(given, types, strict=True):
        if array.dtype != dtype:
            raise TypeError(f"{kernel}: wants {np.dtype(dtype)}, got {array.dtype}.")
        if array.shape != shape:
            raise ValueError(f"{kernel}: wants arrays of one shape, got {shape} and {array.shape}.")
    number = given[0].size
    first, second = host.empty(8 * number), host.empty(8 * number)
    if number:
        host.run(kernel, host.workers, *map(host.put, given), np.uint64(number), first, second)
    return host.get(first, shape, np.int64), host.get(second, shape, np.uint64)
