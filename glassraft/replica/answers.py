"""How a command's result becomes its call's answer: what a node's methods hand to the turn as tickets.

Tickets are settled from within the turn, so what they do must be quick and must not raise.
Next: queue_commands.py, which makes them; turn.py, which settles them.
"""

import time
from collections.abc import Callable
from typing import Any

from glassraft.jobqueue import ids
from glassraft.jobqueue.canonical import canonical
from glassraft.replica.arrivals import Applied, Result, Ticket
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import Call
from glassraft.storage.queue_store import QueueStore

MakeAnswer = Callable[[int, dict[str, Any]], dict[str, Any]]
"""From the command's index and the machine's answer to what the caller gets; may raise a Fault."""

Finish = Callable[[Call, float, Result, MakeAnswer], None]
"""Answers a call that began at that time (perf_counter seconds) with what came of it."""


def each_item(index: int, answer: dict[str, Any]) -> dict[str, Any]:
    return {"jobs": canonical(answer["jobs"])}


def the_one_item(index: int, answer: dict[str, Any]) -> dict[str, Any]:
    item = answer["jobs"][0]
    if not item["ok"]:
        raise Fault.named(item["why"], item["message"], {"state": item.get("state", "")})
    return {"state": item["state"]}


def the_one_submitted(index: int, answer: dict[str, Any]) -> dict[str, Any]:
    how = {"how": answer["how"][0]} if "how" in answer else {}
    return {"job": answer["jobs"][0], "index": index, **how}


def each_submitted(index: int, answer: dict[str, Any]) -> dict[str, Any]:
    how = {"how": canonical(answer["how"])} if "how" in answer else {}
    return {"jobs": canonical(answer["jobs"]), "index": index, **how}


class LaterAnswer:
    """A command's ticket whose call the driver answers itself, by `finish`."""

    __slots__ = ("_answer", "_began", "_call", "_finish")

    def __init__(self, finish: Finish, call: Call, answer: MakeAnswer) -> None:
        self._finish = finish
        self._call = call
        self._answer = answer
        self._began = time.perf_counter()

    def settle(self, result: Result) -> None:
        """Called by the turn."""
        self._finish(self._call, self._began, result, self._answer)


class TakeTicket(Ticket):
    """A Take's ticket: the driver reads the jobs that were taken, before anybody else can see them."""

    __slots__ = ("_queue", "jobs")

    def __init__(self, queue: QueueStore) -> None:
        super().__init__()
        self._queue = queue
        self.jobs: list[dict[str, Any]] = []

    def settle(self, result: Result) -> None:
        """Called by the turn."""
        if isinstance(result, Applied) and result.outcome.answer:
            tokens = dict(result.outcome.answer["jobs"])
            details = self._queue.own_reader().details([ids.from_text(job) for job in tokens])
            self.jobs = [job for job in details if job["token"] == tokens[job["id"]]]
        super().settle(result)
