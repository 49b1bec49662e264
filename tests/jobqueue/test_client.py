"""The user's side against a cluster of fakes: leaders change, answers get lost, and no job is there twice."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glassraft.errors import BadArgument, GlassraftError
from glassraft.jobqueue import ids
from glassraft.jobqueue.client import (
    JobFailed,
    JobQueue,
    NoCluster,
    NoQuorum,
    NotFinished,
    OutcomeUnknown,
    PartlySubmitted,
)
from glassraft.rpc.faults import Fault
from glassraft.rpc.server import Call, Method, RpcServer

PATIENCE_S = 20.0

Trouble = Callable[["FakeCluster", int, Call, Callable[[], dict[str, Any]]], dict[str, Any]]


class FakeCluster:
    """Nodes that share one queue, kept as the machine keeps it: sessions, numbers and stored answers.

    `troubles` befall the next commands, one each: they are given the command, to run it or not.
    """

    def __init__(self, count: int = 3) -> None:
        self.lock = threading.RLock()
        self.leader = 0
        self.jobs: list[dict[str, Any]] = []
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.commands: list[tuple[str, int, int]] = []
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.troubles: deque[Trouble] = deque()
        self.finished = threading.Condition(self.lock)
        self.stoppers: list[threading.Thread] = []
        self.servers: list[RpcServer | None] = []
        for node in range(count):
            self.servers.append(self._server(node, 0))
        self.addresses = [("127.0.0.1", server.port) for server in self.servers if server]

    def _server(self, node: int, port: int) -> RpcServer:
        def command(run: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
            def serve(call: Call, *params: Any) -> dict[str, Any]:
                self.calls.append((call.method, params))
                self.check_leads(node)
                trouble = self.troubles.popleft() if self.troubles else None
                return trouble(self, node, call, lambda: run(*params)) if trouble else run(*params)

            return serve

        s, i, b = "string", "int", "boolean"
        methods = {
            "Submit": Method(command(self.submit), ("struct", s, i, i, s), 4, ""),
            "SubmitMany": Method(command(self.submit_many), ("struct", s, i, i, s), 4, ""),
            "Take": Method(command(self.take), ("struct", s, i, i, s, s, i, i, i), 8, ""),
            "Extend": Method(command(self.told), ("struct", s, i, s), 3, ""),
            "Complete": Method(command(self.told), ("struct", s, i, s, s), 3, ""),
            "CompleteMany": Method(command(self.told), ("struct", s), 1, ""),
            "Fail": Method(command(self.told), ("struct", s, i, s, s, b), 5, ""),
            "Release": Method(command(self.told), ("struct", s, i, i, s), 4, ""),
            "Cancel": Method(command(self.by_hand), ("struct", s, i, i, s), 4, ""),
            "Retry": Method(command(self.by_hand), ("struct", s, i, i, s, i, b), 4, ""),
            "Purge": Method(command(self.by_hand), ("struct", s, i, i, s), 4, ""),
            "Update": Method(command(self.by_hand), ("struct", s, i, i, s), 4, ""),
            "SetQueue": Method(command(self.set_queue), ("struct", s, i, i, s, s), 5, ""),
            "SetSchedule": Method(command(self.set_schedule), ("struct", s, i, i, s, s), 5, ""),
            "DropSchedule": Method(command(self.fire), ("struct", s, i, i, s), 4, ""),
            "RunSchedule": Method(command(self.fire), ("struct", s, i, i, s), 4, ""),
            "ListSchedules": Method(command(self.schedules), ("struct", s, b), 2, ""),
            "GetSchedule": Method(command(self.schedule), ("struct", s, b), 2, ""),
            "Get": Method(command(self.get), ("struct", s, b), 2, ""),
            "List": Method(command(self.told), ("struct", s, b), 2, ""),
            "Stats": Method(command(self.told), ("struct", b), 1, ""),
            "Wait": Method(command(self.wait), ("struct", s, i), 2, ""),
        }
        server = RpcServer("127.0.0.1", port, methods, name="fake")
        server.start()
        return server

    def check_leads(self, node: int) -> None:
        if node != self.leader:
            host, port = self.addresses[self.leader]
            raise Fault.named("not_leader", f"n{node + 1} does not lead", {"host": host, "port": port})

    def kill(self, node: int, *, from_within: bool = False) -> None:
        """Cut the node's connections. From within a call, whose thread is the node's, that is not awaited."""
        server, self.servers[node] = self.servers[node], None
        if server is not None:
            self.stoppers.append(threading.Thread(target=server.stop, args=(0,)))
            self.stoppers[-1].start()
            if not from_within:
                self.stoppers[-1].join()

    def restart(self, node: int) -> None:
        for stopper in self.stoppers:
            stopper.join()
        self.servers[node] = self._server(node, self.addresses[node][1])

    def close(self) -> None:
        for node in range(len(self.servers)):
            self.kill(node)
        for stopper in self.stoppers:
            stopper.join()

    # The queue

    def once(self, session: str, number: int, low: int, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        with self.lock:
            self.commands.append((session, number, low))
            if session not in self.sessions:
                if number > 1:
                    raise Fault.named("session_expired", "the session has expired")
                self.sessions[session] = {"low": 1, "answers": {}}
            known = self.sessions[session]
            known["low"] = max(known["low"], low)
            if number < known["low"]:
                raise Fault.named("stale_number", "below the lowest")
            assert number - low < 64
            if number not in known["answers"]:
                known["answers"][number] = run()
            answer: dict[str, Any] = known["answers"][number]
            return answer

    def submit(self, session: str, number: int, low: int, job: str) -> dict[str, Any]:
        return self.once(session, number, low, lambda: {"job": self.add(json.loads(job)), "index": 1})

    def set_queue(self, session: str, number: int, low: int, queue: str, settings: str) -> dict[str, Any]:
        return self.once(session, number, low, lambda: {"settings": settings})

    def set_schedule(self, session: str, number: int, low: int, name: str, schedule: str) -> dict[str, Any]:
        return self.once(session, number, low, lambda: {"schedule": '{"version": 7, "due_ms": 8}'})

    def fire(self, session: str, number: int, low: int, name: str) -> dict[str, Any]:
        return self.once(session, number, low, lambda: {"event": "skipped", "job": "", "reason": "busy"})

    def schedules(self, after: str, stale: bool) -> dict[str, Any]:
        """A page holds one."""
        name = "b" if after else "a"
        return {"schedules": json.dumps([{"name": name}]), "next": "" if after else "a"}

    def schedule(self, name: str, stale: bool) -> dict[str, Any]:
        if name == "missing":
            raise Fault.named("not_found", "there is no schedule 'missing'")
        return {"schedule": json.dumps({"name": name})}

    def by_hand(self, session: str, number: int, low: int, jobs: str, *_: Any) -> dict[str, Any]:
        def answer(job: str) -> dict[str, Any]:
            if job == "missing":
                return {"job": job, "ok": False, "why": "not_found", "message": "no job", "state": ""}
            return {"job": str(job), "ok": True, "state": "cancelled"}

        done = {"jobs": json.dumps([answer(job) for job in json.loads(jobs)])}
        return self.once(session, number, low, lambda: done)

    def submit_many(self, session: str, number: int, low: int, jobs: str) -> dict[str, Any]:
        return self.once(
            session, number, low, lambda: {"jobs": json.dumps([self.add(job) for job in json.loads(jobs)])}
        )

    def add(self, job: dict[str, Any]) -> str:
        if job["task"] == "wrong":
            raise Fault.named("bad_argument", "no such task")
        self.jobs.append(job)
        return ids.to_text(ids.number(len(self.jobs), 0))

    def take(self, session: str, number: int, low: int, *asked: Any) -> dict[str, Any]:
        if not self.jobs:
            return {"jobs": "[]"}  # as a node does that logs nothing
        return self.once(session, number, low, lambda: {"jobs": json.dumps([self.jobs.pop(0)])})

    def told(self, *params: Any) -> dict[str, Any]:
        return {"state": "told", "jobs": json.dumps(params), "next": "n", "stats": json.dumps(params)}

    def get(self, job: str, stale: bool) -> dict[str, Any]:
        if job not in self.outcomes:
            raise Fault.named("not_found", f"there is no job {job}")
        return {"job": json.dumps(self.outcomes[job])}

    def finish(self, job: str, **outcome: Any) -> None:
        with self.finished:
            self.outcomes[job] = {"id": job, "state": "succeeded", **outcome}
            self.finished.notify_all()

    def wait(self, jobs: str, timeout_ms: int) -> dict[str, Any]:
        with self.finished:
            self.finished.wait_for(
                lambda: any(job in self.outcomes for job in json.loads(jobs)), timeout_ms / 1000
            )
            return {"jobs": json.dumps([self.outcomes[j] for j in json.loads(jobs) if j in self.outcomes])}


# What can befall a command


def gone(call: Call) -> None:
    """Wait until the caller's connection has ended, as it does with its node's process."""
    deadline = time.monotonic() + PATIENCE_S
    while call.connection_alive() and time.monotonic() < deadline:
        time.sleep(0.001)


def answer_lost(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> dict[str, Any]:
    """The command is committed; the leader dies before it answers, and another leads."""
    run()
    return command_lost(cluster, node, call, run)


def command_lost(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> dict[str, Any]:
    """The leader dies before it commits, and another leads."""
    cluster.leader = (node + 1) % len(cluster.servers)
    cluster.kill(node, from_within=True)
    gone(call)
    raise AssertionError("nobody reads this")


def deposed(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> dict[str, Any]:
    """The command is committed, but its leader lost the lead meanwhile and cannot say so."""
    run()
    cluster.leader = (node + 1) % len(cluster.servers)
    host, port = cluster.addresses[cluster.leader]
    raise Fault.named("outcome_unknown", "lost the lead", {"host": host, "port": port})


def refused(name: str) -> Trouble:
    def trouble(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> dict[str, Any]:
        raise Fault.named(name, f"because of {name}")

    return trouble


def alone(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> dict[str, Any]:
    """The others die, so that the leader can commit nothing and cannot say what will be."""
    for other in range(len(cluster.servers)):
        if other != node:
            cluster.kill(other, from_within=True)
    cluster.leader = -1
    cluster.addresses.append(("", 0))
    raise Fault.named("outcome_unknown", "no quorum")


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    three = FakeCluster()
    yield three
    three.close()


@pytest.fixture
def queue(cluster: FakeCluster) -> Iterator[JobQueue]:
    with JobQueue(cluster.addresses, timeout_s=PATIENCE_S) as client:
        yield client


def hasty(cluster: FakeCluster) -> JobQueue:
    return JobQueue(cluster.addresses[:3], timeout_s=0.3)


# --- Submitting ----------------------------------------------------------------------------


def test_a_job_travels_with_its_options_in_milliseconds(cluster: FakeCluster, queue: JobQueue) -> None:
    job = queue.submit(
        "primes",
        1,
        "é\x00\ud800",
        kwargs={"a": [None, True]},
        queue="q",
        priority=5,
        delay=1.5,
        timeout=60,
        max_attempts=3,
        backoff={"base": 0.5, "factor": 2.5, "cap": 60},
        lease=10,
        at=None,
    )
    assert job == ids.to_text(ids.number(1, 0))
    assert cluster.jobs == [
        {
            "task": "primes",
            "args": [1, "é\x00\ud800"],
            "kwargs": {"a": [None, True]},
            "queue": "q",
            "priority": 5,
            "delay_ms": 1500,
            "timeout_ms": 60_000,
            "max_attempts": 3,
            "backoff": {"base_ms": 500, "factor": 2500, "cap_ms": 60_000},
            "lease_ms": 10_000,
        }
    ]


def test_a_session_counts_its_commands(cluster: FakeCluster, queue: JobQueue) -> None:
    for _ in range(3):
        queue.submit("t")
    queue.submit_many([("t", [1])])
    session = cluster.commands[0][0]
    assert len(session) == 32
    assert int(session, 16) > 0
    assert [(number, low) for _, number, low in cluster.commands] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert {session for session, _, _ in cluster.commands} == {session}


def test_a_sessions_life_travels_in_its_name(cluster: FakeCluster) -> None:
    with JobQueue(cluster.addresses, session_ttl_s=600) as queue:
        queue.submit("t")
    assert cluster.commands[0][0][32:] == "-600"
    with pytest.raises(BadArgument, match="session_ttl_s must be from 60 to 86400, not 5"):
        JobQueue(cluster.addresses, session_ttl_s=5)


@pytest.mark.parametrize("trouble", [answer_lost, command_lost, deposed])
def test_a_job_is_there_once_whatever_became_of_the_first_try(
    cluster: FakeCluster, queue: JobQueue, trouble: Trouble
) -> None:
    first = queue.submit("first")
    cluster.troubles.append(trouble)
    second = queue.submit("second")
    third = queue.submit("third")
    assert [job["task"] for job in cluster.jobs] == ["first", "second", "third"]
    assert [first, second, third] == [ids.to_text(ids.number(n, 0)) for n in (1, 2, 3)]
    assert {number for _, number, _ in cluster.commands} == {1, 2, 3}


@pytest.mark.parametrize("trouble", [answer_lost, command_lost, deposed])
def test_the_first_job_of_a_session_is_there_once_too(
    cluster: FakeCluster, queue: JobQueue, trouble: Trouble
) -> None:
    cluster.troubles.append(trouble)
    queue.submit("first")
    queue.submit("second")
    assert [job["task"] for job in cluster.jobs] == ["first", "second"]
    assert len(cluster.sessions) == 1


def test_many_lost_answers_in_a_row(cluster: FakeCluster, queue: JobQueue) -> None:
    for number in range(6):
        cluster.troubles.append(answer_lost)
        queue.submit("t", number)
        for node, server in enumerate(cluster.servers):
            if server is None:
                cluster.restart(node)
    assert [job["args"] for job in cluster.jobs] == [[number] for number in range(6)]


def test_threads_share_a_session_and_lose_nothing(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.troubles.extend([answer_lost if number == 40 else _runs for number in range(200)])
    returned: list[str] = []

    def submit(thread: int) -> None:
        returned.extend(queue.submit("t", thread, number) for number in range(20))

    threads = [threading.Thread(target=submit, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(set(returned)) == 160
    submitted = [tuple(job["args"]) for job in cluster.jobs]
    assert sorted(submitted) == [(thread, number) for thread in range(8) for number in range(20)]
    assert len(cluster.sessions) == 1


def _runs(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> Any:
    return run()


def test_no_more_than_64_numbers_are_open(cluster: FakeCluster, queue: JobQueue) -> None:
    """One waits for its answer all the while; what would be 64 above it waits as well."""
    stuck, release = threading.Event(), threading.Event()

    def stick(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> dict[str, Any]:
        stuck.set()
        assert release.wait(PATIENCE_S)
        raise Fault.named("bad_argument", "enough")

    queue.submit("t")
    cluster.troubles.append(stick)
    failed: list[GlassraftError] = []

    def submit_stuck() -> None:
        try:
            queue.submit("stuck")
        except GlassraftError as error:
            failed.append(error)

    thread = threading.Thread(target=submit_stuck)
    thread.start()
    assert stuck.wait(PATIENCE_S)
    threads = [threading.Thread(target=lambda: [queue.submit("t") for _ in range(20)]) for _ in range(5)]
    for one in threads:
        one.start()
    time.sleep(0.3)
    release.set()
    for one in (thread, *threads):
        one.join(PATIENCE_S)
    assert len(failed) == 1
    assert len(cluster.jobs) == 101


def test_an_expired_session_is_begun_anew(cluster: FakeCluster, queue: JobQueue) -> None:
    queue.submit("t", 1)
    cluster.sessions.clear()
    queue.submit("t", 2)
    queue.submit("t", 3)
    assert [job["args"] for job in cluster.jobs] == [[1], [2], [3]]
    assert [number for _, number, _ in cluster.commands] == [1, 2, 1, 2]


def test_an_expired_session_with_a_doubt_is_left_in_doubt(cluster: FakeCluster, queue: JobQueue) -> None:
    """The first try may have been run before the session expired: nobody can tell any more."""
    queue.submit("t", 1)

    def forgotten(cluster: FakeCluster, node: int, call: Call, run: Callable[[], Any]) -> dict[str, Any]:
        cluster.sessions.clear()
        raise Fault.named("outcome_unknown", "lost the lead")

    cluster.troubles.append(forgotten)
    with pytest.raises(OutcomeUnknown, match="an answer was lost"):
        queue.submit("t", 2)
    queue.submit("t", 3)
    assert [job["args"] for job in cluster.jobs] == [[1], [3]]


def test_a_refusal_is_raised_and_the_session_goes_on(cluster: FakeCluster, queue: JobQueue) -> None:
    for _ in range(2):
        with pytest.raises(Fault, match="no such task"):
            queue.submit("wrong")
    queue.submit("t")
    with pytest.raises(Fault, match="no such task"):
        queue.submit("wrong")
    queue.submit("t")
    assert len(cluster.jobs) == 2


# --- No quorum -----------------------------------------------------------------------------


def test_no_quorum_before_anything_was_sent(cluster: FakeCluster) -> None:
    cluster.kill(0)
    cluster.kill(2)
    with hasty(cluster) as queue, pytest.raises(NoQuorum) as caught:
        queue.submit("t")
    assert str(caught.value) == "no quorum: 1 of 3 nodes answers, 2 are needed; nothing was submitted"
    assert cluster.jobs == []


def test_no_quorum_with_a_command_under_way(cluster: FakeCluster) -> None:
    cluster.troubles.append(alone)
    with hasty(cluster) as queue, pytest.raises(OutcomeUnknown, match="no quorum: 1 of 3 nodes answers"):
        queue.submit("t")


def test_submissions_go_on_after_a_quorum_is_back(cluster: FakeCluster) -> None:
    with hasty(cluster) as queue:
        queue.submit("t", 1)
        cluster.kill(0)
        cluster.kill(1)
        with pytest.raises((NoQuorum, OutcomeUnknown), match="no quorum: 1 of 3 nodes answers"):
            queue.submit("t", 2)
        cluster.restart(1)
        cluster.leader = 1
        queue.submit("t", 3)
    assert [job["args"] for job in cluster.jobs] == [[1], [3]]


def test_many_threads_without_a_quorum_all_fail_in_time(cluster: FakeCluster) -> None:
    """Those that wait for the session to begin are told as soon as the one that begins it."""
    cluster.kill(0)
    cluster.kill(2)
    failures: list[GlassraftError] = []
    began = time.monotonic()
    with hasty(cluster) as queue:

        def submit() -> None:
            try:
                queue.submit("t")
            except GlassraftError as error:
                failures.append(error)

        threads = [threading.Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert {str(failure) for failure in failures} == {
        "no quorum: 1 of 3 nodes answers, 2 are needed; nothing was submitted"
    }
    assert len(failures) == 8


def test_no_cluster(cluster: FakeCluster) -> None:
    for node in range(3):
        cluster.kill(node)
    with hasty(cluster) as queue, pytest.raises(NoCluster, match=r"start it with python cluster\.py"):
        queue.submit("t")


# --- Many ----------------------------------------------------------------------------------


def test_many_are_split_into_commands(cluster: FakeCluster, queue: JobQueue) -> None:
    returned = queue.submit_many(("t", [number]) for number in range(2500))
    assert len(set(returned)) == 2500
    assert [job["args"] for job in cluster.jobs] == [[number] for number in range(2500)]
    assert [number for _, number, _ in cluster.commands] == [1, 2, 3]


def test_commands_stay_below_4_mib(cluster: FakeCluster, queue: JobQueue) -> None:
    """Also where quotes count twice, in JSON within JSON, and markup five times, in XML."""
    queue.submit_many([("t", ['"<&>' * 20_000]) for _ in range(40)])
    assert len(cluster.jobs) == 40
    for method, params in cluster.calls:
        assert method == "SubmitMany"
        assert len(params[3]) < 4 * 1024 * 1024 / 2
    assert len(cluster.calls) >= 4


def test_many_take_all_spellings_of_a_job(cluster: FakeCluster, queue: JobQueue) -> None:
    queue.submit_many([{"task": "a", "delay": 2}, ("b", [1]), ("c", [1], {"x": 2})])
    assert cluster.jobs == [
        {"task": "a", "delay_ms": 2000},
        {"task": "b", "args": [1]},
        {"task": "c", "args": [1], "kwargs": {"x": 2}},
    ]
    assert queue.submit_many([]) == []


def test_many_tell_what_was_submitted_before_a_failure(cluster: FakeCluster, queue: JobQueue) -> None:
    jobs = [("t", [number]) for number in range(1500)] + [("wrong", [])]
    with pytest.raises(
        PartlySubmitted, match="1000 of 1501 jobs were submitted, then: no such task"
    ) as caught:
        queue.submit_many(jobs)
    assert len(caught.value.submitted) == 1000
    assert isinstance(caught.value.__cause__, Fault)
    with pytest.raises(Fault, match="no such task"):
        queue.submit_many([("wrong", [])])


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"task": "t", "colour": 1}, "no option 'colour'; those known are task, args"),
        ({"task": "t", "delay": -1}, "number of seconds"),
        ({"task": "t", "delay": "1"}, "number of seconds"),
        ({"task": "t", "delay": float("nan")}, "number of seconds"),
        ({"task": "t", "delay": True}, "number of seconds"),
        ({"task": "t", "args": [{1: 2}]}, "not a string"),
        ({"task": "t", "args": [float("nan")]}, "not a JSON value"),
        ({"task": "t", "args": [object()]}, "not a JSON value"),
        ({"task": "t", "backoff": {"first": 1}}, "no part 'first'"),
        ("primes", "a job is a dict"),
        (("t",), "a job is a dict"),
    ],
)
def test_what_is_no_job_is_refused_before_anything_is_sent(
    cluster: FakeCluster, queue: JobQueue, job: Any, words: str
) -> None:
    with pytest.raises(BadArgument, match=words):
        queue.submit_many([("t", []), job])
    assert cluster.calls == []


# --- Waiting and asking --------------------------------------------------------------------


def job_id(number: int) -> str:
    return ids.to_text(ids.number(number, 0))


def test_wait_returns_all_once_they_are_finished(cluster: FakeCluster, queue: JobQueue) -> None:
    jobs = [job_id(number) for number in range(1, 250)]

    def finish() -> None:
        for number, job in enumerate(jobs):
            cluster.finish(job, result=number)

    finisher = threading.Thread(target=finish)
    finisher.start()
    finished = queue.wait([*jobs, jobs[0].upper()], PATIENCE_S)
    finisher.join()
    assert {job: outcome["result"] for job, outcome in finished.items()} == dict(
        zip(jobs, range(249), strict=True)
    )


def test_wait_returns_what_is_finished_in_time(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.finish(job_id(1), result=1)
    assert list(queue.wait([job_id(1), job_id(2)], 0.05)) == [job_id(1)]
    assert queue.wait([job_id(2)], 0) == {}
    assert queue.wait([]) == {}


def test_wait_looks_at_all_jobs_even_without_time(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.finish(job_id(350), result=1)
    assert list(queue.wait([job_id(number) for number in range(1, 400)], 0)) == [job_id(350)]


def test_wait_survives_a_change_of_leader(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.troubles.append(command_lost)
    cluster.finish(job_id(1), result="done")
    assert queue.wait([job_id(1)], PATIENCE_S)[job_id(1)]["result"] == "done"


def test_result_of_a_job(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.finish(job_id(1), result={"a": 1})
    assert queue.result(job_id(1)) == {"a": 1}
    cluster.finish(job_id(2), state="dead", error="ZeroDivisionError: x")
    with pytest.raises(JobFailed, match="is dead: ZeroDivisionError: x") as caught:
        queue.result(job_id(2))
    assert (caught.value.job, caught.value.state, caught.value.error) == (
        job_id(2),
        "dead",
        "ZeroDivisionError: x",
    )
    with pytest.raises(NotFinished, match=r"has not finished within 0\.05 s"):
        queue.result(job_id(3), 0.05)


def test_what_is_no_id_is_refused(queue: JobQueue) -> None:
    with pytest.raises(BadArgument, match="not a job's id"):
        queue.wait(["nonsense"])


def test_asking(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.finish(job_id(1), result=1)
    assert queue.get(job_id(1))["result"] == 1
    with pytest.raises(Fault, match="there is no job"):
        queue.get(job_id(2))
    assert queue.list(state="dead", limit=5) == {"jobs": ['{"limit":5,"state":"dead"}', False], "next": "n"}
    assert queue.stats(stale=True) == [True]


# --- For workers ---------------------------------------------------------------------------


def test_a_take_whose_answer_is_lost_gets_the_same_jobs(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.jobs += [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    assert queue.take("w", ["q"]) == [{"id": "a"}]
    cluster.troubles.append(answer_lost)
    assert queue.take("w", ["q"]) == [{"id": "b"}]
    assert queue.take("w", ["q"]) == [{"id": "c"}]


def test_takes_that_got_nothing_do_not_begin_a_session(cluster: FakeCluster, queue: JobQueue) -> None:
    """Nothing is logged for them, so the nodes do not know of a session whose number 1 was one."""
    assert queue.take("w") == []
    assert queue.take("w") == []
    cluster.jobs.append({"id": "a"})
    assert queue.take("w") == [{"id": "a"}]
    assert queue.take("w") == []
    cluster.jobs.append({"id": "b"})
    assert queue.take("w") == [{"id": "b"}]
    assert [number for _, number, _ in cluster.commands] == [1, 3]


def test_a_take_holds_no_submission_up(cluster: FakeCluster, queue: JobQueue) -> None:
    queue.submit("t")
    cluster.jobs.clear()
    cluster.jobs.append({"id": "a"})
    queue.take("w")
    queue.submit("t")
    sessions = [session for session, _, _ in cluster.commands]
    assert sessions[0] == sessions[2] != sessions[1]


def test_what_a_take_asks_for(cluster: FakeCluster, queue: JobQueue) -> None:
    queue.take("w1", ["a", "b"], 5, lease=2.5, wait=0.01)
    method, params = cluster.calls[0]
    assert (method, params[3:]) == ("Take", ("w1", '["a","b"]', 5, 2500, 10))


def test_what_workers_tell(cluster: FakeCluster, queue: JobQueue) -> None:
    queue.stats()
    cluster.calls.clear()
    assert queue.extend("w", [("a", 1), ("b", 2, 0.5, "half")], lease=10) == [
        "w",
        10_000,
        '[["a",1],["b",2,0.5,"half"]]',
    ]
    assert queue.complete("a", 1, {"x": None}) == "told"
    assert queue.complete_many([("a", 1, "r")]) == ['[["a",1,"r"]]']
    assert queue.fail("a", 1, "E", "T", retry=False) == "told"
    assert queue.release("a", 1, 0.5, "why") == "told"
    assert [params for _, params in cluster.calls[1:]] == [
        ("a", 1, '{"x":null}'),
        ('[["a",1,"r"]]',),
        ("a", 1, "E", "T", False),
        ("a", 1, 500, "why"),
    ]


def test_what_workers_tell_is_told_again_after_a_lost_answer(cluster: FakeCluster, queue: JobQueue) -> None:
    cluster.troubles.append(answer_lost)
    assert queue.complete("a", 1, 5) == "told"
    assert [method for method, _ in cluster.calls if method == "Complete"][:2] == ["Complete", "Complete"]


def test_an_error_with_control_characters_is_reported(cluster: FakeCluster, queue: JobQueue) -> None:
    """A traceback with a terminal's colours must not keep a failure from being told."""
    queue.fail("a", 1, "\x1b[31mred\x1b[0m\ud800", "line\r\n\x00")
    assert cluster.calls[0][1][2:4] == ("\\x1b[31mred\\x1b[0m\\ud800", "line\r\n\\x00")


