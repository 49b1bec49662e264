"""What the log holds: the text of a command, made from input that was checked first. Pure.

The client and the node that receives a call both come through the `check_` functions here, so
that the machine (machine.py) applies what is committed without ever meeting a wrong value.
A command is one JSON object whose keys stand in a fixed order, so that its head can be read
without parsing the rest:

    {"op":"Submit","t":<cluster time, ms>,"v":1,"s":"<session>","n":<number>,"low":<lowest awaited>,"a":{...}}

The empty entry that begins a term is {"op":"Noop","t":<cluster time, ms>}.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids
from glassraft.jobqueue.canonical import canonical

OPS: Final = ("Submit", "Take", "Extend", "Complete", "Fail", "Release", "Tick")
VERSION: Final = 1

SECOND_MS: Final = 1_000
HOUR_MS: Final = 3_600 * SECOND_MS
DAY_MS: Final = 24 * HOUR_MS
LONGEST_MS: Final = 3_650 * DAY_MS
"""No duration is longer than ten years, and no instant later than the year 9999."""
LAST_INSTANT_MS: Final = 253_402_300_799_999
MAX_TOKEN: Final = 2**53 - 1
MAX_NAME: Final = 200
MAX_PAYLOAD_NESTING: Final = 64
"""Less than canonical.MAX_NESTING, so that an answer that shows a payload can always be written."""
MAX_OPEN: Final = 64
"""How many commands of one session may be unanswered at a time."""
MAX_ERROR_BYTES: Final = 2 * 1024
MAX_TRACEBACK_BYTES: Final = 16 * 1024
MAX_NOTE: Final = 200


class TooLarge(BadArgument):
    """A payload or command is larger than the limit that the message names."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes that are checked before anything is proposed."""

    max_items: int = 1_000
    max_command_bytes: int = 4 * 1024 * 1024
    max_payload_bytes: int = 256 * 1024


LIMITS: Final = Limits()

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
        raise BadArgument(f"session {_shown(session)} is not 32 hex digits (and '-' and a ttl in seconds)")
    if "-" in session:
        _integer("the session's ttl in seconds", 60, 86_400)(int(session[33:]))
    _integer("number", 1, MAX_TOKEN)(number)
    _integer("low", 1, number)(low)
    if number - low >= MAX_OPEN:
        raise BadArgument(f"number {number} is {MAX_OPEN} or more above low {low}: await earlier ones first")


# Fields

_Check = Callable[[Any], Any]

_name = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}").fullmatch


