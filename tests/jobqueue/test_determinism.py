"""The same commands give the same rows and digest, however they are cut into transactions and restarts."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from glassraft.jobqueue import commands, schedule_options, schema
from glassraft.jobqueue.machine import Machine
from tests.jobqueue.queue_driver import SESSION, START_MS, QueueDriver, all_rows, empty_queue, new_queue

Entry = tuple[int, int, str, str]


def a_day_at_the_queue(queue: QueueDriver) -> list[Entry]:
    """Commands of every kind: jobs of every fate, sessions, gaps, refusals."""
    queue.new_leader(0)
    queue.submit_many(
        [
            {"task": "t", "priority": n % 3, "queue": "ab"[n % 2], "backoff": {"base_ms": 10}}
            for n in range(30)
        ]
    )
    queue.submit_many([{"task": "late", "queue": "a", "start_within_ms": 400 * n} for n in range(1, 40)])
    queue.submit_many([{"task": "later", "queue": "a", "delay_ms": 100 * n} for n in range(1, 300)])
    arguments = commands.check_submit([{"task": "once", "queue": "b", "kwargs": {"x": 1}}])
    for number in (1, 1, 2, 3, 3):
        queue.command("Submit", arguments, SESSION, number, max(1, number - 1))
    queue.command("Submit", arguments, SESSION, 1, 1)
    for round_ in range(12):
        leased = queue.take(count=5, queues=["a", "b"], lease_ms=2_000, worker=f"w{round_ % 3}")
        for n, (job, token) in enumerate(leased):
            if n == 0:
                queue.complete(job, token, {"round": round_})
            elif n == 1:
                queue.fail(job, token, "error", "traceback")
            elif n == 2:
                queue.release(job, token, delay_ms=50)
            elif n == 3:
                queue.extend(job, token, 0.5, "half", lease_ms=1_000)
            queue.complete(job, token - 1)
        queue.cancel(*(job for job, _ in leased[4:]), queue.submit(queue="b", delay_ms=round_))
        queue.retry(*(job for job, _ in leased), "c16j00")
        queue.purge(*(job for job, _ in leased), "c16j00")
        keyed = {"task": "k", "key": f"k{round_ % 3}", "unique_for_ms": 900, "queue": "ba"[round_ % 2]}
        queue.submit_many([keyed, {**keyed, "on_conflict": "replace", "delay_ms": 300}])
        queue.update(queue.submit(queue="b"), queue="a", args=[round_])
        chain = [{"task": "c", "queue": "b"}, {"task": "c", "queue": "b", "after": [0], "delay_ms": 100}]
        first, _ = queue.submit_many(chain)
        queue.submit(queue="b", after=[first, *(job for job, _ in leased[1:3])], on_dependency="run")
        if round_ % 2:
            queue.cancel(first)
            queue.tick(1)
            queue.retry(first)
        settings = (
            {"paused": True},
            {"paused": False},
            {"max_running": 40},
            {"rate": [20, 1_000]},
            {"rate": None},
        )
        queue.set_queue("ab"[round_ % 2], **settings[round_ % 5])
        schedule = ({"cron": "0 0 * * *", "overlap": "cancel"}, {"every_ms": 5_000}, {"overlap": "allow"})[
            round_ % 3
        ]
        queue.set_schedule(f"s{round_ % 2}", queue.now_ms, **schedule)
        queue.fire(f"s{round_ % 2}")
        queue.fire(f"s{round_ % 2}", version=1)
        queue.fire(f"s{round_ % 2}", for_ms=None)
        queue.command("RunSchedule", schedule_options.check_named(f"s{round_ % 3}"))
        if round_ == 9:
            queue.command("DropSchedule", schedule_options.check_named("s0"))
        queue.tick(700)
        if round_ % 4 == 3:
            queue.new_leader(10_000)
    queue.tick(4_000_000)
    queue.settle()
    for _ in range(20):
        queue.tick(1_000_000_000)
    return queue.log


def play(log: Sequence[Entry], cuts: set[int], restarts: set[int]) -> tuple[str, dict[str, list[Any]]]:
    """Applies the log with a commit after each index in `cuts`, a restart after each in `restarts`."""
    with closing(empty_queue()) as connection:
        machine = Machine(connection)
        connection.execute("BEGIN")
        for entry in log:
            machine.apply(*entry)
            if entry[0] in cuts or entry[0] in restarts or entry is log[-1]:
                machine.flush()
                connection.execute("COMMIT")
                if entry[0] in restarts:
                    machine = Machine(connection)
                connection.execute("BEGIN")
        return machine.digest, all_rows(connection)


@pytest.fixture(scope="module")
def log() -> Iterator[list[Entry]]:
    with new_queue() as queue:
        yield a_day_at_the_queue(queue)


@pytest.fixture(scope="module")
def expected(log: list[Entry]) -> tuple[str, dict[str, list[Any]]]:
    return play(log, cuts={entry[0] for entry in log}, restarts=set())


@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(1, 250)), restarts=st.sets(st.integers(1, 250), max_size=20))
def test_transactions_and_restarts_make_no_difference(
    log: list[Entry], expected: tuple[str, dict[str, list[Any]]], cuts: set[int], restarts: set[int]
) -> None:
    assert play(log, cuts, restarts) == expected


def test_a_transaction_that_was_lost_is_applied_again(
    log: list[Entry], expected: tuple[str, dict[str, list[Any]]]
) -> None:
    """As after a power failure: the file is older than the log, and goes on from there."""
    with closing(empty_queue()) as connection:
        machine = Machine(connection)
        lost: set[int] = set()
        while machine.applied_index < len(log):
            connection.execute("BEGIN")
            for entry in log[machine.applied_index :][:20]:
                machine.apply(*entry)
            machine.flush()
            if machine.applied_index % 40 == 0 and machine.applied_index not in lost:
                lost.add(machine.applied_index)
                connection.execute("ROLLBACK")
                machine = Machine(connection)
            else:
                connection.execute("COMMIT")
        assert (machine.digest, all_rows(connection)) == expected


def test_the_digest_tells_two_queues_that_differ_apart() -> None:
    def digest(job: dict[str, Any], stamp_ms: int = START_MS) -> str:
        with new_queue() as queue:
            queue.now_ms = stamp_ms
            queue.submit_many([job])
            return queue.machine.digest

    assert digest({"task": "t"}) == digest({"task": "t"})
    assert digest({"task": "t"}) != digest({"task": "u"})
    assert digest({"task": "t"}) != digest({"task": "t", "args": [1]})
    assert digest({"task": "t"}) != digest({"task": "t"}, START_MS + 1)


def test_the_digest_is_a_chain(queue: QueueDriver) -> None:
    seen = set()
    for _ in range(5):
        queue.tick()
        seen.add(queue.machine.digest)
    assert len(seen) == 5


def test_every_write_of_a_command_is_in_the_digest(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements that reach SQLite are those of schema.WRITES, but for what follows from them."""
    statements: list[str] = []
    queue.connection.set_trace_callback(statements.append)
    a_day_at_the_queue(queue)
    queue.connection.set_trace_callback(None)
    heads = {
        sql.split("(")[0].split(" SET ")[0].split(" WHERE ")[0].strip() for sql in schema.WRITES.values()
    }
    written = {sql.split("(")[0].split(" SET ")[0].split(" WHERE ")[0].strip() for sql in statements}
    derived = {"UPDATE applied", "REPLACE INTO counts", "DELETE FROM counts"}
    others = {
        sql for sql in written - heads - derived if not sql.startswith(("SELECT", "BEGIN", "COMMIT", "--"))
    }
    assert others == set()


def test_a_queue_on_disk_is_the_same_as_one_in_memory(
    log: list[Entry], expected: tuple[str, dict[str, list[Any]]], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as connection:
        schema.create(connection)
        connection.execute("BEGIN")
        machine = Machine(connection)
        for entry in log:
            machine.apply(*entry)
        machine.flush()
        connection.execute("COMMIT")
        assert (machine.digest, all_rows(connection)) == expected
