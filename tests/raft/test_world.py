"""The tests' own tools: the network's faults and crashes between effects."""

import pytest

from glassraft.raft.messages import AppendEntries, Message
from glassraft.raft.ready import Undelivered
from tests.raft.network import Network
from tests.raft.single import append_entries
from tests.raft.world import Crash, Node, World


def to(receiver: int, sender: int = 2, round: int = 1) -> AppendEntries:
    message = append_entries(sender, round=round)
    return AppendEntries(
        sender, receiver, message.term, message.prev_log, message.entries, message.leader_commit, round
    )


def arriving(network: Network) -> list[Message | Undelivered]:
    found = []
    while network.next_arrival < float("inf"):
        found += [arrival.what for arrival in network.take()]
    return found


def test_first_sent_first_to_arrive() -> None:
    network = Network()
    messages = [to(1), to(3), to(1, round=2)]
    for message in messages:
        network.send(message, now=0.0)
    assert arriving(network) == messages


def test_a_cut_link_loses_what_is_sent_and_what_is_under_way() -> None:
    lost: list[Message] = []
    network = Network(on_lost=lost.append)
    network.send(to(1), 0.0)
    network.cut([2], [1], one_way=True)
    network.send(to(1, round=2), 0.0)
    network.send(to(2, sender=1), 0.0)
    assert arriving(network) == [to(2, sender=1)]
    assert lost == [to(1, round=2), to(1)]
    network.heal()
    network.send(to(1), 0.0)
    assert arriving(network) == [to(1)]


def test_held_messages_can_be_dropped_and_released() -> None:
    network = Network()
    network.hold("all", lambda message: True)
    first, second = to(1, round=1), to(1, round=2)
    network.send(first, 0.0)
    network.send(second, 0.0)
    network.drop(lambda message: message == second)
    assert arriving(network) == []
    network.release(0.0)
    assert arriving(network) == [first]


def test_delays_reorder_and_copies_double() -> None:
    network = Network(delays=lambda message: (0.3, 0.1) if message.term == 1 else ())
    network.send(to(1, round=1), now=0.0)
    network.send(to(1, round=2), now=0.1)
    assert [what.round for what in arriving(network)] == [1, 2, 1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize("effect", range(12))
def test_a_crash_before_any_effect_leaves_what_was_persisted(effect: int) -> None:
    left = [effect]

    def crash_there(node: Node) -> None:
        if node.id == 1:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

    world = World(3, before_effect=crash_there)
    for _ in range(2):
        if world.nodes[1].server:
            world.fire_timer(1)
            world.settle()
    node = world.nodes[1]
    assert node.server is None or effect > 8
    world.before_effect = lambda node: None
    if node.server is None:
        world.restart(1)
    assert node.up.current_term == node.disk.hard_state.term
    assert node.up.log.last_index == len(node.disk.entries)
    world.run(until=5.0)
    assert len({tuple(other.disk.entries) for other in world.running}) == 1


def test_messages_to_one_server_can_be_stepped_together() -> None:
    world = World(3, together_s=1.0)
    world.fire_timer(1)
    world.settle()
    assert world.server(1).commit_index == 1


def test_clocks_may_run_at_different_rates() -> None:
    world = World(3)
    world.nodes[2].rate = 2.0
    world.run(until=10.0)
    assert world.nodes[2].clock == pytest.approx(20.0, abs=0.5)
