"""Which finished jobs are kept, and for how long: the rest goes, in bounded steps, the oldest first.

A job is kept for its retention, and no queue keeps more than MAX_KEPT in one finished state.
Neither rule touches a job that finished less than ten minutes ago, so that a repeated Complete
gets its first answer. Next: removal.py, which takes a job out of the tables.
"""

from collections.abc import Sequence
from typing import Any, Final

from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.dependencies import is_needed
from glassraft.jobqueue.fields import DAY_MS, LEAST_RETENTION_MS
from glassraft.jobqueue.removal import remove
from glassraft.jobqueue.states import CANCELLED, DEAD, SUCCEEDED

RETENTION_MS: Final = {SUCCEEDED: 7 * DAY_MS, DEAD: 30 * DAY_MS, CANCELLED: 30 * DAY_MS}
MAX_KEPT: Final = 100_000
PRUNE_BUDGET: Final = 128
PRUNE_EVERY: Final = 8
"""Only each eighth command prunes, or one that adds more jobs: rows go together at a smaller cost."""
QUEUES_LOOKED_AT: Final = 256

EXPIRED: Final = (
    "SELECT id FROM jobs INDEXED BY jobs_to_prune WHERE prune_ms <= ? ORDER BY prune_ms, id LIMIT ?"
)
SURPLUS: Final = (
    "SELECT id FROM jobs INDEXED BY jobs_finished"
    " WHERE state = ? AND queue = ? AND finished_ms <= ? AND prune_ms IS NOT NULL"
    " ORDER BY finished_ms, id LIMIT ?"
)


def prune_time(book: Book, job: Job, state: str) -> int:
    """When a job that finishes now may be pruned, cluster time."""
    return book.now_ms + (RETENTION_MS[state] if job.retention_ms is None else job.retention_ms)


def prune(book: Book, adding: int) -> None:
    """Removes up to twice as many jobs as the command adds, and at least PRUNE_BUDGET."""
    if adding < PRUNE_EVERY and book.index % PRUNE_EVERY:
        return
    budget = max(PRUNE_BUDGET, 2 * adding)
    if book.may_prune():
        expired = _removable(book, book.read(EXPIRED, (book.now_ms, budget)).fetchall())
        remove(book, expired, "pruned")
        budget -= len(expired)
    for queue, state in sorted(book.counts.above(MAX_KEPT))[:QUEUES_LOOKED_AT]:
        count = min(budget, book.counts.of(queue, state) - MAX_KEPT)
        old_enough_ms = book.now_ms - LEAST_RETENTION_MS
        surplus = _removable(book, book.read(SURPLUS, (state, queue, old_enough_ms, count)).fetchall())
        remove(book, surplus, "pruned")
        budget -= len(surplus)
        if budget <= 0:
            break


def _removable(book: Book, rows: Sequence[tuple[Any, ...]]) -> list[Job]:
    """The jobs, less those that come before an unfinished one: the end of the last of these lets them go."""
    jobs = [job for (number,) in rows if (job := book.job(number)) is not None]
    needed = [job for job in jobs if is_needed(book, job)]
    book.write("job kept", [(job.id,) for job in needed])
    return [job for job in jobs if job not in needed]
