"""Messages on their way: recorded sends and receipts, slowed down to be seen (see traffic.py)."""

import math
from collections.abc import Iterator

from glassraft.events import Flight
from glassraft.window.layout import Ring
from glassraft.window.scene import glyphs
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Circle, Layer, Line, Polygon, Shape
from glassraft.window.theme import Theme, mix
from glassraft.window.traffic import BURST_AT, BURST_S, Glide

LANE = 8.0
"""How far a message keeps to the right of the line between two nodes."""

WAITS_AT = 0.97


def shapes(stage: Stage, ring: Ring) -> Iterator[Shape]:
    """Every message that is shown at this moment."""
    now = stage.model.now
    for glide in stage.model.traffic.glides.values():
        share = glide.share(now)
        ends = _ends(ring, glide.flight)
        if share < 0 or ends is None:
            continue
        if glide.burst is None:
            yield from _glyph(stage.theme, glide, *_at(ends, min(share, _furthest(glide))))
        else:
            yield from _burst(stage.theme, glide, ends, (now - glide.burst) / BURST_S)


def _furthest(glide: Glide) -> float:
    """What was not received waits before its receiver; what is lost comes no further than its burst."""
    if glide.flight.received_ts is not None:
        return 1.0
    return WAITS_AT if glide.flight.lost is None else BURST_AT


Ends = tuple[float, float, float, float]


def _ends(ring: Ring, flight: Flight) -> Ends | None:
    """From rim to rim, on the lane of this direction."""
    if flight.src not in ring.centres or flight.dst not in ring.centres or flight.src == flight.dst:
        return None
    (x0, y0), (x1, y1) = ring.centres[flight.src], ring.centres[flight.dst]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    rim = ring.timer_radius + 5
    x, y = -uy * LANE, ux * LANE
    return x0 + ux * rim + x, y0 + uy * rim + y, x1 - ux * rim + x, y1 - uy * rim + y


def _at(ends: Ends, share: float) -> tuple[float, float]:
    return ends[0] + (ends[2] - ends[0]) * share, ends[1] + (ends[3] - ends[1]) * share


def _glyph(theme: Theme, glide: Glide, x: float, y: float) -> tuple[Shape, ...]:
    flight, fields = glide.flight, glide.flight.fields
    key, term = f"m {flight.id}", flight.term
    colour, ink = theme.term(term), theme.on_term(term)
    match flight.kind:
        case "RequestVote":
            return glyphs.vote_request(key, x, y, colour, ink)
        case "RequestVoteReply":
            return glyphs.vote_reply(key, x, y, colour, bool(fields.get("granted")), theme.panel)
        case "AppendEntries":
            if glide.entries:
                return glyphs.append_request(key, x, y, colour, ink, glide.entries)
            return glyphs.heartbeat(key, x, y, colour)
        case "AppendEntriesReply":
            if fields.get("success", True) and not glide.entries:
                return glyphs.heartbeat_reply(key, x, y, colour, theme.panel)
            return glyphs.append_reply(key, x, y, colour, bool(fields.get("success", True)), theme.panel)
        case "InstallSnapshot":
            sent = fields.get("offset", 0) + fields.get("count", 0)
            return glyphs.snapshot_chunk(key, x, y, colour, ink, sent / max(1, fields.get("size", 1)))
        case "InstallSnapshotReply":
            return glyphs.append_reply(key, x, y, colour, True, theme.panel)
        case "TimeoutNow":
            return glyphs.timeout_request(key, x, y, colour, ink)
        case "TimeoutNowReply":
            return glyphs.timeout_reply(key, x, y, colour, theme.panel)
    return (Circle(key, x, y, 4.5, fill=theme.muted, layer=Layer.MESSAGES),)


def _burst(theme: Theme, glide: Glide, ends: Ends, share: float) -> tuple[Shape, ...]:
    """Lost: a cross in a ring that widens and pales, and the way that it had come."""
    x, y = _at(ends, BURST_AT)
    key, colour = f"m {glide.flight.id}", mix(theme.panel, theme.ink, max(0.0, share * 1.5 - 0.5))
    return (
        Line(f"{key} way", ((ends[0], ends[1]), (x, y)), mix(colour, theme.panel, 0.55), 1.5, (4, 4)),
        Circle(f"{key} ring", x, y, 9 + round(5 * share), theme.panel, colour, 1.5, layer=Layer.MESSAGES),
        Polygon(
            f"{key} mark",
            x,
            y,
            glyphs.scaled(glyphs.CROSS, 5),
            fill=colour,
            ground=theme.panel,
            layer=Layer.MESSAGE_TEXT,
        ),
    )
