"""The schema of the event log, as data: each event, its fields, their types and what they mean.

Only the description lives here; tests hold a real run against it and docs/events.md is made
from it. Whoever writes a new event adds it here first. Next: writer.py writes lines of this
shape, fold.py turns them back into state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event: its type (a key of TYPES), what it means, whether it may be absent."""

    type: str
    help: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class EventType:
    """One event: its own fields in the order in which they are written, after the common ones."""

    name: str
    fields: Mapping[str, Field]
    help: str


@dataclass(frozen=True, slots=True)
class ValueType:
    """How a type is described to people, and how a value parsed from JSON is recognised as one."""

    help: str
    accepts: Callable[[object], bool]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _list_of(accepts: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(accepts(item) for item in value)


def _row_of(*columns: Callable[[object], bool]) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        return (
            isinstance(value, list)
            and len(value) == len(columns)
            and all(column(item) for column, item in zip(columns, value, strict=True))
        )

    return accepts


def _by_id(accepts: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, dict)
        and all(isinstance(key, str) and key.isdecimal() and accepts(item) for key, item in value.items())
    )


ROLES = ("follower", "candidate", "leader")
_position = _row_of(_is_int, _is_int)

TYPES: Mapping[str, ValueType] = {
    "int": ValueType("a whole number", _is_int),
    "float": ValueType("a number", _is_number),
    "str": ValueType("a text", _is_text),
    "bool": ValueType("true or false", lambda value: isinstance(value, bool)),
    "role": ValueType('"follower", "candidate" or "leader"', lambda value: value in ROLES),
    "id?": ValueType("a node's id, or null for none", lambda value: value is None or _is_int(value)),
    "ids": ValueType("a list of node ids", _list_of(_is_int)),
    "names": ValueType('{"id": "host:port"}', _by_id(_is_text)),
    "position": ValueType("[term, index] of an entry", _position),
    "runs": ValueType(
        "the log as runs of one term: [[first, last, term], ...]",
        _list_of(_row_of(_is_int, _is_int, _is_int)),
    ),
    "peers": ValueType('{"id": [next_index, match_index]}', _by_id(_position)),
    "entries": ValueType(
        "[[index, term, kind, what], ...]", _list_of(_row_of(_is_int, _is_int, _is_text, _is_text))
    ),
    "moves": ValueType(
        "[[job, from state, to state], ...]",
        _list_of(_row_of(lambda job: _is_int(job) or _is_text(job), _is_text, _is_text)),
    ),
}

COMMON: Mapping[str, Field] = {
    "ts": Field("float", "the node's wall clock, seconds since the epoch"),
    "mono": Field("float", "the process's monotonic clock, seconds; comparable within one process alone"),
    "clock": Field("int", "Lamport clock: merged by (clock, node, seq), no effect comes before its cause"),
    "node": Field("int", "the node that writes"),
    "seq": Field("int", "number of the event in the node's life; rises by one, over restarts too"),
    "event": Field("str", "which event this is"),
    "term": Field("int", "the node's current term, after the event"),
    "why": Field("str", "the rule that decided, by name; for a lost message, what happened", optional=True),
}

MESSAGE_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "RequestVote": {
        "last": Field("position", "end of the candidate's log"),
        "pre_vote": Field("bool", "it only asks whether it would get the vote in that term", optional=True),
        "transfer": Field("bool", "it stands because the leader told it to", optional=True),
    },
    "RequestVoteReply": {
        "granted": Field("bool", "whether the vote was given"),
        "pre_vote": Field("bool", "it answers a pre-vote, and binds to nothing", optional=True),
    },
    "AppendEntries": {
        "prev": Field("position", "the entry before the new ones"),
        "count": Field("int", "how many entries; 0 is a heartbeat"),
        "first": Field("int", "index of the first entry"),
        "commit": Field("int", "the leader's commit index"),
        "round": Field("int", "which send to this peer"),
    },
    "AppendEntriesReply": {
        "success": Field("bool", "whether the logs agree up to the new entries"),
        "round": Field("int", "the round that is answered"),
        "match": Field("int", "on success: last index known to agree", optional=True),
        "conflict": Field("position", "on a refusal: [term, index] where to go on (§5.3)", optional=True),
    },
    "InstallSnapshot": {
        "last": Field("position", "the last entry that the snapshot stands for"),
        "snapshot": Field("str", "its id"),
        "size": Field("int", "its size, bytes"),
        "offset": Field("int", "where this chunk belongs, bytes"),
        "count": Field("int", "this chunk's size, bytes"),
        "done": Field("bool", "whether it is the last"),
        "round": Field("int", "which send to this peer"),
    },
    "InstallSnapshotReply": {
        "offset": Field("int", "from where on the follower wants it, bytes"),
        "installed": Field("bool", "whether the follower has all that it stands for"),
        "round": Field("int", "the round that is answered"),
    },
    "TimeoutNow": {},
    "TimeoutNowReply": {},
}
"""What a message's event carries beside to/from, kind and id, by kind."""

