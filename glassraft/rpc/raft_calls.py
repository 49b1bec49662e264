"""The paper's messages as XML-RPC calls and replies, and back again.

A call has the paper's parameters in the paper's order and spelling (Figure 2) and ends with
one struct of what the transport adds; a reply is one struct. What arrives is checked here, so
that `Server` is given sound values only. Next: replica/peers.py, which sends them; docs/wire.md.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glassraft.errors import BadArgument
from glassraft.json_encoder import make_encoder
from glassraft.raft.configuration import addresses_in, configuration_text, parse_configuration
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    EntryKind,
    InstallSnapshot,
    InstallSnapshotReply,
    LogPosition,
    RequestVote,
    RequestVoteReply,
    SnapshotMeta,
    TimeoutNow,
    TimeoutNowReply,
)

INT64_MAX = 2**63 - 1

Request = RequestVote | AppendEntries | InstallSnapshot | TimeoutNow
Reply = RequestVoteReply | AppendEntriesReply | InstallSnapshotReply | TimeoutNowReply

REQUEST_VOTE_SIGNATURE = ("struct", "int", "int", "int", "int", "struct")
APPEND_ENTRIES_SIGNATURE = ("struct", "int", "int", "int", "int", "string", "int", "struct")
INSTALL_SNAPSHOT_SIGNATURE = (
    "struct",
    "int",
    "int",
    "int",
    "int",
    "int",
    "base64",
    "boolean",
    "struct",
)
TIMEOUT_NOW_SIGNATURE = ("struct", "int", "int", "struct")
"""The result's type and the parameters', as `rpc.server.Method` wants them; all are required."""


@dataclass(frozen=True, slots=True)
class Context:
    """What travels with every message beside the paper's parameters.

    `id` names the message ("n1-19ab3f0c2d1-1234"), the same in the sender's and the receiver's events;
    `clock` is the sender's Lamport clock, `wall_ms` its wall clock in milliseconds since the
    epoch, `cluster` the cluster's id. A heartbeat also says up to which index the sender has
    `applied`, and the `digest` of its queue there, so that two nodes that differ are found.
    """

    id: str
    clock: int
    wall_ms: int
    sender: int
    cluster: str
    applied: int = 0
    digest: str = ""

    def to_struct(self) -> dict[str, Any]:
        """As it goes onto the wire."""
        struct = {
            "id": self.id,
            "clock": self.clock,
            "wallMs": self.wall_ms,
            "sender": self.sender,
            "cluster": self.cluster,
        }
        if self.digest:
            struct["applied"] = self.applied
            struct["digest"] = self.digest
        return struct

    @classmethod
    def from_struct(cls, struct: Mapping[str, Any]) -> "Context":
        """Read and check it. BadArgument names the field that is wrong."""
        return cls(
            id=_text(struct, "id"),
            clock=_natural(struct, "clock"),
            wall_ms=_natural(struct, "wallMs"),
            sender=_natural(struct, "sender"),
            cluster=_text(struct, "cluster"),
            applied=_natural(struct, "applied") if "applied" in struct else 0,
            digest=_text(struct, "digest") if "digest" in struct else "",
        )


# --- Calls -----------------------------------------------------------------------------------


def to_call(message: Request, context: Context) -> tuple[str, tuple[Any, ...]]:
    """The method's name and the parameters that carry `message`."""
    struct = context.to_struct()
    if isinstance(message, RequestVote):
        last = message.last_log
        if message.pre_vote:
            struct["preVote"] = True
            struct["round"] = message.round
        if message.transfer:
            struct["transfer"] = True
        return "RequestVote", (message.term, message.sender, last.index, last.term, struct)
    if isinstance(message, InstallSnapshot):
        return "InstallSnapshot", _install_snapshot_params(message, struct)
    if isinstance(message, TimeoutNow):
        return "TimeoutNow", (message.term, message.sender, struct)
    struct["round"] = message.round
    prev = message.prev_log
    entries = entries_text(message.entries)
    params = (message.term, message.sender, prev.index, prev.term, entries, message.leader_commit, struct)
    return "AppendEntries", params


