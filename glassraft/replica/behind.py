"""What stands behind a node's methods, and how they say that something was not served.

Made before the node has its driver, because its methods are offered first; `serve` hands over the rest.
Next: service.py, which puts the methods together.
"""

import time
import traceback
from collections.abc import Mapping
from typing import Any, Protocol

from glassraft.errors import BadArgument
from glassraft.events.writer import EventWriter
from glassraft.jobqueue.canonical import parse
from glassraft.replica.arrivals import Applied, Arrival, Result, Unserved
from glassraft.replica.driver import Driver
from glassraft.replica.finished import FinishedJobs
from glassraft.replica.turn import PENDING_S, Replica
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import Call
from glassraft.storage.queue_store import QueueStore

LONGEST_WAIT_S = 60.0
"""A call that waits is answered after this at the latest; the client asks again."""

BYTES_AT_ONCE = 1024 * 1024
"""Of what an answer lists: the caller asks again for the rest."""


class BehindQueue(Protocol):
    """What the queue's own methods need: a node, or a queue without one (embedded/)."""

    finished: FinishedJobs
    queue: QueueStore

    def bring(self, arrival: Arrival) -> None:
        """Hand over what arrived; its ticket tells what comes of it."""

    def served(self, result: Result | None) -> tuple[int, dict[str, Any]]:
        """A command's index and answer. Raises the Fault that fits."""

    def unserved(self, result: Result | None) -> Fault:
        """Why something was not served here, and who may serve it."""

    def no_quorum(self, name: str, fate: str) -> Fault:
        """No majority answered in time, and what that means for what was asked."""

    def stale_ms(self) -> int | None:
        """How old what is read here may be, at least; None where this is who decides."""

    def record(self, method: str, began: float, outcome: str, fields: Mapping[str, Any]) -> None:
        """A call that began at that time (perf_counter seconds) was answered."""


class Behind:
    """One node, as its methods know it."""

    def __init__(self, id: int, cluster_id: str) -> None:
        self.id = id
        self.cluster_id = cluster_id
        self.finished = FinishedJobs()

    def serve(self, replica: Replica, driver: Driver, queue: QueueStore, writer: EventWriter) -> None:
        """Whose driver to bring calls to."""
        self.replica = replica
        self.driver = driver
        self.queue = queue
        self.writer = writer

    def bring(self, arrival: Arrival) -> None:
        """Hand over what arrived to the driver."""
        self.driver.bring(arrival)

    def served(self, result: Result | None) -> tuple[int, dict[str, Any]]:
        """A command's index and answer. Raises the Fault that fits."""
        if not isinstance(result, Applied):
            raise self.unserved(result)
        return applied(result)

    def unserved(self, result: Result | None) -> Fault:
        """Why something was not served here, and who may serve it."""
        why = result.why if isinstance(result, Unserved) else "no_quorum"
        if why == "no_quorum":
            return self.no_quorum("outcome_unknown", "the command may still be committed")
        if why == "full":
            return Fault.named("full", "too many commands wait for a majority of the nodes; try again later")
        if why == "shutting_down":
            return Fault.named("shutting_down", f"n{self.id} is shutting down")
        name = "outcome_unknown" if why == "deposed" else "not_leader"
        said = {
            "deposed": f"n{self.id} lost the lead meanwhile",
            "transferring": f"n{self.id} hands its lead over",
        }.get(why, f"n{self.id} does not lead")
        server, addresses = self.replica.server, self.replica.addresses
        leader = server.leader_id
        detail: dict[str, Any] = {
            "leader_id": 0,
            "members": len(server.configuration.voters),
            "nodes": [addresses[id] for id in server.members if id in addresses],
        }
        if leader is None or leader == self.id or leader not in addresses:
            return Fault.named(name, f"{said}, and no leader is known yet", detail)
        host, port = addresses[leader]
        detail |= {"leader_id": leader, "host": host, "port": port}
        return Fault.named(name, f"{said}; ask n{leader} at {host}:{port}", detail)

    def no_quorum(self, name: str, fate: str) -> Fault:
        """No majority answered in time, and what that means for what was asked."""
        voters = len(self.replica.server.configuration.voters)
        needed = voters // 2 + 1
        return Fault.named(
            name,
            f"no quorum: n{self.id} got no answer from a majority ({needed} of {voters} nodes are "
            f"needed) within {PENDING_S:g} s; {fate}",
            {"needed": needed, "members": voters},
        )

    def stale_ms(self) -> int | None:
        """How old what is read here may be, at least: the time since this node heard a leader; None if it leads."""
        if self.replica.server.role == "leader":
            return None
        return int((time.monotonic() - self.replica.leader_heard_at) * 1000)

    def record(self, method: str, began: float, outcome: str, fields: Mapping[str, Any]) -> None:
        """A call that began at that time (perf_counter seconds) was answered: an event."""
        ms = round((time.perf_counter() - began) * 1000, 3)
        self.writer.write(
            "answer", self.replica.server.current_term, method=method, ms=ms, outcome=outcome, **fields
        )


def applied(result: Applied) -> tuple[int, dict[str, Any]]:
    """An applied command's index and answer. Raises the machine's refusal as a Fault."""
    refusal = result.outcome.refusal
    if refusal is not None:
        raise Fault.named(refusal.code_name, refusal.message, refusal.detail)
    return result.index, result.outcome.answer or {}


def give(call: Call, value: Any) -> None:
    """Answer a call from within the turn, which a bug on the way to one caller must not end."""
    try:
        call.respond(value)
    except Exception as error:
        traceback.print_exception(error)


def from_json(text: str, what: str) -> Any:
    """A parameter that is JSON. Raises BadArgument, which names it."""
    try:
        return parse(text)
    except BadArgument as error:
        raise BadArgument(f"{what}: {error}") from None
