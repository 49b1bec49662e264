"""Colours, fonts and the colours of terms: how the window looks, and nothing about what it shows.

A term decides a colour, so no other meaning may use one of those hues; red is for a broken
property alone. Sizes are in logical pixels: the painters scale them. Next: shapes.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

TERM_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#6A51A3")
"""By term, in turn; told apart by the colour-blind. Term 7 equals term 1: the number is written too."""

_PALE_TERMS = frozenset(("#E69F00", "#56B4E9"))  # white text on these is below 3:1


@dataclass(frozen=True, slots=True)
class Font:
    """A kind of text: "sans" or "mono", its height in logical pixels, and its weight."""

    family: str
    size: int
    weight: str = "normal"


FONTS: Mapping[str, Font] = {
    "brand": Font("sans", 19, "semibold"),
    "panel": Font("sans", 13, "semibold"),
    "node": Font("sans", 20, "semibold"),
    "node small": Font("sans", 15, "semibold"),
    "term": Font("mono", 12, "medium"),
    "term small": Font("mono", 10, "medium"),
    "label": Font("sans", 12, "medium"),
    "body": Font("sans", 12, "medium"),
    "strong": Font("sans", 12, "semibold"),
    "value": Font("mono", 13, "semibold"),
    "mono": Font("mono", 11),
    "cell": Font("mono", 11, "semibold"),
    "tiny": Font("mono", 9, "semibold"),
    "count": Font("mono", 20, "semibold"),
}

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "sans": ("Inter", "Segoe UI", "SF Pro Text", "Helvetica Neue", "Noto Sans", "DejaVu Sans"),
    "mono": ("JetBrains Mono", "Cascadia Mono", "Consolas", "SF Mono", "Menlo", "DejaVu Sans Mono"),
}
"""The first that is installed is used."""


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colours, each named for what it is used for."""

    name: str
    window: str
    panel: str
    border: str
    ink: str
    muted: str
    faint: str
    link: str
    timer: str
    dead_fill: str
    dead_line: str
    halo: str
    button: str
    button_over: str
    button_text: str
    live: str

    def term(self, term: int) -> str:
        """The colour of a term; grey before the first."""
        return TERM_COLOURS[(term - 1) % len(TERM_COLOURS)] if term > 0 else self.faint

    def tint(self, term: int, share: float) -> str:
        """A term's colour laid thinly over the panel: `share` from 0 (panel) to 1 (the full colour)."""
        return mix(self.term(term), self.panel, share)

    def on_term(self, term: int) -> str:
        """The colour of text upon a term's full colour."""
        colour = self.term(term)
        return mix(colour, "#000000", 0.32) if colour in _PALE_TERMS else "#FFFFFF"

    def term_text(self, term: int) -> str:
        """A term's colour, dark (or light) enough to be read as text upon its own tint."""
        return mix(self.term(term), self.ink, 0.72)


LIGHT = Theme(
    name="light",
    window="#F5F6F8",
    panel="#FFFFFF",
    border="#DDE2E8",
    ink="#1B2430",
    muted="#66727F",
    faint="#9AA4AF",
    link="#E6E9ED",
    timer="#8593A3",
    dead_fill="#ECEFF2",
    dead_line="#AEB7C1",
    halo="#EDF1F5",
    button="#1B2430",
    button_over="#344153",
    button_text="#FFFFFF",
    live="#0B6B4F",
)

DARK = Theme(
    name="dark",
    window="#12161C",
    panel="#1A2029",
    border="#2B3440",
    ink="#E8ECF1",
    muted="#9AA6B4",
    faint="#68747F",
    link="#2A323D",
    timer="#7C8A9A",
    dead_fill="#252C36",
    dead_line="#566270",
    halo="#242D38",
    button="#E8ECF1",
    button_over="#FFFFFF",
    button_text="#12161C",
    live="#5CC9A7",
)

THEMES: Mapping[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK)}


@cache
def mix(colour: str, other: str, share: float) -> str:
    """`share` of the one colour (0 to 1) and the rest of the other, both "#RRGGBB"."""
    pairs = ((int(colour[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02X}" for a, b in pairs)
