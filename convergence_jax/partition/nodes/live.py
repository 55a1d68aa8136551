"""`page`: the live page of a node, one HTML file that asks nothing of anyone but the node that serves it."""

from functools import cache
from importlib import resources


@cache
def page() -> bytes:
    """The page as it is served at ``GET /``.

    Returns
    -------
    bytes
        HTML in UTF-8, the same at every call. From addresses beside its own it reads ``status`` once and
        ``events`` for ever, and hands on the ``?token=`` that it was opened with.
    """
    return resources.files("convergence_jax.partition.nodes").joinpath("live.html").read_bytes()