@pytest.mark.parametrize("name", ["stale_token", "wrong_state"])
def test_a_token_that_is_no_longer_valid(cluster: FakeCluster, queue: JobQueue, name: str) -> None:
    cluster.troubles.append(refused(name))
    with pytest.raises(Fault) as caught:
        queue.complete("a", 1)
    assert caught.value.name == name


# --- From config.json ----------------------------------------------------------------------


def test_positions_must_fit_into_one_command(cluster: FakeCluster, queue: JobQueue) -> None:
    chain = [{"task": "t"}, {"task": "t", "after": [0]}]
    assert len(queue.submit_many(chain)) == 2
    with pytest.raises(BadArgument, match="must fit into one command"):
        queue.submit_many([*chain, *[{"task": "t"}] * 1_000])


@pytest.mark.parametrize("method", ["cancel", "retry", "purge"])
def test_jobs_by_hand(cluster: FakeCluster, queue: JobQueue, method: str) -> None:
    assert getattr(queue, method)("c16j00") == (None if method == "purge" else "cancelled")
    with pytest.raises(Fault, match="no job") as raised:
        getattr(queue, method)("missing")
    assert raised.value.name == "not_found"
    many = [ids.to_text(ids.number(7, n)) for n in range(1_023)]
    assert [answer["job"] for answer in getattr(queue, f"{method}_many")(many)] == many
    assert [number for _, number, _ in cluster.commands] == [1, 2, 3, 4]


