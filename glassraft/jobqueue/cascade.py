"""What one job's end, or its retry by hand, does to those that come after it: in bounded steps.

A row of `due` says that a job's links are to be looked at; the job's state decides what is done.
Its dependents are handled in the order of their ids.
"""

from typing import Final

from glassraft.jobqueue import dependencies, ids
from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.dependencies import CANCELLED_IT, COUNTED, PENDING, RUN_ANYWAY
from glassraft.jobqueue.retrying import retry_job
from glassraft.jobqueue.running import end_unstarted
from glassraft.jobqueue.states import CANCELLED, DEAD, FINISHED, READY, SCHEDULED, SUCCEEDED, WAITING

HOLDS: Final = (
    "SELECT after FROM dependencies INDEXED BY dependencies_holding"
    " WHERE job = ? AND held = 1 ORDER BY after LIMIT ?"
)
DEPENDENTS: Final = (
    "SELECT job FROM dependencies INDEXED BY dependencies_by_status"
    " WHERE after = ? AND status = ? ORDER BY job LIMIT ?"
)


def step(book: Book, number: int, budget: int) -> int:
    """Handles up to `budget` links of the job; returns how many. Fewer than the budget: it is done."""
    job = book.job(number)
    if job is None:
        return 0
    used = 0
    if job.state in FINISHED:
        for (earlier,) in book.read(HOLDS, (number, budget)).fetchall():
            _let_go(book, earlier, number)
            used += 1
        for (later,) in book.read(DEPENDENTS, (number, PENDING, budget - used)).fetchall():
            book.write("dependency counted", [(_count(book, job, later), number, later)])
            used += 1
    if job.brings_back and job.state not in (DEAD, CANCELLED):
        for (later,) in book.read(DEPENDENTS, (number, CANCELLED_IT, budget - used)).fetchall():
            book.write("dependency counted", [(COUNTED, number, later)])
            _bring_back(book, later)
            used += 1
    return used


def _let_go(book: Book, earlier: int, later: int) -> None:
    """A finished job no longer keeps an earlier one from being pruned."""
    book.write("dependency let go", [(earlier, later)])
    other = book.job(earlier)
    if (
        other is not None
        and other.state in FINISHED
        and other.prune_ms is None
        and not dependencies.is_needed(book, other)
    ):
        book.write("job may be pruned", [(book.now_ms, earlier)])
        book.expect_pruning(book.now_ms)


def _count(book: Book, job: Job, number: int) -> int:
    """A job that comes after `job` learns of its end; returns the status of their link."""
    later = book.job(number)
    if later is None or later.state != WAITING:
        return COUNTED
    if job.state != SUCCEEDED and later.on_dependency != RUN_ANYWAY:
        error = f"job {ids.to_text(job.id)}, which it comes after, is {job.state}"
        end_unstarted(book, later, "dependency_ended", CANCELLED, error)
        return CANCELLED_IT
    if later.waits_for > 1:
        book.write("job waits for", [(later.waits_for - 1, number)])
    else:
        _begin(book, later)
    return COUNTED


def _begin(book: Book, job: Job) -> None:
    """The last of the jobs that it came after is done; a delay counts from now."""
    at_ms = max(job.at_ms, book.now_ms) if job.delay_ms is None else book.now_ms + job.delay_ms
    after = SCHEDULED if at_ms > book.now_ms else READY
    [n] = book.move([job], "dependencies_done", after)
    book.write("job waits no more", [(after, at_ms, n, job.id)])
    if after == SCHEDULED:
        book.schedule([(at_ms, job.id)])


def _bring_back(book: Book, number: int) -> None:
    later = book.job(number)
    if later is not None and later.state == CANCELLED:
        retry_job(book, later, None, dependents=True)