_MESSAGE_TAIL = {
    "msg_term": Field("int", "the message's term", optional=True),
    "bytes": Field("int", "size on the wire, where known", optional=True),
}


_SNAPSHOT = {
    "index": Field("int", "the last entry that it stands for"),
    "base_term": Field("int", "that entry's term"),
    "id": Field("str", "the snapshot's id"),
    "size": Field("int", "its size, bytes"),
}


def _events(*types: EventType) -> Mapping[str, EventType]:
    return {each.name: each for each in types}


EVENTS: Mapping[str, EventType] = _events(
    EventType(
        "start",
        {
            "pid": Field("int", "the process"),
            "version": Field("str", "Glassraft's version"),
            "host": Field("str", "address it serves"),
            "port": Field("int", "port it serves"),
            "cluster": Field("str", "the cluster's id"),
            "members": Field("ids", "the voters"),
            "names": Field("names", "the voters' addresses"),
            "reason": Field("str", "why it came up"),
        },
        "The process came up. Where no `stop` precedes it, the process before was killed.",
    ),
    EventType(
        "state",
        {
            "role": Field("role", "the node's role"),
            "voted_for": Field("id?", "whom it voted for in this term"),
            "leader_id": Field("id?", "whom it takes for the leader"),
            "commit_index": Field("int", "highest entry known to be committed"),
            "last_applied": Field("int", "highest entry applied"),
            "last_log_index": Field("int", "end of the log"),
            "last_log_term": Field("int", "term of the last entry"),
            "first_log_index": Field("int", "first entry still in the log"),
            "base_term": Field("int", "term of the entry before that; 0 where there is none", optional=True),
            "log": Field("runs", "the whole log by its terms"),
            "peers": Field("peers", "a leader's view of the others; empty else"),
            "members": Field("ids", "the voters"),
            "learners": Field("ids", "who gets entries and does not vote", optional=True),
            "pid": Field("int", "the process"),
        },
        "The whole state: the first line of every file, after each `start`, and now and then between, "
        "so that reading can begin there.",
    ),
    EventType("stop", {"reason": Field("str", "what asked it to")}, "A clean stop."),
    EventType(
        "role",
        {
            "role": Field("role", "what the node is now"),
            "was": Field("role", "what it was"),
            "leader_id": Field("id?", "whom it takes for the leader"),
        },
        "The node changed its role (§5.1).",
    ),
    EventType(
        "term",
        {"was": Field("int", "the term before")},
        "The node's term rose to `term` (§5.1); its vote is free again.",
    ),
    EventType(
        "vote",
        {"candidate": Field("int", "who asked"), "granted": Field("bool", "whether it got the vote")},
        "This node decided on a vote; a candidate's for itself too (§5.2, §5.4.1).",
    ),
    EventType(
        "votes",
        {
            "granted": Field("ids", "who voted for it"),
            "refused": Field("ids", "who did not"),
            "needed": Field("int", "how many make a majority"),
        },
        "A candidate's tally (§5.2).",
    ),
    EventType(
        "pre_vote",
        {
            "candidate": Field("int", "who asked"),
            "granted": Field("bool", "whether it would get the vote"),
            "for_term": Field("int", "the term in which the candidate would stand"),
        },
        "This node was asked whether it would vote for another (diss. §9.6). Its term and vote stay.",
    ),
    EventType(
        "pre_votes",
        {
            "for_term": Field("int", "the term in which it would stand"),
            "granted": Field("ids", "who would vote for it"),
            "refused": Field("ids", "who would not"),
            "needed": Field("int", "how many make a majority"),
        },
        "The tally of a node that heard no leader and asks whether it could win. It keeps its role and "
        "term, and stands when a majority would vote for it (diss. §9.6).",
    ),
    EventType(
        "leader",
        {"leader_id": Field("id?", "the leader")},
        "The node learnt who leads its term, or hears from it no longer (null).",
    ),
    EventType(
        "timer",
        {
            "kind": Field("str", '"election" or "heartbeat"'),
            "duration": Field("float", "seconds from now until it runs out"),
        },
        "A timer starts anew.",
    ),
    EventType(
        "append",
        {
            "entries": Field(
                "entries", 'kind is "noop", "command" or "configuration", what the operation\'s name'
            )
        },
        "Entries were put at the end of the node's log (§5.3).",
    ),
    EventType(
        "truncate",
        {"from": Field("int", "first entry removed"), "last": Field("int", "last entry removed")},
        "Entries that conflict with the leader's were removed (§5.3).",
    ),
    EventType(
        "commit",
        {
            "index": Field("int", "the commit index"),
            "was": Field("int", "the one before"),
            "holders": Field("ids", "on a leader: who has the entry", optional=True),
        },
        "The commit index rose (§5.3, §5.4.2).",
    ),
    EventType(
        "apply",
        {
            "first": Field("int", "first entry applied"),
            "last": Field("int", "last entry applied"),
            "jobs": Field("moves", 'what became of jobs; from "" at submission'),
        },
        "Committed entries were applied to the queue.",
    ),
    EventType(
        "schedule",
        {
            "schedule": Field("str", "its name"),
            "what": Field("str", '"set", "dropped", "fired", "skipped" or "refused"'),
            "due_ms": Field(
                "int", "when it was due, or set: will be; absent where it was run by hand", optional=True
            ),
            "job": Field("str", "the job that was submitted", optional=True),
            "reason": Field("str", "why it was skipped or refused", optional=True),
        },
        "Of what was applied, what became of a schedule.",
    ),
    EventType(
        "compact",
        {
            "first": Field("int", "first entry still in the log"),
            "was": Field("int", "the first one before"),
            "base_term": Field("int", "term of the entry before the first"),
        },
        "Entries that the queue's file stands for went from the log (§7).",
    ),
    EventType("snapshot", _SNAPSHOT, "The node made a snapshot of its queue, for a follower (§7)."),
    EventType(
        "doubt",
        _SNAPSHOT,
        "A follower that had all of the snapshot wants it anew: it may be damaged, so another will be made (§7).",
    ),
    EventType(
        "install",
        {**_SNAPSHOT, "keeps_log": Field("bool", "whether the log goes on after it, or is empty now")},
        "A leader's snapshot took the place of the queue, and of the log up to its last entry (§7).",
    ),
    EventType(
        "progress",
        {
            "peer": Field("int", "the follower"),
            "next": Field("int", "next_index"),
            "match": Field("int", "match_index"),
        },
        "A leader's view of a follower's log changed.",
    ),
    EventType(
        "catch_up",
        {
            "peer": Field("int", "the learner"),
            "round": Field("int", "which round, from 1"),
            "took": Field("float", "seconds from the round's begin until the learner had all of then"),
            "enough": Field("bool", "whether that was fast enough to vote from now on"),
        },
        "On a leader: a learner came to the end of a round (diss. §4.2.1).",
    ),
    EventType(
        "send",
        {
            "to": Field("int", "the receiver"),
            "kind": Field("str", "which message"),
            "id": Field("str", "the message's own id, the same in its receive or lost"),
            **_MESSAGE_TAIL,
        },
        "A message goes out. It carries its kind's fields too.",
    ),
    EventType(
        "receive",
        {
            "from": Field("int", "the sender"),
            "kind": Field("str", "which message"),
            "id": Field("str", "the id that it was sent with"),
            "sent": Field("int", "the sender's Lamport clock"),
            "sent_ts": Field("float", "the sender's wall clock, seconds"),
            **_MESSAGE_TAIL,
        },
        "A message came in. It carries its kind's fields too, so that it can stand for a send "
        "that a kill kept from the sender's file.",
    ),
    EventType(
        "lost",
        {
            "to": Field("int", "who did not get it"),
            "kind": Field("str", "which message"),
            "id": Field("str", "the id that it was sent with"),
        },
        "The sender gave a message up; `why` says what happened to it.",
    ),
    EventType(
        "answer",
        {
            "method": Field("str", "the method called"),
            "ms": Field("float", "from the call's arrival to its answer, milliseconds"),
            "outcome": Field("str", '"ok" or the fault\'s name'),
            "index": Field("int", "the entry that carried it", optional=True),
            "jobs": Field("int", "how many jobs it was about", optional=True),
        },
        "A client's call was answered.",
    ),
    EventType(
        "transfer",
        {
            "target": Field("int", "who should lead"),
            "state": Field("str", '"begun", "done" (another leads) or "given up"'),
        },
        "A leader hands its lead over; until it is done or given up it takes no commands (diss. §3.10).",
    ),
    EventType(
        "membership",
        {
            "members": Field("ids", "the voters"),
            "learners": Field("ids", "who gets entries and does not vote"),
            "index": Field("int", "the configuration's own entry"),
        },
        "The node uses another configuration: its entry was appended, or the one after it removed (diss. §4.1).",
    ),
)


def problems(event: Mapping[str, object]) -> list[str]:
    """What is wrong with one parsed event by this schema, a sentence each; empty when nothing is.

    An unknown event is a problem here, in a test; a reader of other versions' files ignores it.
    """
    found = _misfits("", COMMON, event)
    name = event.get("event")
    if not isinstance(name, str) or name not in EVENTS:
        return [*found, f"unknown event {name!r}"]
    fields = dict(EVENTS[name].fields)
    if name in ("send", "receive"):
        fields.update(MESSAGE_FIELDS.get(str(event.get("kind")), {}))
    found += _misfits(f"{name}: ", fields, event)
    unknown = [field for field in event if field not in COMMON and field not in fields]
    return found + [f"{name}: unknown field {field!r}" for field in unknown]


def _misfits(prefix: str, fields: Mapping[str, Field], event: Mapping[str, object]) -> list[str]:
    found = []
    for name, field in fields.items():
        if name not in event:
            if not field.optional:
                found.append(f"{prefix}{name} is missing")
        elif not TYPES[field.type].accepts(event[name]):
            found.append(f"{prefix}{name} is {event[name]!r}, not {TYPES[field.type].help}")
    return found
