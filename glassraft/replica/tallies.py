"""What a node counts about itself as it turns, for those who watch it. Owned by whoever drives.

Cheap enough for every message: nothing here is written to a log or asked of a clock.
Next: recorder.py and turn.py, which count; metrics.py, which shows it.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

SAVE_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""From a fast disk's sync to one that makes elections likely (150 ms by default)."""


class Histogram:
    """How many values fell up to each bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """The last is of those above all bounds."""
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class Tallies:
    """Since the process began: turns, messages by kind, and how long making entries durable took (seconds)."""

    turns: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    saves: Histogram = field(default_factory=lambda: Histogram(SAVE_BOUNDS_S))
