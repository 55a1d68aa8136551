"""The constants of :mod:`convergence_jax.exact.constants` as an OpenCL header."""

from collections.abc import Sequence

from convergence_jax.exact import constants
from convergence_jax.exact.constants import Format


def constants_header() -> str:
    """The text of ``constants.h``, which every kernel includes.

    Returns
    -------
    str
        One definition for each layout and each table of integers; nothing else knows them.
    """
    lines = ["/* Written from convergence_jax/exact/constants.py when a kernel is built: edit that file. */"]
    lines += [
        f"#define {name} {_literal(value)}"
        for name, value in vars(constants).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    ]
    for value in vars(constants).values():
        if isinstance(value, Format):
            name = value.name.upper()
            lines += [
                f"#define {name}_LSB ({value.lsb})",
                f"#define {name}_DIGITS {value.digits}",
                f"#define {name}_TERM_BITS {value.term_bits}",
            ]
    for name, value in vars(constants).items():
        if name.isupper() and not name.startswith("_") and isinstance(value, tuple):
            lines.append(_table(name, value))
    return "\n".join(lines) + "\n"


def _literal(value: int) -> str:
    if -(1 << 31) < value < 1 << 31:
        return str(value) if value >= 0 else f"({value})"
    return f"{value:#x}UL"


def _table(name: str, values: Sequence[int]) -> str:
    """A table in the memory of constants, of ``uint`` where all entries fit."""
    small = max(values) < 1 << 32
    kind, end = ("uint", "u") if small else ("ulong", "UL")
    entries = ", ".join(f"{value:#x}{end}" for value in values)
    return f"__constant {kind} {name}[{len(values)}] = {{{entries}}};"
