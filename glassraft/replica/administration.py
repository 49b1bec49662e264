"""What an operator asks of a node: who belongs to the cluster (diss. §4), and who leads it (diss. §3.10)."""

from collections.abc import Mapping
from typing import Any, Literal

from glassraft.errors import BadArgument
from glassraft.raft.configuration import Address
from glassraft.replica.arrivals import Applied, ChangeArrived, HandedOver, Ticket, TransferArrived, Unserved
from glassraft.replica.behind import LONGEST_WAIT_S, Behind
from glassraft.replica.turn import PENDING_S
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import Call, Method

_CHANGE_REFUSALS: Mapping[str, tuple[str, str]] = {
    "term_not_committed": ("change_under_way", "this leader's first entry is not committed yet; try again"),
    "change_under_way": (
        "change_under_way",
        "the change of membership before this one is not committed; try again",
    ),
    "not_caught_up": (
        "not_caught_up",
        "n{id} has not caught up: it stays a learner, and votes once it has. Does it run at its address?",
    ),
    "removed": ("not_member", "n{id} was removed before it had caught up"),
    "already_member": ("already_member", "n{id} is a member already"),
    "not_member": ("not_member", "n{id} is no member"),
    "last_voter": ("last_voter", "n{id} is the last voter: add another server first"),
}
"""The fault and its sentence for each refusal of a change."""

_TRANSFER_REFUSALS: Mapping[str, str] = {
    "transfer_under_way": "n{n} hands its lead over already",
    "no_target": "no other voter answers n{n}, so there is nobody to hand the lead over to",
    "transfer_failed": "nobody else led within an election timeout",
}
"""The sentence for each refusal of a transfer."""


class Administration:
    """One node's."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {
            "AddServer": Method.of(self.add_server, ("struct", "int", "string", "int"), 3),
            "RemoveServer": Method.of(self.remove_server, ("struct", "int"), 1),
            "TransferLeadership": Method.of(self.transfer_leadership, ("struct", "int"), 0),
        }

    def add_server(self, call: Call, id: int, host: str, port: int) -> dict[str, Any]:
        """Make a server that runs at this address a member. Answers once it votes (diss. §4.2.1)."""
        if id < 1 or not host or not 0 < port < 65_536:
            raise BadArgument(
                f"a server needs an id from 1 on, a host and a port, not {id}, {host!r}, {port}"
            )
        return self._change(id, "add", (host, port), LONGEST_WAIT_S)

    def remove_server(self, call: Call, id: int) -> dict[str, Any]:
        """Let a server be no member any more. Answers once that is committed (diss. §4.2.2)."""
        return self._change(id, "remove", None, 2 * PENDING_S)

    def _change(
        self, id: int, change: Literal["add", "remove"], address: Address | None, wait_s: float
    ) -> dict[str, Any]:
        ticket = Ticket()
        self._behind.driver.bring(ChangeArrived(change, id, ticket, address))
        result = ticket.wait(wait_s)
        if isinstance(result, Applied):
            configuration = self._behind.replica.server.configuration
            return {
                "index": result.index,
                "members": [*configuration.voters],
                "learners": [*configuration.learners],
            }
        why = result.why if isinstance(result, Unserved) else "not_caught_up" if change == "add" else ""
        if why in _CHANGE_REFUSALS:
            name, text = _CHANGE_REFUSALS[why]
            raise Fault.named(name, text.format(id=id))
        raise self._behind.unserved(result)

    def transfer_leadership(self, call: Call, target: int = 0) -> dict[str, Any]:
        """The leader hands its lead over to the node `target`, or with 0 to the one that is furthest."""
        ticket = Ticket()
        self._behind.driver.bring(TransferArrived(ticket, target or None))
        result = ticket.wait(2 * PENDING_S)
        if isinstance(result, HandedOver):
            return {"leader_id": result.leader_id, "term": result.term}
        why = result.why if isinstance(result, Unserved) else "transfer_failed"
        if why == "not_voter":
            raise BadArgument(f"target is {target}, which is no voter of this cluster")
        if why not in _TRANSFER_REFUSALS:
            raise self._behind.unserved(result)
        raise Fault.named("transfer_failed", _TRANSFER_REFUSALS[why].format(n=self._behind.id), {"why": why})
