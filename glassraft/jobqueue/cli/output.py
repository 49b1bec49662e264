"""How commands answer: a value as JSON for programs, or as text for people; and a bar for what takes long."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Self

from glassraft.jobqueue.cli import terminal

BAR: Final = 30
REDRAW_S: Final = 0.1


def show(options: argparse.Namespace, value: Any, as_text: Callable[[Any], str]) -> None:
    """The answer of a command, on the standard output."""
    if options.json:
        print(json.dumps(value, indent=2))
    else:
        terminal.write(as_text(value))


def width() -> int | None:
    """How many columns people see; None where nobody looks, and nothing is to be cut."""
    return shutil.get_terminal_size().columns if terminal.is_seen() else None


class Progress:
    """A bar on the error output while something takes its time; nothing where that is no terminal."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._began = time.monotonic()
        self._drawn_at = 0.0
        self._is_seen = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_seen and self._drawn_at:
            print(file=sys.stderr)

    def is_at(self, done: int) -> None:
        """So much of the total is done."""
        now = time.monotonic()
        if self._is_seen and (done >= self._total or now - self._drawn_at >= REDRAW_S):
            self._drawn_at = now
            line = bar(self._what, done, self._total, now - self._began)
            print(f"\r{line}", end="", file=sys.stderr, flush=True)


def bar(what: str, done: int, total: int, took_s: float) -> str:
    """[#####     ] submitted 500 of 1000, 2500/s, 0 s left."""
    share = done / total if total else 1.0
    rate = done / took_s if took_s > 0 else 0.0
    left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
    filled = "#" * int(BAR * share)
    return f"[{filled:<{BAR}}] {what} {done} of {total}, {rate:.0f}/s{left}  "
