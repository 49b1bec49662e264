"""What a node's methods check, ask and answer: on the thread of a caller, with a driver and fakes underneath."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids
from glassraft.raft.messages import AppendEntries, LogPosition
from glassraft.replica import answers, queue_reads
from glassraft.replica import service as services
from glassraft.replica.arrivals import TimePassed, Unserved
from glassraft.replica.driver import Driver
from glassraft.replica.peers import PeerNetwork
from glassraft.replica.service import Service
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import LATER, Call
from glassraft.rpc.raft_calls import Context, to_call
from tests.replica.parts import Bench, RealClock, opening, submission, wait_until

CLUSTER = "c0ffee"
SESSION = "0123456789abcdef0123456789abcdef"
ADDRESSES = {1: ("127.0.0.1", 7401), 2: ("127.0.0.1", 7402), 3: ("127.0.0.1", 7403)}
JOB = '{"task": "nothing"}'


class Caller:
    """Calls a service's methods as the RPC server does, and keeps what was answered."""

    def __init__(self, service: Service) -> None:
        self.methods = service.methods()
        self.answers: list[Any] = []
        self.answered = threading.Event()
        self.alive = True
        self.error: Exception | None = None

    def call(self, method: str, *params: Any) -> Any:
        """The answer, whichever way it came. Raises the Fault."""
        self.answered.clear()
        call = Call(method, "test", lambda: self.alive, self._respond)
        value = self.methods[method].function(call, *params)
        if value is LATER:
            assert self.answered.wait(20), "no answer"
            value = self.answers[-1]
        if isinstance(value, Fault):
            raise value
        return value

    def _respond(self, call: Call, value: Any) -> None:
        if self.error is not None:
            raise self.error
        self.answers.append(value)
        self.answered.set()


class Desk:
    """A replica among fakes, its driver and its service."""

    def __init__(self, size: int, clock: Any = None) -> None:
        self.bench = Bench(size=size, **({} if clock is None else {"clock": clock}))
        self.failures: list[BaseException] = []
        self.driver = Driver(self.bench.replica, self.failures.append)
        self.bench.replica.addresses.update({id: ADDRESSES[id] for id in range(1, size + 1)})
        self.service = Service(1, CLUSTER)
        self.service._behind.finished = self.bench.finished
        self.service.serve(self.bench.replica, self.driver, self.bench.queue, self.bench.writer)  # type: ignore[arg-type]
        self.caller = Caller(self.service)
        self.call = self.caller.call

    def answers(self) -> list[tuple[str, str]]:
        """(method, outcome) of the recorded answers."""
        self.bench.writer.flush()
        events = [json.loads(line) for line in self.bench.writer.since(0, 10_000)[0]]
        return [(event["method"], event["outcome"]) for event in events if event["event"] == "answer"]


@pytest.fixture
def lone() -> Iterator[Desk]:
    """A node alone that leads."""
    desk = Desk(1, RealClock())
    desk.driver.start()
    wait_until(lambda: desk.bench.server.role == "leader")
    yield desk
    desk.driver.stop()
    assert not desk.failures


@pytest.fixture
def follower() -> Desk:
    """A follower of n2, whose time stands still."""
    desk = Desk(3)
    desk.bench.turn(desk.bench.arrives(AppendEntries(2, 1, 1, LogPosition(0, 0), (opening(1, 1),), 1, 1)))
    return desk


@pytest.fixture
def led() -> Desk:
    """A leader of three whose time stands still; whom nobody answers."""
    desk = Desk(3)
    desk.bench.become_leader()
    return desk


def named(fault: str) -> Any:
    """A fault of this name is raised."""
    return pytest.raises(Fault, check=lambda error: error.name == fault)


# Commands


def test_a_job_from_its_submission_to_its_end(lone: Desk) -> None:
    job = lone.call("Submit", SESSION, 1, 1, JOB)["job"]
    again = lone.call("Submit", SESSION, 1, 1, JOB)["job"]
    assert again == job
    more = json.loads(lone.call("SubmitMany", SESSION, 2, 2, f"[{JOB}, {JOB}]")["jobs"])
    assert len({job, *more}) == 3
    leased = json.loads(lone.call("Take", SESSION, 3, 3, "w1", '["default"]', 2, 30_000, 0)["jobs"])
    assert [item["id"] for item in leased] == [job, more[0]]
    items = [[item["id"], item["token"]] for item in leased]
    assert all(
        item["ok"] for item in json.loads(lone.call("Extend", "w1", 30_000, json.dumps(items))["jobs"])
    )
    assert lone.call("Complete", *items[0], "[1]") == {"state": "succeeded"}
    assert lone.call("Complete", *items[0], "[1]") == {"state": "succeeded"}, (
        "asking again gets the first answer"
    )
    assert lone.call("Fail", *items[1], "broke", "", False) == {"state": "dead"}
    with named("stale_token"):
        lone.call("Complete", *items[1], "[1]")
    assert json.loads(lone.call("Get", job)["job"])["result"] == [1]
    assert json.loads(lone.call("Stats")["stats"])["queues"]["default"]["succeeded"] == 1
    assert [job["state"] for job in json.loads(lone.call("List", '{"state": "dead"}')["jobs"])] == ["dead"]


