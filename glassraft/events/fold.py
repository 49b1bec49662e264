"""Folds events back into state: what each node was, and which messages were under way, at any moment.

`NodeFold` takes one node's events, `Fold` the merged events of all. Folding may begin at any
`state` event: from there on it equals folding from the start. A field that an event lacks, and
an event that is not known, change nothing, so that files of a newer version can be read.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from glassraft.events.reader import Event
from glassraft.events.types import COMMON

RECENT_ENTRIES = 4096
"""For how many of the last entries of each log the kind and operation are remembered."""

RECENT_MESSAGES = 8192
"""How many messages are remembered, the oldest forgotten first."""


@dataclass(slots=True)
class NodeFold:
    """One node as its events tell it. Figure 2's names; None where it knows of nobody.

    `alive` is False before the first event and after a clean stop. A killed node writes nothing
    about it: the next `start` begins its next life.
    """

    id: int
    alive: bool = False
    role: str = "follower"
    term: int = 0
    voted_for: int | None = None
    leader_id: int | None = None
    commit_index: int = 0
    last_applied: int = 0
    first_log_index: int = 1
    base_term: int = 0
    """Term of the entry before the first that the log holds, 0 where there is none."""
    log: list[list[int]] = field(default_factory=list)
    """The log as runs of one term, [first index, last index, term]: a handful of rows for any length."""
    recent: dict[int, tuple[str, str]] = field(default_factory=dict)
    """(kind, what) of recent entries by index, where an `append` told them."""
    next_index: dict[int, int] = field(default_factory=dict)
    match_index: dict[int, int] = field(default_factory=dict)
    votes_granted: list[int] = field(default_factory=list)
    votes_refused: list[int] = field(default_factory=list)
    pre_votes_granted: list[int] = field(default_factory=list)
    """Who would vote for it; empty while it does not ask (diss. §9.6)."""
    pre_votes_refused: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    learners: list[int] = field(default_factory=list)
    timer_kind: str = ""
    timer_started: float = 0.0
    """By the node's wall clock, seconds."""
    timer_duration: float = 0.0
    pid: int = 0
    stop_reason: str = ""
    last_ts: float = 0.0
    last_seq: int = 0

    @property
    def last_index(self) -> int:
        """Index of the last entry; the one before the first where the log is empty."""
        return self.log[-1][1] if self.log else self.first_log_index - 1

    @property
    def last_term(self) -> int:
        """Term of the last entry, held or compacted; 0 where there never was one."""
        return self.log[-1][2] if self.log else self.base_term

    def term_at(self, index: int) -> int:
        """Term of the entry at this index, 0 where the log holds none."""
        at = bisect_right(self.log, index, key=_first_of_run) - 1
        return self.log[at][2] if at >= 0 and index <= self.log[at][1] else 0

    def whole(self) -> dict[str, object]:
        """The fields that a `state` event carries, and `term`; comparable with what the node itself says."""
        return {
            "term": self.term,
            "role": self.role,
            "voted_for": self.voted_for,
            "leader_id": self.leader_id,
            "commit_index": self.commit_index,
            "last_applied": self.last_applied,
            "last_log_index": self.last_index,
            "last_log_term": self.last_term,
            "first_log_index": self.first_log_index,
            "base_term": self.base_term,
            "log": [list(run) for run in self.log],
            "peers": {str(peer): [self.next_index[peer], self.match_index[peer]] for peer in self.next_index},
            "members": list(self.members),
            "learners": list(self.learners),
            "pid": self.pid,
        }

    def apply(self, event: Event) -> None:
        """Take the node's next event."""
        self.last_ts = event.get("ts", self.last_ts)
        self.last_seq = event.get("seq", self.last_seq)
        change = _CHANGES.get(event["event"])
        if change is not None:
            change(self, event)
        self.term = event.get("term", self.term)

    def _start(self, event: Event) -> None:
        self.alive = True
        self.stop_reason = ""
        self.pid = event.get("pid", self.pid)
        self.members = event.get("members", self.members)
        self.timer_kind, self.timer_duration = "", 0.0
        self._become("follower", None)

    def _state(self, event: Event) -> None:
        self.alive = True
        for name in _PLAIN:
            setattr(self, name, event.get(name, getattr(self, name)))
        self.log = [list(run) for run in event.get("log", ())]
        self._forget_entries_outside()
        peers = {int(peer): row for peer, row in event.get("peers", {}).items()}
        self.next_index = {peer: row[0] for peer, row in peers.items()}
        self.match_index = {peer: row[1] for peer, row in peers.items()}
        self.members = list(event.get("members", self.members))
        self.learners = list(event.get("learners", ()))
        self.pid = event.get("pid", self.pid)

    def _stop(self, event: Event) -> None:
        self.alive = False
        self.stop_reason = event.get("reason", "")
        self.timer_duration = 0.0
        self._become("follower", None)

    def _role(self, event: Event) -> None:
        self._become(event["role"], event.get("leader_id", self.leader_id))

    def _become(self, role: str, leader_id: int | None) -> None:
        self._asks_no_longer()
        if role != self.role:
            self.votes_granted, self.votes_refused = [], []
            self.next_index, self.match_index = {}, {}
            if role == "leader":  # Figure 2: reinitialised after election
                others = [member for member in self.members + self.learners if member != self.id]
                self.next_index = dict.fromkeys(others, self.last_index + 1)
                self.match_index = dict.fromkeys(others, 0)
        self.role = role
        self.leader_id = leader_id

    def _term(self, event: Event) -> None:
        if event["term"] != self.term:
            self.voted_for = None
            self.leader_id = None
            self.votes_granted, self.votes_refused = [], []
            self._asks_no_longer()

    def _vote(self, event: Event) -> None:
        if event["granted"]:
            self.voted_for = event["candidate"]
            self._asks_no_longer()

    def _votes(self, event: Event) -> None:
        self.votes_granted = list(event["granted"])
        self.votes_refused = list(event.get("refused", ()))

    def _pre_votes(self, event: Event) -> None:
        self.pre_votes_granted = list(event["granted"])
        self.pre_votes_refused = list(event.get("refused", ()))

    def _asks_no_longer(self) -> None:
        self.pre_votes_granted, self.pre_votes_refused = [], []

    def _leader(self, event: Event) -> None:
        self.leader_id = event["leader_id"]
        self._asks_no_longer()

    def _timer(self, event: Event) -> None:
        self.timer_kind = event.get("kind", "")
        self.timer_started = event.get("ts", self.timer_started)
        self.timer_duration = event["duration"]

    def _append(self, event: Event) -> None:
        for index, term, kind, what in event["entries"]:
            if index <= self.last_index:
                self._cut_from(index)
            if self.log and self.log[-1][2] == term:
                self.log[-1][1] = index
            else:
                self.log.append([index, index, term])
            self.recent[index] = (kind, what)
        if len(self.recent) > RECENT_ENTRIES + RECENT_ENTRIES // 4:
            self._forget_old_entries()

    def _truncate(self, event: Event) -> None:
        self._cut_from(event["from"])

    def _cut_from(self, index: int) -> None:
        while self.log and self.log[-1][0] >= index:
            self.log.pop()
        if self.log and self.log[-1][1] >= index:
            self.log[-1][1] = index - 1
        for gone in [each for each in self.recent if each >= index]:
            del self.recent[gone]

    def _forget_entries_outside(self) -> None:
        """After a whole state: what was remembered of entries that the log does not have."""
        first, last = self.first_log_index, self.last_index
        self.recent = {index: what for index, what in self.recent.items() if first <= index <= last}

    def _forget_old_entries(self) -> None:
        lowest = self.last_index - RECENT_ENTRIES
        self.recent = {index: what for index, what in self.recent.items() if index > lowest}

    def _compact(self, event: Event) -> None:
        self.first_log_index = event["first"]
        self.base_term = event.get("base_term", self.base_term)
        while self.log and self.log[0][1] < self.first_log_index:
            del self.log[0]
        if self.log:
            self.log[0][0] = max(self.log[0][0], self.first_log_index)
        self._forget_entries_outside()

    def _install(self, event: Event) -> None:
        index = event["index"]
        if not event.get("keeps_log", False):
            self.log.clear()
        self._compact({**event, "first": index + 1})
        self.commit_index = max(self.commit_index, index)
        self.last_applied = index

    def _commit(self, event: Event) -> None:
        self.commit_index = event["index"]

    def _applied(self, event: Event) -> None:
        self.last_applied = event["last"]

    def _progress(self, event: Event) -> None:
        self.next_index[event["peer"]] = event["next"]
        self.match_index[event["peer"]] = event["match"]

    def _membership(self, event: Event) -> None:
        self.members = list(event["members"])
        self.learners = list(event.get("learners", ()))
        if (
            self.role == "leader"
        ):  # it begins to look after who is new, and ends with who is gone (diss. §4.1)
            others = [member for member in self.members + self.learners if member != self.id]
            self.next_index = {peer: self.next_index.get(peer, self.last_index + 1) for peer in others}
            self.match_index = {peer: self.match_index.get(peer, 0) for peer in others}


