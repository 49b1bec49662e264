"""What the tests of events share: a node in plain lists that writes the events of what it does."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from glassraft.events import EventWriter


@dataclass
class ModelNode:
    """A node without Raft: its log is a list of terms, and each method does one thing and says so."""

    id: int
    path: pathlib.Path | None
    max_bytes: int = 1 << 30
    keep: int = 3
    ring: int = 1000
    members: list[int] = field(default_factory=lambda: [1, 2, 3])
    pid: int = 100
    term: int = 0
    role: str = "follower"
    voted_for: int | None = None
    leader_id: int | None = None
    commit: int = 0
    applied: int = 0
    terms: list[int] = field(default_factory=list)
    peers: dict[int, list[int]] = field(default_factory=dict)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.writer = EventWriter(
            self.id,
            self.path,
            max_bytes=self.max_bytes,
            keep=self.keep,
            ring=self.ring,
            whole_state=self.whole_state,
            now=self._tick,
            mono=lambda: self.now - 900.0,
        )

    def _tick(self) -> float:
        self.now += 0.001
        return self.now

    def whole_state(self) -> dict[str, object]:
        runs: list[list[int]] = []
        for index, term in enumerate(self.terms, 1):
            if runs and runs[-1][2] == term:
                runs[-1][1] = index
            else:
                runs.append([index, index, term])
        return {
            "term": self.term,
            "role": self.role,
            "voted_for": self.voted_for,
            "leader_id": self.leader_id,
            "commit_index": self.commit,
            "last_applied": self.applied,
            "last_log_index": len(self.terms),
            "last_log_term": self.terms[-1] if self.terms else 0,
            "first_log_index": 1,
            "base_term": 0,
            "log": runs,
            "peers": {str(peer): list(row) for peer, row in self.peers.items()},
            "members": list(self.members),
            "learners": [],
            "pid": self.pid,
        }

    def write(self, event: str, why: str = "", **fields: object) -> None:
        self.writer.write(event, self.term, why, **fields)

    def start(self) -> None:
        self.role, self.leader_id, self.peers = "follower", None, {}
        self.write(
            "start", pid=self.pid, version="0.1.0", host="127.0.0.1", port=7400 + self.id, cluster="c",
            members=self.members, names={str(m): f"h:{7400 + m}" for m in self.members}, reason="asked",
        )  # fmt: skip

    def stop(self) -> None:
        self.role, self.leader_id, self.peers = "follower", None, {}
        self.write("stop", reason="SIGTERM")

    def kill_and_restart(self) -> None:
        """A new process on the same file; what was not flushed is gone, as with kill -9."""
        self.pid += 1
        self.commit = self.applied
        self.open()
        self.start()

    def campaign(self) -> None:
        was, self.term = self.term, self.term + 1
        self.voted_for, self.leader_id = None, None
        self.write("term", was=was)
        if self.role != "candidate":
            was_role, self.role, self.peers = self.role, "candidate", {}
            self.write("role", "election_timeout_elapsed", role="candidate", was=was_role, leader_id=None)
        self.voted_for = self.id
        self.write("vote", candidate=self.id, granted=True)
        self.write("votes", granted=[self.id], refused=[], needed=2)

    def win(self) -> None:
        if self.role != "candidate":
            return
        self.role, self.leader_id = "leader", self.id
        self.peers = {m: [len(self.terms) + 1, 0] for m in self.members if m != self.id}
        self.write("role", "majority_granted", role="leader", was="candidate", leader_id=self.id)
        self.append(1, "noop")

    def follow(self, leader: int) -> None:
        if self.role != "follower":
            was, self.role, self.peers, self.leader_id = self.role, "follower", {}, leader
            self.write("role", "stale_term", role="follower", was=was, leader_id=leader)
        else:
            self.leader_id = leader
            self.write("leader", leader_id=leader)

    def append(self, count: int, kind: str = "command") -> None:
        first = len(self.terms) + 1
        self.terms += [self.term] * count
        what = "Noop" if kind == "noop" else "Submit"
        self.write("append", entries=[[first + n, self.term, kind, what] for n in range(count)])

    def truncate(self, count: int) -> None:
        first = max(self.commit, len(self.terms) - count) + 1
        if first <= len(self.terms):
            self.write("truncate", "conflicting_entry", **{"from": first, "last": len(self.terms)})
            del self.terms[first - 1 :]

    def commit_to(self, index: int) -> None:
        if index > self.commit and index <= len(self.terms):
            self.write("commit", index=index, was=self.commit)
            first, self.commit, self.applied = self.applied + 1, index, index
            self.write("apply", first=first, last=index, jobs=[[f"j{index}", "", "ready"]])

    def progress(self, peer: int, match: int) -> None:
        if self.role == "leader" and peer in self.peers:
            self.peers[peer] = [match + 1, match]
            self.write("progress", peer=peer, next=match + 1, match=match)


@pytest.fixture
def model(tmp_path: pathlib.Path) -> Callable[..., ModelNode]:
    """Makes a model node that writes into the test's folder: model(1, max_bytes=...)."""

    def make(node: int = 1, **options: Any) -> ModelNode:
        return ModelNode(node, tmp_path / f"node-{node}.jsonl", **options)

    return make