def test_jobs_are_cancelled_retried_and_purged(lone: Desk) -> None:
    job = lone.call("Submit", SESSION, 1, 1, JOB)["job"]
    for number, method, more, state in (
        (2, "Cancel", (), "cancelled"),
        (3, "Retry", (2,), "ready"),
        (4, "Cancel", (), "cancelled"),
        (5, "Retry", (), "ready"),
        (6, "Cancel", (), "cancelled"),
        (7, "Purge", (), ""),
    ):
        answer = lone.call(method, SESSION, number, number, json.dumps([job]), *more)
        assert json.loads(answer["jobs"]) == [{"job": job, "ok": True, "state": state}]
    with named("not_found"):
        lone.call("Get", job)


def test_a_chain_and_what_a_completion_hands_on(lone: Desk) -> None:
    chain = json.dumps([{"task": "a"}, {"task": "b", "after": [0]}])
    first, second = json.loads(lone.call("SubmitMany", SESSION, 1, 1, chain)["jobs"])
    [job] = json.loads(lone.call("Take", SESSION, 2, 2, "w1", '["default"]', 9, 30_000, 0)["jobs"])
    assert job["id"] == first
    assert lone.call("Complete", first, job["token"], "1", '[{"task": "c"}]') == {"state": "succeeded"}
    wait_until(lambda: json.loads(lone.call("Get", second)["job"])["state"] == "ready")
    assert json.loads(lone.call("Stats")["stats"])["states"]["ready"] == 2
    with named("not_found"):
        lone.call("Submit", SESSION, 3, 3, '{"task": "t", "after": ["c16j00"]}')


def test_a_paused_queue_s_worker_waits_until_it_goes_on(lone: Desk) -> None:
    lone.call("SetQueue", SESSION, 1, 1, "default", '{"paused": true}')
    job = lone.call("Submit", SESSION, 2, 2, JOB)["job"]
    assert lone.call("Take", "", 1, 1, "w1", '["default"]', 1, 30_000, 0) == {"jobs": "[]"}
    answer = lone.call("SetQueue", SESSION, 3, 3, "default", '{"paused": false, "rate": [1, 60000]}')
    assert json.loads(answer["settings"]) == {"max_running": None, "paused": False, "rate": [1, 60_000]}
    [leased] = json.loads(lone.call("Take", "", 1, 1, "w1", '["default"]', 1, 30_000, 0)["jobs"])
    assert leased["id"] == job


def test_a_schedule_fires_and_can_be_run_and_dropped(lone: Desk) -> None:
    wanted = {"every_ms": 1_000, "overlap": "allow", "job": {"task": "t", "args": [1]}}
    answer = lone.call("SetSchedule", SESSION, 1, 1, "s", json.dumps(wanted))
    assert set(json.loads(answer["schedule"])) == {"version", "due_ms"}
    assert lone.call("SetSchedule", SESSION, 1, 1, "s", json.dumps(wanted)) == answer
    run = lone.call("RunSchedule", SESSION, 2, 2, "s")
    assert (run["event"], run["reason"]) == ("fired", "")
    wait_until(lambda: len(json.loads(lone.call("GetSchedule", "s")["schedule"])["history"]) >= 3)
    shown = json.loads(lone.call("GetSchedule", "s")["schedule"])
    assert (shown["every_ms"], shown["job"]["args"]) == (1_000, [1])
    assert [row["event"] for row in shown["history"]][:3] == ["fired"] * 3
    due = [row["due_ms"] for row in shown["history"][1:3]]
    assert due[1] - due[0] == 1_000
    assert json.loads(lone.call("Get", run["job"])["job"])["task"] == "t"
    line = {"cron": "0 4 * * mon", "zone": "Europe/Berlin", "job": {"task": "t"}}
    lone.call("SetSchedule", SESSION, 3, 3, "weekly", json.dumps(line))
    listed = json.loads(lone.call("ListSchedules")["schedules"])
    assert [(each["name"], each.get("zone")) for each in listed] == [("s", None), ("weekly", "Europe/Berlin")]
    assert lone.call("DropSchedule", SESSION, 4, 4, "s") == {}
    for method in ("DropSchedule", "RunSchedule"):
        with named("not_found"):
            lone.call(method, "", 0, 0, "s")
    with named("not_found"):
        lone.call("GetSchedule", "s")


