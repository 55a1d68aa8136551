"""``python -m convergence_jax`` is ``convergence``."""

from convergence_jax.cli import program

if __name__ == "__main__":
    program()
