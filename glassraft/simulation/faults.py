"""Carrying out a schedule's faults: each kind is a function of the world and the fault, found by its name.

What a fault does it undoes after its time; `world.heal` undoes all at once. Next: world.py.
"""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from glassraft.simulation.coups import STORIES
from glassraft.simulation.coups.coup import Coup
from glassraft.simulation.node import ArmedCut
from glassraft.simulation.schedule import Fault

if TYPE_CHECKING:
    from glassraft.simulation.network import Link
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

FEWEST_MEMBERS = 2
"""No server is removed from so small a cluster."""

LEASED_DRIFT = 0.4
"""Of a drift this share is left where leases are on: clocks then differ by less than they may."""

UNHEARD = 0.6
"""How likely nobody hears a stillborn leader."""


def carry_out(world: "World", fault: Fault) -> None:
    """It happens now. Where nobody is of the role that it asks for, nothing does."""
    KINDS[fault.kind](world, fault)


def _target(world: "World", who: str) -> "Node | None":
    """The running node that a fault means."""
    running = world.running
    if not running:
        return None
    if who == "leader":
        leaders = [node for node in running if node.server.role == "leader"]
        return max(leaders, key=lambda node: node.server.current_term, default=None)
    if who == "candidate":
        return next(
            (node for node in running if node.server.role != "leader" and node.server.leader_id is None), None
        )
    if who in ("ahead", "behind"):
        best = max if who == "ahead" else min
        return best(running, key=lambda node: (node.server.log.last.term, node.server.log.last.index))
    node = world.nodes[world.members[int(who[1:]) % len(world.members)]]
    return node if node.replica is not None else None


def _crash(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        world.crash(node, fault.lasts_s, power=fault.power)


def _cut(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        node.armed.append(ArmedCut(fault.effect, fault.count, fault.lasts_s, fault.power))


def _stillborn(world: "World", fault: Fault) -> None:
    world.stillborn.append(fault)


def stillborn_leader(world: "World", node: "Node", fault: Fault) -> None:
    """This leader was just elected: it ends soon, and mostly what it says until then is lost."""
    if world.chance(UNHEARD):
        _cut_links(world, _from(world, node), fault.lasts_s)
    node.armed.append(ArmedCut("any", fault.count, fault.lasts_s, fault.power))


def _cut_receiver(world: "World", fault: Fault) -> None:
    world.receiver_cuts.append(ArmedCut(fault.effect, fault.count, fault.lasts_s, fault.power))


def _majority_down(world: "World", fault: Fault) -> None:
    running = world.running
    for node in running[: len(world.members) // 2 + 1]:
        world.crash(node, fault.lasts_s, power=fault.power)


def _pause(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None and not node.paused:
        world.coverage.saw("pauses")
        node.paused = True
        world.after(fault.lasts_s, partial(_resume, node, node.life))


def _resume(node: "Node", life: int) -> None:
    if node.life == life:
        node.resume()


def _isolate(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        if node.server.role == "leader":
            world.coverage.saw("leader_isolated")
        elif fault.who == "ahead":
            world.coverage.saw("ahead_isolated")
        _cut_links(world, _from(world, node) + _to(world, node), fault.lasts_s)


def _deafen(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        world.coverage.saw("one_way_cuts")
        _cut_links(world, _to(world, node), fault.lasts_s)


def _silence(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        world.coverage.saw("one_way_cuts")
        _cut_links(world, _from(world, node), fault.lasts_s)


def _split(world: "World", fault: Fault) -> None:
    members = list(world.members)
    Random(fault.count).shuffle(members)
    leader = _target(world, "leader") if fault.who == "leader" else None
    if leader is not None:
        members.remove(leader.id)
        members.insert(0, leader.id)
    middle = 1 + fault.count % max(1, len(members) - 1)
    one, other = members[:middle], members[middle:]
    world.coverage.saw("partitions")
    _cut_links(world, [link for a in one for b in other for link in ((a, b), (b, a))], fault.lasts_s)


def _from(world: "World", node: "Node") -> "list[Link]":
    return [(node.id, other) for other in world.members if other != node.id]


def _to(world: "World", node: "Node") -> "list[Link]":
    return [(other, node.id) for other in world.members if other != node.id]


def _cut_links(world: "World", links: "list[Link]", lasts_s: float) -> None:
    world.network.cut(links)
    world.until_calm(lasts_s, partial(world.network.join, links))


def _lag(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        world.network.lagging[node.id] = world.time.now + fault.lasts_s


def _jump(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        world.coverage.saw("clock_jumps")
        node.clock.jump_wall(int(fault.amount))


def _drift(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        # With leases the clocks are trusted, within rules.CLOCK_DRIFT.
        share = LEASED_DRIFT if world.settings.raft.lease_reads else 1.0
        node.clock.set_rate(1.0 + (fault.amount - 1.0) * share)
        node.changed_clock()


def _slow_disk(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        world.coverage.saw("slow_disks")
        node.save_s = fault.amount
        world.after(fault.lasts_s, partial(setattr, node, "save_s", 0.0))


def _queue_stands(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None:
        node.queue_stands = True
        world.until_calm(fault.lasts_s, partial(setattr, node, "queue_stands", False))


def _worker_dies(world: "World", fault: Fault) -> None:
    world.replace_worker(fault.count)


def _set_weather(world: "World", fault: Fault) -> None:
    assert fault.weather is not None
    before, world.network.weather = world.network.weather, fault.weather
    world.until_calm(fault.lasts_s, partial(setattr, world.network, "weather", before))


def _add_server(world: "World", fault: Fault) -> None:
    outside = [id for id in world.members if id not in world.cluster]
    if outside:
        world.operator.change("add", outside[fault.count % len(outside)])


def _remove_server(world: "World", fault: Fault) -> None:
    raft = world.settings.raft
    if not (raft.pre_vote or raft.check_quorum):
        return  # without them who was removed disturbs the others for ever (diss. §4.2.3)
    node = _target(world, fault.who)
    if node is not None and len(world.cluster) > FEWEST_MEMBERS:
        world.operator.change("remove", node.id)


def _transfer(world: "World", fault: Fault) -> None:
    members = [0, *world.cluster]
    world.operator.transfer(members[fault.count % len(members)])


def _coup(world: "World", fault: Fault) -> None:
    node = _target(world, fault.who)
    if node is not None and world.coup is None and Coup.has_its_cast(world, node):
        world.coup = Coup(world, node, fault.count, STORIES[fault.effect])
        world.coup.begin()


KINDS: Final[Mapping[str, Callable[["World", Fault], None]]] = {
    "crash": _crash,
    "cut": _cut,
    "stillborn": _stillborn,
    "cut_receiver": _cut_receiver,
    "majority_down": _majority_down,
    "pause": _pause,
    "isolate": _isolate,
    "deafen": _deafen,
    "silence": _silence,
    "split": _split,
    "lag": _lag,
    "jump": _jump,
    "drift": _drift,
    "slow_disk": _slow_disk,
    "queue_stands": _queue_stands,
    "worker_dies": _worker_dies,
    "set_weather": _set_weather,
    "add_server": _add_server,
    "remove_server": _remove_server,
    "transfer": _transfer,
    "coup": _coup,
}
