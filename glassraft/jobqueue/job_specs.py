"""Jobs as users write them, in seconds, put as they travel, in milliseconds and JSON. Pure.

The nodes check them (job_options.py); here is only what units and JSON need. Next: client.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from glassraft.errors import BadArgument
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.fields import LIMITS

JobSpec: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""A job: a mapping of task, args, kwargs and options, or (task, args), or (task, args, kwargs)."""

_PLAIN: Final = (
    *("task", "args", "kwargs", "queue", "priority", "max_attempts"),
    *("key", "on_conflict", "after", "on_dependency"),
)
_SECONDS: Final = ("delay", "at", "deadline", "start_within", "timeout", "lease", "retention", "unique_for")


def in_ms(seconds: float) -> int:
    """A time in seconds as the nodes take it. Raises BadArgument."""
    if type(seconds) not in (int, float) or not 0 <= seconds < 1e12:
        raise BadArgument(f"a time must be a number of seconds from 0, not {seconds!r}")
    return round(seconds * 1_000)


def _backoff(parts: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(parts) - {"base", "factor", "cap"}
    if unknown:
        raise BadArgument(f"backoff has no part {min(unknown)!r}; those known are base, factor, cap")
    ms = {f"{part}_ms": in_ms(parts[part]) for part in ("base", "cap") if part in parts}
    return ms | ({"factor": in_ms(parts["factor"])} if "factor" in parts else {})


def spec_of(task: Any, args: Sequence[Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A job as `submit` is called for it: of a task with its own arguments, or of a name, kwargs and options."""
    return {"task": task, "args": args, **given} if isinstance(task, str) else task.spec(*args, **given)


def job_text(job: Mapping[str, Any]) -> str:
    """A job as JSON for the nodes, which check it."""
    return canonical(as_wire(job))


def as_wire(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job's options as the nodes take them. They check them; here only what JSON and units need."""
    wire: dict[str, Any] = {}
    for name, value in job.items():
        if value is None:
            continue
        if name in _PLAIN:
            wire[name] = value
        elif name in _SECONDS:
            wire[f"{name}_ms"] = in_ms(value)
        elif name == "backoff":
            wire[name] = _backoff(value)
        else:
            known = ", ".join((*_PLAIN, *_SECONDS, "backoff"))
            raise BadArgument(f"a job has no option {name!r}; those known are {known}")
    return wire


def has_positions(job: Mapping[str, Any]) -> bool:
    """Whether the job comes after others by their positions in its command."""
    return any(isinstance(each, int) for each in job.get("after") or ())


def as_mapping(job: JobSpec) -> Mapping[str, Any]:
    """A job in any of its spellings. Raises BadArgument."""
    if isinstance(job, Mapping):
        return job
    if isinstance(job, str) or not 2 <= len(job) <= 3:
        raise BadArgument(f"a job is a dict, (task, args) or (task, args, kwargs), not {str(job)[:60]!r}")
    return dict(zip(("task", "args", "kwargs"), job, strict=False))


def _size(text: str) -> int:
    """What a job can take in a command, where its arguments are JSON within JSON, and on the wire, in XML."""
    escaped = text.count('"') + text.count("\\")
    return len(text) + escaped + 4 * (text.count("&") + text.count("<") + text.count(">")) + 100


def split(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    """Commands' worth of jobs, within its limits; a job beyond them stands alone, to be refused."""
    command: list[str] = []
    size = 0
    for text in texts:
        more = _size(text)
        if command and (len(command) == LIMITS.max_items or size + more > LIMITS.max_command_bytes):
            yield command
            command, size = [], 0
        command.append(text)
        size += more
    if command:
        yield command
