"""`Host`: a device with its kernels, built once, and an account of what it was asked to do."""

import os
import tempfile
import warnings
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from convergence_jax.errors import InputError, first_line
from convergence_jax.fpga.constants_header import constants_header
from convergence_jax.fpga.devices import Device, choose

DEVICE = "CONVERGENCE_OPENCL_DEVICE"
"""In the environment: part of the name of the device to take."""

BINARY = "CONVERGENCE_FPGA_BINARY"
"""In the environment: file of the kernels as a vendor's tool compiled them, for a hardware FPGA."""

BUILD_OPTIONS = ("-cl-std=CL1.2", "-Werror")
"""Of every kernel on every device; :attr:`Host.options` adds the device's own."""

HEADERS = ("target.h",)
"""Files that come before every kernel, after the constants."""

SOURCES = ("moments", "merge", "digits", "superaccumulator", "exp_ln", "log_sum_exp", "evidence", "join")
"""Kernels, one file of ``kernels`` each."""


class Host:
    """What commands a device.

    Parameters
    ----------
    device : Device, optional
        As :func:`~convergence_jax.fpga.devices.choose` does, by the environment variable :data:`DEVICE`.
    header : str, optional
        In place of the constants of the library; for tests, which know by it that the kernels ran.

    Attributes
    ----------
    device : Device
    launches : int
        Kernels started so far.
    bytes_to_device, bytes_from_device : int
        Copied so far.

    Raises
    ------
    InputError
        If there is no usable device.
    """

    def __init__(self, device: Device | None = None, *, header: str | None = None) -> None:
        self.device = device or choose(os.environ.get(DEVICE))  # which says what is missing, if anything is
        import pyopencl as cl

        self._cl = cl
        self.context = cl.Context([self.device.handle])
        self.queue = cl.CommandQueue(self.context)
        self.launches = self.bytes_to_device = self.bytes_from_device = 0
        self._header = constants_header() if header is None else header
        self._kernels: dict[str, Any] = {}

    @cached_property
    def workers(self) -> int:
        """Work items that each take an equal share: one on an FPGA, else a few for every compute unit."""
        if self.device.tasks:
            return 1
        units = int(self.device.handle.max_compute_units)
        return 4 * units if self.device.kind == "cpu" else 64 * units

    @property
    def options(self) -> list[str]:
        """Build options for this device."""
        target = {"fpga": "FPGA", "fpga emulator": "FPGA", "gpu": "GPU", "cpu": "CPU"}[self.device.kind]
        return [*BUILD_OPTIONS, f"-DTARGET_{target}"]

    # Memory

    def put(self, array: np.ndarray) -> Any:
        """A buffer with a copy of an array, of one byte at least.

        Raises
        ------
        InputError
            If the device has not that much memory.
        """
        array = np.ascontiguousarray(array)
        buffer = self.empty(array.nbytes)
        if array.nbytes:
            self._cl.enqueue_copy(self.queue, buffer, array, is_blocking=False)
            self.bytes_to_device += array.nbytes
        return buffer

    def empty(self, size: int) -> Any:
        """A buffer of so many bytes, of no known content."""
        limit = int(self.device.handle.max_mem_alloc_size)
        if size > limit:
            raise InputError(
                f"OpenCL: {self.device.name} holds {limit >> 20} MiB in one piece, and {size >> 20} MiB are "
                "needed; give it less at once."
            )
        try:
            return self._cl.Buffer(self.context, self._cl.mem_flags.READ_WRITE, max(1, size))
        except self._cl.Error as error:
            raise InputError(
                f"OpenCL: {self.device.name} has no memory for {size >> 20} MiB more."
            ) from error

    def zeros(self, size: int) -> Any:
        """A buffer of so many zero bytes."""
        buffer = self.empty(size)
        self._cl.enqueue_fill_buffer(self.queue, buffer, np.uint8(0), 0, max(1, size))
        return buffer

    def longer(self, buffer: Any, size: int, wanted: int) -> Any:
        """A buffer of the wanted size that begins with the first `size` bytes of another; zeros follow."""
        made = self.zeros(wanted)
        self._cl.enqueue_copy(self.queue, made, buffer, byte_count=size)
        return made

    def get(self, buffer: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """What a buffer holds, once all that was asked for before is done."""
        array = np.empty(shape, dtype)
        if array.nbytes:
            self._cl.enqueue_copy(self.queue, array, buffer, is_blocking=True)
            self.bytes_from_device += array.nbytes
        return array

    # Kernels

    def run(self, name: str, items: int, *arguments: Any) -> None:
        """Start a kernel.

        Parameters
        ----------
        name : str
            Of the kernel.
        items : int
            Work items; a multiple of its work-group size, one for a task.
        *arguments
            Buffers, and NumPy scalars of the kernel's own types.
        """
        kernel = self._kernels.get(name)
        if kernel is None:
            kernel = self._kernels[name] = self._cl.Kernel(self.program, name)
        kernel(self.queue, (items,), (1,), *arguments)
        self.launches += 1

    @cached_property
    def program(self) -> Any:
        """All kernels, built for this device."""
        binary = os.environ.get(BINARY)
        if self.device.kind == "fpga":
            return self._load(binary)
        with warnings.catch_warnings():
            # No fault: Intel's compiler logs which loops it made into vectors.
            warnings.simplefilter("ignore", self._cl.CompilerWarning)
            try:
                return self._cl.Program(self.context, source(self._header)).build(options=self.options)
            except self._cl.Error as error:
                raise self._failed(error) from error

    def _load(self, binary: str | None) -> Any:
        """The kernels as a vendor's tool compiled them, which takes hours and no driver does."""
        if binary is None:
            raise InputError(
                f"OpenCL: {self.device.label} needs compiled kernels; name their file in {BINARY}, "
                "see fpga/README.md."
            )
        try:
            data = Path(binary).read_bytes()
        except OSError as error:
            raise InputError(f"{binary}: cannot be read: {error.strerror}.") from error
        try:
            return self._cl.Program(self.context, [self.device.handle], [data]).build()
        except self._cl.Error as error:
            raise InputError(f"{binary}: is not for {self.device.label}: {first_line(error)}.") from error

    def _failed(self, error: Exception) -> InputError:
        with tempfile.NamedTemporaryFile("w", prefix="opencl-build-", suffix=".log", delete=False) as log:
            log.write(str(error))
        lines = [line for line in str(error).splitlines() if "error:" in line] or [first_line(error)]
        return InputError(
            f"OpenCL: {self.device.label} cannot build the kernels: {lines[0].strip()}; see {log.name}."
        )

    def finish(self) -> None:
        """Wait until all that was asked for is done."""
        self.queue.finish()

    @property
    def execution(self) -> dict[str, Any]:
        """Where a run ran and what it took: the ``execution`` of a result."""
        return {
            "backend": "fpga",
            "platform": f"{self.device.platform}, {self.device.version}",
            "device": self.device.name,
            "kind": self.device.kind,
            "emulated": self.device.emulated,
            "devices": 1,
            "processes": [os.getpid()],
            "kernel_launches": self.launches,
            "bytes_to_device": self.bytes_to_device,
        }


def source(header: str | None = None) -> str:
    """Everything that is built, as one text: constants, the header of targets, the kernels.

    Parameters
    ----------
    header : str, optional
        In place of :func:`~convergence_jax.fpga.constants_header.constants_header`.
    """
    folder = resources.files("convergence_jax.fpga").joinpath("kernels")
    files = [*HEADERS, *(f"{name}.cl" for name in SOURCES)]
    texts = [folder.joinpath(name).read_text(encoding="ascii") for name in files]
    return "\n".join([constants_header() if header is None else header, *texts])
