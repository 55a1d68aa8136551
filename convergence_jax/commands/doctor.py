"""``convergence doctor``: which backends work here, tried on the spot, and why the others do not."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from convergence_jax.commands.execution import start_jax
from convergence_jax.errors import InputError, first_line

_PACKAGES = ("jax", "jaxlib", "numpy", "pyarrow", "msgspec", "tyro", "rich", "jinja2")


def doctor() -> int:
    """Print versions, then one line a backend.

    Returns
    -------
    int
        0 if the processor works, else 2.
    """
    print(
        f"convergence {version('convergence-jax')}, Python {platform.python_version()}, {platform.platform()}"
    )
    print("  " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    start_jax()
    working = {backend: _try(backend) for backend in ("cpu", "gpu")}
    for backend, said in working.items():
        print(f"  {backend:<6}{said[1]}")
    for line in _opencl():
        print(f"  fpga  {line}")
    import jax

    print(f"  runs use {jax.default_backend()} unless --backend says otherwise")
    return 0 if working["cpu"][0] else 2


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _opencl() -> list[str]:
    """One line an OpenCL device: whether a sum made by its kernels is right; the first is what runs take."""
    import numpy as np

    from convergence_jax.data.backend import Xla
    from convergence_jax.exact.fixed_point import FixedPoint
    from convergence_jax.fpga.backend import FpgaBackend
    from convergence_jax.fpga.devices import devices
    from convergence_jax.fpga.host import Host
    from convergence_jax.statistics.moments import Moments

    try:
        found = devices()
    except InputError as error:
        return [f"not available: {error}"]
    moments = Moments((FixedPoint(15, 16),) * 2)
    ticks = np.arange(-3000, 3000, dtype=np.int32).reshape(2, 3000) * 700_001
    group = np.arange(3000) % 7
    wanted = Xla().group_moments(moments, ticks, group, 7)
    lines = []
    for device in found:
        try:
            here = FpgaBackend(Host(device)).group_moments(moments, ticks, group, 7)
        except Exception as error:
            lines.append(f"does not work: {device.label}: {first_line(error)}")
            continue
        right = here.products.tobytes() == wanted.products.tobytes()
        said = "works" if right else "does not work: sums differ"
        lines.append(f"{said}: {device.label}" + (", kernels checked" if right else ""))
    return lines


def _try(backend: str) -> tuple[bool, str]:
    """Whether a backend computes what it should, and a line that says so or why not."""
    import jax

    try:
        devices = jax.devices(backend)
    except RuntimeError as error:
        hint = "; for NVIDIA, install jax[cuda13] or jax[cuda12]" if backend == "gpu" else ""
        return False, f"not available: {first_line(error)}{hint}"
    kind = f"{len(devices)} × {devices[0].device_kind}"
    try:
        wrong = _wrong(devices[0])
    except Exception as error:
        return False, f"does not work: {kind}: {first_line(error)}"
    if wrong:
        return False, f"does not work: {kind}: {wrong}"
    return True, f"works: {kind}, 64-bit integers and floats checked"


def _wrong(device: Any) -> str:
    """What the device computes wrongly: 64-bit integers that wrap around, 64-bit floats, one exact lift."""
    import jax
    import numpy as np

    from convergence_jax.exact.fixed_point import FixedPoint

    with jax.default_device(device):
        words = np.arange(-500, 1000, dtype=np.int64) * np.int64(2**53 - 1)
        if int(jax.jit(lambda x: x.sum())(words)) != int(words.sum()):
            return "64-bit integers do not add up"
        close = np.array([1.0, 1.0 + 2.0**-52])
        if not bool(jax.jit(lambda x: x[1] > x[0])(close)):
            return "64-bit floats are rounded to 32 bits"
        x = np.array([0.1, -2.5, 3.0e5, 2.0**-30, np.nan])
        lift = FixedPoint(20, 30)
        here = jax.jit(lift.lift)(x)
        there = lift.lift(x)
        if any(np.asarray(a).tobytes() != b.tobytes() for a, b in zip(here, there, strict=True)):
            return "the lift to integers differs from the one on the host"
    return ""
