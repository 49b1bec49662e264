"""The real window on a display of its own: real clicks and keys, what it draws, and that it never freezes."""

import shutil
import signal
import socket
import statistics
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

import visualizer
from glassraft.events import EventWriter
from glassraft.window import DisplayMissing, layout
from glassraft.window.controls import LookingOn
from glassraft.window.poller import LiveSource
from glassraft.window.source import RecordedSource
from glassraft.window.theme import DARK, LIGHT, mix

from .conftest import Hands, OpenWindow, Person
from .streams import MEMBERS, CalmCluster, story

needs_xdotool = pytest.mark.skipif(shutil.which("xdotool") is None, reason="xdotool is not installed")
needs_import = pytest.mark.skipif(shutil.which("import") is None, reason="ImageMagick is not installed")
pytestmark = needs_xdotool


@pytest.fixture
def calm(open_window: OpenWindow) -> tuple[Person, CalmCluster]:
    source = CalmCluster()
    person = open_window(source, MEMBERS)
    person.waits(lambda: person.window.model.leader is not None and bool(person.window._spots.get("cluster")))
    return person, source


def test_a_click_opens_a_nodes_menu_and_the_menu_kills_it(
    calm: tuple[Person, CalmCluster], hands: Hands
) -> None:
    person, _ = calm
    person.clicks("cluster", ("node", 2))
    person.waits(lambda: person.window._menu is not None and bool(person.window._menu.winfo_ismapped()))
    assert person.window.view.selected == 2
    person.presses("Down", "Return")
    person.waits(lambda: hands.asked == [("kill", 2)])
    assert threading.main_thread().name not in hands.threads, "an action never runs on the window's thread"
    person.waits(lambda: "n2 was killed" in header(person))


def test_what_is_not_possible_is_greyed_out_with_its_reason(calm: tuple[Person, CalmCluster]) -> None:
    person, _ = calm
    person.clicks("cluster", ("node", 1))
    person.waits(lambda: person.window._menu is not None)
    menu = person.window._menu
    assert menu is not None
    labels = {menu.entrycget(at, "label"): menu.entrycget(at, "state") for at in range(4)}
    assert labels == {
        "Kill n1": "normal",
        "Restart n1: it runs": "disabled",
        "Pause n1": "normal",
        "Resume n1: it is not paused": "disabled",
    }
    person.presses("Escape")


def test_the_button_submits_jobs(calm: tuple[Person, CalmCluster], hands: Hands) -> None:
    person, _ = calm
    person.clicks("header", ("submit",))
    person.waits(lambda: hands.asked == [("submit", 0)])
    person.waits(lambda: "6 sample jobs were submitted" in header(person))


def test_a_window_that_only_looks_on_has_no_button(open_window: OpenWindow, hands: Hands) -> None:
    hands.refusals["submit"] = "this window did not start the nodes"
    person = open_window(CalmCluster(), MEMBERS)
    person.waits_for_frames(5)
    assert person.window._spots["header"] == ()


def test_keys(calm: tuple[Person, CalmCluster], hands: Hands) -> None:
    person, _ = calm
    window = person.window
    person.points(300, 300)
    person.presses("k")
    person.waits(lambda: "choose a node first: its number, or a click" in header(person))
    person.presses("4")
    person.waits(lambda: window.view.selected == 4)
    person.presses("k", "p", "s")
    person.waits(lambda: len(hands.asked) == 3)
    assert sorted(hands.asked) == [("kill", 4), ("pause", 4), ("submit", 0)]
    person.presses("r")
    person.waits(lambda: "cannot restart n4: it runs" in header(person))
    person.presses("question")
    person.waits(lambda: window._help is not None)
    person.presses("Escape")
    person.waits(lambda: window._help is None and window.view.selected is None)
    person.presses("Right")
    person.waits(lambda: window.view.tab == "jobs")
    person.presses("d")
    person.waits(lambda: window.theme is DARK)


