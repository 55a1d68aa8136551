"""All the exceptions that the library defines; everything else is a ``ValueError`` or a ``TypeError``."""


class FaultError(ValueError):
    """A state counts observations that it could not hold; raised by :func:`~convergence_jax.check`."""


class StaleError(RuntimeError):
    """An answer would be older than the caller allows."""


class RemoteError(RuntimeError):
    """A peer refused, failed or broke the protocol."""


class InputError(ValueError):
    """What the user gave cannot be used: one line that names the place and says what to do.

    Parameters
    ----------
    line : str
        Names out of files may hold anything: what would not print is escaped.
    """

    def __init__(self, line: str) -> None:
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in line))
