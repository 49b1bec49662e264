"""The clock of a queue that has no cluster: the system's, or one that a test moves.

A cluster's time comes from its nodes (replica/cluster_clock.py) and cannot be moved.
"""

import time
from collections.abc import Callable

from glassraft.errors import BadArgument


class Clock:
    """The system's clock."""

    runs = True
    """Whether it goes on by itself."""

    def now_ms(self) -> int:
        """UTC, ms."""
        return time.time_ns() // 1_000_000

    def watch(self, moved: Callable[[], None]) -> None:
        """Who is to be told when it is moved; this one never is."""


class ManualClock(Clock):
    """Stands still until it is moved; what comes due by then has happened when `move` returns."""

    runs = False

    def __init__(self, start: float | None = None) -> None:
        """`start`: seconds since the epoch; now if not given."""
        self._now_ms = super().now_ms() if start is None else round(start * 1_000)
        self._watchers: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        """UTC, ms."""
        return self._now_ms

    def move(self, seconds: float) -> None:
        """Let so much time pass at once. BadArgument for less than nothing: a queue's time never goes back."""
        if seconds < 0:
            raise BadArgument(f"a clock can be moved on, not back by {-seconds:g} s")
        self._now_ms += round(seconds * 1_000)
        for moved in self._watchers:
            moved()

    def watch(self, moved: Callable[[], None]) -> None:
        """`moved` is called after each move."""
        self._watchers.append(moved)
