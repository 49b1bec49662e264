"""The queue as a worker sees it, without a cluster: the real machine, in memory, by a clock that runs slowly."""

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from glassraft.errors import GlassraftError
from glassraft.jobqueue import commands, ids, schema
from glassraft.jobqueue.machine import Machine
from glassraft.jobqueue.reader import QueueReader
from glassraft.rpc.faults import Fault

PACE = 0.2
"""How fast cluster time goes: a worker on a busy machine has five times as long to keep its leases."""


class Unreachable(GlassraftError):
    """What the client raises while there is no leader."""


class MachineQueue:
    """Any thread may call. While `outage` is set, every call fails as if there were no leader."""

    def __init__(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        schema.create(connection)
        self.connection = connection
        self.machine = Machine(connection)
        self.reader = QueueReader(connection)
        self.lock = threading.Lock()
        self.outage = threading.Event()
        self.began_ms = time.time_ns() // 1_000_000
        self.most_taken = 0
        self.extends = 0

    def command(self, op: str, arguments: str) -> Any:
        if self.outage.is_set():
            raise Unreachable("no leader")
        with self.lock:
            passed_ms = time.time_ns() // 1_000_000 - self.began_ms
            text = commands.envelope(op, arguments, self.began_ms + int(passed_ms * PACE))
            outcome = self.machine.apply(self.machine.applied_index + 1, 1, "command", text)
            self.machine.flush()
        assert outcome.answer is not None
        return outcome.answer["jobs"]

    def submit(self, task: str, *args: Any, **options: Any) -> str:
        arguments = commands.check_submit([{"task": task, "args": list(args), **options}])
        return str(self.command("Submit", arguments)[0])

    def get(self, job: str) -> dict[str, Any]:
        with self.lock:
            shown = self.reader.get(job)
        assert shown is not None
        return shown

    def finished(self, job: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """The job, once it has finished."""
        return self.until(job, lambda shown: "finished_ms" in shown, timeout_s)

    def until(self, job: str, condition: Any, timeout_s: float = 20.0) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while not condition(shown := self.get(job)):
            assert time.monotonic() < deadline, shown
            time.sleep(0.01)
        return shown

    # What a worker calls

    def take(
        self, worker: str, queues: Sequence[str], count: int, *, lease: float, wait: float
    ) -> Sequence[dict[str, Any]]:
        deadline = time.monotonic() + wait
        while True:
            taken = self.command(
                "Take", commands.check_take(worker, list(queues), count, round(lease * 1_000))
            )
            self.most_taken = max(self.most_taken, len(taken))
            if taken:
                with self.lock:
                    return self.reader.details([ids.from_text(job) for job, _ in taken])
            if time.monotonic() >= deadline:
                return []
            time.sleep(0.01)

    def extend(self, worker: str, items: Iterable[Sequence[Any]], *, lease: float) -> Any:
        self.extends += 1
        return self.command(
            "Extend", commands.check_extend(worker, [list(item) for item in items], round(lease * 1_000))
        )

    def complete(self, job: str, token: int, result: Any, submit: Iterable[Any]) -> str:
        return self.one("Complete", commands.check_complete([[job, token, result, list(submit)]]))

    def fail(self, job: str, token: int, error: str, traceback: str, *, retry: bool = True) -> str:
        return self.one("Fail", commands.check_fail([[job, token, error, traceback, retry]]))

    def release(self, job: str, token: int, delay: float, reason: str) -> str:
        return self.one("Release", commands.check_release([[job, token, round(delay * 1_000), reason]]))

    def cancel_attempt(self, job: str, token: int, reason: str) -> str:
        self.one("Cancel", commands.check_cancel([job]))
        return self.release(job, token, 0.0, reason)

    def one(self, op: str, arguments: str) -> str:
        [answer] = self.command(op, arguments)
        if not answer["ok"]:
            raise Fault.named(answer["why"], answer["message"], {"state": answer["state"]})
        return str(answer["state"])
