"""Paints pictures on Tk canvases: keeps one item for each shape's key, and touches only what changed.

Nothing is deleted and drawn again: an item moves, is configured, or is hidden and kept for the
next shape of its kind. Smooth figures come from sprites.py as images. Next: app.py.
"""

import contextlib
import ctypes
import sys
import tkinter
import tkinter.font
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from glassraft.window import sprites
from glassraft.window.shapes import Arc, Circle, Layer, Line, Picture, Polygon, Rect, Shape, Text, fit
from glassraft.window.theme import FAMILIES, FONTS, Font

MAX_IMAGES = 800
_LARGE = 40_000
"""Rectangles of more pixels are not worth an image for their corners' sake."""


def scale_of(root: tkinter.Tk) -> float:
    """How many pixels a logical one is: 1 at about 96 dots an inch, in quarters. macOS scales by itself."""
    if root.tk.call("tk", "windowingsystem") == "aqua":
        return 1.0
    return max(1.0, round(root.winfo_fpixels("1i") / 96 * 4) / 4)


def be_aware_of_scaling() -> None:
    """Windows blurs programs that do not say that they scale themselves."""
    if sys.platform == "win32":
        with contextlib.suppress(AttributeError, OSError):
            ctypes.windll.shcore.SetProcessDpiAwareness(1)


class Fonts:
    """The fonts of one display, and how wide texts are in them."""

    def __init__(self, root: tkinter.Misc, scale: float) -> None:
        self._scale = scale
        installed = set(tkinter.font.families(root))
        self.fonts = {name: _font(root, font, scale, installed) for name, font in FONTS.items()}
        self._widths: dict[tuple[str, str], float] = {}

    def measure(self, text: str, font: str) -> float:
        """The width of a text in logical pixels."""
        key = (text, font)
        width = self._widths.get(key)
        if width is None:
            if len(self._widths) > 8000:
                self._widths.clear()
            width = self._widths[key] = self.fonts[font].measure(text) / self._scale
        return width


def _font(root: tkinter.Misc, font: Font, scale: float, installed: set[str]) -> tkinter.font.Font:
    family = next((name for name in FAMILIES[font.family] if name in installed), FAMILIES[font.family][-1])
    named = {"medium": f"{family} Medium", "semibold": f"{family} SemiBold"}
    spelt = {"semibold": f"{family} Semi Bold"}
    for candidate in (named.get(font.weight), spelt.get(font.weight)):
        if candidate in installed:
            return tkinter.font.Font(root, family=candidate, size=-round(font.size * scale), weight="normal")
    weight: Literal["normal", "bold"] = "bold" if font.weight in ("semibold", "bold") else "normal"
    return tkinter.font.Font(root, family=family, size=-round(font.size * scale), weight=weight)


class Sprites:
    """Images by what they show, made when first needed."""

    def __init__(self, root: tkinter.Misc) -> None:
        self._root = root
        self._images: dict[tuple[object, ...], tuple[tkinter.PhotoImage, int, int]] = {}

    def forget(self) -> None:
        """Most of them were for another size; those still shown are held by their painters."""
        self._images.clear()

    def get(
        self, key: tuple[object, ...], make: Callable[[], tuple[bytes, int, int]]
    ) -> tuple[tkinter.PhotoImage, int, int]:
        """The image of that key and its offset; `make` gives the PNG and the offset."""
        found = self._images.get(key)
        if found is None:
            if len(self._images) >= MAX_IMAGES:
                self.forget()
            data, x, y = make()
            found = self._images[key] = (tkinter.PhotoImage(master=self._root, data=data, format="png"), x, y)
        return found


class Painted(NamedTuple):
    """An item on a canvas and what it shows; holds its image, which Tk does not."""

    shape: Shape
    item: int
    kind: str
    coords: list[float]
    options: dict[str, Any]