def test_a_rate_serves_a_waiting_worker_in_time(lone: Desk) -> None:
    lone.call("SetQueue", SESSION, 1, 1, "default", '{"rate": [1, 200]}')
    lone.call("SubmitMany", SESSION, 2, 2, f"[{JOB}, {JOB}]")
    for _ in range(2):
        assert lone.call("Take", "", 1, 1, "w1", '["default"]', 2, 30_000, 10_000) != {"jobs": "[]"}


def test_a_key_that_is_held_is_told(lone: Desk) -> None:
    keyed = '{"task": "t", "key": "k"}'
    job = lone.call("Submit", SESSION, 1, 1, keyed)["job"]
    answer = lone.call("Submit", SESSION, 2, 2, keyed)
    assert (answer["job"], answer["how"]) == (job, "existing")
    many = lone.call("SubmitMany", SESSION, 3, 3, f"[{JOB}, {keyed}]")
    assert json.loads(many["how"]) == ["new", "existing"]
    with named("key_held"):
        lone.call("Submit", SESSION, 4, 4, '{"task": "t", "key": "k", "on_conflict": "refuse"}')
    changes = json.dumps([{"job": job, "priority": 7}])
    assert json.loads(lone.call("Update", SESSION, 5, 5, changes)["jobs"])[0]["ok"]
    assert json.loads(lone.call("Get", job)["job"])["priority"] == 7


def test_a_taken_job_comes_with_what_it_needs(lone: Desk) -> None:
    lone.call(
        "Submit", "", 1, 1, '{"task": "add", "args": [1, 2], "kwargs": {"x": null}, "timeout_ms": 5000}'
    )
    [job] = json.loads(lone.call("Take", "", 1, 1, "w1", '["default"]', 1, 30_000, 0)["jobs"])
    wanted = {"task": "add", "args": [1, 2], "kwargs": {"x": None}, "timeout_ms": 5000, "attempt": 1}
    assert wanted.items() <= job.items()


def test_a_take_that_finds_nothing_is_answered_when_its_wait_is_over(lone: Desk) -> None:
    assert lone.call("Take", "", 1, 1, "w1", '["default"]', 1, 30_000, 30) == {"jobs": "[]"}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("Submit", ("", 1, 1, "{")),
        ("Submit", ("", 1, 1, "[]")),
        ("Submit", ("no session", 1, 1, JOB)),
        ("Submit", (SESSION, 1, 2, JOB)),
        ("SubmitMany", ("", 1, 1, "[]")),
        ("Take", ("", 1, 1, "", '["default"]', 1, 30_000, 0)),
        ("Take", ("", 1, 1, "w1", '"default"', 1, 30_000, 0)),
        ("Complete", ("nonsense", 1, "1")),
        ("Complete", (ids.to_text(2048), 1, "{")),
        ("Cancel", ("", 1, 1, "[]")),
        ("Retry", ("", 1, 1, '["c16j00"]', 10_001)),
        ("Purge", ("", 1, 1, '"c16j00"')),
        ("SetQueue", ("", 1, 1, "q", '{"rate": 5}')),
        ("SetSchedule", ("", 1, 1, "s", '{"every_ms": 5}')),
        ("SetSchedule", ("", 1, 1, "s", "[]")),
        ("SetSchedule", ("", 1, 1, "s", '{"cron": "* * * * *", "zone": "Nowhere", "job": {"task": "t"}}')),
        ("Wait", ("[]", 0)),
        ("Wait", ('["nonsense"]', 0)),
        ("Get", ("nonsense",)),
        ("List", ('{"colour": "red"}',)),
        ("List", ('{"limit": 0}',)),
    ],
)
def test_what_is_wrong_never_reaches_the_log(lone: Desk, method: str, params: tuple[Any, ...]) -> None:
    before = lone.bench.server.log.last_index
    with pytest.raises((BadArgument, Fault)):
        lone.call(method, *params)
    assert lone.bench.server.log.last_index == before
    assert lone.answers()[-1] == (method, "bad_argument")


def test_a_payload_that_is_too_large_is_told_so(lone: Desk) -> None:
    with named("too_large"):
        lone.call("Submit", "", 1, 1, json.dumps({"task": "x", "args": ["x" * 300_000]}))


