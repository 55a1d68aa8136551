"""Every text of the report can be read in light and in dark, by the contrast that WCAG 2 AA asks for."""

import re
from importlib import resources

import pytest

ENOUGH = 4.5
Colour = tuple[float, float, float]


def palettes() -> dict[str, dict[str, Colour]]:
    """The colours that the style sheet declares for light, dark and print."""
    style = resources.files("convergence_jax.report").joinpath("page.html").read_text(encoding="utf-8")
    found: dict[str, dict[str, Colour]] = {}
    roots = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    for scheme, root in zip(("light", "dark", "print"), roots, strict=True):
        named = re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", root)
        found[scheme] = dict(found.get("light", {})) | {key: colour(value) for key, value in named}
    return found


def colour(text: str) -> Colour:
    digits = text[1:] if len(text) == 7 else "".join(c * 2 for c in text[1:])
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def contrast(a: Colour, b: Colour) -> float:
    def luminance(c: Colour) -> float:
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in c]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def over(top: Colour, below: Colour, opacity: float) -> Colour:
    red, green, blue = (opacity * t + (1 - opacity) * b for t, b in zip(top, below, strict=True))
    return red, green, blue


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"),
        ("ink", "panel"),
        ("soft", "paper"),
        ("soft", "panel"),
        ("alarm", "paper"),
        ("alarm", "alarm-soft"),
        ("calm", "paper"),
    ],
)
def test_text_stands_out_from_its_ground(scheme: str, text: str, ground: str) -> None:
    palette = palettes()[scheme]
    assert contrast(palette[text], palette[ground]) >= ENOUGH


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize("sign", ["pos", "neg"])
def test_a_correlation_can_be_read_at_every_strength(scheme: str, sign: str) -> None:
    palette = palettes()[scheme]
    for percent in range(101):
        ground = over(palette[f"{sign}-soft"], palette["panel"], percent / 100)
        assert contrast(palette["ink"], ground) >= ENOUGH, percent


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_the_badge_of_the_clear_can_be_read(scheme: str) -> None:
    palette = palettes()[scheme]
    assert contrast(palette["good"], palette["paper"]) >= ENOUGH


ENOUGH_FOR_A_SHAPE = 3.0


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize("shape", ["alarm", "calm", "ink", "soft"])
def test_what_a_figure_of_the_consensus_report_tells_stands_out(scheme: str, shape: str) -> None:
    palette = palettes()[scheme]
    assert contrast(palette[shape], palette["paper"]) >= ENOUGH_FOR_A_SHAPE
