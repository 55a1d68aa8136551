"""What liars say: each attack sees everything that the honest said, and the rule."""

from typing import Any

import jax.numpy as jnp
from jax import lax

Array = Any

NAMES = ("push", "pull", "mimic high", "mimic low", "equivocate", "flood", "slow poison", "adaptive")


def lies(attack: Array, honest: Array, lying: Array, unusual: Array, most: int, drift: float) -> Array:
    """What each liar says about each agent.

    Parameters
    ----------
    attack : Int32[Array, ""]
        Index into ``NAMES``.
    honest : Float64[Array, "agents observers"]
        What everybody would say who is honest.
    lying : Bool[Array, "observers"]
        Who is not.
    unusual : Bool[Array, "agents"]
        Whether the alternative is true of the agent; some liars work against that.
    most : int
        Liars that the rule allows for.
    drift : float
        What an honest observer says of an unusual agent, on average.

    Returns
    -------
    Float64[Array, "agents"]
    """
    ascending = jnp.sort(jnp.where(lying, jnp.inf, honest), axis=1)
    number = jnp.sum(~lying)
    highest, lowest = ascending[:, number - 1], ascending[:, 0]
    one = jnp.ones_like(highest)
    against = jnp.where(unusual, -one, one)
    said = (
        50.0 * one,
        -50.0 * one,
        highest,
        lowest,
        # Two nodes hear two things under one event: joined, they are evidence of a lie and count for nothing.
        0.0 * one,
        # A thousand items for each one of an honest observer.
        1000.0 * drift * against,
        # An honest rate and an honest size, always on the wrong side.
        drift * against,
        # Just within what the rule leaves in when it cuts off the farthest.
        jnp.where(unusual, ascending[:, most], ascending[:, jnp.maximum(number - most - 1, 0)]),
    )
    return lax.select_n(attack, *said)
