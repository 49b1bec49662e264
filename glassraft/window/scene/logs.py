"""The log grid: a row a node, a column an index; filled when that node has committed it, else outlined."""

import math
from collections.abc import Iterator

from glassraft.events import NodeFold
from glassraft.window.layout import Box, Grid, grid
from glassraft.window.scene import glyphs
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Layer, Picture, Polygon, Rect, Shape, Spot, Text
from glassraft.window.theme import mix

HINTS = ("hover an entry to read its command", "hover to read an entry")

FADED = 0.42
"""How much is left of the colours of a node that does not run."""


def picture(stage: Stage) -> Picture:
    """The Logs panel."""
    ids = stage.model.ids
    cells = grid(stage.width, stage.height, len(ids))
    last = max((stage.model.node(id).last_index for id in ids), default=0)
    first = stage.view.log_window.follow(last, cells.columns, stage.moment)
    shapes: list[Shape] = [Text("title", 15, 20, "Logs", stage.theme.ink, "panel")]
    spots: list[Spot] = []
    shapes += _indexes(stage, cells, first, last)
    for row, id in enumerate(ids):
        shapes += _row(stage, cells, row, id, first)
        spots += _spots(stage.model.node(id), cells, row, first)
    shapes += _next_indexes(stage, cells, first)
    shapes += _legend(stage)
    return Picture(tuple(shapes), tuple(spots))


def _indexes(stage: Stage, cells: Grid, first: int, last: int) -> Iterator[Shape]:
    width = stage.measure(str(first + cells.columns), "mono") + 5
    every = math.ceil(width / cells.step)
    for at in range(cells.columns):
        index = first + at
        if index > max(last, cells.columns) or index % every:
            continue
        yield Text(
            f"index {at}",
            cells.column(at) + cells.cell / 2,
            cells.top - 11,
            str(index),
            stage.theme.muted,
            "mono",
            "center",
        )


def _row(stage: Stage, cells: Grid, row: int, id: int, first: int) -> Iterator[Shape]:
    model, theme, node = stage.model, stage.theme, stage.model.node(id)
    runs = model.state(id) in ("running", "paused", "stopped")
    y, key = cells.row(row), f"row {id}"
    middle = y + cells.cell / 2
    colour = theme.ink if runs else theme.faint
    yield Text(f"{key} name", 21, middle, f"n{id}", colour, "panel")
    if node.role == "leader" and model.runs(id):
        size = min(9.0, cells.cell * 0.45)
        yield glyphs.crown(f"{key} crown", 59, middle, size, theme.term(node.term), Layer.NODES)
    for at in range(cells.columns):
        term = node.term_at(first + at)
        if term:
            yield from _cell(
                stage,
                cells,
                f"{key} {at}",
                (cells.column(at), y),
                term,
                first + at <= node.commit_index,
                runs,
            )
    yield from _compacted(stage, cells, f"{key} compacted", y, node.first_log_index - first)
    if 0 < node.last_index < first:
        yield Text(f"{key} ends", cells.left, middle, f"ends at {node.last_index:,}", theme.faint, "label")
    beyond = node.last_index - (first + cells.columns - 1)
    if beyond > 0:
        x = cells.column(cells.columns) + 3
        yield Text(
            f"{key} beyond", x, middle, f"+{beyond:,}", theme.muted, "mono", max_width=stage.width - x - 4
        )


def _compacted(stage: Stage, cells: Grid, key: str, y: float, columns: int) -> Iterator[Shape]:
    """Where the log has forgotten its entries: a bar in their place, as far as it is in sight."""
    if columns <= 0:
        return
    theme, middle = stage.theme, y + cells.cell / 2
    left, right = cells.left, cells.column(min(columns, cells.columns) - 1) + cells.cell
    yield Rect(key, left, middle - 2, right, middle + 2, fill=mix(theme.muted, theme.panel, 0.4))


