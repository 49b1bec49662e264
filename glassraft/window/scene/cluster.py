"""The cluster: nodes on a ring in their roles, their election timers, and messages on their way.

Shape tells the role, colour the term: leader double ring and crown, candidate dashed ring and
vote pips, follower plain with its election timer as an arc, killed grey and dotted (so is who is
no member, yet or any more), paused hatched.
"""

from collections.abc import Iterator
from itertools import combinations

from glassraft.events import NodeFold
from glassraft.window.layout import Box, Ring, ring
from glassraft.window.scene import glyphs, messages
from glassraft.window.scene.stage import NAMES, Stage
from glassraft.window.shapes import Arc, Circle, Layer, Line, Picture, Rect, Shape, Spot, Text

FILL = 0.17
BEHIND_S = 1.5
"""A picture that lags so far says so."""

ARC_STEP = 1 / 120
"""Arcs are drawn in so many steps: three degrees, which is what a frame moves them."""


def picture(stage: Stage) -> Picture:
    """The cluster panel."""
    places = ring(stage.width, stage.height, stage.model.ids)
    shapes: list[Shape] = list(_frame(stage))
    shapes += _links(stage, places)
    spots = []
    for id, (x, y) in places.centres.items():
        shapes += _node(stage, places, id, x, y)
        r = places.timer_radius
        spots.append(Spot(("node", id), Box(x - r, y - r, x + r, y + r)))
    shapes += messages.shapes(stage, places)
    shapes += _legend(stage)
    return Picture(tuple(shapes), tuple(spots))


def _frame(stage: Stage) -> Iterator[Shape]:
    theme = stage.theme
    yield Text("title", 15, 20, "Cluster", theme.ink, "panel")
    left = 15 + stage.measure("Cluster", "panel") + 14
    yield Text("sampled", left, 20, _sampled(stage), theme.muted, "label")
    yield Text("hint", stage.width - 17, 20, "click a node, or press ?", theme.muted, "label", "e")


def _links(stage: Stage, places: Ring) -> Iterator[Shape]:
    for (a, (x0, y0)), (b, (x1, y1)) in combinations(places.centres.items(), 2):
        yield Line(f"link {a} {b}", ((round(x0), round(y0)), (round(x1), round(y1))), stage.theme.link, 2)


def _node(stage: Stage, places: Ring, id: int, x: float, y: float) -> Iterator[Shape]:
    x, y = round(x), round(y)
    node, state = stage.model.node(id), stage.model.state(id)
    if stage.view.selected == id:
        yield Circle(f"n{id} halo", x, y, places.timer_radius + 7, fill=stage.theme.halo, layer=Layer.MASKS)
    if state in ("running", "paused"):
        yield from _living(stage, places, node, x, y, paused=state == "paused")
    else:
        yield from _gone(stage, places, id, x, y)
    yield from _caption(stage, places, node, state, x, y)


def _living(
    stage: Stage, places: Ring, node: NodeFold, x: float, y: float, *, paused: bool
) -> Iterator[Shape]:
    theme, r, key = stage.theme, places.node_radius, f"n{node.id}"
    colour, fill = theme.term(node.term), theme.tint(node.term, FILL)
    ground = theme.halo if stage.view.selected == node.id else ""
    hatch = theme.tint(node.term, 0.38) if paused else ""
    dash = (9.0, 4.0) if node.role == "candidate" else None
    yield Circle(f"{key} body", x, y, r, fill, colour, 3, dash, hatch, ground)
    if node.role == "leader":
        yield Circle(f"{key} second ring", x, y, places.timer_radius + 1, "", colour, 3, ground=ground)
        yield glyphs.crown(
            f"{key} crown", x, y - places.timer_radius - 11, 13 if not places.small else 10, colour
        )
    elif share := _timer_share(stage, node, paused):
        yield Arc(f"{key} timer", x, y, places.timer_radius, share, theme.timer, 4)
    yield from _inside(stage, places, node, x, y, paused)


def _inside(stage: Stage, places: Ring, node: NodeFold, x: float, y: float, paused: bool) -> Iterator[Shape]:
    theme, key, r = stage.theme, f"n{node.id}", places.node_radius
    small = places.small
    pips = node.role == "candidate"
    up = r * (0.25 if pips else 0.19)
    yield Text(f"{key} name", x, y - up, key, theme.ink, "node small" if small else "node", "center")
    words = "paused" if paused else f"term {node.term}"
    yield Text(
        f"{key} term",
        x,
        y + r * (0.24 if pips else 0.33),
        words,
        theme.ink,
        "term small" if small else "term",
        "center",
        max_width=r * 1.8,
    )
    if pips and not paused:
        yield from _pips(stage, node, x, y + r * 0.63, r)


def _pips(stage: Stage, node: NodeFold, x: float, y: float, r: float) -> Iterator[Shape]:
    """A pip a member: filled for a vote, crossed out for a refusal, open while it is not known."""
    theme, members = stage.theme, node.members or [node.id]
    colour, ground = theme.term(node.term), theme.tint(node.term, FILL)
    step = min(11.0, r * 1.42 / len(members))
    size = step * 0.4
    ordered = sorted(members, key=lambda id: (id not in node.votes_granted, id not in node.votes_refused, id))
    for at, id in enumerate(ordered):
        px = x + (at - (len(members) - 1) / 2) * step
        has_refused = id in node.votes_refused
        not_granted = theme.dead_line if has_refused else theme.panel
        fill = colour if id in node.votes_granted else not_granted
        line = theme.dead_line if has_refused else colour
        yield Circle(f"n{node.id} pip {at}", px, y, size, fill, line, 1.4, ground=ground, layer=Layer.TEXT)


