"""The header: who leads, how far things are, how fast they go; and the button that submits jobs."""

from collections.abc import Iterator

from glassraft.window.layout import Box
from glassraft.window.scene.jobs import rate
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Layer, Picture, Rect, Shape, Spot, Text

MIDDLE = 29.0
BUTTON = (92.0, 30.0)


def picture(stage: Stage) -> Picture:
    """The header."""
    shapes: list[Shape] = [Text("brand", 20, MIDDLE - 1, "Glassraft", stage.theme.ink, "brand")]
    x = 20 + stage.measure("Glassraft", "brand") + 27
    for name, value in facts(stage):
        shapes.append(Text(f"{name} label", x, MIDDLE, name, stage.theme.muted, "label"))
        x += stage.measure(name, "label") + 7
        shapes.append(Text(f"{name} value", x, MIDDLE, value, stage.theme.ink, "value"))
        x += max(stage.measure(value, "value"), stage.measure("00", "value")) + 20
    right, spots = stage.width - 25, []
    if stage.offer.submit:
        left = right - BUTTON[0]
        shapes += _button(stage, left)
        spots.append(Spot(("submit",), Box(left, MIDDLE - 15, right, MIDDLE + 15)))
        right = left - 16
    shapes += _notice(stage, x, right)
    return Picture(tuple(shapes), tuple(spots))


def facts(stage: Stage) -> Iterator[tuple[str, str]]:
    """What the header tells, as (name, value)."""
    model = stage.model
    leader = model.leader
    yield "leader", f"n{leader.id}" if leader else "none"
    yield (
        "term",
        str(leader.term if leader else max((node.term for node in model.fold.nodes.values()), default=0)),
    )
    commit = max((node.commit_index for node in model.fold.nodes.values()), default=0)
    yield "commit", f"{leader.commit_index if leader else commit:,}"
    if stage.offer.live:
        yield "jobs", f"{rate(max(model.measures.rates(model.now)))}/s"
    p50 = model.measures.commit_p50_ms()
    if p50 is not None:
        yield "commit p50", f"{p50:.1f} ms"


def _button(stage: Stage, left: float) -> tuple[Shape, Shape]:
    theme = stage.theme
    fill = theme.button_over if stage.view.over == ("submit",) else theme.button
    return (
        Rect(
            "submit",
            left,
            MIDDLE - 15,
            left + BUTTON[0],
            MIDDLE + 15,
            fill=fill,
            radius=5,
            ground=theme.window,
        ),
        Text(
            "submit text",
            left + BUTTON[0] / 2,
            MIDDLE,
            "Submit jobs",
            theme.button_text,
            "strong",
            "center",
            layer=Layer.TOP,
        ),
    )


def _notice(stage: Stage, left: float, right: float) -> Iterator[Shape]:
    """What the last action came to, for a few seconds; else what is looked at, where it is a file."""
    recent = stage.view.notice and stage.moment < stage.view.notice_until
    words = stage.view.notice if recent else stage.offer.label
    room = right - left - 10
    if words and room > 60:
        yield Text("notice", right, MIDDLE, stage.fit(words, "label", room), stage.theme.muted, "label", "e")
