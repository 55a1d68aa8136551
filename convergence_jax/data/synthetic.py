"""`synthetic`: a built-in fleet with planted anomalies, the same bits on every backend and in any chunking.

Every number of an agent is a function of the seed and of the agent's own number, in integers from the random
bits to the last step, which scales exactly. So neither the size of the fleet, nor batches, nor devices change
it.
"""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from convergence_jax.data.source import BATCH_ROWS, Batch, Column, Selection, check_rows, rebatch
from convergence_jax.errors import InputError

Array = jax.Array

AGENT = "agent"
LEVELS = ("region", "sector")

REGIONS = ("north", "south", "east", "west", "centre", "islands", "coast", "highlands")
REGION_WEIGHTS = (38, 24, 15, 10, 6, 4, 2, 1)
SECTORS = ("retail", "finance", "health", "logistics", "research")
SECTOR_WEIGHTS = (48, 27, 15, 8, 2)

# Name, mean and spread of a feature between agents of one group, in its own unit.
_FEATURES = (
    ("requests", 120, 16),
    ("latency", 250, 40),
    ("errors", 24, 3),
    ("tokens", 900, 128),
    ("tool_calls", 36, 5),
    ("retries", 18, 2),
    ("handovers", 12, 2),
    ("idle", 300, 64),
    ("cost", 48, 6),
    ("novelty", 60, 8),
)

KINDS = ("loud", "broad", "hidden")
"""Planted anomalies: far out in one feature; out in all; out in none, but against their correlation."""

_BLOCK = 2**15  # agents a call, always padded to it
_UNIT = 1 << 16  # one standard deviation between agents
# Square roots of shares of variance, times 256: three shared factors and an own part make an agent, one
# shared factor and an own part make an observation.
_SHARED, _OWN, _NOISE = 114, 162, 181  # sqrt(.2), sqrt(.4), sqrt(.5)
_LOUD, _BROAD, _HIDDEN = 6 * _UNIT, 9 * _UNIT // 4, 5 * _UNIT // 2
_PLACE, _BEHAVIOUR, _GROUPS = 0, 1, 2  # what a key is for