_PLAIN = ("role", "voted_for", "leader_id", "commit_index", "last_applied", "first_log_index", "base_term")
"""What a whole state says as the fold keeps it."""

_CHANGES: Mapping[str, Callable[[NodeFold, Event], None]] = {
    "start": NodeFold._start,
    "state": NodeFold._state,
    "stop": NodeFold._stop,
    "role": NodeFold._role,
    "term": NodeFold._term,
    "vote": NodeFold._vote,
    "votes": NodeFold._votes,
    "pre_votes": NodeFold._pre_votes,
    "leader": NodeFold._leader,
    "timer": NodeFold._timer,
    "append": NodeFold._append,
    "truncate": NodeFold._truncate,
    "compact": NodeFold._compact,
    "install": NodeFold._install,
    "commit": NodeFold._commit,
    "apply": NodeFold._applied,
    "progress": NodeFold._progress,
    "membership": NodeFold._membership,
}


@dataclass(slots=True)
class Flight:
    """One message: sent, and then received, lost (with what happened to it), or still under way.

    Times are by the wall clocks of the sender and the receiver, seconds. A message whose send
    was never written, its sender killed, is known from its receipt.
    """

    id: str
    kind: str
    src: int
    dst: int
    term: int
    sent_ts: float
    received_ts: float | None = None
    lost: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def under_way(self) -> bool:
        """Neither received nor known to be lost."""
        return self.received_ts is None and self.lost is None


