"""What the command line shows of schedules, from the answers of client_schedules.py. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from glassraft.jobqueue import display


def schedules(listed: Sequence[Mapping[str, Any]]) -> str:
    """One line each."""
    rows = [
        [each["name"], times(each), _next(each), each.get("last_job", ""), each["queue"], each["task"]]
        for each in listed
    ]
    return (
        display.table(["NAME", "TIMES", "NEXT", "LAST JOB", "QUEUE", "TASK"], rows)
        if rows
        else "no schedules"
    )


def schedule(shown: Mapping[str, Any]) -> str:
    """Everything about one."""
    lines = [f"{shown['name']}  {times(shown)}", f"  next           {_next(shown)}"]
    lines += [f"  {key:<14} {shown[key]}" for key in ("overlap", "catch_up", "last_job") if key in shown]
    lines += [
        f"  {key.removesuffix('_ms'):<14} {display.value(value)}"
        for key, value in sorted(shown["job"].items())
    ]
    lines.append("history")
    rows = [
        [
            "  " + display.moment(row["ms"]),
            f"due {display.moment(row['due_ms'])}" if "due_ms" in row else "by hand",
            row["event"],
            row.get("job", ""),
            row.get("reason", ""),
        ]
        for row in shown["history"]
    ]
    return "\n".join(lines + display.table([""] * 5, rows).splitlines()[1:])


def times(schedule: Mapping[str, Any]) -> str:
    """When it fires, as it was said."""
    if "cron" in schedule:
        return f"{schedule['cron']} ({schedule['zone']})"
    return f"every {schedule['every_ms'] / 1_000:g} s"


def was_set(answer: Mapping[str, Any]) -> str:
    """A schedule was made or changed."""
    return f"next due {_next(answer)}"


def firing(answer: Mapping[str, Any]) -> str:
    """What came of running one by hand."""
    return "  ".join(part for part in (answer["event"], answer["job"], answer["reason"]) if part)


def _next(schedule: Mapping[str, Any]) -> str:
    due_ms = schedule.get("due_ms")
    return "never again" if due_ms is None else display.moment(due_ms)
