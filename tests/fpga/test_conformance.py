"""NumPy, JAX and both forms of the kernels make of the same vectors the bytes of Python's integers."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vectors import VECTORS

from convergence_jax.exact import exp_ln, reals
from convergence_jax.exact.constants import EXPONENTIAL, FLOAT32, FLOAT64
from convergence_jax.exact.log_sum_exp import RANGE, LogSumExp
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.fpga.log_sum_exp import FpgaLogSumExp
from convergence_jax.fpga.superaccumulator import FpgaSuperaccumulator

FORMATS = {"float32": FLOAT32, "float64": FLOAT64, "log_sum_exp": EXPONENTIAL}


def statistic(kind: str) -> Superaccumulator | LogSumExp:
    return LogSumExp() if kind == "log_sum_exp" else Superaccumulator(FORMATS[kind])


def integers(kind: str) -> Callable:
    """The digits of one Python integer and the counts: no code of the library but that of one exponential."""
    form = FORMATS[kind]

    def collect(xs: np.ndarray) -> tuple:
        nan, plus = np.isnan(xs).sum(), np.isposinf(xs).sum()
        if kind == "log_sum_exp":
            held = np.abs(xs) < RANGE
            third = (np.isfinite(xs) & ~held).sum()
            scaled = zip(*exp_ln.exp(reals.from_float(xs[held])), strict=True)
            total = sum(int(mantissa) << int(exponent) - 63 - form.lsb for exponent, mantissa in scaled)
        else:
            third = np.isneginf(xs).sum()
            ratios = [float(x).as_integer_ratio() for x in xs[np.isfinite(xs)]]
            total = sum((n << -form.lsb) // d for n, d in ratios)
        words = (total % (1 << 32 * form.digits)).to_bytes(4 * form.digits, "little")
        return np.frombuffer(words, "<u4"), *map(np.int64, (nan, plus, third))

    return collect


def numpy(kind: str, host) -> Callable:
    return statistic(kind).collect


def compiled(kind: str, host) -> Callable:
    """By JAX, all vectors padded to one length with what adds nothing, so that it compiles once."""
    collect, longest = jax.jit(statistic(kind).collect), max(map(len, VECTORS[kind].values()))
    nothing = -np.inf if kind == "log_sum_exp" else 0.0
    return lambda xs: collect(
        jnp.asarray(np.pad(xs, (0, longest - len(xs)), constant_values=xs.dtype.type(nothing)))
    )


def opencl(kind: str, host, task: bool) -> Callable:
    if kind == "log_sum_exp":
        return FpgaLogSumExp(host, task=task).collect
    return FpgaSuperaccumulator(host, FORMATS[kind], task).collect


IMPLEMENTATIONS = {
    "numpy": numpy,
    "jax": compiled,
    "opencl task": partial(opencl, task=True),
    "opencl shares": partial(opencl, task=False),
}


def bits(state: object) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Types, shapes and bytes of a state."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    return [(str(leaf.dtype), leaf.shape, leaf.tobytes()) for leaf in leaves]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", VECTORS)
def test_every_implementation_makes_the_state_of_the_integers(kind, implementation, request):
    host = request.getfixturevalue("host") if "opencl" in implementation else None
    collect, exact = IMPLEMENTATIONS[implementation](kind, host), integers(kind)
    wrong = [name for name, xs in VECTORS[kind].items() if bits(collect(xs)) != bits(exact(xs))]
    assert wrong == []
