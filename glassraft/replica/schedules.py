"""Which schedules a leader fires, and with what times: the one place where a calendar is read.

The machine applies a firing only where version and due time are still those that were seen here, so
proposing one twice does no harm. What was due while nobody led is caught up with as the schedule says.
Pure but for the time zones, which are the system's. Next: turn.py, which asks after each Ready.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import takewhile
from typing import Any, Final
from zoneinfo import ZoneInfo

from glassraft.errors import BadArgument
from glassraft.jobqueue import schedule_options
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.cron import parse_cron
from glassraft.jobqueue.machine import Machine
from glassraft.jobqueue.schedules import MAX_SCHEDULES, Schedule

FIRED_AT_ONCE: Final = 100
"""How many firings are proposed before the first of them is applied."""

CAUGHT_UP: Final = 100
"""So many of the due times that passed are caught up with under `all`, one command each: the last ones."""

ON_TIME_MS: Final = 10_000
"""What is fired within this was not missed: a change of leader takes a second or two."""

LOOK_AGAIN_S: Final = 5.0
"""Where none of what is due can be fired, for want of a time zone, is looked at again after so long."""

NextAfter = Callable[[int], int | None]
"""The first due time after an instant, milliseconds UTC; None where none comes any more."""


class Firings:
    """One leader's: what it proposed, until that is applied."""

    def __init__(self) -> None:
        self._proposed_up_to = 0
        self._look_again_at = 0.0

    def next_at_ms(self, machine: Machine) -> int | None:
        """The cluster time at which there is something to propose; None while nothing is to come."""
        return None if self._proposed_up_to > machine.applied_index else machine.next_firing_ms()

    def due(self, machine: Machine, now: float, now_ms: int) -> list[str]:
        """The arguments of the FireSchedules to propose now: one for each schedule that is due, the earliest first."""
        first_ms = self.next_at_ms(machine)
        if first_ms is None or first_ms > now_ms or now < self._look_again_at:
            return []
        for limit in (FIRED_AT_ONCE, MAX_SCHEDULES):
            found = machine.due_schedules(now_ms, limit)
            fired = [arguments for schedule in found if (arguments := firing(schedule, now_ms)) is not None]
            if fired or len(found) < limit:
                break
        if not fired:
            self._look_again_at = now + LOOK_AGAIN_S
        return fired[:FIRED_AT_ONCE]

    def wait_s(self, now: float, wait_s: float) -> float:
        """How long to wait where what is due first is due in `wait_s` seconds."""
        return max(wait_s, self._look_again_at - now)

    def proposed(self, last_index: int) -> None:
        """They are in the log, which ends at `last_index`: nothing more is proposed before that is applied."""
        self._proposed_up_to = last_index

    def forget(self) -> None:
        """This node does not lead any longer: what it proposed may be gone with that."""
        self._proposed_up_to = 0


def firing(schedule: Schedule, now_ms: int) -> str | None:
    """The arguments of the FireSchedule for a schedule that is due; None where this node lacks its time zone."""
    assert schedule.due_ms is not None
    try:
        next_after = _times_of(schedule.every_ms, schedule.cron, schedule.zone, schedule.due_ms)
    except BadArgument:
        return None
    times = last_times(next_after, schedule.due_ms, now_ms, CAUGHT_UP if schedule.catch_up == "all" else 1)
    for_ms: int | None = times[0]
    after_ms = times[0] if schedule.catch_up == "all" else now_ms
    if schedule.catch_up == "none" and now_ms - times[0] > ON_TIME_MS:
        for_ms = None
    return schedule_options.fire(
        schedule.name, schedule.version, schedule.due_ms, next_after(after_ms), for_ms
    )


def last_times(next_after: NextAfter, due_ms: int, now_ms: int, most: int) -> Sequence[int]:
    """The last `most` due times from `due_ms` up to `now_ms`: looked for in a span before it, which doubles."""
    span_ms = 60_000
    while True:
        start_ms = max(due_ms - 1, now_ms - span_ms)
        times = list(takewhile(lambda ms: ms <= now_ms, _times_after(next_after, start_ms)))
        if len(times) >= most or start_ms < due_ms:
            return times[-most:] or [due_ms]
        span_ms *= 2


def with_first_due(arguments: str, now_ms: int) -> str:
    """SetSchedule's arguments with the first time at which it is due, of this leader's working out."""
    schedule: dict[str, Any] = json.loads(arguments)
    get = schedule.get
    due_ms = _times_of(get("every_ms"), get("cron"), get("zone"), now_ms)(now_ms)
    return canonical({**schedule, "due_ms": due_ms})


@cache
def time_zone(name: str) -> ZoneInfo:
    """The zone of this name. Raises BadArgument where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadArgument(
            f"this node's system knows no time zone {name[:60]!r}; one looks like 'Europe/Berlin'"
        ) from None


def _times_of(every_ms: int | None, cron: str | None, zone: str | None, from_ms: int) -> NextAfter:
    """By a line in its zone, or each `every_ms` from `from_ms` on. Raises BadArgument where the zone is not known."""
    if every_ms is not None:
        return lambda after_ms: from_ms + ((after_ms - from_ms) // every_ms + 1) * every_ms
    assert cron is not None
    assert zone is not None
    return partial(parse_cron(cron).next_after, zone=time_zone(zone))


def _times_after(next_after: NextAfter, ms: int) -> Iterator[int]:
    at_ms = next_after(ms)
    while at_ms is not None:
        yield at_ms
        at_ms = next_after(at_ms)