def test_tabs_are_chosen_by_a_click_and_entries_read_by_pointing(calm: tuple[Person, CalmCluster]) -> None:
    person, source = calm
    for tab in ("jobs", "node", "story"):
        person.waits_for_frames(3)
        person.clicks("tabs", ("tab", tab))
        person.waits(lambda tab=tab: person.window.view.tab == tab)  # type: ignore[misc]
    person.waits(lambda: bool(person.window._spots["logs"]))
    person.clicks("logs", ("cell", source.leader, 1, 0))
    person.waits(lambda: person.window.view.over == ("cell", source.leader, 1, 0))
    person.waits(lambda: "entry 1, term 1: the empty entry of its term" in " ".join(shown(person, "logs")))


@needs_import
def test_it_is_really_on_the_screen(calm: tuple[Person, CalmCluster]) -> None:
    person, source = calm
    source.kill(1)
    source.kill(5, "silent")
    person.waits(
        lambda: person.window.model.state(1) == "killed" and person.window.model.state(5) == "paused"
    )
    person.waits_for_frames(5)
    colours = person.looks()
    assert len(colours) > 100, "soft edges and soft text"
    for colour, least in (
        (LIGHT.window, 20_000),
        (LIGHT.panel, 200_000),
        (LIGHT.term(1), 500),
        (LIGHT.dead_fill, 2_000),
        (LIGHT.timer, 100),
    ):
        assert colours.get(bytes.fromhex(colour[1:]), 0) >= least, colour


@needs_import
def test_the_dark_theme_has_no_edges_of_the_light_one(calm: tuple[Person, CalmCluster]) -> None:
    person, _ = calm
    person.points(300, 300)
    person.presses("d")
    person.waits(lambda: person.window.theme is DARK)
    person.waits_for_frames(20)
    colours = person.looks()
    assert colours.get(bytes.fromhex(DARK.panel[1:]), 0) > 200_000
    assert colours.get(bytes.fromhex(LIGHT.window[1:]), 0) == 0
    edge = mix(LIGHT.term(1), LIGHT.panel, 0.2)
    assert colours.get(bytes.fromhex(edge[1:]), 0) < 20


@pytest.mark.parametrize("count", [1, 5, 7])
@pytest.mark.parametrize("size", [layout.MINIMUM, layout.WISHED])
def test_no_text_is_cut_off_or_lies_on_another(
    open_window: OpenWindow, size: tuple[int, int], count: int
) -> None:
    source = CalmCluster(list(range(1, count + 1)), jobs_per_s=20)
    person = open_window(source, source.members)
    window = person.window
    window.root.geometry(f"{size[0]}x{size[1]}")
    person.waits(lambda: window.root.winfo_width() == size[0] and window.model.leader is not None)
    window.view.selected = source.leader
    for tab in ("story", "jobs", "node"):
        window.view.tab = tab
        window._redraw()
        person.waits_for_frames(4)
        for panel in layout.PANELS:
            check_texts(person, panel)


