"""One column at a time: texts, numbers and times out of whatever type the file has."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from convergence_jax.data.source import Kind
from convergence_jax.errors import InputError


class BadValue(Exception):
    """A value that cannot be read as asked, by its offset in the array; readers add file and column."""

    def __init__(self, offset: int | None, problem: str) -> None:
        super().__init__(problem)
        self.offset = offset
        self.problem = problem


def kind_of(type_: pa.DataType) -> Kind:
    """What a column of an Arrow type holds."""
    t = pa.types
    if t.is_dictionary(type_):
        return kind_of(type_.value_type)
    if t.is_integer(type_) or t.is_floating(type_) or t.is_decimal(type_):
        return "number"
    if t.is_boolean(type_):
        return "boolean"
    if t.is_timestamp(type_) or t.is_date(type_):
        return "time"
    return "text" if _is_text(type_) else "other"


def as_text(column: pa.Array) -> pa.StringArray:
    """Ids and groups as text: an integer as its decimal digits, an empty text as missing.

    A whole floating-point number up to ``2**53`` reads as an integer, since tables turn integers into floats
    where one is missing; another one as the shortest decimal that gives it back; NaN is missing. Truth values
    read ``true`` and ``false``, dates and times as in ISO 8601.

    Raises
    ------
    BadValue
        For bytes that are not UTF-8, and for nested types.
    """
    t = pa.types
    type_ = column.type
    if t.is_dictionary(type_):
        return as_text(column.dictionary_decode())
    if t.is_null(type_):
        return pa.nulls(len(column), pa.string())
    if t.is_floating(type_):
        column = _number_text(column)
    elif t.is_nested(type_) or t.is_duration(type_) or t.is_interval(type_):
        raise BadValue(None, f"holds {type_}, which cannot be read as text; choose another column")
    if column.type != pa.string():
        try:
            column = column.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise BadValue(
                _first_failure(column, partial(_cast, pa.string())),
                f"holds {type_} that is not UTF-8 text; write it as text",
            ) from error
    empty = pc.equal(pc.binary_length(column), 0)
    if pc.any(empty).as_py():
        column = pc.if_else(empty, pa.scalar(None, pa.string()), column)
    return column


def as_number(column: pa.Array) -> pa.DoubleArray:
    """A feature as float64, rounded to nearest; truth values as 0 and 1; null stays null.

    Raises
    ------
    BadValue
        For a text, a date, a nested value, with the first one that is there.
    """
    t = pa.types
    type_ = column.type
    if t.is_dictionary(type_):
        return as_number(column.dictionary_decode())
    if t.is_null(type_):
        return pa.nulls(len(column), pa.float64())
    if t.is_decimal(type_):
        # Through the decimal text, whose reading rounds to nearest, as it does in a CSV file.
        return column.cast(pa.string()).cast(pa.float64())
    if t.is_boolean(type_):
        return column.cast(pa.uint8()).cast(pa.float64())
    if t.is_integer(type_) or t.is_floating(type_):
        return column.cast(pa.float64(), safe=False)
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.float64())
    offset = int(np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))[0])
    raise BadValue(offset, not_a_number(column[offset].as_py(), "text" if _is_text(type_) else str(type_)))


def not_a_number(value: object, kind: str = "text") -> str:
    """The problem with a feature that is no number."""
    shown = value if isinstance(value, str) else str(value)
    shown = shown if len(shown) <= 40 else shown[:39] + "…"
    hint = (
        "write true and false as 1 and 0"
        if shown.lower() in ("true", "false")
        else "correct it or leave the column out"
    )
    return f"holds {kind} ({shown!r}), where a number is needed; {hint}"


@dataclass(frozen=True)
class Until:
    """The end of the baseline period, as it was typed: a number, or an ISO 8601 date or time.

    A time without a zone is in UTC. What it is compared as follows the column.
    """

    text: str
    number: Fraction | None
    nanoseconds: int | None

    @classmethod
    def parse(cls, text: str) -> "Until":
        """Read both meanings that the text may have.

        Raises
        ------
        InputError
            If it has neither.
        """
        number = nanoseconds = None
        with suppress(ValueError, ZeroDivisionError):
            number = Fraction(text)
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            since = moment - datetime(1970, 1, 1, tzinfo=UTC)
            nanoseconds = ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000
        if number is None and nanoseconds is None:
            raise InputError(
                f"--baseline-until {text!r}: neither a number nor an ISO time; write 17 or 2026-01-31T12:00."
            )
        return cls(text, number, nanoseconds)

    def before(self, column: pa.Array) -> pa.BooleanArray:
        """Whether each time is before the end; null where the time is missing or NaN.

        Raises
        ------
        BadValue
            If the column holds no times, or holds numbers where a date was typed and the reverse.
        """
        t = pa.types
        type_ = column.type
        if t.is_dictionary(type_):
            return self.before(column.dictionary_decode())
        if t.is_null(type_):
            return pa.nulls(len(column), pa.bool_())
        if t.is_integer(type_):
            return _less(column, ceil(self._number(type_)))
        if t.is_floating(type_) or t.is_decimal(type_):
            numbers = pc.if_else(
                pc.is_nan(as_number(column)), pa.scalar(None, pa.float64()), as_number(column)
            )
            return pc.less(numbers, float(self._number(type_)))
        if t.is_date(type_):
            return self.before(column.cast(pa.timestamp("s" if t.is_date32(type_) else "ms")))
        if t.is_timestamp(type_):
            unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[type_.unit]
            return _less(column.cast(pa.int64()), ceil(Fraction(self._moment(type_), unit)))
        if _is_text(type_):
            return self._before_texts(as_text(column))
        raise BadValue(None, f"holds {type_}, which is no time; name another column with --time")

    def _before_texts(self, column: pa.StringArray) -> pa.BooleanArray:
        if self.number is not None:
            targets: tuple[pa.DataType, ...] = (pa.int64(), pa.float64())
            wanted = "a number, as --baseline-until is"
        else:
            targets = tuple(pa.timestamp(unit, zone) for zone in (None, "UTC") for unit in ("us", "ns"))
            wanted = "an ISO time such as 2026-01-31T12:00"
        for target in targets:
            try:
                return self.before(column.cast(target))
            except pa.ArrowInvalid:
                continue
        # The reading that gets furthest is the one that was meant.
        offset = max(_first_failure(column, partial(_cast, target)) or 0 for target in targets)
        shown = column[offset].as_py()
        raise BadValue(offset, f"{shown!r} is not {wanted}; correct it or leave out --time")

    def _number(self, type_: pa.DataType) -> Fraction:
        if self.number is None:
            raise BadValue(
                None, f"holds {type_}, but --baseline-until {self.text!r} is a date; give a number"
            )
        return self.number

    def _moment(self, type_: pa.DataType) -> int:
        if self.nanoseconds is None:
            raise BadValue(
                None, f"holds {type_}, but --baseline-until {self.text!r} is a number; give an ISO time"
            )
        return self.nanoseconds


def _is_text(type_: pa.DataType) -> bool:
    t = pa.types
    return t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_)


def _number_text(column: pa.Array) -> pa.StringArray:
    numbers = column.cast(pa.float64())
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    values = numbers.fill_null(0.0).to_numpy()
    whole = (np.trunc(values) == values) & (np.abs(values) <= 2.0**53)
    digits = pa.array(np.where(whole, values, 0.0).astype(np.int64)).cast(pa.string())
    texts = digits if whole.all() else pc.if_else(pa.array(whole), digits, numbers.cast(pa.string()))
    return (
        pc.if_else(numbers.is_valid(), texts, pa.scalar(None, pa.string())) if numbers.null_count else texts
    )


def _less(integers: pa.Array, bound: int) -> pa.BooleanArray:
    """Compare integers of any width with an integer of any size."""
    wide = np.uint64 if integers.type == pa.uint64() else np.int64
    limits = np.iinfo(wide)
    values = integers.fill_null(0).to_numpy(zero_copy_only=False).astype(wide)
    if bound <= limits.min:
        less = np.zeros(len(values), dtype=bool)
    elif bound > limits.max:
        less = np.ones(len(values), dtype=bool)
    else:
        less = values < wide(bound)
    return pa.array(less, mask=integers.is_null().to_numpy(zero_copy_only=False))


def _cast(target: pa.DataType, column: pa.Array) -> pa.Array:
    return column.cast(target)


def _first_failure(column: pa.Array, convert: Callable[[pa.Array], object]) -> int | None:
    """Offset of the first value on which `convert` fails, by halving."""

    def fails(part: pa.Array) -> bool:
        try:
            convert(part)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return True
        return False

    if not fails(column):
        return None
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        if fails(column.slice(low, middle - low)):
            high = middle
        else:
            low = middle
    return low
