"""The device that the tests of kernels run on."""

import importlib.util

import pytest

from convergence_jax.errors import InputError
from convergence_jax.fpga.host import Host


@pytest.fixture(scope="session")
def host(require) -> Host:
    """An OpenCL device with the kernels built for it."""
    require("opencl", importlib.util.find_spec("pyopencl") is not None, "pyopencl is not installed")
    try:
        return Host()
    except InputError as error:
        require("opencl", False, str(error))
        raise
