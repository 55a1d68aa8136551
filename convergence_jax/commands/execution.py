"""Start JAX as a program does: 64-bit mode, the backend and the number of devices that were asked for."""

import os
import sys
from typing import Any

from convergence_jax.errors import InputError, first_line

_DEVICE_FLAG = "--xla_force_host_platform_device_count"


def start_jax(backend: str | None = None, devices: int = 1) -> None:
    """Set JAX up for this process; the library itself touches none of these settings.

    Parameters
    ----------
    backend : {"cpu", "gpu"}, optional
        What JAX finds unless given.
    devices : int, default 1
        How many must be there; on the host they are made.

    Raises
    ------
    InputError
        If the backend or so many devices are not to be had.
    """
    if devices < 1:
        raise InputError(f"--devices {devices}: give at least 1.")
    flags = os.environ.get("XLA_FLAGS", "")
    if devices > 1 and _DEVICE_FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_DEVICE_FLAG}={devices}".strip()
    if backend == "cpu" and "jax" not in sys.modules:
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        found = jax.default_backend()
        count = jax.device_count()
    except RuntimeError as error:
        raise InputError(f"JAX cannot start: {first_line(error)}; see `convergence doctor`.") from error
    if backend is not None and found != backend:
        raise InputError(
            f"--backend {backend}: JAX runs on {found} here; leave the flag out, or see `convergence doctor`."
        )
    if count < devices:
        raise InputError(f"--devices {devices}: {count} here; ask for fewer, or use --backend cpu.")


def start_fpga(devices: int = 1) -> Any:
    """An OpenCL device with its kernels built, as a backend; JAX is set up on the processor beside it.

    Parameters
    ----------
    devices : int, default 1
        More than one is an error.

    Returns
    -------
    FpgaBackend

    Raises
    ------
    InputError
        If there is no usable device, or the kernels cannot be built for it.
    """
    if devices != 1:
        raise InputError(f"--devices {devices}: --backend fpga takes one device; leave the flag out.")
    start_jax("cpu")
    from convergence_jax.fpga.backend import FpgaBackend

    backend = FpgaBackend()
    _ = backend.host.program
    return backend
