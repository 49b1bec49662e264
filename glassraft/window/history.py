"""What each node was over time: the lanes of the time strip.

A lane is a list of spans in which term, role and standing did not change, and a list of
marks. Only the last KEEP_S seconds are kept. Next: scene/strip.py draws them.
"""

from dataclasses import dataclass
from typing import Literal

KEEP_S = 600.0
MAX_SPANS = 4000

MarkKind = Literal["candidate", "killed", "stopped"]


@dataclass(slots=True)
class Span:
    """From `start` to `end` (wall clock, seconds; None while it lasts) a node was this."""

    serial: int
    start: float
    end: float | None
    term: int
    role: str
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to a node at one moment."""

    serial: int
    ts: float
    kind: MarkKind
    term: int


class Lane:
    """One node's past. Times only rise."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.marks: list[Mark] = []
        self._serial = 0

    @property
    def open(self) -> Span | None:
        """The span that lasts, if the node is there."""
        return self.spans[-1] if self.spans and self.spans[-1].end is None else None

    def is_now(self, ts: float, term: int, role: str, *, paused: bool = False) -> None:
        """From here on the node is this; nothing changes where it was already."""
        span = self.open
        if span is not None:
            if (span.term, span.role, span.paused) == (term, role, paused):
                return
            span.end = max(ts, span.start)
        self.spans.append(Span(self._next(), ts, None, term, role, paused))
        self._forget(ts)

    def ends(self, ts: float, kind: MarkKind) -> None:
        """The node is gone since `ts`."""
        span = self.open
        if span is not None:
            span.end = max(ts, span.start)
            self.mark(span.end, kind, span.term)

    def mark(self, ts: float, kind: MarkKind, term: int) -> None:
        """Remember a moment."""
        self.marks.append(Mark(self._next(), ts, kind, term))

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _forget(self, ts: float) -> None:
        if len(self.spans) > MAX_SPANS or (self.spans[0].end or ts) < ts - KEEP_S:
            self.spans = [span for span in self.spans[-MAX_SPANS:] if (span.end or ts) >= ts - KEEP_S]
            self.marks = [mark for mark in self.marks[-MAX_SPANS:] if mark.ts >= ts - KEEP_S]
