"""A progress bar for long searches: rich's where it is installed, plain lines elsewhere."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

PLAIN_EVERY_S: Final = 10.0

Advance = Callable[[int], None]


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Shows how far `total` has come; what is yielded is told how many more are done."""
    if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
        with _rich_bar(title, total) as advance:
            yield advance
    else:
        yield _plain_lines(title, total)


@contextmanager
def _rich_bar(title: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)


def _plain_lines(title: str, total: int) -> Advance:
    began = said_at = time.monotonic()
    done = 0

    def advance(more: int) -> None:
        nonlocal done, said_at
        done += more
        now = time.monotonic()
        if now - said_at >= PLAIN_EVERY_S:
            said_at = now
            rate = done / (now - began)
            print(f"{title}: {done:,} of {total:,}, {rate:.1f} a second", file=sys.stderr, flush=True)

    return advance
