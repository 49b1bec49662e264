"""The list of keys, laid over the window."""

from collections.abc import Sequence

from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Picture, Rect, Shape, Text

ROW = 25.0
WIDTH = 400.0


def height(rows: int) -> float:
    """How high the list is."""
    return 62 + rows * ROW


def picture(stage: Stage, keys: Sequence[tuple[str, str]]) -> Picture:
    """Every key with what it does."""
    shapes: list[Shape] = [Text("title", 22, 26, "Keys", stage.theme.ink, "panel")]
    for row, (key, words) in enumerate(keys):
        y = 60 + row * ROW
        width = max(26.0, stage.measure(key, "mono") + 14)
        shapes.append(Rect(f"key {row} cap", 22, y - 10, 22 + width, y + 10, stage.theme.halo, radius=4))
        shapes.append(Text(f"key {row}", 22 + width / 2, y, key, stage.theme.ink, "mono", "center"))
        shapes.append(Text(f"key {row} words", 96, y, words, stage.theme.ink, "body"))
    return Picture(tuple(shapes))
