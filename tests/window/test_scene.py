"""The scene: folded events and a time to shapes, without a display."""

from collections import Counter

import pytest

from glassraft.window import layout
from glassraft.window.model import Model
from glassraft.window.scene import PANELS, Stage
from glassraft.window.scene.stage import Offer
from glassraft.window.scene.strip import nice_step
from glassraft.window.shapes import Arc, Circle, Picture, Polygon, Rect, Text, fit
from glassraft.window.source import Batch, Standing
from glassraft.window.theme import LIGHT, THEMES, mix
from glassraft.window.view import TABS, LogWindow, View

from .streams import MEMBERS, Script, story


def measure(text: str, font: str) -> float:
    return 6.0 * len(text)


def model_of(script: Script, *standings: Standing) -> Model:
    """The model at the script's end."""
    model = Model(script.members)
    for node in script.members:
        events = [event for event in script.events if event["node"] == node]
        model.put([Batch(node, events, script.zero + script.at, caught_up=False)])
    model.advance(script.zero + script.at)
    model.put(standings)
    model.advance(script.zero + script.at + 0.6, budget_s=10)
    return model


def draw(name: str, model: Model, size: tuple[float, float] = layout.WISHED, **view: object) -> Picture:
    boxes = layout.panels(*size, len(model.ids))
    box = boxes[name]
    choices = View(**view)  # type: ignore[arg-type]
    stage = Stage(model, choices, LIGHT, measure, box.width, box.height, 1.0, Offer(submit=True))
    return PANELS[name](stage)


@pytest.fixture(scope="module")
def told() -> Model:
    script = story()
    return model_of(script, Standing(4, "refusing", script.zero + script.at, "connection refused"))


def by_key(picture: Picture) -> dict[str, object]:
    return {shape.key: shape for shape in picture.shapes}


def texts(picture: Picture) -> list[str]:
    return [shape.text for shape in picture.shapes if isinstance(shape, Text)]


def test_keys_are_unique_in_every_panel(told: Model) -> None:
    for name in PANELS:
        for tab, _ in TABS:
            picture = draw(name, told, tab=tab, selected=3)
            again = [key for key, count in Counter(s.key for s in picture.shapes).items() if count > 1]
            assert again == [], name


def test_role_is_told_by_shape(told: Model) -> None:
    shapes = by_key(draw("cluster", told))
    assert isinstance(shapes["n3 second ring"], Circle)
    assert isinstance(shapes["n3 crown"], Polygon)
    candidate = shapes["n5 body"]
    assert isinstance(candidate, Circle)
    assert candidate.dash is not None
    assert [key for key in shapes if key.startswith("n5 pip")] == [f"n5 pip {at}" for at in range(5)]
    assert isinstance(shapes["n1 timer"], Arc)
    assert "n3 timer" not in shapes


def test_killed_and_paused_differ_from_each_other_and_from_running() -> None:
    script = story()
    model = model_of(
        script, Standing(4, "refusing", script.zero + 12), Standing(2, "silent", script.zero + 12)
    )
    shapes = by_key(draw("cluster", model))
    killed, paused, runs = shapes["n4 body"], shapes["n2 body"], shapes["n1 body"]
    assert isinstance(killed, Circle)
    assert isinstance(paused, Circle)
    assert isinstance(runs, Circle)
    assert killed.fill == LIGHT.dead_fill
    assert killed.dash is not None
    assert paused.hatch
    assert not paused.dash
    assert not runs.hatch
    found = texts(draw("cluster", model))
    assert "killed" in found
    assert "paused" in found
    assert any(text.startswith("last heard ") for text in found)


def test_captions_say_what_each_node_is(told: Model) -> None:
    found = texts(draw("cluster", told))
    assert "leader · commit 17" in found
    assert "follower · voted n3" in found
    assert "candidate · 1 of 5 votes" in found


def test_a_term_decides_the_colour(told: Model) -> None:
    shapes = by_key(draw("cluster", told))
    leader = shapes["n3 body"]
    assert isinstance(leader, Circle)
    assert leader.outline == LIGHT.term(4)
    assert LIGHT.term(7) == LIGHT.term(1)


