"""An operator who adds and removes servers and hands the lead over, at bad moments, and never waits."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from glassraft.replica.arrivals import (
    Applied,
    Arrival,
    ChangeArrived,
    HandedOver,
    Result,
    TransferArrived,
    Unserved,
)

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

IN_DOUBT = frozenset({"deposed", "no_quorum"})


class Operator:
    """Asks whoever leads; what came of it is seen in the logs."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def change(self, change: Literal["add", "remove"], server: int) -> None:
        """Add or remove a server. Nothing happens where nobody leads."""
        leader = self._leader()
        if leader is not None:
            ticket = Ticket(partial(self._changed, leader, change, server))
            address = self._world.addresses[server] if change == "add" else None
            self._ask(leader, f"{change} n{server}", ChangeArrived(change, server, ticket, address))

    def transfer(self, target: int) -> None:
        """Let another server lead: this one, or with 0 any."""
        leader = self._leader()
        if leader is not None:
            arrival = TransferArrived(Ticket(self._transferred), target or None)
            self._ask(leader, f"hand over to {f'n{target}' if target else 'any'}", arrival)

    def _leader(self) -> "Node | None":
        return max(self._world.leaders, key=lambda node: node.server.current_term, default=None)

    def _ask(self, leader: "Node", what: str, arrival: Arrival) -> None:
        self._world.tell(f"the operator asks n{leader.id} to {what}")
        self._world.after(self._world.client_delay_s(), partial(leader.arrive, arrival))

    def _changed(self, leader: "Node", change: str, server: int, result: Result) -> None:
        saw = self._world.coverage.saw
        if isinstance(result, Applied):
            saw("servers_added" if change == "add" else "servers_removed")
            if server == leader.id:
                saw("leaders_removed")
            if self._world.network.cut_links:
                saw("changes_during_a_partition")
        elif isinstance(result, Unserved):
            saw("changes_in_doubt" if result.why in IN_DOUBT else "changes_refused")

    def _transferred(self, result: Result) -> None:
        is_done = isinstance(result, HandedOver)
        self._world.coverage.saw("leads_handed_over" if is_done else "transfers_failed")


class Ticket:
    """Lets the operator know, from within the turn."""

    def __init__(self, tell: Callable[[Result], None]) -> None:
        self._tell = tell

    def settle(self, result: Result) -> None:
        """What came of it."""
        self._tell(result)