class SyntheticFleet:
    """Rows of a fleet that is made up as it is read.

    See Also
    --------
    synthetic : makes one, and says what is in it.
    """

    def __init__(self, agents: int, seed: int, features: int, observations: int, share: float) -> None:
        self.agents = agents
        self.seed = seed
        self.share = share
        self.observations = observations
        self.name = f"synthetic fleet of {agents:,} agents, seed {seed}"
        self.rows: int | None = agents * observations
        extra = tuple((f"feature_{i + 1}", 64, 8) for i in range(len(_FEATURES), features))
        self._features = (_FEATURES + extra)[:features]
        key = jax.random.key(np.uint32(seed), impl="threefry2x32")
        self._keys = tuple(jax.random.fold_in(key, purpose) for purpose in (_PLACE, _BEHAVIOUR, _GROUPS))
        self._threshold = np.uint32(min(round(share * 2**32), 2**32 - 1))

    def columns(self) -> tuple[Column, ...]:
        """The agent, two levels, the features."""
        texts = (AGENT, *LEVELS)
        return (
            *(Column(name, "text") for name in texts),
            *(Column(name, "number") for name, _, _ in self._features),
        )

    def planted(self) -> dict[str, str]:
        """The truth: the planted agents, each with its kind out of :data:`KINDS`; the rest are healthy."""
        found: dict[str, str] = {}
        for start in range(0, self.agents, _BLOCK):
            _, _, kind, _ = _places(self._keys[0], _numbers(start), self._threshold, len(self._features))
            kinds = np.asarray(kind)[: self.agents - start]
            odd = np.flatnonzero(kinds >= 0)
            found.update(zip(_ids(odd + start).to_pylist(), (KINDS[k] for k in kinds[odd]), strict=True))
        return found

    def batches(
        self,
        *,
        agent: str,
        levels: Sequence[str],
        features: Sequence[str],
        time: str | None = None,
        until: str | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[Batch]:
        """All observations, agent by agent, in pieces of `batch_rows` rows; as the source of a file.

        Raises
        ------
        InputError
            For a column that the fleet does not have; it has no times.
        """
        selection = Selection(agent, tuple(levels), tuple(features))
        selection.check(self.columns(), self.name)
        if until is not None:
            raise InputError(f"{self.name}: has no times, so no baseline period; leave out --baseline-until.")
        for table, done in rebatch(self._tables(selection), batch_rows):
            yield check_rows(table, selection, done)

    def _tables(self, selection: Selection) -> Iterator[tuple[pa.Table, float]]:
        names = [name for name, _, _ in self._features]
        table, (place, behaviour, groups) = _normal_table(), self._keys
        shifts = _group_shifts(groups, table, len(names))
        for start in range(0, self.agents, _BLOCK):
            here = min(_BLOCK, self.agents - start)
            numbers = _numbers(start)
            region, sector, _, shift = _places(place, numbers, self._threshold, len(names))
            ticks = _observations(behaviour, numbers, table, shifts, region, sector, shift, self.observations)
            rows = here * self.observations
            columns = {
                AGENT: lambda start=start, here=here: _ids(np.arange(start, start + here)),
                LEVELS[0]: lambda region=region, here=here: _labels(region, REGIONS, here),
                LEVELS[1]: lambda sector=sector, here=here: _labels(sector, SECTORS, here),
            }
            repeat = pa.array(np.repeat(np.arange(here), self.observations))
            arrays = [columns[name]().take(repeat) for name in selection.texts]
            units = np.asarray(ticks).reshape(len(names), -1)[:, :rows]
            for name in selection.features:
                _, mean, spread = self._features[names.index(name)]
                # Integers below 2**53 until the last division by a power of two: exact.
                arrays.append(
                    pa.array((units[names.index(name)] * float(spread) + mean * float(_UNIT)) / _UNIT)
                )
            yield pa.table(arrays, names=[str(i) for i in range(len(arrays))]), (start + here) / self.agents


def synthetic(
    agents: int, seed: int = 0, *, features: int = 10, observations: int = 3, share: float = 0.001
) -> SyntheticFleet:
    """A fleet of agents in regions and sectors of very different sizes, some of them planted anomalies.

    Parameters
    ----------
    agents : int
        At least 1. Agent `i` is the same in a fleet of any size.
    seed : int, default 0
        From 0 to ``2**32 - 1``.
    features : int, default 10
        Correlated, each in its own unit.
    observations : int, default 3
        Of every agent.
    share : float, default 0.001
        Probability that an agent is planted, independently; the kinds are about equally frequent.

    Returns
    -------
    SyntheticFleet
        A source; columns ``agent``, ``region``, ``sector`` and the features.

    Raises
    ------
    InputError
        If a number is out of its range.

    Notes
    -----
    Within a group, agents are Gaussian to about six standard deviations; an observation scatters about its
    agent as much as agents do about their group.

    ``loud`` is 6 standard deviations out in one feature, ``broad`` 2.25 in every one with random signs,
    ``hidden`` 2.5 in directions that no factor shared by the features has (needs 4 features, else ``loud``).
    """
    if not 1 <= agents <= 2**31:
        raise InputError(f"--synthetic {agents}: give at least 1 agent and at most {2**31:,}.")
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed {seed}: give an integer from 0 to {2**32 - 1:,}.")
    if features < 1 or observations < 1 or not 0 <= share <= 1:
        raise InputError("synthetic: at least 1 feature, 1 observation and a share from 0 to 1 are needed.")
    return SyntheticFleet(agents, seed, features, observations, share)


@cache
def _normal_table() -> np.ndarray:
    """Quantiles of half the variance: two of them, drawn by 16 bits each, add up to a standard normal."""
    half = NormalDist().inv_cdf
    quantiles = np.array([half((i + 0.5) / 2**16) for i in range(2**15, 2**16)])
    quantiles *= _UNIT / np.sqrt(2 * np.mean(quantiles**2))
    upper = np.rint(quantiles).astype(np.int32)
    return np.concatenate([-upper[::-1], upper])


def _words(key: Array, numbers: Array, count: int) -> Array:
    """``(count, numbers)`` random words, each column from its own number alone."""
    one = jax.vmap(lambda number: jax.random.bits(jax.random.fold_in(key, number), (count,), jnp.uint32))
    return one(numbers).T


def _normals(words: Array, table: Array) -> Array:
    return table[words & jnp.uint32(0xFFFF)] + table[words >> jnp.uint32(16)]


def _pattern(features: int) -> np.ndarray:
    """Signs of three factors, and of the direction that none of them has, as rows of blocks of four."""
    block = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]], dtype=np.int32)
    signs = np.tile(block, -(-features // 4))[:, :features]
    signs[3, features // 4 * 4 :] = 0
    return signs


@partial(jax.jit, static_argnums=3)
def _places(key: Array, numbers: Array, threshold: Array, features: int) -> tuple[Array, Array, Array, Array]:
    """Region, sector, kind of anomaly (-1 for none) and the shift that it is, ``(features, agents)``."""
    place, draw, direction, signs = _words(key, numbers, 4)

    def choose(bits: Array, weights: tuple[int, ...]) -> Array:
        bounds = np.cumsum(weights)[:-1] * 2**16 // sum(weights)
        return jnp.searchsorted(jnp.asarray(bounds, jnp.uint32), bits, side="right").astype(jnp.int32)

    region = choose(place & jnp.uint32(0xFFFF), REGION_WEIGHTS)
    sector = choose(place >> jnp.uint32(16), SECTOR_WEIGHTS)
    kind = (direction % jnp.uint32(len(KINDS))).astype(jnp.int32)
    if features < 4:
        kind = jnp.where(kind == 2, 0, kind)
    feature = jnp.arange(features, dtype=jnp.uint32)[:, None]
    chosen = (direction // jnp.uint32(len(KINDS))) % jnp.uint32(features) == feature
    sign = 1 - 2 * ((signs >> (feature % jnp.uint32(32))) & jnp.uint32(1)).astype(jnp.int32)
    against = jnp.asarray(_pattern(features)[3])[:, None]
    shift = jnp.where(
        kind == 0,
        chosen.astype(jnp.int32) * sign * _LOUD,
        jnp.where(kind == 1, sign * _BROAD, against * sign[0] * _HIDDEN),
    )
    planted = draw < threshold
    return region, sector, jnp.where(planted, kind, -1), jnp.where(planted, shift, 0)


@partial(jax.jit, static_argnums=2)
def _group_shifts(key: Array, table: Array, features: int) -> Array:
    """How far each region, then each sector, lies from the whole: ``(features, regions + sectors)``."""
    count = len(REGIONS) + len(SECTORS)
    return _normals(_words(key, jnp.arange(count, dtype=jnp.uint32), features), jnp.asarray(table))


@partial(jax.jit, static_argnums=7)
def _observations(
    key: Array,
    numbers: Array,
    table: Array,
    shifts: Array,
    region: Array,
    sector: Array,
    shift: Array,
    observations: int,
) -> Array:
    """Observations, ``1 / _UNIT`` standard deviations a tick: int32 ``(features, agents, observations)``."""
    features = shifts.shape[0]
    signs = jnp.asarray(_pattern(features))
    words = _words(key, numbers, 3 + features + observations * (1 + features))
    normals = _normals(words, jnp.asarray(table))
    factors, own, rest = jnp.split(normals, [3, 3 + features])
    shared = sum(signs[i][:, None] * factors[i] for i in range(3))
    agent = (_SHARED * shared + _OWN * own) >> 8
    agent = agent + shifts[:, region] + shifts[:, len(REGIONS) + sector] + shift
    rest = rest.reshape(1 + features, observations, -1)
    noise = (_NOISE * (rest[:1] + rest[1:])) >> 8
    return jnp.swapaxes(agent[:, None, :] + noise, 1, 2)


def _numbers(start: int) -> np.ndarray:
    return np.arange(start, start + _BLOCK, dtype=np.uint32)


def _ids(numbers: np.ndarray) -> pa.StringArray:
    digits = pc.utf8_lpad(pa.array(numbers, pa.int64()).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise("agent-", digits, "")


def _labels(codes: Array, names: tuple[str, ...], count: int) -> pa.StringArray:
    return pa.array(names, pa.string()).take(pa.array(np.asarray(codes)[:count]))