def test_a_cell_is_filled_when_its_node_has_committed_it(told: Model) -> None:
    shapes = by_key(draw("logs", told, log_window=LogWindow(first=9)))
    committed, open_ = shapes["row 1 8"], shapes["row 1 9"]
    assert isinstance(committed, Rect)
    assert isinstance(open_, Rect)
    assert not committed.outline
    assert open_.outline
    assert "row 5 3" not in shapes


def test_what_a_log_has_forgotten_is_a_bar() -> None:
    script = story()
    script.write(1, "compact", "highest_compactable", first=12, was=1, base_term=3)
    shapes = by_key(draw("logs", model_of(script), log_window=LogWindow(first=9)))
    bar, cell = shapes["row 1 compacted"], shapes["row 1 3"]
    assert isinstance(bar, Rect)
    assert isinstance(cell, Rect)
    assert bar.x1 < cell.x0
    assert "row 1 2" not in shapes
    assert "row 2 compacted" not in shapes


def test_a_chunk_of_a_snapshot_says_how_much_is_sent() -> None:
    script = Script()
    script.start(1, 2)
    fields = {"last": [1, 9], "snapshot": "s", "size": 400, "done": False, "round": 1}
    script.message(1, 2, "InstallSnapshot", received=False, offset=100, count=100, **fields)
    assert "50%" in texts(draw("cluster", model_of(script)))


def test_an_offer_of_the_lead_carries_a_crown() -> None:
    script = Script()
    script.start(1, 2)
    script.message(1, 2, "TimeoutNow", received=False)
    shapes = draw("cluster", model_of(script)).shapes
    crowns = [shape for shape in shapes if isinstance(shape, Polygon) and shape.key.startswith("m ")]
    assert [crown.key for crown in crowns] == ["m n1-1 mark"]


def test_who_is_no_member_says_so() -> None:
    script = Script(members=[1, 2, 3])
    script.start(1, 2, 3)
    script.elect(1, 2, 3)
    script.write(1, "membership", "appended", members=[1, 2], learners=[], index=9)
    assert "no member" in texts(draw("cluster", model_of(script)))


def test_next_index_marks_stand_under_their_cells(told: Model) -> None:
    shapes = by_key(draw("logs", told, log_window=LogWindow(first=9)))
    mark, cell = shapes["next 1"], shapes["row 2 10"]
    assert isinstance(mark, Polygon)
    assert isinstance(cell, Rect)
    assert cell.x0 < mark.x < cell.x1


def test_hovering_an_entry_reads_it(told: Model) -> None:
    found = texts(draw("logs", told, over=("cell", 1, 17, 8)))
    assert "entry 17, term 4: Complete, committed on 3 of 5" in found


def test_the_strip_shows_terms_leaders_and_the_kill(told: Model) -> None:
    picture = draw("time", told)
    fills = {shape.fill for shape in picture.shapes if isinstance(shape, Rect)}
    assert {LIGHT.term(2), LIGHT.term(3), LIGHT.term(4)} <= fills
    assert LIGHT.tint(4, 0.28) in fills
    assert "killed" in texts(picture)


def test_the_header_tells_the_leader(told: Model) -> None:
    found = texts(draw("header", told))
    assert found[0] == "Glassraft"
    for pair in ("leader", "n3"), ("term", "4"), ("commit", "17"):
        assert found[found.index(pair[0]) + 1] == pair[1]


def test_messages_are_those_recorded_and_arrive_or_burst() -> None:
    script = story()
    model = model_of(script)
    kinds = Counter(glide.flight.kind for glide in model.traffic.glides.values())
    assert kinds["RequestVote"] == 4
    assert kinds["AppendEntries"] == 3
    model.advance(script.zero + script.at + 1.3)
    shapes = by_key(draw("cluster", model))
    assert sum(key.startswith("m ") and key.endswith(" ring") for key in shapes) == 2, "two were lost"


