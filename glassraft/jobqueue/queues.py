"""SetQueue, and the settings of all queues: in memory, where Take asks, and in their table.

Pausing stops only Take; whatever else happens to jobs goes on. The limits hold over all workers and
leaders, since Take is a command. They count valid tokens: a worker that is cut off may still run
what another has begun anew. What a setting means is in settings.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any, Final

from glassraft.jobqueue.book import Book, Job, Refusal
from glassraft.jobqueue.settings import QueueSettings
from glassraft.jobqueue.states import READY, RUNNING

MAX_SETTINGS: Final = 1_000
"""Queues that have settings. The next start that a rate allows is looked for among all of them."""


def set_queue(book: Book, arguments: dict[str, Any]) -> dict[str, Any] | Refusal:
    """Changes what is given of a queue's settings. Answers {"paused", "max_running", "rate"}."""
    queue: str = arguments["queue"]
    changes: dict[str, Any] = arguments["set"]
    known = book.settings.get(queue)
    if known is None and len(book.settings) >= MAX_SETTINGS:
        message = f"{MAX_SETTINGS:,} queues have settings, and no more may"
        return Refusal("full", message, {"queue": queue, "queues": MAX_SETTINGS})
    settings = known or QueueSettings()
    settings = replace(settings, paused=changes.get("paused", settings.paused))
    settings = replace(settings, max_running=changes.get("max_running", settings.max_running))
    if "rate" in changes:
        starts, per_ms = changes["rate"] or (None, settings.per_ms)
        settings = settings.with_rate(starts, per_ms, book.now_ms)
    _keep(book, queue, settings)
    rate = None if settings.starts is None else [settings.starts, settings.per_ms]
    return {"paused": settings.paused, "max_running": settings.max_running, "rate": rate}


def may_start(book: Book, queue: str) -> int:
    """How many of the queue's ready jobs may be taken now."""
    ready = book.counts.of(queue, READY)
    settings = book.settings.get(queue)
    if settings is None or not ready:
        return ready
    return min(ready, settings.may_start(book.counts.of(queue, RUNNING), book.now_ms))


def started(book: Book, jobs: Sequence[Job]) -> None:
    """These jobs were taken: it counts for their queues' rates."""
    if not book.settings:
        return
    for queue, count in sorted(Counter(job.queue for job in jobs).items()):
        settings = book.settings.get(queue)
        if settings is not None and settings.starts is not None:
            _keep(book, queue, settings.started(count, book.now_ms))


def _keep(book: Book, queue: str, settings: QueueSettings) -> None:
    book.settings[queue] = settings
    book.write("queue gone", [(queue,)])
    book.write("queue", [(queue, *astuple(settings))])
    comes_ms = settings.token_comes_ms(book.now_ms)
    book.expect_less()
    if comes_ms is not None:
        book.expect(comes_ms)
