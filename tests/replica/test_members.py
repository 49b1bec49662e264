"""A node speaks to whom the newest configuration in its log names, where that says (diss. §4.1)."""

from collections.abc import Mapping

import pytest

from glassraft.raft.configuration import (
    Address,
    Configuration,
    addresses_in,
    configuration_text,
    parse_configuration,
)
from glassraft.raft.messages import AppendEntries, Entry, LogPosition
from glassraft.replica.arrivals import Applied, ChangeArrived, ShutDown, Unserved
from glassraft.replica.turn import Replica
from tests.replica.parts import Bench, Waiter, opening

PLACES = {id: ("127.0.0.1", 7400 + id) for id in range(1, 6)}


class Acquaintances:
    """Whom a node was told to speak to, newest last."""

    def __init__(self, replica: Replica) -> None:
        self.met: list[dict[int, Address]] = []
        replica.addresses.update({id: PLACES[id] for id in (1, 2, 3)})
        replica._meet = self.meet

    def meet(self, addresses: Mapping[int, Address]) -> None:
        self.met.append(dict(addresses))


@pytest.fixture
def led() -> Bench:
    """A leader of three."""
    bench = Bench()
    bench.become_leader()
    return bench


def ask(bench: Bench, change: str, server: int, address: Address | None = None) -> Waiter:
    waiter = Waiter()
    bench.turn(ChangeArrived(change, server, waiter, address))  # type: ignore[arg-type]
    return waiter


def test_a_leader_meets_a_new_server_before_it_sends_to_it(led: Bench) -> None:
    known = Acquaintances(led.replica)
    waiter = ask(led, "add", 4, PLACES[4])
    assert known.met == [{id: PLACES[id] for id in (2, 3, 4)}]
    assert led.network.take(AppendEntries, 4)
    assert waiter.result is None


def test_the_new_entry_carries_all_addresses_and_the_time(led: Bench) -> None:
    Acquaintances(led.replica)
    ask(led, "add", 4, PLACES[4])
    (entry,) = led.server.log.slice(led.server.log.last_index, max_entries=1, max_bytes=1 << 20)
    assert addresses_in(entry.command) == {id: PLACES[id] for id in (1, 2, 3, 4)}
    assert parse_configuration(entry.command) == Configuration((1, 2, 3), (4,))


def test_a_removal_is_answered_when_it_is_applied(led: Bench) -> None:
    waiter = ask(led, "remove", 3)
    assert waiter.result is None
    led.acknowledge(2)
    assert isinstance(waiter.result, Applied)


def test_a_follower_meets_whom_a_configuration_names_and_forgets_whom_it_does_not() -> None:
    bench = Bench()
    known = Acquaintances(bench.replica)
    text = configuration_text(Configuration((1, 2, 4)), PLACES, 1)
    change = Entry(2, 1, "configuration", text)
    bench.turn(bench.arrives(AppendEntries(2, 1, 1, LogPosition(0, 0), (opening(1, 1), change), 0, 1)))
    assert known.met == [{2: PLACES[2], 4: PLACES[4]}]


def test_a_learner_is_not_added_again_at_another_address(led: Bench) -> None:
    Acquaintances(led.replica)
    ask(led, "add", 4, PLACES[4])
    assert ask(led, "add", 4, PLACES[5]).result == Unserved("already_member")
    assert ask(led, "add", 4, PLACES[4]).result is None


def test_who_waits_for_a_learner_is_told_that_the_node_stops(led: Bench) -> None:
    Acquaintances(led.replica)
    waiter = ask(led, "add", 4, PLACES[4])
    led.turn(ShutDown())
    assert waiter.result == Unserved("shutting_down")
    assert ask(led, "remove", 3).result == Unserved("shutting_down")
