"""Exponentials, logarithms and sums of exponentials in OpenCL: the bits of NumPy and JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from vectors import VECTORS, any_bits

from convergence_jax.exact import exp_ln, reals
from convergence_jax.exact.constants import EXP_TABLE, EXPONENTIAL, LN_TABLE, LOG2E
from convergence_jax.exact.log_sum_exp import LogSumExp, LogSumExpState
from convergence_jax.exact.reals import Fixed
from convergence_jax.fpga import exp_ln as fpga_exp_ln
from convergence_jax.fpga import log_sum_exp as fpga_log_sum_exp
from convergence_jax.fpga.constants_header import constants_header
from convergence_jax.fpga.host import Host
from convergence_jax.fpga.log_sum_exp import FpgaLogSumExp
from convergence_jax.testing import strategies

FORMS = pytest.mark.parametrize("task", [True, False], ids=["task", "shares"])
SAMPLES = VECTORS["log_sum_exp"]
ORDINARY = SAMPLES["ordinary"]


def bits(state: LogSumExpState) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Types, shapes and bytes of a state."""
    leaves = [np.asarray(leaf) for leaf in state]
    return [(str(leaf.dtype), leaf.shape, leaf.tobytes()) for leaf in leaves]


def same(a: tuple, b: tuple) -> bool:
    """Whether two tuples of arrays have the same types, shapes and bytes."""
    return bits(a) == bits(b)


def exponents() -> Fixed:
    """Reals over the whole range of the exponential, its ends and beyond."""
    rng = np.random.default_rng(4)
    whole = np.concatenate(
        [rng.integers(-(1 << 31), 1 << 31, 2_000), rng.integers(-9, 9, 2_000), [1 << 31, -(1 << 31) - 1]]
    )
    fraction = rng.integers(0, 1 << 64, len(whole), dtype=np.uint64)
    fraction[::7], fraction[1::7] = 0, (1 << 64) - 1
    return Fixed(whole.astype(np.int64), fraction)


def test_exp_of_reals_has_the_bits_of_the_library(host):
    x = exponents()
    found = fpga_exp_ln.exp(host, x)
    assert same(found, exp_ln.exp(x))
    assert same(found, jax.jit(exp_ln.exp)(Fixed(*map(jnp.asarray, x))))


@pytest.mark.parametrize("name", SAMPLES)
def test_exp_of_floats_has_the_bits_of_the_library(name, host):
    x = SAMPLES[name]
    assert same(fpga_exp_ln.exp_of_float(host, x), exp_ln.exp(reals.from_float(x)))


def test_ln_has_the_bits_of_the_library(host):
    rng = np.random.default_rng(5)
    tops = np.arange(256, dtype=np.uint64) << np.uint64(55) | np.uint64(1 << 63)
    mantissa = np.concatenate(
        [tops, tops + np.uint64((1 << 55) - 1), rng.integers(1 << 63, 1 << 64, 3_000, dtype=np.uint64)]
    )
    exponent = rng.integers(-(1 << 32), 1 << 32, len(mantissa))
    exponent[::3], exponent[1::3] = 0, rng.integers(-70, 70, len(exponent[1::3]))
    found = fpga_exp_ln.ln(host, exponent, mantissa)
    assert same(found, exp_ln.ln(exponent, mantissa))
    assert same(found, jax.jit(exp_ln.ln)(jnp.asarray(exponent), jnp.asarray(mantissa)))


def test_arrays_of_any_shape_pass_through(host):
    x = any_bits(24).reshape(2, 3, 4)
    exponent, mantissa = fpga_exp_ln.exp_of_float(host, x)
    assert (exponent.shape, mantissa.dtype) == ((2, 3, 4), np.uint64)
    assert same((exponent, mantissa), exp_ln.exp(reals.from_float(x)))


@FORMS
@given(x=st.lists(st.one_of(strategies.floats(), st.floats(-2050.0, 2050.0)), max_size=40))
@example(x=[float("nan")] * 3 + [float("inf")] * 2 + [2048.0])
def test_any_numbers_sum_to_the_bits_of_numpy(x, task, host):
    x = np.array(x, dtype=np.float64)
    assert bits(FpgaLogSumExp(host, task=task).collect(x)) == bits(LogSumExp().collect(x))


@FORMS
@pytest.mark.parametrize("shape", [(50, 3), (7, 2, 2), (0, 3), (4, 0), (13, 1)])
def test_trailing_axes_are_sums_of_their_own(shape, task, host):
    x = any_bits(int(np.prod(shape))).reshape(shape)
    where = np.arange(shape[0]) % 3 != 1
    fpga = FpgaLogSumExp(host, task=task)
    assert bits(fpga.collect(x)) == bits(LogSumExp().collect(x))
    assert bits(fpga.collect(x, where)) == bits(LogSumExp().collect(x, where))


