"""Which recorded messages are shown on their way, and when: real ones take less than a millisecond.

A message that is shown glides along its lane for GLIDE_S after it was recorded; a reply sets
out when its request has come to the end of its glide. Nothing is invented: where there are too
many to see, some are shown, whole rounds with their replies, and the share is told. Votes are
always shown. Next: scene/messages.py draws them.
"""

from collections import deque
from dataclasses import dataclass

from glassraft.events import Flight

GLIDE_S = 0.65
BURST_AT = 0.82
BURST_S = 0.7
PATIENCE_S = 3.0
"""How long a message that is neither received nor known to be lost waits before its receiver."""

GAP_S = 0.14
"""Two messages on one lane set out so far apart at least, or one would cover the other."""

LATEST_S = GLIDE_S + 0.5
"""What would set out later than so long after it was recorded is not shown."""

_SLOT_S = {"beat": 1.4, "append": 0.8, "lost": 2.0}
_COUNTED_S = 5.0
_MAX_GLIDES = 120


@dataclass(slots=True)
class Glide:
    """One message on its way in the picture: `flight` tells what became of it."""

    flight: Flight
    start: float
    entries: int = 0
    """How many entries it carries; for a reply, how many it answers."""
    burst: float | None = None

    def share(self, now: float) -> float:
        """How much of its way is behind it, 0 to 1; below 0 before it sets out."""
        return min(1.0, (now - self.start) / GLIDE_S)

    def is_over(self, now: float) -> bool:
        """Whether nothing of it is to be seen any more."""
        if self.burst is not None:
            return now >= self.burst + BURST_S
        end = self.start + GLIDE_S
        return now >= end + (0.0 if self.flight.received_ts is not None else PATIENCE_S)


class Traffic:
    """The messages that are shown. Told of every message, in order of time."""

    def __init__(self) -> None:
        self.glides: dict[str, Glide] = {}
        self._slots: dict[tuple[str, int, int], int] = {}
        self._arrivals: dict[tuple[str, int, int, int], tuple[float, int]] = {}
        self._lanes: dict[tuple[int, int], float] = {}
        self._seconds: deque[list[int]] = deque(maxlen=int(_COUNTED_S))

    def sent(self, flight: Flight, now: float) -> None:
        """A message was sent; perhaps it is one of those that are shown."""
        glide = self._reply(flight, now) if flight.kind.endswith("Reply") else self._request(flight, now)
        shown = glide is not None and self._sets_out(glide, now)
        self._count(now, shown)
        if glide is not None and shown and not flight.kind.endswith("Reply"):
            self._arrivals[_round(flight)] = glide.start + GLIDE_S, glide.entries

    def lost(self, flight: Flight, now: float) -> None:
        """A message was lost: that is shown even where its sending was not, now and then."""
        if flight.id not in self.glides and self._is_turn("lost", flight, now):
            self._sets_out(Glide(flight, now, flight.fields.get("count", 0)), now)

    def advance(self, now: float) -> None:
        """Let time pass: what was lost bursts where it was, what is over is forgotten."""
        for glide in self.glides.values():
            if glide.burst is None and glide.flight.lost is not None and glide.share(now) >= BURST_AT:
                glide.burst = now
        for id in [id for id, glide in self.glides.items() if glide.is_over(now)]:
            del self.glides[id]
        if len(self._arrivals) > 2 * _MAX_GLIDES:
            self._arrivals = {key: row for key, row in self._arrivals.items() if row[0] > now - 1}

    def one_in(self, now: float) -> int:
        """Of so many recent messages one was shown; 1 where all were, or nearly."""
        counted = [row for row in self._seconds if row[0] > now - _COUNTED_S - 1]
        shown, total = sum(row[1] for row in counted), sum(row[2] for row in counted)
        return max(1, round(total / shown)) if shown else max(1, total)

    def _sets_out(self, glide: Glide, now: float) -> bool:
        """Put it on its lane behind the one before; False where that would be too late to be true."""
        lane = glide.flight.src, glide.flight.dst
        glide.start = max(glide.start, self._lanes.get(lane, 0.0) + GAP_S)
        if len(self.glides) >= _MAX_GLIDES or glide.start > now + LATEST_S:
            return False
        self._make_way(glide, now)
        self._lanes[lane] = glide.start
        self.glides[glide.flight.id] = glide
        return True

    def _make_way(self, glide: Glide, now: float) -> None:
        """Of messages of one kind that wait before a silent receiver, the latest is enough."""
        new = glide.flight
        for id, each in list(self.glides.items()):
            old = each.flight
            if (old.src, old.dst, old.kind) == (new.src, new.dst, new.kind) and each.share(now) >= 1:
                del self.glides[id]

    def _request(self, flight: Flight, now: float) -> Glide | None:
        """None where it is not the turn of its kind on its link."""
        entries = flight.fields.get("count", 0)
        waits_its_turn = flight.kind == "AppendEntries"
        if waits_its_turn and not self._is_turn("append" if entries else "beat", flight, now):
            return None
        return Glide(flight, now, entries)

    def _reply(self, flight: Flight, now: float) -> Glide | None:
        """None where its request was not shown."""
        arrival = self._arrivals.pop(_round(flight), None)
        return None if arrival is None else Glide(flight, max(now, arrival[0]), arrival[1])

    def _is_turn(self, what: str, flight: Flight, now: float) -> bool:
        """One a link and slot of time; slots are the same for all links, so rounds go out together."""
        slot, key = int(now / _SLOT_S[what]), (what, flight.src, flight.dst)
        if self._slots.get(key) == slot:
            return False
        self._slots[key] = slot
        return True

    def _count(self, now: float, shown: bool) -> None:
        second = int(now)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        self._seconds[-1][1] += shown
        self._seconds[-1][2] += 1


def _round(flight: Flight) -> tuple[str, int, int, int]:
    """What a request and its reply have in common: kind, who asks, who answers, which round."""
    kind = flight.kind.removesuffix("Reply")
    asks, answers = (flight.src, flight.dst) if kind == flight.kind else (flight.dst, flight.src)
    return kind, asks, answers, flight.fields.get("round", 0)
