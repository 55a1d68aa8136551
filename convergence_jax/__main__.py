"""``python -m convergence_jax`` is ``convergence``."""

import sys

from convergence_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
