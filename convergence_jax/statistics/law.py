"""The law that every statistic keeps: four verbs, and a fifth where merging can be undone."""

from typing import Any, Protocol, TypeVar, runtime_checkable

State = TypeVar("State")
Value = TypeVar("Value", covariant=True)


@runtime_checkable
class Statistic(Protocol[State, Value]):
    """A commutative monoid of states, with one way in and one way out.

    ``merge`` is associative and commutative in bits, ``empty`` is its identity, ``lift`` is the only verb
    that may round an input and ``present`` the only one that may round an answer. States are pytrees of
    integer arrays, canonical: equal values have equal bits. A statistic is frozen and hashable; it is
    configuration, no data.
    """

    def empty(self) -> State:
        """The state of no observations: the identity of ``merge``."""
        ...

    def lift(self, x: Any) -> State:
        """The state of one observation; counts what it cannot hold as faults."""
        ...

    def merge(self, a: State, b: State) -> State:
        """The state of both sets of observations."""
        ...

    def present(self, state: State) -> Value:
        """The answer, on the host, correctly rounded or with its error stated."""
        ...


@runtime_checkable
class Removable(Statistic[State, Value], Protocol[State, Value]):
    """A statistic whose merge has an exact inverse: an abelian group."""

    def remove(self, a: State, b: State) -> State:
        """Undo a merge: ``remove(merge(a, b), b) == a`` in bits, faults included."""
        ...


@runtime_checkable
class Collecting(Protocol):
    """A statistic with a short cut for many observations at once.

    It changes speed and memory, never the state: the result has the bits of merging every ``lift``.
    """

    def collect(self, xs: Any, where: Any = None) -> Any:
        """The state of all observations along the leading axis; `where` is a mask over that axis."""
        ...
