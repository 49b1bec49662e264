"""Smooth figures: discs, rings, arcs, lines and polygons with soft edges, as PNG images.

Tk draws its own figures with hard steps on X11 and Windows. These are worked out here, pixel by
pixel, against the colour that they lie on, so that each pixel is either opaque or not there:
Tk copies such images quickly, where real transparency would cost a round trip each. Pure; in
pixels of the screen. Next: painters.py, which keeps them.
"""

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache

Point = tuple[float, float]
Colour = tuple[int, int, int]


class Raster:
    """A small picture being worked out: coverage upon coverage over one ground colour."""

    def __init__(self, width: int, height: int, ground: str) -> None:
        self.width, self.height = width, height
        self._ground = rgb(ground)
        self._pixels: list[bytearray] = [bytearray(width * 4) for _ in range(height)]

    def lay(self, x: int, y: int, colour: Colour, cover: float) -> None:
        """Cover a part of one pixel (0 to 1) with a colour."""
        if cover <= 0.004 or not (0 <= x < self.width and 0 <= y < self.height):
            return
        row, at = self._pixels[y], x * 4
        below = row[at : at + 3] if row[at + 3] else self._ground
        cover = min(cover, 1.0)
        row[at] = round(below[0] + (colour[0] - below[0]) * cover)
        row[at + 1] = round(below[1] + (colour[1] - below[1]) * cover)
        row[at + 2] = round(below[2] + (colour[2] - below[2]) * cover)
        row[at + 3] = 255

    def run(self, x0: int, x1: int, y: int, colour: Colour) -> None:
        """Fill whole pixels from x0 up to, not including, x1."""
        x0, x1 = max(0, x0), min(self.width, x1)
        if x1 > x0 and 0 <= y < self.height:
            self._pixels[y][x0 * 4 : x1 * 4] = bytes((*colour, 255)) * (x1 - x0)

    def png(self) -> bytes:
        """The picture in PNG."""
        raw = b"".join(b"\0" + row for row in self._pixels)
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 6, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(raw, 1))
            + _chunk(b"IEND", b"")
        )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@cache
def rgb(colour: str) -> Colour:
    """The three parts of "#RRGGBB"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def circle(
    r: float,
    fill: str,
    outline: str,
    width: float,
    ground: str,
    dash: tuple[float, float] | None = None,
    hatch: str = "",
) -> bytes:
    """A disc with a ring of that width centred on its edge; the image is `circle_size` wide and high."""
    size = circle_size(r, width)
    raster, middle = Raster(size, size, ground), size / 2
    inner = r - width / 2 if outline else r
    if fill:
        _disc(raster, middle, inner + (0.5 if outline else 0.0), rgb(fill))
        if hatch:
            _hatch(raster, middle, inner, rgb(hatch))
    if outline:
        _ring(raster, middle, r, width, rgb(outline), _dashes(r, dash))
    return raster.png()


def circle_size(r: float, width: float) -> int:
    """The side of a circle's image: even, so that its middle lies between two pixels."""
    return 2 * math.ceil(r + width / 2 + 1)


def _disc(raster: Raster, middle: float, r: float, colour: Colour) -> None:
    for y in range(raster.height):
        dy = y + 0.5 - middle
        if abs(dy) > r + 1:
            continue
        whole = math.sqrt(max(0.0, (r - 1) ** 2 - dy * dy)) if abs(dy) < r - 1 else 0.0
        left, right = math.ceil(middle - whole), math.floor(middle + whole)
        if whole > 0:
            raster.run(left, right, y, colour)
        else:
            left = right = round(middle)
        edge = math.ceil(math.sqrt(max(0.0, (r + 1) ** 2 - dy * dy)))
        for x in (*range(int(middle) - edge, left), *range(right, int(middle) + edge)):
            raster.lay(x, y, colour, r - math.hypot(x + 0.5 - middle, dy) + 0.5)