def test_an_update_travels_in_milliseconds(cluster: FakeCluster, queue: JobQueue) -> None:
    assert queue.update("c16j00", priority=3, delay=1.5, args=(1,)) == "cancelled"
    sent = json.loads(cluster.calls[-1][1][3])
    assert sent == [{"job": "c16j00", "priority": 3, "delay_ms": 1_500, "args": [1]}]


def test_a_rate_travels_in_milliseconds(cluster: FakeCluster, queue: JobQueue) -> None:
    wanted = {"paused": False, "max_running": None, "rate": [100, 60_000]}
    assert queue.set_queue("q", paused=False, max_running=None, rate=(100, 60)) == wanted


def test_a_schedule_travels_in_milliseconds(cluster: FakeCluster, queue: JobQueue) -> None:
    answer = queue.schedules.set(
        "s", "report", 1, kwargs={"a": 2}, cron="0 3 * * *", zone="Asia/Tokyo", overlap="allow", delay=2.5
    )
    assert answer == {"version": 7, "due_ms": 8}
    job = {"args": [1], "delay_ms": 2_500, "kwargs": {"a": 2}, "task": "report"}
    name, wanted = cluster.calls[-1][1][3:]
    expected = {"cron": "0 3 * * *", "zone": "Asia/Tokyo", "overlap": "allow", "job": job}
    assert (name, json.loads(wanted)) == ("s", expected)
    queue.schedules.set("s", "ping", every=1.5, catch_up="none")
    assert json.loads(cluster.calls[-1][1][4])["every_ms"] == 1_500


