"""What a schedule can be made with: every option, with its check; and a command's arguments from them. Pure.

The job that it submits is checked as any other (job_options.py). When it is due is worked out by the
leader that proposes the command (replica/schedules.py).
"""

from collections.abc import Mapping
from typing import Any, Final

from glassraft.errors import BadArgument
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.cron import parse_cron
from glassraft.jobqueue.fields import (
    LIMITS,
    LONGEST_MS,
    SECOND_MS,
    check_name,
    integer,
    refuse_unknown,
    shown,
)
from glassraft.jobqueue.job_options import check_job

UTC_ZONE: Final = "UTC"
OVERLAP: Final = ("skip", "allow", "cancel")
CATCH_UP: Final = ("one", "none", "all")
"""The first of each is the default."""

OPTIONS: Final = ("every_ms", "cron", "zone", "overlap", "catch_up", "job")

MAX_LINE: Final = 200
"""Characters of a cron line."""


def check_set_schedule(name: Any, schedule: Any) -> str:
    """SetSchedule's arguments, but for the time at which it is first due, which the leader adds."""
    check_name(name, "a schedule's name")
    if not isinstance(schedule, Mapping):
        raise BadArgument(f"a schedule must be an object, not {shown(schedule)}")
    refuse_unknown(schedule, OPTIONS, "a schedule has no option")
    given = {key: value for key, value in schedule.items() if value is not None}
    if ("every_ms" in given) == ("cron" in given):
        raise BadArgument("a schedule needs every_ms or cron, one of the two")
    if "job" not in given:
        raise BadArgument("a schedule needs a job to submit")
    checked = {
        "name": name,
        "overlap": _one_of("overlap", OVERLAP, given),
        "catch_up": _one_of("catch_up", CATCH_UP, given),
        "job": _check_job(given["job"]),
        **(_check_every(given) if "every_ms" in given else _check_cron(given)),
    }
    text = canonical(checked)
    if len(text) > LIMITS.max_command_bytes:
        raise BadArgument(f"the schedule is {len(text):,} bytes; the limit is {LIMITS.max_command_bytes:,}")
    return text


def check_named(name: Any) -> str:
    """The arguments of DropSchedule and RunSchedule."""
    return canonical({"name": check_name(name, "a schedule's name")})


def fire(name: str, version: int, due_ms: int, next_ms: int | None, for_ms: int | None) -> str:
    """FireSchedule's arguments: the schedule of this version, due at `due_ms`, is due at `next_ms` from now on.

    `for_ms` is the due time, of those from `due_ms` until then, that a job is submitted for; None: for none.
    """
    return canonical(
        {"name": name, "version": version, "due_ms": due_ms, "next_ms": next_ms, "for_ms": for_ms}
    )


def _check_every(given: Mapping[str, Any]) -> dict[str, Any]:
    if "zone" in given:
        raise BadArgument("a time zone goes with cron; every_ms counts in time that passes")
    return {"every_ms": integer("every_ms", SECOND_MS, LONGEST_MS)(given["every_ms"])}


def _check_cron(given: Mapping[str, Any]) -> dict[str, Any]:
    line = given["cron"]
    parse_cron(line)
    if len(line) > MAX_LINE:
        raise BadArgument(f"cron takes up to {MAX_LINE} characters, not {len(line)}")
    return {"cron": line, "zone": check_name(given.get("zone", UTC_ZONE), "zone")}


def _check_job(job: Any) -> dict[str, Any]:
    """One job as Submit takes it, but for instants, which come once: what a schedule submits comes again."""
    checked = check_job(job)
    for instant, instead in (("at_ms", "delay_ms"), ("deadline_ms", "start_within_ms")):
        if instant in checked:
            raise BadArgument(f"a schedule's job takes {instead}, not {instant}: it is submitted many times")
    if any(isinstance(each, int) for each in checked.get("after", ())):
        raise BadArgument("a schedule submits one job at a time: there is no earlier one to come after")
    return checked


def _one_of(option: str, known: tuple[str, ...], given: Mapping[str, Any]) -> str:
    value = given.get(option, known[0])
    if value not in known:
        raise BadArgument(f"{option} must be one of {', '.join(known)}, not {shown(value)}")
    return str(value)
