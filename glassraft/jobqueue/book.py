"""The machine's book: its tables, the little that is kept of them in memory, and the only way to write.

Every change of a command goes through `Book.write`, which also records it for the digest: a
chain of SHA-256 over the rows written, by which two nodes that differ are found at once.
`Book.move` takes a job along a line of the table of transitions, with its count and history.
Who decides what to write: submitting.py, running.py, by_hand.py, due.py and sessions.py.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from glassraft.errors import GlassraftError
from glassraft.jobqueue import states
from glassraft.jobqueue.counts import Counts
from glassraft.jobqueue.rules import QueueRules
from glassraft.jobqueue.schema import KIND_CASCADE, KIND_COMES_DUE, KIND_DEADLINE
from glassraft.jobqueue.settings import QueueSettings
from glassraft.jobqueue.states import SCHEDULED
from glassraft.jobqueue.write_behind import WriteBehind
from glassraft.json_encoder import make_encoder

HISTORY_KEPT: Final = 50
TRACEBACKS_KEPT: Final = 10

SKIPPED: Final = 256
"""How many jobs a Take passes over in a queue, at most."""

_encode = make_encoder()


ScheduleEvent: TypeAlias = tuple[str, int | None, str, str, str]
"""What became of a schedule: its name, when it was or is due, the event (see schedules.py), the job and the reason."""


class Refusal(NamedTuple):
    """A command that changed nothing but the time: the fault's name, a sentence, and details in data."""

    code_name: str
    message: str
    detail: dict[str, Any]


class BrokenQueue(GlassraftError):
    """The queue's tables are not what the machine left there: the node must stop."""


class Job(NamedTuple):
    """What the machine reads of a job's row."""

    id: int
    state: str
    queue: str
    token: int
    worker: str | None
    attempt: int
    failures: int
    never_started: int
    releases: int
    max_attempts: int
    attempts_allowed: int | None
    timeout_ms: int | None
    lease_ms: int | None
    at_ms: int
    lease_until_ms: int | None
    lease_cap_ms: int | None
    started: int
    cancel_requested_ms: int | None
    history_n: int
    deadline_ms: int | None
    retention_ms: int | None
    size: int
    key: str | None
    waits_for: int
    delay_ms: int | None
    linked: int
    brings_back: int
    on_dependency: str | None
    prune_ms: int | None
    backoff_base_ms: int | None
    backoff_factor: int | None
    backoff_cap_ms: int | None


_COLUMNS: Final = ", ".join(Job._fields)
_BY_ID: Final = f"SELECT {_COLUMNS} FROM jobs WHERE id = ?"
_READY: Final = (
    f"SELECT {_COLUMNS} FROM jobs INDEXED BY jobs_ready"
    " WHERE queue = ? AND state = 'ready' ORDER BY priority DESC, id LIMIT ?"
)

FIRST_LEASE: Final = (
    "SELECT lease_until_ms FROM jobs INDEXED BY jobs_leased"
    " WHERE state = 'running' ORDER BY lease_until_ms, id LIMIT 1"
)
FIRST_DUE: Final = "SELECT at_ms FROM due ORDER BY at_ms, kind, id LIMIT 1"
FIRST_TO_PRUNE: Final = "SELECT min(prune_ms) FROM jobs INDEXED BY jobs_to_prune WHERE prune_ms IS NOT NULL"
FIRST_SCHEDULE: Final = (
    "SELECT due_ms FROM schedules INDEXED BY schedules_due"
    " WHERE due_ms IS NOT NULL ORDER BY due_ms, name LIMIT 1"
)
FIRST_SESSION_CHECK: Final = "SELECT min(check_ms) FROM sessions"


