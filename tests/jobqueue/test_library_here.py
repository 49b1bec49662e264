"""What only queues without servers have: their file, their clock, jobs at once, and glassraft.testing."""

import asyncio
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from glassraft import (
    AsyncJobQueue,
    BadArgument,
    Fault,
    JobFailed,
    JobQueue,
    NoJob,
    NotFinished,
    StorageError,
    current_job,
    task,
    using,
)
from glassraft.embedded.calls import EmbeddedCalls
from glassraft.storage.identity import DiskFailed
from glassraft.testing import ManualClock, assert_submitted, drain, submitted
from tests.jobqueue import library_tasks as tasks

HOUR_S = 3_600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000)


@pytest.fixture
def queue(clock: ManualClock) -> Iterator[JobQueue]:
    with JobQueue.embedded(clock=clock) as queue, using(queue):
        yield queue


# The file


def test_what_was_submitted_is_there_after_a_restart(tmp_path: Path) -> None:
    with JobQueue.embedded(tmp_path / "queue.db") as queue:
        job = queue.submit(tasks.plus, 1)
    with JobQueue.embedded(tmp_path / "queue.db") as queue:
        assert queue.job(job).state == "ready"
        assert [each.id for each in drain(queue)] == [job]
        assert queue.result(job) == 2


def test_a_process_that_is_killed_loses_nothing_that_was_submitted(tmp_path: Path) -> None:
    program = (
        "import os, sys; from glassraft import JobQueue; queue = JobQueue.embedded(sys.argv[1]);"
        "print(queue.submit('plus', 1), flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "queue.db")]
    job = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
    with JobQueue.embedded(tmp_path / "queue.db") as queue:
        assert queue.get(job)["state"] == "ready"


def test_a_file_is_open_once(tmp_path: Path) -> None:
    with (
        JobQueue.embedded(tmp_path / "queue.db"),
        pytest.raises(StorageError, match="open already, here or in another process"),
    ):
        JobQueue.embedded(tmp_path / "queue.db")
    JobQueue.embedded(tmp_path / "queue.db").close()


def test_a_file_that_is_something_else_is_refused_each_time(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_text("my notes")
    for _ in range(2):
        with pytest.raises(StorageError, match=r"queue\.db"):
            JobQueue.embedded(tmp_path / "queue.db")


def test_the_time_that_a_file_was_closed_costs_no_lease(tmp_path: Path, clock: ManualClock) -> None:
    with JobQueue.embedded(tmp_path / "queue.db", clock=clock) as queue:
        job = queue.submit(tasks.plus, 1)
        [taken] = queue.take("w", lease=30)
    clock.move(HOUR_S)
    with JobQueue.embedded(tmp_path / "queue.db", clock=clock) as queue:
        assert queue.complete(job, taken["token"], 2) == "succeeded"


def test_a_closed_queue_refuses_and_lets_nobody_wait(queue: JobQueue) -> None:
    refused: list[Fault] = []

    def wait() -> None:
        try:
            queue.take("w", wait=60)
        except Fault as fault:
            refused.append(fault)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    queue.close()
    waiting.join(10)
    assert [fault.name for fault in refused] == ["shutting_down"]
    with pytest.raises(Fault, match="closed"):
        queue.stats()


# The clock


def test_a_clock_is_moved_to_what_comes_due(queue: JobQueue, clock: ManualClock) -> None:
    job = tasks.plus.options(delay=60).submit(1)
    assert drain() == []
    clock.move(59)
    assert job.state == "scheduled"
    clock.move(1)
    assert job.state == "ready"
    assert drain() == [job]
    with pytest.raises(BadArgument, match="not back"):
        clock.move(-1)


def test_a_lease_runs_out_as_the_clock_moves(queue: JobQueue, clock: ManualClock) -> None:
    job = tasks.plus.submit(1)
    [taken] = queue.take("w", lease=30)
    queue.extend("w", [(job, taken["token"])], lease=30)
    clock.move(31)
    assert job.refresh()["error"] == "lease expired (worker w)"


def test_a_schedule_fires_as_the_clock_moves(queue: JobQueue, clock: ManualClock) -> None:
    queue.schedules.set("each hour", task="plus", args=[1], every=HOUR_S)
    assert list(submitted("plus")) == []
    clock.move(HOUR_S)
    [(job, _)] = submitted("plus")
    assert drain() == [job]


def test_time_passes_by_itself() -> None:
    with JobQueue.embedded() as queue:
        job = queue.submit("plus", 1, delay=0.2)
        [taken] = queue.take("w", wait=10)
        assert taken["id"] == job


# Inline


def test_inline_needs_no_waiting() -> None:
    with JobQueue.inline() as queue:
        job = queue.submit(tasks.plus, 1)
        assert queue.get(job)["state"] == "succeeded"
        late = queue.submit(tasks.plus.options(delay=HOUR_S), 1)
        assert late.result(0) == 2


@task
def submits_another(value: int) -> int:
    """Waits for a job of its own, which where jobs are run at once is no deadlock."""
    mine = current_job().id
    found = tasks.plus.submit(value).result(0)
    assert current_job().id == mine
    return found


def test_a_job_that_is_run_at_once_can_submit_another() -> None:
    with JobQueue.inline() as queue, using(queue):
        assert submits_another.submit(4).result(0) == 5
    with pytest.raises(NoJob):
        current_job()


def test_a_task_that_nobody_knows_is_dead_at_once() -> None:
    with JobQueue.inline() as queue, pytest.raises(JobFailed, match="no task 'unheard of' is known here"):
        queue.submit("unheard of").result(0)


def test_an_async_task_runs_at_once_also_where_a_loop_runs() -> None:
    async def program() -> int:
        with JobQueue.inline() as queue:
            return queue.submit(tasks.sleeps_a_little, 4).result(0)  # type: ignore[return-value]

    assert asyncio.run(program()) == 4


# asyncio


def test_a_wait_that_is_cancelled_holds_nothing_up() -> None:
    async def program() -> None:
        async with AsyncJobQueue.embedded() as queue:
            job = await queue.submit(tasks.plus, 1)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(job.result(), 0.1)
            with pytest.raises(NotFinished):
                await job.result(0.1)
            with pytest.raises(NotFinished, match="1 jobs have not finished"):
                _ = [each async for each in queue.as_finished([job], 0.1)]
            assert await job.cancel() == "cancelled"
            assert await job.retry() == "ready"
            await queue.update(job, priority=3)
            assert (await job.refresh())["priority"] == 3
            assert (await queue.set_queue("default", paused=True))["paused"]
            assert await queue.cancel_many([job]) == [{"job": job, "ok": True, "state": "cancelled"}]
            assert [each["ok"] for each in await queue.retry_many([job])] == [True]
            await queue.cancel_many([job])
            assert [each["ok"] for each in await queue.purge_many([job])] == [True]
            assert repr(job) == f"AsyncJob({job.id!r})"

    began = time.monotonic()
    asyncio.run(program())
    assert time.monotonic() - began < 10


def test_a_job_is_sent_to_another_process_as_its_id(queue: JobQueue) -> None:
    job = tasks.plus.submit(1)
    assert pickle.loads(pickle.dumps(job)) == job.id
    assert type(pickle.loads(pickle.dumps(job))) is str
    assert repr(job) == f"Job({job.id!r})"


def test_a_disk_that_refuses_is_said_and_nothing_is_served_any_more(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = queue._calls
    assert isinstance(calls, EmbeddedCalls)

    def refuse() -> None:
        raise DiskFailed("full")

    monkeypatch.setattr(calls.queue, "commit", refuse)
    with pytest.raises(DiskFailed):
        tasks.plus.submit(1)
    monkeypatch.undo()
    with pytest.raises(DiskFailed):
        queue.stats()


# glassraft.testing


def test_what_was_submitted_is_asserted(queue: JobQueue) -> None:
    job = tasks.plus.options(queue="sums").submit(1, b=2)
    assert assert_submitted(tasks.plus) == job
    assert assert_submitted(tasks.plus, a=1, b=2) == job
    assert assert_submitted(tasks.plus.options(queue="sums"), 1, 2) == job
    with pytest.raises(AssertionError, match=r"there are sums: plus\(1, b=2\)"):
        assert_submitted(tasks.plus, 2)
    with pytest.raises(AssertionError, match="as expected"):
        assert_submitted(tasks.plus.options(queue="other"))
    with pytest.raises(AssertionError, match="there is none"):
        assert_submitted(tasks.gives_up)


def test_draining_leaves_what_is_paused(queue: JobQueue) -> None:
    tasks.plus.submit(1)
    queue.set_queue("default", paused=True)
    assert drain() == []


def test_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from glassraft.testing import assert_submitted, drain\n"
        "from tests.jobqueue.library_tasks import plus\n"
        "def test_mine(job_queue, job_clock):\n"
        "    plus.options(delay=60).submit(1)\n"
        "    job_clock.move(60)\n"
        "    [job] = drain()\n"
        "    assert assert_submitted(plus, 1).result(0) == 2\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "glassraft.pytest_plugin",
        "--rootdir",
        str(tmp_path),
    ]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(tmp_path / "test_mine.py")],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# What is loaded


def modules_after(program: str) -> set[str]:
    code = f"import sys; {program}; print(*(name for name in sys.modules if name.startswith('glassraft')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(run.stdout.split())


def test_the_package_loads_what_is_asked_for() -> None:
    assert modules_after("import glassraft") == {"glassraft"}
    loaded = modules_after("from glassraft import JobQueue, task, Worker; JobQueue([('localhost', 1)])")
    servers = ("glassraft.replica", "glassraft.storage", "glassraft.embedded", "glassraft.raft.server")
    assert [name for name in loaded if name.startswith(servers)] == []


def test_every_public_name_is_there() -> None:
    import glassraft

    assert set(glassraft.__all__) <= set(dir(glassraft))
    assert all(getattr(glassraft, name) is not None for name in glassraft.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Broker'"):
        _ = glassraft.Broker  # type: ignore[attr-defined]
