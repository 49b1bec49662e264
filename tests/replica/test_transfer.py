"""A leader that hands over, among fakes: who is told what meanwhile, and when it is over."""

import threading

import pytest

from glassraft.errors import BadArgument
from glassraft.raft.messages import AppendEntries, LogPosition, TimeoutNow
from glassraft.replica.arrivals import HandedOver, ShutDown, TimePassed, TransferArrived, Unserved
from glassraft.rpc.faults import Fault
from tests.replica.parts import Bench, Waiter, opening, wait_until
from tests.replica.test_service import Desk


@pytest.fixture
def led() -> Bench:
    """A leader of three."""
    bench = Bench()
    bench.become_leader()
    return bench


def hand_over(bench: Bench, target: int | None = 3) -> Waiter:
    waiter = Waiter()
    bench.turn(TransferArrived(waiter, target))
    return waiter


def of_new_leader(bench: Bench, leader: int = 3) -> AppendEntries:
    term = bench.server.current_term + 1
    last = bench.server.log.last
    return AppendEntries(leader, 1, term, last, (opening(last.index + 1, term),), 1, 1)


def test_commands_are_refused_and_nothing_is_in_doubt(led: Bench) -> None:
    hand_over(led)
    arrival, waiter = led.command()
    led.turn(arrival)
    assert waiter.result == Unserved("transferring")


def test_whoever_asked_is_told_who_leads(led: Bench) -> None:
    waiter = hand_over(led)
    assert [message.receiver for message in led.network.take(TimeoutNow)] == [3]
    led.turn(led.arrives(of_new_leader(led)))
    assert waiter.result == HandedOver(3, 2)


def test_whoever_asked_is_told_when_it_is_given_up(led: Bench) -> None:
    waiter = hand_over(led)
    led.pass_time(1.3)
    led.turn(TimePassed())
    assert waiter.result == Unserved("transfer_failed")


def test_whoever_asked_is_told_that_the_node_stops(led: Bench) -> None:
    waiter = hand_over(led)
    led.turn(ShutDown())
    assert waiter.result == Unserved("shutting_down")


def test_a_tick_that_is_due_waits_and_makes_no_haste(led: Bench) -> None:
    led.submit(delay_ms=1_000)
    hand_over(led)
    led.pass_time(1.1)
    led.acknowledge()
    before = led.server.log.last_index
    assert not led.turn(TimePassed())
    assert led.server.log.last_index == before
    assert led.replica.next_deadline > led.clock.now + 0.01


def test_a_waiting_take_is_served_after_a_transfer_that_failed(led: Bench) -> None:
    arrival, waiter = led.take()
    led.turn(arrival)
    led.submit()
    led.acknowledge()
    assert waiter.result is not None
    arrival, waiter = led.take("another")
    hand_over(led)
    led.turn(arrival)
    led.pass_time(1.3)
    led.turn(TimePassed())
    led.submit()
    led.acknowledge()
    assert waiter.result is not None


# The method


@pytest.fixture
def desk() -> Desk:
    desk = Desk(3)
    desk.bench.become_leader()
    return desk


def test_the_method_says_who_leads_then(desk: Desk) -> None:
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(desk.call("TransferLeadership", 3)))
    asking.start()
    wait_until(lambda: desk.bench.server.hand_over)
    desk.driver.bring(desk.bench.arrives(of_new_leader(desk.bench)))
    asking.join(20)
    assert answers == [{"leader_id": 3, "term": 2}]


def test_a_target_that_is_no_voter_is_a_bad_argument(desk: Desk) -> None:
    with pytest.raises(BadArgument, match="target is 9, which is no voter"):
        desk.call("TransferLeadership", 9)


def test_nobody_to_hand_over_to() -> None:
    desk = Desk(1)
    desk.bench.become_leader()
    with pytest.raises(Fault, check=lambda fault: fault.detail == {"why": "no_target"}):
        desk.call("TransferLeadership")


def test_a_follower_names_the_leader_to_ask() -> None:
    desk = Desk(3)
    desk.bench.turn(desk.bench.arrives(AppendEntries(2, 1, 1, LogPosition(0, 0), (opening(1, 1),), 1, 1)))
    with pytest.raises(Fault, check=lambda fault: fault.detail.get("leader_id") == 2):
        desk.call("TransferLeadership", 1)


def test_a_client_is_told_to_come_back(desk: Desk) -> None:
    hand_over(desk.bench)
    with pytest.raises(Fault, match="n1 hands its lead over") as caught:
        desk.call("Submit", "", 0, 0, '{"task": "nothing"}')
    assert caught.value.name == "not_leader"
    assert caught.value.detail["leader_id"] == 0
