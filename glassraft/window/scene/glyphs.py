"""Figures that several panels share: crown, chip, message glyphs, marks."""

import math

from glassraft.window.shapes import Circle, Layer, Point, Polygon, Rect, Shape, Text
from glassraft.window.theme import Theme

DIAMOND: tuple[Point, ...] = ((0, -1), (1, 0), (0, 1), (-1, 0))
TRIANGLE: tuple[Point, ...] = ((0, -0.55), (1, 0.6), (-1, 0.6))
CROWN: tuple[Point, ...] = (
    (-1, -0.42),
    (-0.52, 0.1),
    (0, -0.55),
    (0.52, 0.1),
    (1, -0.42),
    (0.93, 0.55),
    (-0.93, 0.55),
)


def scaled(corners: tuple[Point, ...], size: float) -> tuple[Point, ...]:
    """The figure, enlarged."""
    return tuple((x * size, y * size) for x, y in corners)


def _stroke(points: tuple[Point, ...], half: float) -> tuple[Point, ...]:
    """A thick stroke along the points, as the corners of its outline."""
    there: list[Point] = []
    back: list[Point] = []
    for at, (x, y) in enumerate(points):
        before, after = points[max(at - 1, 0)], points[min(at + 1, len(points) - 1)]
        across, along = after[0] - before[0], after[1] - before[1]
        length = math.hypot(across, along) or 1.0
        there.append((x - along / length * half, y + across / length * half))
        back.append((x + along / length * half, y - across / length * half))
    return (*there, *reversed(back))


TICK = _stroke(((-0.62, 0.05), (-0.18, 0.48), (0.62, -0.42)), 0.17)


def _cross(half: float) -> tuple[Point, ...]:
    """An upright cross, turned by an eighth."""
    arm: list[Point] = [(half, half), (0.7, half), (0.7, -half), (half, -half)]
    corners = []
    for turn in range(4):
        angle = -math.pi / 2 * turn + math.pi / 4
        cos, sin = math.cos(angle), math.sin(angle)
        corners += [(x * cos - y * sin, x * sin + y * cos) for x, y in arm[:-1]]
    return tuple(corners)


CROSS = _cross(0.17)


def crown(key: str, x: float, y: float, size: float, colour: str, layer: int = Layer.TOP) -> Polygon:
    """A leader's mark; `size` is half its width."""
    return Polygon(key, x, y, scaled(CROWN, size), fill=colour, layer=layer)


def chip(key: str, x: float, y: float, id: int, term: int, theme: Theme) -> tuple[Shape, Shape]:
    """A node's name on the colour of its term, (x, y) its left middle."""
    return (
        Rect(f"{key} chip", x, y - 10, x + 31, y + 10, fill=theme.tint(term, 0.2), radius=4),
        Text(f"{key} name", x + 15.5, y, f"n{id}", theme.ink, "strong", "center"),
    )


def vote_request(key: str, x: float, y: float, colour: str, ink: str) -> tuple[Shape, ...]:
    """RequestVote: a filled diamond with a question mark."""
    return (
        Polygon(key, x, y, scaled(DIAMOND, 11), fill=colour, layer=Layer.MESSAGES),
        Text(f"{key} text", x, y, "?", ink, "cell", "center", layer=Layer.MESSAGE_TEXT),
    )


def vote_reply(key: str, x: float, y: float, colour: str, granted: bool, ground: str) -> tuple[Shape, ...]:
    """RequestVoteReply: an outlined diamond with a tick or a cross."""
    mark = TICK if granted else CROSS
    return (
        Polygon(key, x, y, scaled(DIAMOND, 11), ground, colour, 2, layer=Layer.MESSAGES),
        Polygon(f"{key} mark", x, y, scaled(mark, 5.5), fill=colour, ground=ground, layer=Layer.MESSAGE_TEXT),
    )


def append_request(key: str, x: float, y: float, colour: str, ink: str, count: int) -> tuple[Shape, ...]:
    """AppendEntries with entries: a filled label with their number."""
    text = f"+{count}"
    half = 15 if len(text) <= 3 else 18
    return (
        Rect(key, x - half, y - 9, x + half, y + 9, fill=colour, radius=4, layer=Layer.MESSAGES),
        Text(f"{key} text", x, y, text, ink, "cell", "center", layer=Layer.MESSAGE_TEXT),
    )


def snapshot_chunk(key: str, x: float, y: float, colour: str, ink: str, share: float) -> tuple[Shape, ...]:
    """InstallSnapshot: a filled box, with how much of the snapshot has been sent with it."""
    return (
        Rect(key, x - 18, y - 11, x + 18, y + 11, fill=colour, layer=Layer.MESSAGES),
        Text(f"{key} text", x, y, f"{share:.0%}", ink, "cell", "center", layer=Layer.MESSAGE_TEXT),
    )


def timeout_request(key: str, x: float, y: float, colour: str, ink: str) -> tuple[Shape, ...]:
    """TimeoutNow: a filled disc with a crown, since the leader offers its own."""
    return (
        Circle(key, x, y, 11, fill=colour, layer=Layer.MESSAGES),
        crown(f"{key} mark", x, y, 6, ink, Layer.MESSAGE_TEXT),
    )


def timeout_reply(key: str, x: float, y: float, colour: str, ground: str) -> tuple[Shape, ...]:
    """The answer to TimeoutNow: a ring with a crown."""
    return (
        Circle(key, x, y, 10, ground, colour, 2, layer=Layer.MESSAGES),
        crown(f"{key} mark", x, y, 5.5, colour, Layer.MESSAGE_TEXT),
    )


def heartbeat(key: str, x: float, y: float, colour: str) -> tuple[Shape, ...]:
    """AppendEntries without entries: a small disc."""
    return (Circle(key, x, y, 4.5, fill=colour, layer=Layer.MESSAGES),)


def heartbeat_reply(key: str, x: float, y: float, colour: str, ground: str) -> tuple[Shape, ...]:
    """The answer to a heartbeat: a small ring."""
    return (Circle(key, x, y, 5.5, ground, colour, 2, layer=Layer.MESSAGES),)


def append_reply(key: str, x: float, y: float, colour: str, success: bool, ground: str) -> tuple[Shape, ...]:
    """The answer to entries: a ring with a tick, or with a cross for a refusal."""
    mark = TICK if success else CROSS
    return (
        Circle(key, x, y, 8.5, ground, colour, 2, layer=Layer.MESSAGES),
        Polygon(f"{key} mark", x, y, scaled(mark, 5), fill=colour, ground=ground, layer=Layer.MESSAGE_TEXT),
    )
