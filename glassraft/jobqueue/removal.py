"""Taking finished jobs out of the tables, with all that belongs to them.

What others still need of a job is in rows of its own. Next: by_hand.py, where people ask for it.
"""

from collections.abc import Sequence
from typing import Final

from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.states import NOWHERE, check

_TABLES: Final = ("job", "arguments", "result", "history", "tracebacks")


def remove(book: Book, jobs: Sequence[Job], event: str) -> None:
    """The finished `jobs` are there no more; `event` is "purged" or "pruned"."""
    for job in jobs:
        check(event, job.state, NOWHERE)
        book.counts.moved(job.queue, event, job.state, NOWHERE)
        book.transitions.append((job.id, job.state, NOWHERE))
    rows = [(job.id,) for job in jobs]
    for table in _TABLES:
        book.write(f"{table} gone", rows)
    book.write("dependencies gone", [(job.id,) for job in jobs if job.linked])
