"""A job's states and every transition between them, as data.

The machine asks `check` before it moves a job, so what is not in the table cannot happen;
docs/queue.md shows the same table. Next: book.py, where a job is moved.
"""

from collections.abc import Mapping
from typing import Final

from glassraft.errors import GlassraftError

WAITING: Final = "waiting"
SCHEDULED: Final = "scheduled"
READY: Final = "ready"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
DEAD: Final = "dead"
CANCELLED: Final = "cancelled"

NOWHERE: Final = ""
"""Where a job is before it is submitted and after it is purged or pruned."""

UNFINISHED: Final = (WAITING, SCHEDULED, READY, RUNNING)
FINISHED: Final = (SUCCEEDED, DEAD, CANCELLED)
STATES: Final = (*UNFINISHED, *FINISHED)

MEANING: Final[Mapping[str, str]] = {
    WAITING: "jobs it comes after are not finished",
    SCHEDULED: "its time has not come: a delay, a set time, or a retry's backoff",
    READY: "any worker may take it",
    RUNNING: "leased to a worker, under a token, until the lease ends",
    SUCCEEDED: "has a result",
    DEAD: "out of attempts, or failed for good",
    CANCELLED: "by a person, a deadline, or a dependency",
}

_ENDS_OF_AN_ATTEMPT = {RUNNING: (SCHEDULED, READY, DEAD, CANCELLED)}

TRANSITIONS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "submitted": {NOWHERE: (READY, SCHEDULED, WAITING)},
    "came_due": {SCHEDULED: (READY,)},
    "updated": {WAITING: (WAITING,), SCHEDULED: (SCHEDULED, READY), READY: (READY, SCHEDULED)},
    "taken": {READY: (RUNNING,)},
    "completed": {RUNNING: (SUCCEEDED,)},
    "failed": _ENDS_OF_AN_ATTEMPT,
    "released": _ENDS_OF_AN_ATTEMPT,
    "lease_expired": _ENDS_OF_AN_ATTEMPT,
    "timed_out": _ENDS_OF_AN_ATTEMPT,
    "never_started": {RUNNING: (READY, DEAD, CANCELLED)},
    "dependencies_done": {WAITING: (READY, SCHEDULED)},
    "dependency_ended": {WAITING: (CANCELLED,)},
    "deadline_passed": {WAITING: (CANCELLED,), SCHEDULED: (CANCELLED, DEAD), READY: (CANCELLED, DEAD)},
    "cancel_requested": {RUNNING: (RUNNING,)},
    "cancelled": {WAITING: (CANCELLED,), SCHEDULED: (CANCELLED,), READY: (CANCELLED,), RUNNING: (CANCELLED,)},
    "retried": {DEAD: (READY, SCHEDULED, WAITING), CANCELLED: (READY, SCHEDULED, WAITING)},
    "purged": {SUCCEEDED: (NOWHERE,), DEAD: (NOWHERE,), CANCELLED: (NOWHERE,)},
    "pruned": {SUCCEEDED: (NOWHERE,), DEAD: (NOWHERE,), CANCELLED: (NOWHERE,)},
}
"""What happened -> the state it starts from -> the states it may lead to."""

_ALLOWED: Final = frozenset(
    (event, before, after)
    for event, moves in TRANSITIONS.items()
    for before, afters in moves.items()
    for after in afters
)


class ImpossibleTransition(GlassraftError):
    """The machine was about to move a job along no line of the table: a bug, which must stop the node."""


def check(event: str, before: str, after: str) -> None:
    """Raises ImpossibleTransition unless the table has this move."""
    if (event, before, after) not in _ALLOWED:
        raise ImpossibleTransition(f"no transition {event!r} leads from {before!r} to {after!r}")
