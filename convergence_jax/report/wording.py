"""Numbers and names as a reader wants them: few digits, separators, nothing that could break the page."""

import math
import unicodedata

MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}  # control, formatting, surrogates, line separators


def number(x: float | None, digits: int = 4) -> str:
    """Write a number with at most `digits` significant digits, and all those before the point.

    Parameters
    ----------
    x : float, optional
        None and NaN give a dash.
    digits : int, default 4
        Significant digits, at least 1.

    Returns
    -------
    str
        ``1,234``, ``0.0123``, ``−7.5``, ``1.2 × 10⁻⁹``, ``∞``.
    """
    if x is None or math.isnan(x):
        return MISSING
    sign = "−" if x < 0 else ""
    size = abs(float(x))
    if math.isinf(size):
        return sign + "∞"
    if size == 0:
        return "0"
    mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 < power < 9:
        text = f"{size:,.{max(0, digits - 1 - power)}f}"
        return sign + (text.rstrip("0").rstrip(".") if "." in text else text)
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    scale = "10" + str(power).translate(_SUPERSCRIPT)
    return sign + (scale if mantissa == "1" else f"{mantissa} × {scale}")


def signed(x: float | None, digits: int = 3) -> str:
    """Write a number with its sign, also where that is plus."""
    text = number(x, digits)
    return "+" + text if x is not None and x > 0 else text


def count(n: float | None) -> str:
    """Write a count in full, with separators."""
    return f"{int(n):,}" if n is not None and math.isfinite(n) else MISSING


def percent(share: float | None) -> str:
    """Write a share as a percentage; what is neither none nor all is written as neither."""
    if share is None or not math.isfinite(share):
        return MISSING
    if share in (0, 1):
        return f"{share:.0%}"
    if 0 < share < 5e-5:
        return "<0.01%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.{1 if abs(share) >= 0.01 else 2}%}".replace("-", "−")


def deviation(x: float | None, *, sign: bool = False) -> str:
    """Write a number of standard deviations with one decimal, `sign` or not."""
    if x is None or not math.isfinite(x) or abs(x) >= 1e4:
        return signed(x) if sign else number(x, 3)
    text = f"{x:{'+' if sign else ''}.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def small(expected: float) -> str:
    """Write an expected count, which is hardly ever nothing even where it is small."""
    return number(expected, 2) if expected >= 0.005 else "fewer than 0.01"


def probability(p: float | None) -> str:
    """Write a p-value or q-value with two significant digits; an underflow is no zero."""
    if p is None or math.isnan(p):
        return MISSING
    return number(p, 2) if p > 0 else "<10⁻³⁰⁰"


def chance(log_p: float | None, log_complement: float | None = None) -> str:
    """Write a probability from logarithms, so that what is nearly certain is not written as certain.

    Parameters
    ----------
    log_p : float, optional
        Its natural logarithm; None and NaN give a dash.
    log_complement : float, optional
        That of one less the probability; taken from `log_p` where it is None.

    Returns
    -------
    str
        ``0.931``, ``3 × 10⁻¹²``, ``1 − 3 × 10⁻¹²``; 0 and 1 only where a logarithm is infinite.
    """
    if log_p is None or math.isnan(log_p) or (log_complement is not None and math.isnan(log_complement)):
        return MISSING
    if log_complement is None:
        if log_p > -1e-15:
            return "over 1 − 10⁻¹⁵"
        log_complement = math.log(-math.expm1(log_p))
    if log_complement < math.log(0.0005):
        return "1" if math.isinf(log_complement) else f"1 − {_from_log(log_complement)}"
    if log_p < math.log(0.0005):
        return "0" if math.isinf(log_p) else _from_log(log_p)
    return f"{min(math.exp(log_p), 0.9995):.3f}"


def _from_log(log_x: float) -> str:
    """Write a small number from its natural logarithm with one digit, which no underflow takes away."""
    power, part = divmod(log_x / math.log(10), 1.0)
    digit = round(10.0**part)
    if digit == 10:
        digit, power = 1, power + 1
    scale = "10" + str(int(power)).translate(_SUPERSCRIPT)
    return scale if digit == 1 else f"{digit} × {scale}"


def duration(seconds: float | None) -> str:
    """Write a time in the unit that a person would choose."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms" if seconds >= 1e-3 or seconds == 0 else "<1 ms"
    if seconds < 99.5:
        return f"{number(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(n: float | None) -> str:
    """Write a number of bytes in decimal units."""
    if n is None or not math.isfinite(n):
        return MISSING
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(n) < 1000:
            return f"{number(n, 3)} {unit}"
        n /= 1000
    return f"{number(n, 3)} TB"


def plural(n: int, one: str, many: str) -> str:
    """Write a count with its noun."""
    return f"{count(n)} {one if n == 1 else many}"


def sentence(text: str) -> str:
    """Make a sentence of a phrase: a capital at the start, a full stop at the end."""
    text = text.strip()
    stop = "" if not text or text.endswith((".", "!", "?", ":", "…")) else "."
    return text[:1].upper() + text[1:] + stop


def pixel(x: float) -> str:
    """Write a coordinate of a drawing: to a tenth of a pixel, with no more characters than it needs."""
    return f"{x:.1f}".rstrip("0").rstrip(".")


def name(text: object, limit: int = 80) -> str:
    """Make an id or a label safe to read: one line, nothing invisible, not longer than `limit`.

    Parameters
    ----------
    text : object
        Anything; its ``str`` is taken. It is not escaped here.
    limit : int, default 80
        Characters kept; an ellipsis stands for the rest.

    Returns
    -------
    str
        Control, formatting and surrogate characters are shown as ``�``, so that an id which only looks like
        another is seen to be odd, and none turns the writing direction of what follows.
    """
    written = str(text)
    clipped = written[:limit] + ("…" if len(written) > limit else "")
    if clipped.isascii() and clipped.isprintable():
        return clipped or "(empty)"
    return "".join("�" if unicodedata.category(c) in _INVISIBLE else c for c in clipped)


def path(labels: tuple[str, ...], everyone: str = "everyone") -> str:
    """Write a group's path; the empty path is the whole population."""
    return " › ".join(name(label, 40) for label in labels) or everyone
