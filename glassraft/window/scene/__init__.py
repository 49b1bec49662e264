"""The scene: what is known and the time, to the shapes of each panel. Pure; no tkinter.

A file a panel; glyphs.py has the figures they share. Each has one function from a `Stage` to a
`Picture`. Next: painters.py, which paints pictures.
"""

from collections.abc import Callable, Mapping

from glassraft.window.scene import cluster, header, logs, strip, tabs
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Picture

PANELS: Mapping[str, Callable[[Stage], Picture]] = {
    "header": header.picture,
    "cluster": cluster.picture,
    "logs": logs.picture,
    "tabs": tabs.picture,
    "time": strip.picture,
}
"""Each panel's drawing, by the panel's name in layout.PANELS."""

__all__ = ["PANELS", "Stage"]