def _hatch(raster: Raster, middle: float, r: float, colour: Colour) -> None:
    """Slanted lines within a disc, every eight pixels."""
    for y in range(raster.height):
        for x in range(raster.width):
            dx, dy = x + 0.5 - middle, y + 0.5 - middle
            inside = r - math.hypot(dx, dy) + 0.5
            if inside > 0:
                off = abs((dx + dy) / math.sqrt(2) % 7.0 - 3.5)
                raster.lay(x, y, colour, min(1.0, inside) * min(1.0, max(0.0, 1.35 - off)))


Along = Callable[[float], float]
"""How much of a ring is drawn at an angle (radians clockwise from 12 o'clock), 0 to 1."""


def _dashes(r: float, dash: tuple[float, float] | None) -> Along | None:
    if dash is None:
        return None
    around = 2 * math.pi * r
    count = max(4, round(around / (dash[0] + dash[1])))
    period, on = around / count, around / count * dash[0] / (dash[0] + dash[1])

    def along(angle: float) -> float:
        at = angle * r % period
        return min(1.0, max(0.0, min(at, on - at) + 0.5)) if at < on + 0.5 else max(0.0, at - period + 0.5)

    return along


def _ring(raster: Raster, middle: float, r: float, width: float, colour: Colour, along: Along | None) -> None:
    half = width / 2
    for x, y, cover, angle in _ring_pixels(raster.width, middle, r, half):
        raster.lay(x, y, colour, cover if along is None else cover * along(angle))


@cache
def _ring_pixels(
    size: int, middle: float, r: float, half: float
) -> tuple[tuple[int, int, float, float], ...]:
    """(x, y, coverage, angle) of every pixel that a ring touches."""
    found = []
    outer, inner = r + half + 1, max(0.0, r - half - 1)
    for y in range(size):
        dy = y + 0.5 - middle
        if abs(dy) > outer:
            continue
        reach = math.ceil(math.sqrt(outer**2 - dy * dy))
        hole = int(math.sqrt(inner**2 - dy * dy)) - 1 if abs(dy) < inner else -1
        for x in range(int(middle) - reach, int(middle) + reach + 1):
            dx = x + 0.5 - middle
            if abs(dx) < hole:
                continue
            cover = half - abs(math.hypot(dx, dy) - r) + 0.5
            if cover > 0:
                found.append((x, y, min(1.0, cover), math.atan2(dx, -dy) % (2 * math.pi)))
    return tuple(found)


def arc(r: float, width: float, share: float, colour: str, ground: str) -> bytes:
    """`share` of a ring, clockwise from 12 o'clock; the image is `circle_size` wide and high."""
    size = circle_size(r, width)
    raster, end = Raster(size, size, ground), share * 2 * math.pi
    ink = rgb(colour)
    for x, y, cover, angle in _ring_pixels(size, size / 2, r, width / 2):
        if share >= 1:
            raster.lay(x, y, ink, cover)
        elif angle * r < end * r + 0.5:
            raster.lay(x, y, ink, cover * min(1.0, (end - angle) * r + 0.5))
    return raster.png()


def polygon(
    corners: Sequence[Point], fill: str, outline: str, width: float, ground: str
) -> tuple[bytes, int, int]:
    """A closed figure with its outline inside the edge: the image, and where its origin lies in it."""
    left, top = math.floor(min(x for x, _ in corners)) - 1, math.floor(min(y for _, y in corners)) - 1
    right, bottom = math.ceil(max(x for x, _ in corners)) + 1, math.ceil(max(y for _, y in corners)) + 1
    raster = Raster(right - left, bottom - top, ground)
    moved = [(x - left, y - top) for x, y in corners]
    if outline:
        _fill(raster, moved, rgb(outline))
        moved = _shrunk(moved, width)
    if fill:
        _fill(raster, moved, rgb(fill))
    return raster.png(), -left, -top


def _shrunk(corners: Sequence[Point], width: float) -> list[Point]:
    """A convex figure drawn in on all sides, towards its middle."""
    mx, my = sum(x for x, _ in corners) / len(corners), sum(y for _, y in corners) / len(corners)
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
    nearest = min(
        abs((x1 - x0) * (y0 - my) - (x0 - mx) * (y1 - y0)) / math.hypot(x1 - x0, y1 - y0)
        for (x0, y0), (x1, y1) in pairs
    )
    keep = max(0.0, 1 - width / nearest)
    return [(mx + (x - mx) * keep, my + (y - my) * keep) for x, y in corners]


