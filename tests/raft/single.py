"""One server by itself, so that a test can say each message that reaches it and see all that it does.

`Single` carries out `Ready` like world.py does, with a disk that is written at once. Logs are
given as terms by index: `terms=[1, 1, 2]`. The makers below fill in what a test does not care for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from glassraft.raft.assertions import Assertions
from glassraft.raft.log import TAIL_BYTES
from glassraft.raft.messages import (
    EMPTY_LOG,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    LogPosition,
    Message,
    RequestVote,
    RequestVoteReply,
)
from glassraft.raft.ready import (
    Chunk,
    Event,
    HardState,
    Installation,
    Note,
    Placed,
    Ready,
    Refused,
    Settings,
    TimeIs,
    Transferred,
)
from glassraft.raft.rules import Rules
from glassraft.raft.server import Server
from tests.raft.world import AS_PRINTED, Disk

ME = 1
M = TypeVar("M", bound=Message)


def entry(index: int, term: int, command: str = "x") -> Entry:
    """A command's entry."""
    return Entry(index, term, "command", command)


def entries(*terms: int, first: int = 1) -> tuple[Entry, ...]:
    """Entries from `first` on with these terms."""
    return tuple(entry(first + number, term) for number, term in enumerate(terms))


def request_vote(sender: int = 2, term: int = 1, last: tuple[int, int] = (0, 0)) -> RequestVote:
    """`last` is (index, term)."""
    return RequestVote(sender, ME, term, LogPosition(last[1], last[0]))


def ask_pre_vote(sender: int = 2, term: int = 1, last: tuple[int, int] = (0, 0)) -> RequestVote:
    """Would you vote for me in this term? `last` is (index, term)."""
    return RequestVote(sender, ME, term, LogPosition(last[1], last[0]), pre_vote=True, round=1)


def pre_vote(sender: int = 2, term: int = 0, granted: bool = True, round: int = 1) -> RequestVoteReply:
    """`term` is the voter's."""
    return RequestVoteReply(sender, ME, term, granted, pre_vote=True, round=round)


def vote(sender: int = 2, term: int = 1, granted: bool = True) -> RequestVoteReply:
    return RequestVoteReply(sender, ME, term, granted)


def append_entries(
    sender: int = 2,
    term: int = 1,
    prev: tuple[int, int] = (0, 0),
    entries: Sequence[Entry] = (),
    commit: int = 0,
    round: int = 1,
) -> AppendEntries:
    """`prev` is (index, term)."""
    return AppendEntries(sender, ME, term, LogPosition(prev[1], prev[0]), tuple(entries), commit, round)


def ok(sender: int, term: int, match: int, round: int) -> AppendEntriesReply:
    return AppendEntriesReply(sender, ME, term, True, round, match_index=match)


def refusal(
    sender: int,
    term: int,
    round: int,
    conflict: tuple[int, int] = (0, 0),
    why: str = "log_holds_previous_entry",
) -> AppendEntriesReply:
    """`conflict` is (index, term)."""
    return AppendEntriesReply(
        sender, ME, term, False, round, conflict_term=conflict[1], conflict_index=conflict[0], why=why
    )


@dataclass
class Done:
    """All that a server did about some events."""

    messages: list[Message] = field(default_factory=list)
    committed: list[Entry] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    reads: list[Any] = field(default_factory=list)
    transferred: list[Transferred] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """What is to be done beside the turns: "sync", "snapshot", "drop" or "check"."""
    installs: list[Installation] = field(default_factory=list)

    def to(self, receiver: int) -> list[Message]:
        """The messages to one server."""
        return [message for message in self.messages if message.receiver == receiver]

    def the(self, kind: type[M], receiver: int = 2) -> M:
        """The one message of this kind to this receiver."""
        (found,) = (message for message in self.to(receiver) if isinstance(message, kind))
        return found


class Single:
    """Server n1 of a cluster, with its disk."""

    def __init__(
        self,
        size: int = 3,
        *,
        terms: Sequence[int] = (),
        term: int = 0,
        voted_for: int | None = None,
        applied: int = 0,
        settings: Settings = AS_PRINTED,
        rules: Rules | None = None,
        assertions: Assertions | None = None,
        tail_entries: int = 10_000,
        snapshot: bytes = b"",
    ) -> None:
        """`snapshot`: what it has made, once it has made one."""
        self.disk = Disk(HardState(term, voted_for), list(entries(*terms)))
        self.now = 0.0
        self.server = Server(
            ME,
            range(1, size + 1),
            random=Random(1),
            hard_state=self.disk.hard_state,
            log=self.disk.open_log(tail_entries, TAIL_BYTES),
            applied=applied,
            settings=settings,
            rules=rules,
            assertions=assertions,
            read_chunk=lambda meta, offset, size: snapshot[offset : offset + size],
        )
        self.server.take_notes()

    def leads(self) -> bool:
        """Whether it is leader now."""
        return self.server.role == "leader"

    @property
    def terms(self) -> list[int]:
        """The log as terms by index."""
        log = self.server.log
        return [log.term_at(index) for index in range(1, log.last_index + 1)]

    def step(self, *events: Event) -> Done:
        """Take in the events together, then do what comes of them."""
        for event in events:
            self.server.step(event, self.now)
        return self.carry_out()

    def carry_out(self) -> Done:
        """Ready by Ready, until nothing is left to do."""
        done = Done()
        while not (ready := self.ready()).is_empty:
            done.messages += ready.messages_now
            self.persist(ready)
            done.messages += ready.messages_after
            done.placed += ready.placed
            done.refused += ready.refused
            done.committed += ready.committed
            done.reads += ready.reads
            done.chunks += ready.chunks
            done.installs += [ready.install] if ready.install else []
            self.look_after_log(ready, done)
            done.transferred += ready.transferred
        done.notes = self.server.take_notes()
        return done

    def look_after_log(self, ready: Ready, done: Done) -> None:
        """Cut the disk's log; the rest is told to the test."""
        if ready.compact_to is not None:
            self.disk.compact(ready.compact_to)
        wanted = {
            "sync": ready.sync_wanted,
            "drop": ready.drop_snapshot,
            "snapshot": ready.snapshot_wanted,
            "check": ready.check is not None,
        }
        done.asked += [name for name, is_wanted in wanted.items() if is_wanted]

    def ready(self) -> Ready:
        return self.server.ready()

    def persist(self, ready: Ready) -> None:
        """Write it, and tell the server."""
        if ready.must_persist:
            last = ready.install.snapshot.last if ready.install else EMPTY_LOG
            self.disk.save(ready, entries(*[last.term] * last.index))
            self.server.step(self.disk.persisted(), self.now)

    def wait(self, seconds: float) -> Done:
        """Time passes."""
        self.now += seconds
        return self.step(TimeIs())

    def time_out(self) -> Done:
        """Time passes until the next timer runs out."""
        self.now = max(self.now, self.server.next_deadline)
        return self.step(TimeIs())

    def lead(self) -> Done:
        """Become leader, by everybody's vote."""
        self.time_out()
        if self.server.pre_vote is not None:
            self.step(*(pre_vote(peer, round=self.server.pre_vote.round) for peer in self.server.peers))
        return self.step(*(vote(peer, self.server.current_term) for peer in self.server.peers))


def leader(size: int = 3, **options: Any) -> Single:
    """A server that leads, and whose followers hold all that it has."""
    single = Single(size, **options)
    single.lead()
    server = single.server
    single.step(
        *(ok(peer, server.current_term, server.log.last_index, server.round) for peer in server.peers)
    )
    for progress in server.progress.values():
        progress.round_under_way = None
    single.step()
    return single
