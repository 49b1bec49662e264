"""The methods that a node serves, put together: docs/wire.md describes them for the other side.

Each runs on the thread of its caller's connection: it checks its arguments, brings an arrival to the driver,
waits for what comes of it, and says so. The peers' are in peer_calls.py, the queue's in queue_commands.py,
schedule_calls.py and queue_reads.py, an operator's in administration.py; here is what the window and tools ask.
node.py serves them.
"""

import json
import os
import time
from dataclasses import replace
from typing import Any

from glassraft import __version__
from glassraft.errors import BadArgument
from glassraft.events.writer import EventWriter
from glassraft.jobqueue.fields import TooLarge
from glassraft.replica.administration import Administration
from glassraft.replica.behind import BYTES_AT_ONCE, Behind
from glassraft.replica.driver import Driver
from glassraft.replica.finished import FinishedJobs
from glassraft.replica.pages import NodePages
from glassraft.replica.peer_calls import PeerCalls
from glassraft.replica.queue_commands import QueueCommands
from glassraft.replica.queue_reads import QueueReads
from glassraft.replica.schedule_calls import ScheduleCalls
from glassraft.replica.state import wire_state
from glassraft.replica.turn import Replica
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import LATER, Call, Method
from glassraft.rpc.pages import Pages
from glassraft.storage.queue_store import QueueStore

EVENTS_AT_ONCE = 2_000


class Service:
    """One node's methods."""

    def __init__(self, id: int, cluster_id: str) -> None:
        self._behind = Behind(id, cluster_id)

    @property
    def finished(self) -> FinishedJobs:
        """Who waits for jobs to finish."""
        return self._behind.finished

    def serve(self, replica: Replica, driver: Driver, queue: QueueStore, writer: EventWriter) -> None:
        """Whose driver to bring calls to."""
        self._behind.serve(replica, driver, queue, writer)

    def methods(self) -> dict[str, Method]:
        """By name, with their signatures: the result's type first."""
        queue_commands = QueueCommands(self._behind)
        asked = {
            **queue_commands.methods(),
            **ScheduleCalls(self._behind, queue_commands.finish).methods(),
            **QueueReads(self._behind).methods(),
            **Administration(self._behind).methods(),
        }
        return {
            **{name: self._recorded(name, method) for name, method in asked.items()},
            **PeerCalls(self._behind).methods(),
            "State": Method.of(self.state, ("struct", "int"), 0),
            "Events": Method.of(self.events, ("struct", "int"), 1),
            "Ping": Method.of(self.ping, ("struct",), 0),
        }

    def pages(self) -> Pages:
        """What a plain GET is answered with, by path."""
        return NodePages(self._behind).pages()

    def state(self, call: Call, since: int = 0) -> dict[str, Any]:
        """This node's role, term, log and progress, at one moment. `changed`: whether anything happened since."""
        seen: list[dict[str, Any]] = []
        try:
            self._behind.driver.look(lambda replica: seen.append(wire_state(replica)))
        except TimeoutError as error:
            raise Fault.named("busy", f"n{self._behind.id}: {error}") from None
        state = seen[0]
        state["changed"] = state["seq"] > since
        state["cluster"] = self._behind.cluster_id
        return state

    def events(self, call: Call, since: int) -> dict[str, Any]:
        """What this node recorded after its event number `since`: JSON, docs/events.md; `next` to go on with."""
        lines, following = self._behind.writer.since(since, EVENTS_AT_ONCE)
        size = 0
        for count, line in enumerate(lines):
            size += len(line)
            if size > BYTES_AT_ONCE:
                following = json.loads(lines[count])["seq"]
                lines = lines[: count + 1]
                break
        return {"events": "[" + ",".join(line.strip() for line in lines) + "]", "next": following}

    def ping(self, call: Call) -> dict[str, Any]:
        """Who this is, without asking the driver: answers as long as the process does."""
        server = self._behind.replica.server
        return {
            "id": self._behind.id,
            "pid": os.getpid(),
            "version": __version__,
            "cluster": self._behind.cluster_id,
            "role": server.role,
            "term": server.current_term,
            "leader_id": server.leader_id or 0,
        }

    def _recorded(self, name: str, method: Method) -> Method:
        """Each answered call becomes an event with its time and outcome; one that is answered later does then."""
        function = method.function

        def answer(call: Call, *params: Any) -> Any:
            began = time.perf_counter()
            outcome = "internal"
            try:
                value = function(call, *params)
                outcome = "" if value is LATER else "ok"
                return value
            except Fault as fault:
                outcome = fault.name
                raise
            except TooLarge as error:
                outcome = "too_large"
                raise Fault.named("too_large", str(error)) from None
            except BadArgument:
                outcome = "bad_argument"
                raise
            finally:
                if outcome:
                    self._behind.record(name, began, outcome, {})

        answer.__wrapped__ = function  # type: ignore[attr-defined]  # inspect reads the parameters' names there
        return replace(method, function=answer)
