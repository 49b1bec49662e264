"""What happens in a scenario, in words that a student can check by hand.

An entry is written index@term and what it holds, a log's end index@term. simulation/words.py has
what a seed's transcript shares with these. Next: scenario.py, which writes them down.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from glassraft.jobqueue import commands
from glassraft.raft.configuration import parse_configuration
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
from glassraft.replica.arrivals import Applied, Confirmed, HandedOver, NothingReady, Result
from glassraft.simulation.calls import IN_DOUBT
from glassraft.simulation.words import (
    agreement_text,
    entries_text,
    position_text,
    request_vote_text,
    role_text,
)

REASONS: Final = {
    "term_is_stale": "stale term",
    "may_grant_vote": "voted for another",
    "candidate_log_is_up_to_date": "candidate's log is behind",
    "leader_is_alive": "hears a leader",
    "has_forgotten_whom_it_heard": "has forgotten whom it heard",
    "may_grant_pre_vote": "not a newer term",
    "not_leader": "not the leader",
    "full": "too many entries wait to be committed",
    "term_not_committed": "no entry of its term is committed yet",
    "change_under_way": "the change before is not committed yet",
    "already_member": "it is a voter",
    "not_member": "it is no member",
    "last_voter": "it is the last voter",
    "not_caught_up": "it gets entries too slowly",
    "removed": "it was removed",
    "deposed": "the leadership ended",
    "overwritten": "another entry took its place",
    "no_quorum": "no majority answers",
    "transferring": "handing over",
    "transfer_failed": "nobody else leads",
}
"""Why something was refused; what is not listed here is told by its own name."""


def reason_text(why: str) -> str:
    """Why something was refused."""
    return REASONS.get(why, why.replace("_", " "))


# Entries


def entry_text(entry: Entry) -> str:
    """An entry and what it holds: of jobs their names, of members who they are."""
    return f"{entry.index}@{entry.term} {KINDS[entry.kind](entry.command)}"


def command_text(command: str) -> str:
    """A command of the queue: the jobs that it submits, or the operation and its worker."""
    op, arguments = commands.op_of(command), json.loads(command).get("a", {})
    if op == "Submit":
        return "+".join(job["task"] for job in arguments["jobs"])
    return f"{op} {arguments['worker']}" if "worker" in arguments else op


def configuration_text(command: str) -> str:
    """Who are members."""
    configuration = parse_configuration(command)
    return members_text(configuration.voters, configuration.learners)


def members_text(voters: Sequence[int], learners: Sequence[int]) -> str:
    """Who votes, and who is still learning."""
    text = " ".join(f"n{id}" for id in voters)
    return f"({text}, learning: {' '.join(f'n{id}' for id in learners)})" if learners else f"({text})"


KINDS: Final[dict[str, Callable[[str], str]]] = {
    "noop": lambda command: "(empty)",
    "command": command_text,
    "configuration": configuration_text,
}

# Messages


def _request_vote_reply(message: RequestVoteReply) -> str:
    vote = "pre-vote" if message.pre_vote else "vote"
    return f"{vote} granted" if message.vote_granted else f"{vote} refused, {reason_text(message.why)}"


def _append_entries(message: AppendEntries) -> str:
    entries = entries_text(message.entries, entry_text)
    return f"AppendEntries prev={position_text(message.prev_log)} [{entries}]"


def _append_entries_reply(message: AppendEntriesReply) -> str:
    return agreement_text(message) or f"refused, {reason_text(message.why)}"


def _install_snapshot(message: InstallSnapshot) -> str:
    piece = "from its start" if message.offset == 0 else "going on"
    end = " to its end" if message.done else ""
    return f"InstallSnapshot last={position_text(message.snapshot.last)}, {piece}{end}"


def _install_snapshot_reply(message: InstallSnapshotReply) -> str:
    return "has the snapshot" if message.installed else "takes the piece"


TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    RequestVote: request_vote_text,
    RequestVoteReply: _request_vote_reply,
    AppendEntries: _append_entries,
    AppendEntriesReply: _append_entries_reply,
    InstallSnapshot: _install_snapshot,
    InstallSnapshotReply: _install_snapshot_reply,
    TimeoutNow: lambda message: "TimeoutNow",
    TimeoutNowReply: lambda message: "stands",
}


def message_text(message: Message) -> str:
    """Who says what to whom."""
    return f"n{message.sender} -> n{message.receiver} {TEXTS[type(message)](message)}"


# Notes


def note_text(note: Note) -> str | None:
    """What a student wants to read of a note; None for what the messages tell anyway."""
    say = NOTES.get(note.event)
    return say(note) if say is not None else None


def _truncate(note: Note) -> str:
    first, last = note.fields["first"], note.fields["last"]
    return f"removes {first}" if first == last else f"removes {first} to {last}"


def _transfer(note: Note) -> str | None:
    return f"hands over to n{note.fields['target']}" if note.fields["state"] == "begun" else None


NOTES: Final[dict[str, Callable[[Note], str | None]]] = {
    "role": role_text,
    "commit": lambda note: f"commits {note.fields['index']}",
    "truncate": _truncate,
    "membership": lambda note: f"uses {members_text(note.fields['members'], note.fields['learners'])}",
    "transfer": _transfer,
    "compact": lambda note: f"begins its log at {note.fields['first']}",
    "install": lambda note: f"goes on from the snapshot of {note.fields['index']}@{note.fields['base_term']}",
}

# Answers


def answer_text(asked: str, result: Result) -> str:
    """What who asked is told. In doubt is what may have happened, or happen still."""
    if isinstance(result, Confirmed):
        return f"answers {asked}, has applied {result.index}"
    if isinstance(result, HandedOver):
        return f"answers {asked}, n{result.leader_id} leads term {result.term}"
    if isinstance(result, NothingReady):
        return f"answers {asked}, no job is ready"
    if isinstance(result, Applied):
        return _applied_text(asked, result)
    if result.why in IN_DOUBT:
        return f"leaves {asked} in doubt, {reason_text(result.why)}"
    return f"refuses {asked}, {reason_text(result.why)}"


def _applied_text(asked: str, result: Applied) -> str:
    refusal = result.outcome.refusal
    if refusal is not None:
        return f"refuses {asked}, {reason_text(refusal.code_name)}"
    [first, *_] = (result.outcome.answer or {}).get("jobs") or [None]
    if isinstance(first, dict) and not first["ok"]:
        return f"refuses {asked}, {reason_text(first['why'])}"
    given = f", token {first[1]}" if isinstance(first, list) else ""
    return f"answers {asked}{given}"
