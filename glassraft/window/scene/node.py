"""One node in full: every field of Figure 2 that its events tell, and how it is doing."""

from collections.abc import Iterator

from glassraft.events import NodeFold
from glassraft.window.scene import glyphs
from glassraft.window.scene.stage import NAMES, Stage
from glassraft.window.shapes import Shape, Text

TOP = 41.0
TIGHT = 15.0
SPARED = ("election timer", "events")
"""Left out where rows would come closer than TIGHT."""

Facts = tuple[tuple[str, str], ...]


def shapes(stage: Stage) -> Iterator[Shape]:
    """The selected node; else the leader; else the first."""
    id = stage.view.selected
    leader = stage.model.leader
    if id is None:
        id = leader.id if leader else stage.model.ids[0]
    node, theme = stage.model.node(id), stage.theme
    y = TOP + 16
    yield from glyphs.chip("node", 16, y, id, node.term, theme)
    state = stage.model.state(id)
    words = node.role if state == "running" else f"{NAMES[state]}, {stage.last_heard(id)}"
    yield Text("node state", 58, y, words, theme.ink, "strong")
    if stage.view.selected is None:
        yield Text("node hint", stage.width - 17, y, "keys 1 to 7 choose a node", theme.muted, "label", "e")
    rows, wide = facts(stage, node), peers(node)
    room = stage.height - y - 22
    if room / (-(-len(rows) // 2) + len(wide)) < TIGHT:
        rows = tuple(row for row in rows if row[0] not in SPARED)
    pitch = min(21.0, room / (-(-len(rows) // 2) + len(wide)))
    yield from _columns(stage, rows, y + 23, pitch)
    top = y + 23 + -(-len(rows) // 2) * pitch
    for at, (name, value) in enumerate(wide):
        yield Text(f"peer {at} name", 16, top + at * pitch, name, stage.theme.muted, "label")
        shown = stage.fit(value, "mono", stage.width - 128)
        yield Text(f"peer {at} value", 112, top + at * pitch, shown, stage.theme.ink, "mono")


def _columns(stage: Stage, rows: Facts, top: float, pitch: float) -> Iterator[Shape]:
    """The facts in two columns."""
    fits, step = -(-len(rows) // 2), (stage.width - 32) / 2
    for at, (name, value) in enumerate(rows):
        x, y, key = 16 + at // fits * step, top + at % fits * pitch, f"fact {at}"
        yield Text(f"{key} name", x, y, name, stage.theme.muted, "label")
        shown = stage.fit(value, "mono", step - 104)
        yield Text(f"{key} value", x + 96, y, shown, stage.theme.ink, "mono")


def facts(stage: Stage, node: NodeFold) -> Facts:
    """The fields as (name, value), in the paper's names."""
    timer = "-"
    if node.timer_duration and node.role != "leader" and stage.model.runs(node.id):
        timer = f"{node.timer_duration:.2f} s"
    return (
        ("term", str(node.term)),
        ("voted for", _name(node.voted_for)),
        ("leader", _name(node.leader_id)),
        ("members", " ".join(f"n{id}" for id in node.members) or "-"),
        ("election timer", timer),
        ("commit index", f"{node.commit_index:,}"),
        ("last applied", f"{node.last_applied:,}"),
        ("last entry", f"{node.last_index:,} of term {node.last_term}" if node.last_index else "none"),
        ("process", str(node.pid) if node.pid else "-"),
        ("events", f"{node.last_seq:,}"),
    )


def peers(node: NodeFold) -> Facts:
    """A leader's view of the others; a candidate's votes."""
    if node.role == "candidate":
        return (("votes", " ".join(f"n{id}" for id in node.votes_granted) or "none"),)
    if not node.next_index:
        return ()
    return (
        ("next index", "  ".join(f"n{peer} {index:,}" for peer, index in sorted(node.next_index.items()))),
        ("match index", "  ".join(f"n{peer} {index:,}" for peer, index in sorted(node.match_index.items()))),
    )


def _name(id: int | None) -> str:
    return f"n{id}" if id else "nobody"
