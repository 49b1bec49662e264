"""What a queue allows: whether it is paused, how many of its jobs run at a time, how many start in a while. Pure.

A rate is a token bucket in cluster time, kept in thousandths of a token: a start takes one, and
they come back evenly up to as many as may start in its time. Integers are rounded down, so that
more than the rate never starts. Next: queues.py, where Take asks.
"""

from dataclasses import dataclass, replace
from typing import Final

THOUSANDTHS: Final = 1_000
UNLIMITED: Final = 2**53


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """One queue's settings; None is no limit. `tokens` (thousandths) were there at `tokens_ms`, cluster time."""

    paused: bool = False
    max_running: int | None = None
    starts: int | None = None
    per_ms: int = 1_000
    tokens: int = 0
    tokens_ms: int = 0

    def may_start(self, running: int, now_ms: int) -> int:
        """How many more jobs may be taken now, while so many run."""
        if self.paused:
            return 0
        free = UNLIMITED if self.max_running is None else max(0, self.max_running - running)
        return free if self.starts is None else min(free, self.tokens_at(now_ms) // THOUSANDTHS)

    def tokens_at(self, now_ms: int) -> int:
        """The tokens in the bucket, in thousandths; only where there is a rate."""
        assert self.starts is not None
        full = self.starts * THOUSANDTHS
        return min(full, self.tokens + (now_ms - self.tokens_ms) * full // self.per_ms)

    def token_comes_ms(self, now_ms: int) -> int | None:
        """When the next job may start, cluster time, where the rate allows none now."""
        if self.starts is None or self.tokens_at(now_ms) >= THOUSANDTHS:
            return None
        missing = THOUSANDTHS - self.tokens
        return self.tokens_ms - (-missing * self.per_ms) // (self.starts * THOUSANDTHS)

    def started(self, jobs: int, now_ms: int) -> "QueueSettings":
        """After so many jobs were taken of a queue that has a rate."""
        return replace(self, tokens=self.tokens_at(now_ms) - jobs * THOUSANDTHS, tokens_ms=now_ms)

    def with_rate(self, starts: int | None, per_ms: int, now_ms: int) -> "QueueSettings":
        """With another rate: the bucket is full where there was none, and never holds more than it did."""
        if starts is None:
            return replace(self, starts=None, tokens=0, tokens_ms=now_ms)
        full = starts * THOUSANDTHS
        tokens = full if self.starts is None else min(full, self.tokens_at(now_ms))
        return replace(self, starts=starts, per_ms=per_ms, tokens=tokens, tokens_ms=now_ms)
