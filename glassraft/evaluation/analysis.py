"""From events to numbers: messages by kind, latencies, throughput. Pure: events in, numbers out.

Nothing is measured here but what the nodes wrote down; running and drawing are elsewhere
(scenarios.py, plots.py).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glassraft.events import Event, nodes, read_node

SUBMISSIONS = frozenset({"Submit", "SubmitMany"})
"""The calls that are measured."""

SUBMIT_ENTRY = "Submit"
"""What such a call's entry is called in an `append`."""

UNREPORTED = "on its way when its receiver ended"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds within which half, 95 % and 99 % of `count` samples lay; NaN without any."""

    p50: float
    p95: float
    p99: float
    count: int


@dataclass(frozen=True, slots=True)
class MessageCount:
    """Messages of one kind. Every one that was sent was either received or lost."""

    sent: int
    received: int

    @property
    def lost(self) -> int:
        """Sent and never received, whether its sender learnt of it or not."""
        return self.sent - self.received


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one run's events say. Times in milliseconds but `duration_s`."""

    jobs: int
    """Jobs whose submission was answered with "ok"."""
    calls: int
    """Submissions answered with "ok"."""
    refused: dict[str, int]
    """Submissions answered with a fault, by its name."""
    duration_s: float
    """From the arrival of the first submission to the last one's answer."""
    commit_ms: Percentiles
    """From an entry's append on the leader to its commit there."""
    call_ms: Percentiles
    """From a submission's arrival at the leader to its answer."""
    messages: dict[str, MessageCount]
    """By kind, in order of their names: those sent until the last submission was answered.

    What came later was on its way when the run was ended, and is no loss.
    """
    lost_why: dict[str, int]
    """What happened to those that were lost."""
    elections: int
    """How often a node became leader."""

    @property
    def jobs_per_s(self) -> float:
        """Throughput over `duration_s`."""
        return self.jobs / self.duration_s if self.duration_s > 0 else math.nan


def percentiles(samples: Sequence[float]) -> Percentiles:
    """By nearest rank, so each is a value that really occurred."""
    ordered = sorted(samples)

    def at(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan

    return Percentiles(at(0.50), at(0.95), at(0.99), len(ordered))


def measure_folder(folder: Path) -> Numbers:
    """The numbers of the run whose event files are in this folder."""
    return measure(event for node in nodes(folder) for event in read_node(folder, node))


def measure(events: Iterable[Event]) -> Numbers:
    """The numbers of one run. Events of one node must be in their order; nodes may follow one another."""
    messages = _Messages()
    calls = _Calls()
    commits: defaultdict[int, _Commits] = defaultdict(_Commits)
    elections = 0
    for event in events:
        messages.take(event)
        calls.take(event)
        commits[event["node"]].take(event)
        elections += event["event"] == "role" and event["role"] == "leader"
    return Numbers(
        jobs=calls.jobs,
        calls=len(calls.took_ms),
        refused=dict(sorted(calls.refused.items())),
        duration_s=calls.duration_s,
        commit_ms=percentiles([sample for each in commits.values() for sample in each.took_ms]),
        call_ms=percentiles(calls.took_ms),
        messages=messages.counts(calls.last_ts),
        lost_why=messages.lost_why(calls.last_ts),
        elections=elections,
    )


@dataclass(slots=True)
class _Messages:
    """Each message by its id, from both ends: a killed sender may have written no `send` of it."""

    sent: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Kind, and when it was sent by its sender's wall clock."""
    received: set[str] = field(default_factory=set)
    given_up: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        name = event["event"]
        if name == "send":
            self.sent[event["id"]] = (event["kind"], event["ts"])
        elif name == "receive":
            self.sent.setdefault(event["id"], (event["kind"], event["sent_ts"]))
            self.received.add(event["id"])
        elif name == "lost":
            self.sent.setdefault(event["id"], (event["kind"], event["ts"]))
            self.given_up[event["id"]] = event.get("why", "")

    def counts(self, until: float) -> dict[str, MessageCount]:
        kinds = self._sent_until(until)
        sent = Counter(kinds.values())
        received = Counter(kind for id, kind in kinds.items() if id in self.received)
        return {kind: MessageCount(sent[kind], received[kind]) for kind in sorted(sent)}

    def lost_why(self, until: float) -> dict[str, int]:
        lost = self._sent_until(until).keys() - self.received
        return dict(Counter(self.given_up.get(id, UNREPORTED) for id in sorted(lost)).most_common())

    def _sent_until(self, until: float) -> dict[str, str]:
        return {id: kind for id, (kind, sent_ts) in self.sent.items() if sent_ts <= until}


@dataclass(slots=True)
class _Calls:
    """Clients' submissions, from the events of their answers."""

    took_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    first_ts: float = math.inf
    last_ts: float = math.inf
    """Without any answer, the end of all time."""

    @property
    def duration_s(self) -> float:
        return self.last_ts - self.first_ts if self.took_ms else 0.0

    def take(self, event: Event) -> None:
        if event["event"] != "answer" or event["method"] not in SUBMISSIONS:
            return
        if event["outcome"] != "ok":
            self.refused[event["outcome"]] += 1
            return
        self.first_ts = min(self.first_ts, event["ts"] - event["ms"] / 1000)
        self.last_ts = max(self.last_ts, event["ts"]) if self.took_ms else event["ts"]
        self.took_ms.append(event["ms"])
        self.jobs += event.get("jobs", 1)


@dataclass(slots=True)
class _Commits:
    """One node's entries while it leads: when each was appended, and how long its commit took."""

    leads: bool = False
    appended: dict[int, float] = field(default_factory=dict)
    took_ms: list[float] = field(default_factory=list)

    def take(self, event: Event) -> None:
        name = event["event"]
        if name == "append" and self.leads:
            for index, _term, _kind, what in event["entries"]:
                if what == SUBMIT_ENTRY:
                    self.appended[index] = event["mono"]
        elif name == "commit" and self.leads:
            for index in range(event["was"] + 1, event["index"] + 1):
                appended = self.appended.pop(index, None)
                if appended is not None:
                    self.took_ms.append((event["mono"] - appended) * 1000)
        elif name in ("role", "state"):
            self._become(event["role"] == "leader")
        elif name in ("start", "stop"):
            self._become(False)

    def _become(self, leads: bool) -> None:
        """Another's reign, or the clock of another process, gives no sample of this one."""
        if leads != self.leads:
            self.appended.clear()
        self.leads = leads
