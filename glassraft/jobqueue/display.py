"""What the command line shows of jobs: tables and lines, from the answers of client.py. Pure."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from glassraft.jobqueue.states import READY, RUNNING, SCHEDULED, STATES

_WIDEST: Final = 50


def value(result: Any) -> str:
    """A job's result: text as it is, anything else as JSON."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they have to be."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (heads, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def duration(ms: int) -> str:
    """About how long: 850 ms, 12 s, 7 min, 3 h, 2 d."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if ms >= size:
            return f"{ms // size} {unit}"
    return f"{ms} ms"


def moment(ms: int) -> str:
    """A time of day, in local time, with its day."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ms / 1_000)) + f".{ms % 1_000:03d}"


def jobs(page: Mapping[str, Any], width: int | None = None) -> str:
    """A page of a list, no wider than `width` columns if that is given."""
    if not page["jobs"]:
        return "no jobs"
    now_ms = time.time_ns() // 1_000_000
    rows = [
        [
            job["id"],
            job["state"],
            job["queue"],
            _cut(f"{job['task']}({job['arguments']})"),
            duration(max(0, now_ms - job["submitted_ms"])),
            str(job["attempt"]),
            _cut(_remark(job)),
        ]
        for job in page["jobs"]
    ]
    text = table(["ID", "STATE", "QUEUE", "CALL", "AGE", "ATTEMPT", ""], rows)
    if width:
        text = "\n".join(_cut(line, width) for line in text.splitlines())
    return text + (f"\nthere are more: --after {page['next']}" if page["next"] else "")


def _remark(job: Mapping[str, Any]) -> str:
    if "error" in job:
        return str(job["error"]).partition("\n")[0]
    if job["state"] == "running":
        done = f"{job['fraction']:.0%} " if "fraction" in job else ""
        return f"{done}on {job['worker']}"
    return ""


def _cut(text: str, width: int = _WIDEST) -> str:
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def job(shown: Mapping[str, Any]) -> str:
    """Everything about one job."""
    history = shown["history"]
    lines = [f"{shown['id']}  {shown['state']}"]
    for key in (*sorted(set(shown) - {"id", "state", "history", "error", "result"}), "result", "error"):
        if key in _MOMENTS and key in shown:
            lines.append(f"  {key.removesuffix('_ms'):<14} {moment(shown[key])}")
        elif key in shown and (shown[key] or key not in _DULL):
            lines.append(f"  {key:<14} {value(shown[key])}")
    lines += _timings(shown)
    lines.append("history")
    rows = [
        [
            "  " + moment(row["ms"]),
            row["event"].replace("_", " "),
            f"-> {row['to']}",
            f"attempt {row['attempt']}" if row["attempt"] else "",
            f"token {row['token']}" if row["token"] else "",
            row.get("worker", ""),
            _cut(row.get("error", "").partition("\n")[0]),
        ]
        for row in history
    ]
    lines += table([""] * 7, rows).splitlines()[1:]
    tracebacks = [row["traceback"] for row in history if "traceback" in row]
    return "\n".join(lines + ([tracebacks[-1].rstrip()] if tracebacks else []))


def _timings(shown: Mapping[str, Any]) -> list[str]:
    """How long the job waited to be taken last, how long that attempt ran, and all together."""
    rows = shown["history"]
    taken = [row["ms"] for row in rows if row["event"] == "taken"]
    if not taken:
        return []
    ready = [row["ms"] for row in rows if row["to"] == READY and row["ms"] <= taken[-1]]
    ended = [row["ms"] for row in rows if row["from"] == RUNNING and row["to"] != RUNNING]
    parts = [f"ready for {duration(taken[-1] - ready[-1])}"] if ready else []
    if ended and ended[-1] >= taken[-1]:
        parts.append(f"ran {duration(ended[-1] - taken[-1])}")
    if "finished_ms" in shown:
        parts.append(f"{duration(shown['finished_ms'] - shown['submitted_ms'])} from submission to end")
    return [f"  {'timings':<14} {', '.join(parts)}"] if parts else []


_DULL: Final = ("failures", "kwargs", "never_started", "priority", "releases")
"""Not worth a line where they are zero or empty."""

_MOMENTS: Final = (
    "submitted_ms",
    "at_ms",
    "taken_ms",
    "finished_ms",
    "lease_until_ms",
    "cancel_requested_ms",
    "deadline_ms",
    "prune_ms",
)


