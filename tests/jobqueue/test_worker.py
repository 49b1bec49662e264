"""A worker with real processes on a queue without a cluster: what becomes of jobs of every kind."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands, ids, tasks, worker
from glassraft.jobqueue.current import NoJob, current_job
from glassraft.jobqueue.worker import LEASE_S, Worker
from tests.jobqueue import sample_tasks
from tests.jobqueue.machine_queue import MachineQueue

KNOWN = {
    name: each for name, each in tasks.TASKS.items() if each.function.__module__ == sample_tasks.__name__
}

NO_BACKOFF = {"base_ms": 0}

Start = Callable[..., Worker]


@pytest.fixture
def queue() -> Iterator[MachineQueue]:
    queue = MachineQueue()
    yield queue
    queue.connection.close()


@pytest.fixture
def start(queue: MachineQueue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts workers, and ends them all at the end."""
    monkeypatch.setattr(worker, "TAKE_WAIT_S", 0.2)
    running: list[tuple[Worker, threading.Thread]] = []

    def start(slots: int = 1, grace_s: float = 10.0, **options: float) -> Worker:
        made = Worker(queue, KNOWN, slots=slots, name=f"w{len(running) + 1}", **options)  # type: ignore[arg-type]
        thread = threading.Thread(target=made.run, args=(grace_s,))
        thread.start()
        running.append((made, thread))
        return made

    yield start
    queue.outage.clear()
    for made, _ in running:
        made.stop_now()
    for _, thread in running:
        thread.join(30)
        assert not thread.is_alive()


def test_jobs_are_run_and_their_results_kept(queue: MachineQueue, start: Start) -> None:
    jobs = [queue.submit("double", n) for n in (1, 2.5, "ab")] + [queue.submit("named.otherwise")]
    start()
    assert [queue.finished(job)["result"] for job in jobs[:3]] == [2, 5.0, "abab"]
    assert queue.finished(jobs[3])["result"] != os.getpid()


def test_a_worker_holds_no_more_jobs_than_it_has_free_slots(queue: MachineQueue, start: Start) -> None:
    jobs = [queue.submit("slow", 0.05) for _ in range(8)]
    start(slots=2)
    for job in jobs:
        assert queue.finished(job)["state"] == "succeeded"
    assert queue.most_taken <= 2
    spans = sorted((queue.get(job)["history"][1]["ms"], queue.get(job)["finished_ms"]) for job in jobs)
    for n in range(len(spans) - 2):
        assert spans[n + 2][0] >= min(spans[n][1], spans[n + 1][1])