class Book:
    """The tables behind one connection, whose transactions are the caller's."""

    def __init__(self, connection: sqlite3.Connection, rules: QueueRules) -> None:
        self._connection = connection
        self.rules = rules
        self._tables = WriteBehind(connection)
        self.read = self._tables.read
        self.drain = self._tables.drain
        self.drain_if_many = self._tables.drain_if_many
        row = connection.execute(
            "SELECT applied_index, applied_term, digest, now_ms, lease_gap_ms FROM applied WHERE one = 1"
        ).fetchone()
        if row is None:
            raise BrokenQueue("the queue's file says not what was applied: its table `applied` is empty")
        self.index: int = row[0]
        self.term: int = row[1]
        self.digest: str = row[2]
        self.now_ms: int = row[3]
        self.lease_gap_ms: int = row[4]
        self.counts = Counts(connection)
        self.settings: dict[str, QueueSettings] = {
            queue: QueueSettings(bool(paused), *rest)
            for queue, paused, *rest in connection.execute(
                "SELECT queue, paused, max_running, starts, per_ms, tokens, tokens_ms FROM queues"
            )
        }
        self.sessions: int = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
        self.session_marks: dict[str, tuple[int, int]] = {}  # of sessions.py: low and highest answered
        self.first_session_check_ms: int | None = None
        self.find_first_session_check()
        self.transitions: list[tuple[int, str, str]] = []
        self.schedule_events: list[ScheduleEvent] = []
        self._first_schedule: tuple[int | None] | None = None
        self._written: list[tuple[str, Sequence[tuple[Any, ...]]]] = []
        self._first_due_ms: int | None = None
        self._first_due_exact = False
        self.first_due_ms()
        self._first_to_prune_ms: int | None = self.read(FIRST_TO_PRUNE).fetchone()[0]

    @property
    def lease_now_ms(self) -> int:
        """Lease time: cluster time less the gaps at changes of leader."""
        return self.now_ms - self.lease_gap_ms

    # One command, from begin to seal

    def begin(self, index: int, term: int) -> None:
        """The entry at `index` is being applied."""
        self.index = index
        self.term = term
        self.transitions = []
        self.schedule_events = []

    def seal(self) -> None:
        """The entry is applied: its rows, and the time, go into the digest."""
        record = _encode([self.digest, self.index, self.now_ms, self.lease_gap_ms, self._written])
        self.digest = hashlib.sha256(record.encode("ascii")).hexdigest()
        self._written.clear()

    def flush(self) -> None:
        """What is kept in memory reaches its tables, before the caller commits."""
        self.drain()
        self.counts.flush()
        self._connection.execute(
            "UPDATE applied SET applied_index = ?, applied_term = ?, digest = ?, now_ms = ?, lease_gap_ms = ?"
            " WHERE one = 1",
            (self.index, self.term, self.digest, self.now_ms, self.lease_gap_ms),
        )

    def add_lease_gap(self, gap_ms: int) -> None:
        """Lease time falls behind cluster time by so much more; readers are to know it at once."""
        self.lease_gap_ms += gap_ms
        self._connection.execute("UPDATE applied SET lease_gap_ms = ? WHERE one = 1", (self.lease_gap_ms,))
        self.expect_less()

    def keep_configuration(self, text: str) -> None:
        """Who belongs to the cluster, as of the entry that is being applied."""
        self._connection.execute("UPDATE applied SET configuration = ? WHERE one = 1", (text,))

    # Writing

    def write(self, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Runs the statement of schema.WRITES once for each of the rows, and records it for the digest.

        `rows` must not change afterwards.
        """
        if rows:
            self._tables.write(name, rows)
            self._written.append((name, rows))

    def move(
        self,
        jobs: Sequence[Job],
        event: str,
        after: str,
        *,
        error: str | None = None,
        token: int | None = None,
        worker: str | None = None,
    ) -> list[int]:
        """Notes that `jobs` go to state `after`; the caller writes their rows, with the numbers returned.

        A number is that of the new row in the job's history, which keeps the last 50. `token` and
        `worker` are given where the move begins an attempt.
        """
        history = []
        numbers = []
        for job in jobs:
            states.check(event, job.state, after)
            self.counts.moved(job.queue, event, job.state, after)
            self.transitions.append((job.id, job.state, after))
            n = job.history_n + 1
            numbers.append(n)
            attempt = (job.attempt, job.token, job.worker)
            if token is not None:
                attempt = (job.attempt + 1, token, worker)
            history.append((job.id, n, self.now_ms, event, job.state, after, *attempt, error))
        self.write("history", history)
        for job, n in zip(jobs, numbers, strict=True):
            if n > HISTORY_KEPT:
                self.write("history cut", [(job.id, n - HISTORY_KEPT)])
                self.write("tracebacks cut", [(job.id, n - HISTORY_KEPT)])
        return numbers

    def add_traceback(self, job: int, n: int, traceback: str) -> None:
        """The traceback that belongs to row `n` of the job's history; the last 10 are kept."""
        self.write("traceback", [(job, n, traceback)])
        too_old = self.read(
            "SELECT n FROM tracebacks WHERE job = ? ORDER BY n DESC LIMIT 1 OFFSET ?", (job, TRACEBACKS_KEPT)
        ).fetchone()
        if too_old:
            self.write("tracebacks cut", [(job, too_old[0])])

    def schedule(self, rows: Sequence[tuple[int, int]]) -> None:
        """Jobs that come due: (at_ms, job) each."""
        self.write("due", [(at_ms, KIND_COMES_DUE, job) for at_ms, job in rows])
        for at_ms, _ in rows:
            self.expect(at_ms)

    def set_deadlines(self, rows: Sequence[tuple[int, int]]) -> None:
        """Jobs that have a deadline: (deadline_ms, job) each."""
        self.write("due", [(at_ms, KIND_DEADLINE, job) for at_ms, job in rows])
        for at_ms, _ in rows:
            self.expect(at_ms)

    def cascade(self, job: int) -> None:
        """The job's links to others are to be looked at, by this command or the next ones."""
        self.write("due", [(self.now_ms, KIND_CASCADE, job)])
        self.expect(self.now_ms)

    def forget_times(self, job: Job) -> None:
        """A job is finished: neither its time nor its deadline is awaited any longer."""
        if job.state == SCHEDULED:
            self.write("due done", [(job.at_ms, KIND_COMES_DUE, job.id)])
        if job.deadline_ms is not None:
            self.write("due done", [(job.deadline_ms, KIND_DEADLINE, job.id)])
        self.expect_less()

    def expect_pruning(self, prune_ms: int) -> None:
        """A job is finished that may be pruned from then on."""
        if self._first_to_prune_ms is None or prune_ms < self._first_to_prune_ms:
            self._first_to_prune_ms = prune_ms

    def may_prune(self) -> bool:
        """Whether a job's retention is over."""
        if self._first_to_prune_ms is None or self._first_to_prune_ms > self.now_ms:
            return False
        self._first_to_prune_ms = self.read(FIRST_TO_PRUNE).fetchone()[0]
        return self._first_to_prune_ms is not None and self._first_to_prune_ms <= self.now_ms

    # What comes due first: a bound that is never too late, made exact when somebody asks

    def expect(self, at_ms: int) -> None:
        """A row of `due` or a lease has its time at `at_ms`, cluster time."""
        if self._first_due_ms is None or at_ms < self._first_due_ms:
            self._first_due_ms = at_ms

    def expect_less(self) -> None:
        """A row of `due` or a lease is gone or later, perhaps the first."""
        self._first_due_exact = False

    def first_due_ms(self) -> int | None:
        """The cluster time of the next row of `due`, end of a lease, or start that a rate allows; None: of none."""
        if not self._first_due_exact:
            lease = self.read(FIRST_LEASE).fetchone()
            due = self.read(FIRST_DUE).fetchone()
            times = ([lease[0] + self.lease_gap_ms] if lease else []) + ([due[0]] if due else [])
            tokens = (settings.token_comes_ms(self.now_ms) for settings in self.settings.values())
            times += [comes_ms for comes_ms in tokens if comes_ms is not None]
            self._first_due_ms = min(times, default=None)
            self._first_due_exact = True
        return self._first_due_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether anything has its time by `now_ms`, cluster time."""
        if self._first_due_ms is None or self._first_due_ms > now_ms:
            return False
        first = self.first_due_ms()
        return first is not None and first <= now_ms

    # Which schedule is due first: that is for the leader, since no calendar is read here

    def schedules_changed(self) -> None:
        """Another schedule may be due first now."""
        self._first_schedule = None

    def first_schedule_ms(self) -> int | None:
        """When the first schedule is due, cluster time; None where none is."""
        if self._first_schedule is None:
            row = self.read(FIRST_SCHEDULE).fetchone()
            self._first_schedule = (None,) if row is None else row
        return self._first_schedule[0]

    # Reading

    def job(self, number: int) -> Job | None:
        """The job's row as it is now."""
        row = self.read(_BY_ID, (number,)).fetchone()
        return None if row is None else Job._make(row)

    def ready(self, queue: str, count: int) -> list[Job]:
        """The next jobs of a queue that may be taken: by priority, then by id.

        Those whose deadline has passed are passed over, as many as SKIPPED: the next commands end them.
        """
        jobs: list[Job] = []
        for row in self.read(_READY, (queue, count + SKIPPED)):
            job = Job._make(row)
            if job.deadline_ms is None or job.deadline_ms > self.now_ms:
                jobs.append(job)
                if len(jobs) == count:
                    break
        return jobs

    def find_first_session_check(self) -> None:
        """When the next session is to be looked at, kept in memory so that most commands need not ask."""
        self.first_session_check_ms = self.read(FIRST_SESSION_CHECK).fetchone()[0]
