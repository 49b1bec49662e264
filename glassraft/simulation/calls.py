"""One call of a client on its way through the nodes: tried again until it has its answer, as the real client does.

What is known of a try whose answer was lost is kept apart from what surely never happened
(rpc/leader.py does the same over real connections). A call ends as answered, refused, or in
doubt. Next: clients.py and workers.py, who call.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from glassraft.jobqueue.book import Refusal
from glassraft.replica.arrivals import (
    Applied,
    Arrival,
    Confirmed,
    NothingReady,
    Result,
    Settles,
    Unserved,
)

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

TRY_S = 1.5
"""How long one node may take for one answer."""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.4
"""Between two tries, doubling: an election takes a second."""

IN_DOUBT = frozenset({"deposed", "no_quorum", "shutting_down"})
"""What a node says of a command that may still happen."""

SILENT_ON_EARLIER = frozenset({"session_expired", "stale_number"})
"""Refusals of this try that say nothing of an earlier one whose answer was lost."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call ended with: a value, or a refusal, or neither where nobody knows what came of it."""

    value: Any = None
    refusal: Refusal | None = None
    in_doubt: bool = False
    repeated: bool = False
    """Whether it was asked for more than once, so that an earlier try may have been served, too."""


MakeArrival = Callable[["Node", Settles], Arrival]
"""The arrival that a try is, for the node that is asked."""

Look = Callable[["Node"], Any]
"""What a confirmed read looks at."""


class Call:
    """One call. `done` is told once what it ended with."""

    def __init__(
        self,
        world: "World",
        make: MakeArrival,
        done: Callable[[Answer], None],
        *,
        changes: bool = True,
        look: Look | None = None,
        wait_s: float = 0.0,
    ) -> None:
        self._world = world
        self._make = make
        self._done = done
        self._changes = changes
        self._look = look
        self._wait_s = wait_s
        self._asked = 0
        self._tries = 0
        self._in_doubt = False
        self._answer_lost = False
        self._pause_s = SHORTEST_PAUSE_S
        self.called_at = world.time.now
        world.open_calls[self] = None
        self._deadline = self.called_at + world.settings.patience_s + wait_s
        self._committed_before = world.checks.commit_index
        self._ask(world.believed_leader() or world.clients_leader)

    def _ask(self, id: int | None) -> None:
        world = self._world
        if world.time.now >= self._deadline:
            return self._end(Answer(in_doubt=True) if self._in_doubt else Answer(refusal=NO_QUORUM))
        self._tries += 1
        self._asked += 1
        if self._asked > 1:
            world.coverage.saw("retries")
            if self._answer_lost:
                world.coverage.saw("retries_after_a_lost_answer")
        node = world.nodes[id or world.random_member()]
        tried = self._tries
        world.after(world.client_delay_s(), partial(self._reach, node, tried))
        world.after(TRY_S + self._wait_s, partial(self._no_answer, tried))

    def _reach(self, node: "Node", tried: int) -> None:
        """The try comes to the node, or finds nobody there."""
        if tried != self._tries or self._world.client_message_lost():
            return
        if node.replica is None:
            return self._again(tried, None)
        node.arrive(self._make(node, _Ticket(self, node, tried)))

    def _no_answer(self, tried: int) -> None:
        if tried == self._tries:
            self._in_doubt = self._in_doubt or self._changes
            self._again(tried, None)

    def _again(self, tried: int, named: int | None) -> None:
        """Ask the node that was named, or after a pause any other."""
        if tried != self._tries:
            return
        self._tries += 1  # answers to this try come too late from now on
        self._world.clients_leader = named
        if named is not None:
            return self._ask(named)
        self._world.after(self._pause_s, partial(self._ask_once, self._tries))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _ask_once(self, tried: int) -> None:
        if tried == self._tries:
            self._ask(None)

    # Answers

    def settled(self, node: "Node", tried: int, result: Result) -> None:
        """Called from within the node's turn: the answer goes out, if the process lives that long."""
        node.effect("answer")
        value: Any = result
        if isinstance(result, Confirmed) and self._look is not None:
            value = self._look(node)
            self._world.read_answered(node, self._committed_before)
        if self._world.client_message_lost():
            self._answer_lost = True
            return
        at = node.clock.now + self._world.client_delay_s()
        self._world.at(at, partial(self._answered, node, tried, value))

    def _answered(self, node: "Node", tried: int, value: Any) -> None:
        if tried != self._tries:
            self._answer_lost = True
            return
        if isinstance(value, Unserved):
            return self._unserved(node, tried, value.why)
        self._world.clients_leader = node.id
        if isinstance(value, Applied):
            refusal = value.outcome.refusal
            if refusal is not None and self._in_doubt and refusal.code_name in SILENT_ON_EARLIER:
                return self._end(Answer(in_doubt=True))
            return self._end(Answer(value.outcome.answer, refusal))
        self._end(Answer(None if isinstance(value, NothingReady) else value))

    def _unserved(self, node: "Node", tried: int, why: str) -> None:
        coverage = self._world.coverage
        if why == "full":
            coverage.saw("proposals_refused_full")
        if not self._changes and why in ("not_leader", "no_quorum"):
            coverage.saw("reads_refused")
        if why in IN_DOUBT:
            self._in_doubt = self._in_doubt or self._changes
        leader = node.server.leader_id if node.replica is not None else None
        self._again(
            tried, leader if why == "not_leader" and leader != node.id and self._may_follow() else None
        )

    def _may_follow(self) -> bool:
        """Two nodes that each take the other for the leader must not be asked in turn without a pause."""
        return self._asked % 4 != 0

    def abandon(self) -> None:
        """The run is over before the call is: nobody knows what came of it."""
        self._end(Answer(in_doubt=True))

    def _end(self, answer: Answer) -> None:
        self._tries = -1
        del self._world.open_calls[self]
        self._done(replace(answer, repeated=self._asked > 1))


NO_QUORUM = Refusal("no_quorum", "no node serves", {})


class _Ticket:
    """Where the turn puts the result of one try."""

    __slots__ = ("_call", "_is_settled", "_node", "_tried")

    def __init__(self, call: Call, node: "Node", tried: int) -> None:
        self._call = call
        self._node = node
        self._tried = tried
        self._is_settled = False

    def settle(self, result: Result) -> None:
        """Once, from within the turn."""
        if self._is_settled:
            raise RuntimeError("a ticket was settled twice")
        self._is_settled = True
        self._call.settled(self._node, self._tried, result)
