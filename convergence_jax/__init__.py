"""Watch the behaviour of a million agents, with answers that are the same on every tree, device and replica.

Public names load on first use, so a process that only merges and presents states never imports JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convergence_jax.errors import FaultError as FaultError
    from convergence_jax.errors import RemoteError as RemoteError
    from convergence_jax.errors import StaleError as StaleError
    from convergence_jax.exact.fixed_point import FixedPoint as FixedPoint
    from convergence_jax.exact.log_sum_exp import LogSumExp as LogSumExp
    from convergence_jax.exact.superaccumulator import Superaccumulator as Superaccumulator
    from convergence_jax.hierarchy.fold import reduce as reduce
    from convergence_jax.statistics.check import check as check
    from convergence_jax.statistics.correlation import Correlation as Correlation
    from convergence_jax.statistics.count import Count as Count
    from convergence_jax.statistics.distinct import Distinct as Distinct
    from convergence_jax.statistics.extrema import Extrema as Extrema
    from convergence_jax.statistics.hashing import hash_text as hash_text
    from convergence_jax.statistics.histogram import Histogram as Histogram
    from convergence_jax.statistics.law import Removable as Removable
    from convergence_jax.statistics.law import Statistic as Statistic
    from convergence_jax.statistics.log_evidence import LogEvidence as LogEvidence
    from convergence_jax.statistics.moments import Moments as Moments
    from convergence_jax.statistics.product import product as product
    from convergence_jax.statistics.quantiles import Quantiles as Quantiles
    from convergence_jax.statistics.sums import Sum as Sum

_MODULES = {
    "Correlation": "statistics.correlation",
    "Count": "statistics.count",
    "Distinct": "statistics.distinct",
    "Extrema": "statistics.extrema",
    "FaultError": "errors",
    "FixedPoint": "exact.fixed_point",
    "Histogram": "statistics.histogram",
    "LogEvidence": "statistics.log_evidence",
    "LogSumExp": "exact.log_sum_exp",
    "Moments": "statistics.moments",
    "Quantiles": "statistics.quantiles",
    "RemoteError": "errors",
    "Removable": "statistics.law",
    "StaleError": "errors",
    "Statistic": "statistics.law",
    "Sum": "statistics.sums",
    "Superaccumulator": "exact.superaccumulator",
    "check": "statistics.check",
    "hash_text": "statistics.hashing",
    "product": "statistics.product",
    "reduce": "hierarchy.fold",
}
"""Each public name and the module that has it; the block above tells type checkers the same."""

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
