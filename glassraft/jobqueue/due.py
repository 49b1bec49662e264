"""How time advances in the machine: bounded steps before each command.

At most 256 rows whose time has come are handled, in the order of (at, kind, id): ends of leases
from the running jobs, by lease time, and jobs that come due, deadlines and keys
that come free, by cluster time. What is left over is
for the next command; the leader proposes Ticks while something is due.
"""

from typing import Final

from glassraft.jobqueue import cascade, keys
from glassraft.jobqueue.book import Book, BrokenQueue
from glassraft.jobqueue.running import deadline_passed, lease_ran_out
from glassraft.jobqueue.schema import KIND_CASCADE, KIND_COMES_DUE, KIND_DEADLINE, KIND_KEY
from glassraft.jobqueue.states import READY, RUNNING, SCHEDULED, WAITING

DUE_BUDGET: Final = 256

KIND_LEASE: Final = 0

LEASES_OVER: Final = (
    "SELECT lease_until_ms, id FROM jobs INDEXED BY jobs_leased"
    " WHERE state = 'running' AND lease_until_ms <= ? ORDER BY lease_until_ms, id LIMIT ?"
)
ROWS_DUE: Final = "SELECT at_ms, kind, id FROM due WHERE at_ms <= ? ORDER BY at_ms, kind, id LIMIT ?"


def advance(book: Book) -> None:
    """Handles up to DUE_BUDGET rows whose time has come by the book's time."""
    if not book.is_due(book.now_ms):
        return
    leases = book.read(LEASES_OVER, (book.lease_now_ms, DUE_BUDGET)).fetchall()
    rows = book.read(ROWS_DUE, (book.now_ms, DUE_BUDGET)).fetchall()
    steps = sorted([(until_ms + book.lease_gap_ms, KIND_LEASE, job) for until_ms, job in leases] + rows)
    budget = DUE_BUDGET
    for at_ms, kind, job in steps[:DUE_BUDGET]:
        if budget <= 0:
            break
        budget -= 1
        if kind == KIND_LEASE:
            _end_lease(book, job)
            continue
        book.write("due done", [(at_ms, kind, job)])
        if kind == KIND_CASCADE:
            used = cascade.step(book, job, budget + 1)
            if used > budget:
                book.cascade(job)  # behind what came due meanwhile
            budget -= max(used - 1, 0)
        elif kind == KIND_DEADLINE:
            _end_at_deadline(book, at_ms, job)
        elif kind == KIND_KEY:
            keys.come_free(book, at_ms, job)
        elif kind == KIND_COMES_DUE:
            _come_due(book, at_ms, job)
        else:
            raise BrokenQueue(f"a row of kind {kind} is due, which this version of the machine does not know")
    book.expect_less()


def _end_lease(book: Book, number: int) -> None:
    job = book.job(number)
    if job is not None and job.state == RUNNING:
        lease_ran_out(book, job)


def _end_at_deadline(book: Book, at_ms: int, number: int) -> None:
    job = book.job(number)
    if job is not None and job.state in (WAITING, SCHEDULED, READY) and job.deadline_ms == at_ms:
        deadline_passed(book, job)


def _come_due(book: Book, at_ms: int, number: int) -> None:
    """A row's state decides: a job that moved on since, or waits for a later time, is left alone."""
    job = book.job(number)
    if job is not None and job.state == SCHEDULED and job.at_ms <= at_ms:
        [n] = book.move([job], "came_due", READY)
        book.write("job ready", [(n, number)])