def _gone(stage: Stage, places: Ring, id: int, x: float, y: float) -> Iterator[Shape]:
    theme, r, key = stage.theme, places.node_radius, f"n{id}"
    ground = theme.halo if stage.view.selected == id else ""
    yield Circle(f"{key} body", x, y, r, theme.dead_fill, theme.dead_line, 2, (2.0, 3.2), "", ground)
    small = places.small
    yield Text(f"{key} name", x, y - r * 0.19, key, theme.faint, "node small" if small else "node", "center")
    state = stage.model.state(id)
    words = {"unknown": "…", "down": "not up"}.get(state, NAMES[state])
    yield Text(f"{key} term", x, y + r * 0.33, words, theme.muted, "label", "center", max_width=r * 1.9)


def _timer_share(stage: Stage, node: NodeFold, paused: bool) -> float:
    """What is left of the election timer, of a full circle that stands for the longest timeout seen."""
    model = stage.model
    if node.timer_kind != "election" or not node.timer_duration:
        return 0.0
    now = model.now
    if paused:
        now -= model.last_heard_s(node.id) or 0.0
    left = node.timer_started + model.clock_offset(node.id) + node.timer_duration - now
    share = min(left, node.timer_duration) / model.longest_timer_s
    return max(0, round(min(share, 1.0) / ARC_STEP)) * ARC_STEP


def _caption(stage: Stage, places: Ring, node: NodeFold, state: str, x: float, y: float) -> Iterator[Shape]:
    text = caption(stage, node, state)
    if not text:
        return
    width = stage.measure(text, "label")
    middle = y + places.caption_drop
    half = width / 2 + 3
    edge = stage.width - 6
    x = max(half + 6, min(edge - half, x))
    key = f"n{node.id} caption"
    yield Rect(
        f"{key} mask", x - half, middle - 8, x + half, middle + 8, fill=stage.theme.panel, layer=Layer.MASKS
    )
    yield Text(key, x, middle, text, stage.theme.muted, "label", "center")


def caption(stage: Stage, node: NodeFold, state: str) -> str:
    """The line under a node."""
    if state == "outside":
        return ""
    if state == "stopped":
        return f"term {node.term} · commit {node.commit_index:,}"
    if state != "running":
        return stage.last_heard(node.id)
    if node.role == "leader":
        return f"leader · commit {node.commit_index:,}"
    if node.role == "candidate":
        members = len(node.members) or 1
        return f"candidate · {len(node.votes_granted)} of {members} votes"
    if node.pre_votes_granted:
        members = len(node.members) or 1
        return f"follower · {len(node.pre_votes_granted)} of {members} would vote for it"
    if node.voted_for:
        return f"follower · voted n{node.voted_for}"
    if node.leader_id:
        return f"follower · hears n{node.leader_id}"
    return "follower"


def _legend(stage: Stage) -> Iterator[Shape]:
    theme, y = stage.theme, stage.height - 26
    leader = stage.model.leader
    term = leader.term if leader else max((node.term for node in stage.model.fold.nodes.values()), default=0)
    colour, ink = (theme.term(term), theme.on_term(term)) if term else (theme.muted, theme.panel)
    x = 24.0
    roomy = stage.width > 620
    gap = 22 if roomy else 15
    for key, words, half in _LEGEND:
        if not roomy and key in ("reply",):
            continue
        yield from _sample(key, x, y, colour, ink, theme.panel, theme.timer)
        yield Text(f"legend {key} words", x + half + 6, y, words, theme.muted, "label")
        x += half + 6 + stage.measure(words, "label") + gap + half


_LEGEND = (
    ("vote", "RequestVote", 11.0),
    ("append", "AppendEntries", 15.0),
    ("beat", "heartbeat", 5.0),
    ("reply", "replies", 9.0),
    ("timer", "election timer", 9.0),
)


def _sample(
    key: str, x: float, y: float, colour: str, ink: str, ground: str, timer: str
) -> tuple[Shape, ...]:
    name = f"legend {key}"
    match key:
        case "vote":
            return glyphs.vote_request(name, x, y, colour, ink)
        case "append":
            return glyphs.append_request(name, x, y, colour, ink, 3)
        case "beat":
            return glyphs.heartbeat(name, x, y, colour)
        case "reply":
            return glyphs.append_reply(name, x, y, colour, True, ground)
    return (Arc(name, x, y, 8, 0.62, timer, 3),)


def _sampled(stage: Stage) -> str:
    """How true the picture is to the number of messages, to their speed, and to the moment."""
    if not stage.offer.live:
        return ""
    if stage.model.behind_s > BEHIND_S:
        return f"the picture is {stage.model.behind_s:.0f} s behind"
    share = stage.model.traffic.one_in(stage.model.now)
    return f"1 in {share:,} messages shown, slowed down" if share > 1 else "messages slowed down"
