"""The time strip: a lane a node, coloured by term, full while it leads, with what happened to it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from glassraft.window.history import Lane, Mark, Span
from glassraft.window.layout import Strip, strip
from glassraft.window.scene import glyphs
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Layer, Line, Picture, Polygon, Rect, Shape, Text
from glassraft.window.theme import mix

SPAN_S = 30.0
NOW_AT = 0.96
"""Where in the strip the present is, once so much has passed."""

PALE = 0.28
TICK_PX = 120
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True, slots=True)
class Times:
    """The strip's edges in time and the present (wall clock, seconds), and where a moment is."""

    strip: Strip
    start: float
    end: float
    now: float

    def x(self, time: float) -> float:
        """Where the moment is, kept within the strip."""
        return self.strip.x(time, self.start, self.end)


def picture(stage: Stage) -> Picture:
    """The time strip."""
    ids = stage.model.ids
    times = Times(strip(stage.width, stage.height, len(ids)), *span(stage), stage.model.now)
    shapes: list[Shape] = [Text("title", 20, 22, "Time", stage.theme.ink, "panel")]
    shapes += _status(stage)
    for row, id in enumerate(ids):
        y = times.strip.lane_middle(row)
        there = stage.model.state(id) in ("running", "paused", "stopped")
        shapes.append(
            Text(f"lane {id}", 20, y, f"n{id}", stage.theme.ink if there else stage.theme.faint, "strong")
        )
        shapes += _lane(stage, times, stage.model.lanes.get(id) or Lane(), id, y)
    shapes += _axis(stage, times)
    shapes += _present(stage, times, len(ids))
    return Picture(tuple(shapes))


def span(stage: Stage) -> tuple[float, float]:
    """From when to when the strip shows: half a minute of a live run up to now, all of a recorded one."""
    now, zero = stage.model.now, stage.model.zero
    if not stage.offer.live:
        return min(now - 1.0, now if zero is None else zero), now
    start = now - SPAN_S * NOW_AT
    start = start if zero is None else max(start, min(zero, now))
    return start, start + SPAN_S


def _status(stage: Stage) -> Iterator[Shape]:
    live = stage.offer.live
    words, colour = ("live", stage.theme.live) if live else ("recorded", stage.theme.muted)
    yield Text("live", 66, 22, words, colour, "strong")
    words = f"the last {SPAN_S:.0f} s" if live else "the whole run"
    yield Text("range", stage.width - 24, 22, words, stage.theme.muted, "label", "e")


def _lane(stage: Stage, times: Times, lane: Lane, id: int, y: float) -> Iterator[Shape]:
    for each in lane.spans:
        if each.start <= times.now and (each.end is None or each.end >= times.start):
            yield from _span(stage, times, each, id, y)
    for mark in lane.marks:
        if times.start <= mark.ts <= times.now:
            yield from _mark(stage, times, lane, mark, id, y)


def _span(stage: Stage, times: Times, each: Span, id: int, y: float) -> Iterator[Shape]:
    theme, lanes = stage.theme, times.strip
    x0, x1 = times.x(each.start), times.x(times.now if each.end is None else min(each.end, times.now))
    if x1 - x0 < 0.4:
        return
    half = lanes.lane / 2
    colour = theme.term(each.term) if each.role == "leader" else theme.tint(each.term, PALE)
    key = f"span {id} {each.serial}"
    if not each.paused:
        yield Rect(key, x0, y - half, x1, y + half, fill=colour)
        return
    yield Rect(key, x0, y - half, x1, y + half, theme.panel, mix(colour, theme.muted, 0.6), 1)
    if x1 - x0 > 60 and lanes.pitch >= 12:
        yield Rect(f"{key} mask", x0 + 6, y - 7, x0 + 55, y + 7, fill=theme.panel, layer=Layer.TEXT)
        yield Text(f"{key} word", x0 + 10, y, "paused", theme.muted, "label")


def _mark(stage: Stage, times: Times, lane: Lane, mark: Mark, id: int, y: float) -> Iterator[Shape]:
    theme, x, key = stage.theme, times.x(mark.ts), f"mark {id} {mark.serial}"
    if mark.kind == "candidate":
        size = min(8.0, times.strip.pitch * 0.36)
        yield Polygon(key, x, y, glyphs.scaled(glyphs.DIAMOND, size), theme.term(mark.term), layer=Layer.TOP)
        return
    if x + 14 > times.strip.right:
        return
    size = min(5.5, times.strip.pitch * 0.32)
    yield Polygon(key, x + 8, y, glyphs.scaled(glyphs.CROSS, size), fill=theme.muted, layer=Layer.TOP)
    back = next((each.start for each in lane.spans if each.start > mark.ts), times.now)
    if times.x(back) - x - 22 >= stage.measure(mark.kind, "label"):
        yield Text(f"{key} word", x + 16, y, mark.kind, theme.muted, "label")


def _axis(stage: Stage, times: Times) -> Iterator[Shape]:
    lanes = times.strip
    zero = stage.model.zero if stage.model.zero is not None else times.start
    step = nice_step((times.end - times.start) / max(2.0, (lanes.right - lanes.left) / TICK_PX))
    first, last = math.ceil((times.start - zero) / step), math.floor((times.end - zero) / step)
    for tick in range(max(first, 0), last + 1):
        x, words = times.x(zero + tick * step), seconds(tick * step, step)
        if lanes.left <= x <= lanes.right - 14:
            yield Text(f"tick {tick * step:g}", x, lanes.axis, words, stage.theme.muted, "mono", "center")


def _present(stage: Stage, times: Times, rows: int) -> Iterator[Shape]:
    lanes, ink = times.strip, stage.theme.ink
    x = round(times.x(times.now))
    bottom = lanes.top + rows * lanes.pitch + 2
    yield Line("now", ((x, lanes.top - 4), (x, bottom)), ink, 2, layer=Layer.TOP)
    yield Polygon("now head", x, lanes.top - 5, ((-6, -4), (6, -4), (0, 4)), fill=ink, layer=Layer.TOP)


def nice_step(wanted: float) -> float:
    """The next round length of time (1, 2, 5, 10 s, ... whole minutes) that is not below what is wanted."""
    rounded = next((step for step in STEPS_S if step >= wanted), None)
    return float(rounded if rounded is not None else math.ceil(wanted / 86400) * 86400)


def seconds(value: float, step: float) -> str:
    """A tick's label."""
    return f"{value:.1f} s" if step < 1 else f"{value:,.0f} s"
