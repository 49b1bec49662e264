"""The user's side of schedules: `queue.schedules`. Times are seconds here, milliseconds on the wire.

client.py makes one for each queue, and makes its calls. What a schedule does is in docs/queue.md.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.job_specs import as_wire, in_ms

Ask = Callable[..., dict[str, Any]]
"""A call by its method's name and parameters."""


class Schedules:
    """A queue's schedules, for any number of threads. Fault not_found where there is none of the name."""

    def __init__(self, change: Ask, read: Ask) -> None:
        """`change` calls under a session, so that asking again after a lost answer does nothing twice."""
        self._change = change
        self._read = read

    def set(
        self,
        name: str,
        task: str,
        *args: Any,
        kwargs: Mapping[str, Any] | None = None,
        every: float | None = None,
        cron: str | None = None,
        zone: str | None = None,
        overlap: str | None = None,
        catch_up: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Submit a job each `every` seconds, or when `cron` says in the time zone (UTC). {"version", "due_ms"}.

        A schedule of this name is changed; where its times stay the same, so does when it is due. `overlap`:
        "skip" a time while the last job is unfinished (the default), "allow" it, or "cancel" that job first.
        `catch_up`: of what was due while no node led, "one" job (the default), "none", or "all" up to 100.
        The job takes `submit`'s options, but neither `at` nor `deadline`.
        """
        schedule = {
            "every_ms": None if every is None else in_ms(every),
            "cron": cron,
            "zone": zone,
            "overlap": overlap,
            "catch_up": catch_up,
            "job": as_wire({"task": task, "args": args, "kwargs": kwargs, **options}),
        }
        given = {key: value for key, value in schedule.items() if value is not None}
        answer = self._change("SetSchedule", name, canonical(given))
        found: dict[str, Any] = json.loads(answer["schedule"])
        return found

    def drop(self, name: str) -> None:
        """The schedule is there no more, nor its history; the jobs that it submitted stay."""
        self._change("DropSchedule", name)

    def run(self, name: str) -> dict[str, Any]:
        """Fire now, whenever it is due: {"event": "fired", "skipped" or "refused", "job": id or "", "reason"}."""
        answer = self._change("RunSchedule", name)
        return {key: answer[key] for key in ("event", "job", "reason")}

    def list(self, *, stale: bool = False) -> Sequence[dict[str, Any]]:
        """All schedules, by name: name, every_ms or cron and zone, overlap, catch_up, due_ms, last_job, task, queue.

        `stale` takes any node's word, also without a quorum; so for get.
        """
        listed: list[dict[str, Any]] = []
        after = ""
        while True:
            answer = self._read("ListSchedules", after, stale)
            listed += json.loads(answer["schedules"])
            after = answer["next"]
            if not after:
                return listed

    def get(self, name: str, *, stale: bool = False) -> dict[str, Any]:
        """One schedule with its job, and its history: the last 50 times that it fired, skipped or was refused."""
        found: dict[str, Any] = json.loads(self._read("GetSchedule", name, stale)["schedule"])
        return found
