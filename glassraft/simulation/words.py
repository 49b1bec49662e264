"""What happens in a run, in words that a student can follow: the vocabulary of the transcripts.

An entry is written index@term and what it holds, a log's end index@term.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from glassraft.jobqueue import commands
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    LogPosition,
    Message,
    RequestVote,
    RequestVoteReply,
)
from glassraft.raft.ready import Note

WRITTEN_OUT: Final = 5
"""Of more entries than this a line shows the first and the last."""


def message_text(message: Message) -> str:
    """Who says what to whom."""
    say = TEXTS.get(type(message))
    what = say(message) if say is not None else type(message).__name__
    return f"n{message.sender} -> n{message.receiver} {what} term={message.term}"


def note_text(note: Note) -> str | None:
    """What a server did, less what its messages tell anyway; None where that is nothing."""
    say = NOTES.get(note.event)
    return say(note) if say is not None else None


def position_text(position: LogPosition) -> str:
    """A place in a log."""
    return f"{position.index}@{position.term}"


def entry_text(entry: Entry) -> str:
    """An entry: of a command of the queue its operation."""
    held = "(empty)" if entry.kind == "noop" else commands.op_of(entry.command) or entry.kind
    return f"{entry.index}@{entry.term} {held}"


def entries_text(entries: Sequence[Entry], text: Callable[[Entry], str] = entry_text) -> str:
    """Entries, each by `text`, and not all of many."""
    if len(entries) > WRITTEN_OUT:
        return f"{text(entries[0])}, ..., {text(entries[-1])}"
    return ", ".join(text(entry) for entry in entries)


def request_vote_text(message: RequestVote) -> str:
    """A candidate asks, or one that would be."""
    kind = "pre-vote" if message.pre_vote else "RequestVote"
    return f"{kind} last={position_text(message.last_log)}"


def _request_vote_reply(message: RequestVoteReply) -> str:
    vote = "pre-vote" if message.pre_vote else "vote"
    return f"{vote} granted" if message.vote_granted else f"{vote} refused ({message.why})"


def _append_entries(message: AppendEntries) -> str:
    entries, commit = entries_text(message.entries), message.leader_commit
    return f"AppendEntries prev={position_text(message.prev_log)} [{entries}] commit={commit}"


def _append_entries_reply(message: AppendEntriesReply) -> str:
    return agreement_text(message) or f"refused ({message.why})"


def agreement_text(message: AppendEntriesReply) -> str:
    """How far a follower agrees, or from where on it does not; "" where it refused for another reason."""
    if message.success:
        return f"ok, match={message.match_index}"
    if message.conflict_term:
        return f"refused, has term {message.conflict_term} from {message.conflict_index} on"
    if message.conflict_index:
        return f"refused, log ends at {message.conflict_index - 1}"
    return ""


TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    RequestVote: request_vote_text,
    RequestVoteReply: _request_vote_reply,
    AppendEntries: _append_entries,
    AppendEntriesReply: _append_entries_reply,
}


def role_text(note: Note) -> str:
    """A server changed its role."""
    if note.fields["role"] == "candidate":
        return f"stands in term {note.term}"
    if note.fields["role"] == "leader":
        return f"leads term {note.term}"
    return f"steps down from {note.fields['was']} in term {note.term}"


def _vote(note: Note) -> str:
    candidate = note.fields["candidate"]
    return (
        f"{'votes for' if note.fields['granted'] else 'refuses its vote to'} n{candidate} in term {note.term}"
    )


NOTES: Final[dict[str, Callable[[Note], str]]] = {
    "role": role_text,
    "vote": _vote,
    "append": lambda note: f"appends {entries_text(note.fields['entries'])}",
    "truncate": lambda note: f"removes {note.fields['first']} to {note.fields['last']}",
    "commit": lambda note: f"commits {note.fields['index']}",
}
