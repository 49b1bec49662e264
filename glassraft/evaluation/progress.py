"""A progress bar: rich's where it is installed, a plain one elsewhere, and few lines where nobody watches.

`Progress` is the same to its callers either way.
"""

import importlib.util
import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

_WIDTH = 30
_PLAIN_INTERVAL_S = 0.1
_LOG_INTERVAL_S = 10.0


class Progress:
    """Counts up to `total` steps on the terminal. A context manager; `advance` may come from any thread."""

    def __init__(self, title: str, total: int, out: TextIO | None = None) -> None:
        self._bar: _RichBar | _PlainBar
        if out is None and sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
            self._bar = _RichBar(title, total)
        else:
            self._bar = _PlainBar(title, total, out or sys.stderr)

    def __enter__(self) -> Self:
        self._bar.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.end()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """So many more steps are done; `note` says, in a few words, what is going on."""
        self._bar.advance(steps, note)


class _RichBar:
    def __init__(self, title: str, total: int) -> None:
        import rich.progress as rich

        self._progress: Any = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TimeRemainingColumn(),
            rich.TextColumn("{task.fields[note]}"),
            console=_stderr_console(),
        )
        self._task = self._progress.add_task(title, total=total, note="")

    def begin(self) -> None:
        self._progress.start()

    def advance(self, steps: int, note: str) -> None:
        self._progress.update(self._task, advance=steps, **({"note": note} if note else {}))

    def end(self) -> None:
        self._progress.stop()


def _stderr_console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


class _PlainBar:
    """One line that is drawn over on a terminal; a line every ten seconds in a file."""

    def __init__(self, title: str, total: int, out: TextIO) -> None:
        self._title = title
        self._total = total
        self._out = out
        self._live = out.isatty()
        self._done = 0
        self._note = ""
        self._drawn_at = time.monotonic()

    def begin(self) -> None:
        self._draw()

    def advance(self, steps: int, note: str) -> None:
        self._done += steps
        self._note = note or self._note
        interval = _PLAIN_INTERVAL_S if self._live else _LOG_INTERVAL_S
        if time.monotonic() - self._drawn_at >= interval:
            self._draw()

    def end(self) -> None:
        self._draw()
        if self._live:
            self._out.write("\n")
            self._out.flush()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        filled = _WIDTH * self._done // self._total if self._total else _WIDTH
        bar = "#" * filled + "." * (_WIDTH - filled)
        text = f"{self._title} [{bar}] {self._done}/{self._total} {self._note}".rstrip()
        self._out.write(f"\r\x1b[K{text[:110]}" if self._live else text + "\n")
        self._out.flush()
