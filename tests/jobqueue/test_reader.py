"""What people and workers read: jobs, lists, statistics; and that no query scans a table."""

from typing import Any

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import (
    book,
    cascade,
    changing,
    commands,
    dependencies,
    due,
    ids,
    keys,
    pruning,
    reader,
    running,
    schema,
    sessions,
)
from tests.jobqueue.queue_driver import QueueDriver, new_queue


def listed(page: dict[str, Any]) -> list[str]:
    return [job["id"] for job in page["jobs"]]


def test_a_job_that_is_not_there_is_none(queue: QueueDriver) -> None:
    assert queue.reader.get("c16j00") is None
    assert queue.reader.outcome("c16j00") is None
    with pytest.raises(BadArgument):
        queue.reader.get("no id")


def test_a_job_shows_what_it_is_and_what_happened(queue: QueueDriver) -> None:
    job = queue.submit("primes", args=[1], kwargs={"to": 9}, priority=3, timeout_ms=5_000)
    _, token = queue.take_one(worker="w7")
    queue.pass_time(50)
    queue.fail(job, token, "ValueError: no", "Traceback ...")
    shown = queue.get(job)
    assert (shown["id"], shown["task"], shown["args"], shown["kwargs"]) == (job, "primes", [1], {"to": 9})
    assert (shown["priority"], shown["timeout_ms"], shown["state"]) == (3, 5_000, "scheduled")
    assert shown["history"][2] == {
        "n": 3,
        "ms": queue.now_ms,
        "event": "failed",
        "from": "running",
        "to": "scheduled",
        "attempt": 1,
        "token": token,
        "worker": "w7",
        "error": "ValueError: no",
        "traceback": "Traceback ...",
    }


def test_a_running_job_shows_its_lease_in_cluster_time(queue: QueueDriver) -> None:
    job = queue.submit()
    queue.new_leader(5_000)
    _, token = queue.take_one(lease_ms=30_000)
    assert (queue.get(job)["token"], queue.get(job)["lease_until_ms"]) == (token, queue.now_ms + 30_000)
    queue.complete(job, token)
    assert "lease_until_ms" not in queue.get(job)
    assert "token" not in queue.get(job)


def test_a_lease_is_shown_right_before_the_transaction_ends(queue: QueueDriver) -> None:
    job = queue.submit()
    queue.connection.execute("BEGIN")
    queue.now_ms += 5_000
    index = queue.machine.applied_index
    queue.machine.apply(index + 1, 2, "noop", commands.opening(queue.now_ms))
    take = commands.envelope("Take", commands.check_take("w", ["default"], 1, 30_000), queue.now_ms)
    queue.machine.apply(index + 2, 2, "command", take)
    [details] = queue.reader.details([ids.from_text(job)])
    assert details["lease_until_ms"] == queue.now_ms + 30_000
    queue.machine.flush()
    queue.connection.execute("COMMIT")


def test_the_outcome_of_a_job(queue: QueueDriver) -> None:
    good, bad, waiting = queue.submit_many([{"task": "t"}] * 3)
    [[_, token], _] = queue.take(count=2)
    queue.complete(good, token, {"n": 1})
    queue.fail(bad, token, "no", retry=False)
    assert queue.reader.outcome(good) == {"id": good, "state": "succeeded", "result": {"n": 1}}
    assert queue.reader.outcome(bad) == {"id": bad, "state": "dead", "error": "no"}
    assert queue.reader.outcome(waiting) == {"id": waiting, "state": "ready"}


def test_a_job_that_succeeded_shows_no_old_error(queue: QueueDriver) -> None:
    job = queue.submit(backoff={"base_ms": 0})
    queue.fail(*queue.take_one())
    assert queue.get(job)["error"] == "ValueError: no"
    queue.complete(*queue.take_one(), result=5)
    assert "error" not in queue.get(job)
    assert "error" not in queue.reader.list()["jobs"][0]


def test_a_worker_gets_what_it_needs_to_run_a_job(queue: QueueDriver) -> None:
    job = queue.submit("t", args=[1, "x"], kwargs={"k": None})
    _, token = queue.take_one()
    [details] = queue.reader.details([ids.from_text(job), ids.from_text("c16j00")])
    assert (details["id"], details["token"], details["task"]) == (job, token, "t")
    assert (details["args"], details["kwargs"], details["attempt"]) == ([1, "x"], {"k": None}, 1)
    assert details["lease_until_ms"] == queue.now_ms + 30_000


def test_lists_are_newest_first_and_go_on_page_by_page(queue: QueueDriver) -> None:
    jobs = queue.submit_many([{"task": "t"}] * 7)[::-1]
    first = queue.reader.list(limit=3)
    second = queue.reader.list(limit=3, after=first["next"])
    third = queue.reader.list(limit=3, after=second["next"])
    assert [listed(page) for page in (first, second, third)] == [jobs[:3], jobs[3:6], jobs[6:]]
    assert third["next"] == ""