def check_name(value: Any, what: str = "name") -> str:
    """1 to 200 characters, none of them a control character."""
    if not isinstance(value, str):
        raise BadArgument(f"{what} must be text, not {_shown(value)}")
    if not _name(value):
        rule = f"1 to {MAX_NAME} characters without control characters"
        raise BadArgument(f"{what} must be {rule}, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _integer(what: str, least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise BadArgument(f"{what} must be a whole number from {least} to {most}, not {_shown(value)}")
        return value

    return check


def _named(what: str) -> Callable[[Any], str]:
    return lambda value: check_name(value, what)


def payload(value: Any, what: str, limits: Limits = LIMITS) -> str:
    """The canonical JSON of a user's value. Raises TooLarge beyond the limit, BadArgument if not JSON."""
    try:
        text = canonical(value, MAX_PAYLOAD_NESTING)
    except BadArgument as error:
        raise BadArgument(f"{what}: {error}") from None
    if len(text) > limits.max_payload_bytes:
        raise TooLarge(f"{what} is {len(text):,} bytes of JSON; the limit is {limits.max_payload_bytes:,}")
    return text


def _arguments_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise BadArgument(f"args must be a list, not {_shown(value)}")
    return payload(value, "args") if value else None


def _arguments_object(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise BadArgument(f"kwargs must be an object, not {_shown(value)}")
    return payload(dict(value), "kwargs") if value else None


_BACKOFF: Final[Mapping[str, _Check]] = {
    "base_ms": _integer("backoff.base_ms", 0, DAY_MS),
    "factor": _integer("backoff.factor (thousandths)", 1_000, 100_000),
    "cap_ms": _integer("backoff.cap_ms", 0, 30 * DAY_MS),
}


def _backoff(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise BadArgument(f"backoff must be an object, not {_shown(value)}")
    _refuse_unknown(value, _BACKOFF, "backoff has no part")
    return {key: _BACKOFF[key](part) for key, part in value.items()}


_lease = _integer("lease_ms", SECOND_MS, HOUR_MS)

JOB_OPTIONS: Final[Mapping[str, _Check]] = {
    "task": _named("task"),
    "args": _arguments_list,
    "kwargs": _arguments_object,
    "queue": _named("queue"),
    "priority": _integer("priority", -1_000, 1_000),
    "delay_ms": _integer("delay_ms", 0, LONGEST_MS),
    "at_ms": _integer("at_ms", 0, LAST_INSTANT_MS),
    "timeout_ms": _integer("timeout_ms", SECOND_MS, 30 * DAY_MS),
    "max_attempts": _integer("max_attempts", 1, 10_000),
    "backoff": _backoff,
    "lease_ms": _lease,
}
"""Every option of a job, with its check. None counts as not given."""


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise BadArgument(f"{what} {_shown(unknown[0])}; those known are {', '.join(known)}")


def check_job(item: Any) -> dict[str, Any]:
    """One job as the command holds it: checked, args and kwargs as canonical text, defaults left out."""
    if not isinstance(item, Mapping):
        raise BadArgument(f"a job must be an object, not {_shown(item)}")
    _refuse_unknown(item, JOB_OPTIONS, "a job has no option")
    job = {}
    for key, value in item.items():
        if value is not None:
            checked = JOB_OPTIONS[key](value)
            if checked is not None:
                job[key] = checked
    if "task" not in job:
        raise BadArgument("a job needs a task")
    if "delay_ms" in job and "at_ms" in job:
        raise BadArgument("a job takes delay_ms or at_ms, not both")
    return job


# The commands' arguments


def check_submit(items: Sequence[Any], limits: Limits = LIMITS) -> str:
    """Submit's arguments: all of the jobs, or a BadArgument that names the items that are wrong."""
    _count_items(items, limits)
    jobs = []
    wrong = []
    for position, item in enumerate(items):
        try:
            jobs.append(check_job(item))
        except BadArgument as error:
            wrong.append(error if len(items) == 1 else type(error)(f"item {position}: {error}"))
    if wrong:
        more = f" (and {len(wrong) - 5} items more)" if len(wrong) > 5 else ""
        raise type(wrong[0])("; ".join(str(error) for error in wrong[:5]) + more)
    return _arguments({"jobs": jobs}, limits)


def check_take(worker: Any, queues: Any, count: Any, lease_ms: Any) -> str:
    """Take's arguments: up to `count` jobs of the queues, in the order given, leased for `lease_ms`."""
    check_name(worker, "worker")
    if not isinstance(queues, list | tuple) or not 1 <= len(queues) <= 1_000:
        raise BadArgument(f"queues must be a list of 1 to 1000 names, not {_shown(queues)}")
    for queue in queues:
        check_name(queue, "queue")
    return canonical(
        {
            "worker": worker,
            "queues": list(dict.fromkeys(queues)),
            "count": _integer("count", 1, LIMITS.max_items)(count),
            "lease_ms": _lease(lease_ms),
        }
    )


def check_extend(worker: Any, items: Any, lease_ms: Any, limits: Limits = LIMITS) -> str:
    """Extend's arguments; an item is [id, token], or with progress [id, token, fraction?, note?]."""
    check_name(worker, "worker")
    checked = _each(items, 2, 4, _extend_item, "[id, token, fraction?, note?]", limits)
    return _arguments({"items": checked, "lease_ms": _lease(lease_ms), "worker": worker}, limits)


def check_complete(items: Any, limits: Limits = LIMITS) -> str:
    """Complete's arguments; an item is [id, token, result], the result any JSON value."""
    return _arguments({"items": _each(items, 3, 3, _complete_item, "[id, token, result]", limits)}, limits)


def check_fail(items: Any, limits: Limits = LIMITS) -> str:
    """Fail's arguments; an item is [id, token, error, traceback, retry]. Long texts are cut, not refused."""
    shape = "[id, token, error, traceback, retry]"
    return _arguments({"items": _each(items, 5, 5, _fail_item, shape, limits)}, limits)


def check_release(items: Any, limits: Limits = LIMITS) -> str:
    """Release's arguments; an item is [id, token, delay_ms], or with why [id, token, delay_ms, reason]."""
    shape = "[id, token, delay_ms, reason?]"
    return _arguments({"items": _each(items, 3, 4, _release_item, shape, limits)}, limits)


def tick() -> str:
    """Tick's arguments: none. It only lets time advance."""
    return "{}"


_token = _integer("token", 1, MAX_TOKEN)
_delay = _integer("delay_ms", 0, LONGEST_MS)


def _job_and_token(item: Sequence[Any]) -> list[Any]:
    return [ids.to_text(ids.from_text(item[0])), _token(item[1])]


def _extend_item(item: Sequence[Any]) -> list[Any]:
    fraction = item[2] if len(item) > 2 else None
    note = item[3] if len(item) > 3 else None
    if fraction is not None:
        if type(fraction) not in (int, float) or not 0 <= fraction <= 1:
            raise BadArgument(f"fraction must be a number from 0 to 1, not {_shown(fraction)}")
        fraction = round(fraction * 1_000)
    if note is not None and not isinstance(note, str):
        raise BadArgument(f"note must be text, not {_shown(note)}")
    return [*_job_and_token(item), fraction, None if note is None else storable(note)[:MAX_NOTE]]


def _complete_item(item: Sequence[Any]) -> list[Any]:
    return [*_job_and_token(item), payload(item[2], "result")]


def _fail_item(item: Sequence[Any]) -> list[Any]:
    error, traceback, retry = item[2:]
    for what, text in (("error", error), ("traceback", traceback)):
        if not isinstance(text, str):
            raise BadArgument(f"{what} must be text, not {_shown(text)}")
    if not isinstance(retry, bool):
        raise BadArgument(f"retry must be true or false, not {_shown(retry)}")
    error = cut_end(error, MAX_ERROR_BYTES)
    return [*_job_and_token(item), error, cut_start(traceback, MAX_TRACEBACK_BYTES), retry]


def _release_item(item: Sequence[Any]) -> list[Any]:
    reason = item[3] if len(item) > 3 else ""
    if not isinstance(reason, str):
        raise BadArgument(f"reason must be text, not {_shown(reason)}")
    return [*_job_and_token(item), _delay(item[2]), cut_end(reason, MAX_ERROR_BYTES)]


def _each(
    items: Any, least: int, most: int, check: Callable[[Sequence[Any]], list[Any]], shape: str, limits: Limits
) -> list[list[Any]]:
    _count_items(items, limits)
    checked = []
    for position, item in enumerate(items):
        try:
            if not isinstance(item, list | tuple) or not least <= len(item) <= most:
                raise BadArgument(f"an item must be {shape}, not {_shown(item)}")
            checked.append(check(item))
        except BadArgument as error:
            raise error if len(items) == 1 else type(error)(f"item {position}: {error}") from None
    return checked


def _count_items(items: Any, limits: Limits) -> None:
    if not isinstance(items, list | tuple):
        raise BadArgument(f"the items must be a list, not {_shown(items)}")
    if not 1 <= len(items) <= limits.max_items:
        raise BadArgument(f"a command takes 1 to {limits.max_items} items, not {len(items)}")


def _arguments(value: Mapping[str, Any], limits: Limits) -> str:
    text = canonical(value)
    if len(text) > limits.max_command_bytes:
        limit = f"{limits.max_command_bytes:,}"
        raise TooLarge(f"the command is {len(text):,} bytes; the limit is {limit}: send fewer items")
    return text


# Texts that are cut rather than refused


def storable(text: str) -> str:
    """The text without what UTF-8 cannot hold: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut_end(text: str, limit_bytes: int) -> str:
    """At most `limit_bytes` of UTF-8, the beginning kept."""
    data = text.encode("utf-8", "replace")
    return data[:limit_bytes].decode("utf-8", "ignore")


def cut_start(text: str, limit_bytes: int) -> str:
    """At most `limit_bytes` of UTF-8, the end kept: the last lines of a traceback say the most."""
    data = text.encode("utf-8", "replace")
    return data[-limit_bytes:].decode("utf-8", "ignore")
