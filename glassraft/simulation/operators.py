"""An operator who adds and removes servers, one at a time, moves the lead, and never waits for ever."""

from functools import partial
from typing import TYPE_CHECKING, Literal

from glassraft.raft.ready import ChangeMembership
from glassraft.replica.arrivals import Applied, HandedOver, Look, Result, TransferArrived, Unserved

if TYPE_CHECKING:
    from glassraft.replica.turn import Replica
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

Change = Literal["add", "remove"]

IN_DOUBT = frozenset({"deposed", "no_quorum", "overwritten"})


class Operator:
    """Asks whoever leads; what came of it is seen in the logs."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def change(self, change: Change, server: int) -> None:
        """Ask the leader now; nothing happens where nobody leads."""
        leaders = self._world.leaders
        if not leaders:
            return
        leader = max(leaders, key=lambda node: node.server.current_term)
        ticket = _Ticket(self._world, leader, change, server)

        def step(replica: "Replica") -> None:
            replica.server.step(ChangeMembership(ticket, change, server), replica.clock.monotonic())

        self._world.tell(f"the operator asks n{leader.id} to {change} n{server}")
        self._world.after(self._world.client_delay_s(), partial(leader.arrive, Look(step)))

    def transfer(self, target: int) -> None:
        """Ask the leader to hand over to this server, or with 0 to any; nothing happens where nobody leads."""
        leaders = self._world.leaders
        if not leaders:
            return
        leader = max(leaders, key=lambda node: node.server.current_term)
        ticket = _TransferTicket(self._world)
        self._world.tell(
            f"the operator asks n{leader.id} to hand over to {f'n{target}' if target else 'any'}"
        )
        arrival = TransferArrived(ticket, target or None)
        self._world.after(self._world.client_delay_s(), partial(leader.arrive, arrival))


class _TransferTicket:
    """Counts what came of a transfer."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def settle(self, result: Result) -> None:
        """Called from within the turn."""
        self._world.coverage.saw(
            "leads_handed_over" if isinstance(result, HandedOver) else "transfers_failed"
        )


class _Ticket:
    """Counts what came of a change."""

    def __init__(self, world: "World", leader: "Node", change: Change, server: int) -> None:
        self._world = world
        self._leader = leader
        self._change = change
        self._server = server

    def settle(self, result: Result) -> None:
        """Called from within the turn."""
        saw = self._world.coverage.saw
        if isinstance(result, Applied):
            saw("servers_added" if self._change == "add" else "servers_removed")
            if self._server == self._leader.id:
                saw("leaders_removed")
            if self._world.network.cut_links:
                saw("changes_during_a_partition")
        elif isinstance(result, Unserved):
            saw("changes_in_doubt" if result.why in IN_DOUBT else "changes_refused")
