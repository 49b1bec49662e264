"""What carries the nodes' messages: each link delays, loses, doubles, reorders, and can be cut one way or both.

A request is answered over the connection that it came by, so a reply reaches only the life of its
sender that asked, and a sender mostly learns that its request came to nothing. Requests may
reach a later life of their receiver. Next: world.py, which delivers.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from glassraft.raft.messages import InstallSnapshot, InstallSnapshotReply, Message
from glassraft.replica.arrivals import MessageArrived, MessageLost, Origin
from glassraft.simulation.checks import Broken

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

Link = tuple[int, int]
"""A direction: (sender, receiver)."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: probabilities for each message, and how long one takes on average (seconds)."""

    loss: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0
    """Messages that take up to `slow_s`, so that they arrive in another term."""
    slow_s: float = 1.0
    reported: float = 1.0
    """Lost requests that the sender learns of, rather than wait for ever."""
    delay_s: float = 0.004


CALM = Weather()


class Hold:
    """Messages of one kind that take as long as somebody wants, past whatever is cut meanwhile."""

    def __init__(self, world: "World", wanted: Callable[[Message], bool]) -> None:
        self._world = world
        self._wanted = wanted
        self.messages: list[Message] = []
        """What is held, in the order of sending."""
        self._arrive: list[Callable[[], None]] = []

    def takes(self, message: Message, arrive: Callable[[], None]) -> bool:
        """Whether it is held; `arrive` lets it arrive."""
        if not self._wanted(message):
            return False
        self.messages.append(message)
        self._arrive.append(arrive)
        return True

    def close(self) -> None:
        """What is sent from now on is not held."""
        holds = self._world.network.holds
        if self in holds:
            holds.remove(self)

    def release(self, times: int = 1) -> None:
        """What is held arrives now, so many times; nothing else is held."""
        self.close()
        arriving, self._arrive = self._arrive, []
        if arriving:
            self._world.tell(f"{len(arriving)} messages that were held back arrive")
        for arrive in arriving:
            for _ in range(times):
                arrive()