def _install_snapshot_params(message: InstallSnapshot, struct: dict[str, Any]) -> tuple[Any, ...]:
    snapshot = message.snapshot
    struct["round"] = message.round
    struct["snapshot"] = snapshot.id
    struct["size"] = snapshot.size
    struct["sha256"] = snapshot.sha256
    struct["configuration"] = configuration_text(snapshot.configuration, {}, 0)
    struct["configurationIndex"] = snapshot.configuration_index
    last = snapshot.last
    return (
        message.term,
        message.sender,
        last.index,
        last.term,
        message.offset,
        message.data,
        message.done,
        struct,
    )


def from_call(method: str, params: Sequence[Any], receiver: int) -> tuple[Request, Context]:
    """The message that a call carries. BadArgument where it is none that a sound server sends."""
    read = _REQUESTS.get(method)
    if read is None:
        raise BadArgument(f"{method!r} is not one of Raft's calls: {', '.join(_REQUESTS)}")
    return read(params, receiver)


def _from_request_vote(params: Sequence[Any], receiver: int) -> tuple[RequestVote, Context]:
    if len(params) != 5 or type(params[4]) is not dict:
        raise BadArgument("RequestVote takes term, candidateId, lastLogIndex, lastLogTerm and a struct")
    named = dict(zip(("term", "candidateId", "lastLogIndex", "lastLogTerm"), params, strict=False))
    last_log = LogPosition(_natural(named, "lastLogTerm"), _natural(named, "lastLogIndex"))
    context = Context.from_struct(params[4])
    message = RequestVote(
        sender=_sender(named, "candidateId", context),
        receiver=receiver,
        term=_natural(named, "term"),
        last_log=last_log,
        pre_vote=_mark(params[4], "preVote"),
        transfer=_mark(params[4], "transfer"),
        round=_natural(params[4], "round") if "round" in params[4] else 0,
    )
    return message, context


def _from_append_entries(params: Sequence[Any], receiver: int) -> tuple[AppendEntries, Context]:
    if len(params) != 7 or type(params[6]) is not dict:
        raise BadArgument(
            "AppendEntries takes term, leaderId, prevLogIndex, prevLogTerm, entries, leaderCommit, a struct"
        )
    names = ("term", "leaderId", "prevLogIndex", "prevLogTerm", "entries", "leaderCommit")
    named = dict(zip(names, params, strict=False))
    prev_log = LogPosition(_natural(named, "prevLogTerm"), _natural(named, "prevLogIndex"))
    term = _natural(named, "term")
    context = Context.from_struct(params[6])
    message = AppendEntries(
        sender=_sender(named, "leaderId", context),
        receiver=receiver,
        term=term,
        prev_log=prev_log,
        entries=parse_entries(_text(named, "entries"), prev_log, term),
        leader_commit=_natural(named, "leaderCommit"),
        round=_natural(params[6], "round"),
    )
    return message, context


def _from_install_snapshot(params: Sequence[Any], receiver: int) -> tuple[InstallSnapshot, Context]:
    if len(params) != 8 or type(params[5]) is not bytes or type(params[7]) is not dict:
        raise BadArgument(
            "InstallSnapshot takes term, leaderId, lastIncludedIndex, lastIncludedTerm, offset, data, done, a struct"
        )
    names = ("term", "leaderId", "lastIncludedIndex", "lastIncludedTerm", "offset", "data", "done")
    named = dict(zip(names, params, strict=False))
    context = Context.from_struct(params[7])
    snapshot = _snapshot(named, params[7])
    offset, data, done = _natural(named, "offset"), params[5], _truth(named, "done")
    end = offset + len(data)
    if end > snapshot.size or done != (end == snapshot.size):
        raise BadArgument(
            f"a chunk from {offset} to {end}, done: {done}, does not fit a snapshot of {snapshot.size}"
        )
    message = InstallSnapshot(
        sender=_sender(named, "leaderId", context),
        receiver=receiver,
        term=_natural(named, "term"),
        snapshot=snapshot,
        offset=offset,
        data=data,
        done=done,
        round=_natural(params[7], "round"),
    )
    return message, context


