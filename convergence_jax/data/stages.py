"""What every run records of itself: the time of each stage, where it ran, and versions."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

Progress = Callable[[str, float], None]
"""Called with the stage and the fraction of it that is done."""


class Stages:
    """The stages of one run.

    Parameters
    ----------
    progress : callable, optional
        Told the stage and its fraction.

    Attributes
    ----------
    seconds : dict of str to float
        Wall time of each stage that has ended.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress or (lambda stage, done: None)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and say when it begins and ends."""
        self.progress(name, 0.0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self.progress(name, 1.0)

    def rounded(self) -> dict[str, float]:
        """Seconds to the millisecond."""
        return {stage: round(seconds, 3) for stage, seconds in self.seconds.items()}


def execution(devices: int = 1) -> dict[str, Any]:
    """Where JAX runs: the ``execution`` of a result."""
    import jax

    device = jax.devices()[0]
    return {
        "backend": "xla",
        "platform": device.platform,
        "device": device.device_kind,
        "devices": devices,
        "processes": [os.getpid()],
        # XLA reports neither.
        "kernel_launches": None,
        "bytes_to_device": None,
    }


def versions(*names: str) -> dict[str, str]:
    """Versions of the library and of what it computes with, and of the packages named."""
    return {name: version(name) for name in ("convergence-jax", "jax", "jaxlib", "numpy", *names)}
