"""The header of the kernels says what the module of constants says, and nothing else does."""

import re

from convergence_jax.exact import constants
from convergence_jax.exact.constants import Format
from convergence_jax.fpga.constants_header import constants_header
from convergence_jax.fpga.host import SOURCES, source

PUBLIC = {name: value for name, value in vars(constants).items() if name.isupper() and name[0] != "_"}


def read_header() -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Definitions and tables, read back from the text."""
    text = constants_header()
    defined = {
        name: int(value.strip("()").removesuffix("UL"), 0)
        for name, value in re.findall(r"^#define (\w+) (\S+)$", text, re.MULTILINE)
    }
    tables = {
        name: tuple(int(word.strip().rstrip("ULu"), 0) for word in body.split(","))
        for name, body in re.findall(r"__constant \w+ (\w+)\[\d+\] = \{(.*?)\};", text)
    }
    return defined, tables


def test_every_constant_is_in_the_header_with_its_value():
    defined, tables = read_header()
    numbers = {name: value for name, value in PUBLIC.items() if isinstance(value, int)}
    for value in PUBLIC.values():
        if isinstance(value, Format):
            name = value.name.upper()
            parts = {"LSB": value.lsb, "DIGITS": value.digits, "TERM_BITS": value.term_bits}
            numbers |= {f"{name}_{part}": number for part, number in parts.items()}
    assert defined == numbers
    assert tables == {name: value for name, value in PUBLIC.items() if isinstance(value, tuple)}


def test_no_kernel_defines_a_constant_of_the_header_again():
    defined, tables = read_header()
    kernels = source("")
    assert len(SOURCES) > 5
    again = set(re.findall(r"#define (\w+)", kernels)) & (defined.keys() | tables.keys())
    assert not again
