"""One node in full: every field of Figure 2 that its events tell, and how it is doing."""

from collections.abc import Iterator

from glassraft.events import NodeFold
from glassraft.window.scene import glyphs
from glassraft.window.scene.stage import NAMES, Stage
from glassraft.window.shapes import Shape, Text

ROW = 21.0
TOP = 41.0


def shapes(stage: Stage) -> Iterator[Shape]:
    """The selected node; else the leader; else the first."""
    id = stage.view.selected
    leader = stage.model.leader
    if id is None:
        id = leader.id if leader else stage.model.ids[0]
    node, theme = stage.model.node(id), stage.theme
    y = TOP + 18
    yield from glyphs.chip("node", 16, y, id, node.term, theme)
    state = stage.model.state(id)
    words = node.role if state == "running" else f"{NAMES[state]}, {stage.last_heard(id)}"
    yield Text("node state", 58, y, words, theme.ink, "strong")
    if stage.view.selected is None:
        yield Text("node hint", stage.width - 17, y, "keys 1 to 7 choose a node", theme.muted, "label", "e")
    rows = list(facts(stage, node))
    top, fits = y + 25, max(1, int((stage.height - y - 18) / ROW))
    columns = -(-len(rows) // fits)
    step = (stage.width - 32) / max(columns, 2)
    fits = max(-(-len(rows) // max(columns, 2)), 1)
    for at, (name, value) in enumerate(rows):
        x, row = 16 + at // fits * step, top + at % fits * ROW
        label = 108 if step > 250 else 86
        yield Text(f"fact {at} name", x, row, stage.fit(name, "label", label - 4), theme.muted, "label")
        yield Text(
            f"fact {at} value", x + label, row, stage.fit(value, "mono", step - label - 10), theme.ink, "mono"
        )


def facts(stage: Stage, node: NodeFold) -> Iterator[tuple[str, str]]:
    """Every field as (name, value), in the paper's names."""
    yield "term", str(node.term)
    yield "voted for", _name(node.voted_for)
    yield "leader", _name(node.leader_id)
    yield "commit index", f"{node.commit_index:,}"
    yield "last applied", f"{node.last_applied:,}"
    yield "last entry", f"{node.last_index:,} of term {node.last_term}" if node.last_index else "none"
    yield "members", " ".join(f"n{id}" for id in node.members) or "-"
    yield "process", str(node.pid) if node.pid else "-"
    yield "events", f"{node.last_seq:,}"
    if node.timer_duration and node.role != "leader" and stage.model.runs(node.id):
        yield "election timer", f"{node.timer_duration:.2f} s"
    if node.role == "candidate":
        yield "votes", " ".join(f"n{id}" for id in node.votes_granted) or "none"
    for peer in sorted(node.next_index):
        yield f"n{peer} next, match", f"{node.next_index[peer]:,}, {node.match_index.get(peer, 0):,}"


def _name(id: int | None) -> str:
    return f"n{id}" if id else "nobody"
