"""Several statistics as one: `product`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convergence_jax.statistics.law import Removable, Statistic
from convergence_jax.statistics.state import state

Array = Any


@state
class ProductState:
    """``parts : dict[str, State]``, one state for each part."""

    parts: dict[str, Any]


def product(*, by_name: bool = False, **parts: Statistic[Any, Any]) -> "Product | RemovableProduct":
    """Make one statistic of several.

    Parameters
    ----------
    by_name : bool
        Whether an observation is a mapping with an entry for every part. If not, every part lifts the same
        observation.
    **parts : Statistic
        The parts under their names.

    Returns
    -------
    RemovableProduct or Product
        The first if every part has ``remove``.

    Examples
    --------
    >>> from convergence_jax.statistics.count import Count
    >>> from convergence_jax.statistics.extrema import Extrema
    >>> stat = product(rows=Count(), range=Extrema())
    >>> value = stat.present(stat.merge(stat.lift(3.0), stat.lift(1.0)))
    >>> int(value["rows"]), float(value["range"].minimum)
    (2, 1.0)
    """
    items = tuple(sorted(parts.items()))
    removable = tuple((name, part) for name, part in items if isinstance(part, Removable))
    return RemovableProduct(removable, by_name) if len(removable) == len(items) else Product(items, by_name)


@dataclass(frozen=True)
class Product:
    """Statistics side by side, at least one of which cannot remove; made by :func:`product`.

    Parameters
    ----------
    parts : tuple of (str, Statistic)
        Sorted by name.
    by_name : bool
        Whether an observation is a mapping with an entry for every part.
    """

    parts: tuple[tuple[str, Statistic[Any, Any]], ...]
    by_name: bool = False

    def __post_init__(self) -> None:
        _require_parts(self.parts)

    def empty(self) -> ProductState:
        """No observations."""
        return ProductState({name: part.empty() for name, part in self.parts})

    def lift(self, x: Any) -> ProductState:
        """Lift an observation by every part, or each entry of it by its own."""
        return _lift(self.parts, x, self.by_name)

    def merge(self, a: ProductState, b: ProductState) -> ProductState:
        """Merge part by part."""
        return _part_by_part("merge", self.parts, a, b)

    def present(self, state: ProductState) -> dict[str, Any]:
        """The value of every part under its name, with the error that the part states."""
        return _present(self.parts, state)


@dataclass(frozen=True)
class RemovableProduct:
    """Statistics side by side, all of which remove; made by :func:`product`.

    Parameters
    ----------
    parts : tuple of (str, Removable)
        Sorted by name.
    by_name : bool
        Whether an observation is a mapping with an entry for every part.
    """

    parts: tuple[tuple[str, Removable[Any, Any]], ...]
    by_name: bool = False

    def __post_init__(self) -> None:
        _require_parts(self.parts)
        for name, part in self.parts:
            if not isinstance(part, Removable):
                raise TypeError(f"RemovableProduct: part {name!r} has no remove: use product().")

    def empty(self) -> ProductState:
        """No observations."""
        return ProductState({name: part.empty() for name, part in self.parts})

    def lift(self, x: Any) -> ProductState:
        """Lift an observation by every part, or each entry of it by its own."""
        return _lift(self.parts, x, self.by_name)

    def merge(self, a: ProductState, b: ProductState) -> ProductState:
        """Merge part by part."""
        return _part_by_part("merge", self.parts, a, b)

    def remove(self, a: ProductState, b: ProductState) -> ProductState:
        """Remove part by part."""
        return _part_by_part("remove", self.parts, a, b)

    def present(self, state: ProductState) -> dict[str, Any]:
        """The value of every part under its name, with the error that the part states."""
        return _present(self.parts, state)


Parts = tuple[tuple[str, Any], ...]


def _require_parts(parts: Parts) -> None:
    names = [name for name, _ in parts]
    if not names or names != sorted(set(names)):
        raise ValueError(f"product: want at least one part, sorted by name, each name once, got {names}.")


def _lift(parts: Parts, x: Any, by_name: bool) -> ProductState:
    if not by_name:
        return ProductState({name: part.lift(x) for name, part in parts})
    if not isinstance(x, Mapping) or set(x) != {name for name, _ in parts}:
        names = ", ".join(name for name, _ in parts)
        got = ", ".join(sorted(map(str, x))) if isinstance(x, Mapping) else type(x).__name__
        raise ValueError(f"product: want an observation with the entries {names}; got {got}.")
    return ProductState({name: part.lift(x[name]) for name, part in parts})


def _part_by_part(verb: str, parts: Parts, a: ProductState, b: ProductState) -> ProductState:
    return ProductState({name: getattr(part, verb)(a.parts[name], b.parts[name]) for name, part in parts})


def _present(parts: Parts, state: ProductState) -> dict[str, Any]:
    return {name: part.present(state.parts[name]) for name, part in parts}
