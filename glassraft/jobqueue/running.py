"""A job's attempts: taking it under a lease, keeping the lease, and every way in which an attempt ends.

A token is the log index of the Take that granted it. It is valid until the machine has applied
the attempt's end, whatever the clock says: the row's state decides. An item of Extend,
Complete, Fail or Release is answered on its own, and asking again gives the first answer, found
in the job's history. Answers: {"jobs": [{"job", "ok": true, ...} or {"job", "ok": false, "why",
"message", "state"}, ...]}, `why` being a fault's name.
"""

from typing import Any, Final

from glassraft.jobqueue import ids, keys, queues
from glassraft.jobqueue.backoff import DEFAULT_BASE_MS, DEFAULT_CAP_MS, DEFAULT_FACTOR, backoff_ms
from glassraft.jobqueue.book import Book, Job, Refusal
from glassraft.jobqueue.pruning import prune_time
from glassraft.jobqueue.states import CANCELLED, DEAD, FINISHED, READY, RUNNING, SCHEDULED, SUCCEEDED
from glassraft.jobqueue.submitting import submit_items

TIMEOUT_GRACE_MS: Final = 10_000
"""A worker ends a job at its timeout; the machine does when the worker has not, this much later."""
CANCEL_GRACE_MS: Final = 30_000
"""How long a job that was told to stop may go on."""
DEADLINE_PASSED: Final = "its deadline passed before it could start"
CANCELLED_BY_HAND: Final = "cancelled by hand"
MAX_TAKEN_BYTES: Final = 8 * 1024 * 1024
"""Of arguments in a Take's answer: 1,000 jobs of the largest would be half a gigabyte."""
MAX_NEVER_STARTED: Final = 20
MAX_RELEASES: Final = 1_000

ENDED: Final = "SELECT after FROM history WHERE job = ? AND token = ? AND event = ? ORDER BY n LIMIT 1"

# Taking and keeping


