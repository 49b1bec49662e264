"""Simulated time, and each machine's own clocks, which run at different rates and can jump.

Nothing here reads a real clock. Next: node.py, whose clocks these are.
"""

WALL_MS = 1_700_000_000_000
"""What a right wall clock shows when a world begins (UTC, milliseconds)."""


class SimulatedTime:
    """The world's own time (seconds since it began), which nobody in it can read."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


class NodeClock:
    """One machine's monotonic and wall clock. `rate`: the seconds that they show for one of the world's.

    While its process waits for a slow disk, the machine's time goes on: `busy_until` is how far
    (world's seconds) the turn under way has got.
    """

    def __init__(self, time: SimulatedTime, rate: float, wall_offset_ms: int) -> None:
        self._time = time
        self._rate = rate
        self._since = time.now
        self._shown = 0.0
        self._wall_offset_ms = wall_offset_ms
        self.busy_until = 0.0

    @property
    def now(self) -> float:
        """The world's time of what this machine does at this moment."""
        now, busy_until = self._time.now, self.busy_until
        return now if now > busy_until else busy_until

    def monotonic(self) -> float:
        """Seconds that this machine has counted, never back."""
        now, busy_until = self._time.now, self.busy_until
        return self._shown + ((now if now > busy_until else busy_until) - self._since) * self._rate

    def wall_ms(self) -> int:
        """UTC in whole milliseconds, as this machine believes."""
        return int(WALL_MS + self._wall_offset_ms + self.monotonic() * 1000)

    def world_time_of(self, monotonic: float) -> float:
        """When, in the world's time, this machine's monotonic clock shows this, at its present rate."""
        return self._since + (monotonic - self._shown) / self._rate

    def set_rate(self, rate: float) -> None:
        """From now on the clocks run at this rate."""
        self._shown, self._since = self.monotonic(), self.now
        self._rate = rate

    def skip_to(self, monotonic: float) -> None:
        """The machine counts up to this at once, and its wall clock with it; never back."""
        self._shown, self._since = max(self.monotonic(), monotonic), self.now

    def jump_wall(self, by_ms: int) -> None:
        """Somebody, or a time server, sets the wall clock."""
        self._wall_offset_ms += by_ms
