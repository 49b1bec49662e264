"""Whatever is done to the machine, it says what the model in plain dicts says (Hypothesis)."""

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from glassraft.jobqueue import commands, counts, due, ids, pruning, running, schedule_options, schedules
from glassraft.jobqueue.canonical import canonical
from tests.jobqueue.model import Limits, Queue
from tests.jobqueue.queue_driver import START_MS, QueueDriver

QUEUES = ["default", "a", "b"]
SCHEDULES = ["hourly", "nightly"]

deadlines = st.one_of(
    st.just({}),
    st.sampled_from([0, 500, 5_000, 60_000]).map(lambda ms: {"start_within_ms": ms}),
    st.sampled_from([0, 700, 9_000]).map(lambda ms: {"deadline_ms": START_MS + ms}),
)
keys = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"key": st.sampled_from(["k", "l"])},
        optional={
            "unique_for_ms": st.sampled_from([0, 4_000, 700_000]),
            "on_conflict": st.sampled_from(["return", "replace", "replace", "refuse"]),
        },
    ),
)
changes = st.lists(
    st.one_of(
        st.sampled_from(QUEUES).map(lambda queue: {"queue": queue}),
        st.sampled_from([0, 1_000]).map(lambda ms: {"delay_ms": ms, "priority": ms}),
        st.sampled_from([0, 2_000]).map(lambda ms: {"at_ms": START_MS + ms, "args": ["y" * 30]}),
        st.just({"kwargs": {}, "args": []}),
    ),
    min_size=1,
    max_size=3,
)
plain_jobs = st.fixed_dictionaries(
    {"task": st.just("t")},
    optional={
        "queue": st.sampled_from(QUEUES),
        "priority": st.integers(-2, 2),
        "delay_ms": st.sampled_from([0, 1, 1_000, 40_000]),
        "timeout_ms": st.sampled_from([1_000, 20_000]),
        "lease_ms": st.sampled_from([1_000, 15_000]),
        "args": st.sampled_from([["x" * 20], ["x" * 45], [1]]),
        "retention_ms": st.just(600_000),
        "max_attempts": st.integers(1, 3),
        "backoff": st.sampled_from([{}, {"base_ms": 0}, {"base_ms": 500, "factor": 2_000, "cap_ms": 1_500}]),
    },
)
jobs = st.builds(lambda job, *more: job | more[0] | more[1], plain_jobs, deadlines, keys)
scheduled_jobs = st.builds(lambda job, key: job | key, plain_jobs, keys)
leases = st.sampled_from([1_000, 5_000, 30_000])
times = st.sampled_from([-2_000, 0, 1, 500, 1_000, 5_000, 30_000, 1_800_000])
sessions = st.sampled_from(["", "aaaa", "bbbb"])


class QueueAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        limits = Limits()
        self.patches = [
            patch.object(due, "DUE_BUDGET", limits.due),
            patch.object(running, "MAX_NEVER_STARTED", limits.never_started),
            patch.object(running, "MAX_RELEASES", limits.releases),
            patch.object(running, "CANCEL_GRACE_MS", limits.cancel_grace),
            patch.object(running, "MAX_TAKEN_BYTES", limits.taken),
            patch.object(pruning, "RETENTION_MS", limits.retention),
            patch.object(pruning, "MAX_KEPT", limits.kept),
            patch.object(pruning, "LEAST_RETENTION_MS", limits.least_retention),
            patch.object(pruning, "PRUNE_BUDGET", limits.prune),
            patch.object(pruning, "PRUNE_EVERY", limits.prune_every),
            patch.object(counts, "LARGE", 1),
            patch.object(schedules, "HISTORY_KEPT", limits.firings),
        ]
        for each in self.patches:
            each.start()
        self.queue = QueueDriver()
        self.model = Queue(limits)
        self.now_ms = START_MS
        self.remember: Callable[[Any], None]
        self.leased: list[tuple[str, int]] = []
        self.numbers: dict[str, int] = {}
        self.lows: dict[str, int] = {}
        self.expired = 0

    def teardown(self) -> None:
        self.queue.close()
        for each in self.patches:
            each.stop()

    def run(self, op: str, arguments: str, session: str = "", number: int = 0, low: int = 0) -> Any:
        self.queue.now_ms = self.now_ms
        return self.queue.command(op, arguments, session, number, low)

    def under_session(
        self, op: str, arguments: str, session: str, again: bool, forget: int, adding: int = 0
    ) -> tuple[Any, Any]:
        """Runs a command with the session's next number, or its last once more.

        Returns the outcome, and the answer that the model has already; None where it has to run it.
        """
        if not session:
            self.model.begin(self.now_ms, adding)
            self.remember = lambda answer: None
            return self.run(op, arguments), None
        session = f"{session}{self.expired:028x}"
        number = self.numbers.get(session, 0) + (not again or session not in self.numbers)
        self.numbers[session] = number
        low = min(number, max(self.lows.get(session, 1), number - 3 + forget))
        self.lows[session] = low
        self.model.begin(self.now_ms, adding)
        known = self.model.recall(session, number, low)
        if isinstance(known, tuple) and known[0] != op:
            known = "bad_argument"
        outcome = self.run(op, arguments, session, number, low)
        if known == "session_expired":
            self.expired += 1
        if known is None:
            self.remember = lambda answer: self.model.remember(session, number, (op, answer))
        return outcome, known

    def check(self, outcome: Any, expected: Any) -> bool:
        """Whether a refusal was expected; it must have come then."""
        if isinstance(expected, str):
            assert outcome.refusal is not None
            assert outcome.refusal.code_name == expected
            return True
        assert outcome.refusal is None
        return False

    def earlier(self, position: int) -> list[Any]:
        """What a job may come after: jobs there are, and earlier ones of its command."""
        return [*sorted(self.model.jobs), *range(position)]

    @rule(
        data=st.data(),
        items=st.lists(jobs, min_size=1, max_size=4),
        session=sessions,
        again=st.booleans(),
        forget=st.integers(0, 3),
    )
    def submit(
        self, data: st.DataObject, items: list[dict[str, Any]], session: str, again: bool, forget: int
    ) -> None:
        for position, item in enumerate(items):
            if self.earlier(position):
                after = data.draw(st.lists(st.sampled_from(self.earlier(position)), max_size=3))
                on_dependency = data.draw(st.sampled_from(["cancel", "cancel", "run"]))
                items[position] = {**item, "after": after, "on_dependency": on_dependency}
        outcome, known = self.under_session(
            "Submit", commands.check_submit(items), session, again, forget, len(items)
        )
        if known is None:
            fresh = [ids.to_text(ids.number(self.model.index, position)) for position in range(len(items))]
            answer = self.model.submit(fresh, items)
            self.remember(answer)
            known = ("Submit", answer)
        expected = known if isinstance(known, str) else known[1]
        if not self.check(outcome, expected):
            assert outcome.answer == expected

    @rule(
        queues=st.lists(st.sampled_from(QUEUES), min_size=1, unique=True),
        count=st.integers(1, 4),
        lease_ms=leases,
        session=sessions,
        again=st.booleans(),
    )
    def take(self, queues: list[str], count: int, lease_ms: int, session: str, again: bool) -> None:
        arguments = commands.check_take("w", queues, count, lease_ms)
        outcome, known = self.under_session("Take", arguments, session, again, 0)
        if self.check(outcome, known):
            return
        if known is None:
            answer = self.model.take(queues, count, lease_ms)
            self.leased += [(id, token) for id, token in answer]
            self.remember(answer)
            assert outcome.answer == {"jobs": answer}
        else:
            assert outcome.answer == {"jobs": self.model.still_leased(known[1])}

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), lease_ms=leases)
    def extend(self, data: st.DataObject, lease_ms: int) -> None:
        picked = data.draw(st.lists(st.sampled_from(self.leased), min_size=1, max_size=3))
        self.model.begin(self.now_ms)
        outcome = self.run("Extend", commands.check_extend("w", [list(each) for each in picked], lease_ms))
        expected = [self.model.extend(id, token, lease_ms) for id, token in picked]
        got = [each.get("lease_until_ms", each.get("why")) for each in outcome.answer["jobs"]]
        assert got == expected

    @precondition(lambda self: self.leased)
    @rule(
        data=st.data(),
        how=st.sampled_from(["complete", "fail", "release"]),
        delay_ms=st.sampled_from([0, 0, 1_000]),
        retry=st.booleans(),
    )
    def end(self, data: st.DataObject, how: str, delay_ms: int, retry: bool) -> None:
        picked = data.draw(st.lists(st.sampled_from(self.leased), min_size=1, max_size=3))
        picked = [(id, token + data.draw(st.sampled_from([0, 0, 0, 0, -1, 1_000]))) for id, token in picked]
        handed_on = [
            [[{"task": "t", "after": [id]}]] if how == "complete" and data.draw(st.booleans()) else []
            for id, _ in picked
        ]
        arguments = {
            "complete": lambda: commands.check_complete(
                [[id, token, token, *on] for (id, token), on in zip(picked, handed_on, strict=True)]
            ),
            "fail": lambda: commands.check_fail(
                [[id, token, "error", "traceback", retry] for id, token in picked]
            ),
            "release": lambda: commands.check_release([[id, token, delay_ms] for id, token in picked]),
        }[how]()
        self.model.begin(self.now_ms)
        outcome = self.run(how.capitalize(), arguments)
        expected = []
        position = 0
        for (id, token), on in zip(picked, handed_on, strict=True):
            holds = id in self.model.jobs and self.model.holds(self.model.jobs[id], token)
            expected.append(self.model.end(how, id, token, delay_ms, retry, position if on else None))
            position += bool(on) and holds
        assert [each["state"] if each["ok"] else each["why"] for each in outcome.answer["jobs"]] == expected

    @precondition(lambda self: self.model.jobs)
    @rule(
        data=st.data(),
        how=st.sampled_from(["cancel", "cancel", "retry", "purge"]),
        attempts=st.sampled_from([None, 1, 2]),
        dependents=st.booleans(),
    )
    def by_hand(self, data: st.DataObject, how: str, attempts: int | None, dependents: bool) -> None:
        picked = data.draw(st.lists(st.sampled_from(sorted(self.model.jobs)), min_size=1, max_size=3))
        arguments = {
            "cancel": commands.check_cancel(picked),
            "retry": commands.check_retry(picked, attempts, dependents),
            "purge": commands.check_purge(picked),
        }[how]
        self.model.begin(self.now_ms)
        outcome = self.run(how.capitalize(), arguments)
        more = [attempts, dependents] if how == "retry" else []
        expected = [getattr(self.model, how)(id, *more) for id in picked]
        assert [each["state"] if each["ok"] else each["why"] for each in outcome.answer["jobs"]] == expected

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), changes=changes)
    def update(self, data: st.DataObject, changes: list[dict[str, Any]]) -> None:
        jobs = sorted(self.model.jobs)
        items = [{"job": data.draw(st.sampled_from(jobs)), **each} for each in changes]
        self.model.begin(self.now_ms)
        outcome = self.run("Update", commands.check_update(items))
        expected = [self.model.update(item["job"], item) for item in items]
        assert [each["state"] if each["ok"] else each["why"] for each in outcome.answer["jobs"]] == expected

    @rule(
        queue=st.sampled_from(QUEUES),
        settings=st.fixed_dictionaries(
            {},
            optional={
                "paused": st.sampled_from([False, False, True]),
                "max_running": st.sampled_from([None, 1, 2]),
                "rate": st.sampled_from([None, [1, 1_000], [2, 700]]),
            },
        ),
    )
    def set_queue(self, queue: str, settings: dict[str, Any]) -> None:
        self.model.begin(self.now_ms)
        self.run("SetQueue", commands.check_set_queue(queue, settings))
        self.model.set_queue(queue, settings)

    @rule(
        name=st.sampled_from(SCHEDULES),
        schedule=st.fixed_dictionaries(
            {"job": scheduled_jobs},
            optional={"overlap": st.sampled_from(["skip", "allow", "cancel"])},
        ),
        times=st.sampled_from([{"every_ms": 1_000}, {"every_ms": 9_000}, {"cron": "* * * * *"}]),
        due_ms=st.sampled_from([0, 1_000]),
    )
    def set_schedule(self, name: str, schedule: dict[str, Any], times: dict[str, Any], due_ms: int) -> None:
        checked = json.loads(schedule_options.check_set_schedule(name, {**schedule, **times}))
        wanted = {**checked, "due_ms": self.now_ms + due_ms}
        self.model.begin(self.now_ms)
        self.run("SetSchedule", canonical(wanted))
        self.model.set_schedule(name, {**wanted, "job": schedule["job"]})

    @rule(name=st.sampled_from(SCHEDULES), how=st.sampled_from(["drop", "run", "run", "run"]))
    def schedule_by_hand(self, name: str, how: str) -> None:
        self.model.begin(self.now_ms)
        outcome = self.run(f"{how.capitalize()}Schedule", schedule_options.check_named(name))
        if name not in self.model.schedules:
            assert outcome.refusal.code_name == "not_found"
        elif how == "drop":
            del self.model.schedules[name]
        else:
            assert outcome.answer["event"] == self.model.run_schedule(name)

    @precondition(lambda self: self.model.schedules)
    @rule(data=st.data(), stale=st.sampled_from([0, 0, 0, 1]), skip=st.sampled_from([False, False, True]))
    def fire_schedule(self, data: st.DataObject, stale: int, skip: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.schedules)))
        schedule = self.model.schedules[name]
        old = data.draw(st.sampled_from([0, 0, 0, 1]))
        meant = (name, schedule["version"] - old, schedule["due"] - stale)
        for_ms = None if skip else schedule["due"]
        next_ms = schedule["due"] + 1_000
        self.model.begin(self.now_ms)
        outcome = self.run("FireSchedule", schedule_options.fire(*meant, next_ms, for_ms))
        assert outcome.answer["event"] == self.model.fire_schedule(*meant, next_ms, for_ms)

    @rule(ms=times)
    def tick(self, ms: int) -> None:
        self.now_ms += ms
        self.model.begin(self.now_ms)
        assert self.run("Tick", commands.tick()).answer == {}

    @rule(ms=times)
    def pass_time(self, ms: int) -> None:
        self.now_ms += ms

    @rule(ms=times)
    def new_leader(self, ms: int) -> None:
        self.now_ms += ms
        self.model.opening(self.now_ms)
        self.queue.apply("noop", commands.opening(self.now_ms))

    @rule()
    def restart(self) -> None:
        self.queue.restart()

    @invariant()
    def they_agree(self) -> None:
        machine, model = self.queue.machine, self.model
        assert (machine.now_ms, machine.lease_now_ms) == (model.now, model.now - model.gap)
        assert machine.next_due_ms() == model.next_due()
        shown = {
            ids.to_text(row[0]): row[1:]
            for row in self.queue.connection.execute(
                "SELECT id, state, token, attempt, failures, never_started, releases, at_ms, lease_until_ms"
                " FROM jobs"
            )
        }
        expected = {
            id: (
                *(job["state"], job["token"], job["attempt"], job["failures"], job["never_started"]),
                *(job["releases"], job["at"], job["lease"] if job["state"] == "running" else None),
            )
            for id, job in model.jobs.items()
        }
        assert shown == expected
        held = {
            (queue, key): [ids.to_text(job), free]
            for queue, key, job, free in self.queue.connection.execute(
                "SELECT queue, key, job, free_ms FROM keys"
            )
        }
        assert held == model.keys
        rows = self.queue.connection.execute("SELECT after, job, status, held FROM dependencies").fetchall()
        links = {(ids.to_text(after), ids.to_text(job)): (status, held) for after, job, status, held in rows}
        assert links == {
            (earlier, id): (status, int((earlier, id) in model.held))
            for id, job in model.jobs.items()
            for earlier, status in job["after"].items()
        }
        found = self.queue.connection.execute(
            "SELECT name, version, due_ms, last_job FROM schedules"
        ).fetchall()
        assert {name: (version, due, last and ids.to_text(last)) for name, version, due, last in found} == {
            name: (each["version"], each["due"], each["last"]) for name, each in model.schedules.items()
        }
        assert machine.next_firing_ms() == min(
            (each["due"] for each in model.schedules.values()), default=None
        )
        firings: dict[str, list[Any]] = {name: [] for name in model.schedules}
        for name, *row in self.queue.connection.execute(
            "SELECT schedule, ms, due_ms, event FROM firings ORDER BY schedule, n"
        ):
            firings[name].append(tuple(row))
        assert firings == {name: each["history"] for name, each in model.schedules.items()}
        states = [job["state"] for job in model.jobs.values()]
        assert machine.counts() == {state: states.count(state) for state in machine.counts()}

    @invariant()
    def what_is_due_is_what_is_scheduled(self) -> None:
        rows = self.queue.connection.execute("SELECT at_ms, id FROM due WHERE kind = 2").fetchall()
        scheduled = self.queue.connection.execute(
            "SELECT at_ms, id FROM jobs WHERE state = 'scheduled'"
        ).fetchall()
        assert sorted(rows) == sorted(scheduled)
        rows = self.queue.connection.execute("SELECT id FROM due WHERE kind = 1").fetchall()
        waiting = [id for id, job in self.model.jobs.items() if self.model.may_start_late(job)]
        assert sorted(ids.to_text(id) for (id,) in rows) == sorted(waiting)


TestQueueAgainstModel = QueueAgainstModel.TestCase
TestQueueAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
