"""What a node tells of its queue: linearizable, or at once and perhaps old.

A read waits until what is applied here holds all that was committed when it came (diss. §6.4), then reads
the queue's file on its own thread. Next: jobqueue/reader.py, the queries.
"""

import time
from collections.abc import Sequence
from typing import Any

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.states import FINISHED
from glassraft.replica.arrivals import ReadArrived, Ticket, Unserved
from glassraft.replica.behind import BYTES_AT_ONCE, LONGEST_WAIT_S, BehindQueue, from_json
from glassraft.replica.turn import PENDING_S
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import Call, Method


class QueueReads:
    """One node's."""

    def __init__(self, behind: BehindQueue) -> None:
        self._behind = behind

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {
            "Get": Method.of(self.get, ("struct", "string", "boolean"), 1),
            "List": Method.of(self.list, ("struct", "string", "boolean"), 0),
            "Stats": Method.of(self.stats, ("struct", "boolean"), 0),
            "Wait": Method.of(self.wait, ("struct", "string", "int"), 2),
            "ListSchedules": Method.of(self.list_schedules, ("struct", "string", "boolean"), 0),
            "GetSchedule": Method.of(self.get_schedule, ("struct", "string", "boolean"), 1),
        }

    def get(self, call: Call, job: str, stale: bool = False) -> dict[str, Any]:
        """All about one job, as JSON."""
        number = ids.from_text(job)
        self._read(stale)
        with self._behind.queue.reading() as reader:
            found = reader.get(job)
        if found is None:
            raise Fault.named("not_found", f"there is no job {ids.to_text(number)}")
        return {"job": canonical(found), **self._age(stale)}

    def list(self, call: Call, filter: str = "{}", stale: bool = False) -> dict[str, Any]:
        """Jobs, newest first, as JSON. `filter` is a JSON object of state, queue, task, limit, after."""
        wanted = from_json(filter, "filter")
        if not isinstance(wanted, dict) or not set(wanted) <= {"state", "queue", "task", "limit", "after"}:
            raise BadArgument(
                f"filter must be an object of state, queue, task, limit and after, not {filter[:80]}"
            )
        self._read(stale)
        with self._behind.queue.reading() as reader:
            page = reader.list(**{key: value for key, value in wanted.items() if value is not None})
        return {"jobs": canonical(page["jobs"]), "next": page["next"], **self._age(stale)}

    def stats(self, call: Call, stale: bool = False) -> dict[str, Any]:
        """Counts by queue and state, as JSON."""
        self._read(stale)
        with self._behind.queue.reading() as reader:
            return {"stats": canonical(reader.stats()), **self._age(stale)}

    def wait(self, call: Call, jobs: str, timeout_ms: int) -> dict[str, Any]:
        """Those of the jobs (a JSON list of ids) that are finished, as soon as one is, or after the timeout.

        Where their results are large, only the first of them: ask again for the rest.
        """
        names = from_json(jobs, "jobs")
        if not isinstance(names, list) or not 1 <= len(names) <= 1_000:
            raise BadArgument("jobs must be a JSON list of 1 to 1000 ids")
        numbers = [ids.from_text(name) for name in names]
        deadline = time.monotonic() + min(max(timeout_ms, 0) / 1000, LONGEST_WAIT_S)
        with self._behind.finished.watching(numbers) as one_finished:
            self._read(stale=False)
            finished = self._finished_of(names)
            while not finished and call.connection_alive():
                left_s = deadline - time.monotonic()
                if left_s <= 0 or one_finished.wait(min(left_s, 1.0)):
                    break
            finished = finished or self._finished_of(names)
            return {"jobs": "[" + ",".join(finished) + "]"}

    def list_schedules(self, call: Call, after: str = "", stale: bool = False) -> dict[str, Any]:
        """Schedules by name, as JSON: up to 1,000 of those after `after`."""
        self._read(stale)
        with self._behind.queue.reading() as reader:
            page = reader.schedules(after)
        return {"schedules": canonical(page["schedules"]), "next": page["next"], **self._age(stale)}

    def get_schedule(self, call: Call, name: str, stale: bool = False) -> dict[str, Any]:
        """All about one schedule, with its history, as JSON."""
        self._read(stale)
        with self._behind.queue.reading() as reader:
            found = reader.schedule(name)
        if found is None:
            raise Fault.named("not_found", f"there is no schedule {name!r}")
        return {"schedule": canonical(found), **self._age(stale)}

    def _finished_of(self, names: Sequence[str]) -> Sequence[str]:
        """Those that are finished, as JSON, up to BYTES_AT_ONCE of it."""
        finished: list[str] = []
        size = 0
        with self._behind.queue.reading() as reader:
            for name in names:
                outcome = reader.outcome(name)
                if outcome is None:
                    raise Fault.named("not_found", f"there is no job {name}")
                if outcome["state"] in FINISHED:
                    finished.append(canonical(outcome))
                    size += len(finished[-1])
                    if size >= BYTES_AT_ONCE:
                        break
        return finished

    def _read(self, stale: bool) -> None:
        """Returns when what is applied here holds all that was committed when the call came; at once if `stale`."""
        if stale:
            return
        ticket = Ticket()
        self._behind.bring(ReadArrived(ticket))
        result = ticket.wait(2 * PENDING_S)
        if result is None or result == Unserved("no_quorum"):
            raise self._behind.no_quorum("no_quorum", "nothing was read")
        if isinstance(result, Unserved):
            raise self._behind.unserved(result)

    def _age(self, stale: bool) -> dict[str, int]:
        """How old a stale read may be, at least."""
        stale_ms = self._behind.stale_ms() if stale else None
        return {} if stale_ms is None else {"stale_ms": stale_ms}
