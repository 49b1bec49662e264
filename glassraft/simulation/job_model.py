"""What one job answers when calls come one at a time: the model behind the check of the clients' histories.

Written from docs/queue.md and not from the machine, so that a mistake in the one is not in the
other. Clients see a job's state, tokens and refusals. What time does is written into the history
as operations that nobody answers: the end of a lease may happen once it can have come, or later, or never.

The kinds of operations, with their arguments and results:

    submit   Submission                 anything; or REFUSED
    get      None                       the state, or None: there is no such job
    take     the lease (s)              the token. No operation for jobs that were not handed out
    extend   token                      "running", or REFUSED
    complete token                      "succeeded", or REFUSED
    fail     (token, whether to retry)  the state it went to, or REFUSED
    release  token                      the state it went to, or REFUSED
    expire   token                      made by `with_ends_of_leases`

A Take that is repeated tells no more of jobs whose lease has ended meanwhile: whoever notes one
down notes an unanswered `take` on EVERY_KEY too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from glassraft.simulation.linearizability import Operation

REFUSED: Final = "refused"
"""The result of a call that was told that it changes nothing."""

NEVER_STARTED_LIMIT: Final = 20
"""A job dies after so many leases in a row that ran out without a sign of life."""


MOVES_BY_ITSELF: Final = {"waiting": ("scheduled", "ready"), "scheduled": ("ready",)}
"""States that a job leaves without anybody's asking, and those it goes to."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What was asked for: how often it may be tried, and whether it is to wait for its time or for other jobs."""

    max_attempts: int = 10
    is_delayed: bool = False
    comes_after: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A job between two operations."""

    state: str
    token: int | None = None
    """Of the attempt that is running. None where the answer that told it was lost: it may be any new one."""
    highest_token: int = 0
    attempts: int = 0
    limit: int = 0
    ended: frozenset[tuple[str, int, str]] = frozenset()
    """How each attempt was ended by its worker: (kind, token, state it went to)."""

    def __str__(self) -> str:
        token = "an unknown token" if self.token is None else f"token {self.token}"
        return f"running under {token}" if self.state == "running" else self.state

    def may_hold(self, token: int | None) -> bool:
        """Whether the attempt with this token may be the one that runs."""
        if self.state != "running" or self.token is None or token is None:
            return self.state == "running" and (token is None or token > self.highest_token)
        return token == self.token

    def surely_holds(self, token: int) -> bool:
        """Whether no other attempt can be the one that runs."""
        return self.state == "running" and token == self.token


ABSENT: Final = Job("absent")
"""There is no such job."""


class JobModel:
    """The queue's promises about one job (docs/queue.md)."""

    initial = ABSENT

    def apply(self, state: Job, operation: Operation) -> Iterable[Job]:
        """The states that may follow (linearizability.Model)."""
        if operation.kind == "submit":
            return _submit(state, operation)
        if state is ABSENT:
            is_told_so = not operation.is_answered or operation.result in (None, REFUSED)
            return [state] if is_told_so else []
        return APPLY[operation.kind](state, operation)


def _submit(job: Job, operation: Operation) -> Iterable[Job]:
    if operation.is_answered and operation.result == REFUSED:
        return [job]
    if job is not ABSENT:
        return []  # a second job would have come to be
    asked: Submission = operation.argument
    state = "waiting" if asked.comes_after else "scheduled" if asked.is_delayed else "ready"
    return [Job(state, limit=min(asked.max_attempts, NEVER_STARTED_LIMIT))]


def _get(job: Job, operation: Operation) -> Iterable[Job]:
    if operation.result in MOVES_BY_ITSELF.get(job.state, ()):
        return [replace(job, state=operation.result)]
    return [job] if not operation.is_answered or operation.result == job.state else []


def _take(job: Job, operation: Operation) -> Iterable[Job]:
    token: int | None = operation.result if operation.is_answered else None
    if job.state not in ("ready", *MOVES_BY_ITSELF) or (token is not None and token <= job.highest_token):
        return []
    highest = job.highest_token if token is None else token
    return [replace(job, state="running", token=token, highest_token=highest, attempts=job.attempts + 1)]


def _extend(job: Job, operation: Operation) -> Iterable[Job]:
    token = operation.argument
    if not operation.is_answered:
        return [job]
    may_be_told_so = not job.surely_holds(token) if operation.result == REFUSED else job.may_hold(token)
    return [job] if may_be_told_so else []


def _complete(job: Job, operation: Operation) -> Iterable[Job]:
    return _end(job, operation, operation.argument, ("succeeded",))


def _fail(job: Job, operation: Operation) -> Iterable[Job]:
    token, retry = operation.argument
    return _end(job, operation, token, _after_a_failure(job) if retry else ("dead",))


def _release(job: Job, operation: Operation) -> Iterable[Job]:
    return _end(job, operation, operation.argument, ("ready", "scheduled"))


def _end(job: Job, operation: Operation, token: int, after: Iterable[str]) -> Iterable[Job]:
    """A worker ends its attempt. Told again it gets the first answer; a token that is over changes nothing."""
    told = operation.result if operation.is_answered else None
    results: list[tuple[str, Job]] = []
    if job.may_hold(token):
        results += [(state, _ended(job, operation.kind, token, state)) for state in after]
    if not job.surely_holds(token):
        first = [state for kind, of, state in job.ended if (kind, of) == (operation.kind, token)]
        results.append((first[0] if first else REFUSED, job))
    return [next_job for result, next_job in results if told in (None, result)]


def _ended(job: Job, kind: str, token: int, state: str) -> Job:
    return replace(
        job, state=state, token=None, highest_token=token, ended=job.ended | {(kind, token, state)}
    )


def _expire(job: Job, operation: Operation) -> Iterable[Job]:
    if not job.may_hold(operation.argument):
        return []
    return [replace(job, state=state, token=None) for state in _after_a_failure(job)]


def _after_a_failure(job: Job) -> tuple[str, ...]:
    """Tried again, now or later; dead only when it was tried often enough."""
    return ("ready", "scheduled", "dead") if job.attempts >= job.limit else ("ready", "scheduled")


APPLY: Final = {
    "get": _get,
    "take": _take,
    "extend": _extend,
    "complete": _complete,
    "fail": _fail,
    "release": _release,
    "expire": _expire,
}


def with_ends_of_leases(history: Iterable[Operation], fastest: float = 1.0) -> list[Operation]:
    """The history, and for each lease its end: an operation that nobody answers, from when it can come.

    `fastest` is how many seconds the cluster's time may go on in one of the history's, at most.
    """
    complete = list(history)
    for operation in tuple(complete):
        if operation.kind == "take":
            ends_at = operation.call_at + operation.argument / fastest
            token = operation.result if operation.is_answered else None
            complete.append(Operation("time", ends_at, None, "expire", operation.key, token))
    return complete
