"""In how many seeds each broken rule is caught: the test of the tests.

A catch counts only when a property checked from outside reports it; a node that stops by itself
proves nothing. Next: broken.py, the rules; __main__.py, the command.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from random import Random
from statistics import median
from typing import Final

from glassraft.simulation import schedule as schedules
from glassraft.simulation import settings as all_settings
from glassraft.simulation.broken import ZOO
from glassraft.simulation.misreading import BrokenRule
from glassraft.simulation.run import Failure, simulate
from glassraft.simulation.schedule import Schedule
from glassraft.simulation.settings import Settings

WITHIN: Final = 2_000
"""Seeds that a broken rule may survive, at most."""

TRIES: Final = 5
"""Each try begins at seeds of its own: one lucky seed proves little."""

APART: Final = 100_000
"""From the first seed of one try to that of the next."""


@dataclass(frozen=True, slots=True)
class Catch:
    """A seed that showed a broken rule, how many were played until then, and what was seen."""

    seed: int
    seeds: int
    failure: Failure


def settings_for(rule: BrokenRule, seed: int) -> Settings:
    """What the seed draws, in a cluster in which the rule matters."""
    drawn = all_settings.draw(Random(f"{seed} settings"), rule.where.nodes)
    raft = replace(drawn.raft, **rule.where.raft)
    return replace(drawn, raft=raft, periodic=rule.where.periodic)


def schedule_for(rule: BrokenRule, seed: int) -> Schedule:
    """What the seed draws, in weather in which the rule matters."""
    return schedules.draw(Random(f"{seed} schedule"), favourites=rule.where.faults, only=rule.where.only)


def play(rule: BrokenRule, seed: int) -> Failure | None:
    """What a property from outside sees of the rule in this seed; None if nothing.

    What fails with all rules kept, too, proves nothing: without pre-vote a server that was removed may
    disturb for ever (diss. §4.2.3).
    """
    settings, schedule = settings_for(rule, seed), schedule_for(rule, seed)
    failure = simulate(seed, settings, schedule=schedule, parts=rule.parts).failure
    if failure is None or not failure.from_outside:
        return None
    return failure if simulate(seed, settings, schedule=schedule).failure is None else None


def hunt(name: str, first: int, within: int) -> Catch | None:
    """Play seeds from `first` on until the rule is caught; None if it survives so many."""
    rule = ZOO[name]
    for seed in range(first, first + within):
        failure = play(rule, seed)
        if failure is not None:
            return Catch(seed, seed - first + 1, failure)
    return None


@dataclass(frozen=True)
class Row:
    """What became of one broken rule over all tries."""

    rule: BrokenRule
    catches: Sequence[Catch | None]
    within: int

    @property
    def seeds(self) -> float:
        """The median of the tries; one that caught nothing counts as more than it may take."""
        return median(catch.seeds if catch else self.within + 1 for catch in self.catches)

    @property
    def is_caught(self) -> bool:
        """Whether it is caught in time, mostly."""
        return self.seeds <= self.within

    @property
    def seen_by(self) -> str:
        """The properties that saw it, the most frequent first."""
        seen = [catch.failure.property for catch in self.catches if catch]
        return ", ".join(sorted(set(seen), key=seen.count, reverse=True)) or "nothing"


def hunt_all(
    names: Sequence[str], tries: int, within: int, jobs: int, advance: Callable[[int], None]
) -> list[Row]:
    """Hunt each of these rules so many times."""
    found: dict[str, list[Catch | None]] = {name: [] for name in names}
    for name, catch in _hunts([(name, number) for name in names for number in range(tries)], within, jobs):
        found[name].append(catch)
        advance(1)
    return [Row(ZOO[name], found[name], within) for name in names]


def _hunts(todo: Sequence[tuple[str, int]], within: int, jobs: int) -> Iterator[tuple[str, Catch | None]]:
    if jobs == 1:
        yield from ((name, hunt(name, number * APART, within)) for name, number in todo)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        names = {pool.submit(hunt, name, number * APART, within): name for name, number in todo}
        for future in as_completed(names):
            yield names[future], future.result()


def table(rows: Sequence[Row]) -> str:
    """One line a rule: where it is from, in how many seeds it was caught, and what saw it."""
    lines = [f"{'rule':38} {'section':15} {'seeds':>7}  seen by"]
    for row in rows:
        seeds = f"{row.seeds:g}" if row.is_caught else f">{row.within}"
        lines.append(f"{row.rule.name:38} {row.rule.section:15} {seeds:>7}  {row.seen_by}")
    return "\n".join(lines)
