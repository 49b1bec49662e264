"""Made-up event streams: a cluster of five as the nodes would write it, without any node.

`Script` writes events with their common fields; `story` is a whole run that ends as a picture
of everything at once; `CalmCluster` is a source that goes on by the wall clock.
"""

import time
from typing import Any

from glassraft.events import Event
from glassraft.window.source import Batch, Item, Standing

MEMBERS = [1, 2, 3, 4, 5]


class Script:
    """Writes events of several nodes; `at` is the current moment, seconds after `zero`."""

    def __init__(self, zero: float = 1000.0, members: list[int] | None = None) -> None:
        self.members = members or MEMBERS
        self.zero, self.at = zero, 0.0
        self.events: list[Event] = []
        self.terms = dict.fromkeys(self.members, 0)
        self.ends = dict.fromkeys(self.members, 0)
        self.leader = 0
        self._clock = 0
        self._seqs = dict.fromkeys(self.members, 0)
        self._ids = 0

    def write(self, node: int, event: str, why: str = "", **fields: Any) -> Event:
        """One event of that node, now."""
        self._clock += 1
        self._seqs[node] += 1
        now = self.zero + self.at
        line: Event = {
            "ts": now,
            "mono": now,
            "clock": self._clock,
            "node": node,
            "seq": self._seqs[node],
            "event": event,
            "term": self.terms[node],
        }
        if why:
            line["why"] = why
        line.update(fields)
        self.events.append(line)
        return line

    def start(self, *nodes: int) -> None:
        """These nodes come up with an empty log."""
        for node in nodes:
            self.write(
                node,
                "start",
                pid=1000 + node,
                version="0",
                host="127.0.0.1",
                port=7400 + node,
                cluster="c",
                members=self.members,
                names={},
                reason="it was started",
            )
            self.write(
                node,
                "state",
                role="follower",
                voted_for=None,
                leader_id=None,
                commit_index=0,
                last_applied=0,
                last_log_index=0,
                last_log_term=0,
                first_log_index=1,
                log=[],
                peers={},
                members=self.members,
                pid=1000 + node,
            )
            self.timer(node)

    def timer(self, node: int, duration: float = 1.0) -> None:
        """An election timer starts."""
        self.write(node, "timer", "heard_leader", kind="election", duration=duration)

    def term(self, node: int, term: int) -> None:
        """The node's term rises."""
        was, self.terms[node] = self.terms[node], term
        if was != term:
            self.write(node, "term", "term_is_newer", was=was)

    def message(
        self, src: int, dst: int, kind: str, *, received: bool = True, lost: str = "", **fields: Any
    ) -> None:
        """A message and, half a millisecond later, its receipt."""
        self._ids += 1
        id, term = f"n{src}-{self._ids}", self.terms[src]
        common = {"kind": kind, "id": id, **fields, "msg_term": term}
        sent = self.write(src, "send", to=dst, **common)
        if lost:
            self.write(src, "lost", lost, to=dst, kind=kind, id=id)
        elif received:
            self.at += 0.0005
            self.write(dst, "receive", sent=sent["clock"], sent_ts=sent["ts"], **{"from": src}, **common)

    def candidate(self, node: int) -> None:
        """The node begins an election, and votes for itself."""
        self.term(node, self.terms[node] + 1)
        self.write(node, "role", "election_timeout_elapsed", role="candidate", was="follower", leader_id=None)
        self.write(node, "vote", "votes_for_itself", candidate=node, granted=True)
        self.timer(node)
        self.write(node, "votes", granted=[node], refused=[], needed=len(self.members) // 2 + 1)

    def elect(self, node: int, *voters: int) -> None:
        """The node becomes leader by these votes, and appends its empty entry."""
        self.candidate(node)
        term = self.terms[node]
        for voter in voters:
            self.message(node, voter, "RequestVote", last=[term - 1, self.ends[node]])
            self.term(voter, term)
            if self.leader == voter:
                self.write(voter, "role", "term_is_newer", role="follower", was="leader", leader_id=None)
                self.timer(voter)
            self.write(voter, "vote", "candidate_log_is_up_to_date", candidate=node, granted=True)
            self.message(voter, node, "RequestVoteReply", granted=True)
            granted = sorted([node, *voters[: voters.index(voter) + 1]])
            self.write(node, "votes", granted=granted, refused=[], needed=3)
        self.leader = node
        self.write(node, "role", "is_majority", role="leader", was="candidate", leader_id=node)
        self.append(node, 1, "noop")
        for voter in voters:
            self.write(voter, "leader", "heard_leader_of_its_term", leader_id=node)

    def append(self, node: int, count: int, what: str = "Submit", term: int | None = None) -> None:
        """Entries at the end of a node's log."""
        first = self.ends[node] + 1
        self.ends[node] += count
        kind = "noop" if what == "noop" else "command"
        rows = [[index, term or self.terms[node], kind, what] for index in range(first, first + count)]
        self.write(node, "append", entries=rows)

    def replicate(self, leader: int, follower: int, count: int = 0, what: str = "Submit", **how: Any) -> None:
        """An AppendEntries with so many entries, and its reply."""
        last = self.ends[follower]
        self.message(
            leader,
            follower,
            "AppendEntries",
            prev=[self.terms[leader], last],
            count=count,
            first=last + 1,
            commit=0,
            round=self._ids,
            **how,
        )
        if how.get("lost") or not how.get("received", True):
            return
        round = self._ids - 1
        self.timer(follower)
        if count:
            self.append(follower, count, what, self.terms[leader])
        self.message(
            follower, leader, "AppendEntriesReply", success=True, round=round, match=self.ends[follower]
        )
        if count:
            self.write(
                leader, "progress", peer=follower, next=self.ends[follower] + 1, match=self.ends[follower]
            )

    def commit(self, node: int, index: int, was: int, holders: list[int] | None = None) -> None:
        """The commit index rises."""
        extra = {"holders": holders} if holders else {}
        self.write(node, "commit", "commit_index_by_majority", index=index, was=was, **extra)

    def apply(self, node: int, first: int, last: int, *jobs: tuple[str, str, str]) -> None:
        """Entries are applied."""
        self.write(node, "apply", first=first, last=last, jobs=[list(job) for job in jobs])


def story() -> Script:
    """Fourteen seconds: three leaders, one node killed, one that lags and begins an election."""
    script = Script()
    script.start(*MEMBERS)
    script.at = 0.4
    for node in MEMBERS:
        script.term(node, 1)
    script.elect(1, 2, 3, 4, 5)
    for follower in (2, 3, 4, 5):
        script.replicate(1, follower, 1, "noop")
    for node in MEMBERS:
        script.append(node, 7, "Submit", 2)
        script.commit(node, 8, 0, MEMBERS if node == 1 else None)
    script.apply(1, 1, 8, *((f"9f2{at}", "", "ready") for at in range(7)))
    script.at = 2.9
    script.elect(4, 1, 2, 3, 5)
    for node, count in ((1, 3), (2, 3), (3, 3), (5, 2)):
        script.append(node, count, "Take", 3)
    script.append(4, 4, "Take")
    script.commit(4, 10, 8, [1, 2, 3, 4, 5])
    for node in (1, 2, 3, 5):
        script.commit(node, 11, 8)
    script.at = 7.5
    script.replicate(4, 1)
    script.at = 7.6
    script.elect(3, 1, 2)
    for node, count in ((1, 6), (2, 7), (3, 7)):
        script.append(node, count, "Complete", 4)
    for node in (1, 2, 3):
        script.commit(node, 17, 11, [1, 2, 3] if node == 3 else None)
    script.apply(3, 12, 17, ("9f20", "ready", "running"), ("9f20", "running", "succeeded"))
    for peer, following in ((1, 19), (2, 20), (4, 14), (5, 12)):
        script.write(3, "progress", peer=peer, next=following, match=following - 1)
    script.at = 11.9
    script.candidate(5)
    script.message(5, 2, "RequestVote", last=[3, 11])
    script.message(5, 3, "RequestVote", last=[3, 11])
    script.message(5, 1, "RequestVote", last=[3, 11], lost="connection broke")
    script.message(5, 4, "RequestVote", last=[3, 11], lost="connection refused")
    for node in (1, 2):
        script.timer(node, 1.1)
    script.replicate(3, 2, 3)
    script.replicate(3, 1, 1)
    script.replicate(3, 4, received=False)
    return script


class CalmCluster:
    """A live source: a leader that sends heartbeats and now and then an entry; nodes can be killed."""

    live = True

    def __init__(self, members: list[int] | None = None, jobs_per_s: float = 3.0) -> None:
        self.script = Script(0.0, members)
        self.members = self.script.members
        self.leader = self.members[len(self.members) // 2]
        self.gone: dict[int, str] = {}
        self._jobs_per_s = jobs_per_s
        self._taken = 0
        self._beat = self._entry = 0.0
        self._committed = 0
        self._standings: list[Standing] = [Standing(id, "running", 0.0) for id in self.members]

    def start(self) -> None:
        """Elect a leader at once."""
        script = self.script
        script.at = time.time()
        script.start(*self.members)
        followers = [id for id in self.members if id != self.leader]
        script.elect(self.leader, *followers)
        self._entry = self._beat = script.at

    def kill(self, id: int, state: str = "refusing") -> None:
        """The node is gone from now on; "silent" for one that is paused."""
        self.gone[id] = state
        self._standings.append(Standing(id, state, time.time()))  # type: ignore[arg-type]

    def back(self, id: int) -> None:
        """The node is there again."""
        if self.gone.pop(id) == "refusing":
            self.script.start(id)
            self.script.ends[id] = 0
            self.script.term(id, self.script.terms[self.leader])
            self.script.append(id, self.script.ends[self.leader], term=self.script.terms[self.leader])
        self._standings.append(Standing(id, "running", time.time()))

    def take(self) -> list[Item]:
        """What has happened since."""
        self._go_on(time.time())
        fresh = self.script.events[self._taken :]
        self._taken = len(self.script.events)
        standings, self._standings = self._standings, []
        items: list[Item] = list(standings)
        for id in self.members:
            events = [event for event in fresh if event["node"] == id]
            if events:
                items.append(Batch(id, events, time.time()))
        return items

    def stop(self) -> None:
        """Nothing to end."""

    def _go_on(self, now: float) -> None:
        script = self.script
        script.at = max(script.at, now)
        if self.leader in self.gone:
            return
        others = [id for id in self.members if id != self.leader and id not in self.gone]
        if now - self._beat >= 0.1:
            self._beat = now
            for follower in self.members:
                if follower in others:
                    script.replicate(self.leader, follower)
                elif follower != self.leader:
                    lost = "connection refused" if self.gone[follower] == "refusing" else ""
                    script.replicate(self.leader, follower, lost=lost, received=False)
        if now - self._entry >= 1 / self._jobs_per_s:
            self._entry = now
            script.append(self.leader, 1)
            for follower in others:
                script.replicate(self.leader, follower, script.ends[self.leader] - script.ends[follower])
            last = script.ends[self.leader]
            job = f"9f2{last % 10}"
            for id in (self.leader, *others):
                script.commit(
                    id, last, self._committed, [self.leader, *others] if id == self.leader else None
                )
                script.apply(id, self._committed + 1, last, (job, "", "ready"))
            self._committed = last
