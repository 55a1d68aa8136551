"""OpenCL devices: which there are, what each of them is, and which one a run takes."""

from dataclasses import dataclass
from typing import Any, Literal

from convergence_jax.errors import InputError, closest

INSTALL = "pip install 'convergence-jax[fpga]' brings PoCL, which runs the kernels on the processor"
"""What to do where there is no OpenCL."""

Kind = Literal["fpga", "fpga emulator", "gpu", "cpu"]

_ORDER: tuple[Kind, ...] = ("fpga", "fpga emulator", "cpu", "gpu")


@dataclass(frozen=True)
class Device:
    """An OpenCL device.

    Attributes
    ----------
    name, platform, version : str
        As its driver says.
    kind : {"fpga", "fpga emulator", "gpu", "cpu"}
        What it is. PoCL is a processor.
    handle : pyopencl.Device
    """

    name: str
    platform: str
    version: str
    kind: Kind
    handle: Any

    @property
    def emulated(self) -> bool:
        """Whether the FPGA path is emulated on it: on everything that is no FPGA."""
        return self.kind != "fpga"

    @property
    def label(self) -> str:
        """One line that names it and says what it is."""
        what = {
            "fpga": "FPGA",
            "fpga emulator": "FPGA emulator",
            "gpu": "GPU, not an FPGA",
            "cpu": "processor, not an FPGA",
        }[self.kind]
        return f"{self.platform}: {self.name} ({what})"

    @property
    def tasks(self) -> bool:
        """Whether it takes kernels of one work item, as an FPGA pipelines them."""
        return self.kind in ("fpga", "fpga emulator")


def devices() -> list[Device]:
    """Every OpenCL device here, those that a run would rather take first.

    Raises
    ------
    InputError
        If there is no OpenCL, with what to install.
    """
    try:
        import pyopencl as cl
    except ImportError as error:
        raise InputError(f"OpenCL: pyopencl is not installed ({error}); {INSTALL}.") from error
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        platforms = []
    found = []
    for platform in platforms:
        try:
            handles = platform.get_devices()
        except cl.Error:
            continue
        found += [
            Device(handle.name.strip(), platform.name.strip(), handle.version.strip(), _kind(handle), handle)
            for handle in handles
        ]
    if not found:
        raise InputError(f"OpenCL: no device here; {INSTALL}.")
    return sorted(found, key=lambda device: _ORDER.index(device.kind))


def choose(wanted: str | None = None) -> Device:
    """The device that a run takes.

    Parameters
    ----------
    wanted : str, optional
        Part of a device's or platform's name, in any case. Otherwise a hardware FPGA comes before an emulator
        of one, that before a processor, and that before a GPU.

    Raises
    ------
    InputError
        If there is none, or the chosen one lacks 64-bit integers.
    """
    found = devices()
    if wanted is not None:
        fitting = [d for d in found if wanted.lower() in f"{d.platform} {d.name}".lower()]
        if not fitting:
            names = [d.name for d in found]
            raise InputError(f"OpenCL: no device is called {wanted!r}{closest(wanted, names)}")
        found = fitting
    usable = [d for d in found if _has_words(d)]
    if not usable:
        raise InputError(f"OpenCL: {found[0].label} has no 64-bit integers; choose another device.")
    return usable[0]


def _kind(handle: Any) -> Kind:
    import pyopencl as cl

    if handle.type & cl.device_type.ACCELERATOR and not handle.type & cl.device_type.CPU:  # Oclgrind says all
        emulated = "emulat" in f"{handle.name} {handle.platform.name}".lower()
        return "fpga emulator" if emulated else "fpga"
    return "gpu" if handle.type & cl.device_type.GPU else "cpu"


def _has_words(device: Device) -> bool:
    """64-bit integers belong to the full profile; an embedded one has them as an extension."""
    handle = device.handle
    return handle.profile == "FULL_PROFILE" or "cles_khr_int64" in handle.extensions
