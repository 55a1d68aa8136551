"""Runs every kernel on small inputs, or kernels with faults; a test starts it under Oclgrind.

``python oclgrind_child.py kernels`` or ``planted``. The last line it prints is the device and what it ran.
"""

import sys
from typing import Any

import numpy as np

from convergence_jax.exact import exp_ln
from convergence_jax.exact.constants import FLOAT32, FLOAT64
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.log_sum_exp import LogSumExp
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.exact.window_segments import window_segments
from convergence_jax.fpga import exp_ln as fpga_exp_ln
from convergence_jax.fpga.backend import FpgaBackend
from convergence_jax.fpga.constants_header import constants_header
from convergence_jax.fpga.evidence import FpgaEvidence
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.join import Rows, join, no_rows
from convergence_jax.fpga.log_sum_exp import FpgaLogSumExp
from convergence_jax.fpga.moments import FpgaLeafTable
from convergence_jax.fpga.superaccumulator import FpgaSuperaccumulator
from convergence_jax.statistics.moments import Moments

ITEMS = 2

PLANTED = """
__kernel void planted_none(__global int *out) { out[get_global_id(0)] = 1; }
__kernel void planted_race(__global int *out) { out[0] = (int)get_global_id(0); }
__kernel void planted_write(__global int *out) { out[get_global_id(0) + 1] = 1; }
__kernel void planted_read(__global int *out) { int never; out[get_global_id(0)] = never; }
"""


class Watched(Host):
    """A host that notes the kernels it starts.

    Oclgrind 21.10 does not see that filling a buffer, or copying one to another, gives it a content: here
    zeros come from the host's memory, and a longer buffer is made there. It also takes a new buffer for one
    that is gone and had its address: here no buffer goes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.names: set[str] = set()
        self.kept: list[Any] = []

    @property
    def workers(self) -> int:
        """Enough for a race, and few: Oclgrind is slow."""
        return ITEMS

    def run(self, name: str, items: int, *arguments: Any) -> None:
        self.names.add(name)
        super().run(name, items, *arguments)

    def empty(self, size: int) -> Any:
        self.kept.append(super().empty(size))
        return self.kept[-1]

    def zeros(self, size: int) -> Any:
        return self.put(np.zeros(size, np.uint8))

    def longer(self, buffer: Any, size: int, wanted: int) -> Any:
        made = np.zeros(wanted, np.uint8)
        made[:size] = self.get(buffer, (size,), np.uint8)
        return self.put(made)


def leaves(state: Any) -> list[bytes]:
    """Bytes of the arrays of a result."""
    parts = state if isinstance(state, tuple) else vars(state).values()
    return [np.asarray(leaf).tobytes() for leaf in parts]


def sums(host: Host) -> None:
    """Deposits in both forms, merge, remove and rounding."""
    for form, dtype in ((FLOAT32, np.float32), (FLOAT64, np.float64)):
        plain, xs = Superaccumulator(form), np.array([1.5, -0.0, np.nan, -np.inf, np.inf, 1e-40, 3e38], dtype)
        for task in (False, True):
            stat = FpgaSuperaccumulator(host, form, task, piece_bytes=4 * xs.itemsize)
            state = stat.collect(xs)
            assert leaves(state) == leaves(plain.collect(xs))
        state = stat.remove(stat.merge(state, state), stat.collect(xs[2:5]))
        for kind in (np.float32, np.float64):
            assert stat.present(state, kind).tobytes() == plain.present(state, kind).tobytes()


def exponentials(host: Host) -> None:
    """Exponentials, logarithms and sums of exponentials in both forms."""
    xs = np.array([0.5, -40.0, 700.0, np.nan, np.inf, -np.inf, 1e-300, 3000.0, -2047.5, 0.0, 33.0])
    exponent, mantissa = fpga_exp_ln.exp_of_float(host, xs)
    logarithm = fpga_exp_ln.ln(host, exponent, mantissa)
    assert leaves(tuple(logarithm)) == leaves(tuple(exp_ln.ln(exponent, mantissa)))
    assert leaves(fpga_exp_ln.exp(host, logarithm)) == leaves(tuple(exp_ln.exp(logarithm)))
    for task in (True, False):
        assert leaves(FpgaLogSumExp(host, task=task).collect(xs)) == leaves(LogSumExp().collect(xs))


def evidence(host: Host) -> None:
    """Sums in cells, whole and in parts."""
    xs, cells = np.array([1.5, -2.0, np.nan, 1e9, 2.0**-83, 0.25, 7.0]), np.array([0, 1, 0, 2, 2, 0, 0])
    for longest in (2, 100):
        found = FpgaEvidence(host, longest=longest).window_segments(xs, cells, 4)
        assert leaves(found) == leaves(window_segments(xs, cells, 4))


def tables(host: Host) -> None:
    """Two tables of rows, joined."""
    version = np.arange(5, dtype=np.uint64)
    words = [np.where(version[:, None] > 0, np.uint64(seed), np.uint64(0)) for seed in (3, 5)]
    rows = [Rows(version, np.repeat(word, 4, axis=1), word, np.zeros(5, np.bool_)) for word in words]
    assert leaves(join(host, rows[0], no_rows(5, 1))) == leaves(rows[0])
    assert join(host, *rows).conflict.tolist() == [False, True, True, True, True]


def moments(host: Host) -> None:
    """Moments of groups, merged levels and a table of leaves, narrow and wide."""
    group = np.array([0, 1, 1, -1, 2, 0, 1, 1, 2])
    for lift in (FixedPoint(15, 16), FixedPoint(20, 42)):
        stat, most = Moments((lift,) * 3), (1 << lift.bits) - 1
        ticks = np.random.default_rng(1).integers(-most, most, (3, len(group)), endpoint=True)
        backend = FpgaBackend(host)
        state = backend.group_moments(stat, ticks, group, 3)
        assert state.count.tolist() == [2, 4, 2]
        top = backend.merge_upwards(state, [np.zeros(3, int)], [1, 3])[0]
        digits = [int.from_bytes(sum_.tobytes(), "little", signed=True) for sum_ in top.sums[0]]
        assert digits == [int(x) for x in ticks[:, group >= 0].astype(object).sum(axis=1)]
        table = FpgaLeafTable(host, stat, capacity=1)
        for _ in range(2):
            table.add(ticks, group)
        assert table.state(3)[0].tolist() == [4, 8, 4]


def planted() -> Watched:
    """Start a kernel without a fault, and one each with a race, a stray write and a read of nothing."""
    host = Watched(header=constants_header() + PLANTED)
    for name in ("planted_none", "planted_race", "planted_write", "planted_read"):
        host.run(name, ITEMS, host.put(np.zeros(ITEMS, np.int32)))
        host.finish()
    return host


def kernels() -> Watched:
    """Start every kernel."""
    host = Watched()
    for family in (sums, exponentials, evidence, tables, moments):
        family(host)
    assert host.names == {kernel.function_name for kernel in host.program.all_kernels()}
    return host


if __name__ == "__main__":
    ran = {"kernels": kernels, "planted": planted}[sys.argv[1]]()
    print(f"{ran.device.platform}: {len(ran.names)} kernels")