def test_a_job_that_raises_fails_with_its_traceback(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("fails", "the message", max_attempts=1)
    start()
    shown = queue.finished(job)
    assert shown["error"] == "ValueError: the message"
    traceback = shown["history"][-1]["traceback"]
    assert "in fails" in traceback
    assert "glassraft" not in traceback.replace(str(Path(sample_tasks.__file__).parents[2]), "")


def test_a_job_that_fails_is_tried_again(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("fails", max_attempts=3, backoff=NO_BACKOFF)
    start()
    assert queue.finished(job)["attempt"] == 3


def test_a_job_that_ends_its_program_only_fails(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("exits", max_attempts=1)
    start()
    assert queue.finished(job)["error"] == "SystemExit: enough"


def test_a_result_that_is_not_json_fails_with_a_clear_error(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("strange", max_attempts=1)
    start()
    assert queue.finished(job)["error"].startswith(
        "strange returned what cannot be kept: result: not a JSON value"
    )


def test_wrong_arguments_fail_with_a_clear_error(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("double", 1, 2, max_attempts=1)
    start()
    assert "takes 1 positional argument but 2 were given" in queue.finished(job)["error"]


def test_a_crash_takes_no_other_job_down(queue: MachineQueue, start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    other = queue.submit("waits_for", str(flag))
    start(slots=2)
    queue.until(other, lambda shown: shown["state"] == "running")
    crash = queue.submit("crashes", max_attempts=2, backoff=NO_BACKOFF)
    assert "the process that ran it died" in queue.finished(crash)["error"]
    flag.touch()
    assert queue.finished(other)["attempt"] == 1
    assert queue.finished(queue.submit("double", 4))["result"] == 8


def test_a_job_that_runs_too_long_is_ended(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("slow", 60, timeout_ms=1_000, max_attempts=1)
    start()
    assert queue.finished(job)["error"] == "timed out: it ran longer than 1 s"
    assert queue.finished(queue.submit("double", 4))["result"] == 8


def test_leases_are_kept_while_jobs_run(queue: MachineQueue, start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    job = queue.submit("waits_for", str(flag))
    start(lease_s=1.0)
    first = queue.until(job, lambda shown: shown["state"] == "running")["lease_until_ms"]
    queue.until(job, lambda shown: shown["lease_until_ms"] > first + 1_000)  # longer than without
    assert queue.extends >= 4
    flag.touch()
    assert queue.finished(job)["attempt"] == 1


def test_a_job_whose_lease_is_lost_is_ended(queue: MachineQueue, start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    job = queue.submit("waits_for", str(flag), max_attempts=1)
    start(lease_s=1.0)
    queue.until(job, lambda shown: shown["history"][-1]["event"] == "taken")
    queue.fail(job, queue.get(job)["token"], "given up elsewhere", "")
    assert queue.finished(queue.submit("double", 4))["result"] == 8  # the slot is free again


def test_a_job_can_read_that_it_is_to_stop(queue: MachineQueue, start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "begun"
    job = queue.submit("stops_when_told", str(flag))
    start(lease_s=3.0)
    queue.until(job, lambda shown: flag.exists())
    queue.command("Cancel", commands.check_cancel([job]))
    shown = queue.finished(job)
    assert (shown["state"], shown["result"]) == ("succeeded", f"stopped {job}")
    again = queue.submit("stops_when_told", str(tmp_path / "again"))  # in the same process
    queue.until(again, lambda shown: (tmp_path / "again").exists())
    assert queue.get(again)["state"] == "running"
    queue.command("Cancel", commands.check_cancel([again]))
    queue.finished(again)


def test_a_cancelled_job_that_raises_is_cancelled(queue: MachineQueue, start: Start, tmp_path: Path) -> None:
    job = queue.submit("slow", 60, timeout_ms=1_000)
    start(lease_s=3.0)
    queue.until(job, lambda shown: shown["state"] == "running")
    queue.command("Cancel", commands.check_cancel([job]))
    assert queue.finished(job)["state"] == "cancelled"


def test_a_job_hands_on_when_it_succeeds(queue: MachineQueue, start: Start) -> None:
    failing = queue.submit("hands_on", -5, max_attempts=1)
    job = queue.submit("hands_on", 4)
    start()
    assert queue.finished(job)["result"] == 4
    assert queue.finished(failing)["state"] == "dead"
    with queue.lock:
        [handed_on] = queue.reader.list(task="double")["jobs"]
    assert queue.finished(handed_on["id"])["result"] == 10


def test_a_job_fails_at_once_that_hands_on_to_what_comes_after_a_job_that_is_gone(
    queue: MachineQueue, start: Start
) -> None:
    """Its lease is not lost: it would be run again and again, each time until its lease ran out."""
    gone = ids.to_text(ids.number(9_999, 0))
    job = queue.submit("hands_on_to_nobody", gone, max_attempts=1)
    start()
    shown = queue.finished(job, timeout_s=LEASE_S / 2)
    assert shown["state"] == "dead"
    assert shown["error"].endswith(f"there is no job {gone} that it could come after")


def test_only_a_job_has_a_current_job() -> None:
    with pytest.raises(NoJob, match="was called, not submitted"):
        current_job()


def test_an_outage_is_ridden_out(queue: MachineQueue, start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    job = queue.submit("waits_for", str(flag))
    later = queue.submit("double", 4)
    start()
    queue.until(job, lambda shown: Path(str(flag) + ".begun").exists())
    queue.outage.set()
    flag.touch()
    time.sleep(0.5)
    queue.outage.clear()
    assert queue.finished(job)["attempt"] == 1
    assert queue.finished(later)["result"] == 8


def test_an_unknown_task_is_given_back_with_the_reason(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("unheard of")
    start()
    shown = queue.until(job, lambda shown: shown["state"] == "scheduled")
    assert shown["failures"] == 0
    assert shown["error"] == "worker w1 knows no task 'unheard of'"
    assert shown["at_ms"] - shown["history"][-1]["ms"] == 1_000


def test_stopping_lets_jobs_finish_and_takes_no_more(
    queue: MachineQueue, start: Start, tmp_path: Path
) -> None:
    flag = tmp_path / "go on"
    job = queue.submit("waits_for", str(flag))
    stopping = start()
    queue.until(job, lambda shown: Path(str(flag) + ".begun").exists())
    more = queue.submit("double", 1)
    stopping.stop()
    time.sleep(0.3)
    flag.touch()
    assert queue.finished(job)["result"] == "seen"
    time.sleep(0.3)
    assert queue.get(more)["state"] == "ready"


def test_stopping_gives_back_what_outlasts_the_grace(queue: MachineQueue, start: Start) -> None:
    job = queue.submit("slow", 60)
    stopping = start(grace_s=0.3)
    queue.until(job, lambda shown: shown["state"] == "running")
    stopping.stop()
    shown = queue.until(job, lambda shown: shown["state"] == "ready")
    assert (shown["failures"], shown["history"][-1]["event"]) == (0, "released")


def test_stopping_at_once_gives_everything_back(queue: MachineQueue, start: Start) -> None:
    jobs = [queue.submit("slow", 60) for _ in range(2)]
    stopping = start(slots=2, grace_s=60.0)
    for job in jobs:
        queue.until(job, lambda shown: shown["state"] == "running")
    stopping.stop_now()
    for job in jobs:
        assert queue.until(job, lambda shown: shown["state"] == "ready")["failures"] == 0


def test_a_worker_s_settings_are_checked(queue: MachineQueue) -> None:
    with pytest.raises(BadArgument, match="slots"):
        Worker(queue, KNOWN, slots=-1)
    with pytest.raises(BadArgument, match="queue must be"):
        Worker(queue, KNOWN, queues=["a", ""])


def test_a_task_stays_a_function() -> None:
    assert sample_tasks.double(4) == 8
    assert tasks.TASKS["double"].call == "double(value: Any) -> Any"
    assert tasks.TASKS["double"].summary == "Twice the value."


def test_a_task_s_name_is_given_once() -> None:
    with pytest.raises(BadArgument, match="two functions are named 'double'"):

        @tasks.task(name="double")
        def other() -> None: ...


def test_a_call_is_checked_against_the_signature() -> None:
    tasks.TASKS["double"].check_call([1], {})
    with pytest.raises(BadArgument, match=r"too many positional arguments; it is called double\("):
        tasks.TASKS["double"].check_call([1, 2], {})
