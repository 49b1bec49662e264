"""Which jobs come after which: what a job waits for, and what is kept because somebody waits.

A row of `dependencies` stands for one job that comes after another. Its status says whether the
other's end was counted; `held` is 1 while the later job is not finished, so that the earlier one is
neither pruned nor purged. What one job's end does to others is cascade.py's.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from glassraft.jobqueue import ids
from glassraft.jobqueue.book import Book, Job, Refusal
from glassraft.jobqueue.states import FINISHED, SUCCEEDED

PENDING: Final = 0
COUNTED: Final = 1
CANCELLED_IT: Final = 2
"""The earlier job's bad end cancelled the later one."""

EARLIER: Final = "SELECT after FROM dependencies INDEXED BY dependencies_of_jobs WHERE job = ? ORDER BY after"
HELD: Final = "SELECT 1 FROM dependencies INDEXED BY dependencies_held WHERE after = ? AND held = 1 LIMIT 1"

RUN_ANYWAY: Final = "run"


class Links(NamedTuple):
    """What a new job comes after: how many of those it waits for, and the rows that say so."""

    waits_for: int
    rows: Sequence[tuple[int, int, int]]
    ended: Sequence[int]
    """Those that ended badly already: they act at once."""


def earlier_jobs(item: dict[str, Any], numbers: Sequence[int]) -> Sequence[int]:
    """The jobs that an item comes after. `numbers` are those of its command's items, which it may name by position."""
    named = (
        numbers[each] if isinstance(each, int) else ids.from_text(each) for each in item.get("after", ())
    )
    return sorted(set(named))


def find_missing(
    book: Book, items: Sequence[dict[str, Any]], numbers: Sequence[int], first: int
) -> Refusal | None:
    """Why an item cannot come after a job: there never was one, or it is no more.

    Only by position can it come after one of its own command, of which `first` is the first new job.
    """
    for position, item in enumerate(items):
        for each in item.get("after", ()):
            number = numbers[each] if isinstance(each, int) else ids.from_text(each)
            is_new = isinstance(each, int) and number >= first
            if not is_new and book.job(number) is None:
                earlier = ids.to_text(number)
                message = f"item {position}: there is no job {earlier} that it could come after"
                return Refusal("not_found", message, {"item": position, "after": earlier})
    return None


def links(book: Book, job: int, item: dict[str, Any], numbers: Sequence[int], first: int) -> Links:
    """What a job that is about to be added comes after; find_missing has found nothing."""
    rows = []
    ended = []
    for number in earlier_jobs(item, numbers):
        earlier = None if number >= first else book.job(number)
        state = "" if earlier is None else earlier.state
        is_done = state == SUCCEEDED or (state in FINISHED and item.get("on_dependency") == RUN_ANYWAY)
        rows.append((number, job, COUNTED if is_done else PENDING))
        if state in FINISHED and not is_done:
            ended.append(number)
    return Links(sum(status == PENDING for _, _, status in rows), rows, ended)


def add(book: Book, new: Sequence[Links]) -> None:
    """Writes the links of jobs that were added."""
    rows = [row for each in new for row in each.rows]
    book.write("dependency", rows)
    book.write("job linked", [(number,) for number in sorted({earlier for earlier, _, _ in rows})])
    for number in sorted({number for each in new for number in each.ended}):
        book.cascade(number)


def wait_again(book: Book, job: Job) -> int:
    """A job that ran or was cancelled is to run again; returns how many jobs it has to wait for."""
    waits_for = 0
    rows = []
    for (earlier,) in book.read(EARLIER, (job.id,)).fetchall():
        other = book.job(earlier)
        is_done = other is None or other.state in FINISHED
        waits_for += not is_done
        rows.append((COUNTED if is_done else PENDING, earlier, job.id))
    book.write("dependency again", rows)
    return waits_for


def is_needed(book: Book, job: Job) -> bool:
    """Whether an unfinished job comes after it."""
    return bool(job.linked) and book.read(HELD, (job.id,)).fetchone() is not None
