"""Conformance vectors: what every implementation of an exact sum is given."""

import numpy as np


def any_bits(count: int, dtype: type = np.float64, seed: int = 1) -> np.ndarray:
    """Floats of every kind: their bits are random."""
    size = count * np.dtype(dtype).itemsize
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).view(dtype)


def _sums(dtype: type) -> dict[str, np.ndarray]:
    """What an exact sum could get wrong."""
    rng, info = np.random.default_rng(2), np.finfo(dtype)
    word = {4: np.uint32, 8: np.uint64}[info.bits // 8]
    finite = any_bits(5_001, dtype)
    finite = finite[np.isfinite(finite)]
    normal = rng.standard_normal(3_001).astype(dtype)
    tiny = rng.integers(0, 1 << info.nmant, 1_003).astype(word).view(dtype)
    special = np.array([np.nan, np.inf, -np.inf, 1.0, -np.inf, np.nan, np.nan], dtype)
    payloads = (word(((1 << info.nexp) - 1) << info.nmant) + np.arange(5).astype(word)).view(dtype)
    one = dtype(1)
    return {
        "any bits": any_bits(4_003, dtype),
        "zeros": np.array([0.0, -0.0, -0.0], dtype),
        "subnormal": np.concatenate([tiny, -tiny[:500]]),
        "smallest": np.full(77, info.smallest_subnormal),
        "borders": np.array([info.smallest_normal, np.nextafter(info.smallest_normal, dtype(0))], dtype),
        "cancellation": rng.permutation(np.concatenate([finite, -finite, [one]])),
        "negative": -np.abs(normal),
        "overflow": np.full(4_099, info.max),
        "below overflow": np.concatenate([np.full(4_099, -info.max), np.full(4_099, info.max), [-one]]),
        "full bins": np.full(9_001, np.nextafter(dtype(2), one)),
        "special": rng.permutation(np.concatenate([special, finite[:50]])),
        "payloads": np.concatenate([payloads, -payloads]),
        "infinite": np.array([np.inf, 1.0], dtype),
        "ties": np.array([1.0, info.eps / 2], dtype),
        "above a tie": np.array([1.0, info.eps / 2, info.smallest_subnormal], dtype),
        "none": np.zeros(0, dtype),
    }


def _exponentials() -> dict[str, np.ndarray]:
    """What a sum of exponentials could get wrong."""
    rng = np.random.default_rng(3)
    below = np.nextafter(2048.0, 0.0)
    places = 32 * np.log(2.0) * np.arange(-90, 90) + rng.normal(0.0, 1e-9, 180)
    return {
        "any bits": any_bits(5_003),
        "ordinary": rng.normal(0.0, 20.0, 1_003),
        "whole range": rng.uniform(-2048.0, 2048.0, 4_001),
        "where digits begin": np.clip(places, -below, below),
        "near zero": rng.normal(0.0, 1.0, 901) * 2.0 ** rng.integers(-80, 0, 901),
        "ties of the unit": np.arange(-40, 40) * 2.0**-65,
        "subnormal": rng.integers(0, 1 << 52, 101, dtype=np.uint64).view(np.float64),
        "zeros": np.array([0.0, -0.0, -0.0]),
        "ends": np.array([below, -below, 2048.0, -2048.0, np.nextafter(2048.0, 1e9), 1e308, -1e308]),
        "not numbers": np.array([np.nan, -np.nan, np.inf, -np.inf, np.inf, 1.0, -np.inf]),
        "only minus infinity": np.full(9, -np.inf),
        "largest again and again": np.full(10_001, below),
        "carries": np.full(4_097, np.nextafter(np.log(2.0) * 32, 0.0)),
        "one": np.array([1.5]),
        "none": np.zeros(0),
    }


VECTORS = {
    "float32": _sums(np.float32),
    "float64": _sums(np.float64),
    "log_sum_exp": _exponentials(),
}
"""For each class of states the inputs by name, each with one axis."""
