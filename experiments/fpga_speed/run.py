"""Kernels with their data on the device, beside XLA and NumPy: interleaved runs, medians of wall time."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convergence_jax.data.backend import Xla
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.log_sum_exp import LogSumExp
from convergence_jax.exact.sums import sum_state
from convergence_jax.exact.terms import format_of
from convergence_jax.fpga.backend import FpgaBackend
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.log_sum_exp import FpgaLogSumExp
from convergence_jax.fpga.parts import parts_of
from convergence_jax.fpga.superaccumulator import FpgaSuperaccumulator
from convergence_jax.statistics.moments import Moments


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Millions of values, or of rows, a second; and what has other bits than by XLA."""
    host, rng, sizes = Host(), np.random.default_rng(config["experiment"]["seed"]), config["sizes"]
    number, same = sizes["values"], {}
    contenders = exponentials(host, rng.normal(0.0, 20.0, number), same) | moments(host, sizes, rng, same)
    for dtype in (np.float32, np.float64):
        contenders |= deposits(host, rng.standard_normal(number).astype(dtype), same)
    seconds = measure(contenders, config["timing"]["runs"])
    rates = {name: number / value / 1e6 for name, value in seconds.items()}
    return {"device": host.device.label, "millions": rates, "different": [k for k in same if not same[k]]}


def deposits(host: Host, xs: np.ndarray, same: dict[str, bool]) -> dict[str, Callable]:
    """Sums of one array."""
    name, form = xs.dtype.name, format_of(xs.dtype)
    workers = 1 if host.device.tasks else host.workers
    kernel = f"deposit_{name}_{'task' if host.device.tasks else 'shares'}"
    made = host.put(xs), np.uint32(len(xs)), host.empty(8 * workers * form.digits), host.empty(24 * workers)
    x, compiled = jnp.asarray(xs), jax.jit(sum_state)
    same[name] = bits(FpgaSuperaccumulator(host, form).collect(xs)) == bits(compiled(x))
    return {
        f"{name} opencl": lambda: (host.run(kernel, workers, *made), host.finish()),
        f"{name} xla": lambda: jax.block_until_ready(compiled(x)),
        f"{name} np_sum": lambda: np.sum(xs),
    }


def exponentials(host: Host, xs: np.ndarray, same: dict[str, bool]) -> dict[str, Callable]:
    """Sums of exponentials of one array."""
    x, buffer, stat = jnp.asarray(xs), host.put(xs), FpgaLogSumExp(host)
    compiled = jax.jit(LogSumExp().collect)
    same["log_sum_exp"] = bits(stat.collect(xs)) == bits(compiled(x))
    return {
        "log_sum_exp opencl": lambda: stat.collect_buffer(buffer, len(xs)),
        "log_sum_exp xla": lambda: jax.block_until_ready(compiled(x)),
    }


def moments(host: Host, sizes: dict[str, int], rng: np.random.Generator, same: dict[str, bool]) -> dict:
    """Sums and products of every pair of features of each group: the kernel, and all from host to host."""
    rows, features, groups = sizes["values"], sizes["features"], sizes["groups"]
    lift, widths = FixedPoint(15, 16), (2 * features, 2 * features * (features + 1))
    ticks = rng.integers(-(2**31) + 1, 2**31, (features, rows), dtype=np.int32)
    group = rng.integers(0, groups, rows)
    given = host.put(np.ascontiguousarray(ticks.T)), np.uint32(features)
    fpga, xla, task = FpgaBackend(host), Xla(), (Moments((lift,) * features), ticks, group, groups)
    same["moments"] = bits(fpga.group_moments(*task)) == bits(xla.group_moments(*task))

    def kernel(ids: np.ndarray) -> Callable:
        parts = parts_of(ids)
        dealt = [host.put(a) for a in (parts.order, parts.first, parts.shares(host.workers))]
        made = [host.empty(len(parts) * 8 * width) for width in widths]
        return lambda: (host.run("moments_narrow", host.workers, *given, *dealt, *made), host.finish())

    return {
        "moments opencl": kernel(np.sort(group)),
        "moments opencl in random order": kernel(group),
        "moments opencl in random order with sorting and copies": lambda: fpga.group_moments(*task),
        "moments xla": lambda: xla.group_moments(*task),
    }


def bits(state: Any) -> list[bytes]:
    """Bytes of a state."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def measure(contenders: dict[str, Callable], runs: int) -> dict[str, float]:
    """Medians of seconds, the contenders taking turns after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs + 1):
        for name, f in contenders.items():
            start = time.perf_counter()
            f()
            times[name].append(time.perf_counter() - start)
    return {name: median(spent[1:]) for name, spent in times.items()}