class Fold:
    """The whole cluster: every node, and the recent messages between them, by their ids."""

    def __init__(self) -> None:
        self.nodes: dict[int, NodeFold] = {}
        self.messages: dict[str, Flight] = {}

    def apply(self, event: Event) -> None:
        """Take the next event of the merged stream."""
        node = self.nodes.get(event["node"])
        if node is None:
            node = self.nodes[event["node"]] = NodeFold(event["node"])
        name = event["event"]
        if name == "send":
            self._sent(event)
        elif name == "receive":
            self._received(event)
        elif name == "lost":
            self._lost(event)
        elif name in ("start", "stop"):
            self._nobody_receives(event["node"], "was not running")
        node.apply(event)

    def _sent(self, event: Event) -> None:
        self._remember(
            Flight(
                event["id"],
                event["kind"],
                event["node"],
                event["to"],
                _term_of(event),
                event["ts"],
                fields=_own_fields(event),
            )
        )

    def _received(self, event: Event) -> None:
        flight = self.messages.get(event["id"])
        if flight is None:
            flight = Flight(
                event["id"],
                event["kind"],
                event["from"],
                event["node"],
                _term_of(event),
                event["sent_ts"],
                fields=_own_fields(event),
            )
            self._remember(flight)
        flight.received_ts = event["ts"]
        flight.lost = None

    def _lost(self, event: Event) -> None:
        flight = self.messages.get(event["id"])
        if flight is not None and flight.received_ts is None:
            flight.lost = event.get("why", "")

    def _nobody_receives(self, node: int, why: str) -> None:
        """What was under way to a process that is gone will not arrive at the next one."""
        for flight in self.messages.values():
            if flight.dst == node and flight.under_way:
                flight.lost = why

    def _remember(self, flight: Flight) -> None:
        self.messages[flight.id] = flight
        if len(self.messages) > RECENT_MESSAGES:
            del self.messages[next(iter(self.messages))]


_NOT_OWN = frozenset({*COMMON, "to", "from", "kind", "id", "msg_term", "sent", "sent_ts"})


def _own_fields(event: Event) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in _NOT_OWN}


def _term_of(event: Event) -> int:
    """A message's term; where its event does not tell, the term of the node that wrote it."""
    term: int = event["msg_term"] if "msg_term" in event else event["term"]
    return term


def _first_of_run(run: list[int]) -> int:
    return run[0]
