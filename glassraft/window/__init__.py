"""The window: a cluster's events drawn, live or from its files.

Pure: model.py (events to what can be drawn), scene/ (that and the time to shapes), layout.py,
theme.py, narrate.py. poller.py asks the nodes, in threads of its own; app.py and painters.py
alone know tkinter. visualizer.py at the top puts a window together.
"""

from glassraft.errors import GlassraftError


class DisplayMissing(GlassraftError):
    """There is no display to open a window on, or Python has no tkinter."""
