"""Every statistic of the library, each with samples that it takes: what the laws are applied to."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from convergence_jax.exact import constants
from convergence_jax.exact.fixed_point import FixedPoint
from convergence_jax.exact.log_sum_exp import LogSumExp
from convergence_jax.exact.superaccumulator import Superaccumulator
from convergence_jax.statistics.correlation import Correlation
from convergence_jax.statistics.count import Count
from convergence_jax.statistics.distinct import Distinct
from convergence_jax.statistics.extrema import Extrema
from convergence_jax.statistics.histogram import Histogram
from convergence_jax.statistics.law import Statistic
from convergence_jax.statistics.log_evidence import LogEvidence
from convergence_jax.statistics.moments import Moments
from convergence_jax.statistics.product import product
from convergence_jax.statistics.quantiles import Quantiles
from convergence_jax.statistics.sums import Sum
from convergence_jax.testing import strategies
from convergence_jax.testing.sample import Sample


@dataclass(frozen=True)
class Case:
    """A statistic on trial.

    Attributes
    ----------
    name : str
        For test ids.
    statistic : Statistic
        The statistic.
    samples : SearchStrategy[Sample]
        Observations of every kind that it must cope with.
    """

    name: str
    statistic: Statistic[Any, Any]
    samples: st.SearchStrategy[Sample]


_NARROW, _WIDE, _COARSE = FixedPoint(), FixedPoint(40, 22), FixedPoint(-3, 20)

_named = st.fixed_dictionaries(
    {"delay": strategies.columns(), "agent": strategies.columns(strategies.hashes(), dtype="uint64")}
)

CASES = (
    Case("count", Count(), strategies.samples()),
    Case("sum", Sum(), strategies.samples()),
    Case("sum-wide", Sum(40, 22), strategies.samples()),
    Case("sum-of-float32", Sum(4, 20), strategies.samples(strategies.floats32(), dtype="float32")),
    Case("superaccumulator", Superaccumulator(), strategies.samples()),
    Case(
        "superaccumulator-of-float32",
        Superaccumulator(constants.FLOAT32),
        strategies.samples(strategies.floats32(), dtype="float32"),
    ),
    Case(
        "superaccumulator-of-products",
        Superaccumulator(constants.FLOAT64_PRODUCT),
        strategies.paired_samples(),
    ),
    Case("log-evidence", LogEvidence(), strategies.samples()),
    Case("log-evidence-of-any-float", LogEvidence(1024), strategies.samples()),
    Case("log-sum-exp", LogSumExp(), strategies.samples()),
    Case("moments", Moments((_NARROW, _COARSE)), strategies.samples(features=2)),
    Case("moments-wide", Moments((_WIDE, _NARROW)), strategies.samples(features=2)),
    Case("extrema", Extrema(), strategies.samples()),
    Case("extrema-of-float32", Extrema(), strategies.samples(strategies.floats32(), dtype="float32")),
    Case("histogram", Histogram((-1e300, -1.0, 0.0, 5e-324, 1.0, 1e300)), strategies.samples()),
    Case("quantiles", Quantiles(2, -4, 11), strategies.samples()),
    Case("distinct", Distinct(4), strategies.hash_samples()),
    Case("correlation", Correlation(_NARROW, _COARSE), strategies.paired_samples()),
    Case("correlation-wide", Correlation(_WIDE, _NARROW), strategies.paired_samples()),
    Case("product", product(rows=Count(), total=Sum(), bins=Histogram((0.0, 1.0))), strategies.samples()),
    Case(
        "product-by-name",
        product(by_name=True, delay=Extrema(), agent=Distinct(4)),
        strategies.samples_of(_named),
    ),
)
"""The statistics of the library, in several configurations."""
