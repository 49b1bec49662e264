"""What a window can ask of a cluster: the protocol, and the controls of a window that only looks on.

cluster.py gives a window controls that reach its processes. Nothing of tkinter here. Next:
actions.py, which offers them to a person.
"""

from pathlib import Path
from typing import Literal, Protocol

from glassraft.errors import GlassraftError

Action = Literal["kill", "restart", "pause", "resume", "make_leader", "submit"]


class Controls(Protocol):
    """Acts on nodes by their ids. The acts may take a while and are called on a thread of their own;
    `can` and `log_path` are called on the window's and answer at once. What fails raises GlassraftError.
    """

    def kill(self, id: int) -> None:
        """End the process at once, as a crash would (SIGKILL)."""

    def restart(self, id: int) -> None:
        """Start a node that does not run."""

    def pause(self, id: int) -> None:
        """Stop the process in its tracks (SIGSTOP): it keeps its connections and says nothing."""

    def resume(self, id: int) -> None:
        """Let a paused process go on (SIGCONT)."""

    def make_leader(self, id: int) -> None:
        """Let the leader hand its lead over to the node (diss. §3.10)."""

    def submit_samples(self) -> str | None:
        """Submit a handful of sample jobs; may say in a few words what was submitted."""

    def can(self, action: Action, id: int) -> tuple[bool, str]:
        """Whether the action is possible now, and the reason if not. `id` is 0 for "submit"."""

    def log_path(self, id: int) -> Path | None:
        """The node's newest event file; None where it is not known."""


class LookingOn:
    """The controls of a window that did not start what it shows. `folder` holds the event files, if any."""

    def __init__(self, reason: str, folder: Path | None = None) -> None:
        self._reason = reason
        self._folder = folder

    def kill(self, id: int) -> None:
        """Refused."""
        self._refuse()

    restart = pause = resume = make_leader = kill

    def submit_samples(self) -> str | None:
        """Refused."""
        self._refuse()
        return None

    def can(self, action: Action, id: int) -> tuple[bool, str]:
        """Never, for the reason given."""
        return False, self._reason

    def log_path(self, id: int) -> Path | None:
        """The node's newest event file in the folder."""
        return self._folder / f"node-{id}.jsonl" if self._folder else None

    def _refuse(self) -> None:
        raise GlassraftError(f"this window cannot do that: {self._reason}")