def _cell(
    stage: Stage, cells: Grid, key: str, corner: tuple[float, float], term: int, committed: bool, runs: bool
) -> Iterator[Shape]:
    theme, (x, y) = stage.theme, corner
    share = 1.0 if runs else FADED
    colour = mix(theme.term(term), theme.panel, share)
    font = "cell" if cells.cell >= 16 else "tiny"
    over = stage.view.over
    if committed:
        fill = mix(colour, theme.panel, 0.87)
        ink = theme.on_term(term) if runs else mix(theme.on_term(term), fill, 0.8)
        yield Rect(key, x, y, x + cells.cell, y + cells.cell, fill=fill)
    else:
        fill, ink = mix(colour, theme.panel, 0.14), mix(theme.term_text(term), theme.panel, share)
        yield Rect(key, x, y, x + cells.cell, y + cells.cell, fill=fill, outline=colour, width=2)
    yield Text(f"{key} term", x + cells.cell / 2, y + cells.cell / 2, str(term), ink, font, "center")
    if over is not None and over[0] == "cell" and key == f"row {over[1]} {over[3]}":
        yield Rect(
            "over",
            x - 1,
            y - 1,
            x + cells.cell + 1,
            y + cells.cell + 1,
            outline=theme.ink,
            width=2,
            layer=Layer.TOP,
        )


def _spots(node: NodeFold, cells: Grid, row: int, first: int) -> Iterator[Spot]:
    y = cells.row(row)
    for at in range(cells.columns):
        if node.term_at(first + at):
            x = cells.column(at)
            yield Spot(("cell", node.id, first + at, at), Box(x, y, x + cells.step, y + cells.cell))


def _next_indexes(stage: Stage, cells: Grid, first: int) -> Iterator[Shape]:
    """Under each follower's row, where its leader goes on next."""
    leader = stage.model.leader
    gap = cells.pitch - cells.cell
    if leader is None or gap < 5:
        return
    size = min(5.0, gap * 0.42)
    for row, id in enumerate(stage.model.ids):
        at = leader.next_index.get(id, 0) - first
        if 0 <= at < cells.columns and leader.next_index.get(id):
            x, y = cells.column(at) + cells.cell / 2, cells.row(row) + cells.cell + min(7.0, gap * 0.52)
            yield Polygon(f"next {id}", x, y, glyphs.scaled(glyphs.TRIANGLE, size), fill=stage.theme.muted)


def _legend(stage: Stage) -> Iterator[Shape]:
    theme, y = stage.theme, stage.height - 17
    colour = theme.muted
    yield Rect("legend committed", 16, y - 5, 26, y + 5, fill=colour)
    yield Text("legend committed words", 31, y, "committed", colour, "label")
    x = 31 + stage.measure("committed", "label") + 14
    yield Rect("legend not yet", x, y - 5, x + 10, y + 5, outline=colour, width=1.5)
    yield Text("legend not yet words", x + 15, y, "not yet", colour, "label")
    x += 15 + stage.measure("not yet", "label") + 18
    yield Polygon("legend next", x, y, glyphs.scaled(glyphs.TRIANGLE, 6), fill=colour)
    yield Text("legend next words", x + 10, y, "nextIndex", colour, "label")
    x += 10 + stage.measure("nextIndex", "label") + 16
    words, ink = _words(stage, stage.width - 17 - x)
    yield Text(
        "hover", stage.width - 17, y, stage.fit(words, "label", stage.width - 17 - x), ink, "label", "e"
    )


def _words(stage: Stage, room: float) -> tuple[str, str]:
    over = stage.view.over
    if over is None or over[0] != "cell":
        fits = stage.measure(HINTS[0], "label") <= room
        return HINTS[0] if fits else HINTS[1], stage.theme.muted
    return entry_words(stage, int(over[1]), int(over[2])), stage.theme.ink


def entry_words(stage: Stage, id: int, index: int) -> str:
    """What an entry of a node's log is, and who has it committed."""
    node = stage.model.node(id)
    term = node.term_at(index)
    if not term:
        return HINTS[0]
    kind, what = node.recent.get(index, ("", ""))
    if not kind:  # another node may have told it
        others = (stage.model.node(other) for other in stage.model.ids)
        kind, what = next(
            (o.recent[index] for o in others if index in o.recent and o.term_at(index) == term), ("", "")
        )
    command = "the empty entry of its term" if kind == "noop" else what or "a command"
    return f"entry {index}, term {term}: {command}, {_committed_on(stage, index, term)}"


def _committed_on(stage: Stage, index: int, term: int) -> str:
    nodes = [stage.model.node(id) for id in stage.model.ids]
    holders = [node for node in nodes if node.term_at(index) == term]
    committed = [node for node in holders if node.commit_index >= index]
    if committed:
        return f"committed on {len(committed)} of {len(nodes)}"
    return f"on {len(holders)} of {len(nodes)}, not committed"
