"""What every test relies on: 64-bit mode, strict promotion, eight host devices, Hypothesis profiles.

``pytest -m properties`` runs the properties that the register of claims names, each on many more examples.
"""

import os
import signal
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

# Before JAX starts: eight devices on the host, so that sharding is tested everywhere.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import pytest
from hypothesis import HealthCheck, settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

# A shell that runs the tests in the background has them ignore Ctrl-C, and so would every program they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=30, derandomize=True, **_COMMON)
settings.register_profile("thorough", max_examples=1000, **_COMMON)
_ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(_ROOT))  # `proofs` is no installed package; last, so that the installed library is tested


def pytest_configure(config: pytest.Config) -> None:
    """Load a profile before any test is imported: ``HYPOTHESIS_PROFILE``, or what the selection asks for."""
    chosen = "thorough" if config.option.markexpr == "properties" else "default"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", chosen))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that back a claim."""
    register = tomllib.loads((_ROOT / "proofs" / "claims.toml").read_text())["claim"]
    named = {tuple(name.split("::")) for claim in register for name in claim["property"]}
    for item in items:
        name = getattr(item, "originalname", None) or item.name
        parent = item.parent.name if item.parent is not None else ""
        path = item.path.relative_to(_ROOT).as_posix() if item.path.is_relative_to(_ROOT) else ""
        if (path, name) in named or (path, parent) in named:
            item.add_marker("properties")


@pytest.fixture(scope="session")
def require() -> Callable[[str, bool, str], None]:
    """Skip a test that needs what this machine lacks; fail it where ``CONVERGENCE_REQUIRE`` names the need.

    The variable is a list of words with commas between them: what the caller has installed and wants tested.
    """
    wanted = {word.strip() for word in os.environ.get("CONVERGENCE_REQUIRE", "").split(",")}

    def check(need: str, present: bool, reason: str) -> None:
        if not present and need in wanted:
            pytest.fail(f"{need} is required here, but {reason}")
        if not present:
            pytest.skip(reason)

    return check
