"""The promises of schedules (docs/queue.md), checked from outside: each due time fires once, in time, as it says.

From the entries and their outcomes a small picture of each schedule is kept; what the leader works out
is worked out here again, for schedules that go by seconds. Next: queue_checks.py, which reads the entries.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from glassraft.jobqueue import ids, states
from glassraft.jobqueue.machine import Outcome
from glassraft.simulation.checks import Broken

CAUGHT_UP: Final = 100
ON_TIME_MS: Final = 10_000
"""What docs/queue.md says of catch_up."""


class HasState(Protocol):
    """A job, as the checks see it."""

    state: str


@dataclass(slots=True)
class ScheduleSeen:
    """What the applied entries say of one schedule."""

    version: int
    every_ms: int
    overlap: str
    catch_up: str
    job: dict[str, Any]
    due_ms: int
    last: int | None


class ScheduleChecks:
    """The schedules that there are, and what came of their firings."""

    def __init__(self) -> None:
        self.seen: dict[str, ScheduleSeen] = {}
        self.events: Counter[str] = Counter()

    def job_of(self, command: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What this command may submit of a schedule."""
        seen = self.seen.get(command["a"].get("name", ""))
        return [seen.job] if seen is not None and command["op"] in ("RunSchedule", "FireSchedule") else []

    def applied(
        self, index: int, command: Mapping[str, Any], outcome: Outcome, jobs: Mapping[int, HasState]
    ) -> None:
        """An entry was applied for the first time; `jobs` are as it left them."""
        op, arguments = command["op"], command["a"]
        if op == "FireSchedule":
            self._fired(index, command["t"], arguments, outcome, jobs)
        for name, due_ms, event, _, _ in outcome.schedule_events:
            if event == "set":
                self._set(index, command["t"], arguments, due_ms)
            elif event == "dropped":
                del self.seen[name]
            elif op == "RunSchedule":
                self._came_to(index, self.seen[name], None, outcome, jobs, by_hand=True)

    def _set(self, index: int, now_ms: int, arguments: dict[str, Any], due_ms: int | None) -> None:
        name, every_ms = arguments["name"], arguments["every_ms"]
        known = self.seen.get(name)
        expected = known.due_ms if known is not None and known.every_ms == every_ms else now_ms + every_ms
        if due_ms != expected:
            raise Broken("A schedule keeps its times", f"{index} sets {name} due at {due_ms}, not {expected}")
        last = None if known is None else known.last
        options = (arguments["overlap"], arguments["catch_up"], arguments["job"])
        self.seen[name] = ScheduleSeen(index, every_ms, *options, expected, last)

    def _fired(
        self,
        index: int,
        now_ms: int,
        arguments: dict[str, Any],
        outcome: Outcome,
        jobs: Mapping[int, HasState],
    ) -> None:
        name, due_ms = arguments["name"], arguments["due_ms"]
        seen = self.seen.get(name)
        is_due = seen is not None and (seen.version, seen.due_ms) == (arguments["version"], due_ms)
        has_effect = bool(outcome.schedule_events)
        if has_effect != is_due:
            raise Broken(
                "Each due time fires once",
                f"{index} {'fires' if has_effect else 'does not fire'} {name}, due at {due_ms}; it is {seen}",
            )
        if seen is None or not is_due:
            self.events["late"] += 1
            return
        times = (arguments["for_ms"], arguments["next_ms"])
        if due_ms > now_ms or times != _expected_times(seen, now_ms):
            raise Broken(
                "A schedule keeps its times", f"{index} at {now_ms} fires {name} for {times}; it is {seen}"
            )
        self.events["caught_up"] += seen.due_ms + seen.every_ms <= now_ms
        seen.due_ms = arguments["next_ms"]
        self._came_to(index, seen, arguments["for_ms"], outcome, jobs)

    def _came_to(
        self,
        index: int,
        seen: ScheduleSeen,
        for_ms: int | None,
        outcome: Outcome,
        jobs: Mapping[int, HasState],
        *,
        by_hand: bool = False,
    ) -> None:
        """A firing submits its job, unless its time was too long ago or the last one is to be waited for."""
        is_busy = seen.last is not None and jobs[seen.last].state not in states.FINISHED
        is_skipped = (for_ms is None and not by_hand) or (is_busy and seen.overlap == "skip")
        [(name, _, event, job, _)] = outcome.schedule_events
        created = [number for number, was, _ in outcome.transitions if was == states.NOWHERE]
        told = [] if event == "skipped" else [ids.from_text(job)]
        if event != ("skipped" if is_skipped else "fired") or created != told:
            raise Broken("A schedule fires as it says", f"{index}: {name} {event} {created}; it is {seen}")
        self.events[event] += 1
        seen.last = created[0] if created else seen.last

    def are_fired(self, now_ms: int) -> bool:
        """Whether none is due any longer, at this cluster time."""
        return all(seen.due_ms > now_ms for seen in self.seen.values())


def _expected_times(seen: ScheduleSeen, now_ms: int) -> tuple[int | None, int]:
    """For which due time it has to fire now, and when it is due next."""
    latest_ms = seen.due_ms + (now_ms - seen.due_ms) // seen.every_ms * seen.every_ms
    if seen.catch_up == "all":
        first_ms = max(seen.due_ms, latest_ms - (CAUGHT_UP - 1) * seen.every_ms)
        return first_ms, first_ms + seen.every_ms
    is_missed = seen.catch_up == "none" and now_ms - latest_ms > ON_TIME_MS
    return None if is_missed else latest_ms, latest_ms + seen.every_ms
