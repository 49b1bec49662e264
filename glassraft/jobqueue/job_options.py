"""What a job can be submitted with: every option, with its check. Pure.

docs/queue.md and docs/wire.md show the same table.
"""

from collections.abc import Mapping
from typing import Any, Final

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids
from glassraft.jobqueue.fields import (
    DAY_MS,
    HOUR_MS,
    LAST_INSTANT_MS,
    LEAST_RETENTION_MS,
    LONGEST_MS,
    SECOND_MS,
    Check,
    integer,
    named,
    payload,
    refuse_unknown,
    shown,
)


def _arguments_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise BadArgument(f"args must be a list, not {shown(value)}")
    return payload(value, "args") if value else None


def _arguments_object(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise BadArgument(f"kwargs must be an object, not {shown(value)}")
    return payload(dict(value), "kwargs") if value else None


_BACKOFF: Final[Mapping[str, Check]] = {
    "base_ms": integer("backoff.base_ms", 0, DAY_MS),
    "factor": integer("backoff.factor (thousandths)", 1_000, 100_000),
    "cap_ms": integer("backoff.cap_ms", 0, 30 * DAY_MS),
}


def _backoff(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise BadArgument(f"backoff must be an object, not {shown(value)}")
    refuse_unknown(value, _BACKOFF, "backoff has no part")
    return {key: _BACKOFF[key](part) for key, part in value.items()}


check_lease = integer("lease_ms", SECOND_MS, HOUR_MS)

ON_CONFLICT: Final = ("return", "replace", "refuse")


def _on_conflict(value: Any) -> Any:
    if value not in ON_CONFLICT:
        raise BadArgument(f"on_conflict must be one of {', '.join(ON_CONFLICT)}, not {shown(value)}")
    return value


ON_DEPENDENCY: Final = ("cancel", "run")
MAX_AFTER: Final = 1_000


def _after(value: Any) -> Any:
    """Ids of jobs, or positions of earlier items of the same command."""
    if not isinstance(value, list | tuple) or len(value) > MAX_AFTER:
        raise BadArgument(f"after must be a list of up to {MAX_AFTER} ids or positions, not {shown(value)}")
    position = integer("a position in after", 0, ids.POSITIONS - 1)
    return [
        position(each) if isinstance(each, int) else ids.to_text(ids.from_text(each)) for each in value
    ] or None


def _on_dependency(value: Any) -> Any:
    if value not in ON_DEPENDENCY:
        raise BadArgument(f"on_dependency must be cancel or run, not {shown(value)}")
    return value


check_attempts = integer("max_attempts", 1, 10_000)

JOB_OPTIONS: Final[Mapping[str, Check]] = {
    "task": named("task"),
    "args": _arguments_list,
    "kwargs": _arguments_object,
    "queue": named("queue"),
    "priority": integer("priority", -1_000, 1_000),
    "delay_ms": integer("delay_ms", 0, LONGEST_MS),
    "at_ms": integer("at_ms", 0, LAST_INSTANT_MS),
    "timeout_ms": integer("timeout_ms", SECOND_MS, 30 * DAY_MS),
    "max_attempts": check_attempts,
    "backoff": _backoff,
    "lease_ms": check_lease,
    "deadline_ms": integer("deadline_ms", 0, LAST_INSTANT_MS),
    "start_within_ms": integer("start_within_ms", 0, LONGEST_MS),
    "after": _after,
    "on_dependency": _on_dependency,
    "key": named("key"),
    "unique_for_ms": integer("unique_for_ms", 0, LONGEST_MS),
    "on_conflict": _on_conflict,
    "retention_ms": integer("retention_ms", LEAST_RETENTION_MS, LONGEST_MS),
}
"""Every option of a job, with its check. None counts as not given."""


def check_job(item: Any) -> dict[str, Any]:
    """One job as the command holds it: checked, args and kwargs as canonical text, defaults left out."""
    if not isinstance(item, Mapping):
        raise BadArgument(f"a job must be an object, not {shown(item)}")
    refuse_unknown(item, JOB_OPTIONS, "a job has no option")
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
    if "deadline_ms" in job and "start_within_ms" in job:
        raise BadArgument("a job takes deadline_ms or start_within_ms, not both")
    if "key" not in job and ("unique_for_ms" in job or "on_conflict" in job):
        raise BadArgument("unique_for_ms and on_conflict are about a key, and the job has none")
    return job


CHANGES: Final = ("args", "kwargs", "priority", "delay_ms", "at_ms", "queue")
"""What Update can change."""


def check_changes(item: Any) -> dict[str, Any]:
    """One item of Update: the job, and what is to be different of it."""
    if not isinstance(item, Mapping):
        raise BadArgument(f"a change must be an object, not {shown(item)}")
    refuse_unknown(item, ("job", *CHANGES), "an update has no part")
    changes = {
        key: JOB_OPTIONS[key](value) for key, value in item.items() if key != "job" and value is not None
    }
    if not changes:
        raise BadArgument(f"an update changes at least one of {', '.join(CHANGES)}")
    if "delay_ms" in changes and "at_ms" in changes:
        raise BadArgument("an update takes delay_ms or at_ms, not both")
    for part, empty in (("args", "[]"), ("kwargs", "{}")):
        if part in changes:
            changes[part] = changes[part] or empty
    return {"job": ids.to_text(ids.from_text(item.get("job", ""))), **changes}