def _snapshot(named: Mapping[str, Any], struct: Mapping[str, Any]) -> SnapshotMeta:
    try:
        configuration = parse_configuration(_text(struct, "configuration"))
    except ValueError as error:
        raise BadArgument(f"configuration: {error}") from None
    return SnapshotMeta(
        last=LogPosition(_natural(named, "lastIncludedTerm"), _natural(named, "lastIncludedIndex")),
        id=_text(struct, "snapshot"),
        size=_natural(struct, "size"),
        sha256=_text(struct, "sha256"),
        configuration=configuration,
        configuration_index=_natural(struct, "configurationIndex"),
    )


def _from_timeout_now(params: Sequence[Any], receiver: int) -> tuple[TimeoutNow, Context]:
    if len(params) != 3 or type(params[2]) is not dict:
        raise BadArgument("TimeoutNow takes term, leaderId and a struct")
    named = dict(zip(("term", "leaderId"), params, strict=False))
    context = Context.from_struct(params[2])
    return TimeoutNow(_sender(named, "leaderId", context), receiver, _natural(named, "term")), context


_REQUESTS: Mapping[str, Callable[[Sequence[Any], int], tuple[Request, Context]]] = {
    "RequestVote": _from_request_vote,
    "AppendEntries": _from_append_entries,
    "InstallSnapshot": _from_install_snapshot,
    "TimeoutNow": _from_timeout_now,
}


def _sender(named: Mapping[str, Any], name: str, context: Context) -> int:
    sender = _natural(named, name)
    if not sender:
        raise BadArgument(f"{name} must be a node's id, from 1 on")
    if sender != context.sender:
        raise BadArgument(f"{name} is {sender}, but the struct's sender is {context.sender}")
    return sender


# --- Entries ---------------------------------------------------------------------------------

_encode = make_encoder()
_KINDS = ("noop", "command", "configuration")
_latest: tuple[Entry | None, Entry | None, int, str] = (None, None, 0, "")
"""What was encoded last: a leader sends the same entries to each of its peers."""


def entries_text(entries: Sequence[Entry]) -> str:
    """Entries as one JSON text, [[index, term, kind, command], ...]: a seventh of the cost of structs."""
    if not entries:
        return "[]"
    global _latest
    first, last, count, text = _latest
    if entries[0] is not first or entries[-1] is not last or len(entries) != count:
        text = _encode([(entry.index, entry.term, entry.kind, entry.command) for entry in entries])
        _latest = (entries[0], entries[-1], len(entries), text)
    return text


def parse_entries(text: str, prev_log: LogPosition, term: int) -> tuple[Entry, ...]:
    """Read `entries_text`. BadArgument unless indexes follow `prev_log` and terms never fall."""
    if text == "[]":
        return ()
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadArgument(f"entries is not JSON: {error}") from None
    if type(rows) is not list:
        raise BadArgument("entries must be a JSON list of [index, term, kind, command]")
    entries = []
    index, lowest = prev_log.index, prev_log.term
    for row in rows:
        index += 1
        entry = _entry(row)
        if entry.index != index or not lowest <= entry.term <= term:
            raise BadArgument(
                f"entries holds index {entry.index} of term {entry.term} where index {index} of a term from "
                f"{lowest} to {term} is due"
            )
        lowest = entry.term
        entries.append(entry)
    return tuple(entries)


def _entry(row: Any) -> Entry:
    if type(row) is not list or len(row) != 4:
        raise BadArgument(f"entries holds {str(row)[:60]!r}, which is not [index, term, kind, command]")
    index, term, kind, command = row
    if type(index) is not int or type(term) is not int or type(command) is not str or index > INT64_MAX:
        raise BadArgument(f"entries holds {str(row)[:60]!r}, with a field of the wrong type")
    if kind not in _KINDS:
        raise BadArgument(f"entries holds the kind {str(kind)[:40]!r}; known are {', '.join(_KINDS)}")
    if kind == "configuration":
        _check_configuration(command)
    known: EntryKind = kind
    return Entry(index, term, known, command)


def _check_configuration(command: str) -> None:
    try:
        parse_configuration(command)
        addresses_in(command)
    except (ValueError, RecursionError) as error:
        raise BadArgument(f"entries holds {error}") from None