@FORMS
@pytest.mark.parametrize("block", [1, 7, 1_000])
def test_blocks_leave_no_trace(block, task, host, monkeypatch):
    monkeypatch.setattr(fpga_log_sum_exp, "BLOCK", block)
    x = np.concatenate([any_bits(40), ORDINARY[:20]]).reshape(30, 2)
    assert bits(FpgaLogSumExp(host, task=task).collect(x)) == bits(LogSumExp().collect(x))


@FORMS
def test_order_leaves_no_trace(task, host):
    x, fpga = SAMPLES["any bits"], FpgaLogSumExp(host, task=task)
    assert bits(fpga.collect(x[::-1])) == bits(fpga.collect(x))


def test_states_of_the_device_merge_with_those_of_the_host_and_present(host):
    stat, fpga = LogSumExp(), FpgaLogSumExp(host)
    half = len(ORDINARY) // 2
    both = stat.merge(fpga.collect(ORDINARY[:half]), stat.collect(ORDINARY[half:]))
    assert bits(both) == bits(fpga.collect(ORDINARY))
    assert float(stat.present(both)) == float(stat.present(stat.collect(ORDINARY)))


def test_a_column_of_a_table_on_the_device_is_summed_there(host):
    x, fpga = any_bits(60).reshape(20, 3), FpgaLogSumExp(host)
    buffer, launches = host.put(x), host.launches
    sent = host.bytes_to_device
    for column in range(3):
        state = fpga.collect_buffer(buffer, 20, 3, column)
        assert bits(state) == bits(LogSumExp().collect(x[:, column].copy()))
    assert host.launches == launches + 9
    assert host.bytes_to_device == sent


def test_the_device_chooses_the_form(host):
    assert FpgaLogSumExp(host).task is host.device.tasks


def changed(old: str, new: str) -> Host:
    """A host whose kernels are built from a header with one constant changed."""
    header = constants_header()
    assert header.count(old) == 1
    return Host(header=header.replace(old, new))


def test_the_kernels_read_the_table_of_powers_from_the_header(host):
    other = changed(f"{EXP_TABLE[128]:#x}UL", f"{EXP_TABLE[128] + (1 << 20):#x}UL")
    x = np.array([np.log(2.0) * (0.5 + 1e-3)])  # the fraction's leading bits are those of one half
    for task in (True, False):
        assert bits(FpgaLogSumExp(other, task=task).collect(x)) != bits(LogSumExp().collect(x))
    x = np.array([0.1])
    assert bits(FpgaLogSumExp(other).collect(x)) == bits(LogSumExp().collect(x))


def test_the_kernels_read_every_other_constant_from_the_header(host):
    header = constants_header()
    for old, new in (
        (f"LOG2E {LOG2E:#x}UL", f"LOG2E {LOG2E ^ (1 << 40):#x}UL"),
        (f"EXPONENTIAL_LSB ({EXPONENTIAL.lsb})", f"EXPONENTIAL_LSB ({EXPONENTIAL.lsb + 1})"),
        (f"{LN_TABLE[77]:#x}UL", f"{LN_TABLE[77] + (1 << 20):#x}UL"),
    ):
        assert header.count(old) == 1
        header = header.replace(old, new)
    other = Host(header=header)
    x = np.array([0.3])
    assert not same(fpga_exp_ln.exp_of_float(other, x), exp_ln.exp(reals.from_float(x)))
    mantissa = np.array([(256 + 77) << 55], dtype=np.uint64)
    assert not same(
        fpga_exp_ln.ln(other, np.zeros(1, np.int64), mantissa), exp_ln.ln(np.zeros(1, np.int64), mantissa)
    )
    moved = FpgaLogSumExp(other).collect(np.zeros(1)).digits.astype(object)
    right = LogSumExp().collect(np.zeros(1)).digits.astype(object)
    places = [1 << (32 * k) for k in range(EXPONENTIAL.digits)]
    assert 2 * int(moved @ places) == int(right @ places)  # exp(0) is one, exactly, at another unit


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda h: FpgaLogSumExp(h).collect(np.zeros(2, np.float32)), TypeError, "must be float64"),
        (lambda h: FpgaLogSumExp(h).collect_buffer(None, (1 << 30) + 1), ValueError, "at most 2"),
        (lambda h: fpga_exp_ln.exp_of_float(h, np.zeros(2, np.float32)), TypeError, "wants float64"),
        (
            lambda h: fpga_exp_ln.ln(h, np.zeros(2, np.int64), np.zeros(3, np.uint64)),
            ValueError,
            "arrays of one shape",
        ),
    ],
)
def test_wrong_types_and_shapes_are_refused(call, error, said, host):
    with pytest.raises(error, match=said):
        call(host)
