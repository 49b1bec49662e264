"""What the log holds: the text of a command, made from input that was checked first. Pure.

The client and the node that receives a call both come through the `check_` functions here, so
that the machine (machine.py) applies what is committed without ever meeting a wrong value. A
job's options are in job_options.py, single values in fields.py.
A command is one JSON object whose keys stand in a fixed order, so that its head can be read
without parsing the rest:

    {"op":"Submit","t":<cluster time, ms>,"v":1,"s":"<session>","n":<number>,"low":<lowest awaited>,"a":{...}}

The empty entry that begins a term is {"op":"Noop","t":<cluster time, ms>}.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.fields import (
    DAY_MS,
    LIMITS,
    LONGEST_MS,
    MAX_ERROR_BYTES,
    MAX_NOTE,
    MAX_TOKEN,
    MAX_TRACEBACK_BYTES,
    Limits,
    TooLarge,
    check_name,
    cut_end,
    cut_start,
    integer,
    payload,
    refuse_unknown,
    shown,
    storable,
)
from glassraft.jobqueue.job_options import check_attempts, check_changes, check_job, check_lease

OPS: Final = (
    "Submit",
    "Take",
    "Extend",
    "Complete",
    "Fail",
    "Release",
    "Cancel",
    "Retry",
    "Purge",
    "Update",
    "SetQueue",
    "SetSchedule",
    "DropSchedule",
    "RunSchedule",
    "FireSchedule",
    "Tick",
)
VERSION: Final = 1

MAX_LINKS: Final = 10_000
"""How many jobs those of one command may come after, all together: what a command does is bounded."""
MAX_OPEN: Final = 64
"""How many commands of one session may be unanswered at a time."""

# The envelope


def envelope(op: str, arguments: str, stamp_ms: int, session: str = "", number: int = 0, low: int = 0) -> str:
    """The command's text. `arguments` comes from a `check_` function, the session from `check_session`."""
    head = f'{{"op":"{op}","t":{stamp_ms},"v":{VERSION}'
    return f'{head},"s":"{session}","n":{number},"low":{low},"a":{arguments}}}'


def opening(stamp_ms: int) -> str:
    """The text of the empty entry that begins a term: it carries the time and nothing else."""
    return f'{{"op":"Noop","t":{stamp_ms}}}'


_head = re.compile(r'\{"op":"(\w+)","t":(\d+)[,}]').match
_configuration = re.compile(r'\{"addresses":.*,"t":(\d+),"voters":\[[\d,]*]}').fullmatch


def op_of(command: str) -> str:
    """The name of the operation, read from the head alone; "" when there is none."""
    head = _head(command)
    return head[1] if head else ""


def stamp_of(command: str) -> int:
    """The cluster time in the command, or in a configuration's text, ms; 0 when there is none."""
    head = _head(command)
    if head:
        return int(head[2])
    configuration = _configuration(command)
    return int(configuration[1]) if configuration else 0


_session = re.compile(r"[0-9a-f]{32}(-[1-9][0-9]{1,4})?").fullmatch


def check_session(session: str, number: int, low: int) -> None:
    """A session is 32 hex digits, and where its ttl is not an hour, `-` and the seconds (60 to 86400).

    `number` counts the session's commands from 1; `low` is the lowest whose answer is still
    awaited. The empty session is none: its command is not protected from being sent twice.
    """
    if session == "":
        return
    if not isinstance(session, str) or not _session(session):
        raise BadArgument(f"session {shown(session)} is not 32 hex digits (and '-' and a ttl in seconds)")
    if "-" in session:
        integer("the session's ttl in seconds", 60, 86_400)(int(session[33:]))
    integer("number", 1, MAX_TOKEN)(number)
    integer("low", 1, number)(low)
    if number - low >= MAX_OPEN:
        raise BadArgument(f"number {number} is {MAX_OPEN} or more above low {low}: await earlier ones first")


# The commands' arguments

_T = TypeVar("_T")


def check_submit(items: Sequence[Any], limits: Limits = LIMITS) -> str:
    """Submit's arguments: all of the jobs, or a BadArgument that names the items that are wrong."""
    return _arguments({"jobs": _checked_jobs(items, limits)}, limits)


def _checked_jobs(items: Sequence[Any], limits: Limits) -> list[dict[str, Any]]:
    jobs = _all_or_none(items, check_job, limits)
    for position, job in enumerate(jobs):
        wrong = [each for each in job.get("after", ()) if isinstance(each, int) and each >= position]
        if wrong:
            raise BadArgument(f"item {position} can come after earlier items only, not after item {wrong[0]}")
    if sum(len(job.get("after", ())) for job in jobs) > MAX_LINKS:
        raise BadArgument(f"the jobs of a command come after at most {MAX_LINKS:,} others: send fewer items")
    return jobs


