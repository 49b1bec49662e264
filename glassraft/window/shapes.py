"""What a scene is made of: frozen shapes with stable keys, in logical pixels of one panel.

A painter keeps one item for each key, so a shape that moves or changes must keep its key.
Nothing here draws. Next: scene/ makes shapes, painters.py paints them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from glassraft.window.layout import Box

Measure = Callable[[str, str], float]
"""(text, name of a font) -> its width in logical pixels."""

Point = tuple[float, float]


class Layer:
    """What lies over what."""

    GROUND, LINKS, MASKS, NODES, TEXT, MESSAGES, MESSAGE_TEXT, TOP = range(8)


@dataclass(frozen=True, slots=True)
class Circle:
    """A disc, a ring or both; `dash` is (on, off) along the ring. `ground` is the colour that it lies on."""

    key: str
    x: float
    y: float
    r: float
    fill: str = ""
    outline: str = ""
    width: float = 0
    dash: tuple[float, float] | None = None
    hatch: str = ""
    ground: str = ""
    layer: int = Layer.NODES


@dataclass(frozen=True, slots=True)
class Arc:
    """A part of a ring, `share` (0 to 1) of it, clockwise from 12 o'clock."""

    key: str
    x: float
    y: float
    r: float
    share: float
    colour: str
    width: float
    layer: int = Layer.NODES


@dataclass(frozen=True, slots=True)
class Line:
    """Straight strokes from point to point."""

    key: str
    points: tuple[Point, ...]
    colour: str
    width: float = 1
    dash: tuple[int, int] | None = None
    layer: int = Layer.LINKS


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle between two corners, its corners rounded by `radius`."""

    key: str
    x0: float
    y0: float
    x1: float
    y1: float
    fill: str = ""
    outline: str = ""
    width: float = 0
    radius: float = 0
    ground: str = ""
    layer: int = Layer.NODES


@dataclass(frozen=True, slots=True)
class Polygon:
    """A closed figure, its corners relative to (x, y), so that it moves without changing."""

    key: str
    x: float
    y: float
    corners: tuple[Point, ...]
    fill: str = ""
    outline: str = ""
    width: float = 0
    ground: str = ""
    layer: int = Layer.NODES


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; beyond `max_width` it ends in "…". `anchor` is a compass point or "center"."""

    key: str
    x: float
    y: float
    text: str
    colour: str
    font: str = "body"
    anchor: Literal["w", "e", "center", "n", "s"] = "w"
    max_width: float | None = None
    layer: int = Layer.TEXT


Shape = Circle | Arc | Line | Rect | Polygon | Text


class Spot(NamedTuple):
    """A place that can be pointed at: what it is, for example ("node", 3), and where."""

    what: tuple[str | int, ...]
    box: Box


class Picture(NamedTuple):
    """One panel at one moment: its shapes, lowest first within a layer, and its places."""

    shapes: tuple[Shape, ...]
    spots: tuple[Spot, ...] = ()


def fit(text: str, font: str, width: float, measure: Measure) -> str:
    """The text, or as much of it as fits into the width, ending in "…"."""
    if measure(text, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle].rstrip() + "…", font) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""