def test_schedules_are_run_listed_and_dropped(cluster: FakeCluster, queue: JobQueue) -> None:
    assert queue.schedules.run("s") == {"event": "skipped", "job": "", "reason": "busy"}
    queue.schedules.drop("s")
    assert cluster.calls[-1][1][3:] == ("s",)
    assert [each["name"] for each in queue.schedules.list()] == ["a", "b"]
    assert queue.schedules.get("a") == {"name": "a"}
    with pytest.raises(Fault, match="no schedule"):
        queue.schedules.get("missing")


def test_attempts_of_a_retry(cluster: FakeCluster, queue: JobQueue) -> None:
    queue.retry("c16j00", attempts=3)
    assert cluster.calls[-1][1][3:] == ('["c16j00"]', 3, True)


def test_the_nodes_of_a_config(cluster: FakeCluster, tmp_path: Any) -> None:
    path = tmp_path / "config.json"
    nodes = [{"id": n + 1, "host": host, "port": port} for n, (host, port) in enumerate(cluster.addresses)]
    path.write_text(json.dumps({"nodes": nodes}))
    for queue in (JobQueue.from_config(path), JobQueue(path), JobQueue(str(path), timeout_s=5)):
        with queue:
            queue.submit("t")
    assert len(cluster.jobs) == 3