def check_texts(person: Person, panel: str) -> None:
    """Every text lies within its panel; none that stands still lies on another."""
    painter = person.window._painters[panel]
    canvas = painter.canvas
    width, height = canvas.winfo_width(), canvas.winfo_height()
    boxes = []
    for key, painted in painter._painted.items():
        if painted.kind == "text" and painted.options["text"] and not key.startswith("m "):
            box = canvas.bbox(painted.item)
            assert box[0] >= 0, (panel, key)
            assert box[1] >= 0, (panel, key)
            assert box[2] <= width + 1, (panel, key)
            assert box[3] <= height + 1, (panel, key)
            boxes.append((key, (box[0] + 2, box[1] + 3, box[2] - 2, box[3] - 3)))
    for at, (key, one) in enumerate(boxes):
        for other_key, other in boxes[at + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (panel, key, other_key)


def test_items_are_kept_and_not_drawn_again(calm: tuple[Person, CalmCluster]) -> None:
    person, _ = calm
    person.waits_for_frames(60)
    painter = person.window._painters["cluster"]
    items = {key: painted.item for key, painted in painter._painted.items() if not key.startswith("m ")}
    count = len(painter.canvas.find_all())
    person.waits_for_frames(60)
    assert all(painter._painted[key].item == item for key, item in items.items() if key in painter._painted)
    assert len(painter.canvas.find_all()) < count + 60, "messages come and go on the same items"
    assert painter.touched < len(painter._painted) / 2, "only what changed is touched"


@dataclass(frozen=True)
class Place:
    """Where a node is said to be."""

    id: int
    host: str
    port: int


def test_frozen_and_dead_nodes_freeze_nothing(open_window: OpenWindow) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as gone:
        nodes = [Place(1, *silent.getsockname()), Place(2, *gone.getsockname())]
        gone.close()
        source = LiveSource(nodes)
        person = open_window(source, [1, 2])
        gaps: list[float] = []

        def long_enough() -> bool:
            gaps.append(time.monotonic())
            return person.window.model.state(1) == "paused" and person.window.model.state(2) == "down"

        person.waits(long_enough)
        person.waits_for_frames(30)
        # A window that waited for its nodes would do so in every frame; a busy machine holds up a few.
        assert statistics.median(after - before for before, after in pairwise(gaps)) < 0.25
        person.window.close()


def test_a_recorded_run_is_shown_to_its_end(open_window: OpenWindow, tmp_path: Path) -> None:
    write_logs(tmp_path)
    source = RecordedSource(tmp_path)
    person = open_window(source, list(source.ids))
    person.waits_for_frames(3)
    assert "recorded" in shown(person, "time")
    assert "the whole run" in shown(person, "time")
    assert "leader · commit 17" in shown(person, "cluster")
    assert any("starts an election in term 4" in text for text in shown(person, "tabs"))


def write_logs(folder: Path) -> None:
    """The made-up run as nodes would have written it."""
    script, moment = story(), [0.0]
    common = {"ts", "mono", "clock", "node", "seq", "event", "term", "why"}
    for node in MEMBERS:
        path = folder / f"node-{node}.jsonl"
        writer = EventWriter(
            node,
            path,
            max_bytes=10**9,
            keep=2,
            ring=64,
            whole_state=dict,
            now=lambda: moment[0],
            mono=lambda: moment[0],
        )
        for event in script.events:
            if event["node"] == node:
                moment[0] = event["ts"]
                writer.heard(event["clock"] - 1)
                fields = {name: value for name, value in event.items() if name not in common}
                writer.write(event["event"], event["term"], event.get("why", ""), **fields)
        writer.close()


def test_ctrl_c_closes_it(display: str, monkeypatch: pytest.MonkeyPatch, hands: Hands) -> None:
    monkeypatch.setenv("DISPLAY", display)
    from glassraft.window.app import Window

    window = Window("Glassraft", MEMBERS, hands, CalmCluster())
    window.root.after(300, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        window.run()


def test_without_a_display_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, display: str) -> None:
    monkeypatch.setenv("DISPLAY", ":65000")
    from glassraft.window.app import Window

    with pytest.raises(DisplayMissing, match="--headless"):
        Window("Glassraft", MEMBERS, LookingOn("a test"), CalmCluster())


def test_a_folder_without_logs_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", ["visualizer.py", "--logs", str(tmp_path)])
    assert visualizer.main() == 2
    assert "has no event files" in capsys.readouterr().err


def shown(person: Person, panel: str) -> list[str]:
    """The texts that a panel shows now."""
    painter = person.window._painters[panel]
    return [painted.options["text"] for painted in painter._painted.values() if painted.kind == "text"]


def header(person: Person) -> list[str]:
    """The texts of the header."""
    return shown(person, "header")
