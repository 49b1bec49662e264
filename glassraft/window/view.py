"""What the person at the window has chosen: node, tab, what is pointed at, how far a list is scrolled.

Nothing of the cluster is here, and nothing of tkinter. Next: scene/, which draws by it.
"""

from dataclasses import dataclass, field
from typing import Literal

Tab = Literal["story", "jobs", "node"]
TABS: tuple[tuple[Tab, str], ...] = (("story", "What happened and why"), ("jobs", "Jobs"), ("node", "Node"))

What = tuple[str | int, ...]
"""What a place is, as in shapes.Spot."""

SHIFT_S = 0.4


@dataclass(slots=True)
class LogWindow:
    """The indexes that the log grid shows, the same for every node. It moves in steps, never to and fro."""

    first: int = 1
    moved: float = float("-inf")

    def follow(self, last_index: int, columns: int, now: float) -> int:
        """Keep the end of the longest log in sight, with room for the next; returns the first index shown."""
        fits = self.first <= max(last_index, 1) <= self.first + columns - 1
        if not fits and now - self.moved >= SHIFT_S:
            self.first = max(1, last_index - columns + 1 + columns // 4)
            self.moved = now
        return self.first


@dataclass(slots=True)
class View:
    """The choices, changed by clicks and keys alone."""

    selected: int | None = None
    tab: Tab = "story"
    over: What | None = None
    story_back: int = 0
    """How many sentences the list is scrolled back from the newest."""
    notice: str = ""
    notice_until: float = 0.0
    log_window: LogWindow = field(default_factory=LogWindow)

    def say(self, text: str, now: float, for_s: float = 6.0) -> None:
        """Show a notice for a while."""
        self.notice, self.notice_until = text, now + for_s

    def select(self, node: int | None) -> None:
        """Choose a node, or none."""
        self.selected = node
