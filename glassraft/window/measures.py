"""The numbers: jobs a second, how long a commit takes, jobs by state, the newest jobs.

All from the events; where a node told the queue's own counts, those are shown instead. Next:
scene/header.py and scene/jobs.py.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

from glassraft.events import Event, Fold
from glassraft.jobqueue.ids import to_text
from glassraft.window.source import Overview

RATE_S = 3.0
RECENT_COMMITS = 300
RECENT_JOBS = 60
FINISHED = frozenset(("succeeded", "dead", "cancelled"))


@dataclass(slots=True)
class RecentJob:
    """One of the newest jobs, as far as it is known. Times by the wall clock, seconds."""

    id: str
    state: str
    changed: float
    submitted: float | None = None
    task: str = ""
    ended: float | None = None


@dataclass(slots=True)
class Measures:
    """Told of every event before it is folded."""

    submitted: int = 0
    finished: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, RecentJob] = field(default_factory=dict)
    _overview: Overview | None = None
    _applied: int = 0
    _moves: deque[tuple[float, int, int]] = field(default_factory=deque)
    _appended: dict[int, float] = field(default_factory=dict)
    _appender: tuple[int, int] = (0, 0)
    _commits: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_COMMITS))

    def take(self, event: Event, fold: Fold) -> None:
        """The next event."""
        match event["event"]:
            case "append":
                self._append(event, fold)
            case "commit":
                self._commit(event)
            case "apply":
                self._apply(event)

    def overview(self, overview: Overview) -> None:
        """The queue's own counts, and tasks of the newest jobs."""
        self._overview = overview
        for row in overview.jobs:
            job = self.jobs.get(str(row.get("id")))
            if job is not None:
                job.task = str(row.get("task", ""))

    def by_state(self) -> dict[str, int]:
        """How many jobs are in each state; of a node's own telling where there is one."""
        return (
            dict(self._overview.counts) if self._overview else {k: n for k, n in self.counts.items() if n > 0}
        )

    def rates(self, now: float) -> tuple[float, float]:
        """Jobs submitted and jobs finished a second, over the last RATE_S."""
        while self._moves and self._moves[0][0] < now - RATE_S:
            self._moves.popleft()
        submitted = sum(row[1] for row in self._moves)
        finished = sum(row[2] for row in self._moves)
        return submitted / RATE_S, finished / RATE_S

    def commit_p50_ms(self) -> float | None:
        """Half of the recent entries were committed within this after the leader appended them."""
        return sorted(self._commits)[len(self._commits) // 2] * 1000 if self._commits else None

    def newest(self) -> list[RecentJob]:
        """The newest jobs, the latest changed first."""
        return sorted(self.jobs.values(), key=lambda job: (job.changed, job.id), reverse=True)

    def _append(self, event: Event, fold: Fold) -> None:
        node = fold.nodes.get(event["node"])
        if node is None or node.role != "leader":
            return
        if self._appender != (event["node"], event["term"]):
            self._appender = (event["node"], event["term"])
            self._appended.clear()
        for row in event["entries"]:
            self._appended[row[0]] = event["mono"]
        while len(self._appended) > 20_000:
            del self._appended[next(iter(self._appended))]

    def _commit(self, event: Event) -> None:
        if self._appender != (event["node"], event["term"]):
            return
        for index in range(event["was"] + 1, event["index"] + 1):
            appended = self._appended.pop(index, None)
            if appended is not None:
                self._commits.append(event["mono"] - appended)

    def _apply(self, event: Event) -> None:
        """Every node applies every entry: only what goes beyond the last index seen is new."""
        if event["last"] <= self._applied:
            return
        known_before = event["first"] <= self._applied
        self._applied = event["last"]
        submitted = finished = 0
        for job, before, after in event["jobs"]:
            id = to_text(job) if isinstance(job, int) else job
            if known_before and id in self.jobs and self.jobs[id].state == after:
                continue
            self.counts[before] -= 1
            self.counts[after] += 1
            submitted += before == ""
            finished += after in FINISHED
            self._move(id, before, after, event["ts"])
        self.counts.pop("", None)
        if submitted or finished:
            self.submitted += submitted
            self.finished += finished
            self._moves.append((event["ts"], submitted, finished))

    def _move(self, id: str, before: str, after: str, ts: float) -> None:
        job = self.jobs.pop(id, None) or RecentJob(id, after, ts, ts if before == "" else None)
        job.state, job.changed = after, ts
        job.ended = ts if after in FINISHED else None
        if after:
            self.jobs[id] = job
        if len(self.jobs) > RECENT_JOBS:
            del self.jobs[next(iter(self.jobs))]


def duration(seconds: float) -> str:
    """A length of time for people: "3.2 ms", "0.42 s", "12 s", "4 min"."""
    if seconds < 0.1:
        return f"{max(seconds, 0) * 1000:.1f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