def outcomes(finished: Sequence[Mapping[str, Any]]) -> str:
    """What became of jobs that were waited for."""
    return "\n".join(
        f"{each['id']}  {each['state']}  {value(each['result']) if 'result' in each else each['error']}"
        for each in finished
    )


def done_by_hand(answers: Sequence[Mapping[str, Any]]) -> str:
    """What became of jobs that were cancelled, retried or purged."""
    return "\n".join(_done(answer) for answer in answers)


def _done(answer: Mapping[str, Any]) -> str:
    if not answer["ok"]:
        return str(answer["message"])
    told = ", and told to stop" if answer.get("cancel_requested") else ""
    return f"{answer['job']}  {answer['state'] or 'purged'}{told}"


def settings(queue: Mapping[str, Any]) -> str:
    """A queue's settings."""
    rate = queue["rate"]
    return "\n".join(
        (
            "paused" if queue["paused"] else "not paused",
            f"at most {queue['max_running']} running" if queue["max_running"] else "any number running",
            f"at most {rate[0]} starts in {rate[1] / 1_000:g} s" if rate else "no rate",
        )
    )


def queues(listed: Sequence[Mapping[str, Any]]) -> str:
    """Every queue, what waits in it, and its settings where it has any."""
    rows = [
        [
            each["queue"],
            *(str(each.get(state, 0)) for state in (READY, SCHEDULED, RUNNING)),
            _settings_in_short(each["settings"]),
        ]
        for each in listed
    ]
    return table(["QUEUE", "READY", "SCHEDULED", "RUNNING", "SETTINGS"], rows) if rows else "no queues yet"


def _settings_in_short(settings: Mapping[str, Any]) -> str:
    words = ["paused"] if settings.get("paused") else []
    if "max_running" in settings:
        words.append(f"at most {settings['max_running']} running")
    if "rate" in settings:
        starts, per_ms = settings["rate"]
        words.append(f"{starts} starts in {per_ms / 1_000:g} s")
    return ", ".join(words)


def stats(counted: Mapping[str, Any]) -> str:
    """Jobs by queue and state."""
    if not counted["queues"]:
        return "no jobs yet"
    used = [state for state in STATES if counted["states"][state]]
    rows = [
        [name, *(str(counts.get(state, 0)) for state in used)] for name, counts in counted["queues"].items()
    ]
    if len(rows) > 1:
        rows.append(["(all)", *(str(counted["states"][state]) for state in used)])
    text = table(["QUEUE", *(state.upper() for state in used)], rows)
    for name, age_ms in counted["oldest_ready_ms"].items():
        text += f"\nthe oldest ready job of {name} has waited {duration(age_ms)}"
    return text


def watched(
    now: Mapping[str, Any], before: Mapping[str, Any] | None, workers_now: Sequence[Mapping[str, Any]]
) -> str:
    """Queues with what came in, was done and failed a second since the look before, and the workers."""
    passed_s = (now["now_ms"] - before["now_ms"]) / 1_000 if before else 0.0
    rows = []
    for name, counts in now["queues"].items():
        earlier = before["queues"].get(name, {}) if before else {}
        changes = [counts.get(total, 0) - earlier.get(total, 0) for total in _TOTALS]
        oldest_ms = now["oldest_ready_ms"].get(name)
        rows.append(
            [
                name + (" (paused)" if now["settings"].get(name, {}).get("paused") else ""),
                *(str(counts.get(state, 0)) for state in STATES),
                *(f"{change / passed_s:.1f}" if passed_s > 0 else "-" for change in changes),
                "-" if oldest_ms is None else duration(oldest_ms),
            ]
        )
    heads = ["QUEUE", *(state.upper() for state in STATES), "IN/S", "DONE/S", "FAILED/S", "OLDEST READY"]
    return f"{moment(now['now_ms'])}\n\n{table(heads, rows)}\n\n{workers(workers_now)}"


_TOTALS: Final = ("submitted", "completed", "failed")


def workers(running: Sequence[Mapping[str, Any]]) -> str:
    """Those that run jobs."""
    rows = [
        [each["worker"], str(each["running"]), ", ".join(each["queues"]), _cut(", ".join(each["tasks"]))]
        for each in running
    ]
    return table(["WORKER", "RUNNING", "QUEUES", "TASKS"], rows) if rows else "no worker runs a job"


def tasks(known: Sequence[Mapping[str, str]]) -> str:
    """Each task with what it does."""
    return "\n".join(f"{each['call']}\n    {each['about']}" for each in known) or "no tasks"
