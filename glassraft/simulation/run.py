"""One seed from beginning to end: storms and calms, then everything must be finished and agree.

`simulate(seed)` is all that the command, the tests and the search for broken rules need. The same
arguments always give the same run.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from glassraft.simulation import files
from glassraft.simulation import schedule as schedules
from glassraft.simulation import settings as all_settings
from glassraft.simulation.checks import Broken
from glassraft.simulation.clock import NodeClock
from glassraft.simulation.coverage import Coverage
from glassraft.simulation.job_model import JobModel, with_ends_of_leases
from glassraft.simulation.linearizability import Operation, check
from glassraft.simulation.node import Node
from glassraft.simulation.parts import REAL, Parts
from glassraft.simulation.queue_disk import QueueDisk
from glassraft.simulation.schedule import Schedule
from glassraft.simulation.settings import MakeNode, Settings
from glassraft.simulation.snapshots import MemorySnapshots
from glassraft.simulation.world import Listener, World
from glassraft.storage.identity import Identity

LONG_EVERY: Final = 100
"""One seed in so many runs ten times longer."""

FILES_EVERY: Final = 100
"""One seed in so many runs on real SQLite files."""

PERIODIC: Final = (0, 1, 3)
"""How many schedules there are: drawn apart, since they are few enough to leave the rest of a seed as it is."""

FIRED_WITHIN_S: Final = 15.0
"""So soon after the last fault no schedule is overdue any longer: a clock may have been set on by a minute."""

LEADER_WITHIN_S: Final = 12.0
"""So soon after the last fault a cluster serves again: some ten election timeouts."""

FINISHED_WITHIN_S: Final = 60.0
"""So soon after that every job is finished: leases run out, and failed jobs wait."""

AGREED_WITHIN_S: Final = 10.0
AN_ENTRY_S: Final = 0.05
"""More, for each entry that a node lacks: in some runs a message carries one."""

CALM_S: Final = 0.7
"""How long a calm lasts once a leader serves."""

FASTEST: Final = 1.1
"""Seconds that a machine's clock shows in one of the world's, at most; at least it shows SLOWEST."""
SLOWEST: Final = 0.9


@dataclass(frozen=True)
class Failure:
    """What went wrong: the property that does not hold, and what was seen."""

    property: str
    text: str
    at_s: float
    from_outside: bool
    """False where a node stopped by itself: by its own assertion, or by an error."""

    def __str__(self) -> str:
        return f"at {self.at_s:.3f} s: {self.property}: {self.text}"


@dataclass(frozen=True)
class Result:
    """What came of a run."""

    seed: int
    failure: Failure | None
    coverage: Coverage
    history: Sequence[Operation] = field(repr=False)
    steps: int
    simulated_s: float
    schedule: Schedule = field(repr=False)


@dataclass(frozen=True)
class Plan:
    """What a seed stands for, unless the caller says otherwise."""

    settings: Settings
    schedule: Schedule
    on_files: bool


def plan_of(seed: int) -> Plan:
    """The settings, the schedule and the kind of disk that a seed draws."""
    random = Random(f"{seed} plan")
    settings = replace(all_settings.draw(random), periodic=Random(f"{seed} periodic").choice(PERIODIC))
    on_files = seed % FILES_EVERY == FILES_EVERY - 1
    is_long = seed % LONG_EVERY == LONG_EVERY // 2
    length = schedules.LONG if is_long else schedules.ORDINARY
    return Plan(settings, schedules.draw(random, length), on_files)


def simulate(
    seed: int,
    settings: Settings | None = None,
    *,
    schedule: Schedule | None = None,
    parts: Parts = REAL,
    record: Path | None = None,
    listener: Listener | None = None,
) -> Result:
    """Play one seed, or part of its schedule. Never raises what the run itself comes to: that is the failure."""
    plan = plan_of(seed)
    settings = settings or plan.settings
    schedule = plan.schedule if schedule is None else schedule
    with ExitStack() as stack:
        make_node: MakeNode = node_in_memory
        if plan.on_files and parts is REAL:
            folder = files.run_folder()
            stack.callback(files.remove, folder)
            make_node = partial(_make_node_on_files, folder)
        world = World(seed, settings, parts, make_node, record, listener)
        stack.callback(_put_away, world)
        _note_kind(world, schedule, on_files=make_node is not node_in_memory)
        failure = _play(world, schedule)
        return Result(
            seed, failure, world.coverage, world.history.whole(), world.steps, world.time.now, schedule
        )


def _note_kind(world: World, schedule: Schedule, *, on_files: bool) -> None:
    world.coverage.saw(f"clusters_of_{world.settings.nodes}")
    world.coverage.saw("long_runs", len(schedule) > len(schedules.ORDINARY.storms_s))
    world.coverage.saw("runs_on_files", on_files)


def node_in_memory(
    world: World,
    id: int,
    clock: NodeClock,
    random: Random,
    make_snapshots: Callable[[Node, QueueDisk], MemorySnapshots] = MemorySnapshots,
) -> Node:
    """A machine whose disks are in memory."""

    def effect(name: str) -> None:
        node.effect(name)

    disk = world.parts.make_disk(effect)
    queue = QueueDisk(effect, world.parts.queue_rules, disk, world.first_configuration(id))
    node = Node(world, id, clock, random, disk, queue, lambda node: make_snapshots(node, queue))
    return node


def _make_node_on_files(folder: Path, world: World, id: int, clock: NodeClock, random: Random) -> Node:
    """A machine with real files."""

    def effect(name: str) -> None:
        node.effect(name)

    addresses = {member: f"sim:{member}" for member in world.members}
    identity = Identity("c0ffee", "simulation", id, addresses)
    disk = files.FileDisk(folder, identity, effect, lambda: bool(node.armed))
    queue = files.FileQueue(disk, effect)
    node = Node(world, id, clock, random, disk, queue, lambda node: files.FileSnapshots(node, disk, queue))
    return node


def _put_away(world: World) -> None:
    for node in world.nodes.values():
        node.close()


def _play(world: World, schedule: Schedule) -> Failure | None:
    try:
        for storm in schedule:
            world.play(storm.faults)
            world.run(storm.lasts_s)
            world.heal()
            _serves_again(world)
        _finish(world)
        for call in tuple(world.open_calls):
            call.abandon()
        world.situations.at_the_end()
        _check_history(world, schedule)
    except Broken as broken:
        return Failure(broken.property, broken.text, world.time.now, from_outside=True)
    except Exception as error:
        return Failure(
            "A node stopped", f"{type(error).__name__}: {error}", world.time.now, from_outside=False
        )
    return None


def _serves_again(world: World) -> None:
    """Once the faults are over, a leader is there soon that has committed an entry of its own term (§5.2)."""
    if not world.run(LEADER_WITHIN_S, lambda: _has_leader(world)):
        raise Broken("A leader in time", f"none {LEADER_WITHIN_S:g} s after the last fault")
    world.run(CALM_S)


def _has_leader(world: World) -> bool:
    terms = [world.nodes[id].server.current_term for id in world.cluster]
    return any(
        node.server.current_term == max(terms)
        and node.server.log.term_at(node.server.commit_index) == node.server.current_term
        for node in world.leaders
    )


def _finish(world: World) -> None:
    """No more is submitted; every job is finished, and all nodes come to hold the same."""
    for client in world.clients:
        client.stopped = True
    if not world.run(FIRED_WITHIN_S, lambda: _all_fired(world)):
        raise Broken(
            "A schedule fires in time",
            f"{world.queue_checks.schedules.seen} are due {FIRED_WITHIN_S:g} s after the faults",
        )
    for planner in world.planners:
        planner.stopped = True
    if not world.run(FINISHED_WITHIN_S, lambda: _all_finished(world)):
        raise Broken(
            "Every job is finished",
            f"{world.queue_checks.unfinished} unfinished {FINISHED_WITHIN_S:g} s after the faults",
        )
    world.finished = True
    within_s = AGREED_WITHIN_S + AN_ENTRY_S * _most_behind(world)
    if not world.run(within_s, lambda: _all_agree(world)):
        ends = {f"n{id}": world.nodes[id].machine.applied_index for id in world.cluster}
        raise Broken("All nodes catch up", f"they have applied {ends} {within_s:g} s after everything healed")
    for id in world.cluster:
        node = world.nodes[id]
        node.commit()
        world.queue_checks.at_the_end(node)


def _all_fired(world: World) -> bool:
    newest = max(world.leaders, key=lambda node: node.server.current_term, default=None)
    return newest is not None and world.queue_checks.schedules.are_fired(newest.up.now_ms())


def _all_finished(world: World) -> bool:
    return (
        world.queue_checks.unfinished == 0
        and not any(client.is_submitting for client in world.clients)
        and all(planner.is_done for planner in world.planners)
    )


def _most_behind(world: World) -> int:
    ends = [world.nodes[id].server.log.last_index for id in world.cluster]
    return max(ends) - min(ends)


def _all_agree(world: World) -> bool:
    nodes = [world.nodes[id] for id in world.cluster]
    ends = {(node.machine.applied_index, node.server.log.last_index) for node in nodes}
    return len(ends) == 1


def _check_history(world: World, schedule: Schedule) -> None:
    """The clients' history is linearizable.

    A lease may end earlier than its length says by what cluster time can leap: the median of the clocks
    is another one as soon as other nodes are heard. Where clocks are set it can end at once.
    """
    kinds = {fault.kind for storm in schedule for fault in storm.faults}
    leap_s = world.settings.clocks_apart_s + (FASTEST - SLOWEST) * world.time.now
    leap_s = (
        float("inf") if "jump" in kinds else leap_s if "drift" in kinds else world.settings.clocks_apart_s
    )
    history = [_shorter(operation, leap_s) for operation in world.history.whole()]
    violation = check(with_ends_of_leases(history, FASTEST), JobModel())
    if violation is not None:
        raise Broken("Linearizable", str(violation))


def _shorter(operation: Operation, leap_s: float) -> Operation:
    if operation.kind != "take":
        return operation
    return replace(operation, argument=max(0.0, operation.argument - leap_s))