def test_each_answer_is_recorded_with_its_outcome(lone: Desk) -> None:
    lone.call("Submit", "", 1, 1, JOB)
    with named("not_found"):
        lone.call("Get", ids.to_text(1024 * 999))
    wait_until(lambda: lone.answers() == [("Submit", "ok"), ("Get", "not_found")])


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("a bug")])
def test_an_answer_that_cannot_be_given_ends_no_node(
    lone: Desk, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is given within the turn, on whichever thread drives."""
    refusing = Caller(lone.service)
    refusing.error = error
    call = Call("Submit", "test", lambda: True, refusing._respond)
    assert refusing.methods["Submit"].function(call, "", 1, 1, JOB) is LATER
    assert lone.call("Submit", "", 1, 1, JOB)
    assert not lone.failures
    capfd.readouterr()


def test_an_answer_that_cannot_be_made_is_an_internal_fault(
    lone: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(answers, "canonical", breaks)
    with named("internal"):
        lone.call("SubmitMany", "", 1, 1, f"[{JOB}]")
    assert not lone.failures
    assert "a bug" in capfd.readouterr().err


def test_a_peers_reply_that_cannot_be_given_ends_no_node(
    follower: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    follower.bench.replica.network = PeerNetwork([])
    follower.caller.error = ValueError("a bug")
    append(follower, context=context())
    assert not follower.failures
    assert "a bug" in capfd.readouterr().err
    follower.caller.error = None
    append(follower, context=context())
    [reply] = follower.caller.answers
    assert reply["success"] is True


# Who cannot serve


def test_a_follower_names_the_leader(follower: Desk) -> None:
    for method, params in (
        ("Submit", ("", 1, 1, JOB)),
        ("Take", ("", 1, 1, "w1", '["default"]', 1, 30_000, 0)),
        ("Get", (ids.to_text(2048),)),
        ("Stats", ()),
        ("Wait", (f'["{ids.to_text(2048)}"]', 0)),
    ):
        with pytest.raises(Fault, match=r"n1 does not lead; ask n2 at 127\.0\.0\.1:7402") as refused:
            follower.call(method, *params)
        assert refused.value.name == "not_leader"
        assert {"leader_id": 2, "host": "127.0.0.1", "port": 7402}.items() <= refused.value.detail.items()


def test_a_node_that_knows_no_leader_says_so() -> None:
    with pytest.raises(Fault, match="no leader is known yet") as refused:
        Desk(3).call("Submit", "", 1, 1, JOB)
    assert refused.value.detail["leader_id"] == 0


def test_a_follower_reads_stale_and_says_how_old(follower: Desk) -> None:
    entries = (submission(2, 1), submission(3, 1))
    follower.bench.turn(follower.bench.arrives(AppendEntries(2, 1, 1, LogPosition(1, 1), entries, 3, 2)))
    follower.bench.queue.commit()
    found = follower.call("List", "{}", True)
    assert len(json.loads(found["jobs"])) == 2
    assert "stale_ms" in found


@pytest.mark.parametrize(
    ("why", "fault"),
    [
        ("not_leader", "not_leader"),
        ("transferring", "not_leader"),
        ("full", "full"),
        ("deposed", "outcome_unknown"),
        ("no_quorum", "outcome_unknown"),
        ("shutting_down", "shutting_down"),
    ],
)
def test_what_became_of_a_command_is_told_by_its_fault(follower: Desk, why: str, fault: str) -> None:
    assert follower.service._behind.unserved(Unserved(why)).name == fault


def test_a_read_without_a_majority_is_told_and_nothing_is_in_doubt(led: Desk) -> None:
    """Its time stands still, so the test lets it pass while the reader waits."""
    faults: list[Fault] = []

    def read() -> None:
        try:
            led.call("Stats")
        except Fault as fault:
            faults.append(fault)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: led.bench.server.waiting_reads)
    led.bench.pass_time(10)
    led.driver.bring(TimePassed())
    reader.join(20)
    assert [fault.name for fault in faults] == ["no_quorum"]
    assert "2 of 3 nodes are needed" in str(faults[0])


def test_after_a_shut_down_everybody_is_told_at_once(lone: Desk) -> None:
    lone.driver.shut_down()
    with named("shutting_down"):
        lone.call("Submit", "", 1, 1, JOB)
    with named("shutting_down"):
        lone.call("Take", "", 1, 1, "w1", '["default"]', 1, 30_000, 10_000)


# Waiting for jobs


def complete(lone: Desk, count: int = 1) -> None:
    """A worker takes so many jobs and ends them."""
    taken = json.loads(lone.call("Take", "", 1, 1, "w1", '["default"]', count, 30_000, 0)["jobs"])
    for job in taken:
        lone.call("Complete", job["id"], job["token"], "7")


def test_wait_answers_at_once_where_a_job_is_finished_already(lone: Desk) -> None:
    job = lone.call("Submit", "", 1, 1, JOB)["job"]
    complete(lone)
    other = lone.call("Submit", "", 1, 1, JOB)["job"]
    [done] = json.loads(lone.call("Wait", json.dumps([other, job]), 60_000)["jobs"])
    assert done == {"id": job, "state": "succeeded", "result": 7}


def test_wait_answers_as_soon_as_one_is_done(lone: Desk) -> None:
    jobs = [lone.call("Submit", "", 1, 1, JOB)["job"] for _ in range(3)]
    answers: list[Any] = []
    caller = Caller(lone.service)
    waiting = threading.Thread(target=lambda: answers.append(caller.call("Wait", json.dumps(jobs), 60_000)))
    waiting.start()
    wait_until(lambda: lone.bench.finished._watches)
    complete(lone)
    waiting.join(20)
    assert [job["id"] for job in json.loads(answers[0]["jobs"])] == jobs[:1]


def test_wait_answers_with_no_more_than_fits(lone: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of a thousand jobs could be hundreds of megabytes: the client asks again for the rest."""
    monkeypatch.setattr(queue_reads, "BYTES_AT_ONCE", 100)
    jobs = [lone.call("Submit", "", 1, 1, JOB)["job"] for _ in range(10)]
    complete(lone, 10)
    waiting = list(jobs)
    answers = 0
    while waiting:
        done = [job["id"] for job in json.loads(lone.call("Wait", json.dumps(waiting), 60_000)["jobs"])]
        assert 1 <= len(done) <= 3
        waiting = [job for job in waiting if job not in done]
        answers += 1
    assert answers > 3


def test_wait_ends_with_nothing_when_its_time_is_over(lone: Desk) -> None:
    job = lone.call("Submit", "", 1, 1, JOB)["job"]
    assert lone.call("Wait", json.dumps([job]), 20) == {"jobs": "[]"}


def test_wait_for_a_job_that_is_not_there_is_told(lone: Desk) -> None:
    with named("not_found"):
        lone.call("Wait", json.dumps([ids.to_text(1024 * 999)]), 60_000)


def test_wait_is_over_when_its_client_is_gone(lone: Desk) -> None:
    job = lone.call("Submit", "", 1, 1, JOB)["job"]
    lone.caller.alive = False
    assert lone.call("Wait", json.dumps([job]), 60_000) == {"jobs": "[]"}


# Peers


def context(**other: Any) -> Context:
    fields: dict[str, Any] = {"id": "n2-1", "clock": 1, "wall_ms": 1, "sender": 2, "cluster": CLUSTER}
    return Context(**{**fields, **other})


def append(desk: Desk, *, context: Context, sender: int = 2) -> Any:
    message = AppendEntries(sender, 1, 1, LogPosition(1, 1), (), 1, 2)
    method, params = to_call(message, context)
    return desk.call(method, *params)


def test_another_clusters_message_is_refused(follower: Desk) -> None:
    with named("wrong_cluster"):
        append(follower, context=context(cluster="other"))


@pytest.mark.parametrize(("sender", "why"), [(1, "n1 is no peer of n1"), (0, "must be a node's id")])
def test_a_message_from_nobody_is_refused(follower: Desk, sender: int, why: str) -> None:
    with pytest.raises((Fault, BadArgument), match=why):
        append(follower, context=context(sender=sender), sender=sender)


# Looking


def test_state_shows_one_moment_and_whether_anything_changed(lone: Desk) -> None:
    state = lone.call("State")
    assert (state["role"], state["last_applied"], state["cluster"]) == ("leader", 1, CLUSTER)
    assert state["changed"] is True
    assert lone.call("State", 10**9)["changed"] is False


def test_ping_answers_without_the_driver(lone: Desk) -> None:
    with lone.driver._driving:
        assert lone.call("Ping")["role"] == "leader"


def test_events_are_given_in_bounded_pieces(lone: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BYTES_AT_ONCE", 500)
    for _ in range(10):
        lone.call("Submit", "", 1, 1, JOB)
    lone.bench.writer.flush()
    since, pieces, seen = 0, 0, []
    while True:
        answer = lone.call("Events", since)
        events = json.loads(answer["events"])
        if not events or pieces > 200:
            break
        seen += [event["seq"] for event in events]
        since, pieces = answer["next"], pieces + 1
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert pieces > 5
