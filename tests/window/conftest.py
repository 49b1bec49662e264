"""A display of the test's own (Xvfb), and a person at the window: real clicks and keys by xdotool."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glassraft.window.controls import Action
from glassraft.window.source import Source

SIZE = (1440, 960)


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """The name of a display that this run alone uses."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (apt-get install xvfb), so there is no display to draw on")
    pytest.importorskip("tkinter", reason="Python has no tkinter (apt-get install python3-tk)")
    read, write = os.pipe()
    screen = f"{SIZE[0]}x{SIZE[1]}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", screen, "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as numbers:
        number = numbers.readline().strip()
    if not number:
        pytest.skip("Xvfb found no free display")
    yield f":{number}"
    server.terminate()
    server.wait(10)


class Hands:
    """Controls that remember what they were asked to do, and on which thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, int]] = []
        self.threads: set[str] = set()
        self.refusals: dict[str, str] = {"restart": "it runs", "resume": "it is not paused"}

    def _note(self, what: str, id: int) -> None:
        import threading

        self.threads.add(threading.current_thread().name)
        self.asked.append((what, id))

    def kill(self, id: int) -> None:
        """Remember."""
        self._note("kill", id)

    def restart(self, id: int) -> None:
        """Remember."""
        self._note("restart", id)

    def pause(self, id: int) -> None:
        """Remember."""
        self._note("pause", id)

    def resume(self, id: int) -> None:
        """Remember."""
        self._note("resume", id)

    def make_leader(self, id: int) -> None:
        """Remember."""
        self._note("make_leader", id)

    def submit_samples(self) -> str | None:
        """Remember."""
        self._note("submit", 0)
        return "6 sample jobs were submitted"

    def can(self, action: Action, id: int) -> tuple[bool, str]:
        """Whatever is not refused."""
        return action not in self.refusals, self.refusals.get(action, "")

    def log_path(self, id: int) -> Path | None:
        """A file that is not there."""
        return self.folder / f"node-{id}.jsonl"


class Person:
    """Someone at the window. Tk's loop runs only while the person waits."""

    def __init__(self, window: "object", display: str) -> None:
        from glassraft.window.app import Window

        assert isinstance(window, Window)
        self.window = window
        self._environment = {**os.environ, "DISPLAY": display}

    def waits(self, until: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Let the window live until something has come about."""
        deadline = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline, "it never came about"
            self.window.root.update()
            time.sleep(0.002)

    def waits_for_frames(self, count: int) -> None:
        """Let the window draw so many frames."""
        wanted = self.window.frames + count
        self.waits(lambda: self.window.frames >= wanted)

    def clicks(self, panel: str, what: tuple[str | int, ...]) -> None:
        """Move the real pointer to a place in a panel and press its button."""
        spot = next(spot for spot in self.window._spots[panel] if spot.what == what)
        canvas = self.window._painters[panel].canvas
        x = canvas.winfo_rootx() + round((spot.box.x0 + spot.box.x1) / 2)
        y = canvas.winfo_rooty() + round((spot.box.y0 + spot.box.y1) / 2)
        self._xdotool("mousemove", str(x), str(y), "click", "1")

    def presses(self, *keys: str) -> None:
        """Press keys, by their X names."""
        self._xdotool("key", *keys)

    def points(self, x: int, y: int) -> None:
        """Move the pointer."""
        self._xdotool("mousemove", str(x), str(y))

    def looks(self) -> dict[bytes, int]:
        """What is on the screen: each colour and how many pixels have it."""
        shot = subprocess.run(
            ["import", "-window", "root", "-depth", "8", "rgb:-"],
            env=self._environment,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        colours: dict[bytes, int] = {}
        for at in range(0, len(shot), 3):
            colour = shot[at : at + 3]
            colours[colour] = colours.get(colour, 0) + 1
        return colours

    def _xdotool(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self._environment, check=True)


OpenWindow = Callable[..., Person]


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    """Controls that only remember."""
    return Hands(tmp_path)


@pytest.fixture
def open_window(display: str, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenWindow]:
    """`open_window(source, members)`: a window, and a person at it; closed after the test."""
    monkeypatch.setenv("DISPLAY", display)
    from glassraft.window.app import Window

    opened: list[Window] = []

    def open_it(source: Source, members: list[int]) -> Person:
        window = Window("Glassraft", members, hands, source)
        opened.append(window)
        person = Person(window, display)
        person.points(1400, 950)
        window.start()
        person.waits_for_frames(3)
        return person

    yield open_it
    for window in opened:
        if window.is_open:
            window.close()
