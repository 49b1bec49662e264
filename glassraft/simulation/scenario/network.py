"""The network of a scenario: first sent, first to arrive, in no time; and chosen messages can be held back.

What is held can be released, dropped, doubled or turned around. A reply takes the connection of its
request, and the sender of what is lost learns so, as on the simulator's own network. Next: world.py.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from glassraft.raft.messages import Message
from glassraft.replica.arrivals import MessageArrived, MessageLost, Origin
from glassraft.simulation.network import Network

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.scenario.world import ScenarioWorld

Pick = Callable[[Message], bool]
"""Chooses messages."""


def every(message: Message) -> bool:
    """Chooses all messages."""
    return True


@dataclass(slots=True)
class Carried:
    """A message on its way to a node."""

    arrival: MessageArrived
    receiver: "Node"
    life: int | None
    """A reply reaches this life of its receiver alone; None: any, since it is a request."""
    give_up: Callable[[str], None]
    """Tells the request's sender why nothing came of it."""

    @property
    def message(self) -> Message:
        """What is carried."""
        return self.arrival.message


class NetworkByHand(Network):
    """Messages under way, messages held, and the links that are cut."""

    def __init__(self, world: "ScenarioWorld", random: Random) -> None:
        super().__init__(world, random)
        self._scenario = world
        self.holding: dict[str, Pick] = {}
        """Which messages are kept back, each choice by a name."""
        self.held: list[Carried] = []
        self._under_way: deque[Callable[[], None]] = deque()

    # On the way

    def soon(self, happens: Callable[[], None]) -> None:
        """Let this happen after all that is under way."""
        self._under_way.append(happens)

    def deliver_next(self) -> bool:
        """What was sent first arrives. False when nothing is under way."""
        if not self._under_way:
            return False
        self._under_way.popleft()()
        return True

    def request(self, sender: "Node", message: Message, origin: Origin) -> None:
        """A request goes out; its reply comes back by `_respond`."""
        receiver = self._scenario.nodes[message.receiver]
        give_up = partial(self._report_lost, sender, sender.life, message, origin.id)
        respond = partial(self._respond, sender, sender.life, give_up)
        self._send(Carried(MessageArrived(message, origin, respond), receiver, None, give_up))

    def _respond(
        self, asker: "Node", life: int, give_up: Callable[[str], None], reply: Message, origin: Origin
    ) -> None:
        self._send(Carried(MessageArrived(reply, origin), asker, life, give_up))

    def _send(self, carried: Carried) -> None:
        if any(pick(carried.message) for pick in self.holding.values()):
            self.held.append(carried)
            self._scenario.witness.held(carried.message)
        else:
            self._go(carried)

    def _go(self, carried: Carried) -> None:
        if self._is_cut(carried):
            self._lose(carried, "no answer")
        else:
            self.soon(partial(self._arrive, carried))

    def _arrive(self, carried: Carried) -> None:
        receiver = carried.receiver
        if self._is_cut(carried):
            self._lose(carried, "no answer")
        elif receiver.replica is None or carried.life not in (None, receiver.life):
            self._lose(carried, "connection refused")
        else:
            self._scenario.witness.received(carried.message)
            receiver.arrive(carried.arrival)

    def _is_cut(self, carried: Carried) -> bool:
        return (carried.message.sender, carried.message.receiver) in self.cut_links

    def _lose(self, carried: Carried, why: str) -> None:
        self._scenario.witness.lost(carried.message)
        carried.give_up(why)

    def _report_lost(self, sender: "Node", life: int, message: Message, id: str, why: str) -> None:
        self.soon(partial(self._tell_lost, sender, life, MessageLost(message, id, why)))

    # By hand

    def keep_back(self, name: str, pick: Pick) -> None:
        """From now on keep such messages back."""
        self.holding[name] = pick

    def let_go(self, name: str) -> None:
        """Such messages are not kept back any longer; those held already stay so."""
        self.holding.pop(name, None)

    def release(self, pick: Pick = every) -> None:
        """Send the held messages that are chosen on their way, in order."""
        for carried in self._take_held(pick):
            self._go(carried)

    def drop(self, pick: Pick = every) -> None:
        """Lose the held messages that are chosen."""
        for carried in self._take_held(pick):
            self._lose(carried, "no answer")

    def duplicate(self, pick: Pick = every) -> None:
        """Double the held messages that are chosen, each copy right behind its original."""
        self.held = [copy for each in self.held for copy in [each] * (2 if pick(each.message) else 1)]

    def reorder(self, pick: Pick = every) -> None:
        """Turn the held messages that are chosen around, among the places that they have."""
        chosen = [each for each in self.held if pick(each.message)]
        self.held = [chosen.pop() if pick(each.message) else each for each in self.held]

    def _take_held(self, pick: Pick) -> list[Carried]:
        chosen = [each for each in self.held if pick(each.message)]
        self.held = [each for each in self.held if not pick(each.message)]
        return chosen
