"""Where everything is: the window's five panels, and the places within the two that have a geometry.

Only arithmetic, in logical pixels. Sizes come from the wish for 1360 x 860 and shrink in
proportion down to MINIMUM. Next: scene/, which fills the panels.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

WISHED = (1360, 860)
MINIMUM = (1024, 640)

MARGIN = 16
GAP = 11
HEADER = 56

MAX_COLUMNS = 20


class Box(NamedTuple):
    """A rectangle by two corners."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.y1 - self.y0

    def holds(self, x: float, y: float) -> bool:
        """Whether the point lies within."""
        return self.x0 <= x < self.x1 and self.y0 <= y < self.y1


PANELS = ("header", "cluster", "logs", "tabs", "time")


def panels(width: float, height: float, nodes: int) -> dict[str, Box]:
    """The five panels of a window of that size, by name, for that many nodes."""
    width, height = max(width, MINIMUM[0]), max(height, MINIMUM[1])
    right, bottom = width - MARGIN, height - MARGIN
    time_top = bottom - min(72 + 27 * max(nodes, 2), max(150, round(height * 0.24)))
    split = MARGIN + round((right - MARGIN - GAP) * 0.532)
    main_bottom = time_top - GAP
    main_height = main_bottom - HEADER
    logs_bottom = HEADER + min(76 + 42 * max(nodes, 2), round(main_height * (0.5 if nodes <= 5 else 0.54)))
    return {
        "header": Box(0, 0, width, HEADER),
        "cluster": Box(MARGIN, HEADER, split, main_bottom),
        "logs": Box(split + GAP, HEADER, right, logs_bottom),
        "tabs": Box(split + GAP, logs_bottom + GAP, right, main_bottom),
        "time": Box(MARGIN, time_top, right, bottom),
    }


@dataclass(frozen=True, slots=True)
class Ring:
    """The nodes' places in the cluster panel: node 1 at 12 o'clock, then clockwise, for ever the same."""

    centres: dict[int, tuple[float, float]]
    node_radius: float

    @property
    def timer_radius(self) -> float:
        """Of the election timer's arc, and of a leader's second ring."""
        return self.node_radius + max(6.0, self.node_radius * 0.18)

    @property
    def caption_drop(self) -> float:
        """From a node's centre down to the middle of its caption."""
        return self.timer_radius + 14

    @property
    def small(self) -> bool:
        """Whether the nodes are too small for the usual fonts."""
        return self.node_radius < 34


def ring(width: float, height: float, ids: tuple[int, ...]) -> Ring:
    """The places of these nodes in a cluster panel of that size."""
    count = max(len(ids), 1)
    top, bottom = 40.0, height - 44.0  # the title; the legend
    shares = [
        (-math.cos(2 * math.pi * at / count), math.sin(2 * math.pi * at / count)) for at in range(count)
    ]
    highest, lowest = min(share[0] for share in shares), max(share[0] for share in shares)
    room = bottom - top
    node = max(22.0, min(43.0, room * 0.088, 340.0 / count))
    reach = node + max(6.0, node * 0.18)
    above, below = reach + 14, reach + 24  # a crown; a caption
    spread = max(lowest - highest, 0.001)
    vertical = max(20.0, (room - above - below) / spread) if count > 1 else 0.0
    horizontal_room = width / 2 - reach - 34
    vertical = min(vertical, 230.0, horizontal_room)
    horizontal = min(horizontal_room, vertical * (1.0 if count <= 5 else 1.6))
    used = vertical * spread + above + below if count > 1 else above + below
    centre_y = top + (room - used) / 2 + above - vertical * highest
    return Ring(
        {
            id: (width / 2 + horizontal * across, centre_y + vertical * down)
            for id, (down, across) in zip(ids, shares, strict=False)
        },
        node,
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """The log grid: a row a node, a column an index."""

    left: float
    top: float
    pitch: float
    cell: float
    columns: int

    @property
    def step(self) -> float:
        """From one column to the next."""
        return self.cell + 2

    def column(self, at: int) -> float:
        """The left edge of a column."""
        return self.left + at * self.step

    def row(self, at: int) -> float:
        """The upper edge of a row's cells."""
        return self.top + at * self.pitch


def grid(width: float, height: float, rows: int) -> Grid:
    """The log grid of a panel of that size with so many nodes."""
    top, bottom = 49.0, height - 32.0
    pitch = min(42.0, (bottom - top) / max(rows, 1))
    cell = float(int(max(11.0, min(28.0, pitch * 0.7))))
    left = 73.0
    columns = int((width - left - 44) / (cell + 2))
    return Grid(left, top, pitch, cell, max(4, min(MAX_COLUMNS, columns)))


@dataclass(frozen=True, slots=True)
class Strip:
    """The time strip: a lane a node between two edges in time."""

    left: float
    right: float
    top: float
    pitch: float
    lane: float
    axis: float

    def lane_middle(self, row: int) -> float:
        """The height of a lane's middle."""
        return self.top + row * self.pitch + self.pitch / 2

    def x(self, time: float, start: float, end: float) -> float:
        """Where a moment is, kept within the strip."""
        share = (time - start) / max(end - start, 1e-9)
        return self.left + (self.right - self.left) * min(1.0, max(0.0, share))


def strip(width: float, height: float, rows: int) -> Strip:
    """The time strip of a panel of that size with so many nodes."""
    top, axis = 42.0, height - 13.0
    pitch = min(27.0, (axis - 14 - top) / max(rows, 1))
    lane = max(5.0, min(10.0, pitch * 0.45))
    return Strip(80.0, width - 24.0, top, pitch, lane, axis)