def take(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Leases up to `count` ready jobs, queue by queue in the order given, each by priority and then id.

    No more than a queue's settings allow; none of a paused one.
    No more than MAX_TAKEN_BYTES of arguments, but always one job where there is one. Answers
    {"jobs": [[id, token], ...]}.
    """
    wanted: int = arguments["count"]
    token = book.index
    jobs: list[Job] = []
    for queue in arguments["queues"]:
        count = min(wanted - len(jobs), queues.may_start(book, queue))
        if count > 0:
            jobs += book.ready(queue, count)
    jobs = _that_fit(jobs)
    worker: str = arguments["worker"]
    rows = []
    for job, n in zip(jobs, book.move(jobs, "taken", RUNNING, token=token, worker=worker), strict=True):
        cap_ms = None if job.timeout_ms is None else book.lease_now_ms + job.timeout_ms + TIMEOUT_GRACE_MS
        until_ms = _lease_until(book, job, arguments["lease_ms"], cap_ms)
        book.expect(until_ms + book.lease_gap_ms)
        rows.append((token, worker, job.attempt + 1, book.now_ms, until_ms, cap_ms, n, job.id))
    book.write("job taken", rows)
    queues.started(book, jobs)
    return {"jobs": [[ids.to_text(job.id), token] for job in jobs]}


def _that_fit(jobs: list[Job]) -> list[Job]:
    size = 0
    for count, job in enumerate(jobs):
        size += job.size
        if size > MAX_TAKEN_BYTES and count:
            return jobs[:count]
    return jobs


def _lease_until(book: Book, job: Job, lease_ms: int, cap_ms: int | None) -> int:
    until_ms = book.lease_now_ms + (job.lease_ms or lease_ms)
    return until_ms if cap_ms is None else min(until_ms, cap_ms)


def extend(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Moves leases on, and takes progress with it. A lease never gets shorter, nor goes beyond its cap.

    An item's answer holds lease_until_ms, cluster time, and cancel_requested, true, once it is.
    """
    answers = []
    rows = []
    for text, token, fraction, note in arguments["items"]:
        job = book.job(ids.from_text(text))
        if job is None or not _holds(book, job, token):
            answers.append(_refuse(text, job, token))
            continue
        until_ms = _lease_until(book, job, arguments["lease_ms"], job.lease_cap_ms)
        until_ms = max(until_ms, job.lease_until_ms or 0)
        rows.append((until_ms, fraction, note, job.id))
        answer = {"job": text, "ok": True, "lease_until_ms": until_ms + book.lease_gap_ms}
        if job.cancel_requested_ms is not None:
            answer["cancel_requested"] = True
        answers.append(answer)
    book.write("job extended", rows)
    book.expect_less()
    return {"jobs": answers}


def ask_to_stop(book: Book, job: Job) -> None:
    """A running job is to be cancelled: its worker learns of it with the next Extend.

    It may still succeed; any other end leaves it cancelled, and its lease ends with the grace.
    """
    if job.cancel_requested_ms is not None:
        return
    last_ms = book.lease_now_ms + CANCEL_GRACE_MS
    until_ms = last_ms if job.lease_until_ms is None else min(job.lease_until_ms, last_ms)
    cap_ms = last_ms if job.lease_cap_ms is None else min(job.lease_cap_ms, last_ms)
    [n] = book.move([job], "cancel_requested", RUNNING)
    book.write("job told to stop", [(book.now_ms, until_ms, cap_ms, n, job.id)])
    book.expect(until_ms + book.lease_gap_ms)


def end_unstarted(book: Book, job: Job, event: str, after: str, error: str | None) -> None:
    """A job that waits, or is scheduled or ready, will not run (again)."""
    [n] = book.move([job], event, after, error=error)
    prune_ms = _finish(book, job, after)
    book.write("job will not run", [(after, error, book.now_ms, prune_ms, n, job.id)])


# Deadlines: no attempt starts at that time or later


def too_late(book: Book, job: Job, delay_ms: int = 0) -> bool:
    """Whether the next attempt would start, in `delay_ms` at the earliest, when the deadline has passed."""
    return job.deadline_ms is not None and book.now_ms + delay_ms >= job.deadline_ms


def ended_by_deadline(job: Job) -> tuple[str, str | None]:
    """A job that never failed is cancelled; one that would have been tried again is dead, with its last error."""
    return (DEAD, None) if job.failures else (CANCELLED, DEADLINE_PASSED)


def deadline_passed(book: Book, job: Job) -> None:
    """A job that does not run will not start any more."""
    end_unstarted(book, job, "deadline_passed", *ended_by_deadline(job))


# Ends that the worker tells


def complete(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """The attempts succeeded. An item's answer holds the state the job went to.

    The jobs that an item submits come to be together with its completion, or neither does.
    """
    answers = []
    position = 0
    for text, token, result, *submit in arguments["items"]:
        job = book.job(ids.from_text(text))
        if job is None or not _holds(book, job, token):
            answers.append(_again(book, "completed", text, job, token))
            continue
        if submit:
            handed_on = submit_items(book, submit[0], position)
            position += len(submit[0])
            if isinstance(handed_on, Refusal):
                answers.append(_no(text, job, handed_on.code_name, f"not completed: {handed_on.message}"))
                continue
            job = book.job(job.id) or job  # one of those may come after it
        book.write("job result", [(job.id, result)])
        _end(book, job, "completed", SUCCEEDED, failures=job.failures)
        answers.append({"job": text, "ok": True, "state": SUCCEEDED})
    return {"jobs": answers}


def fail(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """The attempts failed. An item's answer holds the state the job went to: scheduled again, dead, or cancelled."""
    answers = []
    for text, token, error, traceback, retry in arguments["items"]:
        job = book.job(ids.from_text(text))
        if job is None or not _holds(book, job, token):
            answers.append(_again(book, "failed", text, job, token))
            continue
        state = fail_attempt(book, job, "failed", error, retry=retry, traceback=traceback)
        answers.append({"job": text, "ok": True, "state": state})
    return {"jobs": answers}


def release(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Workers give jobs back: the attempts do not count. An item's answer holds the state the job went to."""
    answers = []
    for text, token, delay_ms, reason in arguments["items"]:
        job = book.job(ids.from_text(text))
        if job is None or not _holds(book, job, token):
            answers.append(_again(book, "released", text, job, token))
            continue
        answers.append({"job": text, "ok": True, "state": _give_back(book, job, delay_ms, reason)})
    return {"jobs": answers}


def _give_back(book: Book, job: Job, delay_ms: int, reason: str) -> str:
    releases = job.releases + 1
    after = SCHEDULED if delay_ms else READY
    error = reason or None
    if job.cancel_requested_ms is not None:
        after = CANCELLED
    elif too_late(book, job, delay_ms):
        after, error = ended_by_deadline(job)
    elif releases >= MAX_RELEASES:
        after = DEAD
        error = f"released too often: {releases} times in a row" + (f" ({reason})" if reason else "")
    counters = {"failures": job.failures, "releases": releases}
    _end(book, job, "released", after, delay_ms=delay_ms, error=error, **counters)
    return after


# Ends that time brings


def lease_ran_out(book: Book, job: Job) -> None:
    """The lease of a running job is over.

    A job that was never extended was never started: that attempt does not count, or a worker
    that takes more than it can begin would use up the attempts of jobs that it never ran.
    """
    worker = f"(worker {job.worker})"
    if job.cancel_requested_ms is not None:
        error = f"lease expired {worker}"
        _end(book, job, "cancelled", CANCELLED, failures=job.failures, error=error)
    elif not job.started:
        in_a_row = job.never_started + 1
        after, error = READY, None
        if too_late(book, job):
            after, error = ended_by_deadline(job)
        elif in_a_row >= MAX_NEVER_STARTED:
            after, error = DEAD, f"never started: {in_a_row} leases in a row ran out first {worker}"
        counters = {"failures": job.failures, "never_started": in_a_row, "releases": job.releases}
        _end(book, job, "never_started", after, error=error, **counters)
    elif job.timeout_ms is not None and job.lease_until_ms == job.lease_cap_ms:
        seconds = f"{job.timeout_ms / 1000:g}"
        fail_attempt(book, job, "timed_out", f"timed out: it ran longer than {seconds} s {worker}")
    else:
        fail_attempt(book, job, "lease_expired", f"lease expired {worker}")


def fail_attempt(
    book: Book, job: Job, event: str, error: str, *, retry: bool = True, traceback: str = ""
) -> str:
    """An attempt that counts has failed. Returns the state: scheduled after the backoff, dead, or cancelled."""
    failures = job.failures + 1
    after, delay_ms = DEAD, 0
    if job.cancel_requested_ms is not None:
        after = CANCELLED
    elif retry and failures < (job.attempts_allowed or job.max_attempts):
        delay_ms = backoff_ms(
            job.id,
            job.attempt,
            failures,
            DEFAULT_BASE_MS if job.backoff_base_ms is None else job.backoff_base_ms,
            DEFAULT_FACTOR if job.backoff_factor is None else job.backoff_factor,
            DEFAULT_CAP_MS if job.backoff_cap_ms is None else job.backoff_cap_ms,
        )
        if not too_late(book, job, delay_ms):
            after = SCHEDULED if delay_ms else READY
    n = _end(book, job, event, after, failures=failures, delay_ms=delay_ms, error=error)
    if traceback:
        book.add_traceback(job.id, n, traceback)
    return after


def _end(
    book: Book,
    job: Job,
    event: str,
    after: str,
    *,
    failures: int,
    delay_ms: int = 0,
    never_started: int = 0,
    releases: int = 0,
    error: str | None = None,
) -> int:
    [n] = book.move([job], event, after, error=error)
    at_ms = book.now_ms + delay_ms if after == SCHEDULED else job.at_ms
    finished_ms = prune_ms = None
    if after in FINISHED:
        finished_ms, prune_ms = book.now_ms, _finish(book, job, after)
    if after == CANCELLED and job.cancel_requested_ms is not None:
        error = CANCELLED_BY_HAND  # what the attempt itself came to is in the history
    counters = (failures, never_started, releases)
    book.write("job ended", [(after, at_ms, *counters, error, finished_ms, prune_ms, n, job.id)])
    if after == SCHEDULED:
        book.schedule([(at_ms, job.id)])
    book.expect_less()
    return n


def _finish(book: Book, job: Job, after: str) -> int:
    """What a job's end means for what is kept beside its row; returns when it may be pruned."""
    prune_ms = prune_time(book, job, after)
    book.expect_pruning(prune_ms)
    book.forget_times(job)
    keys.job_finished(book, job)
    if job.linked:
        book.cascade(job.id)
    return prune_ms


# Tokens


def _holds(book: Book, job: Job, token: int) -> bool:
    return book.rules.token_is_valid(job.state, job.token, token)


def _again(book: Book, event: str, text: str, job: Job | None, token: int) -> dict[str, Any]:
    """The first answer, where this token already ended its attempt in this way; else a refusal."""
    if job is not None:
        ended = book.read(ENDED, (job.id, token, event)).fetchone()
        if ended is not None:
            return {"job": text, "ok": True, "state": ended[0]}
    return _refuse(text, job, token)


def _refuse(text: str, job: Job | None, token: int) -> dict[str, Any]:
    if job is None:
        why, message = "not_found", f"there is no job {text}"
    elif token <= job.token:
        why, message = "stale_token", f"token {token} of job {text} is no longer valid: it is {job.state}"
        if job.state == RUNNING:
            message += f" under token {job.token} (worker {job.worker})"
    else:
        why, message = "wrong_state", f"job {text} is {job.state}; it never had the token {token}"
    return _no(text, job, why, message)


def _no(text: str, job: Job | None, why: str, message: str) -> dict[str, Any]:
    return {"job": text, "ok": False, "why": why, "message": message, "state": job.state if job else ""}
