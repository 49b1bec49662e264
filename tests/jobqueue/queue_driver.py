"""A queue without a cluster: commands go through the checks and the machine, time is given by the test."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from glassraft.jobqueue import commands, schedule_options, schema
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.jobqueue.reader import QueueReader

START_MS = 1_700_000_000_000
SESSION = "5e" * 16


def empty_queue() -> sqlite3.Connection:
    """A new database in memory with the queue's tables."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection)
    return connection


class QueueDriver:
    """Proposes, applies and commits one command after another, as a cluster of one would."""

    def __init__(self) -> None:
        self.connection = empty_queue()
        self.machine = Machine(self.connection)
        self.reader = QueueReader(self.connection)
        self.now_ms = START_MS
        self.numbers: dict[str, int] = {}
        self.log: list[tuple[int, int, str, str]] = []

    def close(self) -> None:
        self.connection.close()

    def apply(self, kind: str, command: str) -> Outcome:
        index = self.machine.applied_index + 1
        self.log.append((index, 1, kind, command))
        self.connection.execute("BEGIN")
        outcome = self.machine.apply(index, 1, kind, command)
        self.machine.flush()
        self.connection.execute("COMMIT")
        return outcome

    def restart(self) -> None:
        """The node starts again on the same file."""
        self.machine = Machine(self.connection)

    def pass_time(self, ms: int) -> None:
        """Time goes by; nobody has told the machine yet."""
        self.now_ms += ms

    def tick(self, ms: int = 0) -> Outcome:
        """Time goes by, and the machine learns of it."""
        self.pass_time(ms)
        return self.command("Tick", commands.tick())

    def new_leader(self, gap_ms: int) -> Outcome:
        """No leader for a while; then a new one begins its term."""
        self.pass_time(gap_ms)
        return self.apply("noop", commands.opening(self.now_ms))

    def command(self, op: str, arguments: str, session: str = "", number: int = 0, low: int = 0) -> Outcome:
        commands.check_session(session, number, low)
        return self.apply("command", commands.envelope(op, arguments, self.now_ms, session, number, low))

    def answer(self, op: str, arguments: str) -> list[Any]:
        outcome = self.command(op, arguments)
        assert outcome.refusal is None
        assert outcome.answer is not None
        jobs: list[Any] = outcome.answer["jobs"]
        return jobs

    def submit(self, task: str = "task", **options: Any) -> str:
        [job] = self.submit_many([{"task": task, **options}])
        return job

    def submit_many(self, items: Sequence[dict[str, Any]]) -> list[str]:
        return self.answer("Submit", commands.check_submit(items))

    def take(
        self, count: int = 1, worker: str = "w1", queues: Sequence[str] = ("default",), lease_ms: int = 30_000
    ) -> list[list[Any]]:
        return self.answer("Take", commands.check_take(worker, list(queues), count, lease_ms))

    def take_one(self, **options: Any) -> tuple[str, int]:
        [[job, token]] = self.take(**options)
        return job, token

    def extend(self, job: str, token: int, *progress: Any, lease_ms: int = 30_000) -> dict[str, Any]:
        [answer] = self.answer("Extend", commands.check_extend("w1", [[job, token, *progress]], lease_ms))
        return answer

    def complete(self, job: str, token: int, result: Any = None) -> dict[str, Any]:
        [answer] = self.answer("Complete", commands.check_complete([[job, token, result]]))
        return answer

    def fail(
        self, job: str, token: int, error: str = "ValueError: no", traceback: str = "", retry: bool = True
    ) -> dict[str, Any]:
        [answer] = self.answer("Fail", commands.check_fail([[job, token, error, traceback, retry]]))
        return answer

    def release(self, job: str, token: int, delay_ms: int = 0, reason: str = "") -> dict[str, Any]:
        [answer] = self.answer("Release", commands.check_release([[job, token, delay_ms, reason]]))
        return answer

    def cancel(self, *jobs: str) -> list[Any]:
        return self.answer("Cancel", commands.check_cancel(jobs))

    def retry(self, *jobs: str, attempts: int | None = None) -> list[Any]:
        return self.answer("Retry", commands.check_retry(jobs, attempts))

    def update(self, job: str, **changes: Any) -> dict[str, Any]:
        [answer] = self.answer("Update", commands.check_update([{"job": job, **changes}]))
        return answer

    def set_queue(self, queue: str = "default", **settings: Any) -> dict[str, Any]:
        outcome = self.command("SetQueue", commands.check_set_queue(queue, settings))
        assert outcome.answer is not None
        return outcome.answer

    def set_schedule(self, name: str = "s", due_ms: int | None = None, **schedule: Any) -> dict[str, Any]:
        """As a leader does that worked out that it is due at `due_ms`; a minute from now where none is given."""
        wanted = {"job": {"task": "t"}, **schedule}
        wanted = wanted if "cron" in wanted else {"every_ms": 60_000, **wanted}
        checked = json.loads(schedule_options.check_set_schedule(name, wanted))
        checked["due_ms"] = self.now_ms + 60_000 if due_ms is None else due_ms
        return self.told("SetSchedule", canonical(checked))

    def fire(self, name: str = "s", next_ms: int | None = None, **other: Any) -> dict[str, Any]:
        """Fires what is due by the tables; `other` stands in place of what they say."""
        version, due_ms = self.connection.execute(
            "SELECT version, due_ms FROM schedules WHERE name = ?", (name,)
        ).fetchone()
        meant = {"version": version, "due_ms": due_ms, **other}
        meant.setdefault("for_ms", meant["due_ms"])
        next_ms = meant["due_ms"] + 60_000 if next_ms is None else next_ms
        return self.told("FireSchedule", schedule_options.fire(name, next_ms=next_ms, **meant))

    def told(self, op: str, arguments: str) -> dict[str, Any]:
        """What a command that is not about items answers."""
        outcome = self.command(op, arguments)
        assert outcome.answer is not None, outcome.refusal
        return outcome.answer

    def purge(self, *jobs: str) -> list[Any]:
        return self.answer("Purge", commands.check_purge(jobs))

    def get(self, job: str) -> dict[str, Any]:
        shown = self.reader.get(job)
        assert shown is not None
        return shown

    def state(self, job: str) -> str:
        return str(self.get(job)["state"])

    def events(self, job: str) -> list[str]:
        return [row["event"] for row in self.get(job)["history"]]

    def settle(self) -> None:
        """Ticks back to back while something is due, as a leader does."""
        while self.machine.wants_tick(self.now_ms):
            self.tick()


@contextmanager
def new_queue() -> Iterator[QueueDriver]:
    queue = QueueDriver()
    try:
        yield queue
    finally:
        queue.close()


def all_rows(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Every row of every table."""
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}
