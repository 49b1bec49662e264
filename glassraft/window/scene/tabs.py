"""The panel of three tabs: what happened and why, the jobs, one node in full."""

from collections.abc import Callable, Iterator, Mapping

from glassraft.window.layout import Box
from glassraft.window.scene import jobs, node, story
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Layer, Line, Picture, Rect, Shape, Spot, Text
from glassraft.window.view import TABS

BODIES: Mapping[str, Callable[[Stage], Iterator[Shape]]] = {
    "story": story.shapes,
    "jobs": jobs.shapes,
    "node": node.shapes,
}
RULE = 38.5


def picture(stage: Stage) -> Picture:
    """The tabs and the body of the chosen one."""
    theme = stage.theme
    shapes: list[Shape] = [Line("tabs rule", ((1, RULE), (stage.width - 1, RULE)), theme.border)]
    spots = []
    x = 15.0
    for name, words in TABS:
        chosen = stage.view.tab == name
        width = stage.measure(words, "panel")
        over = stage.view.over == ("tab", name)
        colour = theme.ink if chosen or over else theme.muted
        shapes.append(Text(f"tab {name}", x, 21, words, colour, "panel" if chosen else "label"))
        if chosen:
            shapes.append(Rect("tab bar", x, 36, x + width, 38, fill=theme.ink, layer=Layer.TOP))
        width = width if chosen else stage.measure(words, "label")
        spots.append(Spot(("tab", name), Box(x - 8, 4, x + width + 8, 38)))
        x += width + 20
    shapes += BODIES[stage.view.tab](stage)
    return Picture(tuple(shapes), tuple(spots))