def check_update(items: Sequence[Any], limits: Limits = LIMITS) -> str:
    """Update's arguments: objects of a job's id and what is to be different of it."""
    return _arguments({"items": _all_or_none(items, check_changes, limits)}, limits)


def _all_or_none(items: Sequence[Any], check: Callable[[Any], _T], limits: Limits) -> list[_T]:
    _count_items(items, limits)
    checked = []
    wrong = []
    for position, item in enumerate(items):
        try:
            checked.append(check(item))
        except BadArgument as error:
            wrong.append(error if len(items) == 1 else type(error)(f"item {position}: {error}"))
    if wrong:
        more = f" (and {len(wrong) - 5} items more)" if len(wrong) > 5 else ""
        raise type(wrong[0])("; ".join(str(error) for error in wrong[:5]) + more)
    return checked


def check_take(worker: Any, queues: Any, count: Any, lease_ms: Any) -> str:
    """Take's arguments: up to `count` jobs of the queues, in the order given, leased for `lease_ms`."""
    check_name(worker, "worker")
    if not isinstance(queues, list | tuple) or not 1 <= len(queues) <= 1_000:
        raise BadArgument(f"queues must be a list of 1 to 1000 names, not {shown(queues)}")
    for queue in queues:
        check_name(queue, "queue")
    return canonical(
        {
            "worker": worker,
            "queues": list(dict.fromkeys(queues)),
            "count": integer("count", 1, LIMITS.max_items)(count),
            "lease_ms": check_lease(lease_ms),
        }
    )


def check_extend(worker: Any, items: Any, lease_ms: Any, limits: Limits = LIMITS) -> str:
    """Extend's arguments; an item is [id, token], or with progress [id, token, fraction?, note?]."""
    check_name(worker, "worker")
    checked = _each(items, 2, 4, _extend_item, "[id, token, fraction?, note?]", limits)
    return _arguments({"items": checked, "lease_ms": check_lease(lease_ms), "worker": worker}, limits)


def check_complete(items: Any, limits: Limits = LIMITS) -> str:
    """Complete's arguments; an item is [id, token, result], or with what it submits [id, token, result, jobs]."""
    checked = _each(items, 3, 4, _complete_item, "[id, token, result, jobs?]", limits)
    if sum(len(item[3]) for item in checked if len(item) > 3) > limits.max_items:
        raise BadArgument(f"a command submits at most {limits.max_items} jobs")
    return _arguments({"items": checked}, limits)


def check_fail(items: Any, limits: Limits = LIMITS) -> str:
    """Fail's arguments; an item is [id, token, error, traceback, retry]. Long texts are cut, not refused."""
    shape = "[id, token, error, traceback, retry]"
    return _arguments({"items": _each(items, 5, 5, _fail_item, shape, limits)}, limits)


def check_release(items: Any, limits: Limits = LIMITS) -> str:
    """Release's arguments; an item is [id, token, delay_ms], or with why [id, token, delay_ms, reason]."""
    shape = "[id, token, delay_ms, reason?]"
    return _arguments({"items": _each(items, 3, 4, _release_item, shape, limits)}, limits)


def check_cancel(jobs: Any, limits: Limits = LIMITS) -> str:
    """Cancel's arguments: ids of jobs."""
    return _arguments({"jobs": _job_ids(jobs, limits)}, limits)


def check_retry(jobs: Any, attempts: Any = None, dependents: Any = True, limits: Limits = LIMITS) -> str:
    """Retry's arguments: ids of jobs, and how many attempts each gets; None for as many as at first.

    `dependents`: whether jobs that were cancelled because of these follow.
    """
    more: dict[str, Any] = {} if attempts is None else {"attempts": check_attempts(attempts)}
    if not isinstance(dependents, bool):
        raise BadArgument(f"dependents must be true or false, not {shown(dependents)}")
    if not dependents:
        more["dependents"] = False
    return _arguments({"jobs": _job_ids(jobs, limits), **more}, limits)


def check_purge(jobs: Any, limits: Limits = LIMITS) -> str:
    """Purge's arguments: ids of jobs."""
    return _arguments({"jobs": _job_ids(jobs, limits)}, limits)


MAX_RUNNING: Final = 1_000_000
MAX_RATE: Final = (1_000_000, DAY_MS)


