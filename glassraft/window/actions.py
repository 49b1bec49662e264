"""Carries out what a person asks for, off the window's thread, and brings back how it went.

The list of actions (words, key, condition) is here too, so that menu, keys and help agree.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glassraft.errors import GlassraftError
from glassraft.window.controls import Action, Controls


@dataclass(frozen=True, slots=True)
class NodeAction:
    """Something that can be done to a node: its words in the menu, its key, and what is said afterwards."""

    action: Action
    words: str
    key: str
    done: str


NODE_ACTIONS = (
    NodeAction("kill", "Kill", "K", "n{} was killed"),
    NodeAction("restart", "Restart", "R", "n{} was started again"),
    NodeAction("pause", "Pause", "P", "n{} is paused"),
    NodeAction("resume", "Resume", "P", "n{} goes on"),
    NodeAction("make_leader", "Hand the lead to", "L", "n{} leads"),
)

KEYS: tuple[tuple[str, str], ...] = (
    ("1 … 7", "choose a node"),
    ("K", "kill the chosen node (SIGKILL)"),
    ("R", "start it again"),
    ("P", "pause it (SIGSTOP), or let it go on"),
    ("L", "hand the lead to it"),
    ("O", "open its log file"),
    ("S", "submit sample jobs"),
    ("← →", "the tab before, the tab after"),
    ("↑ ↓", "scroll what happened; End: the newest"),
    ("D", "dark or light"),
    ("?", "this list"),
    ("Esc", "close; let the chosen node go"),
)
"""What every key does, for the help."""


class Doer:
    """Runs actions on threads of their own; `said` has a sentence for each that ended."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def said(self) -> list[str]:
        """The sentences since the last call. Never waits."""
        found = []
        while not self._said.empty():
            found.append(self._said.get())
        return found

    def node(self, what: NodeAction, id: int) -> None:
        """Do it to the node; what is not possible is said with its reason."""
        able, reason = self._controls.can(what.action, id)
        if not able:
            self._said.put(f"cannot {what.words.lower()} n{id}: {reason}")
            return
        act: Callable[[int], None] = getattr(self._controls, what.action)

        def run() -> str:
            act(id)
            return what.done.format(id)

        self._start(f"{what.words.lower()} n{id}", run)

    def submit(self) -> None:
        """Submit sample jobs."""
        able, reason = self._controls.can("submit", 0)
        if not able:
            self._said.put(f"cannot submit jobs: {reason}")
            return
        self._start("submit jobs", lambda: self._controls.submit_samples() or "sample jobs were submitted")

    def open_log(self, id: int) -> None:
        """Show the node's event file in the system's viewer."""
        path = self._controls.log_path(id)
        if path is None or not path.exists():
            self._said.put(f"n{id} has no log file here" + (f": {path}" if path else ""))
            return
        self._start(f"open {path}", lambda: _open(path))

    def _start(self, what: str, run: Callable[[], str]) -> None:
        def work() -> None:
            try:
                self._said.put(run())
            except (GlassraftError, OSError) as error:
                self._said.put(f"could not {what}: {error}")

        threading.Thread(target=work, name=what, daemon=True).start()


def _open(path: Path) -> str:
    if sys.platform == "win32":
        os.startfile(path)
    else:
        opener = "open" if sys.platform == "darwin" else "xdg-open"
        try:
            subprocess.Popen([opener, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            return f"there is no {opener} here; the log is {path}"
    return f"opened {path}"