def test_a_reply_sets_out_when_its_request_has_arrived() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.elect(1, 2, 3)
    script.at += 5
    script.replicate(1, 2, 1)
    model = model_of(script)
    request, reply = (
        glide for glide in model.traffic.glides.values() if 2 in (glide.flight.src, glide.flight.dst)
    )
    assert reply.start == pytest.approx(request.start + 0.65)


def test_messages_on_one_lane_keep_their_distance() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.elect(1, 2, 3)
    script.replicate(1, 2, 1)
    model = model_of(script)
    starts = sorted(glide.start for glide in model.traffic.glides.values() if glide.flight.dst == 2)
    assert len(starts) == 2
    assert starts[1] - starts[0] > 0.13


@pytest.mark.parametrize("size", [layout.MINIMUM, layout.WISHED, (2560, 1440)])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_nothing_is_cut_off_or_overlaps(size: tuple[int, int], count: int) -> None:
    boxes = list(layout.panels(*size, count).values())
    for at, one in enumerate(boxes):
        assert one.x1 <= size[0]
        assert one.y1 <= size[1]
        for other in boxes[at + 1 :]:
            assert one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
    cluster = layout.panels(*size, count)["cluster"]
    ring = layout.ring(cluster.width, cluster.height, tuple(range(1, count + 1)))
    reach = ring.timer_radius
    for x, y in ring.centres.values():
        assert x - reach > 0
        assert x + reach < cluster.width
        assert y - reach - 14 >= 30, "under the title"
        assert y + ring.caption_drop + 8 <= cluster.height - 36, "above the legend"
    places = list(ring.centres.values())
    for at, (x0, y0) in enumerate(places):
        for x1, y1 in places[at + 1 :]:
            assert (x1 - x0) ** 2 + (y1 - y0) ** 2 > (2 * reach) ** 2


def test_node_1_is_at_twelve_and_the_others_follow_clockwise() -> None:
    centres = layout.ring(700, 560, (1, 2, 3, 4, 5)).centres
    assert centres[1][0] == pytest.approx(350)
    assert centres[1][1] == min(y for _, y in centres.values())
    assert centres[2][0] > centres[1][0] > centres[5][0]


@pytest.mark.parametrize("size", [layout.MINIMUM, layout.WISHED])
@pytest.mark.parametrize("rows", [1, 5, 7])
def test_the_log_grid_fits(size: tuple[int, int], rows: int) -> None:
    box = layout.panels(*size, rows)["logs"]
    grid = layout.grid(box.width, box.height, rows)
    assert grid.column(grid.columns) <= box.width
    assert grid.row(rows - 1) + grid.cell <= box.height - 26


def test_the_log_window_moves_in_steps_and_not_at_once() -> None:
    window = LogWindow()
    assert window.follow(16, 16, now=0.0) == 1
    assert window.follow(17, 16, now=1.0) == 6
    assert [window.follow(last, 16, now=2.0) for last in (18, 20, 21)] == [6, 6, 6]
    assert window.follow(22, 16, now=2.1) == 11
    assert window.follow(400, 16, now=2.2) == 11, "it waits before it moves again"
    assert window.follow(400, 16, now=3.0) == 389


def test_every_panel_is_drawn_in_both_themes_before_anything_is_known() -> None:
    model = Model(MEMBERS)
    for theme in THEMES.values():
        for name in PANELS:
            for tab, _ in TABS:
                PANELS[name](Stage(model, View(tab=tab), theme, measure, 600, 300))


def test_text_is_elided_to_its_width() -> None:
    assert fit("heartbeat", "body", 60, measure) == "heartbeat"
    assert fit("heartbeat", "body", 36, measure) == "heart…"
    assert fit("heartbeat", "body", 3, measure) == ""


def test_ticks_are_round() -> None:
    assert [nice_step(wanted) for wanted in (0.07, 3, 31, 4000, 200_000)] == [0.1, 5, 60, 7200, 259_200]


def test_mixing_colours() -> None:
    assert mix("#FFFFFF", "#000000", 0.5) == "#808080"
    assert mix("#0072B2", "#FFFFFF", 1) == "#0072B2"