class Network:
    """The links between nodes, and what is under way on them."""

    def __init__(self, world: "World", random: Random) -> None:
        self._world = world
        self._random = random
        self.weather = CALM
        self.cut_links: dict[Link, int] = {}
        """How many faults hold each link cut."""
        self.lost = 0
        self.doubled = 0
        self.lagging: dict[int, float] = {}
        """Until when (world's seconds) everything reaches a node late."""
        self.holds: list[Hold] = []

    # Faults

    def cut(self, links: Iterable[Link]) -> None:
        """Lose what goes this way, until as many `join`."""
        for link in links:
            self.cut_links[link] = self.cut_links.get(link, 0) + 1

    def join(self, links: Iterable[Link]) -> None:
        """One fault less holds these links cut."""
        for link in links:
            left = self.cut_links.get(link, 0) - 1
            if left > 0:
                self.cut_links[link] = left
            else:
                self.cut_links.pop(link, None)

    def hold(self, wanted: Callable[[Message], bool]) -> Hold:
        """Messages that are sent from now on, and wanted, are on their way until they are released."""
        hold = Hold(self._world, wanted)
        self.holds.append(hold)
        return hold

    def _is_held(self, message: Message, arrive: Callable[[], None]) -> bool:
        return any(hold.takes(message, arrive) for hold in self.holds)

    def heal(self) -> None:
        """Everything arrives again, soon and once."""
        self.cut_links.clear()
        self.lagging.clear()
        self.weather = replace(CALM, delay_s=self.weather.delay_s)

    # Messages

    def request(self, sender: "Node", message: Message, origin: Origin) -> None:
        """A request goes out; its reply comes back by `respond`."""
        receiver = self._world.nodes[message.receiver]
        lost = partial(self._request_lost, sender, sender.life, message, origin.id)
        if self._is_lost(sender.id, receiver.id):
            return lost("no answer")
        respond = partial(self._reply, receiver, sender, sender.life, message, origin.id)
        arrival = MessageArrived(message, origin, respond)
        if self.holds and self._is_held(message, partial(self._hand_request, receiver, arrival, lost)):
            return
        for delay_s in self._delays(receiver.id):
            at = sender.clock.now + delay_s
            self._world.at(at, partial(self._deliver_request, sender.id, receiver, arrival, lost))

    def _deliver_request(
        self, sender: int, receiver: "Node", arrival: MessageArrived, lost: partial[None]
    ) -> None:
        if (sender, receiver.id) in self.cut_links:
            lost("no answer")
        else:
            self._hand_request(receiver, arrival, lost)

    def _hand_request(self, receiver: "Node", arrival: MessageArrived, lost: partial[None]) -> None:
        if receiver.replica is None:
            lost("connection refused")
        else:
            receiver.arrive(arrival)

    def _reply(
        self,
        replier: "Node",
        asker: "Node",
        life: int,
        request: Message,
        request_id: str,
        reply: Message,
        origin: Origin,
    ) -> None:
        if self._is_lost(replier.id, asker.id):
            return self._request_lost(asker, life, request, request_id, "connection broke")
        arrival = MessageArrived(reply, origin)
        if self.holds and self._is_held(reply, partial(self._hand_reply, asker, life, arrival)):
            return
        for delay_s in self._delays(asker.id):
            at = replier.clock.now + delay_s
            self._world.at(at, partial(self._deliver_reply, replier.id, asker, life, arrival))

    def _deliver_reply(self, replier: int, asker: "Node", life: int, arrival: MessageArrived) -> None:
        if (replier, asker.id) not in self.cut_links:
            self._hand_reply(asker, life, arrival)

    def _hand_reply(self, asker: "Node", life: int, arrival: MessageArrived) -> None:
        if asker.life == life:
            asker.arrive(arrival)

    def _request_lost(self, sender: "Node", life: int, request: Message, id: str, why: str) -> None:
        """The sender learns of it a little later, or never."""
        if self._random.random() < self.weather.reported:
            at = sender.clock.now + self._random.expovariate(20)
            self._world.at(at, partial(self._tell_lost, sender, life, MessageLost(request, id, why)))

    def _tell_lost(self, sender: "Node", life: int, lost: MessageLost) -> None:
        if sender.life == life:
            sender.arrive(lost)

    def _is_lost(self, sender: int, receiver: int) -> bool:
        loss = self.weather.loss
        is_lost = (sender, receiver) in self.cut_links or (loss > 0 and self._random.random() < loss)
        self.lost += is_lost
        return is_lost

    def _delays(self, receiver: int) -> Iterable[float]:
        """How long each copy of a message takes (seconds)."""
        doubled = self.weather.doubled
        if doubled and self._random.random() < doubled:
            self.doubled += 1
            return (self._delay(receiver), self._delay(receiver))
        return (self._delay(receiver),)

    def _delay(self, receiver: int) -> float:
        if self.lagging and self.lagging.get(receiver, 0.0) > self._world.time.now:
            return self._random.uniform(0.4, 0.9)
        if self.weather.slow and self._random.random() < self.weather.slow:
            return self._random.uniform(0.0, self.weather.slow_s)
        return self.weather.delay_s * self._random.uniform(0.5, 2.0)


class Uplink:
    """One node's end of the network, as its turn sees it: requests out, and one reply to each request."""

    def __init__(self, node: "Node", network: Network) -> None:
        self._node = node
        self._network = network
        self._waiting: dict[int, deque[MessageArrived]] = {}

    def expect_reply(self, arrived: MessageArrived) -> None:
        """A request is about to be stepped."""
        self._waiting.setdefault(arrived.message.sender, deque()).append(arrived)

    def send(self, message: Message, origin: Origin) -> None:
        """A request goes to its peer, a reply back by the connection of the request that it answers."""
        self._node.effect("send")
        self._node.sends(message)
        if not type(message).__name__.endswith("Reply"):
            if message.receiver not in self._node.met:
                raise Broken(
                    "Members are met first",
                    f"n{self._node.id} speaks to n{message.receiver}, which it never met",
                )
            return self._network.request(self._node, message, origin)
        arrived = self._answered_by(message)
        if isinstance(arrived.message, InstallSnapshot) and isinstance(message, InstallSnapshotReply):
            self._node.world.situations.chunk_answered(self._node, arrived.message, message)
        if arrived.respond is not None:
            arrived.respond(message, origin)

    def _answered_by(self, reply: Message) -> MessageArrived:
        """The server answers each request with exactly one reply, those of a kind in the order of stepping."""
        kind = type(reply).__name__.removesuffix("Reply")
        waiting = self._waiting.get(reply.receiver, deque())
        for arrived in waiting:
            if type(arrived.message).__name__ == kind:
                waiting.remove(arrived)
                return arrived
        raise LookupError(f"n{reply.sender} answers a {kind} that n{reply.receiver} never sent")

    def unanswered(self) -> list[MessageArrived]:
        """The requests that were stepped and not answered."""
        if not any(self._waiting.values()):  # as it is after every turn but a broken one
            return []
        return [arrived for waiting in self._waiting.values() for arrived in waiting]
