"""What a window is fed with: the items that a source hands over, and the source of recorded files.

A source runs beside the window and never holds it up: `take` returns at once. The live source
is poller.py. Next: model.py, which makes a picture's facts of the items.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from glassraft.errors import GlassraftError
from glassraft.events import Event, nodes, read_all

State = Literal["running", "refusing", "silent", "unreachable"]
"""How a node meets a call: answers; nobody listens; accepts and says nothing; cannot be got at."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one node, in its own order, and when they got here (wall clock, seconds).

    `caught_up`: the node had no more, so the last of them is of this very moment.
    """

    node: int
    events: list[Event]
    arrived: float
    caught_up: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """How a node met the last call, since when (wall clock, seconds), and the error's words if any."""

    node: int
    state: State
    since: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """The queue as a node told it: jobs by state, and the newest jobs as {"id", "task", "state", ...}."""

    counts: dict[str, int]
    jobs: list[dict[str, Any]] = field(default_factory=list)


Item = Batch | Standing | Overview


class Source(Protocol):
    """Where items come from."""

    @property
    def live(self) -> bool:
        """Whether time goes on; a recorded run stands still at its end."""

    def start(self) -> None:
        """Begin; called once, before the first `take`."""

    def take(self) -> list[Item]:
        """What has come in since the last call. Never waits."""

    def stop(self) -> None:
        """End every thread; returns within a second or so."""


class RecordedSource:
    """A finished run: the event files in a folder, merged, handed over at once.

    Raises GlassraftError where the folder has no event files or they cannot be read.
    """

    live = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.ids = tuple(nodes(folder)) if folder.is_dir() else ()
        except OSError as error:
            raise GlassraftError(f"cannot read {folder}: {error.strerror or error}") from error
        if not self.ids:
            raise GlassraftError(
                f"{folder} has no event files (node-1.jsonl, ...); name the folder of a run's logs"
            )

    def start(self) -> None:
        """Nothing runs beside the window."""

    def events(self) -> Iterator[Event]:
        """All events of the run, in one order."""
        return read_all(self.folder)

    def take(self) -> list[Item]:
        """Nothing more comes in."""
        return []

    def stop(self) -> None:
        """Nothing to end."""