_LINES = 5
"""Scan lines a pixel; along a line the coverage is exact."""


def _fill(raster: Raster, corners: Sequence[Point], colour: Colour) -> None:
    edges = [(a, b) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True) if a[1] != b[1]]
    for y in range(raster.height):
        cover = [0.0] * raster.width
        for line in range(_LINES):
            at = y + (line + 0.5) / _LINES
            cuts = sorted(
                x0 + (at - y0) * (x1 - x0) / (y1 - y0)
                for (x0, y0), (x1, y1) in edges
                if min(y0, y1) <= at < max(y0, y1)
            )
            for start, end in zip(cuts[::2], cuts[1::2], strict=False):
                for x in range(max(0, int(start)), min(raster.width, math.ceil(end))):
                    cover[x] += max(0.0, min(end, x + 1) - max(start, x)) / _LINES
        for x, part in enumerate(cover):
            raster.lay(x, y, colour, part)


def rounded(
    width: int, height: int, radius: float, fill: str, outline: str, line: float, ground: str
) -> bytes:
    """A rectangle with rounded corners, its outline inside the edge."""
    raster = Raster(width, height, ground)
    if outline:
        _rounded(raster, 0.0, radius, rgb(outline))
        _rounded(raster, line, max(0.0, radius - line), rgb(fill or ground))
    elif fill:
        _rounded(raster, 0.0, radius, rgb(fill))
    return raster.png()


def _rounded(raster: Raster, inset: float, radius: float, colour: Colour) -> None:
    left, top, right, bottom = inset, inset, raster.width - inset, raster.height - inset
    for y in range(raster.height):
        cy = min(max(y + 0.5, top + radius), bottom - radius)
        dy = y + 0.5 - cy
        edge = min(1.0, y + 1 - top, bottom - y) if radius == 0 else 1.0
        whole0, whole1 = math.ceil(left + radius), math.floor(right - radius)
        if dy == 0 or radius == 0:
            whole0, whole1 = math.ceil(left), math.floor(right)
        middle = min(edge, radius - abs(dy) + 0.5) if radius else edge
        if middle >= 1:
            raster.run(whole0, whole1, y, colour)
        else:
            for x in range(whole0, whole1):
                raster.lay(x, y, colour, middle)
        for x in (*range(int(left), whole0), *range(whole1, math.ceil(right))):
            dx = x + 0.5 - min(max(x + 0.5, left + radius), right - radius)
            raster.lay(x, y, colour, radius - math.hypot(dx, dy) + 0.5)


def line(
    x0: float, y0: float, x1: float, y1: float, width: float, colour: str, ground: str
) -> tuple[bytes, int, int]:
    """A straight stroke: the image, and where its upper left corner lies."""
    half = width / 2
    left, top = math.floor(min(x0, x1) - half - 1), math.floor(min(y0, y1) - half - 1)
    raster = Raster(math.ceil(max(x0, x1) + half + 1) - left, math.ceil(max(y0, y1) + half + 1) - top, ground)
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    ux, uy, ink = (x1 - x0) / length, (y1 - y0) / length, rgb(colour)
    for y in range(raster.height):
        dy = y + top + 0.5 - y0
        if abs(uy) < 0.01:
            columns = range(raster.width)
        else:  # where the stroke crosses this row
            middle, reach = x0 + dy * ux / uy - left, (half + 1) / abs(uy) + 1
            columns = range(max(0, int(middle - reach)), min(raster.width, int(middle + reach) + 1))
        for x in columns:
            dx = x + left + 0.5 - x0
            along = dx * ux + dy * uy
            cover = half - abs(dx * uy - dy * ux) + 0.5
            raster.lay(x, y, ink, min(cover, 1.0) * min(1.0, max(0.0, min(along, length - along) + 0.5)))
    return raster.png(), left, top