class Painter:
    """One panel's canvas."""

    def __init__(
        self, canvas: tkinter.Canvas, fonts: Fonts, images: Sprites, scale: float, ground: str
    ) -> None:
        self.canvas = canvas
        self._ground = ground
        self._all_anew = False
        self._fonts, self._images, self._scale = fonts, images, scale
        self._painted: dict[str, Painted] = {}
        self._spare: dict[tuple[str, int], list[int]] = {}
        self._floors = {
            layer: canvas.create_line(-9, -9, -9, -9, state="hidden")
            for layer in range(Layer.GROUND, Layer.TOP + 2)
        }
        self.touched = 0

    def lies_on(self, ground: str) -> None:
        """From the next picture on, the panel has another colour: every soft edge changes with it."""
        self._ground, self._all_anew = ground, True

    def paint(self, picture: Picture) -> None:
        """Make the canvas show the picture."""
        self.touched = 0
        anew, self._all_anew = self._all_anew, False
        seen = set()
        for shape in picture.shapes:
            seen.add(shape.key)
            painted = self._painted.get(shape.key)
            if painted is None or anew or painted.shape != shape:
                self._paint(shape, painted)
                self.touched += 1
        if len(seen) < len(self._painted):
            for key in [key for key in self._painted if key not in seen]:
                self._hide(self._painted.pop(key))
                self.touched += 1

    def _paint(self, shape: Shape, painted: Painted | None) -> None:
        kind, coords, options = _WAYS[type(shape)](self, shape)
        if painted is not None and (painted.kind, painted.shape.layer) == (kind, shape.layer):
            item = painted.item
            if options != painted.options:
                self.canvas.itemconfigure(item, **options)
            if coords != painted.coords:
                self.canvas.coords(item, *coords)
        else:
            if painted is not None:
                self._hide(painted)
            item = self._item(kind, shape.layer, coords, options)
        self._painted[shape.key] = Painted(shape, item, kind, coords, options)

    def _item(self, kind: str, layer: int, coords: list[float], options: Mapping[str, Any]) -> int:
        spare = self._spare.get((kind, layer))
        if spare:
            item = spare.pop()
            self.canvas.coords(item, *coords)
            self.canvas.itemconfigure(item, state="normal", **options)
            self.canvas.tag_lower(item, self._floors[layer + 1])
            return item
        create: Callable[..., int] = getattr(self.canvas, f"create_{kind}")
        item = create(*coords, **options)
        self.canvas.tag_lower(item, self._floors[layer + 1])
        return item

    def _hide(self, painted: Painted) -> None:
        self.canvas.itemconfigure(painted.item, state="hidden")
        self._spare.setdefault((painted.kind, painted.shape.layer), []).append(painted.item)

    # One way a kind of shape: (kind of item, its coordinates, its options)

    def _circle(self, shape: Circle) -> "Way":
        s, ground = self._scale, shape.ground or self._ground
        plain = replace(shape, key="", x=0, y=0, layer=0)

        def make() -> tuple[bytes, int, int]:
            dash = (shape.dash[0] * s, shape.dash[1] * s) if shape.dash else None
            r, width = shape.r * s, shape.width * s
            return sprites.circle(r, shape.fill, shape.outline, width, ground, dash, shape.hatch), 0, 0

        image, _, _ = self._images.get((plain, ground), make)
        return "image", [round(shape.x * s), round(shape.y * s)], {"image": image, "anchor": "center"}

    def _arc(self, shape: Arc) -> "Way":
        s = self._scale

        def make() -> tuple[bytes, int, int]:
            return sprites.arc(shape.r * s, shape.width * s, shape.share, shape.colour, self._ground), 0, 0

        key = ("arc", shape.r, shape.width, round(shape.share, 4), shape.colour, self._ground)
        options = {"image": self._images.get(key, make)[0], "anchor": "center"}
        return "image", [round(shape.x * s), round(shape.y * s)], options

    def _polygon(self, shape: Polygon) -> "Way":
        s, ground = self._scale, shape.ground or self._ground

        def make() -> tuple[bytes, int, int]:
            corners = [(x * s, y * s) for x, y in shape.corners]
            return sprites.polygon(corners, shape.fill, shape.outline, shape.width * s, ground)

        key = ("polygon", shape.corners, shape.fill, shape.outline, shape.width, ground)
        image, left, top = self._images.get(key, make)
        return (
            "image",
            [round(shape.x * s) - left, round(shape.y * s) - top],
            {"image": image, "anchor": "nw"},
        )

    def _rect(self, shape: Rect) -> "Way":
        s = self._scale
        x0, y0, x1, y1 = (round(value * s) for value in (shape.x0, shape.y0, shape.x1, shape.y1))
        if shape.radius and (x1 - x0) * (y1 - y0) > _LARGE:
            return (
                "polygon",
                _chamfered(x0, y0, x1 - 1, y1 - 1, round(shape.radius * s / 2)),
                {
                    "fill": shape.fill,
                    "outline": shape.outline,
                    "width": round(shape.width * s),
                },
            )
        if shape.radius:
            return self._rounded(shape, x0, y0, x1 - x0, y1 - y0)
        width = round(shape.width * s) if shape.outline else 0
        inside, outside = width // 2, width - width // 2
        options = {"fill": shape.fill, "outline": shape.outline, "width": width}
        return (
            "rectangle",
            [x0 + inside, y0 + inside, x1 - outside, y1 - outside] if width else [x0, y0, x1, y1],
            options,
        )

    def _rounded(self, shape: Rect, x: int, y: int, width: int, height: int) -> "Way":
        s, ground = self._scale, shape.ground or self._ground

        def make() -> tuple[bytes, int, int]:
            line = shape.width * s
            return (
                sprites.rounded(width, height, shape.radius * s, shape.fill, shape.outline, line, ground),
                0,
                0,
            )

        key = ("rounded", width, height, shape.radius, shape.fill, shape.outline, shape.width, ground)
        return "image", [x, y], {"image": self._images.get(key, make)[0], "anchor": "nw"}

    def _line(self, shape: Line) -> "Way":
        s = self._scale
        (x0, y0), (x1, y1) = shape.points[0], shape.points[-1]
        if shape.dash is None and len(shape.points) == 2 and x0 != x1 and y0 != y1:
            return self._slanted(shape, x0 * s, y0 * s, x1 * s, y1 * s)
        coords: list[float] = [round(value * s) for point in shape.points for value in point]
        dash = tuple(round(value * s) for value in shape.dash) if shape.dash else ""
        return "line", coords, {"fill": shape.colour, "width": max(1, round(shape.width * s)), "dash": dash}

    def _slanted(self, shape: Line, x0: float, y0: float, x1: float, y1: float) -> "Way":
        def make() -> tuple[bytes, int, int]:
            return sprites.line(x0, y0, x1, y1, shape.width * self._scale, shape.colour, self._ground)

        key = ("line", x0, y0, x1, y1, shape.width, shape.colour, self._ground)
        image, left, top = self._images.get(key, make)
        return "image", [left, top], {"image": image, "anchor": "nw"}

    def _text(self, shape: Text) -> "Way":
        s, text = self._scale, shape.text
        if shape.max_width is not None:
            text = fit(text, shape.font, shape.max_width, self._fonts.measure)
        options = {
            "text": text,
            "fill": shape.colour,
            "font": self._fonts.fonts[shape.font],
            "anchor": shape.anchor,
        }
        return "text", [round(shape.x * s), round(shape.y * s)], options


def _chamfered(x0: int, y0: int, x1: int, y1: int, cut: int) -> list[float]:
    """A rectangle with its corners cut off."""
    xs = (x0 + cut, x1 - cut, x1, x1, x1 - cut, x0 + cut, x0, x0)
    ys = (y0, y0, y0 + cut, y1 - cut, y1, y1, y1 - cut, y0 + cut)
    return [value for point in zip(xs, ys, strict=True) for value in point]


Way = tuple[str, list[float], dict[str, Any]]

_WAYS: Mapping[type, Callable[[Painter, Any], Way]] = {
    Circle: Painter._circle,
    Arc: Painter._arc,
    Line: Painter._line,
    Rect: Painter._rect,
    Polygon: Painter._polygon,
    Text: Painter._text,
}
