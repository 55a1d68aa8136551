"""The examples in docstrings do what they say."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["statistics.product", "hierarchy.fold"])
def test_examples_do_what_they_say(module):
    failed, tried = doctest.testmod(import_module(f"convergence_jax.{module}"))
    assert tried
    assert not failed