def check_set_queue(queue: Any, settings: Any) -> str:
    """SetQueue's arguments: any of paused, max_running and rate ([starts, ms]); a limit that is null is none."""
    check_name(queue, "queue")
    if not isinstance(settings, Mapping):
        raise BadArgument(f"settings must be an object, not {shown(settings)}")
    refuse_unknown(settings, _QUEUE_SETTINGS, "a queue has no setting")
    return canonical(
        {"queue": queue, "set": {key: _QUEUE_SETTINGS[key](value) for key, value in settings.items()}}
    )


def _paused(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadArgument(f"paused must be true or false, not {shown(value)}")
    return value


def _max_running(value: Any) -> int | None:
    return None if value is None else integer("max_running", 1, MAX_RUNNING)(value)


def _rate(value: Any) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadArgument(f"rate must be [starts, milliseconds], not {shown(value)}")
    return [
        integer("a rate's starts", 1, MAX_RATE[0])(value[0]),
        integer("a rate's ms", 1, MAX_RATE[1])(value[1]),
    ]


_QUEUE_SETTINGS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "paused": _paused,
    "max_running": _max_running,
    "rate": _rate,
}


def tick() -> str:
    """Tick's arguments: none. It only lets time advance."""
    return "{}"


_token = integer("token", 1, MAX_TOKEN)
_delay = integer("delay_ms", 0, LONGEST_MS)


def _job_ids(jobs: Any, limits: Limits) -> list[str]:
    _count_items(jobs, limits)
    return [ids.to_text(ids.from_text(job)) for job in jobs]


def _job_and_token(item: Sequence[Any]) -> list[Any]:
    return [ids.to_text(ids.from_text(item[0])), _token(item[1])]


def _extend_item(item: Sequence[Any]) -> list[Any]:
    fraction = item[2] if len(item) > 2 else None
    note = item[3] if len(item) > 3 else None
    if fraction is not None:
        if type(fraction) not in (int, float) or not 0 <= fraction <= 1:
            raise BadArgument(f"fraction must be a number from 0 to 1, not {shown(fraction)}")
        fraction = round(fraction * 1_000)
    if note is not None and not isinstance(note, str):
        raise BadArgument(f"note must be text, not {shown(note)}")
    return [*_job_and_token(item), fraction, None if note is None else storable(note)[:MAX_NOTE]]


def _complete_item(item: Sequence[Any]) -> list[Any]:
    submit = [_checked_jobs(item[3], LIMITS)] if len(item) > 3 and item[3] else []
    return [*_job_and_token(item), payload(item[2], "result"), *submit]


def _fail_item(item: Sequence[Any]) -> list[Any]:
    error, traceback, retry = item[2:]
    for what, text in (("error", error), ("traceback", traceback)):
        if not isinstance(text, str):
            raise BadArgument(f"{what} must be text, not {shown(text)}")
    if not isinstance(retry, bool):
        raise BadArgument(f"retry must be true or false, not {shown(retry)}")
    error = cut_end(error, MAX_ERROR_BYTES)
    return [*_job_and_token(item), error, cut_start(traceback, MAX_TRACEBACK_BYTES), retry]


def _release_item(item: Sequence[Any]) -> list[Any]:
    reason = item[3] if len(item) > 3 else ""
    if not isinstance(reason, str):
        raise BadArgument(f"reason must be text, not {shown(reason)}")
    return [*_job_and_token(item), _delay(item[2]), cut_end(reason, MAX_ERROR_BYTES)]


def _each(
    items: Any, least: int, most: int, check: Callable[[Sequence[Any]], list[Any]], shape: str, limits: Limits
) -> list[list[Any]]:
    _count_items(items, limits)
    checked = []
    for position, item in enumerate(items):
        try:
            if not isinstance(item, list | tuple) or not least <= len(item) <= most:
                raise BadArgument(f"an item must be {shape}, not {shown(item)}")
            checked.append(check(item))
        except BadArgument as error:
            raise error if len(items) == 1 else type(error)(f"item {position}: {error}") from None
    return checked


def _count_items(items: Any, limits: Limits) -> None:
    if not isinstance(items, list | tuple):
        raise BadArgument(f"the items must be a list, not {shown(items)}")
    if not 1 <= len(items) <= limits.max_items:
        raise BadArgument(f"a command takes 1 to {limits.max_items} items, not {len(items)}")


def _arguments(value: Mapping[str, Any], limits: Limits) -> str:
    text = canonical(value)
    if len(text) > limits.max_command_bytes:
        limit = f"{limits.max_command_bytes:,}"
        raise TooLarge(f"the command is {len(text):,} bytes; the limit is {limit}: send fewer items")
    return text