def test_lists_by_state_queue_and_task(queue: QueueDriver) -> None:
    everything = [(task, name, delay) for task in "tu" for name in "abc" for delay in (0, 1_000)]
    jobs = queue.submit_many([{"task": t, "queue": q, "delay_ms": d} for t, q, d in everything])
    for task in (None, "t", "u", "none"):
        for name in (None, "a", "c", "none"):
            for state in (None, "ready", "scheduled", "dead"):
                expected = [
                    job
                    for job, (t, q, d) in zip(jobs, everything, strict=True)
                    if task in (None, t)
                    and name in (None, q)
                    and state in (None, "scheduled" if d else "ready")
                ]
                page = queue.reader.list(state=state, queue=name, task=task)
                assert listed(page) == expected[::-1]
                assert page["next"] == ""


def test_a_page_looks_at_a_bounded_number_of_rows(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "ROWS_LOOKED_AT", 10)
    wanted = queue.submit("wanted", queue="a")
    for _ in range(3):
        queue.submit_many([{"task": "other", "queue": "a"}] * 8)
    pages = [queue.reader.list(queue="a", task="wanted")]
    while pages[-1]["next"]:
        pages.append(queue.reader.list(queue="a", task="wanted", after=pages[-1]["next"]))
    assert [listed(page) for page in pages] == [[], [], [wanted]]


@pytest.mark.parametrize(
    "wrong", [{"state": "gone"}, {"limit": 0}, {"limit": 1_001}, {"after": "x"}, {"queue": ""}]
)
def test_a_wrong_filter_is_refused(queue: QueueDriver, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadArgument):
        queue.reader.list(**wrong)


def test_a_list_shows_the_beginning_of_the_arguments(queue: QueueDriver) -> None:
    queue.submit(args=[1, "x"], kwargs={"k": 2})
    queue.submit(args=["y" * 1_000])
    queue.submit()
    shown = [job["arguments"] for job in queue.reader.list()["jobs"]]
    assert shown[0] == ""
    assert shown[1] == '"' + "y" * 199
    assert shown[2] == '1,"x","k":2'


def test_counts_are_kept_by_queue_and_state(queue: QueueDriver) -> None:
    queue.submit_many([{"task": "t"}] * 3 + [{"task": "t", "queue": "q", "delay_ms": 5}])
    queue.pass_time(40)
    job, token = queue.take_one()
    queue.complete(job, token)
    queue.fail(*queue.take_one(), retry=False)
    stats = queue.reader.stats()
    assert stats["queues"] == {
        "default": {"ready": 1, "succeeded": 1, "dead": 1, "submitted": 3, "completed": 1, "failed": 1},
        "q": {"ready": 1, "submitted": 1},
    }
    assert stats["states"]["ready"] == 2
    assert stats["oldest_ready_ms"] == {"default": 40, "q": 40}
    assert stats["applied_index"] == queue.machine.applied_index


def test_ready_jobs_are_counted_without_asking_the_tables(queue: QueueDriver) -> None:
    queue.submit_many([{"task": "t", "queue": "a"}] * 2 + [{"task": "t", "queue": "b"}])
    assert queue.machine.ready_count(["a", "b", "c"]) == 3
    queue.take(queues=["a"])
    assert queue.machine.ready_count(["a", "b", "c"]) == 2
    queue.restart()
    assert queue.machine.ready_count(["a", "b", "c"]) == 2


QUERIES = {
    name: value
    for module in (book, cascade, changing, dependencies, due, keys, pruning, reader, running, sessions)
    for name, value in vars(module).items()
    if isinstance(value, str) and value.startswith("SELECT")
}
WHOLE_ON_PURPOSE = {"COUNTS", "QUEUES", "SETTINGS"}
"""The tables of counts and settings have a row a queue, or a few, and these read all of it."""


def plan(driver: QueueDriver, sql: str) -> list[str]:
    values = [1] * sql.count("?")
    return [row[3] for row in driver.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


@pytest.mark.parametrize("name", sorted(set(QUERIES) - WHOLE_ON_PURPOSE))
def test_no_query_scans_or_sorts(name: str) -> None:
    with new_queue() as driver:
        for step in plan(driver, QUERIES[name]):
            walks_in_order = "LIMIT" in QUERIES[name] or "min(" in QUERIES[name]
            assert step.startswith("SEARCH") or (walks_in_order and "USING" in step) or name == "FIRST_DUE", (
                step
            )
            assert "TEMP B-TREE" not in step


@pytest.mark.parametrize("name", sorted(schema.WRITES))
def test_no_write_scans(name: str) -> None:
    with new_queue() as driver:
        for step in plan(driver, schema.WRITES[name]):
            assert step.startswith("SEARCH")
