"""A failing seed cut down to the shortest schedule that still fails, for people to follow.

Delta debugging (Zeller and Hildebrandt's ddmin) over the faults of the schedule, then over what
goes on beside them: fewer nodes, clients and workers, and no more time than it needs. What is
left must break the same property. Next: words.py, in which a transcript is told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from glassraft.simulation.parts import REAL, Parts
from glassraft.simulation.run import Failure, simulate
from glassraft.simulation.schedule import Fault, Schedule, Storm
from glassraft.simulation.settings import Settings
from glassraft.simulation.world import Listener

MOST_RUNS: Final = 400
"""Runs that shrinking may take: a minute, mostly."""


@dataclass(frozen=True)
class Case:
    """One run: what a seed is played with."""

    seed: int
    settings: Settings
    schedule: Schedule
    parts: Parts = field(default=REAL, repr=False)

    def play(self, listener: Listener | None = None) -> Failure | None:
        """What goes wrong in it."""
        return simulate(
            self.seed, self.settings, schedule=self.schedule, parts=self.parts, listener=listener
        ).failure


@dataclass(frozen=True)
class Shrunk:
    """The smallest case that was found, what it breaks, and how many runs that took."""

    case: Case
    failure: Failure
    runs: int


def shrink(case: Case, most_runs: int = MOST_RUNS) -> Shrunk | None:
    """The smallest case that breaks the same property as this one; None if this one breaks nothing."""
    failure = case.play()
    if failure is None:
        return None
    search = _Search(case, failure, most_runs)
    search.shorten()
    search.leave_out_faults()
    for simpler in SIMPLER:
        search.attempt(replace(search.case, settings=simpler(search.case.settings)))
    search.leave_out_faults()
    search.shorten()
    return Shrunk(search.case, search.failure, search.runs)


def _one_client(settings: Settings) -> Settings:
    return replace(settings, client_widths=(1,))


def _one_worker(settings: Settings) -> Settings:
    return replace(settings, workers=1)


def _fewer_calls(settings: Settings) -> Settings:
    return replace(settings, client_gap_s=2 * settings.client_gap_s)


def _nothing_lost_to_clients(settings: Settings) -> Settings:
    return replace(settings, client_loss=0.0)


def _no_schedules(settings: Settings) -> Settings:
    return replace(settings, periodic=0)


def _nothing_together(settings: Settings) -> Settings:
    return replace(settings, together=0.0)


def _five_nodes(settings: Settings) -> Settings:
    return replace(settings, nodes=min(settings.nodes, 5))


def _three_nodes(settings: Settings) -> Settings:
    return replace(settings, nodes=min(settings.nodes, 3))


SIMPLER: Final[Sequence[Callable[[Settings], Settings]]] = (
    _five_nodes,
    _three_nodes,
    _one_client,
    _one_worker,
    _no_schedules,
    _fewer_calls,
    _nothing_lost_to_clients,
    _nothing_together,
)
"""Each is tried once, on top of those that left the failure as it is."""


class _Search:
    """The smallest case so far."""

    def __init__(self, case: Case, failure: Failure, most_runs: int) -> None:
        self.case = case
        self.failure = failure
        self.runs = 1
        self._most_runs = most_runs

    def attempt(self, smaller: Case) -> bool:
        """Goes on from `smaller` if the same property breaks there."""
        if smaller == self.case or self.runs >= self._most_runs:
            return False
        self.runs += 1
        failure = smaller.play()
        if failure is None or failure.property != self.failure.property:
            return False
        self.case, self.failure = smaller, failure
        return True

    def shorten(self) -> None:
        """No more storms, and the last one no longer, than until the property breaks."""
        schedule = self.case.schedule
        for count in range(len(schedule)):
            if self.attempt(replace(self.case, schedule=schedule[:count])):
                return

    def leave_out_faults(self) -> None:
        """ddmin: leave out halves, quarters, ... of the faults, until none can be spared."""
        pieces = 2
        while True:
            faults = _faults(self.case.schedule)
            pieces = min(pieces, len(faults))
            if not pieces or self.runs >= self._most_runs:
                return
            if self._leave_out_one_of(pieces, len(faults)):
                pieces = max(2, pieces - 1)
            elif pieces == len(faults):
                return
            else:
                pieces *= 2

    def _leave_out_one_of(self, pieces: int, count: int) -> bool:
        bounds = [count * number // pieces for number in range(pieces + 1)]
        for first, end in pairwise(bounds):
            if self.attempt(replace(self.case, schedule=_without(self.case.schedule, first, end))):
                return True
        return False


def _faults(schedule: Schedule) -> list[Fault]:
    return [fault for storm in schedule for fault in storm.faults]


def _without(schedule: Schedule, first: int, end: int) -> Schedule:
    """The schedule less its faults from number `first` on, up to `end`; storms keep their length."""
    storms = []
    number = 0
    for storm in schedule:
        numbered = enumerate(storm.faults, number)
        kept = tuple(fault for place, fault in numbered if not first <= place < end)
        number += len(storm.faults)
        storms.append(Storm(storm.lasts_s, kept))
    return tuple(storms)


def transcript(shrunk: Shrunk) -> str:
    """What happens in the case, one line an event, and at the end the property that broke."""
    lines = [f"# seed {shrunk.case.seed}, shrunk in {shrunk.runs} runs: {shrunk.case.settings}"]
    shrunk.case.play(lambda at, text: lines.append(f"{at:9.4f}  {text}"))
    lines.append(f"broken {shrunk.failure}")
    return "\n".join(lines)


def schedule_text(shrunk: Shrunk) -> str:
    """What goes wrong in the case, one line a fault."""
    lines = [f"seed {shrunk.case.seed}: {shrunk.case.settings}"]
    for number, storm in enumerate(shrunk.case.schedule, 1):
        lines.append(f"storm {number}, {storm.lasts_s:g} s")
        lines += [f"  {fault}" for fault in storm.faults]
    lines.append(str(shrunk.failure))
    return "\n".join(lines)
