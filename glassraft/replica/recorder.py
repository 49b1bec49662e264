"""Writes down what happened: the server's notes and the messages, as events of the structured log.

This is the one place that knows both the core's words and the log's (docs/events.md).
Next: turn.py, which calls it in the order in which things happen.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from glassraft.events.writer import EventWriter
from glassraft.jobqueue import ids
from glassraft.jobqueue.commands import op_of
from glassraft.jobqueue.machine import Outcome
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TimeoutNowReply,
)
from glassraft.raft.ready import Note
from glassraft.replica.arrivals import Origin
from glassraft.replica.tallies import Tallies

KINDS: dict[type, str] = {
    RequestVote: "RequestVote",
    RequestVoteReply: "RequestVoteReply",
    AppendEntries: "AppendEntries",
    AppendEntriesReply: "AppendEntriesReply",
    InstallSnapshot: "InstallSnapshot",
    InstallSnapshotReply: "InstallSnapshotReply",
    TimeoutNow: "TimeoutNow",
    TimeoutNowReply: "TimeoutNowReply",
}


def _request_vote(message: RequestVote) -> dict[str, Any]:
    fields: dict[str, Any] = {"last": [message.last_log.term, message.last_log.index]}
    if message.pre_vote:
        fields["pre_vote"] = True
    if message.transfer:
        fields["transfer"] = True
    return fields


def _request_vote_reply(message: RequestVoteReply) -> dict[str, Any]:
    fields: dict[str, Any] = {"granted": message.vote_granted}
    if message.pre_vote:
        fields["pre_vote"] = True
    return fields


def _append_entries(message: AppendEntries) -> dict[str, Any]:
    return {
        "prev": [message.prev_log.term, message.prev_log.index],
        "count": len(message.entries),
        "first": message.prev_log.index + 1,
        "commit": message.leader_commit,
        "round": message.round,
    }


def _append_entries_reply(message: AppendEntriesReply) -> dict[str, Any]:
    return {
        "success": message.success,
        "round": message.round,
        "match": message.match_index,
        "conflict": [message.conflict_term, message.conflict_index],
    }


def _install_snapshot(message: InstallSnapshot) -> dict[str, Any]:
    last = message.snapshot.last
    return {
        "last": [last.term, last.index],
        "snapshot": message.snapshot.id,
        "size": message.snapshot.size,
        "offset": message.offset,
        "count": len(message.data),
        "done": message.done,
        "round": message.round,
    }


def _install_snapshot_reply(message: InstallSnapshotReply) -> dict[str, Any]:
    return {"offset": message.offset, "installed": message.installed, "round": message.round}


def _nothing_more(message: TimeoutNow | TimeoutNowReply) -> dict[str, Any]:
    return {}


FIELDS: dict[type, Callable[[Any], dict[str, Any]]] = {
    RequestVote: _request_vote,
    RequestVoteReply: _request_vote_reply,
    AppendEntries: _append_entries,
    AppendEntriesReply: _append_entries_reply,
    InstallSnapshot: _install_snapshot,
    InstallSnapshotReply: _install_snapshot_reply,
    TimeoutNow: _nothing_more,
    TimeoutNowReply: _nothing_more,
}


class Recorder:
    """Turns what the core and the turn do into events.

    `term()` gives the server's current term. `life` is told apart from this node's earlier lives, so
    that no message id comes again, even where a kill kept the log from having all of them.
    """

    def __init__(self, node: int, writer: EventWriter, term: Callable[[], int], life: str = "0") -> None:
        self.writer = writer
        self._term = term
        self._prefix = f"n{node}-{life}-"
        self._sent = 0
        self.tallies = Tallies()

    def next_message_id(self) -> str:
        """An id that no other message of this node ever had or will have."""
        self._sent += 1
        return f"{self._prefix}{self._sent}"

    def sent(self, message: Message, id: str) -> None:
        """A message goes out now."""
        kind = type(message)
        self.tallies.sent[KINDS[kind]] += 1
        fields = FIELDS[kind](message)
        why = (
            message.why
            if isinstance(message, RequestVoteReply | AppendEntriesReply | InstallSnapshotReply)
            else ""
        )
        self.writer.write(
            "send",
            self._term(),
            why,
            to=message.receiver,
            kind=KINDS[kind],
            id=id,
            msg_term=message.term,
            **fields,
        )

    def received(self, message: Message, origin: Origin) -> None:
        """A message came in; everything recorded from now on is after its sending."""
        self.writer.heard(origin.clock)
        kind = type(message)
        self.tallies.received[KINDS[kind]] += 1
        fields = FIELDS[kind](message)
        fields["from"] = message.sender
        self.writer.write(
            "receive",
            self._term(),
            kind=KINDS[kind],
            id=origin.id,
            sent=origin.clock,
            sent_ts=origin.wall_ms / 1000,
            msg_term=message.term,
            **fields,
        )

    def lost(self, message: Message, id: str, why: str) -> None:
        """The network gave up on a message."""
        self.tallies.lost[KINDS[type(message)]] += 1
        self.writer.write("lost", self._term(), why, to=message.receiver, kind=KINDS[type(message)], id=id)

    def notes(self, notes: Iterable[Note]) -> None:
        """What the server noted since the last call."""
        for note in notes:
            fields = note.fields
            if note.event == "append":
                fields = {"entries": _summaries(fields["entries"])}
            elif note.event == "truncate":
                fields = {"from": fields["first"], "last": fields["last"]}
            self.writer.write(note.event, note.term, note.why, **fields)

    def applied(self, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """Entries were applied, and jobs changed their states."""
        jobs = [
            [ids.to_text(number), was, state]
            for outcome in outcomes
            for number, was, state in outcome.transitions
        ]
        self.writer.write("apply", self._term(), first=entries[0].index, last=entries[-1].index, jobs=jobs)
        for outcome in outcomes:
            for name, due_ms, what, job, reason in outcome.schedule_events:
                more: dict[str, Any] = {"due_ms": due_ms, "job": job or None, "reason": reason or None}
                given = {key: value for key, value in more.items() if value is not None}
                self.writer.write("schedule", self._term(), schedule=name, what=what, **given)


def _summaries(entries: Sequence[Entry]) -> list[list[Any]]:
    return [[entry.index, entry.term, entry.kind, _what(entry)] for entry in entries]


def _what(entry: Entry) -> str:
    return "Configuration" if entry.kind == "configuration" else op_of(entry.command)