# --- Replies ---------------------------------------------------------------------------------


def to_reply(reply: Reply, context: Context) -> dict[str, Any]:
    """The struct that answers a call."""
    struct = context.to_struct()
    struct["term"] = reply.term
    if isinstance(reply, TimeoutNowReply):
        return struct
    struct["why"] = reply.why
    if isinstance(reply, RequestVoteReply):
        struct["voteGranted"] = reply.vote_granted
        if reply.pre_vote:
            struct["preVote"] = True
            struct["round"] = reply.round
        return struct
    if isinstance(reply, InstallSnapshotReply):
        struct["round"] = reply.round
        struct["offset"] = reply.offset
        struct["installed"] = reply.installed
        return struct
    struct["success"] = reply.success
    struct["round"] = reply.round
    struct["matchIndex"] = reply.match_index
    if not reply.success:
        struct["conflictTerm"] = reply.conflict_term
        struct["conflictIndex"] = reply.conflict_index
    return struct


def from_reply(request_kind: str, struct: Any, receiver: int) -> tuple[Reply, Context]:
    """The reply to a call of the method `request_kind`. BadArgument where it is none."""
    read = _REPLIES.get(request_kind)
    if read is None:
        raise BadArgument(f"{request_kind!r} is not one of Raft's calls: {', '.join(_REPLIES)}")
    if type(struct) is not dict:
        raise BadArgument(f"the reply to {request_kind} must be a struct, not {str(struct)[:60]!r}")
    context = Context.from_struct(struct)
    return read(struct, context.sender, receiver), context


def _vote_reply(struct: Mapping[str, Any], sender: int, receiver: int) -> RequestVoteReply:
    return RequestVoteReply(
        sender=sender,
        receiver=receiver,
        term=_natural(struct, "term"),
        vote_granted=_truth(struct, "voteGranted"),
        why=_text(struct, "why"),
        pre_vote=_mark(struct, "preVote"),
        round=_natural(struct, "round") if "round" in struct else 0,
    )


def _append_reply(struct: Mapping[str, Any], sender: int, receiver: int) -> AppendEntriesReply:
    success = _truth(struct, "success")
    return AppendEntriesReply(
        sender=sender,
        receiver=receiver,
        term=_natural(struct, "term"),
        success=success,
        round=_natural(struct, "round"),
        match_index=_natural(struct, "matchIndex"),
        conflict_term=0 if success else _natural(struct, "conflictTerm"),
        conflict_index=0 if success else _natural(struct, "conflictIndex"),
        why=_text(struct, "why"),
    )


def _install_reply(struct: Mapping[str, Any], sender: int, receiver: int) -> InstallSnapshotReply:
    return InstallSnapshotReply(
        sender=sender,
        receiver=receiver,
        term=_natural(struct, "term"),
        round=_natural(struct, "round"),
        offset=_natural(struct, "offset"),
        installed=_truth(struct, "installed"),
        why=_text(struct, "why"),
    )


def _timeout_now_reply(struct: Mapping[str, Any], sender: int, receiver: int) -> TimeoutNowReply:
    return TimeoutNowReply(sender, receiver, _natural(struct, "term"))


_REPLIES: Mapping[str, Callable[[Mapping[str, Any], int, int], Reply]] = {
    "RequestVote": _vote_reply,
    "AppendEntries": _append_reply,
    "InstallSnapshot": _install_reply,
    "TimeoutNow": _timeout_now_reply,
}


# --- Fields ----------------------------------------------------------------------------------


def _natural(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= INT64_MAX:
        raise BadArgument(f"{name} must be an int from 0 to 2^63-1, not {str(value)[:60]!r}")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if type(value) is not str:
        raise BadArgument(f"{name} must be a string, not {str(value)[:60]!r}")
    return value


def _mark(fields: Mapping[str, Any], name: str) -> bool:
    """What is false where it is absent."""
    return _truth(fields, name) if name in fields else False


def _truth(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if type(value) is not bool:
        raise BadArgument(f"{name} must be a boolean, not {str(value)[:60]!r}")
    return value
