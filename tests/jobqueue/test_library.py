"""The library, one suite on every kind of queue: a real cluster, embedded in this process, and inline.

The first two have a worker with processes. What does not apply to a kind is marked so.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from glassraft import (
    AsyncJobQueue,
    BadArgument,
    Fault,
    JobFailed,
    JobQueue,
    NoQueue,
    NotFinished,
    Progress,
    Worker,
    configure,
    using,
)
from glassraft.jobqueue.tasks import TASKS
from tests.jobqueue import library_tasks as tasks
from tests.live import Cluster, Ports, write_config

LONG_S = 60.0
"""Far more than any of these jobs takes."""

KNOWN = {name: each for name, each in TASKS.items() if each.function.__module__ == tasks.__name__}

not_inline = pytest.mark.parametrize("queue", ["cluster", "embedded"], indirect=True, scope="session")
"""Jobs that wait, for a time or for somebody, do not apply where each is run at once."""


@pytest.fixture(scope="session", params=["cluster", "embedded", "inline"])
def queue(
    request: pytest.FixtureRequest, ports: Ports, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JobQueue]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "inline":
        with JobQueue.inline() as queue:
            yield queue
    elif request.param == "embedded":
        with JobQueue.embedded(folder / "queue.db") as queue:
            yield from served(queue)
    else:
        cluster = Cluster(write_config(folder, ports.take(3)))
        try:
            cluster.start()
            with JobQueue(cluster.config.path) as queue:
                yield from served(queue)
        finally:
            cluster.close()


def served(queue: JobQueue) -> Iterator[JobQueue]:
    """With a worker at work, whose process is there: what comes later was left behind by a test."""
    worker = Worker(queue, KNOWN, slots=1, name="library")
    thread = threading.Thread(target=worker.run)
    thread.start()
    queue.submit(tasks.plus, 1).result(LONG_S)
    yield queue
    worker.stop_now()
    thread.join(30)


@pytest.fixture(autouse=True)
def configured(queue: JobQueue) -> Iterator[None]:
    with using(queue):
        yield


def test_a_task_runs_here_when_it_is_called_and_is_submitted_by_name_of_its_function() -> None:
    assert tasks.plus(1, b=2) == 3
    job = tasks.plus.submit(1, b=2)
    assert job.result(LONG_S) == 3
    assert job.state == "succeeded"
    shown = job.refresh()
    assert (shown["task"], shown["args"], shown["kwargs"]) == ("plus", [1], {"b": 2})
    assert (shown["priority"], shown["max_attempts"]) == (5, 3)


def test_arguments_are_checked_before_anything_is_sent(queue: JobQueue) -> None:
    before = queue.stats()["queues"].get("default", {}).get("submitted", 0)
    with pytest.raises(BadArgument, match=r"too many positional arguments; it is called plus\("):
        tasks.plus.submit(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(BadArgument, match="no option 'colour'"):
        tasks.plus.options(colour="red")  # type: ignore[call-arg]
    with pytest.raises(BadArgument, match="priority must be"):
        tasks.plus.options(priority=5_000)
    assert queue.stats()["queues"].get("default", {}).get("submitted", 0) == before


def test_what_a_queue_refuses_is_refused_alike(queue: JobQueue) -> None:
    with pytest.raises(Fault) as too_large:
        queue.submit("plus", "x" * 300_000)
    with pytest.raises(Fault) as bad:
        queue.submit("x" * 300)
    with pytest.raises(Fault) as missing:
        queue.get("c16j00")
    assert [each.value.name for each in (too_large, bad, missing)] == [
        "too_large",
        "bad_argument",
        "not_found",
    ]


def test_a_queue_takes_tasks_and_names(queue: JobQueue) -> None:
    assert queue.submit(tasks.plus, 1, b=5).result(LONG_S) == 6
    assert queue.submit("plus", 1, kwargs={"b": 6}, priority=1).result(LONG_S) == 7


def test_options_are_of_one_call(queue: JobQueue) -> None:
    keyed = tasks.plus.options(key="one call", unique_for=3_600, priority=7)
    first = keyed.submit(1)
    assert keyed.submit(2) == first
    assert first.refresh()["priority"] == 7
    assert tasks.plus.submit(1).refresh()["priority"] == 5


def test_a_job_is_its_id(queue: JobQueue) -> None:
    job = tasks.plus.submit(3)
    assert queue.job(job.id) == job
    assert queue.job(job.id).result(LONG_S) == 4
    assert queue.wait([job], LONG_S)[job]["result"] == 4


def test_results_come_as_they_finish(queue: JobQueue) -> None:
    jobs = queue.submit_many(tasks.plus.spec(n) for n in range(120))
    finished = list(queue.as_finished(jobs, LONG_S))
    assert sorted(finished) == sorted(jobs)
    assert [job.result() for job in jobs] == list(range(1, 121))


def test_a_job_comes_after_others() -> None:
    first = tasks.plus.submit(1)
    then = tasks.plus.options(after=[first]).submit(2)
    assert then.result(LONG_S) == 3
    assert then.refresh()["after"] == [first]


def test_a_job_is_tried_again(tmp_path: Path) -> None:
    job = tasks.succeeds_at_last.submit(str(tmp_path / "tries"))
    assert job.result(LONG_S) == 3
    assert job.refresh()["attempt"] == 3


@pytest.mark.parametrize("job", [tasks.gives_up_on_values.spec("x"), tasks.retries_connections.spec()])
def test_some_errors_are_not_worth_another_attempt(queue: JobQueue, job: dict[str, object]) -> None:
    [dead] = queue.submit_many([job])
    with pytest.raises(
        JobFailed, match=r"is dead: (ValueError: invalid literal|KeyError: 'other')"
    ) as raised:
        dead.result(LONG_S)
    assert (raised.value.job, raised.value.state) == (dead, "dead")
    assert dead.refresh()["attempt"] == 1


def test_what_a_task_says(queue: JobQueue) -> None:
    snoozed = tasks.snoozes_once.submit()
    returned = tasks.returns_a_snooze.submit()
    cancelled = tasks.leaves.submit()
    dead = tasks.gives_up.submit()
    assert snoozed.result(LONG_S) == 2
    shown = snoozed.refresh()
    assert shown["failures"] == 0
    assert [row.get("error") for row in shown["history"] if row["event"] == "released"] == ["too early"]
    assert returned.result(LONG_S) == "late"
    assert cancelled.wait(LONG_S)
    assert cancelled.state == "cancelled"
    assert cancelled.refresh()["history"][-1]["error"] == "the customer has left"
    with pytest.raises(JobFailed, match=r"dead: .*GiveUp: the account is closed"):
        dead.result(LONG_S)
    assert dead.refresh()["attempt"] == 1


def test_a_dead_job_runs_again_by_hand() -> None:
    dead = tasks.gives_up.submit()
    assert dead.wait(LONG_S)
    assert dead.retry() in ("ready", "dead")
    assert dead.wait(LONG_S)
    with pytest.raises(Fault, match="can no longer be cancelled"):
        dead.cancel()


def test_an_async_task() -> None:
    assert tasks.sleeps_a_little.submit(4).result(LONG_S) == 4  # type: ignore[comparison-overlap]


def test_a_job_hands_on(queue: JobQueue) -> None:
    job = tasks.hands_on_a_sum.submit(5)
    assert job.result(LONG_S) == job
    handed_on = tasks.plus.options(key=f"after {job}").submit(0)  # it holds the key
    assert handed_on.result(LONG_S) == 15


@not_inline
def test_a_job_that_has_not_finished(queue: JobQueue) -> None:
    job = tasks.plus.options(delay=3_600).submit(1)
    assert not job.wait(0.05)
    with pytest.raises(NotFinished, match="has not finished within"):
        job.result(0.05)
    with pytest.raises(NotFinished, match="1 jobs have not finished within"):
        list(queue.as_finished([job], 0.05))
    assert job.state == "scheduled"
    assert job.cancel() == "cancelled"
    with pytest.raises(JobFailed, match="is cancelled: cancelled by hand"):
        job.result(LONG_S)


@not_inline
def test_progress_is_seen(queue: JobQueue) -> None:
    job = tasks.plus.options(queue="by hand").submit(1)
    assert job.progress is None
    [taken] = queue.take("me", ["by hand"])
    queue.extend("me", [(job, taken["token"], 0.25, "a quarter")])
    assert job.progress == Progress(0.25, "a quarter")
    assert job.cancel() == "running"
    queue.complete(job, taken["token"], 2)
    assert job.result(LONG_S) == 2


async def use_asyncio(queue: AsyncJobQueue) -> None:
    job = await queue.submit(tasks.plus, 1, b=2)
    assert await job.result(LONG_S) == 3
    assert await job.state == "succeeded"
    assert await job.progress is None
    jobs = await queue.submit_many(tasks.plus.spec(n) for n in range(5))
    assert sorted([each async for each in queue.as_finished(jobs, LONG_S)]) == sorted(jobs)
    assert len(await queue.wait(jobs, LONG_S)) == 5
    dead = await queue.submit("gives_up")
    with pytest.raises(JobFailed):
        await dead.result(LONG_S)
    assert (await queue.list(task="gives_up", limit=1))["jobs"][0]["id"] == dead
    await queue.purge(dead)
    with pytest.raises(Fault, match="no job"):
        await dead.refresh()


def test_asyncio_has_the_same_names(queue: JobQueue) -> None:
    async def run() -> None:
        async with AsyncJobQueue(queue) as twin:
            await use_asyncio(twin)

    asyncio.run(run())


def test_without_a_queue_nothing_is_guessed() -> None:
    configure(None)
    with pytest.raises(NoQueue, match=r"glassraft\.configure\(JobQueue"):
        tasks.plus.submit(1)
